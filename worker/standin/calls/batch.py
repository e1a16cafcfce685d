"""Batches of commands. Each command has its own answer, so that one that fails stops no other."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Tuple

from .. import layouts
from ..actors import Stride
from ..errors import MISFITS, Refusal
from ..layouts import Wire
from ..simulator import Simulator
from . import actors, lights, vehicles
from .table import Call

Command = Callable[..., Any]

SPAWN, CONSOLE = 0, 20


def apply_batch(sim: Simulator, commands: Wire, do_tick: bool) -> List[Wire]:
    """The answers, one for each command; unlike every other result they are not wrapped."""
    answers = [_answered(sim, command[0]) for command in commands]
    if do_tick:
        sim.tick()
    return answers


def _answered(sim: Simulator, command: Wire) -> Wire:
    try:
        return [[1, _done(sim, *command)]]
    except Refusal as refusal:
        return [[0, [str(refusal)]]]
    except MISFITS as error:
        return [[0, [f"a malformed command {command[0]}: {error}"]]]


def _done(sim: Simulator, index: int, fields: Wire) -> int:
    """Do one command; the id of the actor that it was about."""
    if index == SPAWN:
        return _spawn(sim, *fields)
    command = _COMMANDS.get(index)
    if command is None:
        raise Refusal(f"no batch command {index}")
    command(sim, *fields)
    return int(fields[0]) if isinstance(fields[0], int) else 0


def _spawn(sim: Simulator, description: Wire, transform: Wire, parent: Wire, *rest: Any) -> int:
    attachment, then = (0, rest[0]) if sim.config.dialect.short_spawn else (rest[0], rest[2])
    what, where = layouts.description_of(description), layouts.pose_of(transform)
    number = sim.spawn(*what, where, layouts.optional_of(parent) or 0, attachment).id
    for ((index, fields),) in then:
        told = fields if index in (SPAWN, CONSOLE) else (number, *fields[1:])  # the client cannot know the id, so it sends 0
        _answered(sim, (index, told))  # CARLA drops this answer: the actor is there, whatever becomes of what follows
    return number


def _walker_state(sim: Simulator, number: int, transform: Wire, speed: float) -> None:
    """Place a walker and let it walk the way that it looks: what CARLA's walker navigation sends each tick."""
    body, actor = vehicles.walker(sim, number), sim.actor(number)
    actors.place(sim, actor, layouts.pose_of(transform))
    body.stride = Stride(layouts.heading(actor.pose), float(speed))


def _lights(sim: Simulator, number: int, flags: int) -> None:
    vehicles.set_vehicle_light_state(sim, number, (flags,))


def _nothing(sim: Simulator, *_fields: Any) -> None:
    """The client does it by itself (autopilot), or there is nothing to show (telemetry, console)."""


_COMMANDS: Dict[int, Command] = {
    1: actors.destroy_or_refuse,
    2: vehicles.apply_control_to_vehicle,
    3: vehicles.apply_ackermann_control_to_vehicle,
    4: vehicles.apply_control_to_walker,
    5: vehicles.apply_physics_control,
    6: actors.set_actor_transform,
    7: _walker_state,
    8: actors.set_actor_target_velocity,
    9: actors.set_actor_target_angular_velocity,
    10: actors.add_actor_impulse,
    11: actors.add_actor_force,
    12: actors.add_actor_angular_impulse,
    13: actors.add_actor_torque,
    14: actors.set_actor_simulate_physics,
    15: actors.set_actor_enable_gravity,
    16: _nothing,
    17: _nothing,
    18: _lights,
    19: actors.set_actor_location,
    CONSOLE: _nothing,
    21: lights.set_traffic_light_state,
}

CALLS: Dict[str, Call] = {"apply_batch": apply_batch}
UNWRAPPED: Tuple[str, ...] = ("apply_batch",)
