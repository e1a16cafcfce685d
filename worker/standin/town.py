"""A town of the stand-in: the corridors of its routes as one OpenDRIVE map, with lights, signs and places to spawn.

How corridors that lie over one another become one network is told in network.py. A town without routes gets those of default_town.py.
Rule: the same routes give the same town, byte for byte.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np

from ..routes import Route
from ..world.road import Road
from .actors import Pose
from .default_town import routes_for
from .ground import Ground
from .junctions import Works
from .network import arrange
from .opendrive import Piece, text
from .signals import LightPlace, Signals, StopPlace, rounded, signals_of
from .straight import road_of

__all__ = ["LightPlace", "StopPlace", "Town", "build"]

KMH = 3.6
SPAWN_EVERY = 20.0  # metres
SPAWN_UP = 0.5  # metres above the road
OPTIMISED = "_Opt"  # the same town under another name, in CARLA


@dataclass(frozen=True, eq=False)
class Town:
    """See the module's text."""

    name: str
    roads: Tuple[Road, ...]
    opendrive: str
    spawn_points: Tuple[Pose, ...]
    lights: Tuple[LightPlace, ...]
    stops: Tuple[StopPlace, ...]
    ground: Ground

    def height(self, x: float, y: float) -> float:
        """The ground's z."""
        return self.ground.height(x, y)

    def corridor(self, x: float, y: float) -> int:
        """The index of the road that a place belongs to: the nearest on the map."""
        return self.ground.nearest(x, y).owner

    def speed_limit(self, x: float, y: float) -> float:
        """The speed limit in km/h."""
        return self.ground.nearest(x, y).limit

    def light_at(self, x: float, y: float, yaw: float) -> str | None:
        """The sign of the light that governs a vehicle there; yaw in degrees."""
        return self.ground.light(x, y, math.radians(yaw))


def plain(name: str) -> str:
    """The name of a town, optimised or not."""
    return name[: -len(OPTIMISED)] if name.endswith(OPTIMISED) else name


def build(name: str, routes: Sequence[Route]) -> Town:
    """The town of that name; routes of other towns are left out. Towns that were built are kept."""
    mine = [route for route in routes if plain(route.town) == plain(name)] or list(routes_for(name))
    key = (name, tuple(id(route) for route in mine))
    if key not in _TOWNS:
        _TOWNS[key] = (mine, _build(name, mine))
    return _TOWNS[key][1]


_TOWNS: Dict[Any, Tuple[List[Route], Town]] = {}


def _build(name: str, routes: Sequence[Route]) -> Town:
    built = tuple(road_of(route) for route in routes)
    works = Works(arrange(built))
    signals: Signals = signals_of(works.crossings)
    written = text(name, works.pieces, [crossing.junction for crossing in works.crossings], signals.controllers)
    ground = Ground(works.pieces, signals.lines)
    return Town(name, built, written, tuple(_spawn_points(works.pieces)), tuple(signals.lights), tuple(signals.stops), ground)


def _spawn_points(pieces: Sequence[Piece]) -> List[Pose]:
    """Places on the driving lanes, outside of junctions."""
    return [pose for piece in pieces if piece.junction < 0 for pose in _along(piece)]


def _along(piece: Piece) -> List[Pose]:
    poses = []
    for id_, d in piece.middles():
        for s in np.arange(6.0, piece.curve.length - 6.0, SPAWN_EVERY).tolist():
            x, y, z, yaw = piece.curve.at(s, d)
            heading = yaw if id_ < 0 else yaw + math.pi
            poses.append(rounded(Pose(x, y, z + SPAWN_UP, 0.0, math.degrees(math.remainder(heading, math.tau)))))
    return poses
