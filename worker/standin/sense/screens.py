"""The cameras that measure: depth, semantic and instance segmentation, normals, optical flow. All see what the ray caster sees.

Encodings are CARLA's: depth of up to 1000 m in 24 bits, red lowest; the label in red; the actor's id in green (low byte) and blue.
"""

from __future__ import annotations

from typing import Any, Tuple

import numpy as np

from ...rig import Camera
from ...world.lens import rotation
from ..actors import Actor
from ..world import World
from .boxes import Boxes, boxes
from .floor import TERRAIN, floor
from .mount import Mount, mount_of
from .pictures import image, lens_of
from .rays import GROUND, NONE, Hits, Screen, normals, screen, turned

SKY = 11
FARTHEST = 1000.0  # metres that the depth camera can tell

_OPAQUE = np.uint32(0xFF000000)


def depth(sensor: Actor, world: World) -> bytes:
    """The payload of a depth camera."""
    camera, hits, _, _ = _seen(sensor, world)
    steps = np.minimum(hits.away, FARTHEST) * ((2**24 - 1) / FARTHEST) + 0.5
    value = steps.astype(np.uint32)
    return image(camera, _OPAQUE | (value & 0xFF) << 16 | (value & 0xFF00) | value >> 16)


def semantic(sensor: Actor, world: World) -> bytes:
    """The payload of a semantic segmentation camera."""
    camera, hits, there, mount = _seen(sensor, world)
    return image(camera, _OPAQUE | _labels(hits, there, mount, screen(camera)).astype(np.uint32) << 16)


def instance(sensor: Actor, world: World) -> bytes:
    """The payload of an instance segmentation camera."""
    camera, hits, there, mount = _seen(sensor, world)
    pixels = _OPAQUE | _labels(hits, there, mount, screen(camera)).astype(np.uint32) << 16
    number: Any = np.append(there.id, (0, 0)).astype(np.uint32)  # NONE and GROUND are the last two
    colors = (number & 0xFF) << 8 | (number >> 8 & 0xFF)
    return image(camera, pixels | colors[hits.whose])


def normal(sensor: Actor, world: World) -> bytes:
    """The payload of a normals camera: the world's x, y, z of a surface's normal, from -1 to 1, as red, green and blue."""
    camera, hits, there, mount = _seen(sensor, world)
    whose = hits.whose.ravel()
    found = normals(_points(hits, screen(camera)), whose, there) @ rotation(mount.yaw, 0.0, 0.0).T
    pixels = np.full((camera.height * camera.width, 4), 255, np.uint8)
    pixels[:, 2::-1] = np.rint((found + 1.0) * 127.5)
    pixels[whose == NONE, :3] = 0
    return image(camera, pixels)


def flow(sensor: Actor, world: World) -> bytes:
    """The payload of an optical flow camera: each pixel's motion since the last tick, where 2 is the picture's width or height; y is up."""
    camera, hits, there, mount = _seen(sensor, world)
    view, whose = screen(camera), hits.whose.ravel()
    before = _points(hits, view)
    before -= _moved(before, whose, there) * world.delta
    near = (whose != NONE)[:, None]  # the sky is turned, but never nearer
    before += near * turned(np.array([*sensor.velocity[:2], 0.0]), mount.yaw) * world.delta  # the frame was so much farther back
    before = turned(before, -np.radians(sensor.angular[2]) * world.delta) - near * view.glass.place
    seen = before @ view.glass.view.T
    then = seen[:, :2] * (view.glass.focal / np.maximum(seen[:, 2:], 1e-3)) + (camera.width / 2, camera.height / 2)
    now = np.indices((camera.height, camera.width))[::-1].reshape(2, -1).T + 0.5
    moved = (now - then) * (2.0 / camera.width, -2.0 / camera.height)
    return image(camera, np.clip(moved, -2.0, 2.0).astype("<f4"))


def _seen(sensor: Actor, world: World) -> Tuple[Camera, Hits, Boxes, Mount]:
    mount = mount_of(sensor, world)
    camera = lens_of(sensor, mount)
    there = boxes(world, mount, FARTHEST)
    return camera, screen(camera).cast(there), there, mount


def _labels(hits: Hits, there: Boxes, mount: Mount, view: Screen) -> Any:
    """uint8 [H, W]: what each pixel sees."""
    out = np.full(hits.whose.shape, TERRAIN, np.uint8)
    top, bottom = view.glass.ground_rows
    if bottom > top:
        out[top:bottom] = floor(mount.road).screen(view.glass, mount.x, mount.y, mount.yaw)
    label = np.append(there.label, (SKY, 0)).astype(np.uint8)  # NONE and GROUND are the last two
    np.copyto(out, label[hits.whose], where=hits.whose != GROUND)
    return out


def _points(hits: Hits, view: Screen) -> Any:
    """float64 [H * W, 3]: the points that the pixels see, in the sensor's frame; the sky's are directions."""
    look = view.glass.directions((0, view.glass.height)).astype(np.float64)
    away = hits.away[:, :, None]
    points = np.where(np.isfinite(away), look * np.minimum(away, 1e9) + view.glass.place, look)
    return points.reshape(-1, 3)


def _moved(points: Any, whose: Any, there: Boxes) -> Any:
    """The velocities [M, 3] of what is seen at these points."""
    out = np.zeros_like(points)
    rows = np.flatnonzero(whose >= 0)
    box = there.of(whose[rows])
    arm = points[rows, :2] - box.middle[:, :2]
    out[rows, 0] = box.velocity[:, 0] - box.spin * arm[:, 1]
    out[rows, 1] = box.velocity[:, 1] + box.spin * arm[:, 0]
    return out
