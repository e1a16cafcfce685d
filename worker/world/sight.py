"""Where one picture is taken from, and what may be in it: the view of the world from a camera on the ego, worked out once for a picture."""

from __future__ import annotations

import math
from typing import Any, Tuple

import numpy as np

from .air import Air
from .lens import NEAR, Lens

SHIFT = 3  # fractional bits of pixels
LOOKS_DOWN = 0.3  # how far from level a camera is (sine of its pitch) that may see what is behind its foot
_LIMIT = 1 << 20  # pixels in fixed-point are kept within this, far outside any picture


class Sight:
    """A lens on the ego at a place of the world (metres, radians), in some air.

    ``eye`` [3] is the camera in the world, its height that above the ground. ``view`` [3, 3] turns world directions (rows) into its
    own: right, down, depth.
    """

    def __init__(self, glass: Lens, air: Air, x: float, y: float, yaw: float) -> None:
        self.glass, self.air, self.x, self.y, self.yaw = glass, air, x, y, yaw
        self.cos, self.sin = math.cos(yaw), math.sin(yaw)
        ahead, right, up = glass.place.tolist()
        self.eye = np.array([x + ahead * self.cos - right * self.sin, y + ahead * self.sin + right * self.cos, up])
        self.view = np.array([[self.cos, -self.sin, 0.0], [self.sin, self.cos, 0.0], [0.0, 0.0, 1.0]]) @ glass.view.T

    def sees(self, places: Any) -> Tuple[Any, Any]:
        """(which of the places [N, 3] (x, y, radius) may be in the picture, their distances from the camera)."""
        off = places[:, :2] - self.eye[:2]
        seen, radius = off @ self.view[:2], places[:, 2]
        distance = np.sqrt(np.einsum("ij,ij->i", off, off))
        slope = self.glass.width / 2 / self.glass.focal
        within = distance - radius < self.air.sees
        wide = np.abs(seen[:, 0]) < np.maximum(seen[:, 2], 0.0) * slope + radius * math.sqrt(1 + slope * slope)
        if abs(self.glass.view[2, 2]) > LOOKS_DOWN:
            return within & (wide | (distance < 60.0)), distance
        return within & wide & (seen[:, 2] > -radius), distance


def pixels(glass: Lens, seen: Any) -> Any:
    """Camera points [..., 3] (right, down, depth) as fixed-point pixels int32 [..., 2]; a pixel's middle is a whole number."""
    one = float(1 << SHIFT)
    flat = seen[..., :2] * (glass.focal * one / seen[..., 2:3])
    flat += ((glass.width / 2 - 0.5) * one, (glass.height / 2 - 0.5) * one)
    np.rint(flat, out=flat)
    np.minimum(flat, _LIMIT, out=flat)
    np.maximum(flat, -_LIMIT, out=flat)
    return flat.astype(np.int32)


def clip(polygon: Any) -> Any:
    """The part [m, 3] of a camera-frame polygon [n, 3] that lies beyond the near plane."""
    kept = []
    points = polygon.tolist()
    for here, there in zip(points, points[1:] + points[:1]):
        inside = here[2] >= NEAR
        if inside:
            kept.append(here)
        if inside != (there[2] >= NEAR):
            part = (NEAR - here[2]) / (there[2] - here[2])
            kept.append([a + (b - a) * part for a, b in zip(here, there)])
    return np.array(kept, np.float64).reshape(-1, 3)
