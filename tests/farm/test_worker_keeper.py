"""The keeper over its control socket: a host that dies, hangs or cannot start; leaving; a broker that comes back."""

from __future__ import annotations

import re
import signal

import numpy as np
import psutil
import zmq
from bench import ended, until

from b2d_zmq.errors import ErrorCode
from b2d_zmq.protocol import Kind

STEP = {"action": np.array([0.5, 0.0, 0.0], np.float32), "ticks": 1}
RESET = {"seed": 10, "options": {}}


def drive_to_the_fault(worker, budget=20.0):
    """Reset and two good steps; the third, which strikes, is sent and not waited for."""
    worker.do(Kind.RESET, RESET, 1)
    worker.do(Kind.STEP, STEP, 2)
    worker.do(Kind.STEP, STEP, 3)
    worker.job(Kind.STEP, STEP, 4, budget=budget)


def test_a_killed_host_is_reported_and_replaced(bench):
    worker = bench("faulty:SpawnsChild").grant()
    info = worker.do(Kind.RESET, RESET, 1)[1]["info"]
    psutil.Process(info["pid"]).kill()
    sender, _, lost = worker.expect(Kind.LOST)
    assert (sender, lost["host"].encode(), lost["code"]) == (worker.keeper, worker.host, ErrorCode.WORKER_LOST)
    assert "signal SIGKILL" in lost["reason"]
    until(lambda: ended(info["child"]))  # what the host had started went with it
    before = worker.host
    assert worker.attached()["epoch"] == 0
    assert worker.host != before
    assert worker.keeper == before.split(b"/")[0]


def test_the_last_words_of_a_host_are_quoted(bench):
    worker = bench("faulty:Exits").grant()
    drive_to_the_fault(worker)
    lost = worker.expect(Kind.LOST)[2]
    assert "exit code 3" in lost["reason"]
    assert "during STEP" in lost["reason"]
    assert "last words of the simulator" in lost["log"]


def test_a_host_over_its_budget_is_ended(bench):
    worker = bench("faulty:Hangs").grant()
    drive_to_the_fault(worker, budget=0.5)
    lost = worker.expect(Kind.LOST)[2]
    assert lost["code"] == ErrorCode.BUDGET_EXCEEDED
    assert "STEP may take 0.5 s" in lost["reason"]
    assert "hanging on purpose, tick 12" in lost["reason"]
    assert worker.attached()["lease"] == ""


def test_a_budget_is_kept_however_slow_the_heartbeats(bench):
    worker = bench("faulty:Hangs", "--heartbeat", "60").grant()
    drive_to_the_fault(worker, budget=0.5)
    assert worker.expect(Kind.LOST)[2]["code"] == ErrorCode.BUDGET_EXCEEDED


def test_a_host_dies_with_its_keeper(bench):
    worker = bench().grant()
    host = worker.do(Kind.RESET, RESET, 1)[1]["info"]["pid"]
    worker.process.kill()
    worker.process.wait()
    until(lambda: ended(host))


def test_a_worker_drains(bench):
    worker = bench("faulty:Slow").grant()
    worker.do(Kind.RESET, RESET, 1)
    worker.job(Kind.STEP, STEP, 2)
    until(lambda: worker.expect(Kind.HEARTBEAT)[2]["progress"]["kind"] == "STEP")
    worker.process.send_signal(signal.SIGTERM)
    until(lambda: worker.expect(Kind.HEARTBEAT)[2]["draining"])
    sender, header, state = worker.expect(Kind.HANDOVER)
    assert (sender, header.lease, header.epoch, header.seq) == (worker.host, "L1", 1, 2)
    assert worker.answer(2, seconds=0)[1]["digest"] == state["digest"]  # it was there before
    assert (state["data"].tobytes(), state["tick"], state["tier"]) == (b"11", 11, "exact")
    assert worker.do(Kind.STEP, STEP, 3)[1]["code"] == ErrorCode.LEASE_VOID  # nothing happens to an episode that was handed over
    worker.send(worker.host, Kind.REVOKE, lease="L1", epoch=1)
    assert worker.expect(Kind.RELEASED)
    assert worker.expect(Kind.GOODBYE)[2]["reason"] == "drained"
    assert worker.process.wait(10) == 0


def test_a_worker_that_drains_leaves_without_a_word_from_the_broker(bench):
    worker = bench("faulty:Counts", "--grace", "60").grant()
    assert worker.do(Kind.STEP, STEP, 1)[1]["code"] == ErrorCode.NO_EPISODE
    worker.process.send_signal(signal.SIGTERM)
    _, header, state = worker.expect(Kind.HANDOVER)
    assert (header.lease, state) == ("L1", {})  # nothing was begun on it
    assert worker.expect(Kind.GOODBYE)[2]["reason"] == "drained"
    assert worker.process.wait(10) == 0


def test_a_worker_that_cannot_drain_leaves_all_the_same(bench):
    worker = bench("faulty:Hangs", "--grace", "0.3").grant()
    drive_to_the_fault(worker)
    until(lambda: worker.expect(Kind.HEARTBEAT)[2]["progress"]["doing"] == "hanging on purpose")
    worker.process.send_signal(signal.SIGTERM)
    assert "cut off" in worker.expect(Kind.GOODBYE)[2]["reason"]
    assert worker.process.wait(10) == 0


def test_a_second_signal_does_not_wait(bench):
    worker = bench("faulty:Hangs", "--grace", "3600").grant()
    drive_to_the_fault(worker)
    until(lambda: worker.expect(Kind.HEARTBEAT)[2]["progress"]["doing"] == "hanging on purpose")
    worker.process.send_signal(signal.SIGINT)
    until(lambda: "drains" in worker.log.read_text())
    worker.process.send_signal(signal.SIGINT)
    assert worker.expect(Kind.GOODBYE)
    assert worker.process.wait(10) == 0


def test_a_backend_that_cannot_forget_serves_no_other_client(bench):
    worker = bench("faulty:Clings").grant()
    worker.do(Kind.RESET, RESET, 1)
    worker.send(worker.host, Kind.REVOKE, lease="L1", epoch=1)
    lost = worker.expect(Kind.LOST)[2]
    assert "during REVOKE" in lost["reason"]
    assert "never letting go" in lost["log"]


def test_a_wrong_configuration_ends_the_worker_with_78(bench):
    worker = bench("faulty:Misconfigured")
    assert worker.process.wait(20) == 78
    assert "b2d-worker: routes.xml: no <routes> in it" in worker.log.read_text()
    assert "Traceback" not in worker.log.read_text()


def test_a_host_that_does_not_start_is_tried_again_more_and_more_slowly(bench):
    worker = bench("faulty:NeverOpens")
    for _ in range(3):
        lost = worker.expect(Kind.LOST)[2]
        assert "exit code 1) while opening the backend" in lost["reason"]
        assert "no GPU today" in lost["log"]
    until(lambda: "another starts in 1.0 s" in worker.log.read_text())
    assert worker.process.poll() is None


def test_a_broker_that_comes_back_learns_everything(bench):
    worker = bench().grant("L3", 3)
    worker.do(Kind.RESET, RESET, 1, lease="L3", epoch=3)
    worker.rebind()
    keeper = worker.expect(Kind.HEARTBEAT)[0]
    worker.send(keeper, Kind.WHO)
    host = worker.expect(Kind.READY)[2]["host"].encode()
    until(lambda: _reached(worker, host))
    told = worker.attached()
    assert (told["lease"], told["epoch"], told["seq"]) == ("L3", 3, 1)
    assert worker.do(Kind.STEP, STEP, 2, lease="L3", epoch=3)[1]["tick"] == 11


def _reached(worker, host):
    """The host connects again a moment after the keeper."""
    try:
        worker.send(host, Kind.WHO)
    except zmq.ZMQError:
        return False
    return True


def test_a_silent_broker_is_said_once(bench):
    worker = bench()
    worker.attached()
    worker.router.close(0)
    until(lambda: "does not hear a broker" in worker.log.read_text())
    worker.router = until(worker._bind_again)
    worker.expect(Kind.HEARTBEAT)
    until(lambda: worker.expect(Kind.HEARTBEAT) and "hears the broker" in worker.log.read_text())
    said = re.findall("does not hear a broker|hears the broker", worker.log.read_text())
    assert said[:2] == ["does not hear a broker", "hears the broker"]
