"""A broker that is killed and started again: the worker is asked who it is, the lease is taken up, and the episode goes on where it was."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bench import until

from b2d_zmq.client import Client
from b2d_zmq.env import CarlaEnv
from b2d_zmq.errors import LeaseVoid
from b2d_zmq.protocol import Kind

BIN = Path(sys.executable).parent
STEP = {"action": np.array([0.5, 0.0, 0.0], np.float32), "ticks": 1}


@pytest.fixture
def started(leaves_nothing):
    """A function that starts a command, which ends with the test at the latest."""
    with contextlib.ExitStack() as stack:

        def start(*command):
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL))
            stack.callback(process.terminate)
            return process

        yield start


def broker(started, bind):
    process = started(str(BIN / "b2d-broker"), "--bind", bind)
    line = process.stdout.readline().decode()
    return process, line.split()[-1] if line else ""


def again(started, endpoint):
    """A new broker at the same endpoint, once the old one's socket is gone."""

    def try_it():
        process, there = broker(started, endpoint)
        return process if there else None

    return until(try_it, 30)


def test_an_episode_outlives_its_broker(started):
    first, endpoint = broker(started, "tcp://127.0.0.1:*")
    started(str(BIN / "b2d-worker"), "--endpoint", endpoint, "--backend", "faulty:Counts", "--sensors", "state", "--heartbeat", "0.2")
    with Client(endpoint, label="survivor", timeout=60.0) as client:
        (lease,) = client.acquire(1, wait=60.0)
        tick = client.send(Kind.RESET, {"seed": 10, "options": {}}, budget=30.0, lease=lease, seq=1).result()["tick"]
        first.kill()
        first.wait()
        again(started, endpoint)
        assert client.send(Kind.STEP, STEP, budget=30.0, lease=lease, seq=2).result()["tick"] == tick + 1
        (told,) = client.status()["leases"]
        assert (told["lease"], told["epoch"], told["label"]) == (lease.name, lease.epoch, "survivor")
        client.release([lease])
        (next_one,) = client.acquire(1, wait=60.0)
        assert next_one.epoch > lease.epoch and next_one.name != lease.name
        with pytest.raises(LeaseVoid, match="released"):
            client.send(Kind.STEP, STEP, budget=30.0, lease=lease, seq=3).result()


def test_a_request_that_went_down_with_the_broker_is_answered_by_the_next(started):
    first, endpoint = broker(started, "tcp://127.0.0.1:*")
    started(str(BIN / "b2d-worker"), "--endpoint", endpoint, "--backend", "faulty:Counts", "--sensors", "state", "--heartbeat", "0.2")
    with contextlib.closing(CarlaEnv(endpoint, wait=60.0, timeout=60.0)) as env:
        env.reset(seed=10)
        step = env.step([0.5, 0.0, 0.0])
        first.send_signal(signal.SIGSTOP)
        lost = env.begin_reset(10)  # the broker will never read it
        first.kill()
        first.wait()
        again(started, endpoint)
        env.finish_reset(lost)
        assert env.step([0.5, 0.0, 0.0])[4]["digest"] == step[4]["digest"]
