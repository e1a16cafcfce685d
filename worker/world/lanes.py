"""What a route's road is like: the kind of its surroundings, its lanes, its speed limit, and its junctions.

A route file names a town and a scenario, not lanes, so the rest is made up here to suit both: a scenario "TwoWays" gets one lane each way,
one with a parked car a second lane to pass it, a motorway merge a motorway. One route has the same lanes in every episode.
"""

from __future__ import annotations

import math
import random
import re
from dataclasses import dataclass
from typing import List, Sequence, Tuple

from ..routes import Route

Place = Tuple[float, float, float]  # x, y, yaw


@dataclass(frozen=True)
class Lane:
    """A strip along the road. ``offset`` is its centre's d; the ego's lane has offset 0."""

    offset: float
    width: float
    direction: int  # +1 the ego's way, -1 oncoming, 0 nobody drives there
    kind: str  # "driving", "shoulder", "parking", "bike", "sidewalk"


@dataclass(frozen=True)
class Junction:
    """A place where another road crosses. ``control`` says what the ego meets there: "light", "stop", "yield" or "none"."""

    enter: float  # s of the ego's stop line
    leave: float  # s where the junction is behind
    x: float  # where the middles of the two roads meet
    y: float
    yaw: float  # radians: the heading of traffic that comes from the ego's left
    control: str
    turn: str  # "left", "right", "straight": what the route does here
    half_width: float  # half the width of the crossing road


_RURAL_TOWNS = {"Town07"}
_MIXED_TOWNS = {"Town04", "Town06", "Town11", "Town12", "Town13"}
_HIGHWAY = re.compile(r"Highway|^Merger|^EnterActorFlow|^Interurban|^SequentialLaneChange")
_URBAN = re.compile(r"Park|Pedestrian|Bicycle|DynamicObject|OpensDoor|Signalized|Junction|Intersection|Opposite|Turning|Vanilla")
_ONE_EACH_WAY = re.compile(r"TwoWays$|^InvadingTurn|^T_Junction|^OppositeVehicleTakingPriority")
_SECOND_LANE = re.compile(
    r"^(Accident|ConstructionObstacle|ParkedObstacle|HazardAtSideLane|VehicleOpensDoor|StaticCutIn|ParkingCutIn|YieldToEmergencyVehicle)$"
)
_PARKING = re.compile(r"^Park|OpensDoor|^DynamicObjectCrossing")
_BIKES = re.compile(r"Bicycle")
_LIGHT = re.compile(r"^Signalized|(Red|Green)Light$|^OppositeVehicleRunningRedLight")
_STOP = re.compile(r"Stopsign$")
_GIVE_WAY = re.compile(r"^NonSignalized|^T_Junction|TakingPriority|^VanillaNonSignalized")
_MERGE = re.compile(r"ActorFlow$|^Merger|^Highway")

URBAN_LANE, HIGHWAY_LANE, PARKING, BIKE, SIDEWALK = 3.5, 3.75, 2.3, 1.8, 2.6  # widths in metres
URBAN_LIMITS = (8.33, 11.11, 13.89)  # m/s: 30, 40, 50 km/h
RURAL_LIMIT, HIGHWAY_LIMIT = 19.44, 25.0  # m/s: 70, 90 km/h


def _type(route: Route) -> str:
    return route.scenarios[0].type if route.scenarios else ""


def town_kind_of(route: Route) -> str:
    """ "urban", "rural" or "highway", from the town and, where a town has all, from the scenario."""
    kind = _type(route)
    if _HIGHWAY.search(kind):
        return "highway"
    if route.town in _RURAL_TOWNS:
        return "rural"
    if route.town not in _MIXED_TOWNS or _URBAN.search(kind):
        return "urban"
    if _ONE_EACH_WAY.search(kind):
        return "rural"
    if _SECOND_LANE.search(kind):
        return "highway" if _chance(route, "kind").random() < 0.5 else "urban"
    return "rural"


def speed_limit_of(route: Route, kind: str) -> float:
    """The speed limit in m/s."""
    if kind == "urban":
        return _chance(route, "limit").choice(URBAN_LIMITS)
    return RURAL_LIMIT if kind == "rural" else HIGHWAY_LIMIT


def lanes_of(route: Route, kind: str) -> Tuple[Lane, ...]:
    """The lanes, left to right. Beside the ego's lane on the right there is never an oncoming one."""
    if kind == "highway":
        return _highway(route)
    scenario, chance = _type(route), _chance(route, "lanes")
    two = chance.random() < 0.45 if kind == "urban" else False
    ways = 1 if _ONE_EACH_WAY.search(scenario) else 2 if two or _SECOND_LANE.search(scenario) else 1
    width = URBAN_LANE
    driving = [(width, -1)] * ways + [(width, 1)] * ways
    right: List[Tuple[float, str]] = []
    if _BIKES.search(scenario):
        right.append((BIKE, "bike"))
    elif kind == "urban" and (_PARKING.search(scenario) or chance.random() < 0.35):
        right.append((PARKING, "parking"))
    right.append((SIDEWALK, "sidewalk") if kind == "urban" else (1.2, "shoulder"))
    return _placed(right[::-1], driving, right)


def _highway(route: Route) -> Tuple[Lane, ...]:
    """One carriageway of two or three lanes; the ego keeps to the right or the middle."""
    chance = _chance(route, "lanes")
    left, right = (1, 0) if _MERGE.search(_type(route)) else chance.choice([(2, 0), (1, 1), (1, 0)])
    if _SECOND_LANE.search(_type(route)):
        right = 0
    lanes = _placed([(1.5, "shoulder")], [(HIGHWAY_LANE, 1)] * (left + 1), [])
    lanes += tuple(Lane(HIGHWAY_LANE * (k + 1), HIGHWAY_LANE, 1, "driving") for k in range(right))
    return lanes + (Lane(HIGHWAY_LANE * (right + 0.5) + 1.5, 3.0, 0, "shoulder"),)


def _placed(
    left: Sequence[Tuple[float, str]], driving: Sequence[Tuple[float, int]], right: Sequence[Tuple[float, str]]
) -> Tuple[Lane, ...]:
    """Strips of these widths side by side, the last of the driving lanes about d = 0."""
    strips = [(width, 0, kind) for width, kind in left] + [(width, way, "driving") for width, way in driving]
    edge = driving[-1][0] / 2.0 - sum(width for width, _, _ in strips)
    lanes = []
    for width, direction, kind in strips + [(width, 0, kind) for width, kind in right]:
        lanes.append(Lane(round(edge + width / 2.0, 6) + 0.0, width, direction, kind))
        edge += width
    return tuple(lanes)


def control_of(route: Route, seed: int, kind: str) -> str:
    """What rules this route's junctions; the seed decides where the scenario leaves it open."""
    scenario, chance = _type(route), _chance(route, f"control/{seed}")
    if _STOP.search(scenario):
        return "stop"
    if _LIGHT.search(scenario):
        return "light"
    if _GIVE_WAY.search(scenario):
        return chance.choice(["stop", "yield"]) if scenario.startswith("NonSignalized") else "yield"
    if kind == "highway":
        return "yield"
    return chance.choices(["light", "stop", "yield"], [0.75, 0.1, 0.15] if kind == "urban" else [0.2, 0.4, 0.4])[0]


def junction_at(span: Tuple[float, float], places: Sequence[Place], lanes: Sequence[Lane], kind: str, control: str) -> Junction | None:
    """The junction between two s; ``places`` are the line's at its beginning, middle and end. None for a motorway's slip road."""
    first, middle, last = places
    turned = last[2] - first[2]
    turn = "straight" if abs(turned) < math.radians(35.0) else "right" if turned > 0.0 else "left"
    if kind == "highway" and abs(turned) < math.radians(60.0):
        return None
    driving = [lane for lane in lanes if lane.kind == "driving"]
    edges = driving[0].offset - driving[0].width / 2.0, driving[-1].offset + driving[-1].width / 2.0
    centre = (edges[0] + edges[1]) / 2.0
    half = min((edges[1] - edges[0]) / 2.0, max(2.5, (span[1] - span[0]) / 2.0 - 2.0))
    if turn == "straight":
        x, y = _beside(middle, centre)
        yaw = middle[2] + math.pi / 2.0
    else:
        x, y = _meeting(first, last, middle, centre)
        yaw = last[2] + (0.0 if turn == "right" else math.pi)
    return Junction(*span, x, y, yaw, control, turn, half)


def _beside(place: Place, d: float) -> Tuple[float, float]:
    return place[0] - d * math.sin(place[2]), place[1] + d * math.cos(place[2])


def _meeting(first: Place, last: Place, middle: Place, centre: float) -> Tuple[float, float]:
    """Where the middle of the road that the route comes on meets the middle of the one it leaves on."""
    (ax, ay), (bx, by) = _beside(first, centre), _beside(last, centre)
    ux, uy, vx, vy = math.cos(first[2]), math.sin(first[2]), math.cos(last[2]), math.sin(last[2])
    cross, reach = ux * vy - uy * vx, math.hypot(last[0] - first[0], last[1] - first[1])
    if abs(cross) < 0.4:  # a bend, or a turn back: the lines meet far away or nowhere
        return _beside(middle, centre)
    along = min(max(((bx - ax) * vy - (by - ay) * vx) / cross, 0.0), reach)
    return ax + along * ux, ay + along * uy


def _chance(route: Route, what: str) -> random.Random:
    return random.Random(f"{route.town}/{route.id}/{what}")
