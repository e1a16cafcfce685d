"""The shadows of actors, painted into the picture that the ground is multiplied with, so that they darken whatever they fall on."""

from __future__ import annotations

from typing import Any, Tuple

import cv2
import numpy as np

from .lens import NEAR
from .sight import SHIFT, Sight, clip, pixels

REACH = 60.0  # metres beyond which a shadow is not seen
UNDER = 0.5  # what is left of the light under a vehicle


def cast(gain: Any, sight: Sight, actors: Any, top: int) -> Any:
    """``gain`` with the actors' shadows: a copy, or gain itself where there is no shadow. ``top`` is its first row's in the picture."""
    places = np.stack([actors.x, actors.y, np.hypot(actors.length, actors.width) / 2 + 6.0], axis=1)
    seen, distance = sight.sees(places)
    seen &= actors.visible & (distance < REACH)
    seen[0] = False
    rows = np.flatnonzero(seen)
    if not rows.size:
        return gain
    shaded, left = gain.copy(), sight.air.shadow
    feet, sun = _feet(sight, actors, rows), sight.air.sun_direction
    if float(left.min()) < 0.93:
        slant = (sun[:2] / max(0.15, float(sun[2]))) @ sight.view[:2]
        fallen = feet - slant * np.minimum(actors.height[rows] * 0.92, 6.0)[:, None, None]
        _darken((shaded, gain), sight, np.concatenate([feet, fallen], axis=1), left, top)
    _darken((shaded, gain), sight, feet, left * UNDER, top)
    return shaded


def _feet(sight: Sight, actors: Any, rows: Any) -> Any:
    """The corners [n, 4, 3] of what the actors stand on, in the camera's frame."""
    yaw, long, wide = actors.yaw[rows], actors.length[rows] / 2, actors.width[rows] / 2
    cos, sin = np.cos(yaw), np.sin(yaw)
    ahead, right = np.stack([cos * long, sin * long], axis=1), np.stack([-sin * wide, cos * wide], axis=1)
    corners = np.stack([-ahead - right, ahead - right, ahead + right, right - ahead], axis=1)
    corners += (np.stack([actors.x[rows], actors.y[rows]], axis=1) - sight.eye[:2])[:, None, :]
    return corners @ sight.view[:2] - sight.eye[2] * sight.view[2]


def _darken(pictures: Tuple[Any, Any], sight: Sight, seen: Any, left: Any, top: int) -> None:
    """Fill the hulls of ground points [n, k, 3] in the first picture with a part of the light that the second has in their middles."""
    shaded, gain = pictures
    near = (seen[:, :, 2] < NEAR).any(axis=1)
    flat = pixels(sight.glass, np.where(near[:, None, None], 1.0, seen) if near.any() else seen)
    flat[:, :, 1] -= top << SHIFT
    outlines, middles = list(flat), flat.sum(axis=1) // (flat.shape[1] << SHIFT)
    for row in np.flatnonzero(near).tolist():
        outlines[row] = pixels(sight.glass, clip(_around(seen[row]))) - np.array((0, top << SHIFT), np.int32)
        middles[row] = outlines[row].mean(axis=0) / (1 << SHIFT) if len(outlines[row]) else 0
    columns, rows = np.clip(middles, 0, (gain.shape[1] - 1, gain.shape[0] - 1)).T
    light = gain[rows, columns] * left
    for outline, color in zip(outlines, light.tolist()):
        if len(outline):
            cv2.fillConvexPoly(shaded, cv2.convexHull(outline), color, cv2.LINE_AA, SHIFT)


def _around(points: Any) -> Any:
    """The hull [m, 3] of points [k, 3] of one plane in the camera's frame, as seen along its steepest axis."""
    middle = points - points.mean(axis=0)
    axes = np.linalg.svd(middle)[2][:2]
    order = cv2.convexHull((middle @ axes.T).astype(np.float32), returnPoints=False)[:, 0]
    return points[order]
