"""A worker whose CARLA server goes wrong: a named error with the server's own words, and the worker is back by itself."""

from __future__ import annotations

import numpy as np
import psutil
import pytest
from bench import ended, until
from standins import dialect, wheel

from b2d_zmq.errors import ErrorCode
from b2d_zmq.protocol import Kind
from worker.routes import DEFAULT_FILE, read
from worker.standin.install import install

wheel()  # without one, nothing here can run

STEP = {"action": np.array([0.5, 0.0, 0.0], np.float32), "ticks": 1}
RESET = {"seed": 1, "options": {}}


@pytest.fixture
def owner(bench, tmp_path, monkeypatch):
    """A factory of workers that own a stand-in server with these faults; ``version`` is what its folder says, if not the truth."""
    monkeypatch.setenv("B2D_RUN_DIR", str(tmp_path / "run"))

    def start(*faults, options=(), version=None):
        install(tmp_path / "carla", version or dialect(), [f"--dialect={dialect()}", f"--routes={DEFAULT_FILE}", *faults])
        return bench("carla", "--carla-root", str(tmp_path / "carla"), *options)

    return start


def server_of(worker):
    """The pid of the server that is up."""
    found = []
    until(lambda: found.append(worker.expect(Kind.HEARTBEAT)[2]["progress"]["server"]) or found[-1]["state"] == "up", seconds=20)
    return psutil.Process(found[-1]["pid"])


def lost(worker):
    return worker.expect(Kind.LOST, seconds=60)[2]


@pytest.mark.parametrize("kind", [Kind.RESET, Kind.STEP, Kind.SNAPSHOT, Kind.RESTORE])
def test_a_server_that_dies_in_a_job(owner, kind):
    worker = owner().grant()
    server = server_of(worker)
    assert worker.do(Kind.RESET, RESET, 1, budget=60)[0] is Kind.REPLY
    snapshot = worker.do(Kind.SNAPSHOT, {}, 2)[1]["data"]
    body = {Kind.RESET: RESET, Kind.STEP: STEP, Kind.SNAPSHOT: {}, Kind.RESTORE: {"data": snapshot}}[kind]
    server.suspend()  # so that the job cannot be over before the server is
    worker.job(kind, body, 3, budget=60)
    until(lambda: worker.expect(Kind.HEARTBEAT)[2]["progress"]["kind"] == kind.name)
    server.kill()
    told = lost(worker)
    assert told["reason"] == f"the CARLA server died (signal SIGKILL) during {kind.name}"
    assert told["code"] == ErrorCode.WORKER_LOST
    assert "(stand-in, pid" in told["log"]
    worker.grant("L2", 2)
    assert worker.do(Kind.RESTORE, {"data": snapshot}, 1, lease="L2", epoch=2, budget=60)[0] is Kind.REPLY  # nothing is lost but time


def test_a_server_that_crashes_while_it_loads_a_map(owner):
    worker = owner("--die-in-load=1").grant()
    server = server_of(worker)
    first = until(lambda: worker.expect(Kind.HEARTBEAT)[2]["progress"]["place"])
    route = next(route.id for route in read(DEFAULT_FILE) if route.town != first)
    worker.job(Kind.RESET, {"seed": 1, "options": {"route_id": route}}, 1, budget=60)
    told = lost(worker)
    assert told["reason"] == "the CARLA server died (signal SIGSEGV) during RESET"
    assert ended(server.pid)
    worker.attached()


def test_a_server_that_hangs_in_a_tick(owner):
    worker = owner("--hang-at-tick=40").grant()
    server = server_of(worker)
    worker.do(Kind.RESET, RESET, 1, budget=60)
    worker.job(Kind.STEP, {**STEP, "ticks": 100}, 2, budget=3.0)
    told = worker.expect(Kind.LOST, seconds=5)[2]
    assert told["code"] == ErrorCode.BUDGET_EXCEEDED
    assert "STEP may take 3.0 s" in told["reason"]
    until(lambda: ended(server.pid), seconds=1)
    worker.attached()


def test_the_stages_of_a_start_are_seen(owner):
    worker = owner("--start-seconds=1.5")
    seen = []
    until(lambda: seen.append(worker.expect(Kind.HEARTBEAT)[2]["progress"]) or seen[-1].get("place"), seconds=20)
    doing = [progress["doing"] for progress in seen]
    assert any(words.startswith("waiting for CARLA's port") for words in doing)
    assert seen[-1]["server"]["version"] == dialect()


def test_a_server_of_another_version_is_a_wrong_configuration(owner):
    worker = owner("--report-version=0.9.13")
    assert worker.process.wait(30) == 78
    told = worker.log.read_text()
    assert "is version 0.9.13, the client here is" in told
    assert "Traceback" not in told


def test_an_installation_of_another_version_is_not_even_started(owner, tmp_path):
    worker = owner(version="0.9.13")
    assert worker.process.wait(30) == 78
    assert "they must be the same; there is no wheel of CARLA 0.9.13" in worker.log.read_text()
    assert not list((tmp_path / "run").glob("carla-*.log"))


def test_a_server_that_refuses_to_start(owner):
    worker = owner("--refuse-start")
    told = lost(worker)
    assert "the CARLA server died (exit code 1) while" in told["reason"]
    assert told["log"].strip()


def test_a_server_that_leaks_is_replaced_where_the_lease_ends(owner):
    worker = owner("--leak-mb=10", options=["--recycle-memory", "0.4"]).grant()
    server = server_of(worker)
    worker.do(Kind.RESET, RESET, 1, budget=60)
    assert worker.do(Kind.STEP, {**STEP, "ticks": 60}, 2)[0] is Kind.REPLY
    until(lambda: worker.expect(Kind.HEARTBEAT)[2]["progress"]["server"]["worn"])
    worker.send(worker.host, Kind.REVOKE, lease="L1", epoch=1)
    assert "replaced where an episode ended: its memory is" in lost(worker)["reason"]
    worker.attached()
    assert ended(server.pid)
