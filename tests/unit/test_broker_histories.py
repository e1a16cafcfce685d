"""Thousands of generated histories of a farm (tests/farmsim.py) around the real broker core, and the proof that the watcher has teeth.

Every history ends with a fault-free tail: everybody must have been answered, all workers must be there to be had, no table may have grown.
"""

from __future__ import annotations

import logging
import os
import random

import farmwatch
import pytest
from farmfaults import CALM, Faults
from farmsim import World
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from broker.clients import Clients
from broker.core import Broker
from broker.jobs import Jobs
from broker.table import Lease, Table, Worker
from broker.workers import Workers

HISTORIES = int(os.environ.get("B2D_HISTORIES", "600"))  # of each kind; raise it to search longer

KINDS = {
    "calm": Faults(kill=0.0, stall=0.01, restart=0.0),
    "deaths": Faults(),
    "repeats": Faults(duplicate=0.05),
    "losses": Faults(drop=0.03, duplicate=0.03),
    "chaos": Faults(drop=0.08, duplicate=0.03, kill=0.05, stall=0.05, restart=0.02),
}


@pytest.fixture(autouse=True)
def quiet():
    log = logging.getLogger("b2d.broker")
    before, log.level = log.level, logging.ERROR
    log.manager._clear_cache()
    yield
    log.setLevel(before)


def history(seed, faults, events=120):
    world = World(seed, faults)
    world.run(events)
    world.check()
    return world.monitor


@pytest.mark.parametrize("kind", KINDS)
def test_no_promise_is_broken_in_generated_histories(kind):
    steps = grants = 0
    for seed in range(HISTORIES):
        monitor = history(seed, KINDS[kind])
        steps, grants = steps + monitor.steps, grants + len(monitor.told)
    assert steps > HISTORIES and grants > HISTORIES  # the histories are about something


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
    owner, attribute, mutant = MUTANTS[name]
    monkeypatch.setattr(owner, attribute, mutant)
    with pytest.raises((farmwatch.Violation, KeyError, AttributeError)):  # the broken broker may also stumble over itself
        for seed in range(300):
            for kind in KINDS.values():
                history(seed, kind)
