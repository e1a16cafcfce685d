"""The cast of a snapshot on a server that has another one, or a part of it: who stays, who goes, who is spawned.

Actors are matched by key, type and attributes, never by id. The traffic manager goes through its vehicles by ascending id, so whoever of
them comes after somebody missing is spawned anew too: then ids ascend in the snapshot's order, on this server as on any other.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence

from b2d_zmq.errors import SimulatorError

from . import orders
from .link import Link
from .moment import Moment
from .snapshot import Role

_LIFTS = (0.2, 1.5, 6.0)  # metres above its place at which an actor is spawned: where something is in the way, higher


class Gone:
    """Plays the role of an actor that is no longer in the world."""

    id = 0  # no actor has it
    is_alive = False

    def __init__(self, role: Role, carla: Any) -> None:
        self.type_id, self.attributes = role.type_id, role.attributes
        self.bounding_box = carla.BoundingBox(carla.Location(), carla.Vector3D())


def reconcile(link: Link, roles: Sequence[Role], places: Moment, live: Mapping[str, Any]) -> List[Any]:
    """Turn the actors ``live`` (by key) into the cast, everybody about at their ``places``; a Gone for who is not, or cannot be, there.

    Raises SimulatorError where one of the scenario's own cannot be there, because it could not go on without.
    """
    kept = _kept(link, roles, places, live)
    present, command = link.world.get_snapshot(), link.carla.command
    link.remove([actor for key, actor in live.items() if key not in kept and present.has_actor(actor.id)], "removing actors")
    rows = [row for row, role in enumerate(roles) if role.key in kept]
    moves = [command.ApplyTransform(kept[roles[row].key].id, orders.transform(link.carla, places.motion[row])) for row in rows]
    link.tell(moves, "placing actors")
    actors: List[Any] = []
    for row, role in enumerate(roles):
        actor = kept.get(role.key) or (_spawn(link, role, places.motion[row]) if places.alive[row] else None)
        if actor is None and places.alive[row] and not role.autopilot:
            raise SimulatorError(f"{role.type_id} ({role.key}) cannot be spawned where the snapshot has it; something stands there")
        actors.append(actor or Gone(role, link.carla))
    return actors


def _kept(link: Link, roles: Sequence[Role], places: Moment, live: Mapping[str, Any]) -> Dict[str, Any]:
    """Those of the live actors that fit a role and need not make room for the order of the traffic manager's."""
    kept: Dict[str, Any] = {}
    present = link.world.get_snapshot()
    broken = False  # somebody of the traffic manager's is missing before this row
    for row, role in enumerate(roles):
        actor = live.get(role.key)
        there = actor is not None and present.has_actor(actor.id) and bool(places.alive[row])
        if there and _fits(actor, role) and not (broken and role.autopilot):
            kept[role.key] = actor
        elif role.autopilot and places.alive[row]:
            broken = True
    return kept


def _fits(actor: Any, role: Role) -> bool:
    return bool(actor.type_id == role.type_id and dict(actor.attributes) == role.attributes)


def _spawn(link: Link, role: Role, row: Any) -> Any:
    """The actor, or None where the server will not have it there. Who is placed by the scenario has no physics."""
    blueprint = link.blueprints.find(role.type_id)
    for name, value in role.attributes.items():
        if blueprint.has_attribute(name) and blueprint.get_attribute(name).is_modifiable:
            blueprint.set_attribute(name, value)
    for lift in _LIFTS:
        place = orders.transform(link.carla, row)
        place.location.z += lift
        actor = link.world.try_spawn_actor(blueprint, place)
        if actor is not None:
            if not role.autopilot:
                actor.set_simulate_physics(False)
            return actor
    return None
