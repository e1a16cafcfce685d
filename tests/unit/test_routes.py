"""Route files: what is read, what is refused and how, and the way into a snapshot and back."""

from __future__ import annotations

import re

import numpy as np
import pytest
from roads import bench2drive, needs_bench2drive

from b2d_zmq import codec
from b2d_zmq.errors import InvalidRouteFile, SnapshotCorrupt, UnknownRoute
from worker import routes

POINTS = '<position x="0" y="0" z="1"/><position x="2" y="0" z="1"/><position x="8" y="0.5" z="1"/>'
TRIGGER = '<trigger_point x="1" y="0" z="1" yaw="-90.5"/>'


def xml(*, points=POINTS, scenario=TRIGGER, head='id="7" town="Town03"', weather="", copies=1, before=""):
    scenarios = f'<scenarios><scenario name="A_1" type="Accident">{scenario}</scenario></scenarios>'
    route = f"<route {head}><waypoints>{points}</waypoints>{scenarios}<weathers>{weather}</weathers></route>"
    return f"{before}<routes>{route * copies}</routes>".encode()


def test_a_route_is_read():
    weather = '<weather route_percentage="100" wetness="90"/><weather route_percentage="0" wetness="30" scattering_intensity="1"/>'
    (route,) = routes.parse(xml(scenario=TRIGGER + '<distance value="40"/><direction value="left"/>', weather=weather), "f.xml")
    assert (route.id, route.town, route.waypoints.shape) == (7, "Town03", (3, 3))
    assert route.waypoints.dtype == np.float64 and not route.waypoints.flags.writeable
    assert route.weather == routes.Weather(wetness=30.0)
    (scenario,) = route.scenarios
    assert scenario.type == "Accident" and scenario.trigger == (1.0, 0.0, 1.0, -90.5)
    assert scenario.parameters == {"distance": {"value": "40"}, "direction": {"value": "left"}}


def test_unknown_scenario_types_and_no_scenario_are_fine():
    assert routes.parse(xml().replace(b"Accident", b"SomethingNew"), "f")[0].scenarios[0].type == "SomethingNew"
    assert routes.parse(re.sub(b"<scenarios>.*</scenarios>", b"", xml()), "f")[0].scenarios == ()


LAUGHS = '<!DOCTYPE routes [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE routes [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
REFUSED = {
    "not XML": (b"\x89PNG not xml", "not XML"),
    "empty": (b"", "not XML"),
    "cut short": (xml()[:-20], "not XML"),
    "bytes of no encoding": (b'<?xml version="1.0" encoding="nonsense-8"?>' + xml(), "not XML"),
    "another root": (b"<weathers/>", "root <weathers>"),
    "no routes": (b"<routes/>", "no routes"),
    "entities": (xml(before=LAUGHS), "no entities"),
    "an outside entity": (xml(before=OUTSIDE), "no entities"),
    "a document type": (xml(before="<!DOCTYPE routes>"), "no document type"),
    "one id twice": (xml(copies=2), "route 7: a second route"),
    "no id": (xml(head='town="Town01"'), "id is missing"),
    "a word as id": (xml(head='id="seven" town="Town01"'), "id is 'seven'"),
    "half an id": (xml(head='id="7.5" town="Town01"'), "not a whole number"),
    "a huge id": (xml(head='id="99999999999" town="Town01"'), "wanted: a number from 0"),
    "no town": (xml(head='id="7"'), "town"),
    "a strange town": (xml(head='id="7" town="Town&#10;01"'), "town"),
    "no waypoints": (xml(points=""), "0 waypoints"),
    "one waypoint": (xml(points='<position x="0" y="0" z="0"/>'), "1 waypoints"),
    "no y": (xml(points=POINTS + '<position x="0" z="0"/>'), "y of waypoint 3 is missing"),
    "NaN": (xml(points=POINTS + '<position x="nan" y="0" z="0"/>'), "x of waypoint 3 is 'nan'"),
    "infinity": (xml(points=POINTS + '<position x="inf" y="0" z="0"/>'), "x of waypoint 3 is 'inf'"),
    "far away": (xml(points=POINTS + '<position x="0" y="1e300" z="0"/>'), "y of waypoint 3"),
    "too long": (xml(points=POINTS + '<position x="90000" y="0" z="0"/>'), "m long"),
    "one spot": (xml(points='<position x="1" y="1" z="0"/>' * 3), "0.0 m long"),
    "no trigger": (xml(scenario=""), "no <trigger_point"),
    "a trigger without yaw": (xml(scenario='<trigger_point x="1" y="0" z="1"/>'), "yaw of the trigger of Accident is missing"),
    "too wet": (xml(weather='<weather route_percentage="0" wetness="900"/>'), "wetness is '900'"),
    "a long parameter": (xml(scenario=TRIGGER + f'<distance value="{"9" * 500}"/>'), "no text of at most"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_refused_by_name(name):
    data, says = REFUSED[name]
    with pytest.raises(InvalidRouteFile) as caught:
        routes.parse(data, "mine.xml")
    assert says in str(caught.value) and "mine.xml" in str(caught.value) and len(str(caught.value)) < 600


def test_too_much_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(routes, "MAX_BYTES", 200)
    path = tmp_path / "big.xml"
    path.write_bytes(xml())
    for attempt in (lambda: routes.read(path), lambda: routes.parse(xml(), "big.xml")):
        with pytest.raises(InvalidRouteFile, match=r"big\.xml.*bytes"):
            attempt()
    monkeypatch.undo()
    for limit in ("MAX_TAGS", "MAX_ROUTES", "MAX_WAYPOINTS"):
        with monkeypatch.context() as patch, pytest.raises(InvalidRouteFile):
            patch.setattr(routes, limit, 1)
            routes.parse(xml(copies=2).replace(b'id="7"', b'id="8"', 1), "big.xml")


def test_a_file_that_cannot_be_read(tmp_path):
    for path in (tmp_path / "none.xml", tmp_path):
        with pytest.raises(InvalidRouteFile, match="cannot be read"):
            routes.read(path)


def test_the_checkout_that_the_environment_names(monkeypatch, tmp_path):
    monkeypatch.delenv("BENCH2DRIVE_ROOT", raising=False)
    assert routes.usual_file() == routes.DEFAULT_FILE
    monkeypatch.setenv("BENCH2DRIVE_ROOT", str(tmp_path))
    with pytest.raises(InvalidRouteFile, match=r"leaderboard/data/bench2drive220\.xml: cannot be read"):
        routes.read(routes.usual_file())


def test_find_gives_advice():
    there = routes.read(routes.DEFAULT_FILE)
    assert routes.find(there) is there[0]
    assert routes.find(there, 104).id == 104
    assert routes.find(there, town="Town07").town == "Town07"
    with pytest.raises(UnknownRoute, match=r"no route 1040; the nearest id is 108; .* 101, 102"):
        routes.find(there, 1040)
    with pytest.raises(UnknownRoute, match="in Town07; the nearest id is 105"):
        routes.find(there, 101, "Town07")
    with pytest.raises(UnknownRoute, match="there are routes in Town03, Town05"):
        routes.find(there, 101, "Town99")


def test_the_routes_of_our_own():
    there = routes.read(routes.DEFAULT_FILE)
    assert [route.id for route in there] == list(range(101, 109))
    assert len({route.scenarios[0].type for route in there}) == 8 and len({route.weather for route in there}) == 8


def same(a, b):
    return (a.id, a.town, a.scenarios, a.weather) == (b.id, b.town, b.scenarios, b.weather) and (a.waypoints == b.waypoints).all()


def test_a_route_goes_into_a_snapshot_and_back():
    for route in routes.read(routes.DEFAULT_FILE):
        assert same(routes.Route.from_plain(codec.decode(codec.encode(route.to_plain()))), route)


WRONG = [
    None,
    {},
    [1],
    {"id": -1},
    {"id": None},
    {"town": 3},
    {"waypoints": 7},
    {"waypoints": np.zeros(6)},
    {"waypoints": np.zeros((4, 3))},
    {"waypoints": np.full((4, 3), np.nan)},
    {"waypoints": "abcdef"},
    {"scenarios": [{}]},
    {"scenarios": [{"name": "a", "type": "b", "trigger": [0.0, 0.0], "parameters": {}}]},
    {"scenarios": [{"name": "a", "type": "b", "trigger": [0.0] * 4, "parameters": {"c": 5}}]},
    {"scenarios": [{"name": "a", "type": "b", "trigger": [0.0] * 4, "parameters": {"c": {"d": 5}}}]},
    {"weather": {"wetness": float("nan")}},
    {"weather": {"snow": 3}},
    {"weather": 5},
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_spoilt_route_in_a_snapshot_is_refused(wrong):
    plain = routes.read(routes.DEFAULT_FILE)[0].to_plain()
    with pytest.raises(SnapshotCorrupt):
        routes.Route.from_plain({**plain, **wrong} if isinstance(wrong, dict) and wrong else wrong)


@needs_bench2drive
def test_bench2drive_is_read_whole():
    there = bench2drive()
    assert len(there) == 220 and len({route.scenarios[0].type for route in there}) == 44
    assert sum(len(route.waypoints) for route in there) == 9112
    for route in there:
        assert same(routes.Route.from_plain(codec.decode(codec.encode(route.to_plain()))), route)
