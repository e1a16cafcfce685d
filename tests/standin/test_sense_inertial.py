"""The stand-in's IMU, GNSS, collision detector and event camera."""

from __future__ import annotations

import math
from typing import Any

import msgpack
import numpy as np
import pytest
from senses import add, car, sensor, told, world_of
from standins import dialect

from worker import routes
from worker.standin.actors import Contact, Pose
from worker.standin.opendrive import LATITUDE, LONGITUDE
from worker.standin.sense import readings
from worker.standin.sense.inertial import located
from worker.standin.town import build


def imu_of(world: Any, sensor: Any) -> Any:
    (payload,) = readings(sensor, world, told)
    return msgpack.unpackb(payload)


def test_an_imu_at_rest_feels_gravity_and_the_compass():
    world = world_of()
    for yaw, compass in ((0.0, 90.0), (-90.0, 0.0), (90.0, 180.0), (180.0, 270.0)):
        felt, spin, north = imu_of(world, sensor(world, "other.imu", car(world, 0.0, yaw=yaw)))
        assert felt == pytest.approx([0.0, 0.0, 9.81], abs=1e-5)
        assert spin == [0.0, 0.0, 0.0]
        assert math.degrees(north) == pytest.approx(compass, abs=1e-4)


def test_an_imu_measures_in_its_own_frame():
    world = world_of()
    probe = sensor(world, "other.imu", car(world, 0.0, yaw=90.0))
    probe.acceleration, probe.angular = (0.0, 2.0, 0.0), (0.0, 0.0, 90.0)
    felt, spin, _ = imu_of(world, probe)
    assert felt == pytest.approx([2.0, 0.0, 9.81], abs=1e-5)
    assert spin == pytest.approx([0.0, 0.0, math.pi / 2.0], abs=1e-6)
    probe.acceleration, probe.pose = (0.0, 0.0, 0.0), probe.pose._replace(pitch=90.0)
    assert imu_of(world, probe)[0] == pytest.approx([9.81, 0.0, 0.0], abs=1e-5)


def test_an_imus_gravity_can_be_set():
    world = world_of(gravity=1.62)
    assert imu_of(world, sensor(world, "other.imu", car(world, 0.0)))[0][2] == pytest.approx(1.62)


def test_noise_comes_from_the_seed_and_the_time_alone():
    world = world_of()
    noisy = {"noise_accel_stddev_x": 0.5, "noise_gyro_bias_z": 0.25, "noise_seed": 7}
    one, two = (sensor(world, "other.imu", None, **noisy) for _ in range(2))
    other = sensor(world, "other.imu", None, **{**noisy, "noise_seed": 8})
    assert readings(one, world, told) == readings(two, world, told) != readings(other, world, told)
    felt, spin, _ = imu_of(world, one)
    assert felt[0] != 0.0
    assert felt[1:] == pytest.approx([0.0, 9.81], abs=1e-5)
    assert spin == [0.0, 0.0, 0.25]
    world.elapsed += 0.05
    assert imu_of(world, one)[0][0] != felt[0]


def test_gnss_is_mercators():
    world = world_of()
    (payload,) = readings(sensor(world, "other.gnss", None, Pose(1000.0, -2000.0, 30.0)), world, told)
    latitude, longitude, altitude = msgpack.unpackb(payload)
    metre = math.degrees(1.0 / 6378137.0)
    assert longitude - LONGITUDE == pytest.approx(1000.0 * metre / math.cos(math.radians(LATITUDE)), rel=1e-9)
    assert latitude - LATITUDE == pytest.approx(2000.0 * metre, rel=1e-3)  # north is against y
    assert altitude == 30.0


def test_gnss_agrees_with_the_clients_map():
    carla = pytest.importorskip("carla", reason="no wheel of carla for this Python")
    if dialect() != "0.9.15":
        pytest.skip("0.9.16's map projects in another way")
    mine = [route for route in routes.read(routes.DEFAULT_FILE) if route.town == "Town07"]
    town = build("Town07", mine)
    chart = carla.Map(town.name, town.opendrive)
    for x, y in ((0.0, 0.0), (812.5, -1204.25), (-5000.0, 6000.0)):
        wanted = chart.transform_to_geolocation(carla.Location(x=x, y=y))
        assert located(x, y) == pytest.approx((wanted.latitude, wanted.longitude), abs=1e-9)


def test_gnss_noise_has_a_bias_and_a_spread():
    world = world_of()
    off = sensor(world, "other.gnss", None, Pose(0.0, 0.0, 5.0), noise_alt_bias=2.0, noise_lat_stddev=0.001)
    latitude, longitude, altitude = msgpack.unpackb(readings(off, world, told)[0])
    assert (longitude, altitude) == (LONGITUDE, 7.0)
    assert 0.0 < abs(latitude - LATITUDE) < 0.01


def test_collisions_of_the_carrier_are_told_one_by_one():
    world = world_of()
    ego, other, third = car(world, 0.0), car(world, 4.0), car(world, 40.0)
    bumper = sensor(world, "other.collision", ego)
    assert readings(bumper, world, told) == []
    world.contacts = [Contact(ego.id, other.id, (-10.0, 2.0, 0.0)), Contact(other.id, ego.id, (10.0, -2.0, 0.0))]
    world.contacts.append(Contact(ego.id, third.id, (1.0, 0.0, 0.0)))
    found = [msgpack.unpackb(payload) for payload in readings(bumper, world, told)]
    assert found == [[[ego.id], [other.id], [-10.0, 2.0, 0.0]], [[ego.id], [third.id], [1.0, 0.0, 0.0]]]


def test_lane_invasion_is_the_clients_affair():
    world = world_of()
    assert readings(sensor(world, "other.lane_invasion", car(world, 0.0)), world, told) == []


def test_an_event_camera_sees_what_changes():
    world = world_of()
    eye = sensor(world, "camera.dvs", car(world, 20.0), image_size_x=200, image_size_y=100)
    assert len(readings(eye, world, told)[0]) == 12  # nothing came before
    assert len(readings(eye, world, told)[0]) == 12  # nothing has changed
    add(world, "vehicle.tesla.model3", Pose(30.0, 0.0, 0.0), attributes={"color": "250,250,250"})
    (payload,) = readings(eye, world, told)
    form = np.dtype([("x", "<u2"), ("y", "<u2"), ("t", "<i8"), ("polarity", "?")])
    found = np.frombuffer(payload, form, -1, 12)
    assert len(found) > 100
    assert (found["t"] == round(world.elapsed * 1e9)).all()
    assert 60 < found["x"].min() < 100 < found["x"].max() < 140
    assert set(found["polarity"].tolist()) == {False, True}
