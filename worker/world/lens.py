"""One camera of a rig as geometry: where a point falls in its picture, and where on the ground a pixel looks.

The vehicle's frame is CARLA's: x forward, y right, z up. Pictures treat the ground as the plane under the ego's wheels, so that all of
this is constant while the ego drives; hills tilt with the ego and do not show as hills.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Tuple

import numpy as np

from ..rig import Camera

NEAR = 0.2  # metres; nothing closer to the camera's plane is drawn


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray[Any, Any]:
    """The matrix [3, 3] from a body's frame to its parent's; radians, in CARLA's senses of rotation."""
    cy, sy, cp, sp, cr, sr = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch), math.cos(roll), math.sin(roll)
    return np.array(
        [
            [cp * cy, cy * sp * sr - sy * cr, -cy * sp * cr - sy * sr],
            [cp * sy, sy * sp * sr + cy * cr, -sy * sp * cr + cy * sr],
            [sp, -cp * sr, cp * cr],
        ]
    )


class Lens:
    """A camera's constants: ``view`` (vehicle frame -> right, down, depth), focal length, and what its rows and pixels see."""

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self.width, self.height = camera.width, camera.height
        self.focal = camera.width / 2 / math.tan(math.radians(camera.fov) / 2)
        self.place = np.array([camera.x, camera.y, camera.z], np.float64)
        body = rotation(*(math.radians(angle) for angle in (camera.yaw, camera.pitch, camera.roll)))
        self.view = np.stack([body[:, 1], -body[:, 2], body[:, 0]])
        inverse = np.array([[1, 0, -self.width / 2], [0, 1, -self.height / 2], [0, 0, self.focal]]) / self.focal
        self.rays = self.view.T @ inverse  # pixel (column, row, 1) -> direction in the vehicle's frame
        x, y, z = self.place
        self.to_ground = np.array([[-z, 0, x], [0, -z, y], [0, 0, 1]]) @ self.rays  # pixel -> homogeneous ground point
        self.ground_rows, self.sky_rows = self._rows()

    def directions(self, rows: Tuple[int, int], step: int = 1) -> np.ndarray[Any, Any]:
        """float32 [H, W, 3]: where the pixels of these rows look, in the vehicle's frame; every ``step``-th pixel, at its middle."""
        columns = np.arange(0, self.width, step, dtype=np.float32) + step / 2
        lines = np.arange(rows[0], rows[1], step, dtype=np.float32) + step / 2
        rays = self.rays.astype(np.float32)
        across, along = rays[:, 0] * columns[:, None], rays[:, 1] * lines[:, None] + rays[:, 2]
        return np.ascontiguousarray(across[None, :, :] + along[:, None, :])

    def ground_points(self, rows: Tuple[int, int], step: int = 1) -> Tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """(points float32 [H, W, 2] in the vehicle's frame, distance from the camera [H, W]); the sky's pixels are at infinity."""
        look = self.directions(rows, step)
        down = np.where(look[:, :, 2] < -1e-6, -look[:, :, 2], np.float32(1e-6))
        scale = np.float32(self.place[2]) / down
        points = look[:, :, :2] * scale[:, :, None] + self.place[:2].astype(np.float32)
        distance = np.sqrt((look * look).sum(axis=2)) * scale
        return points, np.where(look[:, :, 2] < -1e-6, distance, np.float32(1e9))

    def _rows(self) -> Tuple[Tuple[int, int], Tuple[int, int]]:
        """The rows in which some pixel sees the ground, and those in which some pixel sees the sky."""
        corners = np.array([[0.0, self.width], [0.0, 0.0], [1.0, 1.0]])
        rows = np.arange(self.height) + 0.5
        up = (self.rays[2] @ corners)[None, :] + self.rays[2, 1] * rows[:, None]
        return _span(up.min(axis=1) < 0, self.height), _span(up.max(axis=1) >= 0, self.height)


def _span(rows: np.ndarray[Any, Any], height: int) -> Tuple[int, int]:
    there = np.flatnonzero(rows)
    if not there.size:
        return 0, 0
    return int(there[0]), min(int(there[-1]) + 1, height)


@lru_cache(maxsize=64)
def lens(camera: Camera) -> Lens:
    """The lens of that camera; made once, as it depends on the camera alone."""
    return Lens(camera)


def project(camera: Camera, ego: Any, points: Any) -> Tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """World points [N, 3] in the picture of a camera on the ego: (pixels float64 [N, 2] as column, row; depth [N] in metres).

    What has a depth of zero or less is behind the camera and its pixels mean nothing.
    """
    body = rotation(ego.yaw, ego.pitch, ego.roll)
    local = (np.asarray(points, np.float64) - (ego.x, ego.y, ego.z)) @ body
    return to_pixels(lens(camera), local)


def to_pixels(glass: Lens, local: Any) -> Tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Points [..., 3] of the vehicle's frame in the picture: (pixels [..., 2] as column, row; depth [...] in metres)."""
    seen = (local - glass.place) @ glass.view.T
    depth = seen[..., 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels = seen[..., :2] * (glass.focal / depth)[..., None]
    return pixels + (glass.width / 2, glass.height / 2), depth
