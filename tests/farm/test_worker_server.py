"""A worker and the server that it owns: they live and die together, whoever dies first, and nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import fakecarla
import numpy as np
import psutil
import pytest
from bench import ended, until

from b2d_zmq.errors import ErrorCode
from b2d_zmq.protocol import Kind

STEP = {"action": np.array([0.5, 0.0, 0.0], np.float32), "ticks": 1}
DIES, HANGS, OUT_OF_PATIENCE = 2001, 2002, 2004


@pytest.fixture
def owner(bench, tmp_path, monkeypatch):
    """A factory of workers that own a fake server; ``owner("-no-term")`` hands flags on to it, options begin with two dashes."""
    monkeypatch.setenv("B2D_RUN_DIR", str(tmp_path / "run"))
    root = fakecarla.install(tmp_path / "a root with spaces")

    def start(*words):
        options = [word for word in words if not _is_flag(word)]
        flags = [f"--carla-flag={word}" for word in words if _is_flag(word)]
        return bench("attached:Attached", "--carla-root", str(root), *options, *flags)

    return start


def _is_flag(word):
    return word.startswith("-") and not word.startswith("--")


def reset(worker, seed=1, seq=1):
    return worker.do(Kind.RESET, {"seed": seed, "options": {}}, seq)[1]["info"]


def drive_to_the_fault(worker, seed, budget=20.0):
    """Reset and two good steps; the third, which strikes, is sent and not waited for. The info of the reset."""
    info = reset(worker, seed)
    worker.do(Kind.STEP, STEP, 2)
    worker.do(Kind.STEP, STEP, 3)
    worker.job(Kind.STEP, STEP, 4, budget=budget)
    return info


def progress(worker, wanted):
    """The first heartbeat's progress for which ``wanted`` is true."""
    found = []

    def look():
        found[:] = [worker.expect(Kind.HEARTBEAT)[2]["progress"]]
        return wanted(found[0])

    until(look, seconds=20)
    return found[0]


def server_log(worker):
    return (worker.log.parent / "run" / "carla-b.log").read_text()


def test_server_and_host_start_work_and_leave(owner):
    worker = owner().grant()
    info = reset(worker)
    assert info["host"] == "127.0.0.1"
    assert 20000 <= info["port"] < 32768
    assert info["tm_port"] not in (info["port"], info["port"] + 1, info["port"] + 2)
    assert info["rendering"] is False  # the rig has no cameras
    told = progress(worker, lambda told: told["server"]["state"] == "up" and told["episodes"])
    assert (told["server"]["pid"], told["server"]["port"], told["place"]) == (info["server_pid"], info["port"], "Town00")
    assert told["server"]["resident_bytes"] > 1_000_000
    assert "CarlaUE4 -carla-rpc-port=" in server_log(worker)
    assert psutil.Process(info["server_pid"]).ppid() == worker.process.pid  # no shell in between
    worker.process.send_signal(signal.SIGTERM)
    assert worker.expect(Kind.GOODBYE)[2]["reason"] == "drained"
    assert worker.process.wait(10) == 0
    assert ended(info["server_pid"])


def test_a_server_that_dies_takes_its_host_along_and_both_come_back(owner):
    worker = owner().grant()
    before = drive_to_the_fault(worker, DIES)
    lost = worker.expect(Kind.LOST)[2]
    assert lost["reason"] == "the CARLA server died (signal SIGSEGV) during STEP"
    assert lost["code"] == ErrorCode.WORKER_LOST
    assert "Signal 11 caught." in lost["log"]
    worker.grant("L2", 2)
    after = worker.do(Kind.RESET, {"seed": 1, "options": {}}, 1, lease="L2", epoch=2)[1]["info"]
    assert after["server_pid"] != before["server_pid"]
    assert after["port"] != before["port"]  # a new block of ports


def test_a_hung_server_is_replaced_as_soon_as_the_budget_is_over(owner):
    worker = owner("-no-term").grant()
    before = drive_to_the_fault(worker, HANGS, budget=0.5)
    lost = worker.expect(Kind.LOST, seconds=1.5)[2]
    assert lost["code"] == ErrorCode.BUDGET_EXCEEDED
    assert "STEP may take 0.5 s" in lost["reason"]
    assert "GameThread timed out waiting for RenderThread" in lost["log"]
    until(lambda: ended(before["server_pid"]), seconds=1)
    worker.attached()


def test_a_stopped_server_is_replaced_too(owner):
    worker = owner().grant()
    info = reset(worker)
    psutil.Process(info["server_pid"]).suspend()
    worker.job(Kind.STEP, STEP, 2, budget=0.5)
    assert worker.expect(Kind.LOST)[2]["code"] == ErrorCode.BUDGET_EXCEEDED
    until(lambda: ended(info["server_pid"]), seconds=1)
    worker.attached()


def test_a_backend_that_gives_its_simulator_up_says_why(owner):
    worker = owner().grant()
    before = drive_to_the_fault(worker, OUT_OF_PATIENCE)
    lost = worker.expect(Kind.LOST)[2]
    assert "given up during STEP: time-out of 1000ms" in lost["reason"]
    until(lambda: ended(before["server_pid"]))
    worker.attached()


def test_a_host_that_dies_takes_its_server_along_without_a_gap_in_the_heartbeats(owner):
    worker = owner("-no-term").grant()
    before = reset(worker)
    psutil.Process(before["pid"]).kill()
    assert "signal SIGKILL" in worker.expect(Kind.LOST)[2]["reason"]
    beats = 0
    while not ended(before["server_pid"]):  # it ignores TERM, so three seconds pass
        assert worker.expect(Kind.HEARTBEAT, seconds=1)
        beats += 1
    assert beats > 10
    assert "did not end within 3 s of TERM; it is killed" in worker.log.read_text()
    worker.attached()


def test_what_the_server_started_goes_with_it(owner):
    worker = owner("-child").grant()
    before = reset(worker)
    reporter = int(server_log(worker).split("crash reporter, pid ")[1].split()[0])
    psutil.Process(before["server_pid"]).kill()
    assert "the CARLA server died (signal SIGKILL) while idle" in worker.expect(Kind.LOST)[2]["reason"]
    until(lambda: ended(reporter))


@pytest.mark.parametrize(
    "order", [("keeper",), ("keeper", "server"), ("host", "keeper"), ("server", "keeper"), ("server", "host", "keeper")]
)
def test_no_order_of_kills_leaves_anything(owner, order):
    worker = owner("-no-term").grant()
    info = reset(worker)
    pids = {"keeper": worker.process.pid, "host": info["pid"], "server": info["server_pid"]}
    processes = {name: psutil.Process(pid) for name, pid in pids.items()}
    for name in order:
        try:
            processes[name].kill()
        except psutil.NoSuchProcess:
            continue  # it went with the one before
    worker.process.wait(10)
    for pid in pids.values():
        until(lambda pid=pid: ended(pid), seconds=2)


def test_the_next_worker_of_the_name_ends_what_a_killed_one_left(owner):
    worker = owner("-child").grant()
    info = reset(worker)
    reporter = int(server_log(worker).split("crash reporter, pid ")[1].split()[0])
    worker.process.kill()
    worker.process.wait()
    until(lambda: ended(info["server_pid"]))
    assert not ended(reporter)  # the death signal reaches the server alone
    worker = owner().grant()
    until(lambda: ended(reporter))
    assert "left behind by a worker b that is gone" in worker.log.read_text()


def test_a_server_that_does_not_come_up_says_why_and_is_put_aside(owner):
    worker = owner("-refuse")
    for _ in range(5):
        lost = worker.expect(Kind.LOST)[2]
        assert "the CARLA server died (exit code 1)" in lost["reason"]
        assert "Refusing to run with the root privileges." in lost["log"]
    told = progress(worker, lambda told: "put aside for 600 s, because 5 starts failed" in told["doing"])
    assert told["seconds"] > 500
    assert worker.process.poll() is None


def test_a_server_that_takes_too_long_to_start_is_replaced(owner):
    worker = owner("-late=600", "--start-budget", "4")
    assert progress(worker, lambda told: "waiting for CARLA's port" in told["doing"])["server"]["state"] == "starting"
    lost = worker.expect(Kind.LOST)[2]
    assert "opening the backend may take 4.0 s" in lost["reason"]
    assert "waiting for CARLA's port" in lost["reason"]


def test_an_old_server_is_replaced_before_the_next_episode_of_a_lease_that_goes_on(owner):
    worker = owner("--recycle-episodes", "2").grant()
    before = reset(worker)
    reset(worker, seq=2)
    progress(worker, lambda told: "served 2 episodes" in told["server"]["worn"])
    assert worker.do(Kind.STEP, STEP, 3)[0] is Kind.REPLY  # the lease goes on
    worker.job(Kind.RESET, {"seed": 1, "options": {}}, 4)
    told = worker.expect(Kind.LOST)[2]
    assert told["code"] == ErrorCode.WORKER_LEFT and "replaced where an episode ended: it has served 2 episodes" in told["reason"]
    worker.grant("L2", 2)
    after = worker.do(Kind.RESET, {"seed": 1, "options": {}}, 1, lease="L2", epoch=2)[1]["info"]
    assert after["server_pid"] != before["server_pid"]


def test_a_large_server_is_replaced_where_the_lease_ends(owner):
    worker = owner("--recycle-memory", "0.001").grant()
    reset(worker)
    progress(worker, lambda told: "the most is 0.00 GB" in told["server"]["worn"])
    worker.send(worker.host, Kind.REVOKE, lease="L1", epoch=1)
    assert "replaced where an episode ended" in worker.expect(Kind.LOST)[2]["reason"]


def test_the_servers_log_does_not_grow_for_ever(owner, monkeypatch):
    worker = owner("-chatty", "--server-log-bytes", "100000").grant()
    reset(worker)
    for seq in range(2, 202):
        worker.do(Kind.STEP, STEP, seq)
    log = worker.log.parent / "run" / "carla-b.log"
    until(lambda: log.stat().st_size < 200_000 and log.with_name("carla-b.log.1").is_file())
    info = worker.do(Kind.STEP, STEP, 202)[1]["info"]
    psutil.Process(info["server_pid"]).kill()
    assert "xxxxxxxxx" in worker.expect(Kind.LOST)[2]["log"]


def test_two_workers_of_one_name_keep_out_of_each_others_way(owner):
    first, second = owner().grant(), owner().grant()
    one, other = reset(first), reset(second)
    assert one["port"] != other["port"]
    assert one["server_pid"] != other["server_pid"]
    assert (first.log.parent / "run" / "carla-b.2.log").is_file()


def test_a_draining_worker_waits_for_its_server(owner):
    worker = owner("-no-term").grant()
    info = reset(worker)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.expect(Kind.GOODBYE)[2]["reason"] == "drained"
    assert ended(info["server_pid"])
    assert "it is killed" in worker.log.read_text()


def test_a_second_signal_does_not_wait_for_the_server(owner):
    worker = owner("-no-term").grant()
    info = reset(worker)
    worker.process.send_signal(signal.SIGTERM)
    until(lambda: "host b-" in worker.log.read_text() and ended(info["pid"]))
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(2) == 0
    assert ended(info["server_pid"])


def test_a_worker_may_use_a_server_of_somebody_else(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("B2D_RUN_DIR", str(tmp_path / "run"))
    with _ServerOfSomebodyElse() as (server, port):
        options = ["--carla-host", "127.0.0.1", "--carla-port", str(port)]
        worker = bench("attached:Attached", *options).grant()
        info = reset(worker)
        assert (info["port"], info["server_pid"]) == (port, server.pid)
        assert progress(worker, lambda told: told["server"]["external"])["server"]["port"] == port
        rival = bench("attached:Attached", *options)
        assert rival.process.wait(10) == 78
        assert "another worker already uses the CARLA server" in rival.log.read_text()
        assert server.poll() is None


class _ServerOfSomebodyElse:
    def __enter__(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.process = subprocess.Popen([sys.executable, fakecarla.__file__, f"-carla-rpc-port={port}"], stderr=subprocess.DEVNULL)
        return self.process, port

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


@pytest.mark.parametrize(
    "options, said",
    [
        (["--carla-root", "/nowhere/at/all"], "/nowhere/at/all does not exist; give the folder in which CarlaUE4.sh lies"),
        (["--carla-root", "{root}", "--carla-host", "127.0.0.1"], "give one of the two"),
        (["--carla-host", "127.0.0.1", "--gpu", "0"], "not for --carla-host"),
        (["--carla-root", "{root}", "--carla-flag=-nullrhi"], "the worker sets -nullrhi itself"),
        (["--carla-root", "{root}", "--sensors", "predecessor", "--rendering", "null"], "such a server sends no pictures"),
        (["--carla-root", "{root}", "--sensors", "predecessor", "--gpu", "none"], "there is no GPU to draw with: --gpu none was asked for"),
        (["--carla-root", "{root}", "--rendering", "offscreen", "--gpu", "GPU-ffffffff"], "--gpu GPU-ffffffff: no such GPU here"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(bench, tmp_path, monkeypatch, options, said):
    monkeypatch.setenv("B2D_RUN_DIR", str(tmp_path / "run"))
    root = str(fakecarla.install(tmp_path / "root"))
    worker = bench("attached:Attached", *[word.format(root=root) for word in options])
    assert worker.process.wait(20) == 78
    told = worker.log.read_text()
    assert said in told
    assert "Traceback" not in told


def test_without_a_gpu_a_server_may_draw_if_it_is_told_to(owner):
    info = reset(owner("--sensors", "predecessor", "--rendering", "offscreen", "--gpu", "none").grant())
    assert info["rendering"] is True


def test_a_keeper_with_nothing_to_do_sleeps(owner):
    worker = owner("--sensors", "predecessor", "--rendering", "offscreen").grant()
    progress(worker, lambda told: told["server"]["state"] == "up")
    keeper = psutil.Process(worker.process.pid)
    before = keeper.cpu_times()
    for _ in range(20):  # two seconds
        progress(worker, lambda told: True)
    after = keeper.cpu_times()
    assert after.user + after.system - before.user - before.system < 0.6


def test_starting_again_leaves_no_files_open(owner):
    worker, opened = owner(), []
    for starts in range(1, 5):
        up = progress(worker, lambda told, starts=starts: told["server"]["starts"] == starts and told["server"]["state"] == "up")
        opened.append(psutil.Process(worker.process.pid).num_fds())
        psutil.Process(up["server"]["pid"]).kill()
        worker.expect(Kind.LOST)
    assert max(opened) - min(opened) < 2  # one may be open for a moment; one more per start would be three


def test_twenty_workers_start_at_once_without_a_clash(owner, tmp_path):
    workers = [owner() for _ in range(20)]
    for worker in workers:
        worker.attached()
    records = [json.loads(path.read_text()) for path in (tmp_path / "run").glob("worker-*.lock")]
    assert len({record["pid"] for record in records}) == 20
    assert "Address already in use" not in "".join(path.read_text() for path in (tmp_path / "run").glob("carla-*.log"))


@pytest.fixture
def gpus(monkeypatch):
    """Two GPUs; the server will be seen on the one of that number."""
    folder = str(Path(__file__).parent.parent / "fakenvml")

    def land(number):
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([folder, os.environ["PYTHONPATH"]]))
        monkeypatch.setenv("FAKE_GPU_LANDS", str(number))

    return land


DRAWS = ("--sensors", "predecessor")


def test_the_gpu_with_most_memory_is_taken_and_looked_up_afterwards(owner, gpus):
    gpus(1)
    worker = owner(*DRAWS).grant()
    assert reset(worker)["rendering"] is True
    told = progress(worker, lambda told: told["server"]["gpu_seen"])["server"]
    assert (told["gpu"], told["gpu_seen"]) == ("GPU 1 (H100, 00000000:27:00.0)", "on GPU 1 (H100, 00000000:27:00.0)")
    assert "-RenderOffScreen -quality-level=Epic -graphicsadapter=1" in server_log(worker)


def test_a_server_on_another_gpu_than_the_pinned_one_is_a_wrong_configuration(owner, gpus):
    gpus(1)
    worker = owner(*DRAWS, "--gpu", "0", "--graphics-adapter", "1")
    assert worker.process.wait(30) == 78
    assert "--gpu 0: the server was sent to GPU 0 (H100, 00000000:17:00.0)" in worker.log.read_text()
    assert "runs on GPU 1 (H100" in worker.log.read_text()


def test_a_server_on_another_gpu_than_the_chosen_one_is_told(owner, gpus):
    gpus(0)
    worker = owner(*DRAWS).grant()
    told = progress(worker, lambda told: told["server"].get("gpu_seen"))["server"]
    assert "was sent to GPU 1" in told["gpu_seen"] and "runs on GPU 0" in told["gpu_seen"]
    assert reset(worker)["rendering"] is True  # it goes on


def test_nvml_that_stands_still_does_not_stop_the_heartbeats(owner, gpus, monkeypatch):
    gpus(0)
    monkeypatch.setenv("FAKE_NVML", "hangs")
    worker = owner(*DRAWS)
    for _ in range(5):
        told = progress(worker, lambda told: told["doing"] == "asking NVML for the GPUs")
        assert told["server"]["state"] == "none"
