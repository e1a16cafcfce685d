"""A town, a world and actors by hand, for tests of the stand-in's sensors without a server."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import numpy as np

from worker import routes
from worker.standin.actors import Actor, Pose, Vehicle, Walker
from worker.standin.blueprints import BY_ID
from worker.standin.geometry import hung
from worker.standin.sense import readings
from worker.standin.town import LightPlace, Town
from worker.standin.world import World
from worker.world import road as roads
from worker.world.ego import Car

ORIGIN, EYES = Pose(0.0, 0.0, 0.0), Pose(0.0, 0.0, 1.5)
TAGS = {"vehicle": b"\x0e", "walker": b"\x0c", "static": b"\x14"}


class HandMade(Town):
    """A town without a map: a place belongs to the road with the nearest sample, of those that are not ``covered``."""

    covered: Tuple[int, ...] = ()

    def corridor(self, x: float, y: float) -> int:
        away = [np.inf if k in self.covered else float(np.hypot(road.x - x, road.y - y).min()) for k, road in enumerate(self.roads)]
        return away.index(min(away))

    def height(self, x: float, y: float) -> float:
        road = self.roads[self.corridor(x, y)]
        return float(road.z[np.hypot(road.x - x, road.y - y).argmin()])


def town_of(*corridors: roads.Road, lights: Tuple[LightPlace, ...] = (), covered: Tuple[int, ...] = ()) -> Town:
    """A town of these corridors."""
    nothing: Any = None
    town = HandMade("Town07", corridors, "", (), lights, (), nothing)
    object.__setattr__(town, "covered", covered)
    return town


def straight_road(length: float = 400.0, x: float = 0.0, y: float = 0.0, yaw: float = 0.0) -> roads.Road:
    """A rural road that goes straight from a place on, at z = 0; yaw in degrees."""
    along, turn = np.arange(0.0, length, 2.0), np.radians(yaw)
    points = np.column_stack([x + along * np.cos(turn), y + along * np.sin(turn), np.zeros(len(along))])
    return roads.build(routes.Route(1, "Town07", points, (), routes.Weather()), 0)


def world_of(*corridors: roads.Road, **changes: Any) -> World:
    """An empty world of that town; of a straight road where none is given."""
    return World(town=town_of(*(corridors or (straight_road(),))), episode=1, frame=7, elapsed=0.35, **changes)


def add(world: World, type_id: str, pose: Pose = ORIGIN, **changes: Any) -> Actor:
    """An actor of that type in the world; its box is the blueprint's unless given."""
    blueprint, kind = BY_ID[type_id], type_id.split(".", maxsplit=1)[0]
    attributes: Dict[str, str] = {each.id: each.value for each in blueprint.attributes}
    attributes.update(changes.pop("attributes", {}))
    body = {"vehicle": lambda: Vehicle(Car(pose.x, pose.y, 0.0)), "walker": Walker}.get(kind, lambda: None)()
    known: Dict[str, Any] = {"centre": blueprint.centre, "extent": blueprint.extent, "tags": TAGS.get(kind, b""), "body": body}
    actor = Actor(id=len(world.actors) + 10, type_id=type_id, attributes=attributes, pose=pose, **{**known, **changes})
    world.actors[actor.id] = actor
    return actor


def car(world: World, x: float, y: float = 0.0, yaw: float = 0.0, **changes: Any) -> Actor:
    """A car of 4 x 2 x 1.5 m."""
    box = {"centre": (0.0, 0.0, 0.75), "extent": (2.0, 1.0, 0.75)}
    return add(world, "vehicle.tesla.model3", Pose(x, y, 0.0, 0.0, yaw, 0.0), **{**box, **changes})


def sensor(world: World, name: str, carrier: Actor | None = None, at: Pose = EYES, **attributes: Any) -> Actor:
    """A sensor, on an actor or by itself."""
    given = {key: str(value) for key, value in attributes.items()}
    if carrier is None:
        return add(world, "sensor." + name, at, attributes=given)
    return add(world, "sensor." + name, hung(at, carrier.pose), attributes=given, parent=carrier.id, relative=at)


def picture(eye: Actor, world: World) -> Tuple[Any, Tuple[int, int, float]]:
    """What a camera sends: its pixels uint8 [H, W, 4], BGRA, and width, height and field of view."""
    (payload,) = readings(eye, world, told)
    head = np.frombuffer(payload, "<u4", 2)
    width, height = int(head[0]), int(head[1])
    fov = float(np.frombuffer(payload, "<f4", 1, 8)[0])
    return np.frombuffer(payload, np.uint8, -1, 12).reshape(height, width, 4), (width, height, fov)


def told(actor: Actor) -> Any:
    """An actor as the wire has it, cut short."""
    return [actor.id]
