"""Calls about vehicles and walkers: controls, physics, lights, doors, telemetry, bones."""

from __future__ import annotations

import math
from typing import Any, Dict, List

from ...world import ego
from .. import layouts, moving
from ..actors import Actor, Pose, Vehicle, Walker
from ..blueprints import BY_ID
from ..errors import Refusal
from ..layouts import Wire
from ..simulator import Simulator
from .table import Call

_RATIOS = ((4.71, 0.5, 0.65), (3.14, 0.5, 0.65), (2.11, 0.5, 0.65), (1.67, 0.5, 0.65), (1.29, 0.5, 0.65), (1.0, 0.5, 0.65))
_RADIUS = 0.36  # metres, of a wheel
_MASS = 11  # place of the mass in the physics control


def apply_control_to_vehicle(sim: Simulator, number: int, control: Wire) -> None:
    """The control until the next one."""
    body = sim.vehicle(number).body
    body.control, body.ackermann = layouts.control_of(control), None


def apply_ackermann_control_to_vehicle(sim: Simulator, number: int, control: Wire) -> None:
    """A speed and a wheel angle to hold."""
    steer, steer_speed, speed, acceleration, jerk = (float(each) for each in control)
    sim.vehicle(number).body.ackermann = (steer, steer_speed, speed, acceleration, jerk)


def get_ackermann_controller_settings(sim: Simulator, number: int) -> Wire:
    """The gains, as they were set."""
    return sim.vehicle(number).body.gains


def apply_ackermann_controller_settings(sim: Simulator, number: int, gains: Wire) -> None:
    """Kept for who asks; the controller is a proportional one of its own."""
    sim.vehicle(number).body.gains = tuple(float(each) for each in gains)


def get_physics_control(sim: Simulator, number: int) -> Wire:
    """As it was set, or the blueprint's."""
    actor = sim.vehicle(number)
    return actor.body.controls or _physics(actor)


def apply_physics_control(sim: Simulator, number: int, control: Wire) -> None:
    """Kept, with its mass; the physics is made anew, gear and wheels at rest, but not the velocity. The bicycle model stays as it is."""
    actor, mass = sim.vehicle(number), float(control[_MASS])
    if not 0.0 < mass < math.inf:
        raise Refusal(f"vehicle {number}: a mass of {mass} kg")
    actor.mass = mass
    actor.body.controls = list(control)
    velocity = moving.velocity_of(actor.body)
    moving.renew(actor)
    moving.set_velocity(actor.body, velocity)


def _physics(actor: Actor) -> List[Any]:
    blueprint = BY_ID[actor.type_id]
    half, side, z = blueprint.wheelbase / 2.0, actor.extent[1] * 0.85, actor.pose.z + _RADIUS
    places = [(half, -side), (half, side), (-half, -side), (-half, side)] if blueprint.wheels == 4 else [(half, 0.0), (-half, 0.0)]
    wheels = [_wheel(actor.pose, along, across, z, front=along > 0) for along, across in places]
    return [
        [(0.0, 500.0), (1890.0, 500.0), (5729.0, 400.0)], 5800.0, 1.0, 0.15, 2.0, 0.35, True, 0.5, 10.0, 4.0,
        _RATIOS, actor.mass, 0.3, (0.45, 0.0, -0.3), [(0.0, 1.0), (20.0, 0.9), (60.0, 0.8), (120.0, 0.7)], wheels, False,
    ]  # fmt: skip


def _wheel(pose: Pose, along: float, across: float, z: float, *, front: bool) -> Wire:
    """A WheelPhysics; the place is in centimetres in the world, as CARLA gives it."""
    cos, sin = math.cos(math.radians(pose.yaw)), math.sin(math.radians(pose.yaw))
    place = (100.0 * (pose.x + along * cos - across * sin), 100.0 * (pose.y + along * sin + across * cos), 100.0 * z)
    angle = math.degrees(ego.MAX_WHEEL_ANGLE) if front else 0.0
    return (3.5, 0.25, angle, 100.0 * _RADIUS, 1500.0, 0.0 if front else 3000.0, 2.0, 17.0, 1000.0, place)


def get_telemetry_data(sim: Simulator, number: int) -> Wire:
    """What the engine and the wheels do, as far as a bicycle model knows."""
    actor = sim.vehicle(number)
    body, car = actor.body, actor.body.car
    count = BY_ID[actor.type_id].wheels
    load = 9.81 * actor.mass / max(1, count)
    wheel = (3.5, 0.0, 0.0, car.forward / _RADIUS, load, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    rpm = 800.0 + 5000.0 * min(1.0, abs(car.forward) / 40.0)
    return (car.forward, body.control.steer, body.control.throttle, body.control.brake, rpm, body.gear, 0.3, [wheel] * count)


def get_vehicle_light_state(sim: Simulator, number: int) -> Wire:
    """The lights that are on."""
    return [sim.vehicle(number).body.lights]


def set_vehicle_light_state(sim: Simulator, number: int, flags: Wire) -> None:
    """Other lights."""
    sim.vehicle(number).body.lights = int(flags[0])


def get_vehicle_light_states(sim: Simulator) -> Wire:
    """The lights of all vehicles."""
    return [(actor.id, actor.body.lights) for actor in sim.world.actors.values() if isinstance(actor.body, Vehicle)]


def open_vehicle_door(sim: Simulator, number: int, door: int) -> None:
    """Open a door, or all (6)."""
    _doors(sim.vehicle(number).body, door, True)


def close_vehicle_door(sim: Simulator, number: int, door: int) -> None:
    """Close a door, or all (6)."""
    _doors(sim.vehicle(number).body, door, False)


def _doors(body: Vehicle, door: int, is_open: bool) -> None:
    for each in range(6) if door == 6 else (door,):
        body.doors[each] = is_open


def set_wheel_steer_direction(sim: Simulator, number: int, wheel: int, degrees: float) -> None:
    """Turn a wheel of a vehicle without physics, for show."""
    sim.vehicle(number).body.wheels[wheel] = float(degrees)


def get_wheel_steer_angle(sim: Simulator, number: int, wheel: int) -> Wire:
    """The angle of a wheel, degrees."""
    actor = sim.vehicle(number)
    if not actor.physics:
        return actor.body.wheels.get(wheel, 0.0)
    turns = wheel < BY_ID[actor.type_id].wheels // 2
    return math.degrees(actor.body.car.wheel) if turns else 0.0


def get_wheel_pitch_angle(sim: Simulator, number: int, _wheel_number: int) -> Wire:
    """Wheels do not turn in the stand-in."""
    sim.vehicle(number)
    return 0.0


def restore_physx_physics(sim: Simulator, number: int) -> None:
    """There is no other physics than the one."""
    sim.vehicle(number)


def no_other_physics(sim: Simulator, number: int, *_arguments: Any) -> None:
    """CarSim and Chrono."""
    raise Refusal(f"vehicle {number}: the stand-in has neither CarSim nor Chrono")


def _checked(sim: Simulator, number: int, *_arguments: Any) -> None:
    """Taken and without effect."""
    sim.vehicle(number)


def apply_control_to_walker(sim: Simulator, number: int, control: Wire) -> None:
    """Where and how fast it walks until the next control."""
    walker(sim, number).stride = layouts.stride_of(control)


def walker(sim: Simulator, number: int) -> Walker:
    """The body of a walker. Raises Refusal."""
    actor = sim.actor(number)
    if not isinstance(actor.body, Walker):
        raise Refusal(f"actor {number} is no walker but {actor.type_id}")
    return actor.body


def get_bones_transform(sim: Simulator, number: int) -> Wire:
    """The bones that were set, and the root."""
    actor, bones = sim.actor(number), {"crl_root": Pose(0.0, 0.0, 0.0), **walker(sim, number).bones}
    world = layouts.transform(actor.pose)
    return [[(name, world, layouts.transform(pose), layouts.transform(pose)) for name, pose in bones.items()]]


def set_bones_transform(sim: Simulator, number: int, bones: Wire) -> None:
    """Kept for who asks; nothing is drawn of it."""
    walker(sim, number).bones = {name: layouts.pose_of(transform) for name, transform in bones[0]}


def blend_pose(sim: Simulator, number: int, blend: float) -> None:
    """Kept."""
    walker(sim, number).blend = float(blend)


def get_pose_from_animation(sim: Simulator, number: int) -> None:
    """Forget the bones that were set."""
    walker(sim, number).bones = {}


CALLS: Dict[str, Call] = {
    "apply_control_to_vehicle": apply_control_to_vehicle,
    "apply_ackermann_control_to_vehicle": apply_ackermann_control_to_vehicle,
    "get_ackermann_controller_settings": get_ackermann_controller_settings,
    "apply_ackermann_controller_settings": apply_ackermann_controller_settings,
    "get_physics_control": get_physics_control,
    "apply_physics_control": apply_physics_control,
    "get_telemetry_data": get_telemetry_data,
    "get_vehicle_light_state": get_vehicle_light_state,
    "set_vehicle_light_state": set_vehicle_light_state,
    "get_vehicle_light_states": get_vehicle_light_states,
    "open_vehicle_door": open_vehicle_door,
    "close_vehicle_door": close_vehicle_door,
    "set_wheel_steer_direction": set_wheel_steer_direction,
    "get_wheel_steer_angle": get_wheel_steer_angle,
    "set_wheel_pitch_angle": _checked,
    "get_wheel_pitch_angle": get_wheel_pitch_angle,
    "show_vehicle_debug_telemetry": _checked,
    "set_actor_autopilot": _checked,
    "use_carsim_road": _checked,
    "enable_carsim": no_other_physics,
    "enable_chrono_physics": no_other_physics,
    "restore_physx_physics": restore_physx_physics,
    "apply_control_to_walker": apply_control_to_walker,
    "get_bones_transform": get_bones_transform,
    "set_bones_transform": set_bones_transform,
    "blend_pose": blend_pose,
    "get_pose_from_animation": get_pose_from_animation,
}
