"""Paints faces into a picture from far to near: culled by size and by what hides them, veiled by haze.

Only the filling of what is seen at last is a loop.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Sequence, Tuple

import cv2
import numpy as np

from .air import Air
from .hiding import Horizon
from .lens import NEAR, Lens
from .sight import SHIFT, Sight, clip, pixels
from .solids import HALO, Seen

LEAST = 2 << SHIFT  # a face's longer side in the picture, below which it is not worth a stroke
THIN = (1 << SHIFT) // 2  # and its shorter side


def draw(image: Any, sight: Sight, groups: Sequence[Seen], walls: Any) -> None:
    """Paint the groups' faces into an RGB picture, farthest first; ``walls`` [W, 4, 3] in the world hide what is behind them."""
    seen, lit, color, glow, away, facing = (np.concatenate(columns) for columns in zip(*groups))
    depth = _least(seen[:, :, 2])
    cut = depth < NEAR
    flat = pixels(sight.glass, np.where(cut[:, None, None], 1.0, seen)) if cut.any() else pixels(sight.glass, seen)
    rows = np.flatnonzero(_shows(sight, (seen, flat, depth, cut), glow > 0, walls))
    rows = rows[np.argsort(-away[rows], kind="stable")]
    seen, lit, glow = seen[rows], lit[rows], glow[rows]
    if sight.air.night > 0.0:
        lit = lit + color[rows] * _beam(sight, seen, facing[rows], glow)[:, None]
    colors, outlines = _veiled(sight.air, seen, lit, glow).tolist(), list(flat[rows])
    for row in np.flatnonzero(cut[rows]).tolist():
        outlines[row] = pixels(sight.glass, clip(seen[row]))
    halos = np.flatnonzero((glow == HALO) & (sight.air.night > 0.3)).tolist()
    fill, smooth, start = cv2.fillConvexPoly, cv2.LINE_AA, 0
    for row in [*halos, len(outlines) - 1]:
        for outline, paint in zip(outlines[start : row + 1], colors[start : row + 1]):
            fill(image, outline, paint, smooth, SHIFT)
        start = row + 1
        if row in halos:
            _halo(image, sight.glass, seen[row], colors[row])


def _beam(sight: Sight, seen: Any, facing: Any, glow: Any) -> Any:
    """How much of the ego's own light falls on faces; none on what shines by itself."""
    glass = sight.glass
    middle = seen.sum(axis=1) * 0.25 @ glass.view + glass.place
    facing = np.clip(0.25 - 0.9 * facing, 0.1, 1.0)
    low = np.clip(1.5 - 0.35 * middle[:, 2], 0.15, 1.0)
    return np.where(glow > 0, 0.0, sight.air.headlights(middle[:, 0], middle[:, 1]) * facing * low)


def _shows(sight: Sight, faces: Tuple[Any, Any, Any, Any], glow: Any, walls: Any) -> Any:
    """Which faces reach into the picture, are large enough there to be seen (what shines is seen however small) and are not hidden."""
    seen, flat, depth, cut = faces
    x, y, glass = flat[:, :, 0], flat[:, :, 1], sight.glass
    left, right, top, bottom = _least(x), _most(x), _least(y), _most(y)
    wide, high = right - left, bottom - top
    shows = (right > 0) & (left < glass.width << SHIFT) & (bottom > 0) & (top < glass.height << SHIFT)
    shows &= glow | ((np.maximum(wide, high) > LEAST) & (np.minimum(wide, high) > THIN))
    if len(walls) and not glass.view[0, 2] and not glass.view[2, 2]:
        horizon = Horizon(glass, (walls - sight.eye).reshape(-1, 3).dot(sight.view).reshape(-1, 4, 3))
        rows = np.flatnonzero(shows)
        shows[rows[horizon.hides(left[rows], right[rows], top[rows], depth[rows])]] = False
    return np.where(cut, _most(seen[:, :, 2]) > NEAR, shows)


def _least(values: Any) -> Any:
    """The least of each row [F, 4]; by columns, which is faster than a reduction over so short an axis."""
    return np.minimum(np.minimum(values[:, 0], values[:, 1]), np.minimum(values[:, 2], values[:, 3]))


def _most(values: Any) -> Any:
    return np.maximum(np.maximum(values[:, 0], values[:, 1]), np.maximum(values[:, 2], values[:, 3]))


def _veiled(air: Air, seen: Any, lit: Any, glow: Any) -> Any:
    """Colours [F, 3] (0..255) of faces as seen through the haze; lamps pierce it better."""
    middle = (seen[:, 0] + seen[:, 2]) * 0.5
    veil = (air.veil(np.sqrt(np.einsum("ij,ij->i", middle, middle))) * np.where(glow > 0, 0.75, 1.0))[:, None]
    return np.minimum(lit * (1.0 - veil) + (air.haze * 255.0 * veil + 0.5), 255.0)


def _halo(image: Any, glass: Lens, seen: Any, color: Sequence[float]) -> None:
    """Add the glow of a lamp to what is around it."""
    (x0, y0, depth), (x1, y1, _) = seen[0].tolist(), seen[2].tolist()
    if depth < 1.0:
        return
    radius = int(min(56.0, 2.0 + 0.7 * glass.focal / depth))
    scale = glass.focal / depth / 2
    left, top = int((x0 + x1) * scale + glass.width / 2) - radius, int((y0 + y1) * scale + glass.height / 2) - radius
    cut_left, cut_top = max(0, -left), max(0, -top)
    part = image[top + cut_top : max(0, top + 2 * radius + 1), left + cut_left : max(0, left + 2 * radius + 1)]
    if part.size:
        r, g, b = (int(value) // 16 * 16 for value in color)
        shine = shining(radius, (r, g, b))
        cv2.add(part, shine[cut_top : cut_top + part.shape[0], cut_left : cut_left + part.shape[1]], dst=part)


@lru_cache(maxsize=256)
def shining(radius: int, color: Tuple[int, int, int]) -> Any:
    """A round glow uint8 [2 radius + 1, 2 radius + 1, 3] that fades outwards."""
    along = np.square(np.arange(-radius, radius + 1) / radius)
    strength = np.clip(1.0 - along[None, :] - along[:, None], 0.0, 1.0) ** 3
    return (strength[:, :, None] * np.array(color) * 0.5).astype(np.uint8)
