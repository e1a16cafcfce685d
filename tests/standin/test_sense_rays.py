"""The stand-in's ray caster and the sensors that use it, against geometry worked out by hand."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import pytest
from senses import EYES, add, car, picture, sensor, straight_road, told, world_of

from worker.rig import Camera
from worker.standin.actors import Pose
from worker.standin.sense import readings
from worker.standin.sense.floor import LINE, ROAD, TERRAIN
from worker.standin.sense.screens import SKY

START = 50.0  # where the carrier stands on the straight road
CAR, PERSON = 14, 12


def metres(seen: Any) -> Any:
    """The depths that a client decodes from a depth camera's picture."""
    blue, green, red = (seen[:, :, at].astype(np.float64) for at in range(3))
    return (red + green * 256 + blue * 65536) / (2**24 - 1) * 1000.0


def eye(world: Any, name: str, at: Pose = EYES, width: int = 200, height: int = 100, **more: Any) -> Any:
    """A camera on a car at START."""
    return sensor(world, "camera." + name, car(world, START), at, image_size_x=width, image_size_y=height, **more)


def test_a_box_ten_metres_ahead_is_ten_metres_away_less_half_its_length():
    world = world_of()
    view = eye(world, "depth", Pose(0.0, 0.0, 1.0))
    car(world, START + 10.0, extent=(2.0, 0.96, 0.75))
    depth = metres(picture(view, world)[0])
    assert depth[50, 100] == pytest.approx(8.0, abs=1e-4)
    seen = np.flatnonzero(depth[50] < 8.001)
    assert (seen.min(), seen.max()) == (88, 111)  # 0.96 m at 8 m, with 100 pixels of focal length: 12 on either side of 100


def test_a_turned_box_is_met_at_its_side():
    world = world_of()
    view = eye(world, "depth", Pose(0.0, 0.0, 1.0))
    car(world, START + 10.0, yaw=90.0)
    assert metres(picture(view, world)[0])[50, 100] == pytest.approx(9.0, abs=1e-4)
    world = world_of()
    view = eye(world, "depth", Pose(0.0, 0.0, 1.0), width=201, height=101)
    car(world, START + 10.0, yaw=45.0, extent=(1.0, 1.0, 0.75))
    assert metres(picture(view, world)[0])[50, 100] == pytest.approx(10.0 - math.sqrt(2.0), abs=1e-4)


def test_the_ground_is_where_the_camera_looks_down_on_it():
    world = world_of()
    view = eye(world, "depth", Pose(0.0, 0.0, 2.0), width=201, height=101, fov=90.0)
    depth = metres(picture(view, world)[0])
    focal = 100.5
    for row in (60, 75, 100):
        assert depth[row, 100] == pytest.approx(2.0 * focal / (row + 0.5 - 50.5), abs=1e-3)
    assert (depth[:50] == 1000.0).all()


def test_a_camera_that_looks_straight_down_sees_heights():
    world = world_of()
    view = eye(world, "depth", Pose(10.0, 0.0, 20.0, -90.0, 0.0, 0.0))
    car(world, START + 10.0)
    depth = metres(picture(view, world)[0])
    assert depth[50, 100] == pytest.approx(18.5, abs=1e-3)
    assert depth[5, 5] == pytest.approx(20.0, abs=1e-3)


def test_a_box_beside_the_camera_and_partly_behind_it_is_seen():
    world = world_of()
    view = eye(world, "depth", Pose(0.0, 0.0, 1.0), fov=120.0)
    car(world, START + 1.0, 2.5)
    depth = metres(picture(view, world)[0])
    focal = 100.0 / math.tan(math.radians(60.0))
    column = 190
    wanted = 1.5 * focal / (column + 0.5 - 100.0)  # its near side is 1.5 m to the right
    assert depth[50, column] == pytest.approx(wanted, abs=1e-4)


def test_labels_and_ids_of_what_is_seen():
    world = world_of()
    views = [eye(world, name, Pose(0.0, 0.0, 1.0)) for name in ("semantic_segmentation", "instance_segmentation")]
    other = car(world, START + 10.0)
    person = add(world, "walker.pedestrian.0001", Pose(START + 8.0, -3.0, 0.93))
    other.id = 0x1234
    plain, instances = (picture(view, world)[0] for view in views)
    assert (plain[:, :, :2] == 0).all()
    assert (plain[:, :, 3] == 255).all()
    assert plain[50, 100, 2] == CAR
    assert plain[0, 0, 2] == SKY
    assert (instances[:, :, 2] == plain[:, :, 2]).all()
    assert instances[50, 100].tolist() == [0x12, 0x34, CAR, 255]
    column = round(100 - 3.0 / 8.0 * 100)
    assert instances[50, column].tolist() == [0, person.id, PERSON, 255]
    assert {ROAD, LINE, TERRAIN} <= set(np.unique(plain[60:, :, 2]).tolist())


def test_labels_lie_where_the_picture_shows_lanes():
    world = world_of()
    road = world.town.roads[0]
    view = eye(world, "semantic_segmentation", Pose(0.0, 0.0, 30.0, -90.0, 0.0, 0.0), width=600, height=600, fov=60.0)
    label = picture(view, world)[0][:, :, 2]
    metre = 300.0 / math.tan(math.radians(30.0)) / 30.0
    lanes = [lane for lane in road.lanes if lane.kind in ("driving", "shoulder")]
    left, right = lanes[0].offset - lanes[0].width / 2, lanes[-1].offset + lanes[-1].width / 2
    row = label[280]  # the carrier is out of the way
    on_road = np.flatnonzero((row == ROAD) | (row == LINE))
    assert on_road.min() == pytest.approx(300 + left * metre, abs=3)
    assert on_road.max() == pytest.approx(300 + right * metre, abs=3)


def test_normals_look_at_the_camera():
    world = world_of()
    view = eye(world, "normals", Pose(0.0, 0.0, 1.0))
    car(world, START + 10.0)
    seen = picture(view, world)[0]
    assert seen[50, 100].tolist() == [128, 128, 0, 255]  # blue z, green y, red x: -1 along x
    assert seen[99, 100].tolist() == [255, 128, 128, 255]


def flow_of(view: Any, world: Any) -> Any:
    (payload,) = readings(view, world, told)
    width, height = struct.unpack_from("<II", payload)
    return np.frombuffer(payload, "<f4", -1, 12).reshape(height, width, 2)


def test_flow_of_a_still_world_is_nothing():
    world = world_of()
    view = eye(world, "optical_flow")
    car(world, START + 10.0)
    assert np.abs(flow_of(view, world)).max() < 1e-5


def test_flow_of_a_car_that_crosses():
    world = world_of()
    view = eye(world, "optical_flow", Pose(0.0, 0.0, 1.0))
    car(world, START + 10.0, velocity=(0.0, 4.0, 0.0))
    pixels = 4.0 * 0.05 * 100.0 / 8.0
    assert flow_of(view, world)[50, 100] == pytest.approx([pixels * 2.0 / 200, 0.0], abs=1e-5)


def test_flow_of_a_turning_camera_moves_everything_aside():
    world = world_of()
    view = eye(world, "optical_flow", width=201, height=101)
    view.angular = (0.0, 0.0, 10.0)
    pixels = math.tan(math.radians(10.0 * 0.05)) * 100.5
    assert flow_of(view, world)[0, 100, 0] == pytest.approx(-pixels * 2.0 / 201, rel=0.05)


def test_flow_of_a_camera_that_drives_widens():
    world = world_of()
    view = eye(world, "optical_flow", Pose(0.0, 0.0, 2.0), width=201, height=101)
    view.velocity = (10.0, 0.0, 0.0)
    row, focal = 100, 100.5
    now = row + 0.5 - 50.5
    depth = 2.0 * focal / now
    then = 2.0 * focal / (depth + 0.5)
    assert flow_of(view, world)[row, 100] == pytest.approx([0.0, -(now - then) * 2.0 / 101], abs=1e-5)


def lidar_of(payload: bytes, size: int) -> Any:
    """(angle, points of each channel, points [N, size / 4] float32)."""
    angle, channels = struct.unpack_from("<fI", payload)
    counts = np.frombuffer(payload, "<u4", channels, 8)
    return angle, counts, np.frombuffer(payload, "<f4", -1, 8 + 4 * channels).reshape(-1, size // 4)


EXACT = {"dropoff_general_rate": 0.0, "dropoff_zero_intensity": 0.0, "range": 60.0, "rotation_frequency": 20.0}


def test_a_lidar_meets_boxes_and_the_ground():
    world = world_of()
    beam = sensor(world, "lidar.ray_cast", car(world, START), Pose(0.0, 0.0, 2.0), channels=3, upper_fov=0, lower_fov=-45, **EXACT)
    car(world, START + 10.0, extent=(2.0, 1.0, 1.5))
    (payload,) = readings(beam, world, told)
    angle, counts, points = lidar_of(payload, 16)
    assert counts.tolist()[1:] == [933, 933]  # 56000 points a second in 20 sweeps of three channels; the lower two all meet something
    assert angle == pytest.approx(0.0, abs=1e-6) or angle == pytest.approx(2 * math.pi, abs=1e-6)
    ahead = points[np.abs(points[:, 1]) < 0.05]
    level = ahead[(np.abs(ahead[:, 2]) < 0.01) & (ahead[:, 0] > 0)]
    assert level[:, 0] == pytest.approx(8.0, abs=1e-4)
    assert level[:, 3] == pytest.approx(np.exp(-0.004 * 8.0), abs=1e-4)
    steep = points[counts[:2].sum() :]
    assert np.linalg.norm(steep[:, :3], axis=1) == pytest.approx(2.0 * math.sqrt(2.0), abs=1e-4)
    assert steep[:, 2] == pytest.approx(-2.0, abs=1e-4)


def test_a_semantic_lidar_tells_ids_labels_and_incidence():
    world = world_of()
    beam = sensor(world, "lidar.ray_cast_semantic", car(world, START), Pose(0.0, 0.0, 1.0), channels=2, upper_fov=0, lower_fov=-30, **EXACT)
    other = car(world, START + 10.0)
    (payload,) = readings(beam, world, told)
    _, counts, points = lidar_of(payload, 24)
    whole = np.frombuffer(payload, "<u4", -1, 16).reshape(-1, 6)
    on_car = whole[:, 4] == other.id
    assert counts[0] == on_car[: counts[0]].sum()
    assert (whole[on_car, 5] == CAR).all()
    straight = on_car & (np.abs(points[:, 1]) < 0.02)
    assert points[straight, 3] == pytest.approx(1.0, abs=1e-4)
    ground = whole[:, 4] == 0
    assert points[ground, 3] == pytest.approx(0.5, abs=1e-5)
    assert set(whole[ground, 5].tolist()) <= {ROAD, LINE, TERRAIN}


def test_a_tilted_lidar_measures_in_its_own_frame():
    world = world_of()
    at = Pose(0.0, 0.0, 1.0, 0.0, 90.0, 0.0)
    beam = sensor(world, "lidar.ray_cast_semantic", car(world, START), at, channels=1, upper_fov=0, lower_fov=0, **EXACT)
    car(world, START + 10.0)
    _, _, points = lidar_of(readings(beam, world, told)[0], 24)
    assert points[:, 1] == pytest.approx(-8.0, abs=1e-4)  # what is ahead of the car is to the left of a LiDAR that looks right


def test_a_lidar_turns_on_from_tick_to_tick():
    world = world_of()
    beam = sensor(
        world, "lidar.ray_cast_semantic", car(world, START), channels=1, upper_fov=-30, lower_fov=-30, rotation_frequency=5, range=50
    )
    bearings = []
    for _ in range(4):
        world.elapsed = round(world.elapsed + 0.05, 6)
        _, _, points = lidar_of(readings(beam, world, told)[0], 24)
        bearings.append(np.degrees(np.arctan2(points[:, 1], points[:, 0])))
    found = np.sort(np.concatenate(bearings))
    assert len(found) == 4 * 2800
    assert np.diff(found).max() < 0.04


def test_a_lidars_losses_are_as_its_attributes_say_and_the_same_again():
    world = world_of()
    beam = sensor(world, "lidar.ray_cast", car(world, START), channels=1, upper_fov=-30, lower_fov=-30, noise_stddev=0.1, noise_seed=3)
    (payload,) = readings(beam, world, told)
    _, counts, points = lidar_of(payload, 16)
    assert counts[0] / 2800 == pytest.approx(0.55, abs=0.04)
    assert np.linalg.norm(points[:, :3], axis=1).std() == pytest.approx(0.1, abs=0.02)
    assert readings(beam, world, told) == [payload]
    world.elapsed += 0.05
    assert readings(beam, world, told) != [payload]


def test_a_radar_measures_how_fast_things_come_nearer():
    world = world_of()
    radar = sensor(world, "other.radar", car(world, START), Pose(0.0, 0.0, 1.0), horizontal_fov=5, vertical_fov=2)
    radar.velocity = (5.0, 0.0, 0.0)
    car(world, START + 10.0, velocity=(-3.0, 0.0, 0.0))
    (payload,) = readings(radar, world, told)
    found = np.frombuffer(payload, "<f4").reshape(-1, 4)
    assert len(found) == 75
    assert found[:, 0] == pytest.approx(-8.0, abs=0.02)
    assert found[:, 3] * np.cos(found[:, 1]) * np.cos(found[:, 2]) == pytest.approx(8.0, abs=1e-3)
    assert np.abs(found[:, 1]).max() <= math.radians(2.5)
    assert np.abs(found[:, 2]).max() <= math.radians(1.0)


def test_an_obstacle_is_told_with_its_distance():
    import msgpack

    world = world_of()
    ego = car(world, START)
    seeker = sensor(world, "other.obstacle", ego, Pose(2.0, 0.0, 0.8), distance=10)
    assert readings(seeker, world, told) == []
    other = car(world, START + 10.0, 1.2)  # beside the beam, but not beside the ball
    (payload,) = readings(seeker, world, told)
    assert msgpack.unpackb(payload) == [[ego.id], [other.id], pytest.approx(5.5)]
    other.pose = other.pose._replace(y=1.6)
    assert readings(seeker, world, told) == []


def test_an_obstacle_detector_may_heed_only_what_moves():
    world = world_of()
    seeker = sensor(world, "other.obstacle", car(world, START), Pose(2.0, 0.0, 0.5), distance=10, only_dynamics="True")
    add(world, "static.prop.streetbarrier", Pose(START + 6.0, 0.0, 0.0))
    assert readings(seeker, world, told) == []
    seeker.attributes["only_dynamics"] = "False"
    assert len(readings(seeker, world, told)) == 1


def test_many_boxes_give_what_one_by_one_gives():
    """The rectangles and cones leave nothing out: the same as testing every ray against every box."""
    from worker.standin.sense.boxes import boxes
    from worker.standin.sense.mount import mount_of
    from worker.standin.sense.rays import NONE, beams, screen, slab, turned

    world, random = world_of(straight_road()), np.random.RandomState(5)
    for x, y, yaw in random.uniform((-15, -15, -180), (40, 15, 180), (40, 3)):
        car(world, START + x, y, yaw)
    view = sensor(world, "camera.depth", None, Pose(START, 0.0, 1.7, -12.0, 20.0, 5.0))
    mount = mount_of(view, world)
    there = boxes(world, mount, 1000.0)
    camera = Camera("", *mount.place, yaw=0.0, pitch=-12.0, roll=5.0, width=120, height=80, fov=100.0)
    hits = screen(camera).cast(there)
    look = screen(camera).glass.directions((0, 80)).astype(np.float64).reshape(-1, 3)
    away, whose = screen(camera).plain.ravel().copy(), screen(camera).bare.ravel().copy()
    for row in range(len(there.id)):
        local = turned(look, there.yaw[row])
        found = slab(turned(np.array(mount.place) - there.middle[row], there.yaw[row]), tuple(local.T), there.half[row])
        nearer = found < away
        away[nearer], whose[nearer] = found[nearer], row
    assert (whose.reshape(80, 120) != hits.whose).mean() < 1e-3  # rays along an edge, where float32 and float64 differ
    same = whose.reshape(80, 120) == hits.whose
    assert hits.away[same] == pytest.approx(away.reshape(80, 120)[same], rel=1e-4)
    unit = look / np.linalg.norm(look, axis=1)[:, None]
    spread = beams(np.array(mount.place), unit, there, 1e6)
    assert (spread.whose != whose).mean() < 1e-3
    assert (whose >= 0).sum() > 1000
    assert (whose == NONE).sum() > 100
