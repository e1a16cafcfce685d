"""Does the ego touch anything? Oriented boxes on the ground, by separating axes, vectorised over the actors.

Debris is no obstacle: one drives over it. An open door is a second, small box at the left of its vehicle.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .actors import ActorKind, Actors
from .ego import LENGTH, WIDTH

_DOOR_LENGTH, _DOOR_WIDTH, _DOOR_AT = 1.1, 0.95, 0.35  # metres; the last: forward of the vehicle's middle


def word_of(kind: int) -> str:
    """What hitting an actor of that kind is called: "vehicle", "walker" or "static"."""
    if kind == ActorKind.WALKER:
        return "walker"
    return "vehicle" if kind <= ActorKind.BICYCLE else "static"


def touching(actors: Actors) -> Any:
    """Which actors overlap row 0, as int indices, ascending; the ego itself, debris and the invisible never do."""
    dx, dy = actors.x - actors.x[0], actors.y - actors.y[0]
    reach = 0.5 * (LENGTH + WIDTH) + 0.5 * (actors.length + actors.width) + 1.0
    near = actors.visible & (actors.kind != ActorKind.DEBRIS) & (np.abs(dx) < reach) & (np.abs(dy) < reach)
    near[0] = False
    rows = np.flatnonzero(near)
    if not len(rows):
        return rows
    hit = overlaps(actors, rows, actors.x[rows], actors.y[rows], half_length=0.5 * actors.length[rows], half_width=0.5 * actors.width[rows])
    open_ = actors.door[rows] > 0.05
    if open_.any():
        hit |= open_ & _doors(actors, rows)
    return rows[hit]


def overlaps(actors: Actors, rows: Any, x: Any, y: Any, *, half_length: Any, half_width: Any) -> Any:
    """bool per row: the box at (x, y) with the row's yaw overlaps the ego's box."""
    yaw = actors.yaw[rows]
    ego_cos, ego_sin = np.cos(actors.yaw[0]), np.sin(actors.yaw[0])
    cos, sin = np.cos(yaw), np.sin(yaw)
    dx, dy = x - actors.x[0], y - actors.y[0]
    between_cos, between_sin = np.abs(ego_cos * cos + ego_sin * sin), np.abs(ego_cos * sin - ego_sin * cos)
    length, width = 0.5 * LENGTH, 0.5 * WIDTH
    return (
        (np.abs(dx * ego_cos + dy * ego_sin) < length + half_length * between_cos + half_width * between_sin)
        & (np.abs(dy * ego_cos - dx * ego_sin) < width + half_length * between_sin + half_width * between_cos)
        & (np.abs(dx * cos + dy * sin) < half_length + length * between_cos + width * between_sin)
        & (np.abs(dy * cos - dx * sin) < half_width + length * between_sin + width * between_cos)
    )


def _doors(actors: Actors, rows: Any) -> Any:
    yaw = actors.yaw[rows]
    cos, sin = np.cos(yaw), np.sin(yaw)
    width = _DOOR_WIDTH * actors.door[rows]
    left = 0.5 * (actors.width[rows] + width)
    x = actors.x[rows] + cos * _DOOR_AT + sin * left
    y = actors.y[rows] + sin * _DOOR_AT - cos * left
    return overlaps(actors, rows, x, y, half_length=np.full(len(rows), 0.5 * _DOOR_LENGTH), half_width=0.5 * width)
