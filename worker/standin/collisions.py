"""Which solid boxes touch, and what comes of it: they part along the way of least depth, and their speed towards each other is spent.

Boxes are upright and turned about z. A grid keeps neighbours together, so that a tick costs only what moves. Who has no body, no physics
or no mass of a vehicle or walker does not give way.
"""

from __future__ import annotations

import math
from typing import Dict, Iterator, List, NamedTuple, Tuple

from .actors import Actor, Contact, Pose, Vehicle, Walker

_CELL = 14.0  # metres: no two boxes further apart than that can touch
_BOUNCE = 0.1
_Cell = Tuple[int, int]


class Touch(NamedTuple):
    """Two overlapping boxes: the unit vector on the ground from ``a`` to ``b`` along which they part soonest, and the depth."""

    a: Actor
    b: Actor
    nx: float
    ny: float
    depth: float


class Grid:
    """All solid actors, by where they are."""

    def __init__(self) -> None:
        self._cells: Dict[_Cell, Dict[int, Actor]] = {}
        self._where: Dict[int, _Cell] = {}

    def put(self, actor: Actor) -> None:
        """Take an actor in, or note that it has moved."""
        cell = (int(actor.pose.x // _CELL), int(actor.pose.y // _CELL))
        if self._where.get(actor.id) != cell:
            self.drop(actor)
            self._where[actor.id] = cell
            self._cells.setdefault(cell, {})[actor.id] = actor

    def drop(self, actor: Actor) -> None:
        """Forget an actor."""
        cell = self._where.pop(actor.id, None)
        if cell is not None:
            del self._cells[cell][actor.id]

    def near(self, actor: Actor) -> Iterator[Actor]:
        """Those in reach, without the actor itself."""
        row, column = int(actor.pose.x // _CELL), int(actor.pose.y // _CELL)
        for i in (row - 1, row, row + 1):
            for j in (column - 1, column, column + 1):
                for other in self._cells.get((i, j), {}).values():
                    if other is not actor:
                        yield other

    def touching(self, movers: List[Actor]) -> List[Touch]:
        """All touching pairs of which one has moved, in the order of their ids."""
        seen = {}
        for actor in movers:
            for other in self.near(actor):
                first, second = (actor, other) if actor.id < other.id else (other, actor)
                if (first.id, second.id) not in seen:
                    seen[first.id, second.id] = touch(first, second)
        return [seen[key] for key in sorted(key for key, found in seen.items() if found)]  # type: ignore[misc]


def touch(a: Actor, b: Actor) -> Touch | None:
    """How two boxes overlap, if they do."""
    ax, ay, az = _middle(a)
    bx, by, bz = _middle(b)
    dx, dy = bx - ax, by - ay
    (al, aw, ah), (bl, bw, bh) = a.extent, b.extent
    if abs(bz - az) >= ah + bh or dx * dx + dy * dy >= (math.hypot(al, aw) + math.hypot(bl, bw)) ** 2:
        return None
    ca, sa = math.cos(math.radians(a.pose.yaw)), math.sin(math.radians(a.pose.yaw))
    cb, sb = math.cos(math.radians(b.pose.yaw)), math.sin(math.radians(b.pose.yaw))
    along, across = abs(ca * cb + sa * sb), abs(ca * sb - sa * cb)
    depths = (
        (al + bl * along + bw * across - abs(dx * ca + dy * sa), ca, sa),
        (aw + bl * across + bw * along - abs(dy * ca - dx * sa), -sa, ca),
        (bl + al * along + aw * across - abs(dx * cb + dy * sb), cb, sb),
        (bw + al * across + aw * along - abs(dy * cb - dx * sb), -sb, cb),
    )
    depth, nx, ny = min(depths)
    if depth <= 0.0:
        return None
    side = 1.0 if dx * nx + dy * ny >= 0.0 else -1.0
    return Touch(a, b, side * nx, side * ny, depth)


def part(found: Touch) -> Tuple[Contact, Contact]:
    """Move the two apart and take their approach; returns what each has felt."""
    a, b, nx, ny, depth = found
    give_a, give_b = _give(a), _give(b)
    total = give_a + give_b
    if not total:
        return Contact(a.id, b.id, (0.0, 0.0, 0.0)), Contact(b.id, a.id, (0.0, 0.0, 0.0))
    (avx, avy), (bvx, bvy) = _velocity(a), _velocity(b)
    approach = (avx - bvx) * nx + (avy - bvy) * ny
    impulse = (1.0 + _BOUNCE) * max(0.0, approach) / total
    _push(a, -nx, -ny, depth * give_a / total, impulse * give_a)
    _push(b, nx, ny, depth * give_b / total, impulse * give_b)
    x, y = impulse * nx, impulse * ny
    return Contact(a.id, b.id, (-x, -y, 0.0)), Contact(b.id, a.id, (x, y, 0.0))


def _middle(actor: Actor) -> Tuple[float, float, float]:
    cx, cy, cz = actor.centre
    pose = actor.pose
    if not (cx or cy):
        return pose.x, pose.y, pose.z + cz
    cos, sin = math.cos(math.radians(pose.yaw)), math.sin(math.radians(pose.yaw))
    return pose.x + cx * cos - cy * sin, pose.y + cx * sin + cy * cos, pose.z + cz


def _give(actor: Actor) -> float:
    """One over the mass of what gives way."""
    if not actor.physics or not isinstance(actor.body, (Vehicle, Walker)) or actor.mass <= 0.0:
        return 0.0
    return 1.0 / actor.mass


def _velocity(actor: Actor) -> Tuple[float, float]:
    body = actor.body
    if not isinstance(body, Vehicle):
        return actor.velocity[0], actor.velocity[1]
    car = body.car
    cos, sin = math.cos(car.yaw), math.sin(car.yaw)
    return car.forward * cos - car.sideways * sin, car.forward * sin + car.sideways * cos


def _push(actor: Actor, nx: float, ny: float, distance: float, speed: float) -> None:
    """Shift by a distance and change the velocity along the unit vector."""
    if not distance and not speed:
        return
    pose, body = actor.pose, actor.body
    actor.pose = Pose(pose.x + nx * distance, pose.y + ny * distance, *pose[2:])
    if isinstance(body, Vehicle):
        car = body.car
        cos, sin = math.cos(car.yaw), math.sin(car.yaw)
        car.x, car.y = actor.pose.x, actor.pose.y
        car.forward += speed * (nx * cos + ny * sin)
        car.sideways += speed * (ny * cos - nx * sin)
        car.yaw_rate *= 0.5
