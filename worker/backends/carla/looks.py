"""Which of CARLA's blueprints plays which look of the embedded world's cast, and how a blueprint is filled in.

Only ids are named here: what a server's library does not have is passed over, and a look without any is left out of the scenario by name.
"""

from __future__ import annotations

import random
from typing import Any, Dict, List, Tuple

from b2d_zmq.errors import SimulatorError

from ...world import crowd
from ...world.actors import ActorKind, Lights
from ...world.crowd import Look

EGO = "vehicle.lincoln.mkz_2020"  # Bench2Drive's
HERO, SCENARIO, BACKGROUND = "hero", "scenario", "traffic"  # the attribute role_name of the ego, of the scenario's cast, and of the traffic
ROLES = (HERO, SCENARIO, BACKGROUND)
_LEAST, _MOST = 0.02, 25.0  # metres that an actor's box may measure: CARLA tells some two-wheelers to be 0 m wide or 250 m high

_IDS: Dict[ActorKind, Tuple[str, ...]] = {
    ActorKind.CAR: (
        "vehicle.audi.a2",
        "vehicle.toyota.prius",
        "vehicle.seat.leon",
        "vehicle.nissan.micra",
        "vehicle.mercedes.coupe_2020",
        "vehicle.citroen.c3",
    ),
    ActorKind.VAN: ("vehicle.mercedes.sprinter", "vehicle.volkswagen.t2_2021", "vehicle.volkswagen.t2"),
    ActorKind.TRUCK: ("vehicle.carlamotors.european_hgv", "vehicle.carlamotors.carlacola"),
    ActorKind.EMERGENCY: ("vehicle.dodge.charger_police_2020", "vehicle.ford.ambulance", "vehicle.dodge.charger_police"),
    ActorKind.BICYCLE: ("vehicle.gazelle.omafiets", "vehicle.bh.crossbike", "vehicle.diamondback.century"),
    ActorKind.WALKER: tuple(f"walker.pedestrian.{number:04}" for number in range(1, 15)),
    ActorKind.CONE: ("static.prop.constructioncone",),
    ActorKind.BARRIER: ("static.prop.streetbarrier", "static.prop.trafficwarning"),
    ActorKind.DEBRIS: ("static.prop.dirtdebris01", "static.prop.dirtdebris02"),
}
_LOOKS = (crowd.CAR, crowd.VAN, crowd.TRUCK, crowd.EMERGENCY, crowd.BICYCLE, crowd.WALKER, crowd.CONE, crowd.BARRIER, crowd.DEBRIS)
_ORDINARY: Dict[ActorKind, Look] = {look.kind: look for look in _LOOKS}
TRAFFIC: Tuple[str, ...] = (*_IDS[ActorKind.CAR], "vehicle.tesla.model3", "vehicle.mini.cooper_s_2021", "vehicle.mercedes.sprinter")
"""What the traffic manager drives: cars and vans of ordinary size."""


def ego_blueprint(library: Any) -> Any:
    """The ego's, always the same. Raises SimulatorError where the server has none."""
    return blueprint_of(library, (EGO,), random.Random(0), HERO)


def blueprint_for(library: Any, kind: ActorKind, chance: random.Random) -> Any:
    """A blueprint of that look. Raises SimulatorError where the server has none."""
    return blueprint_of(library, _IDS[kind], chance, SCENARIO)


def blueprint_of(library: Any, ids: Tuple[str, ...], chance: random.Random, role: str) -> Any:
    """One of these blueprints, its colour and driver by chance. Raises SimulatorError where the server has none of them."""
    known = {found.id for found in library}
    there = [name for name in ids if name in known]
    if not there:
        raise SimulatorError(f"this CARLA server has none of the blueprints {', '.join(ids[:4])}; is its installation complete?")
    blueprint = library.find(chance.choice(there))
    for name in ("color", "driver_id"):
        if blueprint.has_attribute(name):
            values = list(blueprint.get_attribute(name).recommended_values)
            if values:
                blueprint.set_attribute(name, chance.choice(values))
    if blueprint.has_attribute("role_name"):
        blueprint.set_attribute("role_name", role)
    if blueprint.has_attribute("is_invincible"):
        blueprint.set_attribute("is_invincible", "false")
    return blueprint


def look_of(kind: ActorKind, box: Any) -> Look:
    """A look of that kind with the size of a carla.BoundingBox, or its ordinary size where the box is none."""
    if not is_sound(box):
        return _ORDINARY[kind]
    return Look(kind, 2.0 * box.extent.x, 2.0 * box.extent.y, 2.0 * box.extent.z)


def lift_of(kind: ActorKind, box: Any) -> float:
    """How far above the ground an actor's place is, in metres."""
    if not is_sound(box):
        return 0.5 * _ORDINARY[kind].height if kind is ActorKind.WALKER else 0.0  # a walker's place is its middle
    return float(box.extent.z - box.location.z)


def is_sound(box: Any) -> bool:
    """Whether a carla.BoundingBox can be that of an actor."""
    sizes = (2.0 * box.extent.x, 2.0 * box.extent.y, 2.0 * box.extent.z)
    return all(_LEAST <= size <= _MOST for size in sizes) and abs(box.location.z) <= _MOST


def lamps_of(carla: Any, lights: int) -> Any:
    """The embedded world's lights as CARLA's."""
    state = carla.VehicleLightState
    table: List[Tuple[Lights, Any]] = [
        (Lights.BRAKE, state.Brake),
        (Lights.LEFT, state.LeftBlinker),
        (Lights.RIGHT, state.RightBlinker),
        (Lights.HEAD, state.Position | state.LowBeam),
        (Lights.SIREN, state.Special1),
        (Lights.REVERSE, state.Reverse),
    ]
    shown = 0
    for light, lamp in table:
        shown |= int(lamp) if lights & light else 0
    return state(shown)
