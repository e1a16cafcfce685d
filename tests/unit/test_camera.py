"""Pictures of the embedded world: geometry, colours, light and weather, and that a picture is a function of the world's state."""

from __future__ import annotations

import math
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from worker.rig import RIGS, Camera
from worker.routes import Weather
from worker.world.actors import ActorKind, Actors, Lights
from worker.world.camera import Painter, project
from worker.world.hiding import Horizon
from worker.world.lanes import Junction, Lane
from worker.world.lens import lens
from worker.world.road import MARGIN, SPACING, Road

CENTER, LEFT, RIGHT = RIGS["predecessor"].cameras
NOON = Weather(cloudiness=10.0, sun_altitude_angle=60.0, sun_azimuth_angle=90.0)
NIGHT = Weather(sun_altitude_angle=-90.0, fog_density=0.0)
LANES = {
    "urban": (
        Lane(-5.6, 2.4, 0, "sidewalk"),
        Lane(-2.65, 3.5, -1, "driving"),
        Lane(0.85, 3.5, 1, "driving"),
        Lane(3.8, 2.4, 0, "sidewalk"),
    ),
    "rural": (Lane(-5.8, 1.0, 0, "shoulder"), Lane(-3.5, 3.5, -1, "driving"), Lane(0.0, 3.5, 1, "driving"), Lane(2.3, 1.0, 0, "shoulder")),
    "highway": (Lane(-6.2, 2.0, 0, "shoulder"), Lane(-3.5, 3.5, 1, "driving"), Lane(0.0, 3.5, 1, "driving"), Lane(3.2, 3.0, 0, "shoulder")),
}


def straight(kind="rural", bend=0.0, junctions=()):
    s = np.arange(-MARGIN, 200.0 + MARGIN + SPACING, SPACING)
    yaw = np.where(s > 0, bend * s, 0.0)
    x, y = np.cumsum(np.cos(yaw)) * SPACING, np.cumsum(np.sin(yaw)) * SPACING
    zero = int(MARGIN / SPACING)
    return Road(
        200.0, s, x - x[zero], y - y[zero], np.zeros_like(s), yaw, np.full_like(s, bend), LANES[kind], tuple(junctions), kind, 13.9, ()
    )


def world(*actors, signals=(), tick=0, **ego):
    """Rows of actors are (kind, x, y, yaw, (length, width, height), color, lights); those of signals (x, y, yaw, kind, state)."""
    rows = [(0, 0.0, 0.0, 0.0, (4.5, 1.9, 1.5), (0, 0, 0), 0), *actors]
    size = np.array([row[4] for row in rows], float)
    columns = [np.array([row[k] for row in rows], float) for k in (1, 2, 3)]
    none = np.zeros(len(rows))
    table = Actors(
        np.array([row[0] for row in rows], np.int8), columns[0], columns[1], none, columns[2], none, size[:, 0], size[:, 1], size[:, 2],
        np.array([row[5] for row in rows], np.uint8), np.array([row[6] for row in rows], np.uint8), none, np.ones(len(rows), bool),
    )  # fmt: skip
    posts = np.array(signals, float).reshape(-1, 5)
    lights = SimpleNamespace(
        x=posts[:, 0],
        y=posts[:, 1],
        z=posts[:, 0] * 0,
        yaw=posts[:, 2],
        kind=posts[:, 3].astype(np.int8),
        state=posts[:, 4].astype(np.int8),
    )
    place = {"x": 0.0, "y": 0.0, "z": 0.0, "yaw": 0.0, "pitch": 0.0, "roll": 0.0, **ego}
    return SimpleNamespace(actors=table, signals=lights, ego=SimpleNamespace(**place), tick=tick)


def car(x, y, yaw=0.0, *, color=(220, 20, 20), lights=0, kind=ActorKind.CAR, size=(4.6, 1.9, 1.5)):
    return (int(kind), x, y, yaw, size, color, int(lights))


def at(image, camera, ego, point, radius=2):
    """The mean colour about a world point."""
    (pixels,), _ = project(camera, ego, [point])
    column, row = np.round(pixels).astype(int)
    return image[row - radius : row + radius + 1, column - radius : column + radius + 1].reshape(-1, 3).mean(axis=0)


def changed(painter, camera, before, after):
    return np.abs(painter.render(after, camera).astype(int) - painter.render(before, camera)).max(axis=2) > 12


@pytest.fixture(scope="module")
def rural():
    return Painter(straight(), NOON, 1)


def test_a_point_ahead_lies_in_the_middle_and_one_to_the_right_lies_right():
    pixels, depth = project(CENTER, world().ego, [[20.0, 0.0, 2.0], [20.0, 5.0, 2.0], [20.0, 0.0, 0.0], [-30.0, 0.0, 1.0]])
    assert pixels[0] == pytest.approx([512, 256])
    assert pixels[1][0] > 512
    assert pixels[2][1] > 256
    assert depth[0] == pytest.approx(21.5)
    assert depth[3] < 0


def test_a_side_camera_turns_to_its_side_and_the_edge_of_the_field_of_view_is_the_edge_of_the_picture():
    edge = [20.0 * math.cos(math.radians(55)) - 1.5, 20.0 * math.sin(math.radians(55)), 2.0]
    assert project(CENTER, world().ego, [edge])[0][0][0] == pytest.approx(1024)
    ahead = [[100.0, 0.0, 1.0]]
    assert project(LEFT, world().ego, ahead)[0][0][0] > 800
    assert project(RIGHT, world().ego, ahead)[0][0][0] < 224


def test_every_rig_renders(rural):
    for camera in RIGS["predecessor"].cameras + RIGS["bench2drive"].cameras:
        image = rural.render(world(car(12.0, 0.0), car(-9.0, 0.0)), camera)
        assert image.shape == (camera.height, camera.width, 3)
        assert image.dtype == np.uint8
        assert image.std() > 15


@pytest.mark.parametrize(
    "pose", [{"pitch": -90.0, "z": 30.0}, {"roll": 20.0}, {"pitch": 40.0}, {"pitch": 89.0}, {"yaw": 123.0, "pitch": -20.0}]
)
def test_cameras_may_look_anywhere(rural, pose):
    camera = Camera(**{"key": "c", "x": 0.0, "y": 0.0, "z": 2.0, "width": 160, "height": 121, "fov": 100.0, **pose})
    assert rural.render(world(car(3.0, 1.0)), camera).shape == (121, 160, 3)


def test_out_is_used_and_checked(rural):
    out = np.zeros((512, 1024, 3), np.uint8)
    assert rural.render(world(), CENTER, out) is out
    assert (out == rural.render(world(), CENTER)).all()
    with pytest.raises(ValueError, match="512, 1024, 3"):
        rural.render(world(), CENTER, np.zeros((512, 1024), np.uint8))


def test_markings_lie_where_the_geometry_says(rural):
    image, ego = rural.render(world(), CENTER), world().ego
    edge, road = at(image, CENTER, ego, [8.0, 1.75, 0.0], 0), at(image, CENTER, ego, [8.0, 0.6, 0.0])
    assert edge.min() > 1.5 * road.max()
    yellow = at(image, CENTER, ego, [9.5, -1.75, 0.0], 0)  # the dash from 7 to 11 m
    assert yellow[0] > 1.8 * yellow[2]
    gap = at(image, CENTER, ego, [12.5, -1.75, 0.0], 0)
    assert gap.max() < 1.3 * gap.min()


def test_markings_bend_with_the_road_and_turn_with_the_ego():
    road = straight(bend=0.01)
    painter, row = Painter(road, NOON, 1), int((MARGIN + 20.0) / SPACING)
    ego = {"x": float(road.x[row]), "y": float(road.y[row]), "yaw": float(road.yaw[row])}
    image, row = painter.render(world(**ego), CENTER), row + 16
    point = [road.x[row] - 1.75 * math.sin(road.yaw[row]), road.y[row] + 1.75 * math.cos(road.yaw[row]), 0.0]
    assert at(image, CENTER, world(**ego).ego, point, 0).min() > 120


def test_the_sky_is_above_and_the_verge_is_green(rural):
    image = rural.render(world(), CENTER)
    assert image[40, :, 2].mean() > image[40, :, 0].mean() + 20
    green = at(image, CENTER, world().ego, [9.0, 9.0, 0.0], 5)
    assert green[1] > green[0]
    assert green[1] > green[2]


def test_a_car_covers_the_pixels_of_its_box_and_red_is_the_first_channel(rural):
    there = changed(rural, CENTER, world(), world(car(14.0, 0.5)))
    corners = [[14.0 + dx, 0.5 + dy, z] for dx in (-2.3, 2.3) for dy in (-0.95, 0.95) for z in (0.0, 1.5)]
    pixels, _ = project(CENTER, world().ego, corners)
    (left, top), (right, bottom) = pixels.min(axis=0).astype(int), pixels.max(axis=0).astype(int)
    assert there[top : bottom + 1, left : right + 1].mean() > 0.6
    assert not there[: top - 2].any()
    body = at(rural.render(world(car(14.0, 0.5)), CENTER), CENTER, world().ego, [11.7, 0.5, 0.7])
    assert body[0] > body[1:].max() + 60


def test_what_is_behind_hidden_or_the_ego_itself_is_not_drawn(rural):
    empty = rural.render(world(), CENTER)
    assert (rural.render(world(car(-15.0, 0.0)), CENTER) == empty).all()
    hidden = world(car(14.0, 0.0))
    hidden.actors.visible[:] = False
    assert (rural.render(hidden, CENTER) == empty).all()
    back = RIGS["bench2drive"].cameras[3]
    assert changed(rural, back, world(), world(car(-15.0, 0.0))).sum() > 400


def test_a_truck_beside_the_camera_is_cut_at_the_near_plane(rural):
    truck = car(-1.0, -3.0, kind=ActorKind.TRUCK, size=(9.0, 2.5, 3.6))
    assert changed(rural, CENTER, world(), world(truck))[:, :40].mean() > 0.5
    assert not changed(rural, CENTER, world(), world(truck))[:, 700:].any()


def test_the_nearer_car_hides_the_farther(rural):
    image = rural.render(world(car(30.0, 0.0, color=(20, 20, 220)), car(10.0, 0.0)), CENTER)
    red, _, blue = at(image, CENTER, world().ego, [7.7, 0.35, 0.72])
    assert red > blue + 60


@pytest.mark.parametrize("kind", list(ActorKind))
def test_every_kind_is_drawn_from_all_sides(rural, kind):
    for yaw in (0.0, 1.0, 2.5, 4.0):
        assert changed(rural, CENTER, world(), world(car(8.0, 0.0, yaw, kind=kind, size=(2.0, 1.0, 1.5)))).sum() > 300


def test_brake_lights_and_indicators_shine(rural):
    def redness(lights, tick=0):
        return rural.render(world(car(9.0, 0.0, color=(20, 40, 90), lights=lights), tick=tick), CENTER)[:, :, 0].astype(int)

    assert (redness(Lights.BRAKE) - redness(0) > 60).sum() > 20
    assert (redness(Lights.LEFT) - redness(0) > 30).sum() > 5
    assert (redness(Lights.LEFT, tick=7) == redness(0, tick=7)).all()


@pytest.mark.parametrize(("state", "channel"), [(0, 0), (2, 1)])
def test_a_traffic_light_shows_its_colour(rural, state, channel):
    image = rural.render(world(signals=[(18.0, 3.0, math.pi, 0, state)]), CENTER).astype(int)
    others = [c for c in (0, 1) if c != channel]
    lit = (image[:, :, channel] > 200) & (image[:, :, others].max(axis=2) < image[:, :, channel] - 100 + 60 * (channel == 1))
    assert lit.sum() > 10
    column = np.median(np.nonzero(lit)[1])
    assert column == pytest.approx(project(CENTER, world().ego, [[18.0, 3.0, 2.8]])[0][0][0], abs=90)


def test_a_stop_sign_is_red(rural):
    image = rural.render(world(signals=[(14.0, 3.0, math.pi, 1, 3)]), CENTER)
    red, green, blue = at(image, CENTER, world().ego, [13.9, 2.72, 2.62], 0)
    assert red > 2 * max(green, blue)


def test_night_is_darker_than_noon_and_headlights_light_the_road_ahead():
    noon, night = (Painter(straight(), weather, 1).render(world(), CENTER) for weather in (NOON, NIGHT))
    assert night.mean() < 0.35 * noon.mean()
    ego = world().ego
    assert at(night, CENTER, ego, [12.0, 0.5, 0.0]).mean() > 1.6 * at(night, CENTER, ego, [12.0, 14.0, 0.0]).mean()


def test_fog_takes_contrast_with_distance():
    def contrast(fog, x):
        painter = Painter(straight(), Weather(fog_density=fog, cloudiness=80.0), 1)
        there = at(painter.render(world(car(x, 0.0, color=(10, 10, 10))), CENTER), CENTER, world().ego, [x - 2.3, 0.0, 0.6])
        return abs(there.mean() - at(painter.render(world(), CENTER), CENTER, world().ego, [300.0, 0.0, 2.0]).mean())

    assert contrast(80.0, 50.0) < 0.5 * contrast(0.0, 50.0)
    assert contrast(80.0, 50.0) < 0.6 * contrast(80.0, 9.0)


def test_rain_moves_with_the_tick_alone():
    painter = Painter(straight(), Weather(100.0, 100.0, 90.0, 100.0, 100.0), 1)
    first = painter.render(world(tick=3), CENTER)
    assert (painter.render(world(tick=4), CENTER) != first).any()
    assert (painter.render(world(tick=3), CENTER) == first).all()


@pytest.mark.parametrize("kind", ["urban", "rural", "highway"])
def test_a_picture_is_a_function_of_the_state(kind):
    """Neither another painter, nor where the ego was before, nor the number of threads changes a bit."""
    crossing = Junction(40.0, 64.0, 52.0, 0.0, math.pi / 2, "light", "straight", 5.0)
    road = straight(kind, 0.004, [crossing])
    cast = world(car(14.0, 0.0, lights=Lights.BRAKE), car(20.0, -3.5, math.pi), signals=[(40.0, 4.0, math.pi, 0, 0)], x=3.0, yaw=0.1)
    fresh, used, threads = Painter(road, NOON, 7), Painter(road, NOON, 7), cv2.getNumThreads()
    for x in (0.0, 90.0, 180.0):
        used.render(world(x=x, yaw=x), LEFT)
    try:
        cv2.setNumThreads(1)
        one = fresh.render(cast, CENTER)
        cv2.setNumThreads(2)
        assert (used.render(cast, CENTER) == one).all()
    finally:
        cv2.setNumThreads(threads)
    assert (Painter(road, NOON, 8).render(cast, CENTER) != one).any()


def test_nothing_jumps_when_the_ground_moves_on(rural):
    """The window of the finest texture moves at x = 8; the ground just before and just behind it looks alike."""
    before, after = (rural.render(world(x=8.0 + step), CENTER).astype(int) for step in (-1e-7, 1e-7))
    assert np.abs(after - before).mean() < 0.2


def test_scenery_stands_beside_the_roads_never_on_them():
    crossing = Junction(60.0, 84.0, 72.0, 0.0, math.pi / 2, "none", "straight", 5.0)
    for kind in LANES:
        painter = Painter(straight(kind, 0.0, [crossing]), NOON, 3)
        places = painter.scenery.corners
        on_road = (np.abs(places[:, :, 1]) < 1.7) & (places[:, :, 0] > -100) & (places[:, :, 0] < 300) & (places[:, :, 2] < 4.0)
        on_arm = (np.abs(places[:, :, 0] - 72.0) < 4.5) & (np.abs(places[:, :, 1]) < 100.0) & (places[:, :, 2] < 4.0)
        assert not on_road.any()
        assert kind == "highway" or not on_arm.any()


def test_what_houses_hide_is_left_out_and_nothing_else():
    """A town drawn without asking what houses hide differs nowhere but in the smoothed edges of what lies behind."""
    road = straight("urban", 0.002)
    painter, everything = Painter(road, NOON, 5), Painter(road, NOON, 5)
    assert len(everything.scenery.walls) > 10
    everything.scenery = everything.scenery._replace(walls=everything.scenery.walls[:0])
    for x, yaw, camera in ((0.0, 0.0, CENTER), (30.0, 0.3, LEFT), (61.0, 2.0, CENTER), (90.0, 1.5, RIGHT)):
        scene = world(car(x + 20.0, 0.0), car(x + 30.0, 40.0), x=x, yaw=yaw)
        difference = np.abs(painter.render(scene, camera).astype(int) - everything.render(scene, camera)).max(axis=2)
        assert (difference > 8).mean() < 0.0005


def test_a_house_hides_what_is_behind_and_below_its_roof():
    house = np.array([[[-5.0, -8.0, 20.0], [5.0, -8.0, 20.0], [5.0, -8.0, 30.0], [-5.0, -8.0, 30.0]]])
    horizon, (row, middle) = Horizon(lens(CENTER), house), (256 * 8, 512 * 8)
    assert horizon.hides(*(np.array([value]) for value in (middle - 80, middle + 80, row, 40.0))).all()
    for left, right, top, depth in (
        (middle - 80, middle + 80, row, 19.0),
        (middle - 80, middle + 80, 100, 40.0),
        (middle - 80, middle + 2000, row, 40.0),
    ):
        assert not horizon.hides(*(np.array([value]) for value in (left, right, top, depth))).any()
