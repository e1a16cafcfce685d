"""What the ground is made of: a corridor's patches as semantic labels, seen from above, in windows round the sensor.

The same polygons that the painter fills with colours, so that labels and pictures agree; the windows are the painter's levels of detail.
Beside them all is terrain. Lines that are thinner than half a cell of their level are left out.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Dict, Tuple

import cv2
import numpy as np

from ...world import ground, layout
from ...world.ground import LEVELS, SHIFT, Level
from ...world.lens import Lens
from ...world.road import Road

ROAD, SIDEWALK, TERRAIN, LINE = 1, 2, 10, 24
"""CARLA's labels."""

_WALKS = (layout.SURFACES["sidewalk"], layout.KERB)
_ROADS = tuple(color for kind, color in layout.SURFACES.items() if kind != "sidewalk")


class Floor:
    """The labels of one corridor's ground. A window is painted anew when the sensor has left its cell."""

    def __init__(self, road: Road) -> None:
        patches = layout.lay(road)
        self._outlines = ground.Outlines(patches.polygons)
        self._widths = np.array(patches.widths)
        self._labels = [_label(color, width) for color, width in zip(patches.colors, patches.widths)]
        self._windows: Dict[int, Tuple[Tuple[int, int], Any]] = {}

    def screen(self, glass: Lens, x: float, y: float, yaw: float) -> Any:
        """uint8 [rows, width]: the labels in the ground rows of a lens whose frame stands there, yaw in radians."""
        top, bottom = glass.ground_rows
        out = np.full((bottom - top, glass.width), TERRAIN, np.uint8)
        cos, sin = np.cos(yaw), np.sin(yaw)
        for band in ground.bands(glass):
            texture, x0, y0 = self._window(band.level, x, y)
            scale = LEVELS[band.level].scale
            place = np.array([[cos, -sin, x - x0], [sin, cos, y - y0], [0, 0, 1]])
            to_texture = np.array([[scale, 0, -0.5], [0, scale, -0.5], [0, 0, 1]])
            rows = out[band.top : band.bottom]
            cv2.warpPerspective(
                texture,
                to_texture @ place @ band.to_ground,
                (glass.width, len(rows)),
                dst=rows,
                flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=TERRAIN,
            )
        return out

    def at(self, points: Any, x: float, y: float) -> Any:
        """uint8 [N]: the labels of world points [N, 2] as a sensor at x, y finds them."""
        out = np.full(len(points), TERRAIN, np.uint8)
        away = np.hypot(points[:, 0] - x, points[:, 1] - y)
        levels = np.searchsorted([level.reach for level in LEVELS], away)
        for index in np.unique(levels[levels < len(LEVELS)]).tolist():
            rows = np.flatnonzero(levels == index)
            texture, x0, y0 = self._window(index, x, y)
            cells = ((points[rows] - (x0, y0)) * LEVELS[index].scale).astype(np.int64)
            out[rows] = texture[cells[:, 1], cells[:, 0]]
        return out

    def _window(self, index: int, x: float, y: float) -> Tuple[Any, float, float]:
        level = LEVELS[index]
        cell = (int(x // level.cell), int(y // level.cell))
        x0, y0 = cell[0] * level.cell - level.reach, cell[1] * level.cell - level.reach
        if index not in self._windows or self._windows[index][0] != cell:
            self._windows[index] = (cell, self._painted(level, x0, y0))
        return self._windows[index][1], x0, y0

    def _painted(self, level: Level, x0: float, y0: float) -> Any:
        texture = np.full((level.size, level.size), TERRAIN, np.uint8)
        corner = np.array([x0, y0])
        margin = np.where(self._widths > 0, 0.5 / level.scale, 0.0)
        for row, outline in self._outlines.within(corner, corner + level.size / level.scale, level.scale, margin):
            if not 0.0 < self._widths[row] < 0.5 / level.scale:
                cv2.fillPoly(texture, [outline], self._labels[row], cv2.LINE_8, SHIFT)
        return texture


@lru_cache(maxsize=4)
def floor(road: Road) -> Floor:
    """The floor of a corridor; kept, as laying it is slow."""
    return Floor(road)


def _label(color: Any, width: float) -> int:
    if width > 0.0:
        return LINE
    return ROAD if color in _ROADS else SIDEWALK if color in _WALKS else TERRAIN
