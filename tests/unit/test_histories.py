"""Simulated farms (tests/farmsim.py) in which everything goes wrong: no step is lost, none is done twice, everybody is answered.

``B2D_FAULTS`` is how many faults a run has (in `make test` on the default Python 300,000); ``B2D_SEED=sessions:chaos:57`` is one history
again.
"""

from __future__ import annotations

import json
import os
import sys

import farmrun
import pytest

FAULTS = int(os.environ.get("B2D_FAULTS", "30000"))
SEED = os.environ.get("B2D_SEED", "")


@pytest.fixture
def simulation():
    with farmrun.simulation():
        yield


@pytest.mark.skipif(not SEED, reason="B2D_SEED names no history")
def test_the_history_of_a_seed(simulation):
    farm, kind, seed = SEED.split(":")
    farmrun.history(farm, kind, int(seed))


@pytest.mark.skipif(bool(SEED), reason="B2D_SEED names one history")
@pytest.mark.timeout(600 + FAULTS / 100)
def test_no_promise_is_broken_whatever_goes_wrong():
    told, seconds = farmrun.search_beside(2, sessions=2 * FAULTS // 3, broker=FAULTS // 3)
    sys.stdout.write(f"{FAULTS} faults in {seconds:.1f} s: {json.dumps(told, indent=1, sort_keys=True)}\n")
    sessions, broker = told["sessions"], told["broker"]
    assert sessions["faults"] + broker["faults"] >= FAULTS
    # the histories are about something
    assert sessions["resumed: exact"] > FAULTS / 200 and sessions["resumed: diverged"] > FAULTS / 5000
    assert sessions["given up: Poisoned"] < sessions["episodes"] / 10
    assert broker["jobs"] > FAULTS / 20 and broker["grants"] > FAULTS / 20


@pytest.mark.parametrize("farm", farmrun.KINDS)
def test_a_seed_is_the_same_history_each_time(farm, simulation):
    def trace():
        world = farmrun.history(farm, "chaos", 3)
        return world.now, world.named, world.requests, dict(world.trouble.done), world.monitor.seen, sorted(world.monitor.executed)

    assert trace() == trace()
