"""The two LiDARs: a fan of beams that turns, one channel below the other.

Points are in the sensor's own frame, channel by channel from the upper to the lower field of view. The turning angle follows from the
episode's time. The plain LiDAR loses points and blurs distances as its attributes say; the semantic one is exact.
"""

from __future__ import annotations

import math
import struct
from typing import Any, Dict, NamedTuple

import numpy as np

from ...world.lens import rotation
from ..actors import Actor
from ..world import World
from . import noise
from .boxes import Boxes, boxes
from .floor import floor
from .mount import Mount, mount_of, number
from .rays import GROUND, NONE, Hits, beams, normals

_POINT = np.dtype([("place", "<f4", 3), ("facing", "<f4"), ("id", "<u4"), ("label", "<u4")])


class _Sweep(NamedTuple):
    """One tick's beams and what they hit; columns of all beams, channel by channel."""

    angle: float  # radians, where the sweep ended
    channel: Any  # [M]
    local: Any  # [M, 3] unit directions in the sensor's frame
    look: Any  # [M, 3] the same in the frame that the sensor rides in
    hits: Hits
    there: Boxes
    mount: Mount


def plain(sensor: Actor, world: World) -> bytes:
    """The payload of a LiDAR: x, y, z and intensity of each point."""
    sweep, random = _sweep(sensor, world), noise.generator(sensor, world)
    given = sensor.attributes
    hit = np.flatnonzero(sweep.hits.whose != NONE)
    away = sweep.hits.away[hit]
    intensity = np.exp(-number(given, "atmosphere_attenuation_rate", 0.004) * away)
    limit, worst = number(given, "dropoff_intensity_limit", 0.8), number(given, "dropoff_zero_intensity", 0.4)
    faint = worst * np.maximum(0.0, 1.0 - intensity / max(limit, 1e-9))
    general = number(given, "dropoff_general_rate", 0.45)
    kept = (random.random_sample(len(hit)) >= general) & (random.random_sample(len(hit)) >= faint)
    away = away + number(given, "noise_stddev", 0.0) * random.standard_normal(len(hit))
    points = np.column_stack([sweep.local[hit] * away[:, None], intensity]).astype("<f4")
    return _payload(sweep, given, hit[kept], points[kept])


def semantic(sensor: Actor, world: World) -> bytes:
    """The payload of a semantic LiDAR: x, y, z, the cosine of the angle of incidence, actor id and label of each point."""
    sweep = _sweep(sensor, world)
    hit = np.flatnonzero(sweep.hits.whose != NONE)
    whose, away, look, mount = sweep.hits.whose[hit], sweep.hits.away[hit], sweep.look[hit], sweep.mount
    places = look * away[:, None] + mount.place
    points = np.zeros(len(hit), _POINT)
    points["place"] = sweep.local[hit] * away[:, None]
    points["facing"] = np.abs((normals(places, whose, sweep.there) * look).sum(axis=1))
    points["id"] = np.append(sweep.there.id, 0)[whose]  # GROUND is the last one
    points["label"] = np.append(sweep.there.label, 0)[whose]
    ground = whose == GROUND
    world_places = (places[ground] @ rotation(mount.yaw, 0.0, 0.0).T)[:, :2] + (mount.x, mount.y)
    points["label"][ground] = floor(mount.road).at(world_places, mount.x, mount.y)
    return _payload(sweep, sensor.attributes, hit, points)


def _payload(sweep: _Sweep, attributes: Any, rows: Any, points: Any) -> bytes:
    """The header (angle, channels, points of each channel) and the points of these beams."""
    channels = _channels(attributes)
    counts = np.bincount(sweep.channel[rows], minlength=channels).astype("<u4")
    return b"".join((struct.pack("<fI", sweep.angle, channels), counts.tobytes(), points.tobytes()))


def _sweep(sensor: Actor, world: World) -> _Sweep:
    mount, given = mount_of(sensor, world), sensor.attributes
    reach, channels = number(given, "range", 10.0), _channels(given)
    span = max(world.delta, number(given, "sensor_tick", 0.0))
    count = max(0, round(number(given, "points_per_second", 56000) * span / channels))  # of one channel
    wide = max(number(given, "horizontal_fov", 360.0), 1e-3)
    turn = number(given, "rotation_frequency", 10.0) * wide * span
    begun = (world.elapsed / span - 1.0) * turn % wide
    azimuth = np.radians((begun + np.arange(count) * (turn / max(count, 1))) % wide - wide / 2.0)
    altitude = np.radians(np.linspace(number(given, "upper_fov", 10.0), number(given, "lower_fov", -30.0), channels))
    local = directions(np.tile(azimuth, channels), np.repeat(altitude, count))
    pitch, yaw, roll = (math.radians(angle) for angle in mount.turn)
    look = local @ rotation(yaw, pitch, roll).T
    there = boxes(world, mount, reach)
    hits = beams(np.array(mount.place), look, there, reach)
    return _Sweep(math.radians((begun + turn) % wide), np.repeat(np.arange(channels), count), local, look, hits, there, mount)


def _channels(attributes: Dict[str, str]) -> int:
    return max(1, int(number(attributes, "channels", 32)))


def directions(azimuth: Any, altitude: Any) -> Any:
    """Unit vectors [M, 3]: azimuth to the right of forward, altitude above level, radians."""
    level = np.cos(altitude)
    return np.column_stack([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(altitude)])
