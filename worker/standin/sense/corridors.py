"""Which corridor a moving sensor is on: the one whose line is near and goes its way, so that a picture does not change where routes cross.

Rule: it follows from place and heading alone. Corridors of which nothing is laid, because others cover them, do not count.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from ...world.road import SPACING, Road
from ..town import Town

_ACROSS = 12.0  # metres of distance that a line at right angles to the heading is worth
_PREFERENCE = 0.02  # metres by which each corridor stands behind the one before it: where two share a road, one of them is always nearer
_REACH = 60.0  # metres from the sensor to the corridors that are compared
_EVERY = 10.0  # metres between the places at which a corridor is looked up


@lru_cache(maxsize=64)  # a car's cameras all ask the same
def road_at(town: Town, x: float, y: float, yaw: float) -> Road:
    """The corridor of something that heads there, yaw in radians, its own way or the other."""
    boxes = _boxes(town)
    near = np.flatnonzero((boxes[:, 0] < x) & (x < boxes[:, 2]) & (boxes[:, 1] < y) & (y < boxes[:, 3])).tolist()
    best, least = town.corridor(x, y), math.inf
    for index in near if len(near) > 1 else ():
        road = town.roads[index]
        away = np.hypot(road.x - x, road.y - y) + _ACROSS * np.abs(np.sin(road.yaw - yaw))
        found = float(away.min()) + _PREFERENCE * index
        if found < min(least, _REACH) and _laid(town, index):
            best, least = index, found
    return town.roads[best]


@lru_cache(maxsize=8)
def _boxes(town: Town) -> Any:
    """For each corridor the least and greatest x and y of what is within reach."""
    rows = [(road.x.min() - _REACH, road.y.min() - _REACH, road.x.max() + _REACH, road.y.max() + _REACH) for road in town.roads]
    return np.array(rows, np.float64)


@lru_cache(maxsize=1024)
def _laid(town: Town, index: int) -> bool:
    """Whether some place of the corridor's line is the corridor's on the map."""
    road, step = town.roads[index], round(_EVERY / SPACING)
    return any(town.corridor(x, y) == index for x, y in zip(road.x[::step].tolist(), road.y[::step].tolist()))
