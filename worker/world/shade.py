"""The shadows of actors, painted into the picture that the ground is multiplied with, so that they darken whatever they fall on."""

from __future__ import annotations

from typing import Any, Tuple

import cv2
import numpy as np

from .lens import NEAR
from .solids import SHIFT, Sight, clip, pixels

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
    shaded = gain.copy()
    feet = sight.local(_feet(actors, rows))
    sun = sight.local(sight.air.sun_direction + (sight.x, sight.y, 0.0))
    left = sight.air.shadow
    if float(left.min()) < 0.93:
        fallen = feet.copy()
        fallen[:, :, :2] -= sun[:2] / max(0.15, float(sun[2])) * np.minimum(actors.height[rows] * 0.92, 6.0)[:, None, None]
        _darken((shaded, gain), sight, np.concatenate([feet, fallen], axis=1), left, top)
    _darken((shaded, gain), sight, feet, left * UNDER, top)
    return shaded


def _feet(actors: Any, rows: Any) -> Any:
    """The corners [n, 4, 3] of what the actors stand on."""
    across = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    x = across[:, 0] * actors.length[rows][:, None] / 2
    y = across[:, 1] * actors.width[rows][:, None] / 2
    cos, sin = np.cos(actors.yaw[rows])[:, None], np.sin(actors.yaw[rows])[:, None]
    px, py = actors.x[rows][:, None] + x * cos - y * sin, actors.y[rows][:, None] + x * sin + y * cos
    return np.stack([px, py, np.zeros_like(px)], axis=2)


def _darken(pictures: Tuple[Any, Any], sight: Sight, outlines: Any, left: Any, top: int) -> None:
    """Fill the hulls of ground points [n, k, 3] in the first picture with a part of the light that the second has in their middles."""
    shaded, gain = pictures
    seen = (outlines - sight.glass.place) @ sight.glass.view.T
    near = (seen[:, :, 2] < NEAR).any(axis=1)
    flat = pixels(sight.glass, np.where(near[:, None, None], 1.0, seen))
    for points, behind, whole in zip(flat, near.tolist(), seen):
        if behind:
            points = pixels(sight.glass, clip(_around(whole)))  # noqa: PLW2901 - the same outline, cut at the near plane
            if len(points) < 3:
                continue
        outline = cv2.convexHull(points)[:, 0] - (0, top << SHIFT)
        column, row = (outline.sum(axis=0) // (len(outline) << SHIFT)).tolist()
        light = gain[min(max(row, 0), gain.shape[0] - 1), min(max(column, 0), gain.shape[1] - 1)] * left
        cv2.fillConvexPoly(shaded, outline, light.tolist(), cv2.LINE_AA, SHIFT)


def _around(points: Any) -> Any:
    """The hull [m, 3] of points [k, 3] of one plane in the camera's frame, as seen along its steepest axis."""
    middle = points - points.mean(axis=0)
    axes = np.linalg.svd(middle)[2][:2]
    order = cv2.convexHull((middle @ axes.T).astype(np.float32), returnPoints=False)[:, 0]
    return points[order]
