"""Does the ego touch anything? Oriented boxes on the ground, by separating axes; only the few actors close by are looked at one by one.

Debris is no obstacle: one drives over it. An open door is a second, small box at the left of its vehicle.
"""

from __future__ import annotations

import math
from typing import List, Tuple

import numpy as np

from .actors import ActorKind, Actors
from .ego import LENGTH, WIDTH

_DOOR_LENGTH, _DOOR_WIDTH, _DOOR_AT = 1.1, 0.95, 0.35  # metres; the last: forward of the vehicle's middle
_REACH = 9.0  # metres: no two boxes touch whose middles are farther apart along x or y


def word_of(kind: int) -> str:
    """What hitting an actor of that kind is called: "vehicle", "walker" or "static"."""
    if kind == ActorKind.WALKER:
        return "walker"
    return "vehicle" if kind <= ActorKind.BICYCLE else "static"


def touching(actors: Actors) -> List[int]:
    """Which actors overlap row 0, ascending; the ego itself, debris and the invisible never do."""
    x, y = actors.x[0], actors.y[0]
    near = (np.abs(actors.x - x) < _REACH) & (np.abs(actors.y - y) < _REACH) & actors.visible
    rows = near.nonzero()[0].tolist()
    return [row for row in rows if row and actors.kind[row] != ActorKind.DEBRIS and _touches(actors, row)]


def _touches(actors: Actors, row: int) -> bool:
    x, y, yaw, door = actors.x.item(row), actors.y.item(row), actors.yaw.item(row), actors.door.item(row)
    length, width = actors.length.item(row), actors.width.item(row)
    ego = actors.x.item(0), actors.y.item(0), actors.yaw.item(0)
    if overlap(ego, (x, y, yaw), 0.5 * length, 0.5 * width):
        return True
    if door <= 0.05:
        return False
    cos, sin, wide = math.cos(yaw), math.sin(yaw), _DOOR_WIDTH * door
    left = 0.5 * (width + wide)
    return overlap(ego, (x + cos * _DOOR_AT + sin * left, y + sin * _DOOR_AT - cos * left, yaw), 0.5 * _DOOR_LENGTH, 0.5 * wide)


def overlap(ego: Tuple[float, float, float], box: Tuple[float, float, float], half_length: float, half_width: float) -> bool:
    """Whether the ego at (x, y, yaw) overlaps a box of that place and half size, by separating axes."""
    dx, dy = box[0] - ego[0], box[1] - ego[1]
    length, width = 0.5 * LENGTH, 0.5 * WIDTH
    if dx * dx + dy * dy > (length + width + half_length + half_width) ** 2:
        return False
    ego_cos, ego_sin, cos, sin = math.cos(ego[2]), math.sin(ego[2]), math.cos(box[2]), math.sin(box[2])
    between_cos, between_sin = abs(ego_cos * cos + ego_sin * sin), abs(ego_cos * sin - ego_sin * cos)
    return (
        abs(dx * ego_cos + dy * ego_sin) < length + half_length * between_cos + half_width * between_sin
        and abs(dy * ego_cos - dx * ego_sin) < width + half_length * between_sin + half_width * between_cos
        and abs(dx * cos + dy * sin) < half_length + length * between_cos + width * between_sin
        and abs(dy * cos - dx * sin) < half_width + length * between_sin + width * between_cos
    )
