"""Whoever is killed or stopped in the middle of whatever job: the call is answered as in an undisturbed world."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from bench import until
from chaosfarm import ChaosFarm
from chaosmonkey import TRAINER
from chaosscript import OPTIONS
from moments import set_moment

from b2d_zmq import CarlaEnv
from worker.backends.embedded import EmbeddedBackend

ACTION = np.array([0.5, 0.0, 0.05], np.float32)
PLAN = np.linspace(0.1, 0.9, 2 * 4 * 3).reshape(2, 4, 3).astype(np.float32) * np.array([1.0, 0.0, 0.1], np.float32)
JOBS = {"reset": 1, "step": 1, "rollout": 3, "snapshot": 1, "restore": 1}  # at which call of the method it strikes


@pytest.fixture(scope="module")
def moment(tmp_path_factory):
    return str(tmp_path_factory.mktemp("moments") / "moment")


@pytest.fixture(scope="module")
def farm(tmp_path_factory, moment):
    with ChaosFarm(tmp_path_factory.mktemp("farm"), 4, backend="moments:Moments", lease_ttl=2.0, MOMENT=moment) as farm:
        yield farm


@pytest.fixture
def env(farm):
    with CarlaEnv(farm.endpoint, label="struck", wait=60.0, timeout=60.0) as env:
        until(lambda: sum(one["state"] == "free" for one in env.client.status()["workers"]) >= 3, 30)  # the fourth may be starting still
        yield env


def digests(drive):
    """Of an episode with each kind of job in it, and after each; ``drive`` is an environment's or a world's."""
    yield "reset", drive.reset(7)
    yield "", drive.step()
    yield "snapshot", drive.snapshot()
    yield "step", drive.step()
    yield "", drive.step()
    yield "restore", drive.restore()
    yield "", drive.step()
    yield "rollout", drive.rollout()
    yield "", drive.step()


class OfWorld:
    def __init__(self, world):
        self.world = world

    def reset(self, seed):
        return self.world.reset(seed, OPTIONS).digest

    def step(self):
        return self.world.step(ACTION).digest

    def snapshot(self):
        self.taken = self.world.snapshot()
        return self.taken.digest

    def restore(self):
        return self.world.restore(self.taken.data).digest

    def rollout(self):
        start, ends = self.world.snapshot(), []
        for branch in PLAN:
            self.world.restore(start.data)
            ends.append([self.world.step(action).digest for action in branch][-1])
        return ends


class OfEnv:
    def __init__(self, env):
        self.env, self.resumed = env, []

    def reset(self, seed):
        return self._digest(self.env.reset(seed=seed, options=OPTIONS)[1])

    def step(self):
        return self._digest(self.env.step(ACTION)[4])

    def snapshot(self):
        self.taken = self.env.snapshot()
        return self.taken.digest

    def restore(self):
        return self._digest(self.env.restore(self.taken)[1])

    def rollout(self):
        with self.env.fork(2, wait=60.0, patience=60.0) as group:
            out = group.rollout(PLAN)
            for info in out.infos:
                self._digest(info)
            group.select(1)
        assert out.valid.all()
        return out.digests

    def _digest(self, info):
        if "resumed" in info:
            self.resumed.append(info["resumed"]["verdict"])
        return info["digest"]


@pytest.fixture(scope="module")
def undisturbed():
    return list(digests(OfWorld(EmbeddedBackend(sensors="state"))))


@pytest.fixture
def drive(env, moment, undisturbed):
    """An episode in which something happens in the middle of a job; gives the verdicts of what was resumed."""

    def drive(job, when, victims, number):
        actor = OfEnv(env)
        calls = digests(actor)
        for name, digest in undisturbed:
            if name == job:
                method = "step" if job == "rollout" else job
                set_moment(moment, method=method, count=JOBS[job], when=when, victims=victims, signal=int(number))
            assert (name, digest) == next(calls)
        assert not os.path.exists(moment)
        return actor.resumed

    return drive


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("victim", ["host", "keeper", "broker"])
@pytest.mark.parametrize("job", JOBS)
def test_a_kill_in_the_middle_of_a_job(drive, farm, job, victim, when):
    resumed = drive(job, when, [farm.pid("broker")] if victim == "broker" else [victim], signal.SIGKILL)
    assert set(resumed) <= {"exact"} and (victim == "broker" or resumed)


def test_a_broker_and_a_host_die_in_the_same_step(drive, farm):
    assert drive("step", "before", [farm.pid("broker"), "host"], signal.SIGKILL) == ["exact"]


@pytest.mark.parametrize("victims", [["host"], ["keeper"], ["keeper", "host"]], ids="+".join)
@pytest.mark.parametrize("job", ["step", "restore"])
def test_one_that_comes_back_from_the_dead_changes_nothing(drive, farm, job, victims):
    pids = {name: (farm.pid(name), farm.host(name)) for name in farm.workers}
    resumed = drive(job, "before", victims, signal.SIGSTOP)
    for name in farm.workers:
        farm.strike(name, signal.SIGCONT)
        if farm.host(name) == pids[name][1]:
            os.kill(pids[name][1], signal.SIGCONT)
    assert resumed == ["exact"] or victims == ["keeper"]
    assert {name: farm.pid(name) for name in farm.workers} == {name: pid for name, (pid, _) in pids.items()}


def test_a_trainer_that_is_killed_leaves_its_worker_clean(farm, env, undisturbed):
    command = [sys.executable, TRAINER, farm.endpoint, "gone", "1", "50"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as trainer:
        while json.loads(trainer.stdout.readline())["call"] < 3:
            pass
        until(lambda: [one for one in env.client.status()["leases"] if one["label"] == "gone"])
        trainer.kill()
    until(lambda: not [one for one in env.client.status()["leases"] if one["label"] == "gone"], 30)
    assert list(digests(OfEnv(env))) == undisturbed
