"""The environment when a simulator or the broker goes wrong: an error with a name, never data, and the farm is usable after."""

import contextlib
import os
import signal

import numpy as np
import pytest

from b2d_zmq import CarlaEnv
from b2d_zmq.errors import B2DError, BudgetExceeded, LeaseVoid, NoBroker, SimulatorError, WorkerLost, WrongMode

GO = [0.5, 0.0, 0.0]


@pytest.fixture
def start(farm):
    """An environment on a farm of a faulty backend, two steps before the fault."""
    with contextlib.ExitStack() as stack:

        def opened(backend, workers=1, **options):
            running = farm(workers=workers, backend=f"faulty:{backend}")
            env = stack.enter_context(CarlaEnv(running.endpoint, wait=30.0, on_loss="raise", **options))
            env.reset(seed=1)
            for _ in range(2):
                env.step(GO)
            return running, env

        yield opened


def test_a_simulator_that_hangs_is_over_its_budget(start):
    _, env = start("Hangs", budgets={"step": 0.5})
    with pytest.raises(BudgetExceeded, match=r"(?i)step.*0\.5"):
        env.step(GO)
    with pytest.raises(WorkerLost):
        env.step(GO)
    env.reset(seed=1)
    env.step(GO)


def test_a_simulator_that_raises_brings_its_traceback_and_lives_on(start):
    _, env = start("Raises")
    with pytest.raises(SimulatorError, match="the wheels came off") as caught:
        env.step(GO)
    assert "in fault" in caught.value.remote_traceback
    with pytest.raises(WrongMode, match="uncertain"):
        env.step(GO)
    env.reset(seed=1)
    assert env.step(GO)[4]["episode_steps"] == 1


def test_a_killed_simulator_is_a_lost_worker(start):
    _, env = start("Killed")
    with pytest.raises(WorkerLost, match=r"SIGKILL|signal 9"):
        env.step(GO)
    env.reset(seed=1)


def test_an_outcome_that_cannot_travel_is_an_error_and_the_next_reset_works(farm):
    with CarlaEnv(farm(backend="faulty:Untellable").endpoint, wait=30.0) as env:
        env.reset(seed=1)
        with pytest.raises(B2DError, match="cannot travel"):
            env.step(GO)
        env.reset(seed=1)


def test_a_branch_whose_simulator_raises_is_masked(start):
    _, env = start("Raises", workers=2)
    with env.fork(2, wait=30.0) as group:
        group.step([GO, GO])
        group.step([GO, GO])
        with pytest.raises(WorkerLost, match=r"all 2 branches were lost.*the wheels came off"):
            group.step([GO, GO])
        assert np.isnan(group.returns).all()
    assert env.step(GO)[4]["tick"] == 4  # back at the snapshot, on a worker that lives


def test_a_broker_that_is_killed_is_told_and_not_waited_for(start):
    running, env = start("Counts", timeout=0.5)
    os.kill(running.broker_pid, signal.SIGKILL)
    with pytest.raises(NoBroker, match="b2d up"):
        while True:
            env.step(GO)


def test_a_lease_that_was_released_elsewhere_is_void(start):
    _, env = start("Counts")
    env.client.release([env._session.lease])
    with pytest.raises(LeaseVoid):
        env.step(GO)
    env.reset(seed=1)
    assert env.step(GO)[4]["tick"] == 2
