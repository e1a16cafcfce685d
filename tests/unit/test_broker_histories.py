"""Histories of a farm around the real broker core (tests/farmsim.py), made by hypothesis, and the proof that the watcher has teeth.

Every history ends with a fault-free tail: everybody must have been answered, all workers must be there to be had, no table may have grown.
Those of many seeds are in test_histories.py.
"""

from __future__ import annotations

import random

import farmrun
import pytest
from farmfaults import CALM
from farmsim import World
from farmwatch import Violation
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from broker.clients import Clients
from broker.core import Broker
from broker.jobs import Jobs
from broker.table import Lease, Table, Worker
from broker.workers import Workers


@pytest.fixture(autouse=True)
def quiet():
    with farmrun.simulation():
        yield


class Machine(RuleBasedStateMachine):
    """The same world, with every choice made by hypothesis, so that a failing history is shrunk to a short one."""

    @initialize(rng=st.randoms(use_true_random=False))
    def begin(self, rng):
        self.world = World(0, CALM, workers=3, clients=2)
        self.world.rng = rng

    @rule(which=st.integers(0, 1))
    def act(self, which):
        clients = list(self.world.clients.values())
        clients[which % len(clients)].act(self.world.rng)

    @rule(n=st.integers(1, 6))
    def arrive(self, n):
        for _ in range(n):
            self.world.deliver()

    @rule(seconds=st.sampled_from([0.1, 1.0, 4.0]))
    def wait(self, seconds):
        self.world.pass_time(seconds)

    @rule(what=st.sampled_from(["kill_host", "kill_keeper", "kill_client", "silence_client", "restart_broker", "cut_host"]))
    def fail(self, what):
        getattr(self.world.trouble, what)()

    def teardown(self):
        if hasattr(self, "world"):
            self.world.rng = random.Random(0)
            self.world.check()


def test_no_promise_is_broken_in_histories_of_hypothesis():
    run_state_machine_as_test(
        Machine,
        settings=settings(max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck), database=None),
    )


def no_revoke(self, worker, lease, epoch):
    worker.revoking = None


def without_nudge(self, worker, now, at_once=False):
    return None


def keep_forever(self, name, now):
    return None


def part_of_a_group(self, wanted, reserved, *states):
    free = [worker for worker in self._table.workers.values() if worker.state == "free"]
    return free[: wanted.n] or None


def any_answer(self, sender, message, now):
    lease = self._table.leases.get(message.header.lease)
    if lease and lease.running:
        self._table.out.append((lease.running.sender, message))
        lease.running = None


def all_at_once(self, lease, job):
    self._table.out.append((lease.worker.host, job.message))


def forgetful_end(self, lease, code, reason, *, living):
    lease.queued.clear()
    return TABLE_END(self, lease, code, reason, living=living)


TABLE_END = Table.end

MUTANTS = {
    "the epoch is not checked": (Jobs, "_current", lambda self, lease, epoch: True),
    "a leased worker counts as free": (Worker, "state", property(lambda self: "free" if self.attached else "starting")),
    "a group is granted in part": (Clients, "_choose", part_of_a_group),
    "a lease is never revoked": (Table, "revoke", no_revoke),
    "RELEASED is not heard": (Workers, "released", lambda self, sender, message, now: None),
    "REVOKE and WHO are not repeated": (Workers, "_nudge", without_nudge),
    "a silent keeper is never lost": (Workers, "expiry", keep_forever),
    "a silent client's lease never lapses": (Clients, "lapse", keep_forever),
    "waiting jobs are forgotten with their lease": (Table, "end", forgetful_end),
    "running jobs are forgotten with their lease": (Lease, "jobs", lambda self: list(self.queued)),
    "any answer of a host will do": (Jobs, "answer", any_answer),
    "the next job does not wait for the answer": (Jobs, "_start", all_at_once),
    "an unreachable host is no event": (Broker, "unreachable", lambda self, identity, message, now: []),
    "stray jobs are never given up": (Jobs, "give_up", lambda self: None),
    "an announced lease is not taken up": (Workers, "_take_up", lambda self, worker, lease, now: None),
    "nobody in the queue is ever told that time is over": (Clients, "overdue", keep_forever),
    "an ACQUIRE that comes again is granted again": (
        Clients,
        "_answer",
        lambda self, key, wanted, answer, leases=(): self._table.out.append((wanted.sender, answer)),
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_the_watcher_catches_a_broker_that_is_broken_on_purpose(name, monkeypatch):
    monkeypatch.setattr(*MUTANTS[name])
    with pytest.raises(farmrun.Broken) as caught:
        for seed in range(300):
            for kind in farmrun.KINDS["broker"]:
                farmrun.history("broker", kind, seed)
    assert isinstance(caught.value.__cause__, (Violation, KeyError, AttributeError))  # the broken broker may also stumble over itself
