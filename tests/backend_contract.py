"""What the contract tests of backends share: driving by script, comparing observations bit by bit, and opening backends elsewhere."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

TESTS = Path(__file__).parent

_ELSEWHERE = """
import json, sys
from pathlib import Path
from backend_contract import digests_from, script
from worker.backends.opening import open_backend
spec, options, data, steps, ticks = json.loads(sys.argv[1])
backend = open_backend(spec, options)
first = backend.restore(Path(data).read_bytes())
print(json.dumps([first.digest] + digests_from(backend, script(steps), ticks)))
backend.close()
"""


def script(n, seed=5):
    """n actions that accelerate, weave a little and sometimes brake; the same on every Python."""
    stream = np.random.RandomState(seed)  # its stream is frozen, unlike default_rng's
    throttle = stream.uniform(0.2, 0.8, n)
    brake = np.where(stream.uniform(size=n) < 0.1, 0.5, 0.0)
    steer = stream.uniform(-0.05, 0.05, n)
    return np.stack([throttle, brake, steer], axis=1).astype(np.float32)


def drive(backend, actions, ticks=1):
    """The outcomes of these actions, up to the end of the episode."""
    outcomes = []
    for action in actions:
        outcomes.append(backend.step(action, ticks))
        if outcomes[-1].terminated or outcomes[-1].truncated:
            break
    return outcomes


def digests_from(backend, actions, ticks):
    return [outcome.digest for outcome in drive(backend, actions, ticks)]


def assert_same(one, other, where="observation"):
    """Equal in structure, dtype, shape and every bit."""
    assert type(one) is type(other), f"{where}: {type(one)} and {type(other)}"
    if isinstance(one, dict):
        assert list(one) == list(other), where
        for key in one:
            assert_same(one[key], other[key], f"{where}[{key!r}]")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), where
        for index, (a, b) in enumerate(zip(one, other)):
            assert_same(a, b, f"{where}[{index}]")
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype and one.shape == other.shape, where
        assert one.tobytes() == other.tobytes(), f"{where} differs"
    else:
        assert one == other, f"{where}: {one!r} and {other!r}"


def assert_same_outcome(one, other):
    assert (one.digest, one.tick, one.reward, one.terminated, one.truncated) == (
        other.digest,
        other.tick,
        other.reward,
        other.terminated,
        other.truncated,
    )
    assert_same(one.observation, other.observation)
    assert_same(_timeless(one.info), _timeless(other.info), "info")


def _timeless(info):
    """Without the wall-clock seconds that a restore took, in which alone two equal restores differ."""
    if "fidelity" not in info:
        return info
    return {**info, "fidelity": {**info["fidelity"], "seconds": 0.0}}


def digests_elsewhere(spec, options, data, steps, ticks, *, python=sys.executable):
    """The digests of a fresh process of that Python that restores the snapshot in file ``data`` and drives the script from there."""
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    done = subprocess.run(
        [python, "-c", _ELSEWHERE, json.dumps([spec, options, str(data), steps, ticks])],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
