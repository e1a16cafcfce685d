"""What feels instead of looking: IMU, GNSS and the collision detector. True poses count here, pitch and roll included.

The IMU feels what its carrier's middle feels: a place far from it adds nothing. North is against y, and the map's origin lies where the
towns' OpenDRIVE says. The projection is 0.9.15's in both dialects; 0.9.16's own map projects differently, even with y the other way.
"""

from __future__ import annotations

import math
from typing import Any, List, Tuple

import msgpack

from ..actors import Actor, Vector
from ..geometry import axes
from ..opendrive import LATITUDE, LONGITUDE
from ..world import World
from . import noise
from .mount import number

_EARTH = 6378137.0  # metres, the equator's radius


def imu(sensor: Actor, world: World) -> bytes:
    """The payload of an IMU: acceleration with gravity (m/s2) and turning (rad/s) in its own frame, and the compass (rad, 0 is north)."""
    ax, ay, az = sensor.acceleration
    felt = _local(sensor, (ax, ay, az + world.gravity))
    spin = _local(sensor, (math.radians(sensor.angular[0]), math.radians(sensor.angular[1]), math.radians(sensor.angular[2])))
    if noise.has(sensor, "noise_accel") or noise.has(sensor, "noise_gyro"):
        random, given = noise.generator(sensor, world), sensor.attributes
        felt = _blurred(felt, [number(given, f"noise_accel_stddev_{axis}", 0.0) * random.standard_normal() for axis in "xyz"])
        spin = _blurred(spin, [number(given, f"noise_gyro_stddev_{axis}", 0.0) * random.standard_normal() for axis in "xyz"])
        spin = _blurred(spin, [number(given, f"noise_gyro_bias_{axis}", 0.0) for axis in "xyz"])
    compass = math.radians(sensor.pose.yaw + 90.0) % math.tau
    return _packed([felt, spin, compass])


def gnss(sensor: Actor, world: World) -> bytes:
    """The payload of a GNSS receiver: latitude, longitude (degrees) and altitude (metres)."""
    pose, given = sensor.pose, sensor.attributes
    latitude, longitude = located(pose.x, pose.y)
    off = [0.0, 0.0, 0.0]
    if noise.has(sensor, "noise_"):
        random = noise.generator(sensor, world)
        for at, axis in enumerate(("lat", "lon", "alt")):
            spread, bias = number(given, f"noise_{axis}_stddev", 0.0), number(given, f"noise_{axis}_bias", 0.0)
            off[at] = spread * random.standard_normal() + bias
    return bytes(msgpack.packb([latitude + off[0], longitude + off[1], pose.z + off[2]]))


def located(x: float, y: float) -> Tuple[float, float]:
    """Latitude and longitude (degrees) of a place, by Mercator's projection about the map's origin."""
    radius = _EARTH * math.cos(math.radians(LATITUDE))
    north = math.log(math.tan(math.radians(90.0 + LATITUDE) / 2.0)) - y / radius
    return math.degrees(2.0 * math.atan(math.exp(north))) - 90.0, LONGITUDE + math.degrees(x / radius)


def collisions(sensor: Actor, world: World, told: Any) -> List[bytes]:
    """The payloads of a collision detector: one for each contact of its carrier in this tick."""
    return [
        _packed([told(world.actors[contact.actor]), told(world.actors[contact.other]), contact.impulse])
        for contact in world.contacts
        if contact.actor == sensor.parent
    ]


def _local(sensor: Actor, vector: Vector) -> Vector:
    """A vector of the world in the sensor's frame."""
    forward, right, up = (sum(a * b for a, b in zip(vector, axis)) for axis in axes(sensor.pose))
    return forward, right, up


def _blurred(vector: Vector, off: List[float]) -> Vector:
    x, y, z = (a + b for a, b in zip(vector, off))
    return x, y, z


def _packed(value: Any) -> bytes:
    return bytes(msgpack.packb(value, use_single_float=True))
