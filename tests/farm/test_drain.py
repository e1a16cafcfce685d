"""A worker that is told to leave (TERM): it finishes the step, hands the episode over and goes; nobody loses or repeats anything."""

from __future__ import annotations

import signal

import numpy as np
import psutil
import pytest
from bench import ended, until
from chaosfarm import ChaosFarm
from toyfarm import FAN, FORWARD, LEFT, RIGHT

from b2d_zmq import CarlaEnv, Client

ACTIONS = [LEFT, FORWARD, RIGHT, FORWARD] * 5


class Toys(ChaosFarm):
    """A farm of three toys, of which each that leaves is started again."""

    def drain(self, worker):
        """Tell this worker to leave, and wait until it has."""
        name = name_of(worker)
        lives = self.restarts[name]
        self.strike(name, signal.SIGTERM)
        until(lambda: self.restarts[name] > lives)


@pytest.fixture
def toys(leaves_nothing, tmp_path):
    with Toys(tmp_path, 3, backend="toy:Toy") as farm:
        with farm.client() as client:
            until(lambda: [worker["state"] for worker in client.status()["workers"]] == ["free"] * 3, seconds=60)
        yield farm


def name_of(worker):
    """Of a worker's id, NAME-xxxxxxxx."""
    return worker.rpartition("-")[0]


def drive(env, actions=ACTIONS, before=lambda i: None):
    """An episode of these actions: the infos."""
    infos = [env.reset(seed=4)[1]]
    for i, action in enumerate(actions):
        before(i)
        infos.append(env.step(action)[4])
    return infos


def digests(infos):
    return [info["digest"] for info in infos]


def test_an_episode_is_handed_from_worker_to_worker_without_repeating_a_step(toys):
    """Also more often than a session could be killed without being given up as poisoned."""
    with CarlaEnv(toys.endpoint) as env:
        undisturbed = drive(env)

        infos = drive(env, before=lambda i: toys.drain(env.last_info["worker"]) if i % 4 == 2 else None)
        assert digests(infos) == digests(undisturbed)
        resumed = [info["resumed"] for info in infos if "resumed" in info]
        assert len(resumed) == 5
        for told in resumed:
            assert (told["verdict"], told["steps"]) == ("exact", 0)  # nothing was repeated: the state came from the worker itself
            assert "told to leave" in told["lost"][0]


def test_the_running_step_is_finished_and_answered_by_the_worker_that_leaves(farm, tmp_path, monkeypatch):
    monkeypatch.setenv("MOODS", str(tmp_path))
    started = farm(workers=2, backend="moody:Moody")
    with CarlaEnv(started.endpoint, wait=60.0) as env, Client(started.endpoint) as other:
        env.reset(seed=4)
        session, first = env._session, env.last_info["worker"]
        (tmp_path / "step-wait").touch()
        pending = session.send_step(FORWARD, 1)
        until(lambda: not (tmp_path / "step-wait").exists())  # it has begun
        keeper = started.pids[name_of(first)]
        psutil.Process(keeper).terminate()
        until(lambda: sorted(worker["state"] for worker in other.status()["workers"]) == ["draining", "free"])
        (tmp_path / "go").touch()
        assert session.finish(pending).tick == 1 and session.lease.worker == first
        until(lambda: ended(keeper))
        info = env.step(FORWARD)[4]
        assert (info["tick"], info["resumed"]["steps"], info["resumed"]["verdict"]) == (2, 0, "exact")
        assert name_of(info["worker"]) != name_of(first)


def test_a_branch_is_handed_over_too(toys):
    with CarlaEnv(toys.endpoint) as env:
        env.reset(seed=4)
        with env.fork(2, wait=20.0) as group:
            undisturbed = [group.step(FAN[:2]).returns, group.step(FAN[1:]).returns]
            worker = group.infos[1]["worker"]
            group.restart()
            again = [group.step(FAN[:2]).returns]
            toys.drain(worker)
            again.append(group.step(FAN[1:]).returns)
            np.testing.assert_array_equal(again, undisturbed)
            assert group.valid.all() and group.infos[1]["worker"] != worker
