"""Where a sensor stands, as all of them see it: in an upright frame that rides along, over the flat ground of the nearest corridor.

Pictures and rays share one flat world: the ground is the plane under the sensor's carrier, and everything stands on it, whatever the
hills do. A carrier's own pitch and roll do not tilt what it carries, as in the embedded world; IMU and GNSS, which are no pictures, use
the true poses.
"""

from __future__ import annotations

import math
from typing import Dict, NamedTuple, Tuple

from ...world.road import Road
from ..actors import Actor, Pose, Vehicle, Walker
from ..world import World
from .corridors import road_at

BESIDE = 1.0  # metres round a carrier's box within which a sensor sits on it, and does not see it
_SUNK = 0.2  # metres: a vehicle that stands no farther from the ground stands on it
_LOWEST = 0.05  # metres above the ground


class Mount(NamedTuple):
    """``x, y, yaw`` (metres, radians) is the frame; ``place`` the sensor in it, its height that above the ground; angles in degrees."""

    x: float
    y: float
    yaw: float
    place: Tuple[float, float, float]
    turn: Tuple[float, float, float]  # pitch, yaw, roll in the frame
    unseen: int  # id of the actor that carries the sensor and is not seen by it, 0 none
    road: Road  # the corridor that it is on


def mount_of(sensor: Actor, world: World) -> Mount:
    """Where the sensor stands now."""
    carrier = world.actors.get(sensor.parent)
    if carrier is None or sensor.relative is None or not isinstance(carrier.body, (Vehicle, Walker)):
        return _free(sensor.pose, world)
    frame, local = carrier.pose, sensor.relative
    lift = frame.z - world.town.height(frame.x, frame.y)
    if isinstance(carrier.body, Vehicle) and abs(lift) < _SUNK:
        lift = 0.0
    return Mount(
        frame.x,
        frame.y,
        math.radians(frame.yaw),
        (local.x, local.y, max(_LOWEST, local.z + round(lift, 2))),
        (local.pitch, local.yaw, local.roll),
        carrier.id if _sits_on(local, carrier) else 0,
        road_at(world.town, frame.x, frame.y, math.radians(frame.yaw)),
    )


def _free(pose: Pose, world: World) -> Mount:
    """Of a sensor that nothing carries, or nothing that stands upright."""
    height = max(_LOWEST, pose.z - world.town.height(pose.x, pose.y))
    road = world.town.roads[world.town.corridor(pose.x, pose.y)]
    return Mount(pose.x, pose.y, math.radians(pose.yaw), (0.0, 0.0, height), (pose.pitch, 0.0, pose.roll), 0, road)


def _sits_on(local: Pose, carrier: Actor) -> bool:
    """Whether the place lies in the carrier's box or close to it."""
    off = (abs(at - middle) - half for at, middle, half in zip(local[:3], carrier.centre, carrier.extent))
    return all(distance < BESIDE for distance in off)


def number(attributes: Dict[str, str], name: str, default: float) -> float:
    """An attribute as a number."""
    return float(attributes.get(name, default))


def size(attributes: Dict[str, str]) -> Tuple[int, int]:
    """Width and height of a camera's picture."""
    return max(1, int(number(attributes, "image_size_x", 800))), max(1, int(number(attributes, "image_size_y", 600)))
