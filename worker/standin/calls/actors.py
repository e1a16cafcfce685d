"""Calls about any actor: spawning, destroying, placing, pushing, parts."""

from __future__ import annotations

import math
from typing import Dict

from .. import layouts, moving
from ..actors import Actor, Pose, Vehicle, Walker
from ..blueprints import LIBRARY
from ..errors import Refusal
from ..layouts import Wire
from ..simulator import Simulator
from .table import Call


def get_actor_definitions(sim: Simulator) -> Wire:
    """The blueprint library."""
    return [layouts.definition(number, each, sim.types) for number, each in enumerate(LIBRARY, 1)]


def get_actors_by_id(sim: Simulator, numbers: Wire) -> Wire:
    """Those of the actors that there are."""
    actors = sim.world.actors
    return [sim.wire(actors[number]) for number in numbers if number in actors]


def get_spectator(sim: Simulator) -> Wire:
    """The spectator."""
    return sim.wire(sim.spectator)


def spawn_actor(sim: Simulator, description: Wire, transform: Wire) -> Wire:
    """A new actor."""
    return sim.wire(sim.spawn(*layouts.description_of(description), layouts.pose_of(transform)))


def spawn_actor_with_parent(sim: Simulator, description: Wire, transform: Wire, parent: int, attachment: int, *_socket: str) -> Wire:
    """A new actor that hangs on another."""
    return sim.wire(sim.spawn(*layouts.description_of(description), layouts.pose_of(transform), parent, attachment))


def destroy_actor(sim: Simulator, number: int) -> Wire:
    """Whether it was there and has gone."""
    return sim.destroy(number)


def destroy_or_refuse(sim: Simulator, number: int) -> None:
    """As a batch has it. Raises Refusal if it was not there."""
    if not sim.destroy(number):
        raise Refusal(f"unable to destroy actor {number}: it does not exist, or no longer")


def set_actor_transform(sim: Simulator, number: int, transform: Wire) -> None:
    """Put an actor elsewhere; a vehicle keeps its velocity, and what hangs on a parent moves against it."""
    place(sim, sim.actor(number), layouts.pose_of(transform))


def set_actor_location(sim: Simulator, number: int, location: Wire) -> None:
    """Put an actor elsewhere, turned as it is."""
    actor = sim.actor(number)
    place(sim, actor, Pose(*layouts.vector_of(location), *(actor.relative or actor.pose)[3:]))


def place(sim: Simulator, actor: Actor, pose: Pose) -> None:
    """See set_actor_transform."""
    if actor.relative is not None:
        actor.relative = pose
        sim.motion.carry()
        return
    actor.pose = pose
    body = actor.body
    if isinstance(body, Vehicle):
        velocity = moving.velocity_of(body)
        body.car.x, body.car.y, body.car.yaw, body.height = pose.x, pose.y, math.radians(pose.yaw), pose.z
        moving.set_velocity(body, velocity)
        body.seen = (math.inf, math.inf, 0.0)
    sim.moved(actor)


def set_actor_target_velocity(sim: Simulator, number: int, velocity: Wire) -> None:
    """The velocity of a vehicle, m/s in the world; walkers move by their control alone."""
    actor, wanted = sim.actor(number), layouts.vector_of(velocity)
    if isinstance(actor.body, Vehicle) and actor.physics:
        moving.set_velocity(actor.body, wanted)
        actor.velocity = wanted


def set_actor_target_angular_velocity(sim: Simulator, number: int, velocity: Wire) -> None:
    """The yaw rate of a vehicle, deg/s."""
    actor, wanted = sim.actor(number), layouts.vector_of(velocity)
    if isinstance(actor.body, Vehicle) and actor.physics:
        actor.body.car.yaw_rate = math.radians(wanted[2])
        actor.angular = (0.0, 0.0, wanted[2])


def enable_actor_constant_velocity(sim: Simulator, number: int, velocity: Wire) -> None:
    """Hold a velocity in the vehicle's own frame."""
    sim.vehicle(number).body.constant = layouts.vector_of(velocity)


def disable_actor_constant_velocity(sim: Simulator, number: int) -> None:
    """Let go of it."""
    sim.vehicle(number).body.constant = None


def add_actor_impulse(sim: Simulator, number: int, impulse: Wire) -> None:
    """Change a vehicle's velocity by impulse over mass, in the next tick."""
    actor = sim.actor(number)
    if isinstance(actor.body, Vehicle) and actor.physics:
        (x, y, z), (dx, dy, dz), mass = actor.body.pending, layouts.vector_of(impulse), actor.mass
        actor.body.pending = (x + dx / mass, y + dy / mass, z + dz / mass)


def add_actor_force(sim: Simulator, number: int, force: Wire) -> None:
    """A force for the next tick."""
    add_actor_impulse(sim, number, [each * sim.step() for each in layouts.vector_of(force)])


def add_actor_impulse_at_location(sim: Simulator, number: int, impulse: Wire, _location: Wire) -> None:
    """As an impulse on the centre of mass."""
    add_actor_impulse(sim, number, impulse)


def add_actor_force_at_location(sim: Simulator, number: int, force: Wire, _location: Wire) -> None:
    """As a force on the centre of mass."""
    add_actor_force(sim, number, force)


def add_actor_angular_impulse(sim: Simulator, number: int, impulse: Wire) -> None:
    """Change a vehicle's yaw rate in the next tick."""
    actor = sim.actor(number)
    if isinstance(actor.body, Vehicle) and actor.physics:
        actor.body.spin += layouts.vector_of(impulse)[2] / (moving.INERTIA * actor.mass)


def add_actor_torque(sim: Simulator, number: int, torque: Wire) -> None:
    """A torque for the next tick."""
    add_actor_angular_impulse(sim, number, [each * sim.step() for each in layouts.vector_of(torque)])


def set_actor_simulate_physics(sim: Simulator, number: int, on: bool) -> None:
    """Off: it stands where it is put. On again: as new, gear and wheels at rest."""
    actor = sim.actor(number)
    if actor.physics == on:
        return
    actor.physics = on
    if isinstance(actor.body, Vehicle):
        moving.renew(actor)


def set_actor_collisions(sim: Simulator, number: int, on: bool) -> None:
    """Whether others collide with it."""
    actor = sim.actor(number)
    actor.solid = on and any(actor.extent)
    if actor.solid:
        sim.motion.grid.put(actor)
    else:
        sim.motion.grid.drop(actor)


def set_actor_enable_gravity(sim: Simulator, number: int, on: bool) -> None:
    """Whether it falls."""
    sim.actor(number).gravity = on


def set_actor_dead(sim: Simulator, number: int) -> None:
    """A walker stays where it is."""
    body = sim.actor(number).body
    if isinstance(body, Walker):
        body.dead = True


def get_actor_bounding_box(sim: Simulator, number: int) -> Wire:
    """The box in the actor's frame."""
    return layouts.box(sim.actor(number))


def _names(sim: Simulator, number: int) -> Wire:
    return [sim.actor(number).type_id.rsplit(".", 1)[-1]]


def _sockets(sim: Simulator, number: int) -> Wire:
    sim.actor(number)
    return []


def _component(sim: Simulator, number: int, name: str) -> Actor:
    if name not in _names(sim, number):
        raise Refusal(f"actor {number} has no component {name!r}")
    return sim.actor(number)


def get_actor_component_world_transform(sim: Simulator, number: int, name: str) -> Wire:
    """An actor has one component, itself."""
    return layouts.transform(_component(sim, number, name).pose)


def get_actor_component_relative_transform(sim: Simulator, number: int, name: str) -> Wire:
    """Relative to the actor."""
    _component(sim, number, name)
    return layouts.transform(Pose(0.0, 0.0, 0.0))


def _world_parts(sim: Simulator, number: int) -> Wire:
    return [layouts.transform(sim.actor(number).pose)]


def _relative_parts(sim: Simulator, number: int) -> Wire:
    sim.actor(number)
    return [layouts.transform(Pose(0.0, 0.0, 0.0))]


CALLS: Dict[str, Call] = {
    "get_actor_definitions": get_actor_definitions,
    "get_actors_by_id": get_actors_by_id,
    "get_spectator": get_spectator,
    "spawn_actor": spawn_actor,
    "spawn_actor_with_parent": spawn_actor_with_parent,
    "destroy_actor": destroy_actor,
    "set_actor_transform": set_actor_transform,
    "set_actor_location": set_actor_location,
    "set_actor_target_velocity": set_actor_target_velocity,
    "set_actor_target_angular_velocity": set_actor_target_angular_velocity,
    "enable_actor_constant_velocity": enable_actor_constant_velocity,
    "disable_actor_constant_velocity": disable_actor_constant_velocity,
    "add_actor_impulse": add_actor_impulse,
    "add_actor_force": add_actor_force,
    "add_actor_impulse_at_location": add_actor_impulse_at_location,
    "add_actor_force_at_location": add_actor_force_at_location,
    "add_actor_angular_impulse": add_actor_angular_impulse,
    "add_actor_torque": add_actor_torque,
    "set_actor_simulate_physics": set_actor_simulate_physics,
    "set_actor_collisions": set_actor_collisions,
    "set_actor_enable_gravity": set_actor_enable_gravity,
    "set_actor_dead": set_actor_dead,
    "get_actor_bounding_box": get_actor_bounding_box,
    "get_actor_component_names": _names,
    "get_actor_bone_names": _names,
    "get_actor_socket_names": _sockets,
    "get_actor_component_world_transform": get_actor_component_world_transform,
    "get_actor_component_relative_transform": get_actor_component_relative_transform,
    "get_actor_bone_world_transforms": _world_parts,
    "get_actor_bone_relative_transforms": _relative_parts,
    "get_vehicle_bone_world_transforms": _world_parts,
    "get_actor_socket_world_transforms": _sockets,
    "get_actor_socket_relative_transforms": _sockets,
}
