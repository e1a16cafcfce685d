"""The event camera (DVS): which pixels of an RGB camera became brighter or darker since its last picture.

The only sensor that remembers: its last picture is its actor's body, so it comes and goes with the actor. All events of a picture bear the
picture's time; a pixel has at most one.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from ..actors import Actor
from ..world import World
from .mount import number
from .pictures import HEADER, painted

_EVENT = np.dtype([("x", "<u2"), ("y", "<u2"), ("t", "<i8"), ("polarity", "?")])


def dvs(sensor: Actor, world: World) -> bytes:
    """The payload of an event camera."""
    camera, colors = painted(sensor, world)
    light = _light(sensor, colors)
    before, sensor.body = sensor.body, light
    change = light - before if isinstance(before, np.ndarray) and before.shape == light.shape else np.zeros_like(light)
    brighter = change >= number(sensor.attributes, "positive_threshold", 0.3)
    darker = change <= -number(sensor.attributes, "negative_threshold", 0.3)
    y, x = np.nonzero(brighter | darker)
    events = np.zeros(len(x), _EVENT)
    events["x"], events["y"], events["t"], events["polarity"] = x, y, round(world.elapsed * 1e9), brighter[y, x]
    return HEADER.pack(camera.width, camera.height, camera.fov) + events.tobytes()


def _light(sensor: Actor, colors: Any) -> Any:
    """float32 [H, W]: the brightness of a picture, or its logarithm."""
    light = cv2.cvtColor(colors, cv2.COLOR_BGRA2GRAY).astype(np.float32) / 255.0
    if sensor.attributes.get("use_log", "true").lower() in ("true", "1"):
        light = np.log(light + np.float32(number(sensor.attributes, "log_eps", 0.001)))
    return light
