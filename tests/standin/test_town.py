"""The towns that the stand-in makes of routes: carla's own map code takes them, and routes, lights and queries fit together."""

import math
import random

import numpy as np
import pytest
import roads
from standins import wheel

from worker import routes as route_files
from worker.standin.town import build

carla = wheel()

OWN = route_files.read(route_files.DEFAULT_FILE)
EMPTY = "Town99"  # a name without routes
NAMES = [*sorted({route.town for route in OWN}), EMPTY]


@pytest.fixture(scope="module")
def towns():
    return {name: build(name, OWN) for name in NAMES}


@pytest.fixture(scope="module")
def maps(towns):
    return {name: carla.Map(name, town.opendrive) for name, town in towns.items()}


@pytest.fixture(scope="module")
def bench2drive():
    if not roads.BENCH2DRIVE.exists():
        pytest.skip("Bench2Drive's routes are not here")
    return roads.bench2drive()


def place(point):
    return carla.Location(*(float(part) for part in point))


def off(waypoint, point):
    there = waypoint.transform.location
    return math.hypot(there.x - point[0], there.y - point[1])


def along_and_aside(waypoint, pose):
    there, yaw = waypoint.transform.location, math.radians(pose.yaw)
    dx, dy = there.x - pose.x, there.y - pose.y
    return dx * math.cos(yaw) + dy * math.sin(yaw), dy * math.cos(yaw) - dx * math.sin(yaw)


def turned(a, b):
    """Degrees between two headings."""
    return abs((a - b + 180.0) % 360.0 - 180.0)


def headings(points):
    """The heading at each waypoint whose neighbours are near, else None."""
    found = []
    for index in range(len(points)):
        a, b = points[max(0, index - 1)], points[min(len(points) - 1, index + 1)]
        near = math.hypot(b[0] - a[0], b[1] - a[1]) < 6.0
        found.append(math.degrees(math.atan2(b[1] - a[1], b[0] - a[0])) if near else None)
    return found


def follows(map_, a, b, step=1.0):
    """Whether the map leads from one waypoint of a route to the next, by the ways that it has or a change of lanes."""
    reach, gone = 1.7 * math.hypot(b[0] - a[0], b[1] - a[1]) + 4.0, 0.0
    front = [map_.get_waypoint(place(a))]
    while front and gone < reach:
        onward = {(w.road_id, w.section_id, w.lane_id, round(w.s, 1)): w for old in front for w in old.next(step)}
        front, gone = list(onward.values())[:60], gone + step
        for waypoint in front:
            beside = [waypoint, waypoint.get_left_lane(), waypoint.get_right_lane()]
            if any(each is not None and each.lane_type == carla.LaneType.Driving and off(each, b) < 1.2 * step for each in beside):
                return True
    return False


@pytest.mark.parametrize("route", OWN, ids=lambda route: str(route.id))
def test_waypoints_lie_on_driving_lanes_that_lead_from_one_to_the_next(route, maps):
    map_, points = maps[route.town], route.waypoints.tolist()
    for point, heading in zip(points, headings(points)):
        waypoint = map_.get_waypoint(place(point))
        assert waypoint.lane_type == carla.LaneType.Driving
        assert off(waypoint, point) < 0.2
        assert abs(waypoint.transform.location.z - point[2]) < 0.3
        assert heading is None or turned(waypoint.transform.rotation.yaw, heading) < 10.0
    assert all(follows(map_, a, b) for a, b in zip(points, points[1:]))


@pytest.mark.parametrize("name", NAMES)
def test_the_yaw_of_a_lane_is_the_way_it_goes(name, towns, maps):
    for pose in towns[name].spawn_points[::5]:
        waypoint = maps[name].get_waypoint(place(pose[:3]))
        for _ in range(40):
            onward = waypoint.next(0.5)
            if not onward:
                break
            a, b = waypoint.transform, onward[0].transform
            across = math.hypot(b.location.x - a.location.x, b.location.y - a.location.y)
            heading = math.degrees(math.atan2(b.location.y - a.location.y, b.location.x - a.location.x))
            if not (waypoint.is_junction or onward[0].is_junction):
                assert turned(a.rotation.yaw, heading) < 4.0
                assert turned(a.rotation.yaw, b.rotation.yaw) < 7.0
                assert 0.3 < across < 0.8
            waypoint = onward[0]


@pytest.mark.parametrize("name", NAMES)
def test_spawn_points_stand_on_driving_lanes_and_look_along_them(name, towns, maps):
    assert len(towns[name].spawn_points) >= 10
    for pose in towns[name].spawn_points:
        waypoint = maps[name].get_waypoint(place(pose[:3]))
        along, aside = (abs(part) for part in along_and_aside(waypoint, pose))
        assert aside < 0.05
        assert along < 0.5  # carla finds the nearest place on a lane no better
        assert turned(waypoint.transform.rotation.yaw, pose.yaw) < 2.0
        assert 0.2 < pose.z - waypoint.transform.location.z < 0.8
        assert not waypoint.is_junction


@pytest.mark.parametrize("name", NAMES)
def test_lights_and_signs_are_the_maps_landmarks_and_seen_from_the_lanes_they_are_for(name, towns, maps):
    town, map_ = towns[name], maps[name]
    marks = {mark.id: mark for mark in map_.get_all_landmarks()}
    assert set(marks) == {each.sign for each in [*town.lights, *town.stops]}
    for each in [*town.lights, *town.stops]:
        mark = marks[each.sign].transform.location
        assert math.hypot(mark.x - each.pose.x, mark.y - each.pose.y) < 2.0
        across = math.radians(each.pose.yaw)
        back = across + math.pi / 2.0
        x, y = each.pose.x + each.trigger_centre[0] * math.cos(across), each.pose.y + each.trigger_centre[0] * math.sin(across)
        waypoint = map_.get_waypoint(place((x + 8.0 * math.cos(back), y + 8.0 * math.sin(back), each.pose.z)))
        assert turned(waypoint.transform.rotation.yaw, each.pose.yaw - 90.0) < 10.0
        assert each.sign in {mark.id for mark in waypoint.get_landmarks(20.0)}


def test_a_light_governs_those_before_it_and_nobody_else(towns):
    for light in towns[EMPTY].lights:
        across = math.radians(light.pose.yaw)
        back, yaw = across + math.pi / 2.0, light.pose.yaw - 90.0
        x, y = (light.pose[k] + light.trigger_centre[0] * (math.cos, math.sin)[k](across) for k in (0, 1))
        at = [(x + d * math.cos(back), y + d * math.sin(back)) for d in (3.0, 12.0, 40.0, -3.0)]
        assert [towns[EMPTY].light_at(*each, yaw) for each in at] == [light.sign, light.sign, None, None]
        assert towns[EMPTY].light_at(*at[0], yaw + 180.0) != light.sign


def test_the_lights_of_a_junction_are_one_group_of_two_phases(towns):
    lights = towns[EMPTY].lights
    assert {light.group for light in lights} == {0, 1, 2}
    for group in range(3):
        headings_of = {phase: [light.pose.yaw for light in lights if (light.group, light.phase) == (group, phase)] for phase in (0, 1)}
        assert all(1 <= len(found) <= 2 for found in headings_of.values())
        for first in headings_of[0]:
            assert all(abs(math.sin(math.radians(first - other))) > 0.7 for other in headings_of[1])


def test_a_junction_lets_crossing_traffic_through_and_round_the_corner(towns, maps):
    junctions = {w.get_junction().id: w.get_junction() for pair in maps[EMPTY].get_topology() for w in pair if w.is_junction}
    ways = {key: len(junction.get_waypoints(carla.LaneType.Driving)) for key, junction in junctions.items()}
    assert sum(count >= 8 for count in ways.values()) == 3
    assert len(towns[EMPTY].roads) == 3


def test_a_route_that_changes_lanes_does_so_on_a_straight_road(bench2drive):
    town = build("Town12", bench2drive)
    assert not any(road.lane_changes for road in town.roads)
    map_ = carla.Map("Town12", town.opendrive)
    points = next(route for route in bench2drive if route.id == 17598).waypoints.tolist()
    lanes = [map_.get_waypoint(place(point)).lane_id for point in points]
    assert len(set(lanes)) == 3


def test_traffic_of_one_way_finds_back_to_the_start_of_its_road(towns, maps):
    waypoint = maps["Town06"].get_waypoint(place(towns["Town06"].spawn_points[0][:3]))
    met, gone = set(), 0.0
    while gone < 2000.0 and (waypoint.road_id, round(waypoint.s, -1)) not in met:
        met.add((waypoint.road_id, round(waypoint.s, -1)))
        waypoint, gone = waypoint.next(25.0)[0], gone + 25.0
    assert gone < 2000.0
    assert len({road for road, _ in met}) >= 3


def test_no_lane_of_a_small_town_is_a_dead_end(maps):
    assert all(waypoint.next(5.0) for waypoint in maps[EMPTY].generate_waypoints(4.0))


@pytest.mark.parametrize("name", NAMES)
def test_the_ground_is_where_the_map_has_it(name, towns, maps):
    for pose in towns[name].spawn_points:
        road = maps[name].get_waypoint(place(pose[:3])).transform.location
        assert abs(towns[name].height(pose.x, pose.y) - road.z) < 0.05
        assert 0 <= towns[name].corridor(pose.x, pose.y) < len(towns[name].roads)
        assert 20.0 < towns[name].speed_limit(pose.x, pose.y) < 100.0


def test_a_town_is_made_once_and_always_the_same(towns):
    assert build("Town03", OWN) is towns["Town03"]
    assert build("Town03", route_files.read(route_files.DEFAULT_FILE)).opendrive == towns["Town03"].opendrive
    assert build("Town10HD_Opt", OWN).roads[0].length == towns["Town10HD"].roads[0].length


def test_every_bench2drive_town_is_accepted_and_carries_its_routes(bench2drive):
    names = sorted({route.town for route in bench2drive})
    assert len(names) == 12
    aside, lost, wrong_way = [], [], []
    for name in names:
        town = build(name, bench2drive)
        assert len(town.opendrive) < 4_000_000
        map_ = carla.Map(name, town.opendrive)
        for route in (route for route in bench2drive if route.town == name):
            points = route.waypoints.tolist()
            waypoints = [map_.get_waypoint(place(point)) for point in points]
            aside += [off(waypoint, point) for waypoint, point in zip(waypoints, points)]
            wrong_way += [
                (route.id, index)
                for index, (w, heading) in enumerate(zip(waypoints, headings(points)))
                if heading is not None and turned(w.transform.rotation.yaw, heading) > 20.0
            ]
            lost += [(route.id, index) for index, (a, b) in enumerate(zip(points, points[1:])) if not follows(map_, a, b)]
    assert not wrong_way
    # Where routes share a road, one's lanes are as wide as the other's waypoints let them be, a hand's breadth off here and there.
    assert max(aside) < 0.6
    assert sum(each > 0.5 for each in aside) < 30
    assert {route for route, _ in lost} <= {14862}  # its third waypoint lies where two ways part


def test_the_traffic_manager_finds_nothing_to_die_of(bench2drive):
    """Its process ends with SIGSEGV where a lane leads twice into another, into no driving lane, or is linked to nothing."""
    for name in sorted({route.town for route in bench2drive}):
        map_ = carla.Map(name, build(name, bench2drive).opendrive)
        pairs = [tuple((w.road_id, w.section_id, w.lane_id) for w in pair) for pair in map_.get_topology()]
        lanes = {(w.road_id, w.section_id, w.lane_id) for w in map_.generate_waypoints(5.0)}
        assert len(pairs) == len(set(pairs))
        assert {lane for pair in pairs for lane in pair} == lanes


def test_questions_about_places_have_answers(bench2drive):
    town, rng = build("Town12", bench2drive), random.Random(5)
    places = [(p.x + rng.uniform(-3, 3), p.y + rng.uniform(-3, 3), p.yaw) for p in rng.sample(town.spawn_points, 400)]
    for x, y, yaw in places:
        assert np.isfinite(town.height(x, y)) and 20.0 <= town.speed_limit(x, y) <= 130.0
        assert isinstance(town.corridor(x, y), int) and isinstance(town.light_at(x, y, yaw), (str, type(None)))
