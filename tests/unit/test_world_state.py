"""The state is the whole state: loaded anywhere, the same actions give the same bits; and the same digests on every Python."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from roads import route_of

from b2d_zmq import codec
from b2d_zmq.errors import SnapshotCorrupt
from worker import routes
from worker.routes import Weather
from worker.world.world import World

ROOT = Path(__file__).parents[2]
OTHERS = [path for path in os.environ.get("B2D_OTHER_PYTHONS", "").split(os.pathsep) if path]
OURS = routes.read(routes.DEFAULT_FILE)

DIGESTS = """
import sys
sys.path[:0] = [{root!r}, {root!r} + "/tests"]
from worker import routes
from worker.world.world import World
for route in routes.read(routes.DEFAULT_FILE):
    world = World(route, 5, route.weather, 1.0)
    for tick in range(300):
        world.step(0.4, 0.7 if tick % 90 > 75 else 0.0, 0.02 * (tick // 20 % 3 - 1))
        if tick % 50 == 49:
            print(route.id, tick, world.digest())
"""


def actions(n, seed):
    rng = np.random.default_rng(seed)
    return [(float(t), float(b) * (b > 0.8), float(s)) for t, b, s in zip(rng.random(n), rng.random(n), rng.uniform(-0.1, 0.1, n))]


def table(world):
    a = world.actors
    return np.concatenate([a.x, a.y, a.z, a.yaw, a.speed, a.door, a.lights, a.visible]).tobytes()


@pytest.mark.parametrize("route", OURS, ids=lambda route: str(route.id))
def test_a_loaded_state_goes_on_bit_for_bit(route):
    first = World(route, 4, route.weather, 1.0)
    for action in actions(120, 1):
        first.step(*action)
    frames = codec.encode(first.state())
    second = World(route, 4, route.weather, 1.0)
    second.load(codec.decode([bytes(frame) for frame in frames]))
    assert second.digest() == first.digest() and table(second) == table(first) and second.hazard() == first.hazard()
    for action in actions(120, 2):
        assert first.step(*action) == second.step(*action)
        assert first.digest() == second.digest() and table(second) == table(first) and first.ego == second.ego
    assert first.hazard() == second.hazard() and (first.ahead(16, 2.0) == second.ahead(16, 2.0)).all()
    assert sum(len(frame) for frame in frames) < 12000


def test_same_seed_same_world_and_other_seed_other_world():
    def digest(seed):
        world = World(OURS[0], seed, OURS[0].weather, 1.0)
        for action in actions(60, 3):
            world.step(*action)
        return world.digest()

    assert digest(1) == digest(1) != digest(2)


def test_state_and_digest_change_nothing():
    world = World(OURS[0], 1, OURS[0].weather)
    before = table(world)
    for _ in range(3):
        world.state()["floats"][:] = 7.0
        world.digest(), world.hazard(), world.ahead(16, 2.0), world.command()
    assert table(world) == before and world.digest() == World(OURS[0], 1, OURS[0].weather).digest()


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.pop("floats"),
        lambda s: s.update(floats=np.zeros((3, 3))),
        lambda s: s["floats"].fill(np.nan),
        lambda s: s["ints"].fill(9),
        lambda s: s.update(ego=[0.0] * 3),
        lambda s: s.update(ego="nonsense"),
        lambda s: s.update(scenario=([7, 0], [0.0] * 4)),
        lambda s: s.update(scenario=3),
        lambda s: s.update(served=[1, 1, 1, 1]),
        lambda s: s.update(lane=99),
        lambda s: s.update(tick="soon"),
        lambda s: s.update(expert=[float("inf")] * 5),
    ],
)
def test_a_state_that_is_nonsense_is_refused_and_changes_nothing(change):
    world = World(OURS[0], 1, OURS[0].weather)
    world.step(1.0, 0.0, 0.0)
    digest, state = world.digest(), world.state()
    change(state)
    with pytest.raises(SnapshotCorrupt):
        world.load(state)
    assert world.digest() == digest


def test_a_state_of_another_world_is_refused():
    other = World(route_of([(2.0 * n, 0.0) for n in range(40)]), 1, Weather(), 0.0)
    with pytest.raises(SnapshotCorrupt):
        World(OURS[0], 1, OURS[0].weather).load(other.state())


def digests_of(python):
    told = subprocess.run([python, "-c", DIGESTS.format(root=str(ROOT))], capture_output=True, text=True, timeout=100, check=True)
    return told.stdout


def test_another_process_comes_to_the_same_digests():
    assert digests_of(sys.executable) == digests_of(sys.executable)


@pytest.mark.skipif(not OTHERS, reason="B2D_OTHER_PYTHONS names no other interpreters")
@pytest.mark.parametrize("python", OTHERS)
def test_other_pythons_and_numpys_come_to_the_same_digests(python):
    assert digests_of(python) == digests_of(sys.executable)
