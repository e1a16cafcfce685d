"""Roads: smooth where the points are rough, drivable where they jump, invertible, and what is beside the line."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from roads import bench2drive, bend, needs_bench2drive, route_of

from b2d_zmq.errors import InvalidRouteFile
from worker import routes
from worker.world import road as roads


def straight(length=100.0, spacing=2.0):
    return np.column_stack([np.arange(0.0, length + 0.1, spacing), np.zeros(int(length / spacing + 0.05) + 1)])


def distance_to(road, points):
    """How far each of points [N, 2] is from the line."""
    start, piece = np.column_stack([road.x, road.y])[:-1], np.diff(np.column_stack([road.x, road.y]), axis=0)
    offset = np.asarray(points)[:, None, :2] - start
    u = np.clip((offset * piece).sum(-1) / (piece * piece).sum(-1), 0.0, 1.0)
    return np.sqrt(((offset - u[..., None] * piece) ** 2).sum(-1)).min(axis=1)


def is_drivable(road):
    return np.abs(np.diff(road.yaw)).max() < 0.35 and np.abs(road.curvature).max() <= 1 / 4.5


def check_inverse(road, seed=0):
    """``project`` undoes ``pose``, with and without a hint, wherever a point is not near the middle of a bend."""
    rng = np.random.default_rng(seed)
    s, d = rng.uniform(-100.0, road.length + 100.0, 200), rng.uniform(-4.0, 4.0, 200)
    keep = np.abs(d * road.curvature_at(s)) < 0.7
    s, d = s[keep], d[keep]
    x, y, _, _ = road.pose(s, d)
    back_s, back_d = road.project(x, y, s + rng.uniform(-3.0, 3.0, len(s)))
    np.testing.assert_allclose(back_s, s, atol=1e-6)
    np.testing.assert_allclose(back_d, d, atol=1e-6)


def test_rounded_points_give_a_straight_road():
    points = straight() @ np.array([[0.9995, 0.0316], [-0.0316, 0.9995]])
    road = roads.build(route_of(np.round(points, 1)), 0)
    inside = (road.s > 0) & (road.s < road.length)
    assert np.abs(road.yaw[inside] - 0.0316).max() < 0.02 and np.abs(road.curvature[inside]).max() < 0.01
    assert road.length == pytest.approx(100.0, abs=0.2)
    assert distance_to(road, points).max() < 0.1


@pytest.mark.parametrize(("radius", "degrees"), [(9.0, 90.0), (9.0, -90.0), (15.0, 160.0), (60.0, -40.0)])
def test_a_bend_keeps_its_way(radius, degrees):
    points = bend(radius, degrees)
    road = roads.build(route_of(points), 0)
    assert is_drivable(road) and distance_to(road, points).max() < 0.35
    assert road.yaw[-1] - road.yaw[0] == pytest.approx(math.radians(degrees), abs=0.02)
    assert np.sign(road.curvature[np.abs(road.curvature).argmax()]) == np.sign(degrees)
    check_inverse(road)


@pytest.mark.parametrize(("degrees", "turn"), [(90.0, "right"), (-90.0, "left"), (0.001, "straight")])
def test_a_jump_is_a_junction_with_a_drivable_way_through(degrees, turn):
    points = bend(14.0, degrees, 30.0, 30.0) if abs(degrees) > 1 else straight(80.0)
    way = np.arange(len(points)) * 2.0
    gap = (29.0, 32.0 + 14.0 * math.radians(90.0))
    kept = points[(way < gap[0]) | (way > gap[1])]
    road = roads.build(route_of(kept, "SignalizedJunctionLeftTurn"), 0)
    (junction,) = road.junctions
    assert (junction.turn, junction.control) == (turn, "light")
    assert gap[0] - 6 < junction.enter < junction.leave < gap[1] + 6
    assert is_drivable(road) and distance_to(road, points).max() < 1.0  # close to the points that were left out, too
    assert np.hypot(junction.x - points[:, 0], junction.y - points[:, 1]).min() < 14.0
    heading = road.pose(junction.enter - 5.0)[3]
    assert math.sin(junction.yaw - heading) > 0.9  # what comes from the left goes to the right


def test_a_long_straight_then_a_turn_inside_one_jump():
    kept = np.vstack([straight(20.0), np.column_stack([np.full(10, 100.0), 16.0 + 2.0 * np.arange(10)])])
    road = roads.build(route_of(kept), 0)
    assert is_drivable(road) and distance_to(road, [(50.0, 0.0), (70.0, 0.0)]).max() < 0.5
    assert road.junctions[0].turn == "right" and road.junctions[0].enter > 50.0


def test_a_step_aside_becomes_a_lane_change():
    points = straight(120.0, 5.0)
    points[12:, 1] += 3.5
    road = roads.build(route_of(points, "SequentialLaneChange"), 0)
    (change,) = road.lane_changes
    assert change.lateral == pytest.approx(3.5, abs=0.1) and 50.0 < change.enter < 58.0 and 59.0 < change.leave < 64.0
    assert road.junctions == () and np.abs(road.yaw).max() < 0.3 and distance_to(road, points).max() < 2.5


def test_a_route_that_crosses_itself_is_told_apart_by_the_hint():
    loop = bend(20.0, 270.0, 60.0, 60.0)
    road = roads.build(route_of(loop), 0)
    x, y, _, _ = road.pose(np.array([40.0]))
    other = road.s[((road.x - x) ** 2 + (road.y - y) ** 2 < 1.0) & (road.s > 90.0)][0]  # the place where the line comes back
    s, _ = road.project(x, y, np.array([40.5]))
    again, _ = road.project(x, y, np.array([other + 1.0]))
    assert s[0] == pytest.approx(40.0, abs=1e-6) and abs(again[0] - other) < 1.5


def test_pose_and_project_take_any_shape():
    road = roads.build(route_of(bend(30.0, 60.0)), 0)
    x, y, _, yaw = road.pose(np.linspace(0, 50, 6).reshape(2, 3), 1.0)
    assert x.shape == yaw.shape == (2, 3)
    s, d = road.project(x, y)
    assert s.shape == (2, 3) and np.allclose(d, 1.0)
    s, d = road.project(float(x[1, 2]), float(y[1, 2]), 49.0)
    assert float(s) == pytest.approx(50.0) and float(d) == pytest.approx(1.0)
    far, _ = road.project(*road.pose(road.s[-1] + 30.0)[:2], road.s[-1])
    assert float(far) == pytest.approx(road.s[-1] + 30.0)  # beyond the end it goes on straight
    assert float(road.curvature_at(-50.0)) == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("kind", ["AccidentTwoWays", "ParkedObstacle", "HighwayCutIn", "CrossingBicycleFlow", "InvadingTurn", ""])
@pytest.mark.parametrize("town", ["Town02", "Town07", "Town12"])
def test_lanes_suit_the_scenario(kind, town):
    road = roads.build(route_of(straight(), kind, town), 0)
    assert [lane.offset for lane in road.lanes] == sorted(lane.offset for lane in road.lanes)
    edges = [(lane.offset - lane.width / 2, lane.offset + lane.width / 2) for lane in road.lanes]
    assert all(a[1] == pytest.approx(b[0]) for a, b in zip(edges, edges[1:]))
    driving = [lane for lane in road.lanes if lane.kind == "driving"]
    assert any(lane.offset == 0.0 and lane.direction == 1 for lane in driving)
    assert not any(lane.direction == -1 and lane.offset > 0 for lane in driving)
    ways = [lane.direction for lane in driving]
    if kind in ("AccidentTwoWays", "InvadingTurn"):
        assert ways == [-1, 1]
    if kind in ("ParkedObstacle", "HighwayCutIn"):
        assert ways.count(1) >= 2
    if kind == "HighwayCutIn":
        assert road.town_kind == "highway" and -1 not in ways
    if kind == "CrossingBicycleFlow":
        assert "bike" in [lane.kind for lane in road.lanes]


def test_the_first_own_route_has_two_lanes_each_way():
    road = roads.build(routes.read(routes.DEFAULT_FILE)[0], 0)
    assert [lane.direction for lane in road.lanes if lane.kind == "driving"] == [-1, -1, 1, 1]
    assert road.town_kind == "urban" and 150.0 < road.length < 250.0


@pytest.mark.parametrize("points", [[(0, 0), (40, 0)] * 6, [(0, 0), (3, 0), (0, 0), (3, 0)], [(0, 0, 0), (8, 0, 0), (0, 0.2, 0)]])
def test_a_route_that_no_car_can_drive_is_refused(points):
    with pytest.raises(InvalidRouteFile):
        road = roads.build(route_of(points), 0)
        assert is_drivable(road)


place = st.floats(-80.0, 80.0)


@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.generate], derandomize=True)
@given(st.lists(st.tuples(place, place, st.floats(0.0, 5.0)), min_size=2, max_size=12))
def test_any_points_give_a_drivable_road_or_a_refusal(points):
    try:
        road = roads.build(route_of(points), 0)
    except InvalidRouteFile:
        return
    assert is_drivable(road) and all(np.isfinite(column).all() for column in (road.x, road.y, road.z, road.yaw))
    assert np.abs(np.hypot(np.diff(road.x), np.diff(road.y)) - roads.SPACING).max() < 0.05


def test_a_road_has_the_same_bits_on_every_python_and_numpy():
    """A snapshot carries its route, not its road: who changes this digest on purpose raises the version of the backend's snapshots."""
    told = hashlib.blake2b(digest_size=8)
    for route in routes.read(routes.DEFAULT_FILE):
        road = roads.build(route, 0)
        x, y, z, yaw = road.pose(road.s + 0.2, 1.5)
        for column in (road.s, road.x, road.y, road.z, road.yaw, road.curvature, x, y, z, yaw, *road.project(x, y, road.s)):
            told.update(column.astype("<f8").tobytes())
        told.update(repr((road.lanes, road.speed_limit, [(j.control, j.turn, j.enter, j.leave) for j in road.junctions])).encode())
    assert told.hexdigest() == "36dd4f7cf9aab6fb"


@needs_bench2drive
def test_every_real_route_becomes_a_road():
    for route in bench2drive():
        road = roads.build(route, 0)
        assert is_drivable(road), route.id
        gaps = np.hypot(*np.diff(route.waypoints[:, :2], axis=0).T)
        assert distance_to(road, route.waypoints).max() < (2.5 if road.lane_changes else 0.6), route.id
        assert 0.98 < road.length / gaps.sum() < 1.12, route.id
        slips = (gaps > 10.0).sum() - len(road.junctions)
        assert slips == 0 or (slips == 1 and road.town_kind == "highway"), route.id
        assert len(road.lane_changes) == (2 if route.scenarios[0].type == "SequentialLaneChange" else 0), route.id
        assert [j.enter for j in road.junctions] == sorted(j.enter for j in road.junctions)
        check_inverse(road, route.id)


@needs_bench2drive
def test_a_road_is_the_same_every_time():
    for route in bench2drive()[::20]:
        one, two = roads.build(route, 3), roads.build(route, 3)
        assert one.lanes == two.lanes and one.junctions == two.junctions
        assert all((getattr(one, name) == getattr(two, name)).all() for name in ("s", "x", "y", "z", "yaw", "curvature"))
