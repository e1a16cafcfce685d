"""The RGB camera: a picture of the embedded world's painter, of the corridor nearest to the camera.

A camera works on anything and at any angle. What the painter leaves out: the town's other corridors, hills, a carrier's own pitch and
roll, and all of the lens but its field of view (no exposure, blur or distortion).
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any, NamedTuple, Tuple

import cv2
import numpy as np

from ...rig import Camera
from ...routes import WEATHER_RANGE, Weather
from ...world.actors import Actors
from ...world.camera import Painter
from ...world.road import Road
from ..actors import Actor
from ..world import World
from . import crowd, signs
from .mount import Mount, mount_of, number, size

HEADER = struct.Struct("<IIf")
"""Width, height and horizontal field of view in degrees."""

_TICK = 0.05  # seconds of the painter's ticks, by which lamps blink, walkers stride and rain falls
_ORDER = {
    # the painter's parameters in CARLA's order of fourteen
    "cloudiness": 0,
    "precipitation": 1,
    "precipitation_deposits": 2,
    "wind_intensity": 3,
    "sun_azimuth_angle": 4,
    "sun_altitude_angle": 5,
    "fog_density": 6,
    "wetness": 9,
}


class _Frame(NamedTuple):
    """What the painter takes for the ego: the frame that the camera rides in."""

    x: float
    y: float
    yaw: float


class _Scene(NamedTuple):
    """What the painter takes for the world."""

    actors: Actors
    signals: Any
    ego: _Frame
    tick: int


def rgb(sensor: Actor, world: World) -> bytes:
    """The payload of an RGB camera."""
    return image(*painted(sensor, world))


def painted(sensor: Actor, world: World) -> Tuple[Camera, Any]:
    """The camera, and what it sees: uint8 [H, W, 4], BGRA, good until the next picture of this size."""
    mount = mount_of(sensor, world)
    camera = lens_of(sensor, mount)
    canvas, colors = _canvas(camera.width, camera.height)
    scene = _Scene(
        crowd.table(world, mount.x, mount.y, mount.unseen),
        signs.signals(mount.road, world),
        _Frame(mount.x, mount.y, mount.yaw),
        round((world.elapsed - world.weathered) / _TICK),
    )
    _painter(mount.road, weather_of(world.weather)).render(scene, camera, canvas)
    return camera, cv2.cvtColor(canvas, cv2.COLOR_RGB2BGRA, dst=colors)


def image(camera: Camera, pixels: Any) -> bytes:
    """The payload of a picture: its size and field of view, then its pixels."""
    return b"".join((HEADER.pack(camera.width, camera.height, camera.fov), pixels))


def lens_of(sensor: Actor, mount: Mount) -> Camera:
    """The camera as one of a rig on the frame that it rides in."""
    (width, height), (x, y, z), (pitch, yaw, roll) = size(sensor.attributes), mount.place, mount.turn
    fov = number(sensor.attributes, "fov", 90.0)
    return Camera("", x, y, z, yaw, pitch, roll, width, height, min(max(fov, 1.0), 179.0))


def weather_of(parameters: Tuple[float, ...]) -> Weather:
    """The painter's weather of CARLA's fourteen parameters, in whole numbers: one that changes slowly needs a new painter now and then."""
    values = {name: float(round(parameters[at])) for name, at in _ORDER.items()}
    return Weather(**{name: min(max(value, WEATHER_RANGE[name][0]), WEATHER_RANGE[name][1]) for name, value in values.items()})


@lru_cache(maxsize=4)
def _painter(road: Road, weather: Weather) -> Painter:
    return Painter(road, weather, 0)


@lru_cache(maxsize=16)
def _canvas(width: int, height: int) -> Tuple[Any, Any]:
    """Where pictures of that size are painted, in RGB, and where they become BGRA."""
    return np.empty((height, width, 3), np.uint8), np.empty((height, width, 4), np.uint8)
