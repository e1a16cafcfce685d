"""A town of the stand-in: the corridors of its routes as an OpenDRIVE map, with lights, stops and places to spawn.

Corridors may lie over one another, since several routes of a town can share a road.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from ..routes import Route
from ..world import road as roads
from .actors import Pose
from .corridor import Corridor
from .junctions import Works
from .network import arrange
from .opendrive import text

Vector = Tuple[float, float, float]

KMH = 3.6


class LightPlace(NamedTuple):
    """One traffic light; the trigger box is in the light's own frame, whose x runs across the lanes it is for."""

    sign: str
    pose: Pose
    trigger_centre: Vector
    trigger_extent: Vector
    group: int
    phase: int
    pole: int


class StopPlace(NamedTuple):
    """One stop or yield sign; the trigger box as a light's."""

    sign: str
    type_id: str  # "traffic.stop" or "traffic.yield"
    pose: Pose
    trigger_centre: Vector
    trigger_extent: Vector


@dataclass(frozen=True, eq=False)
class Town:
    """See the module's text."""

    name: str
    roads: Tuple[roads.Road, ...]
    opendrive: str
    spawn_points: Tuple[Pose, ...]
    lights: Tuple[LightPlace, ...]
    stops: Tuple[StopPlace, ...]

    def corridor(self, x: float, y: float) -> int:
        """The index of the nearest road."""
        return min(range(len(self.roads)), key=lambda k: float(((self.roads[k].x - x) ** 2 + (self.roads[k].y - y) ** 2).min()))

    def height(self, x: float, y: float) -> float:
        """The ground's z."""
        road = self.roads[self.corridor(x, y)]
        return float(road.z[int(((road.x - x) ** 2 + (road.y - y) ** 2).argmin())])

    def speed_limit(self, x: float, y: float) -> float:
        """The speed limit in km/h."""
        return self.roads[self.corridor(x, y)].speed_limit * KMH

    def light_at(self, x: float, y: float, yaw: float) -> str | None:
        """The sign of the light that governs a vehicle there; yaw in degrees."""
        return None


_TOWNS: Dict[Tuple[str, Tuple[int, ...]], Town] = {}


def build(name: str, routes: Sequence[Route]) -> Town:
    """The town of that name; routes of other towns are left out."""
    mine = [route for route in routes if route.town == name]
    built = tuple(roads.build(route, 0) for route in mine)
    layout = arrange(built)
    works = Works(layout)
    spawns: List[Pose] = []
    for index, road in enumerate(built):
        corridor = Corridor(index, road)
        for s in np.arange(0.0, road.length, 20.0).tolist():
            for lane in corridor.driving.values():
                x, y, z, yaw = corridor.place(s, lane.offset)
                turned = yaw if lane.direction > 0 else yaw + math.pi
                spawns.append(Pose(x, y, z + 0.5, 0.0, math.degrees(math.remainder(turned, math.tau)), 0.0))
    return Town(name, built, text(name, works.pieces, [crossing.junction for crossing in works.crossings]), tuple(spawns), (), ())
