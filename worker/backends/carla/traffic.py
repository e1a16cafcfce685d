"""The background: which vehicles the traffic manager drives on a route, where they start, and what it has been told about them.

The traffic manager lives in this process and forgets nothing that it is told, but tells nothing back: what was said is kept here, so that
it can be said again. All chance is drawn from one seeded generator; CARLA's own spawn points are taken in the map's order.
"""

from __future__ import annotations

import math
import random
from typing import Any, Callable, List, Mapping, NamedTuple, Sequence, Set, Tuple

import numpy as np

from ...world.placing import Wishes
from ...world.road import Road

_MOST = 24  # vehicles, whatever the density
_ALONG, _BESIDE = 110.0, 70.0  # metres before the start, behind the goal, and from the route, within which they start
_APART = 12.0  # metres between two of them, at least
_FREE = 18.0  # metres ahead of the ego in its own lane
_STRAIGHT = 0.7  # cosine to the route's heading
_OWN = 1.7  # metres from the route's line: the ego's own lane
_LIFT = 0.3  # metres above the ground

Told = Tuple[str, str, Tuple[Any, ...]]  # method, key of an actor or "", its other arguments
METHODS: Mapping[str, Tuple[type, bool]] = {
    "set_synchronous_mode": (bool, False),
    "set_hybrid_physics_mode": (bool, False),
    "set_random_device_seed": (int, False),
    "set_global_distance_to_leading_vehicle": (float, False),
    "vehicle_percentage_speed_difference": (float, True),
    "auto_lane_change": (bool, True),
    "update_vehicle_lights": (bool, True),
}
"""All that it is ever told, so that a snapshot can have it told nothing else: method -> type of its one value, whether about an actor."""


class Spot(NamedTuple):
    """A place where a vehicle may start: the number of CARLA's spawn point, and its transform."""

    number: int
    transform: Any


class Manners:
    """What the traffic manager has been told, in order."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self.record: List[Told] = []

    def tell(self, method: str, *values: Any, key: str = "", actor: Any = None) -> None:
        """Call that method, one of METHODS, on that actor if there is one, and remember it."""
        assert method in METHODS, method
        getattr(self._manager, method)(*([] if actor is None else [actor]), *values)
        self.record.append((method, key, values))

    def again(self, record: Sequence[Told], actor_of: Callable[[str], Any]) -> None:
        """Say all of that record once more, about the actors that those keys mean now; who is gone (None) is passed over."""
        for method, key, values in record:
            actor = actor_of(key) if key else None
            if not key or actor is not None:
                self.tell(method, *values, key=key, actor=actor)


def open_to(manners: Manners, seed: int) -> None:
    """Begin an episode: lockstep, its seed, ordinary physics everywhere. This resets all traffic lights."""
    manners.tell("set_synchronous_mode", True)
    manners.tell("set_hybrid_physics_mode", False)
    manners.tell("set_random_device_seed", seed % 2**31)
    manners.tell("set_global_distance_to_leading_vehicle", 2.5)


def introduce(manners: Manners, key: str, actor: Any, seed: str) -> None:
    """How one of its vehicles drives, by chance of its own."""
    chance = random.Random(seed)
    manners.tell("vehicle_percentage_speed_difference", round(chance.uniform(25.0, 45.0), 2), key=key, actor=actor)
    manners.tell("auto_lane_change", False, key=key, actor=actor)  # beside a scenario's obstacle it would block both lanes for ever
    manners.tell("update_vehicle_lights", True, key=key, actor=actor)


def spots(road: Road, points: Sequence[Any], chance: random.Random, density: float, wishes: Wishes) -> List[Spot]:
    """Where vehicles start, in the order of their spawning: those that the ego sees first, within what the scenario wishes."""
    wanted = min(_MOST, round(density * (7.0 + road.length / 40.0)))
    near = [point for point in enumerate(points) if _is_near(road, point[1].location)]  # a large map has thousands
    if not near or not wanted:
        return []
    names, points = zip(*near)
    places = np.array([(p.location.x, p.location.y, p.location.z, math.radians(p.rotation.yaw)) for p in points])
    s, d = road.project(places[:, 0], places[:, 1])
    way = np.cos(places[:, 3] - road.pose(s)[3])
    numbers = list(range(len(points)))
    chance.shuffle(numbers)
    free = [n for n in numbers if _allowed(road, float(s[n]), float(d[n]), float(way[n]), wishes)]
    free.sort(key=lambda n: not -60.0 < s[n] < road.length + 40.0)
    comes = [n for n in free if way[n] < -_STRAIGHT]
    return [Spot(names[n], points[n]) for n in _apart(places, free, set(comes), wanted, wishes.oncoming)]


def _is_near(road: Road, location: Any) -> bool:
    reach = _BESIDE
    return bool(road.x.min() - reach < location.x < road.x.max() + reach and road.y.min() - reach < location.y < road.y.max() + reach)


def _allowed(road: Road, s: float, d: float, way: float, wishes: Wishes) -> bool:
    if not (-_ALONG < s < road.length + _ALONG and abs(d) < _BESIDE):
        return False
    behind = max(24.0, 0.15 * road.speed_limit**2)  # whoever comes up from behind can brake for an ego that starts from rest
    if way > _STRAIGHT and abs(d) < _OWN and (-behind < s < _FREE or wishes.clear[0] < s < wishes.clear[1]):
        return False
    if road.junctions and not (_stays_clear(road, s, d, way) if not wishes.crossing else _turns_wide(road, s, way)):
        return False
    edges = road.lanes[0].offset - road.lanes[0].width, road.lanes[-1].offset + road.lanes[-1].width
    along = abs(way) > _STRAIGHT and edges[0] < d < edges[1]
    merges = way > _STRAIGHT and not along  # from a road that runs into the route's own: the traffic manager heeds nobody there
    return (along or wishes.crossing) and not merges and not (abs(s) < 8.0 and abs(d) < 3.0)


def _stays_clear(road: Road, s: float, d: float, way: float) -> bool:
    """Whether somebody from there never drives into the first junction before the ego does: a scenario is played there."""
    if way > _STRAIGHT:
        return s > road.junctions[0].leave or (s < 0.0 and abs(d) < _OWN)
    return way < -_STRAIGHT and s < road.junctions[0].enter


def _turns_wide(road: Road, s: float, way: float) -> bool:
    """Whether somebody from there meets no corner so close that the traffic manager swings over into the ego's lane."""
    return way > -_STRAIGHT or not any(s > junction.enter and junction.turn == "left" for junction in road.junctions)


def _apart(places: Any, free: Sequence[int], comes: Set[int], wanted: int, most: int) -> List[int]:
    """So many of them, in this order, no two close together, and of those that come towards the ego not more than ``most``."""
    chosen: List[int] = []
    for n in free:
        near = any(math.hypot(places[n, 0] - places[m, 0], places[n, 1] - places[m, 1]) < _APART for m in chosen)
        if not near and (n not in comes or len(comes.intersection(chosen)) < most):
            chosen.append(n)
        if len(chosen) == wanted:
            break
    return chosen


def lifted(carla: Any, transform: Any) -> Any:
    """The transform a little above the ground, where spawning meets nothing."""
    at = transform.location
    return carla.Transform(carla.Location(x=at.x, y=at.y, z=at.z + _LIFT), transform.rotation)
