"""A farm that mixes Pythons: the worker on the oldest, the broker on the one that runs the tests, the trainer on the newest."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

OTHERS = [Path(python) for python in os.environ.get("B2D_OTHER_PYTHONS", "").split(os.pathsep) if python]

TRAINER = """
import json, sys
import numpy as np
import b2d_zmq

with b2d_zmq.CarlaEnv(sys.argv[1], timeout=60) as env:
    env.reset(seed=7, options={"traffic_density": 1.0})
    for _ in range(20):
        env.step(np.array([0.6, 0.0, 0.0], np.float32))
    with env.fork(2, wait=30) as group:
        identical = group.identical
        actions = np.array([[0.6, 0.0, -0.1], [0.6, 0.0, -0.1]], np.float32)
        for _ in range(20):
            out = group.step(actions)
        digests = [info["digest"] for info in out.infos]
        pythons = sorted({info["worker"].split("-")[0] for info in out.infos})
print(json.dumps({"identical": identical, "digests": digests, "workers": pythons}))
"""


@pytest.fixture
def spawn():
    children = []

    def start(*command, **options):
        child = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True, **options)
        children.append(child)
        return child

    yield start
    for child in reversed(children):
        child.terminate()
    for child in reversed(children):
        child.wait(timeout=30)
        child.stdout.close()


@pytest.mark.skipif(len(OTHERS) < 2, reason="B2D_OTHER_PYTHONS names fewer than two other Pythons (make test sets it where they exist)")
def test_three_pythons_in_one_farm(spawn):
    oldest, newest = OTHERS[0], OTHERS[-1]
    broker = spawn(Path(sys.executable).parent / "b2d-broker", "--bind", "tcp://127.0.0.1:*")
    endpoint = broker.stdout.readline().split()[-1]
    for name, python in (("oldest", oldest), ("newest", newest)):
        spawn(python.parent / "b2d-worker", "--endpoint", endpoint, "--name", name, "--sensors", "state")
    env = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run([str(newest), "-c", TRAINER, endpoint], capture_output=True, text=True, timeout=100, env=env, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["workers"] == ["newest", "oldest"]
    assert told["identical"], "one snapshot, restored on two Pythons, is one state"
    assert told["digests"][0] == told["digests"][1], "the same actions on two Pythons lead to the same state"
