"""Bench2Drive's route XML -> routes: town, waypoints, scenarios, weather. Refuses what is malformed or hostile.

Coordinates are CARLA's: left-handed, x and y in metres on the ground, z up, yaw in degrees clockwise seen from above.
A route also turns into plain values and back, because a snapshot carries its route to workers that have another file.
Rule: whatever a Route holds has been checked, wherever it came from; nobody checks it again.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Tuple
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from b2d_zmq.errors import InvalidRouteFile, SnapshotCorrupt, UnknownRoute

DEFAULT_FILE = Path(__file__).parent / "data" / "routes.xml"
IN_CHECKOUT = Path("leaderboard") / "data" / "bench2drive220.xml"

MAX_BYTES = 32 * 1024 * 1024
MAX_TAGS = 500_000  # an element costs about a hundred times its text in memory
MAX_ROUTES = 10_000
MAX_WAYPOINTS = 10_000  # of one route
MAX_SCENARIOS = 100  # of one route
MAX_PARAMETERS = 64  # of one scenario
MAX_TEXT = 200  # characters of a name or a parameter
MAX_PLACE = 1e6  # metres from the origin
MIN_LENGTH, MAX_LENGTH = 5.0, 20_000.0  # metres along the waypoints

_WORD = re.compile(r"[A-Za-z0-9_.\-/]{1,64}")
_WANTED = '<routes><route id="1" town="Town12"><waypoints><position x="" y="" z=""/>... as in Bench2Drive\'s leaderboard/data'


@dataclass(frozen=True)
class Scenario:
    """One scenario of a route: one of Bench2Drive's 44 types, where it triggers, and its other elements as text."""

    name: str
    type: str
    trigger: Tuple[float, float, float, float]  # x, y, z in metres, yaw in degrees
    parameters: Dict[str, Dict[str, str]]  # element -> its attributes, such as {"direction": {"value": "left"}}


@dataclass(frozen=True)
class Weather:
    """CARLA's weather parameters that matter here; percentages from 0 to 100, angles in degrees."""

    cloudiness: float = 5.0
    precipitation: float = 0.0
    precipitation_deposits: float = 0.0
    wetness: float = 0.0
    wind_intensity: float = 10.0
    sun_azimuth_angle: float = -1.0
    sun_altitude_angle: float = 45.0
    fog_density: float = 2.0


WEATHER_RANGE = {
    field.name: {"sun_azimuth_angle": (-360.0, 360.0), "sun_altitude_angle": (-90.0, 90.0)}.get(field.name, (0.0, 100.0))
    for field in fields(Weather)
}
"""Parameter of the weather -> (least, most)."""


@dataclass(frozen=True, eq=False)
class Route:
    """One route of a file."""

    id: int
    town: str
    waypoints: np.ndarray[Any, Any]  # float64 [N, 3], N >= 2
    scenarios: Tuple[Scenario, ...]
    weather: Weather  # the one at route_percentage 0

    def to_plain(self) -> Dict[str, Any]:
        """The route as plain values and one array, for ``codec.encode``."""
        scenarios = [{**asdict(scenario), "trigger": list(scenario.trigger)} for scenario in self.scenarios]
        return {
            "id": self.id,
            "town": self.town,
            "waypoints": self.waypoints,
            "scenarios": scenarios,
            "weather": asdict(self.weather),
        }

    @classmethod
    def from_plain(cls, plain: Any) -> Route:
        """The route that ``to_plain`` wrote, checked like a file's. Raises SnapshotCorrupt."""
        try:
            scenarios = [_scenario(each["name"], each["type"], each["trigger"], each["parameters"]) for each in plain["scenarios"]]
            return _route(plain["id"], plain["town"], plain["waypoints"], scenarios, weather_of(plain["weather"]))
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise SnapshotCorrupt(f"a snapshot whose route cannot be used: {error}") from None


def usual_file() -> Path:
    """The routes of who names no file: those of the Bench2Drive checkout at ``$BENCH2DRIVE_ROOT``; without one, our own."""
    root = os.environ.get("BENCH2DRIVE_ROOT")
    return Path(root) / IN_CHECKOUT if root else DEFAULT_FILE


def read(path: Path) -> Tuple[Route, ...]:
    """The routes of a file, in its order. Raises InvalidRouteFile."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidRouteFile(f"{path}: {path.stat().st_size} bytes; a route file has at most {MAX_BYTES}")
        data = path.read_bytes()
    except OSError as error:
        raise InvalidRouteFile(f"{path}: cannot be read ({error.strerror}); give the path of a Bench2Drive route file") from None
    return parse(data, str(path))


def parse(data: bytes, name: str) -> Tuple[Route, ...]:
    """The routes in these bytes; ``name`` stands in the messages. Raises InvalidRouteFile."""
    elements = list(_root(data, name))
    if not elements:
        raise InvalidRouteFile(f"{name}: no routes in it; wanted: {_WANTED}")
    if len(elements) > MAX_ROUTES:
        raise InvalidRouteFile(f"{name}: {len(elements)} routes; the most is {MAX_ROUTES}: split the file")
    routes: Dict[int, Route] = {}
    for number, element in enumerate(elements, 1):
        label = f"{name}: route {str(element.get('id', f'number {number}'))[:20]}"
        try:
            route = _from_element(element)
        except ValueError as error:
            raise InvalidRouteFile(f"{label}: {error}") from None
        if route.id in routes:
            raise InvalidRouteFile(f"{label}: a second route of this id; give each its own")
        routes[route.id] = route
    return tuple(routes.values())


def find(routes: Sequence[Route], route_id: int | None = None, town: str | None = None) -> Route:
    """The route of that id, or the first of that town, or the first. Raises UnknownRoute that names some there are."""
    there = [route for route in routes if town is None or route.town == town]
    if not there:
        towns = ", ".join(sorted({route.town for route in routes})) or "none"
        raise UnknownRoute(f"no route in town {town!r}; there are routes in {towns}")
    if route_id is None:
        return there[0]
    for route in there:
        if route.id == route_id:
            return route
    raise UnknownRoute(_no_such_route(there, route_id, town))


def weather_of(given: Mapping[str, Any]) -> Weather:
    """The Weather of these parameters (numbers, or their text); those not given have their default. Raises ValueError."""
    unknown = sorted(set(given) - set(WEATHER_RANGE))
    if unknown:
        raise ValueError(f"no weather parameter {unknown[0]!r}; there are {', '.join(WEATHER_RANGE)}")
    return Weather(**{key: _number(value, key, *WEATHER_RANGE[key]) for key, value in given.items()})


def _no_such_route(there: Sequence[Route], route_id: int, town: str | None) -> str:
    nearest = min(there, key=lambda route: abs(route.id - route_id)).id
    some = ", ".join(str(route.id) for route in there[:8])
    place = f" in {town}" if town else ""
    return f"no route {route_id}{place}; the nearest id is {nearest}; the {len(there)} there are begin with {some}"


def _root(data: bytes, name: str) -> Element:
    if len(data) > MAX_BYTES or data.count(b"<") > MAX_TAGS:
        raise InvalidRouteFile(f"{name}: too large; a route file has at most {MAX_BYTES} bytes and {MAX_TAGS} tags")
    try:
        root: Element = fromstring(data, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    except DefusedXmlException as error:
        raise InvalidRouteFile(f"{name}: refused, a route file has no document type and no entities ({type(error).__name__})") from None
    except (ParseError, ValueError, LookupError) as error:
        raise InvalidRouteFile(f"{name}: not XML ({error}); wanted: {_WANTED}") from None
    if root.tag != "routes" or any(element.tag != "route" for element in root):
        raise InvalidRouteFile(f"{name}: not a route file (root <{root.tag[:40]}>); wanted: {_WANTED}")
    return root


def _from_element(element: Element) -> Route:
    points = [[place.get(key) for key in "xyz"] for place in element.findall("waypoints/position")]
    scenarios = [_scenario_element(each) for each in element.findall("scenarios/scenario")]
    return _route(element.get("id"), element.get("town"), points, scenarios, _weather_element(element))


def _route(id_: Any, town: Any, points: Any, scenarios: List[Scenario], weather: Weather) -> Route:
    number = _number(id_, "id", 0, 2**31 - 1)
    if number != int(number):
        raise ValueError(f"id {id_!r} is not a whole number")
    if not isinstance(town, str) or not _WORD.fullmatch(town):
        raise ValueError(f"town {str(town)[:40]!r}; wanted: a name such as Town12")
    if len(scenarios) > MAX_SCENARIOS:
        raise ValueError(f"{len(scenarios)} scenarios; the most is {MAX_SCENARIOS}")
    return Route(int(number), town, _waypoints(points), tuple(scenarios), weather)


def _waypoints(points: Any) -> np.ndarray[Any, Any]:
    if not 2 <= len(points) <= MAX_WAYPOINTS:
        raise ValueError(f"{len(points)} waypoints; wanted: 2 to {MAX_WAYPOINTS} <position x y z/> in <waypoints>")
    rows = []
    for index, point in enumerate(points):
        if len(point) != 3:
            raise ValueError(f"waypoint {index} has {len(point)} coordinates; wanted: x, y and z")
        rows.append([_number(value, f"{key} of waypoint {index}", -MAX_PLACE, MAX_PLACE) for key, value in zip("xyz", point)])
    array = np.array(rows, dtype=np.float64)
    array.flags.writeable = False
    length = sum(math.hypot(b[0] - a[0], b[1] - a[1]) for a, b in zip(rows, rows[1:]))
    if not MIN_LENGTH <= length <= MAX_LENGTH:
        raise ValueError(f"its waypoints are {length:.1f} m long; wanted: {MIN_LENGTH:.0f} to {MAX_LENGTH:.0f} m")
    return array


def _scenario_element(element: Element) -> Scenario:
    name, kind = element.get("name", ""), element.get("type")
    place = element.find("trigger_point")
    if place is None:
        raise ValueError(f"scenario {str(name)[:40]!r} has no <trigger_point x y z yaw/>")
    trigger = [place.get(key) for key in ("x", "y", "z", "yaw")]
    parameters = {child.tag: dict(child.attrib) for child in element if child.tag != "trigger_point"}
    return _scenario(name, kind, trigger, parameters)


def _scenario(name: Any, kind: Any, trigger: Sequence[Any], parameters: Mapping[str, Mapping[str, str]]) -> Scenario:
    if not isinstance(kind, str) or not _WORD.fullmatch(kind):
        raise ValueError(f"scenario type {str(kind)[:40]!r}; wanted: a name such as ParkedObstacle")
    if len(trigger) != 4:
        raise ValueError(f"the trigger of {kind} has {len(trigger)} numbers; wanted: x, y, z, yaw")
    x, y, z = (_number(value, f"{key} of the trigger of {kind}", -MAX_PLACE, MAX_PLACE) for key, value in zip("xyz", trigger))
    yaw = _number(trigger[3], f"yaw of the trigger of {kind}", -1e4, 1e4)
    if len(parameters) > MAX_PARAMETERS:
        raise ValueError(f"{kind} has {len(parameters)} parameters; the most is {MAX_PARAMETERS}")
    checked = {
        _text(tag, kind): {_text(key, kind): _text(value, kind) for key, value in attributes.items()}
        for tag, attributes in parameters.items()
    }
    return Scenario(_text(name, kind), kind, (x, y, z, yaw), checked)


def _weather_element(route: Element) -> Weather:
    """The weather at the start: the element of the least route_percentage. Parameters that nobody here uses are passed over."""
    elements = route.findall("weathers/weather")
    if not elements:
        return Weather()
    first = min(elements, key=lambda each: _number(each.get("route_percentage", "0"), "route_percentage", 0, 100))
    return weather_of({key: value for key, value in first.attrib.items() if key in WEATHER_RANGE})


def _number(value: Any, what: str, low: float, high: float) -> float:
    """A finite number within [low, high], from a number or its text. Raises ValueError."""
    if value is None:
        raise ValueError(f"{what} is missing")
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not low <= number <= high:
        raise ValueError(f"{what} is {str(value)[:40]!r}; wanted: a number from {low:g} to {high:g}")
    return number


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ValueError(f"a name or parameter of {where} is no text of at most {MAX_TEXT} characters")
    return value
