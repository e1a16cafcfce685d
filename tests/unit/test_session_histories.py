"""Real sessions, clients and environments in simulated farms (tests/farmsim.py): no step is lost, none is done twice, whatever goes wrong.

``B2D_FAULTS`` is how many faults a run has; ``B2D_SEED=sessions:chaos:57`` is one history again. A run prints what it saw (pytest -s).
"""

from __future__ import annotations

import os
import sys

import farmrun
import pytest

FAULTS = int(os.environ.get("B2D_FAULTS", "12000"))
SEED = os.environ.get("B2D_SEED", "")


@pytest.fixture
def simulation():
    with farmrun.simulation():
        yield


@pytest.mark.skipif(not SEED, reason="B2D_SEED names no history")
def test_the_history_of_a_seed(simulation):
    kinds, kind, seed = SEED.split(":")
    farmrun.history(kinds, kind, int(seed))


@pytest.mark.skipif(bool(SEED), reason="B2D_SEED names one history")
@pytest.mark.timeout(600)
def test_no_promise_is_broken_whatever_goes_wrong():
    tally = farmrun.search_beside("sessions", FAULTS, processes=2)
    sys.stdout.write(f"{sorted(tally.items())}\n")
    assert tally["faults"] >= FAULTS
    assert tally["resumed: exact"] > FAULTS / 100  # the histories are about something
    assert tally["given up: Poisoned"] < tally["episodes"] / 20


def test_a_seed_is_the_same_history_each_time(simulation):
    def trace(seed):
        world = farmrun.history("sessions", "chaos", seed)
        return world.now, world.named, world.requests, dict(world.trouble.done), world.monitor.seen, sorted(world.monitor.executed)

    assert trace(3) == trace(3)
