"""Poses in space: turning vectors, hanging one pose on another. CARLA's angles (degrees, left-handed); scalars and ``math`` only."""

from __future__ import annotations

import math
from typing import Tuple

from .actors import Pose, Vector

Axes = Tuple[Vector, Vector, Vector]


def axes(pose: Pose) -> Axes:
    """The unit vectors forward, right and up of a pose, in the world."""
    pitch, yaw, roll = math.radians(pose.pitch), math.radians(pose.yaw), math.radians(pose.roll)
    cp, sp, cy, sy, cr, sr = math.cos(pitch), math.sin(pitch), math.cos(yaw), math.sin(yaw), math.cos(roll), math.sin(roll)
    return (
        (cp * cy, cp * sy, sp),
        (cy * sp * sr - sy * cr, sy * sp * sr + cy * cr, -cp * sr),
        (-(cy * sp * cr + sy * sr), cy * sr - sy * sp * cr, cp * cr),
    )


def turned(vector: Vector, frame: Axes) -> Vector:
    """A vector of the frame, in the world."""
    (fx, fy, fz), (rx, ry, rz), (ux, uy, uz) = frame
    x, y, z = vector
    return (x * fx + y * rx + z * ux, x * fy + y * ry + z * uy, x * fz + y * rz + z * uz)


def placed(vector: Vector, pose: Pose) -> Vector:
    """A point of the pose's frame, in the world."""
    x, y, z = turned(vector, axes(pose))
    return (pose.x + x, pose.y + y, pose.z + z)


def hung(relative: Pose, parent: Pose) -> Pose:
    """The world pose of what hangs on a parent."""
    frame = axes(parent)
    x, y, z = turned((relative.x, relative.y, relative.z), frame)
    if not (relative.pitch or relative.yaw or relative.roll):
        return Pose(parent.x + x, parent.y + y, parent.z + z, parent.pitch, parent.yaw, parent.roll)
    forward, right, up = (turned(axis, frame) for axis in axes(relative))
    pitch = math.degrees(math.asin(max(-1.0, min(1.0, forward[2]))))
    yaw = math.degrees(math.atan2(forward[1], forward[0]))
    roll = math.degrees(math.atan2(-right[2], up[2]))
    return Pose(parent.x + x, parent.y + y, parent.z + z, pitch, yaw, roll)


def wrapped(degrees: float) -> float:
    """The angle within -180 to 180."""
    return math.remainder(degrees, 360.0)
