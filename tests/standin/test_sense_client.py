"""The stand-in's sensors with a real client: each of them is decoded, and belongs to the tick that made it."""

from __future__ import annotations

import math
import queue

import numpy as np
import pytest
from standins import client_of

carla = pytest.importorskip("carla", reason="no carla wheel for this Python")

CAR = 14


class Ears:
    """Sensors of one car, and what each of them has sent."""

    def __init__(self, world, car):
        self.world, self.car, self.heard = world, car, {}
        self.sensors = []  # one that is forgotten falls silent

    def listen(self, name, at=(0.0, 0.0, 1.0), yaw=0.0, pitch=0.0, **attributes):
        """A sensor at a place on the car."""
        blueprint = self.world.get_blueprint_library().find("sensor." + name)
        for key, value in attributes.items():
            blueprint.set_attribute(key, str(value))
        place = carla.Transform(carla.Location(*at), carla.Rotation(pitch=pitch, yaw=yaw))
        sensor = self.world.spawn_actor(blueprint, place, attach_to=self.car)
        self.sensors.append(sensor)
        self.heard[sensor.id] = queue.Queue()
        sensor.listen(self.heard[sensor.id].put)

    def tick(self):
        """One tick, and what these sensors sent in it, in the order of their ids."""
        frame = self.world.tick()
        found = [each.get(timeout=10.0) for each in self.heard.values()]
        assert [each.frame for each in found] == [frame] * len(found)
        assert all(each.timestamp == pytest.approx(self.world.get_snapshot().timestamp.elapsed_seconds) for each in found)
        return found


@pytest.fixture
def ears(world, spawn):
    """A car that stands still on its place."""
    car = spawn("vehicle.lincoln.mkz_2020")
    for _ in range(15):
        world.tick()
    return Ears(world, car)


@pytest.fixture
def ahead(world, ears):
    """Puts something ahead of the car, so many metres away and to the right, turned as the car is."""

    def put(distance, type_id="vehicle.tesla.model3", right=0.0, **attributes):
        here = ears.car.get_transform()
        blueprint = world.get_blueprint_library().find(type_id)
        for key, value in attributes.items():
            blueprint.set_attribute(key, value)
        place = here.transform(carla.Location(distance, right, 0.5))
        actor = world.spawn_actor(blueprint, carla.Transform(place, here.rotation))
        for _ in range(15):
            world.tick()
        return actor

    return put


def pixels(image):
    """uint8 [H, W, 4]: blue, green, red, alpha."""
    return np.frombuffer(image.raw_data, np.uint8).reshape(image.height, image.width, 4)


def metres(image):
    blue, green, red = (pixels(image)[:, :, at].astype(float) for at in range(3))
    return (red + 256 * green + 65536 * blue) / (2**24 - 1) * 1000


def test_measuring_cameras_see_a_car_where_it_is(ears, ahead):
    other = ahead(15.0)
    size = {"image_size_x": 200, "image_size_y": 100, "fov": 90}
    for name in ("depth", "semantic_segmentation", "instance_segmentation", "normals"):
        ears.listen("camera." + name, **size)
    depth, label, instance, normals = ears.tick()
    assert (depth.width, depth.height, depth.fov) == (200, 100, 90.0)
    wanted = ears.car.get_location().distance(other.get_location()) - other.bounding_box.extent.x
    assert metres(depth)[50, 100] == pytest.approx(wanted, abs=0.02)
    assert pixels(label)[50, 100].tolist() == [0, 0, CAR, 255]
    assert pixels(instance)[50, 100].tolist() == [other.id >> 8 & 0xFF, other.id & 0xFF, CAR, 255]
    assert pixels(normals)[99, 100].tolist() == [255, 128, 128, 255]
    label.convert(carla.ColorConverter.CityScapesPalette)
    assert pixels(label)[50, 100].tolist() == [142, 0, 0, 255]  # a car's blue, as the client paints it
    depth.convert(carla.ColorConverter.Depth)


def test_a_camera_shows_the_car_before_it(ears, ahead):
    ahead(12.0, color="255,0,0")
    ears.listen("camera.rgb", (0.5, 0.0, 1.6), image_size_x=320, image_size_y=180)
    (image,) = ears.tick()
    blue, green, red = (pixels(image)[60:140, 120:200, at].astype(int) for at in range(3))
    assert ((red > 80) & (red > 2 * green) & (red > 2 * blue)).sum() > 300


def test_lidars_measure_the_car_ahead(ears, ahead):
    other = ahead(10.0)
    fan = {"channels": 4, "range": 50, "upper_fov": 0, "lower_fov": -20, "rotation_frequency": 20, "points_per_second": 80000}
    ears.listen("lidar.ray_cast", **fan, dropoff_general_rate=0.0, dropoff_zero_intensity=0.0)
    ears.listen("lidar.ray_cast_semantic", **fan)
    plain, semantic = ears.tick()
    assert plain.channels == semantic.channels == 4
    near = 10.0 - other.bounding_box.extent.x
    hits = [each for each in semantic if each.object_idx == other.id]
    assert len(hits) > 20
    assert all(each.object_tag == CAR and each.point.x == pytest.approx(near, abs=0.05) for each in hits)
    assert all(0.9 < each.cos_inc_angle <= 1.0001 for each in hits)
    assert sum(plain.get_point_count(channel) for channel in range(4)) == len(plain) == len(semantic)
    points = np.frombuffer(plain.raw_data, np.float32).reshape(-1, 4)
    assert points[:, 3] == pytest.approx(np.exp(-0.004 * np.linalg.norm(points[:, :3], axis=1)), abs=1e-4)
    assert points[:, 2].min() == pytest.approx(-1.0, abs=0.02)  # the ground


def test_a_radar_sees_the_car_come_nearer(ears, ahead):
    other = ahead(20.0)
    ears.listen("other.radar", horizontal_fov=3, vertical_fov=1)
    other.set_target_velocity(-6.0 * other.get_transform().get_forward_vector())
    ears.tick()
    (found,) = ears.tick()
    assert len(found) == 75
    detection = found[0]
    assert detection.velocity == pytest.approx(-6.0, abs=0.7)
    assert detection.depth == pytest.approx(20.0 - other.bounding_box.extent.x, abs=1.0)
    assert abs(detection.azimuth) < math.radians(1.6)
    assert abs(detection.altitude) < math.radians(0.6)


def test_imu_and_gnss_of_a_car_at_rest(ears, world):
    ears.listen("other.imu", (0.0, 0.0, 0.0))
    ears.listen("other.gnss", (0.0, 0.0, 0.0))
    imu, gnss = ears.tick()
    assert (imu.accelerometer.x, imu.accelerometer.y, imu.accelerometer.z) == pytest.approx((0.0, 0.0, 9.81), abs=0.05)
    assert imu.gyroscope.length() < 1e-3
    heading = ears.car.get_transform().rotation.yaw
    assert math.degrees(imu.compass) == pytest.approx((heading + 90.0) % 360.0, abs=0.1)
    here, origin = ears.car.get_location(), world.get_map().transform_to_geolocation(carla.Location())
    north, east = (math.radians(angle) * 6378137.0 for angle in (gnss.latitude - origin.latitude, gnss.longitude - origin.longitude))
    assert (north, east * math.cos(math.radians(origin.latitude))) == pytest.approx((-here.y, here.x), rel=0.01, abs=1.0)
    assert gnss.altitude == pytest.approx(here.z, abs=0.01)


def test_an_imu_feels_the_car_speed_up(ears):
    ears.listen("other.imu", (0.0, 0.0, 0.0))
    ears.car.apply_control(carla.VehicleControl(throttle=1.0))
    felt = [ears.tick()[0].accelerometer.x for _ in range(40)]
    assert max(felt) > 2.0


def test_an_obstacle_is_told(ears, ahead):
    other = ahead(8.0)
    ears.listen("other.obstacle", (0.0, 0.0, 0.8), distance=10, hit_radius=0.5)
    (event,) = ears.tick()
    assert (event.actor.id, event.other_actor.id) == (ears.car.id, other.id)
    assert event.distance == pytest.approx(8.0 - other.bounding_box.extent.x - 0.5, abs=0.05)


def test_flow_and_events_of_somebody_who_crosses(ears, ahead):
    person = ahead(8.0, "walker.pedestrian.0003")
    size = {"image_size_x": 200, "image_size_y": 100}
    ears.listen("camera.optical_flow", **size)
    ears.listen("camera.dvs", **size)
    still, none = ears.tick()
    assert np.abs(np.frombuffer(still.raw_data, np.float32)).max() < 1e-3
    assert len(none) == 0
    person.apply_control(carla.WalkerControl(ears.car.get_transform().get_right_vector(), 3.0, False))
    for _ in range(4):
        moving, events = ears.tick()
    moves = np.frombuffer(moving.raw_data, np.float32).reshape(100, 200, 2)[:, :, 0]
    assert moves.max() == pytest.approx(3.0 * 0.05 / 8.0, rel=0.1)  # half the picture's width is 8 m there, which is 1
    assert moves.min() > -1e-3
    assert len(events) > 10
    assert {type(event.pol) for event in events} == {bool}
    assert all(event.x < 200 and event.y < 100 for event in events)


def test_the_same_still_world_gives_the_same_bytes(ears, ahead):
    ahead(15.0)
    ears.listen("camera.rgb", image_size_x=160, image_size_y=90)
    ears.listen("camera.instance_segmentation", image_size_x=160, image_size_y=90)
    first, second = ears.tick(), ears.tick()
    assert [bytes(each.raw_data) for each in first] == [bytes(each.raw_data) for each in second]


def test_without_a_renderer_only_cameras_are_silent(standin):
    world = client_of(standin(flags=["-nullrhi"])).get_world()
    settings = world.get_settings()
    settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.05
    world.apply_settings(settings)
    blueprint = world.get_blueprint_library().find("vehicle.lincoln.mkz_2020")
    car = world.spawn_actor(blueprint, world.get_map().get_spawn_points()[0])
    world.tick()
    ears = Ears(world, car)
    for name in ("lidar.ray_cast", "other.radar", "other.imu"):
        ears.listen(name)
    blind = queue.Queue()
    camera = world.spawn_actor(world.get_blueprint_library().find("sensor.camera.rgb"), carla.Transform(), attach_to=car)
    camera.listen(blind.put)
    for _ in range(5):
        ears.tick()
    assert blind.empty()
