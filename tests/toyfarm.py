"""A farm of toy worlds for a whole test module, and what its tests share."""

import contextlib
import os
from pathlib import Path

import numpy as np

from b2d_zmq import CarlaEnv, LocalFarm

FORWARD = np.array([0.5, 0.0, 0.0], np.float32)
LEFT, RIGHT = np.array([0.5, 0.0, -0.5], np.float32), np.array([0.5, 0.0, 0.5], np.float32)
FAN = np.stack([LEFT, FORWARD, RIGHT])


@contextlib.contextmanager
def running(workers, toy="Toy", **settings):
    """A farm of ``workers`` toys; settings of the environment as keywords."""
    tests = str(Path(__file__).parent)
    changed = {"PYTHONPATH": os.pathsep.join(filter(None, [tests, os.environ.get("PYTHONPATH", "")])), **settings}
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        farm = LocalFarm(workers, backend=f"toy:{toy}", heartbeat=0.2)
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    with farm:
        yield farm


@contextlib.contextmanager
def driven(farm):
    """An environment five steps into an episode."""
    with CarlaEnv(farm.endpoint, wait=20.0) as env:
        env.reset(seed=1)
        for _ in range(5):
            env.step(FORWARD)
        yield env


def fork(env, n=3, **options):
    return env.fork(n, **{"wait": 20.0, **options})
