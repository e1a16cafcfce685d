"""A Bench2Drive route on a CARLA map -> the road that task, expert and scenarios drive on (worker.world.road).

The waypoints say where the route runs outside the junctions; the map says how it gets through them, where it comes from and goes on to,
which lanes lie beside it and where its junctions are. One road has one cross-section: that of the place of the route's scenario.
Only ``carla.Map`` is asked, which answers in this process: no call to the server.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import replace
from itertools import count
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np

from b2d_zmq.errors import InvalidRouteFile

from ...routes import Route
from ...world import line
from ...world.lanes import Lane, speed_limit_of, town_kind_of
from ...world.road import MARGIN, SPACING, Road, laid, straight, with_junctions

_OFF = 4.0  # metres from the middle of a driving lane at which a waypoint is none of this map's
_GAP = 4.5  # metres between two waypoints that the map has to fill
_STEP = 2.0  # metres
_THERE = 1.5  # metres: the search for a way has arrived
_BEND = SPACING / 8.0  # radians in SPACING metres: the margins follow no tighter bend
_KINDS = {
    "Driving": "driving",
    "Bidirectional": "driving",
    "Parking": "parking",
    "Biking": "bike",
    "Sidewalk": "sidewalk",
    "Shoulder": "shoulder",
}
_VERGE = 1.0  # metres
_MOST_LANES = 12  # on either side
_SCENE = 15.0  # metres behind the trigger point where the cross-section is taken


def road_of(route: Route, carla: Any, town: Any) -> Road:
    """The road of a route on that ``carla.Map``, without controls at its junctions. Raises InvalidRouteFile where it is not on the map."""
    ground = _Ground(carla, town)
    places = route.waypoints.tolist()
    found = [ground.on_lane(place, f"waypoint {number} of route {route.id}") for number, place in enumerate(places, 1)]
    traced = line.trace(_filled(places, found))
    first, last = found[0], found[-1]
    points = [*_margin(first, traced.points, -1), *traced.points, *_margin(last, traced.points, 1)]
    kind = town_kind_of(route)
    road = replace(laid(points, traced), town_kind=kind, speed_limit=speed_limit_of(route, kind))
    road = replace(road, lanes=ground.lanes(road, _scene(route, road)))
    return with_junctions(road, ground.junctions(road), "yield")


class _Ground:
    """Questions to a map about places of a road."""

    def __init__(self, carla: Any, town: Any) -> None:
        self._carla, self._town = carla, town

    def on_lane(self, place: Sequence[float], name: str) -> Any:
        """The map's waypoint there. Raises InvalidRouteFile where there is no driving lane."""
        found = self._waypoint(*place)
        away = math.inf if found is None else math.hypot(found.transform.location.x - place[0], found.transform.location.y - place[1])
        if away > _OFF:
            told = "has no driving lane there" if found is None else f"has its nearest driving lane {away:.1f} m away"
            raise InvalidRouteFile(f"{name} is at {place[0]:.1f}, {place[1]:.1f}, and the map {self._town.name} {told}: is the town right?")
        return found

    def lanes(self, road: Road, s: float) -> Tuple[Lane, ...]:
        """The strips at s, or at the nearest place outside of junctions, left to right, the route's own about 0."""
        places = sorted(np.arange(0.0, road.length, 5.0).tolist(), key=lambda other: abs(other - s))
        found = [self._waypoint(*_place(road, place)) for place in (s, *places)]
        own = next((waypoint for waypoint in found if waypoint is not None and not waypoint.is_junction), found[0])
        if own is None:
            raise InvalidRouteFile(f"the map {self._town.name} has no driving lane {s:.0f} m from the start of the route")
        middle = _lane(own, own, 0.0)
        left, right = _strips(own, -1), _strips(own, 1)
        return (*_verge(left or [middle], -1), *left[::-1], middle, *right, *_verge(right or [middle], 1))

    def junctions(self, road: Road) -> List[Tuple[float, float]]:
        """The s between which the route is within a junction of the map."""
        spans: List[Tuple[float, float]] = []
        for s in np.arange(0.0, road.length, SPACING).tolist():
            waypoint = self._waypoint(*_place(road, s))
            if waypoint is None or not waypoint.is_junction:
                continue
            if spans and s - spans[-1][1] < 3.0:
                spans[-1] = (spans[-1][0], s)
            else:
                spans.append((s, s))
        return spans

    def _waypoint(self, x: float, y: float, z: float) -> Any:
        location = self._carla.Location(x=x, y=y, z=z)
        return self._town.get_waypoint(location, project_to_road=True, lane_type=self._carla.LaneType.Driving)


def _place(road: Road, s: float) -> Tuple[float, float, float]:
    x, y, z, _ = road.pose(np.float64(s))
    return float(x), float(y), float(z)


def _scene(route: Route, road: Road) -> float:
    """s of the place whose cross-section the road has."""
    if not route.scenarios:
        return 0.0
    s, _ = road.project(np.array([route.scenarios[0].trigger[0]]), np.array([route.scenarios[0].trigger[1]]))
    return min(max(float(s[0]) + _SCENE, 0.0), road.length)


def _filled(places: List[List[float]], found: List[Any]) -> List[List[float]]:
    """The waypoints, and between those that lie far apart the way that the map knows from one to the other, if it does."""
    filled = [places[0]]
    for a, b, start, end in zip(places, places[1:], found, found[1:]):
        gap = math.hypot(b[0] - a[0], b[1] - a[1])
        if gap > _GAP:
            filled.extend(_way(start, end, 1.6 * gap + 20.0))
        filled.append(b)
    return filled


def _way(start: Any, end: Any, most: float) -> List[List[float]]:
    """Points of the shortest way between two waypoints along the lanes, without its ends; none where a lane change is needed."""
    order = count()
    queue: List[Tuple[float, int, Any, Tuple[Any, ...]]] = [(0.0, next(order), start, ())]
    seen: Dict[Tuple[int, int, int, int], bool] = {}
    while queue:
        length, _, here, way = heapq.heappop(queue)
        if way and _arrived(here, end):
            return [[p.x, p.y, p.z] for p in (waypoint.transform.location for waypoint in way[:-1])]
        if length > most:
            continue
        for onward in here.next(_STEP):
            key = (onward.road_id, onward.section_id, onward.lane_id, round(onward.s))
            if key not in seen:
                seen[key] = True
                heapq.heappush(queue, (length + _STEP, next(order), onward, (*way, onward)))
    return []


def _arrived(here: Any, end: Any) -> bool:
    a, b = here.transform, end.transform
    near = math.hypot(a.location.x - b.location.x, a.location.y - b.location.y) < _THERE
    return near and math.cos(math.radians(a.rotation.yaw - b.rotation.yaw)) > 0.7


def _margin(waypoint: Any, points: List[line.Point], way: int) -> List[line.Point]:
    """The road before the first point (way -1) or behind the last (1): the map's straightest, and straight on where that ends."""
    wanted, ends = int(MARGIN / SPACING), points[:5][::-1] if way < 0 else points[-5:]
    known = list(ends)
    if _leads(waypoint, *((points[0], points[1]) if way < 0 else (points[-2], points[-1]))):
        at = waypoint.transform.location
        shift = (known[-1][0] - at.x, known[-1][1] - at.y, known[-1][2] - at.z)
        while len(known) < wanted + len(ends):
            onward = waypoint.next(SPACING) if way > 0 else waypoint.previous(SPACING)
            bends = [(_bend(known, _shifted(other, shift)), number) for number, other in enumerate(onward)]
            if not bends or min(bends)[0] > _BEND:
                break
            waypoint = onward[min(bends)[1]]
            known.append(_shifted(waypoint, shift))
    margin = known[len(ends) :]
    margin += straight(known[-5], known[-1], wanted - len(margin))
    return margin[::-1] if way < 0 else margin


def _shifted(waypoint: Any, shift: line.Point) -> line.Point:
    at = waypoint.transform.location
    return at.x + shift[0], at.y + shift[1], at.z + shift[2]


def _bend(known: List[line.Point], onward: line.Point) -> float:
    """Radians of the turn at the last known point towards the next; much where the step is none."""
    (ax, ay, _), (bx, by, _) = known[-2:]
    ux, uy, vx, vy = bx - ax, by - ay, onward[0] - bx, onward[1] - by
    if not 0.5 * SPACING < math.hypot(vx, vy) < 1.5 * SPACING:
        return math.inf
    return abs(math.atan2(ux * vy - uy * vx, ux * vx + uy * vy))


def _leads(waypoint: Any, a: line.Point, b: line.Point) -> bool:
    """Whether the lane leads from a to b; where roads lie on one another the one that was found may be another's."""
    yaw = math.radians(waypoint.transform.rotation.yaw)
    return (b[0] - a[0]) * math.cos(yaw) + (b[1] - a[1]) * math.sin(yaw) > 0.7 * SPACING


def _strips(own: Any, side: int) -> List[Lane]:
    """The strips beside the route's lane on one side (-1 left), from the inside outwards, as far as one could drive or walk."""
    strips: List[Lane] = []
    here, offset = own, 0.0
    while len(strips) < _MOST_LANES:
        beyond = _beside(own, here, side)
        if beyond is None or str(beyond.lane_type) not in _KINDS:
            break
        offset += side * 0.5 * (here.lane_width + beyond.lane_width)
        strips.append(_lane(own, beyond, offset))
        here = beyond
    return strips


def _verge(strips: Sequence[Lane], side: int) -> List[Lane]:
    """A narrow strip beyond the last one, where that is for driving and the map knows of nothing beside it: one can stand there."""
    last = strips[-1]
    return [Lane(last.offset + side * 0.5 * (last.width + _VERGE), _VERGE, 0, "shoulder")] if last.kind == "driving" else []


def _beside(own: Any, here: Any, side: int) -> Any:
    """The next strip; those that lead the other way have their own left and right."""
    same = (here.lane_id > 0) == (own.lane_id > 0)
    return here.get_right_lane() if (side > 0) == same else here.get_left_lane()


def _lane(own: Any, strip: Any, offset: float) -> Lane:
    kind = _KINDS[str(strip.lane_type)]
    way = 1 if (strip.lane_id > 0) == (own.lane_id > 0) else -1
    return Lane(round(offset, 6) + 0.0, round(float(strip.lane_width), 6), way if kind == "driving" else 0, kind)
