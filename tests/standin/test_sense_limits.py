"""The stand-in's sensors at the edges: every kind, on whatever carries it, at any angle, in any weather and with poor attributes."""

from __future__ import annotations

import numpy as np
import pytest
from senses import add, car, sensor, told, world_of

from worker.standin.actors import Pose
from worker.standin.blueprints import LIBRARY
from worker.standin.sense import readings

KINDS = [blueprint.id for blueprint in LIBRARY if blueprint.id.startswith("sensor.")]
SMALL = {"image_size_x": 64, "image_size_y": 40, "points_per_second": 20000, "channels": 8, "range": 60, "distance": 20}
POOR = (
    {"image_size_x": 1, "image_size_y": 1, "channels": 0, "points_per_second": 0, "horizontal_fov": 0, "fov": 0, "range": 0, "distance": 0},
    {"image_size_x": 0, "fov": 360, "channels": 1, "points_per_second": -5, "rotation_frequency": 0, "dropoff_intensity_limit": 0},
    {"image_size_x": 33, "image_size_y": 7, "channels": 3, "points_per_second": 7, "upper_fov": -90, "lower_fov": 90, "noise_seed": -4},
)


@pytest.fixture(scope="module")
def crowd():
    """A world with somebody of every kind, and three that carry sensors: a car, a walker and a box."""
    world, random = world_of(), np.random.RandomState(2)
    carriers = (
        car(world, 60.0),
        add(world, "walker.pedestrian.0001", Pose(62.0, 4.0, 0.93)),
        add(world, "static.prop.box01", Pose(64.0, 0.0, 0.5)),
    )
    for blueprint in LIBRARY:
        if not blueprint.id.startswith("sensor."):
            x, y, yaw = random.uniform((20.0, -20.0, -180.0), (120.0, 20.0, 180.0))
            add(world, blueprint.id, Pose(x, y, 0.0, 0.0, yaw, 0.0), velocity=(1.0, 2.0, 0.0), angular=(0.0, 0.0, 20.0))
    return world, carriers


def heard(world, name, carrier, at, **attributes):
    """What the sensor sends, twice the same; it is taken out again."""
    made = sensor(world, name, carrier, at, **attributes)
    try:
        first = readings(made, world, told)
        made.body = None  # what an event camera remembers
        assert readings(made, world, told) == first
        return first
    finally:
        del world.actors[made.id]


@pytest.mark.parametrize("kind", KINDS)
def test_at_any_angle_on_anything(crowd, kind):
    world, carriers = crowd
    for carrier in (*carriers, None):
        for pitch in (-90.0, -30.0, 90.0):
            for yaw, roll, height in ((0.0, 0.0, 1.5), (137.0, 90.0, 30.0), (-60.0, 180.0, -3.0)):
                place = Pose(61.0, -1.0, height, pitch, yaw, roll) if carrier is None else Pose(0.4, -0.3, height, pitch, yaw, roll)
                assert all(heard(world, kind[7:], carrier, place, **SMALL)) or "other" in kind


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("poor", POOR, ids=("none", "odd", "few"))
def test_with_poor_attributes(crowd, kind, poor):
    world, carriers = crowd
    heard(world, kind[7:], carriers[0], Pose(0.0, 0.0, 1.5), **poor)


def test_in_any_weather(crowd):
    world, carriers = crowd
    for at in range(14):
        for value in (-90.0, 1000.0):
            world.weather = tuple(value if place == at else 20.0 for place in range(14))
            assert heard(world, "camera.rgb", carriers[0], Pose(0.0, 0.0, 1.5), image_size_x=32, image_size_y=16)


def test_far_from_every_road(crowd):
    world, _ = crowd
    for kind in KINDS:
        heard(world, kind[7:], None, Pose(-40000.0, 70000.0, 3.0), **SMALL)
