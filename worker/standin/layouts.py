"""CARLA's value layouts: our values -> arrays for the wire, and back. Field order is CARLA's; beyond that only
that places, vectors and speeds are finite: the world would never be rid of a nan.

Readers raise TypeError, ValueError or IndexError on a wrong shape; the server turns that into an error answer.
"""

from __future__ import annotations

import math
import struct
from typing import Any, Dict, List, Tuple

from .actors import Actor, Control, Pose, Stride, Vector
from .blueprints import BY_ID, Blueprint
from .world import Settings

Wire = Any  # what msgpack packs or has unpacked

_TOKEN = struct.Struct("<IHBB16s")


def token(stream: int, port: int) -> bytes:
    """The 24 bytes that tell a client where a stream is: TCP, on the host that the client connected to."""
    return _TOKEN.pack(stream, port, 1, 0, b"")


def transform(pose: Pose) -> Wire:
    """A Transform."""
    return ((pose.x, pose.y, pose.z), (pose.pitch, pose.yaw, pose.roll))


def pose_of(value: Wire) -> Pose:
    """The pose of a Transform."""
    place, turn = value
    return Pose(*vector_of(place), *vector_of(turn))


def vector_of(value: Wire) -> Vector:
    """A vector, location or rotation."""
    x, y, z = value
    return (finite(x), finite(y), finite(z))


def finite(value: Wire) -> float:
    """A number that the world can go on with."""
    if not math.isfinite(value):
        raise ValueError(f"no finite number: {value}")
    return float(value)


def heading(pose: Pose) -> Vector:
    """The unit vector on the ground in which a pose looks."""
    return (math.cos(math.radians(pose.yaw)), math.sin(math.radians(pose.yaw)), 0.0)


def box(actor: Actor) -> Wire:
    """The BoundingBox of an actor. 0.9.15 passes over the fourth field."""
    return (actor.centre, actor.extent, (0.0, 0.0, 0.0), actor.id)


def definition(number: int, blueprint: Blueprint, types: Dict[str, int]) -> Wire:
    """The ActorDefinition of a blueprint."""
    attributes = [
        (each.id, types[each.type], each.value, list(each.recommended), each.modifiable, each.restricted) for each in blueprint.attributes
    ]
    return (number, blueprint.id, blueprint.tags, attributes)


def description(actor: Actor, types: Dict[str, int]) -> Wire:
    """The ActorDescription of an actor, its attributes in the blueprint's types."""
    blueprint = BY_ID.get(actor.type_id)
    known = {each.id: each.type for each in blueprint.attributes} if blueprint else {}
    string = types["string"]
    return (0, actor.type_id, [(key, types.get(known.get(key, ""), string), value) for key, value in actor.attributes.items()])


def actor_of(actor: Actor, types: Dict[str, int], port: int) -> Wire:
    """An Actor as the client gets it."""
    where = token(actor.stream, port) if actor.stream else b""
    return (actor.id, actor.parent, description(actor, types), box(actor), actor.tags, where)


def description_of(value: Wire) -> Tuple[str, Dict[str, str]]:
    """The type id and the attributes of an ActorDescription."""
    _, type_id, attributes = value
    return type_id, {key: text for key, _, text in attributes}


def settings(values: Settings) -> Wire:
    """The EpisodeSettings."""
    fields: List[Any] = list(values)
    fields[2] = optional(values.delta)
    return fields


def settings_of(value: Wire) -> Settings:
    """The Settings of EpisodeSettings."""
    fields = list(value)
    fields[2] = optional_of(fields[2])
    return Settings(*fields)


def optional(value: Any) -> Wire:
    """An optional."""
    return [False] if value is None else [True, value]


def optional_of(value: Wire) -> Any:
    """The value of an optional, or None."""
    return value[1] if len(value) > 1 else None


def control(value: Control) -> Wire:
    """A VehicleControl."""
    return tuple(value)


def control_of(value: Wire) -> Control:
    """The Control of a VehicleControl, within its limits."""
    throttle, steer, brake, hand_brake, reverse, manual, gear = value
    return Control(
        max(0.0, min(1.0, throttle)), max(-1.0, min(1.0, steer)), max(0.0, min(1.0, brake)), hand_brake, reverse, manual, int(gear)
    )


def stride_of(value: Wire) -> Stride:
    """The Stride of a WalkerControl."""
    direction, speed, jump = value
    return Stride(vector_of(direction), max(0.0, finite(speed)), bool(jump))
