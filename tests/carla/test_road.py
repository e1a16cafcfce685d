"""Routes on maps, by ``carla.Map`` alone: no server. The stand-in's towns are made of the embedded world's roads, which are known."""

from __future__ import annotations

import random

import numpy as np
import pytest
from standins import wheel

from b2d_zmq.errors import InvalidRouteFile
from worker import routes as route_files
from worker.backends.carla import wheel as wheels
from worker.backends.carla.looks import lamps_of
from worker.backends.carla.route import road_of
from worker.backends.carla.traffic import spots
from worker.standin import town as towns
from worker.world.actors import Lights
from worker.world.placing import Wishes
from worker.world.road import MARGIN, SPACING
from worker.world.road import build as embedded

carla = wheel()
ROUTES = {route.id: route for route in route_files.read(route_files.DEFAULT_FILE)}


def town_of(route):
    built = towns.build(route.town, [route])
    return built, carla.Map(route.town, built.opendrive)


@pytest.mark.parametrize("number", sorted(ROUTES))
def test_the_road_on_the_map_is_the_road_that_the_map_was_made_of(number):
    route = ROUTES[number]
    road, known = road_of(route, carla, town_of(route)[1]), embedded(route, 0)
    assert road.length == pytest.approx(known.length, abs=0.5)
    assert len(road.s) == len(road.x) and road.s[0] == -MARGIN and road.s[-1] >= road.length + MARGIN - SPACING
    inside = (road.s > 0.0) & (road.s < road.length)
    _, d = known.project(road.x[inside], road.y[inside])
    assert np.abs(d).max() < 0.3
    steps = np.hypot(np.diff(road.x), np.diff(road.y))
    assert steps.min() > 0.4 * SPACING and steps.max() < 1.6 * SPACING
    own = [lane for lane in road.lanes if lane.offset == 0.0]
    assert [(lane.kind, lane.direction) for lane in own] == [("driving", 1)]
    assert list(road.lanes) == sorted(road.lanes, key=lambda lane: lane.offset)
    assert (road.town_kind, road.speed_limit) == (known.town_kind, known.speed_limit)


def test_a_junction_of_the_map_is_one_of_the_road():
    route = ROUTES[102]
    road, known = road_of(route, carla, town_of(route)[1]), embedded(route, 0)
    assert len(road.junctions) == len(known.junctions) == 1
    mine, theirs = road.junctions[0], known.junctions[0]
    assert mine.turn == theirs.turn and abs(mine.enter - theirs.enter) < 8.0 and abs(mine.leave - theirs.leave) < 12.0


def test_a_gap_across_a_junction_is_filled_by_the_map():
    route = ROUTES[102]
    town = town_of(route)[1]
    whole = road_of(route, carla, town)
    junction = whole.junctions[0]
    s, _ = whole.project(route.waypoints[:, 0], route.waypoints[:, 1])
    kept = route.waypoints[(s < junction.enter - 10.0) | (s > junction.leave + 10.0)]
    assert len(kept) < len(route.waypoints)
    holed = route_files.Route(route.id, route.town, kept, route.scenarios, route.weather)
    road = road_of(holed, carla, town)
    _, d = whole.project(road.x, road.y)
    assert road.length == pytest.approx(whole.length, abs=1.0) and np.abs(d).max() < 0.6


def test_a_route_off_the_map_is_refused_by_name():
    route = ROUTES[101]
    town = town_of(route)[1]
    away = route_files.Route(7, route.town, route.waypoints + (0.0, 5000.0, 0.0), route.scenarios, route.weather)
    with pytest.raises(InvalidRouteFile, match=r"waypoint 1 of route 7 .*driving lane"):
        road_of(away, carla, town)


def test_traffic_starts_apart_by_chance_and_never_where_the_ego_or_the_scenario_is():
    route = ROUTES[101]
    road, points = road_of(route, carla, town_of(route)[1]), town_of(route)[1].get_spawn_points()
    points = [carla.Transform(carla.Location(p.x, p.y, p.z), carla.Rotation(yaw=p.yaw)) for p in town_of(route)[0].spawn_points]
    wishes = Wishes(clear=(0.0, 60.0), oncoming=2)
    found = spots(road, points, random.Random(1), 1.0, wishes)
    assert found and found == spots(road, points, random.Random(1), 1.0, wishes)
    assert [spot.number for spot in found] != [spot.number for spot in spots(road, points, random.Random(2), 1.0, wishes)]
    assert spots(road, points, random.Random(1), 0.0, wishes) == [] == spots(road, [], random.Random(1), 1.0, wishes)
    places = np.array([(spot.transform.location.x, spot.transform.location.y, spot.transform.rotation.yaw) for spot in found])
    s, d = road.project(places[:, 0], places[:, 1])
    own = np.cos(np.radians(places[:, 2]) - road.pose(s)[3]) > 0.7
    assert not (own & (np.abs(d) < 1.7) & (s > 0.0) & (s < 60.0)).any()
    assert (np.cos(np.radians(places[:, 2]) - road.pose(s)[3]) < -0.7).sum() <= 2
    apart = np.hypot(*(places[:, None, :2] - places[None, :, :2]).transpose(2, 0, 1)) + 1e3 * np.eye(len(places))
    assert apart.min() > 10.0


def test_lamps_are_carlas():
    lamps = carla.VehicleLightState
    assert int(lamps_of(carla, int(Lights.HAZARD | Lights.BRAKE))) == int(lamps.LeftBlinker) | int(lamps.RightBlinker) | int(lamps.Brake)
    assert int(lamps_of(carla, 0)) == 0


def test_the_advice_names_the_wheels(monkeypatch):
    monkeypatch.setattr(wheels.sys, "version_info", (3, 13, 0))
    assert "no wheel for this Python 3.13" in wheels.advice() and "0.9.15 for Python 3.7 to 3.10" in wheels.advice()
    monkeypatch.setattr(wheels.sys, "version_info", (3, 10, 2))
    assert "pip install carla==0.9.15" in wheels.advice("0.9.15") and "pip install carla==0.9.16" in wheels.advice()
    assert "no wheel of CARLA 0.9.10" in wheels.advice("0.9.10")
