"""What rays can hit: upright boxes of actors and of the corridor's posts, in the frame that a sensor rides in.

All of them stand on the plane under the sensor, as in pictures. Left out: houses, trees and walls of the scenery, an actor's pitch and
roll, and what an actor's shape is within its box.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple, Tuple

import numpy as np

from ...world.road import Road
from ...world.signals import LIGHT
from ..actors import Actor
from ..world import World
from . import signs
from .crowd import seen
from .mount import Mount

POLE, LAMP, SIGN = 6, 7, 8
"""CARLA's labels."""

_Row = Tuple[float, ...]  # id, label, x, y, yaw, half length, half width, height, bottom, velocity x, velocity y, yaw rate
_PARTS = {
    # label, forward, right, half length, half width, bottom, top of a post's parts; the post looks forward
    True: (
        (POLE, 0.0, 0.0, 0.09, 0.09, 0.0, 5.6),
        (LAMP, 0.1, 0.0, 0.12, 0.2, 2.3, 3.4),
        (LAMP, 0.1, 2.9, 0.12, 0.2, 4.7, 5.8),
    ),
    False: ((POLE, 0.0, 0.0, 0.04, 0.04, 0.0, 2.0), (SIGN, 0.05, 0.0, 0.05, 0.42, 2.03, 2.87)),
}


class Boxes(NamedTuple):
    """Columns of length N, in the sensor's frame (x forward, y right, z above the ground); velocities are the world's, turned into it."""

    id: Any  # int64; 0 of a post
    label: Any  # uint8
    middle: Any  # [N, 3]
    half: Any  # [N, 3]
    yaw: Any  # radians
    velocity: Any  # [N, 2], m/s
    spin: Any  # rad/s

    def of(self, rows: Any) -> Boxes:
        """Some of them."""
        return Boxes(*(column[rows] for column in self))


def boxes(world: World, mount: Mount, reach: float) -> Boxes:
    """All boxes within reach (metres) of the sensor, but not what carries it."""
    rows = [_of_actor(actor) for actor in world.actors.values() if actor.id != mount.unseen and seen(actor) and max(actor.extent) > 0.0]
    table = np.array([*rows, *_of_posts(mount.road)], np.float64).reshape(-1, 12)
    away = np.hypot(table[:, 2] - mount.x, table[:, 3] - mount.y) - table[:, 5] - table[:, 6]
    table = table[away < reach + math.hypot(*mount.place[:2])]
    cos, sin = math.cos(mount.yaw), math.sin(mount.yaw)
    inward = np.array([[cos, -sin], [sin, cos]])  # row vectors of the world times this are the frame's
    flat = (table[:, 2:4] - (mount.x, mount.y)) @ inward
    height, bottom = table[:, 7], table[:, 8]
    middle = np.column_stack([flat, bottom + height / 2.0])
    half = np.column_stack([table[:, 5:7], height / 2.0])
    number, label = table[:, 0].astype(np.int64), table[:, 1].astype(np.uint8)
    return Boxes(number, label, middle, half, table[:, 4] - mount.yaw, table[:, 9:11] @ inward, table[:, 11])


def _of_actor(actor: Actor) -> _Row:
    yaw, (cx, cy, _), half = math.radians(actor.pose.yaw), actor.centre, actor.extent
    cos, sin = math.cos(yaw), math.sin(yaw)
    x, y = actor.pose.x + cx * cos - cy * sin, actor.pose.y + cx * sin + cy * cos
    label = actor.tags[0] if actor.tags else 0
    velocity = actor.velocity
    return (actor.id, label, x, y, yaw, half[0], half[1], 2.0 * half[2], 0.0, velocity[0], velocity[1], math.radians(actor.angular[2]))


@lru_cache(maxsize=64)
def _of_posts(road: Road) -> Tuple[_Row, ...]:
    posts, rows = signs.posts(road), []
    for x, y, yaw, kind in zip(*(column.tolist() for column in posts[:4])):
        cos, sin = math.cos(yaw), math.sin(yaw)
        for label, ahead, right, long, wide, bottom, top in _PARTS[kind == LIGHT]:
            place = (x + ahead * cos - right * sin, y + ahead * sin + right * cos)
            rows.append((0, label, *place, yaw, long, wide, top - bottom, bottom, 0.0, 0.0, 0.0))
    return tuple(rows)
