"""What houses hide: for each upright strip of a picture, how high the houses before a given depth stand.

A house is taken for the upright plane between its outermost corners as seen from the camera, which lies inside it: all that is farther away
than that plane's far end, and lower in the picture than its upper edge, is hidden for certain. Nothing that shows is ever called hidden.
"""

from __future__ import annotations

import math
from typing import Any, Tuple

import numpy as np

from .lens import Lens
from .sight import SHIFT

STRIPS = 64
_NEAR = 0.5  # metres: planes are cut here, before the camera
_BEHIND = 0.5  # metres behind a plane's far end, so that no house hides itself


class Horizon:
    """The upper edges of what hides; ``walls`` [W, 4, 3] are the upper corners of houses in a level camera's frame: right, down, depth."""

    def __init__(self, glass: Lens, walls: Any) -> None:
        left, right = _ends(walls)
        far = np.maximum(left[:, 2], right[:, 2])
        order = np.argsort(far, kind="stable")
        left, right = left[order], right[order]
        self._depth, self._strip = far[order] + _BEHIND, (glass.width << SHIFT) / STRIPS
        scale = float(glass.focal * (1 << SHIFT))
        (x0, y0), (x1, y1) = ((end[:, :2] * (scale / end[:, 2:])).T[:, :, None] for end in (left, right))
        bounds = np.arange(STRIPS + 1) * self._strip - (glass.width << SHIFT) / 2
        edge = y0 + (y1 - y0) * ((bounds - x0) / np.maximum(x1 - x0, 1e-6)) + (glass.height << SHIFT) / 2
        covered = (x0 <= bounds[:-1]) & (x1 >= bounds[1:])
        rows = np.where(covered, np.maximum(edge[:, :-1], edge[:, 1:]), np.inf)
        self._rows = np.minimum.accumulate(np.concatenate([np.full((1, STRIPS), np.inf), rows + (1 << SHIFT)]), axis=0)

    def hides(self, left: Any, right: Any, top: Any, depth: Any) -> Any:
        """Which of K things are hidden: their outermost fixed-point pixels [K] and their least depth [K] in metres."""
        strips, last = np.arange(STRIPS), STRIPS - 1
        first = np.clip(left // self._strip, 0, last)[:, None]
        until = np.clip(right // self._strip, 0, last)[:, None]
        rows = self._rows[np.searchsorted(self._depth, depth)]
        return ((rows <= top[:, None]) | (strips < first) | (strips > until)).all(axis=1)


def _ends(walls: Any) -> Tuple[Any, Any]:
    """The outermost corners, left and right, of those walls [W, 4, 3] that reach before the camera; cut where they come too near to it."""
    bearing = np.arctan2(walls[:, :, 0], walls[:, :, 2])
    least, most = bearing.argmin(axis=1), bearing.argmax(axis=1)
    rows = np.arange(len(walls))
    apart = bearing[rows, most] - bearing[rows, least]
    before = (walls[:, :, 2].max(axis=1) > _NEAR) & (apart < math.pi)
    rows = rows[before]
    left, right = walls[rows, least[rows]], walls[rows, most[rows]]
    shown = np.maximum(left[:, 2], right[:, 2]) > _NEAR
    left, right = left[shown], right[shown]
    return _cut(left, right), _cut(right, left)


def _cut(end: Any, other: Any) -> Any:
    """``end``, or where it is too near the point towards ``other`` that is just far enough."""
    short = _NEAR - end[:, 2]
    part = np.where(short > 0, short / np.maximum(other[:, 2] - end[:, 2], 1e-9), 0.0)
    return end + (other - end) * part[:, None]
