"""Rows of a moment as CARLA's batch commands: put an actor there, moving like that, under that control. Plain translation, no calls.

A vehicle's physics is never switched off and on for it: that would wipe its gear and the spin of its wheels.
"""

from __future__ import annotations

from typing import Any, List, Sequence

from .moment import PLACE, ROTATION, SPIN, VELOCITY
from .snapshot import Role


def pin(carla: Any, actor: Any, motion: Any) -> List[Any]:
    """Put an actor where the row says, moving as it says."""
    command = carla.command
    return [
        command.ApplyTransform(actor.id, transform(carla, motion)),
        command.ApplyTargetVelocity(actor.id, carla.Vector3D(*_floats(motion[VELOCITY]))),
        command.ApplyTargetAngularVelocity(actor.id, carla.Vector3D(*_floats(motion[SPIN]))),
    ]


def steer(carla: Any, actor: Any, role: Role, control: Any, hold_gear: bool) -> List[Any]:
    """Give a vehicle or walker the control in the row; nothing for a prop. ``hold_gear`` forces the gear that was in."""
    if role.kind == "vehicle":
        return [carla.command.ApplyVehicleControl(actor.id, vehicle_control(carla, control, hold_gear))]
    if role.kind == "walker":
        return [carla.command.ApplyWalkerControl(actor.id, walker_control(carla, control))]
    return []


def transform(carla: Any, motion: Sequence[float]) -> Any:
    """The row's place and rotation."""
    return carla.Transform(carla.Location(*_floats(motion[PLACE])), carla.Rotation(*_floats(motion[ROTATION])))


def vehicle_control(carla: Any, row: Any, hold_gear: bool = False) -> Any:
    """A VehicleControl. A gear is held only where one is in: held out of gear, a car would not start."""
    throttle, steering, brake, hand_brake, reverse, manual, gear = _floats(row)
    held = bool(manual) or (hold_gear and gear > 0)
    return carla.VehicleControl(throttle, steering, brake, bool(hand_brake), bool(reverse), held, int(gear) if held else 0)


def walker_control(carla: Any, row: Any) -> Any:
    """A WalkerControl."""
    x, y, z, speed, jump = _floats(row[:5])
    return carla.WalkerControl(carla.Vector3D(x, y, z), speed, bool(jump))


def _floats(numbers: Any) -> List[float]:
    return [float(number) for number in numbers]
