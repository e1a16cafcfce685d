"""How the stand-in moves things: time steps, slopes, collisions, poses that hang on poses."""

from __future__ import annotations

import math

import numpy as np
import pytest

from worker import routes
from worker.standin.actors import Actor, Control, Pose, Vehicle, Walker
from worker.standin.collisions import Grid, part, touch
from worker.standin.dialect import DIALECTS
from worker.standin.faults import Faults
from worker.standin.geometry import axes, hung, placed, wrapped
from worker.standin.simulator import Config, Simulator
from worker.standin.streams import Streams
from worker.world.ego import Car

FILE = routes.read(routes.DEFAULT_FILE)
TILTED = Pose(10.0, -4.0, 2.0, 12.0, 130.0, -7.0)


@pytest.fixture
def sim():
    sim = Simulator(Config(DIALECTS["0.9.16"], "0.9.16", FILE), Streams(), Faults(), FILE[0].town)
    set_delta(sim, 0.05)
    return sim


def set_delta(sim, delta):
    sim.set_settings(sim.world.settings._replace(synchronous=True, delta=delta))


def started(sim):
    car = sim.spawn("vehicle.audi.tt", {}, sim.world.town.spawn_points[0])
    for _ in range(15):
        sim.tick()
    car.body.control = Control(throttle=0.7, steer=0.05)
    return car


def test_longer_ticks_are_several_steps(sim):
    car = started(sim)
    for _ in range(40):
        sim.tick()
    there, speed = car.pose, car.velocity
    sim.destroy(car.id)
    again = started(sim)
    set_delta(sim, 0.2)
    for _ in range(10):
        sim.tick()
    assert again.pose == pytest.approx(there, abs=1e-6) and again.velocity[:2] == pytest.approx(speed[:2], abs=1e-6)


def test_shorter_ticks_add_up_to_steps(sim):
    car = started(sim)
    set_delta(sim, 0.02)
    xs = [car.pose.x]
    for _ in range(10):
        sim.tick()
        xs.append(car.pose.x)
    assert len(set(xs)) == 1 + 4  # 0.2 s are four steps


def test_a_car_lies_as_its_road_does(sim):
    town = sim.world.town
    steepest = max(
        town.spawn_points,
        key=lambda pose: abs(town.ground.nearest(pose.x, pose.y).rise_x) + abs(town.ground.nearest(pose.x, pose.y).rise_y),
    )
    car = sim.spawn("vehicle.audi.tt", {}, steepest)
    for _ in range(30):
        sim.tick()
    ahead = placed((2.0, 0.0, 0.0), car.pose)
    assert car.pose.z == pytest.approx(town.height(car.pose.x, car.pose.y), abs=1e-6)
    assert ahead[2] == pytest.approx(town.height(ahead[0], ahead[1]), abs=0.15)


def body(number, x, y=0.0, yaw=0.0, *, mass=1000.0, speed=0.0):
    car = Car(x, y, math.radians(yaw), forward=speed)
    pose = Pose(x, y, 0.0, 0.0, yaw, 0.0)
    return Actor(number, "vehicle.x", {}, pose, centre=(0.0, 0.0, 0.75), extent=(2.0, 1.0, 0.75), body=Vehicle(car), mass=mass, solid=True)


@pytest.mark.parametrize(
    "x, y, yaw, expected",
    [
        (3.9, 0.0, 0.0, True),
        (4.1, 0.0, 0.0, False),
        (2.9, 0.0, 90.0, True),
        (3.1, 0.0, 90.0, False),
        (2.5, 2.2, 45.0, True),
        (3.6, 2.6, 45.0, False),
    ],
)
def test_boxes_touch(x, y, yaw, expected):
    assert (touch(body(1, 0.0), body(2, x, y, yaw)) is not None) == expected


def test_boxes_over_one_another_do_not_touch():
    above = body(2, 0.0)
    above.pose = above.pose._replace(z=2.0)
    assert touch(body(1, 0.0), above) is None


def test_momentum_is_kept_and_the_two_part():
    heavy, light = body(1, 0.0, mass=3000.0, speed=10.0), body(2, 3.8, mass=1000.0)
    there, back = part(touch(heavy, light))
    assert (there.actor, there.other, back.actor) == (1, 2, 2)
    assert there.impulse[0] == pytest.approx(-back.impulse[0]) and back.impulse[0] > 0.0
    assert 3000.0 * heavy.body.car.forward + 1000.0 * light.body.car.forward == pytest.approx(30000.0)
    assert light.body.car.forward > heavy.body.car.forward
    assert touch(heavy, light) is None or touch(heavy, light).depth < 1e-9


def test_who_has_no_physics_does_not_give_way():
    wall, car = body(1, 0.0), body(2, -3.9, speed=5.0)
    wall.physics = False
    part(touch(wall, car))
    assert wall.pose.x == 0.0 and car.pose.x == pytest.approx(-4.0) and car.body.car.forward < 0.0


def test_a_walker_is_pushed_aside():
    car = body(1, 0.0, speed=5.0)
    walker = Actor(2, "walker.x", {}, Pose(2.1, 0.0, 0.9), extent=(0.2, 0.2, 0.9), body=Walker(), mass=80.0, solid=True)
    found = touch(car, walker)
    part(found)
    assert walker.pose.x > 2.15 and car.body.car.forward > 4.0


def test_the_grid_finds_neighbours_in_order():
    grid, actors = Grid(), [body(number, 3.5 * number) for number in (1, 2, 3)] + [body(4, 300.0)]
    for actor in actors:
        grid.put(actor)
    assert [(found.a.id, found.b.id) for found in grid.touching(actors[::-1])] == [(1, 2), (2, 3)]
    grid.drop(actors[1])
    assert grid.touching(actors[:1]) == []


def test_axes_are_a_left_handed_frame():
    forward, right, up = (np.array(axis) for axis in axes(TILTED))
    assert np.allclose(np.cross(forward, right), up)  # with z up and y to the right, as CARLA has it
    assert forward[2] == pytest.approx(math.sin(math.radians(12.0)))


def test_what_hangs_on_what_hangs():
    """Poses nest as their matrices do."""
    relative = Pose(1.0, 0.5, 2.0, -20.0, 45.0, 10.0)
    found = hung(relative, TILTED)
    parent, child = np.array(axes(TILTED)).T, np.array(axes(relative)).T
    assert np.allclose(np.array(axes(found)).T, parent @ child)
    assert found[:3] == pytest.approx(placed((1.0, 0.5, 2.0), TILTED))
    assert hung(Pose(1.0, 0.0, 0.0), TILTED)[3:] == TILTED[3:]


@pytest.mark.parametrize("degrees, expected", [(190.0, -170.0), (-190.0, 170.0), (720.5, 0.5)])
def test_angles_are_wrapped(degrees, expected):
    assert wrapped(degrees) == pytest.approx(expected)
