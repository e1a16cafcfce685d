"""The stand-in's actors as the table that pictures are painted from, and the traffic lights as signals.

What an actor looks like is guessed from its type, attributes and box. Row 0 is never drawn, so it stays empty.
"""

from __future__ import annotations

import math
from dataclasses import fields
from functools import lru_cache
from typing import Any, List, NamedTuple, Tuple

import numpy as np

from ...world.actors import ActorKind, Actors, Lights
from ..actors import Actor, Vehicle
from ..world import World

FAR = 400.0  # metres beyond which nothing is drawn
_THINNEST = 0.25  # metres: half of what a walker takes, arms and legs included
_LAMPS = (
    # CARLA's VehicleLightState flags, ours
    (8, Lights.BRAKE),
    (16, Lights.RIGHT),
    (32, Lights.LEFT),
    (2 | 4, Lights.HEAD),
    (64, Lights.REVERSE),
    (512 | 1024, Lights.SIREN),
)
_BASES = {
    "bicycle": ActorKind.BICYCLE,
    "motorcycle": ActorKind.BICYCLE,
    "van": ActorKind.VAN,
    "truck": ActorKind.TRUCK,
    "bus": ActorKind.TRUCK,
}
_PROPS = (
    # a part of a prop's name, what it looks like
    ("cone", ActorKind.CONE),
    ("debris", ActorKind.DEBRIS),
    ("garbage", ActorKind.DEBRIS),
    ("prop.mesh", ActorKind.CAR),
)
_FLAT = 0.3  # metres: what is lower than this lies about
_COLORS = {ActorKind.CONE: (240, 110, 20), ActorKind.BARRIER: (230, 80, 30), ActorKind.DEBRIS: (60, 52, 44)}
_CLOTHES = ((200, 30, 34), (36, 64, 150), (235, 235, 235), (24, 24, 28), (120, 124, 130), (40, 110, 70), (210, 170, 60), (90, 40, 50))
_GRAY = (150, 152, 156)

_COLUMNS = tuple(column.name for column in fields(Actors))
_NOBODY = (0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, (0, 0, 0), 0, 0.0, False)

RGB = Tuple[int, int, int]


class _Look(NamedTuple):
    kind: ActorKind
    color: RGB


def table(world: World, x: float, y: float, unseen: int) -> Actors:
    """Everybody within FAR of a place, without the actor that is not seen."""
    rows = [_row(actor) for actor in world.actors.values() if actor.id != unseen and seen(actor) and _near(actor, x, y)]
    columns = {name: np.array(column) for name, column in zip(_COLUMNS, zip(_NOBODY, *rows))}
    for name, form in (("kind", np.int8), ("color", np.uint8), ("lights", np.uint8)):
        columns[name] = columns[name].astype(form)
    return Actors(**columns)


def seen(actor: Actor) -> bool:
    """Whether an actor is a body that can be seen."""
    return actor.type_id.startswith(("vehicle.", "walker.", "static.prop."))


def _near(actor: Actor, x: float, y: float) -> bool:
    return abs(actor.pose.x - x) < FAR and abs(actor.pose.y - y) < FAR


def _row(actor: Actor) -> Tuple[Any, ...]:
    pose, (cx, cy, _), half = actor.pose, actor.centre, actor.extent
    look = _look(actor.type_id, tuple(actor.attributes.items()), half)
    yaw = math.radians(pose.yaw)
    cos, sin = math.cos(yaw), math.sin(yaw)
    x, y = pose.x + cx * cos - cy * sin, pose.y + cx * sin + cy * cos
    least = _THINNEST if look.kind == ActorKind.WALKER else 0.0
    length, width = 2.0 * max(half[0], least), 2.0 * max(half[1], least)
    speed = math.hypot(actor.velocity[0], actor.velocity[1])
    lights, door = _switched(actor)
    return (int(look.kind), x, y, pose.z, yaw, speed, length, width, 2.0 * half[2], look.color, lights, door, True)


def _switched(actor: Actor) -> Tuple[int, float]:
    """A vehicle's lights, and how far its left front door is open."""
    if not isinstance(actor.body, Vehicle):
        return 0, 0.0
    flags, lights = actor.body.lights, 0
    for flag, ours in _LAMPS:
        if flags & flag:
            lights |= int(ours)
    return lights, 1.0 if actor.body.doors.get(0) else 0.0


@lru_cache(maxsize=1024)
def _look(type_id: str, attributes: Tuple[Tuple[str, str], ...], half: Tuple[float, float, float]) -> _Look:
    known = dict(attributes)
    if type_id.startswith("walker."):
        return _Look(ActorKind.WALKER, _CLOTHES[sum(type_id.encode()) % len(_CLOTHES)])
    kind = _vehicle(known, half) if type_id.startswith("vehicle.") else _prop(type_id, half)
    return _Look(kind, _color(known.get("color", "")) or _COLORS.get(kind, _GRAY))


def _vehicle(attributes: Any, half: Tuple[float, float, float]) -> ActorKind:
    if attributes.get("special_type") == "emergency":
        return ActorKind.EMERGENCY
    if attributes.get("base_type") in _BASES:
        return _BASES[attributes["base_type"]]
    if attributes.get("number_of_wheels") == "2":
        return ActorKind.BICYCLE
    if attributes.get("base_type") or half[2] < 1.0:
        return ActorKind.CAR
    return ActorKind.TRUCK if half[0] > 3.5 else ActorKind.VAN


def _prop(type_id: str, half: Tuple[float, float, float]) -> ActorKind:
    for part, kind in _PROPS:
        if part in type_id:
            return kind
    return ActorKind.DEBRIS if 2.0 * half[2] < _FLAT else ActorKind.BARRIER


def _color(text: str) -> RGB | None:
    """The colour of an "r,g,b", or None."""
    parts: List[str] = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdigit() for part in parts):
        return None
    red, green, blue = (min(255, int(part)) for part in parts)
    return red, green, blue
