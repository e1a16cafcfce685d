"""Making actors: from a blueprint and where it shall be, or from what a town has. Refuses what CARLA refuses."""

from __future__ import annotations

import math
from typing import Any, Dict, Iterator

from ..world.ego import Car
from .actors import Actor, Lamp, Pose, Vector, Vehicle, Walker
from .blueprints import BY_ID, Blueprint
from .collisions import Grid, touch
from .errors import Refusal
from .geometry import hung
from .lights import UNKNOWN
from .town import Town

_NO_STREAM = ("sensor.other.lane_invasion",)  # computed in the client


def spawned(number: int, type_id: str, attributes: Dict[str, str], pose: Pose) -> Actor:
    """A new actor of a blueprint. Raises Refusal."""
    blueprint = BY_ID.get(type_id)
    if blueprint is None:
        raise Refusal(f"Invalid actor description '{type_id}'")
    extent, centre = blueprint.extent, blueprint.centre
    if type_id == "static.trigger.friction":
        extent = tuple(float(attributes.get(f"extent_{axis}", 1.0)) for axis in "xyz")  # type: ignore[assignment]
    return Actor(
        number,
        type_id,
        {**{each.id: each.value for each in blueprint.attributes}, **attributes},
        pose,
        centre=centre,
        extent=extent,
        tags=bytes([blueprint.tag]) if blueprint.tag else b"",
        body=_body(blueprint, pose),
        mass=blueprint.mass,
        solid=blueprint.solid and any(extent),
    )


def attached(actor: Actor, parent: Actor, attachment: int) -> None:
    """Hang an actor on its parent; its pose so far is the relative one. An attachment that is none of CARLA's is rigid."""
    actor.parent, actor.attachment = parent.id, attachment if attachment in (0, 1, 2) else 0
    actor.relative = actor.pose
    actor.pose = hung(actor.relative, parent.pose)
    actor.solid = False


def streams(actor: Actor) -> bool:
    """Whether the actor sends data."""
    return actor.type_id.startswith("sensor.") and actor.type_id not in _NO_STREAM


def check_room(actor: Actor, grid: Grid) -> None:
    """Raises Refusal where something solid is in the way."""
    if actor.solid and any(touch(actor, other) for other in grid.near(actor)):
        raise Refusal("Spawn failed because of collision at spawn position")


def of_town(town: Town, first: int) -> Iterator[Actor]:
    """The traffic lights, the signs and the spectator of a town, numbered from ``first``."""
    for place in town.lights:
        lamp = Lamp(place.sign, place.group, place.phase, place.pole)
        yield _fixture(first, "traffic.traffic_light", place, lamp, b"\x07")
        first += 1
    for stop in town.stops:
        yield _fixture(first, stop.type_id, stop, Lamp(stop.sign, state=UNKNOWN), b"\x08")
        first += 1
    yield Actor(first, "spectator", {"role_name": "spectator"}, _viewpoint(town))


def _fixture(number: int, type_id: str, place: Any, lamp: Lamp, tags: bytes) -> Actor:
    centre: Vector = tuple(place.trigger_centre)
    return Actor(number, type_id, {}, place.pose, centre=centre, extent=tuple(place.trigger_extent), tags=tags, body=lamp)


def _viewpoint(town: Town) -> Pose:
    if not town.spawn_points:
        return Pose(0.0, 0.0, 10.0)
    x, y, z, _, yaw, _ = town.spawn_points[0]
    return Pose(x, y, z + 10.0, -20.0, yaw)


def _body(blueprint: Blueprint, pose: Pose) -> Any:
    if blueprint.id.startswith("vehicle."):
        return Vehicle(Car(pose.x, pose.y, math.radians(pose.yaw)), height=pose.z)
    if blueprint.id.startswith("walker."):
        return Walker()
    return None
