"""The ray caster: rays against upright boxes and the ground plane, exact, for cameras (a grid of pixels) and for beams (any directions).

Everything is in the frame that the sensor rides in: x forward, y right, z above the ground. A pixel's rays are tested only against the
boxes in whose rectangle it lies, a beam only against those in whose cone. The distance along a pixel's ray is its depth.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple, Tuple

import numpy as np

from ...rig import Camera
from ...world.lens import Lens, lens
from .boxes import Boxes

NONE, GROUND = -2, -1  # what a ray hits that hits no box
_NEAR = 0.05  # metres before the camera's plane within which nothing is seen
_EDGES = np.array([(a, b) for a in range(8) for b in range(a + 1, 8) if bin(a ^ b).count("1") == 1])
_CORNERS = np.array([[(corner >> axis & 1) * 2.0 - 1.0 for axis in range(3)] for corner in range(8)])


class Hits(NamedTuple):
    """What rays hit first: ``away`` in units of the ray's direction, inf where there is nothing; ``whose`` a box's row, GROUND or NONE."""

    away: Any
    whose: Any


def slab(origin: Any, look: Tuple[Any, Any, Any], half: Any) -> Any:
    """How far rays go until they enter a box about zero: inf where they miss it, or begin in it or beyond it."""
    enter, leave = np.float64(0.0), np.float64(np.inf)
    for start, along, reach in zip(origin, look, half):
        inverse = 1.0 / np.where(along == 0.0, 1e-300, along)
        one, two = (-reach - start) * inverse, (reach - start) * inverse
        enter, leave = np.maximum(enter, np.minimum(one, two)), np.minimum(leave, np.maximum(one, two))
    return np.where((enter <= leave) & (enter > 0.0), enter, np.inf)


def turned(vectors: Any, yaw: Any) -> Any:
    """Vectors [..., 3] of a frame in another that is turned by yaw (radians, [...]) against it."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    return np.stack(np.broadcast_arrays(x * cos + y * sin, y * cos - x * sin, z), axis=-1)


def beams(origin: Any, look: Any, boxes: Boxes, reach: float) -> Hits:
    """What rays of unit directions [M, 3] from one place hit within reach."""
    down = np.minimum(look[:, 2], -1e-12)
    away = np.where(look[:, 2] < 0.0, -origin[2] / down, np.inf)
    whose = np.where(away <= reach, GROUND, NONE)
    away[away > reach] = np.inf
    for row, rays in enumerate(_cones(origin, look, boxes)):
        if not len(rays):
            continue
        yaw = boxes.yaw[row]
        start, directions = turned(origin - boxes.middle[row], yaw), turned(look[rays], yaw)
        found = slab(start, (directions[:, 0], directions[:, 1], directions[:, 2]), boxes.half[row])
        nearer = found < np.minimum(away[rays], reach)
        away[rays[nearer]], whose[rays[nearer]] = found[nearer], row
    return Hits(away, whose)


def _cones(origin: Any, look: Any, boxes: Boxes) -> Any:
    """For each box the rays [m] that may hit the sphere round it."""
    off = boxes.middle - origin
    distance, radius = np.linalg.norm(off, axis=1), np.linalg.norm(boxes.half, axis=1)
    least = np.sqrt(np.maximum(0.0, distance**2 - radius**2))  # as far as the sphere's edge
    within = look @ off.T >= np.where(distance <= radius, -np.inf, least - 1e-9)
    return (np.flatnonzero(column) for column in within.T)


class Screen:
    """The rays of a camera's pixels. ``plain`` is the depth of the bare ground, inf in the sky."""

    def __init__(self, camera: Camera) -> None:
        self.glass: Lens = lens(camera)
        width, height = camera.width, camera.height
        rays = self.glass.rays
        down = rays[2, 0] * (np.arange(width) + 0.5) + (rays[2, 1] * (np.arange(height) + 0.5) + rays[2, 2])[:, None]
        self.plain = np.where(down < 0.0, -self.glass.place[2] / np.minimum(down, -1e-12), np.inf)
        self.bare = np.where(np.isfinite(self.plain), GROUND, NONE).astype(np.int16)

    def cast(self, boxes: Boxes) -> Hits:
        """What each pixel [H, W] sees."""
        away, whose = self.plain.copy(), self.bare.copy()
        place = self.glass.place
        for row, (left, right, top, bottom) in enumerate(self._rectangles(boxes).tolist()):
            if left >= right or top >= bottom:
                continue
            yaw = boxes.yaw[row]
            found = slab(turned(place - boxes.middle[row], yaw), self._look(yaw, (left, right), (top, bottom)), boxes.half[row])
            part = away[top:bottom, left:right]
            nearer = found < part
            part[nearer] = found[nearer]
            whose[top:bottom, left:right][nearer] = row
        return Hits(away, whose)

    def _look(self, yaw: float, columns: Tuple[int, int], rows: Tuple[int, int]) -> Tuple[Any, Any, Any]:
        """The directions of a rectangle's pixels in a frame turned by yaw: three arrays [h, w]."""
        matrix = turned(self.glass.rays.T, yaw)  # rows: what a column, a row and the lens itself add
        across = (np.arange(*columns) + 0.5)[:, None] * matrix[0]
        along = (np.arange(*rows) + 0.5)[:, None] * matrix[1] + matrix[2]
        return tuple(across[None, :, axis] + along[:, None, axis] for axis in range(3))

    def _rectangles(self, boxes: Boxes) -> Any:
        """int [N, 4]: the columns and rows, first and one beyond the last, in which the boxes may be seen."""
        width, height, focal = self.glass.width, self.glass.height, self.glass.focal
        corners = boxes.middle[:, None, :] + turned(_CORNERS * boxes.half[:, None, :], -boxes.yaw[:, None])
        eyed = (corners - self.glass.place) @ self.glass.view.T
        points = np.concatenate([eyed, _cut(eyed)], axis=1)
        before = points[:, :, 2] >= _NEAR
        flat = points[:, :, :2] * (focal / np.where(before, points[:, :, 2], 1.0))[:, :, None] + (width / 2, height / 2)
        low = np.where(before[:, :, None], flat, np.inf).min(axis=1, initial=np.inf)
        high = np.where(before[:, :, None], flat, -np.inf).max(axis=1, initial=-np.inf)
        bounds = np.column_stack([np.floor(low[:, 0]), np.ceil(high[:, 0]), np.floor(low[:, 1]), np.ceil(high[:, 1])])
        return np.clip(bounds, 0, (width, width, height, height)).astype(np.int64)


def _cut(eyed: Any) -> Any:
    """Where the boxes' edges [N, 12] pass the near plane; points behind the camera where they do not."""
    one, two = eyed[:, _EDGES[:, 0]], eyed[:, _EDGES[:, 1]]
    rise = two[:, :, 2] - one[:, :, 2]
    part = (_NEAR - one[:, :, 2]) / np.where(rise == 0.0, 1e-12, rise)
    points = one + (two - one) * part[:, :, None]
    points[:, :, 2] = np.where((part >= 0.0) & (part <= 1.0), _NEAR, -1.0)
    return points


@lru_cache(maxsize=16)
def screen(camera: Camera) -> Screen:
    """The rays of that camera; kept, as they depend on it alone."""
    return Screen(camera)


def normals(points: Any, whose: Any, boxes: Boxes) -> Any:
    """The outward normals [M, 3], in the sensor's frame, of boxes' faces at points [M, 3] on them; up for the ground."""
    out = np.zeros((len(points), 3))
    out[whose == GROUND, 2] = 1.0
    rows = np.flatnonzero(whose >= 0)
    box = boxes.of(whose[rows])
    local = turned(points[rows] - box.middle, box.yaw) / box.half
    face = np.abs(local).argmax(axis=1)
    plain = np.zeros((len(rows), 3))
    plain[np.arange(len(rows)), face] = np.sign(local[np.arange(len(rows)), face])
    out[rows] = turned(plain, -box.yaw)
    return out
