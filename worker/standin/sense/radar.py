"""What looks ahead with a few beams: the radar, and the obstacle detector."""

from __future__ import annotations

import math
from typing import Any, List

import msgpack
import numpy as np

from ...world.lens import rotation
from ..actors import Actor, Vehicle, Walker
from ..world import World
from . import noise
from .boxes import Boxes, boxes
from .lidar import directions
from .mount import Mount, mount_of, number
from .rays import NONE, beams, slab, turned


def radar(sensor: Actor, world: World) -> bytes:
    """The payload of a radar: velocity (m/s, negative if it comes nearer), azimuth, altitude (radians) and depth of each detection.

    Beams are spread by chance over the cone of its fields of view; what hits nothing within range is left out.
    """
    given, random, mount = sensor.attributes, noise.generator(sensor, world), mount_of(sensor, world)
    reach, span = number(given, "range", 100.0), max(world.delta, number(given, "sensor_tick", 0.0))
    count = max(0, round(number(given, "points_per_second", 1500) * span))
    wide, high = (math.radians(number(given, name, 30.0)) / 2.0 for name in ("horizontal_fov", "vertical_fov"))
    radius, angle = np.sqrt(random.random_sample(count)), random.random_sample(count) * (2.0 * math.pi)
    azimuth, altitude = radius * np.cos(angle) * wide, radius * np.sin(angle) * high
    look = directions(azimuth, altitude) @ _tilt(mount).T
    there = boxes(world, mount, reach)
    away, whose = beams(np.array(mount.place), look, there, reach)
    hit = whose != NONE
    own = turned(np.array([*sensor.velocity[:2], 0.0]), mount.yaw)[:2]
    moving = np.concatenate([there.velocity, np.zeros((1, 2))])[whose[hit]]  # the ground is the last one
    velocity = ((moving - own) * look[hit, :2]).sum(axis=1)
    return np.column_stack([velocity, azimuth[hit], altitude[hit], away[hit]]).astype("<f4").tobytes()


def obstacles(sensor: Actor, world: World, told: Any) -> List[bytes]:
    """The payload of an obstacle detector, if something stands within its distance: who carries it, what it is, and how far.

    A ball of hit_radius goes straight ahead; for a box that is the box grown by as much. The ground and the posts are no obstacles.
    """
    given, mount = sensor.attributes, mount_of(sensor, world)
    reach, radius = number(given, "distance", 5.0), number(given, "hit_radius", 0.5)
    there = boxes(world, mount, reach + radius)
    there = there.of([row for row, number in enumerate(there.id.tolist()) if number and _counts(world.actors[number], given)])
    away = _ahead(mount, there, radius)
    if not len(away) or away.min() > reach:
        return []
    nearest = int(away.argmin())
    carrier, other = world.actors.get(sensor.parent, sensor), world.actors[int(there.id[nearest])]
    return [bytes(msgpack.packb([told(carrier), told(other), float(away[nearest])], use_single_float=True))]


def _counts(actor: Actor, attributes: Any) -> bool:
    return attributes.get("only_dynamics", "").lower() not in ("true", "1") or isinstance(actor.body, (Vehicle, Walker))


def _ahead(mount: Mount, there: Boxes, radius: float) -> Any:
    """How far straight ahead each box, grown by the radius, begins; 0 where the sensor is in it already."""
    ahead, away = _tilt(mount)[:, 0], []
    for middle, half, yaw in zip(there.middle, there.half + radius, there.yaw):
        start, look = turned(np.array(mount.place) - middle, yaw), turned(ahead, yaw)
        away.append(0.0 if (np.abs(start) <= half).all() else float(slab(start, look, half)))
    return np.array(away)


def _tilt(mount: Mount) -> Any:
    """The matrix from the sensor's frame to the one that it rides in."""
    pitch, yaw, roll = (math.radians(angle) for angle in mount.turn)
    return rotation(yaw, pitch, roll)
