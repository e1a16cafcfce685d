"""The cast of a snapshot on a server that has another one, or a part of it: who stays, who goes, who is spawned.

Actors are matched by key, type and attributes, never by id. The traffic manager goes through its vehicles by ascending id, so whoever of
them comes after somebody missing is spawned anew too: then ids ascend in the snapshot's order, on this server as on any other.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Sequence

from . import orders
from .link import Link
from .moment import Moment
from .snapshot import Role

_LIFTS = (0.2, 1.5, 6.0)  # metres above its place at which an actor is spawned: where something is in the way, higher


class Cast(NamedTuple):
    """Who plays each role, None where the role is gone or nobody could be spawned; and how many are missing for that reason."""

    actors: List[Any]
    missing: int
    spawned: int


def reconcile(link: Link, roles: Sequence[Role], places: Moment, live: Mapping[str, Any]) -> Cast:
    """Turn the actors ``live`` (by key) into the cast, everybody about at their ``places``. One role after another, in order."""
    kept = _kept(link, roles, places, live)
    gone = [actor for key, actor in live.items() if key not in kept]
    command = link.carla.command
    link.batch([command.DestroyActor(actor.id) for actor in gone if actor.is_alive], "removing actors")
    there = [(kept[role.key], places.motion[row]) for row, role in enumerate(roles) if role.key in kept]
    link.batch([command.ApplyTransform(actor.id, orders.transform(link.carla, row)) for actor, row in there], "placing actors")
    actors: List[Any] = []
    for row, role in enumerate(roles):
        wanted = bool(places.alive[row])
        actors.append(kept.get(role.key) or (_spawn(link, role, places.motion[row]) if wanted else None))
    missing = sum(actor is None and bool(alive) for actor, alive in zip(actors, places.alive))
    return Cast(actors, missing, sum(actor is not None for actor in actors) - len(kept))


def _kept(link: Link, roles: Sequence[Role], places: Moment, live: Mapping[str, Any]) -> Dict[str, Any]:
    """Those of the live actors that fit a role and need not make room for the order of the traffic manager's."""
    kept: Dict[str, Any] = {}
    broken = False  # somebody of the traffic manager's is missing before this row
    for row, role in enumerate(roles):
        actor = live.get(role.key)
        stays = actor is not None and bool(places.alive[row]) and actor.is_alive and _fits(actor, role) and not (broken and role.autopilot)
        if stays:
            kept[role.key] = actor
        elif role.autopilot and places.alive[row]:
            broken = True
    return kept


def _fits(actor: Any, role: Role) -> bool:
    return bool(actor.type_id == role.type_id and dict(actor.attributes) == role.attributes)


def _spawn(link: Link, role: Role, row: Any) -> Any:
    """The actor, or None where the server will not have it there."""
    blueprint = link.blueprints.find(role.type_id)
    for name, value in role.attributes.items():
        if blueprint.has_attribute(name) and blueprint.get_attribute(name).is_modifiable:
            blueprint.set_attribute(name, value)
    for lift in _LIFTS:
        place = orders.transform(link.carla, row)
        place.location.z += lift if role.kind != "prop" else 0.0
        actor = link.world.try_spawn_actor(blueprint, place)
        if actor is not None:
            return actor
    return None
