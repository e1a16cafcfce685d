"""The ground as textures seen from above, painted window by window around the ego, and laid into a picture in perspective.

Four levels of detail, each a window that moves in whole cells of its grid: which window is in use depends on the ego's place alone, and
every window paints the same world point alike, so nothing jumps when a window moves and a picture is a function of the world's state.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import cv2
import numpy as np

from .layout import ASPHALT, RGB, Patches
from .lens import Lens

SHIFT = 4  # fractional bits of polygon corners
NOISE_METRES = 64  # the ground's unevenness repeats after this
NOISE_PER_METRE = 4


class Level(NamedTuple):
    """One level of detail: pixels per metre, how far from the ego it serves, and the cell in which its window moves (metres)."""

    scale: float
    reach: float
    cell: float

    @property
    def size(self) -> int:
        """The window's side in pixels."""
        return round((self.cell + 2 * self.reach) * self.scale)


LEVELS = (Level(40.0, 12.0, 8.0), Level(16.0, 36.0, 16.0), Level(6.0, 104.0, 32.0), Level(1.5, 400.0, 128.0))

TERRAIN: Dict[str, Tuple[RGB, RGB]] = {
    "urban": ((96, 104, 76), (128, 130, 100)),
    "rural": ((70, 88, 46), (112, 120, 66)),
    "highway": ((88, 102, 56), (132, 134, 80)),
}


class Band(NamedTuple):
    """Rows of a picture (counted from the first ground row) that one level serves, and pixel -> ground for them."""

    level: int
    top: int
    bottom: int
    to_ground: Any


@lru_cache(maxsize=64)
def bands(glass: Lens) -> Tuple[Band, ...]:
    """The bands of a lens, from its ground rows' top to their bottom: the finest level that reaches all that a row sees."""
    top, bottom = glass.ground_rows
    points, _ = glass.ground_points(glass.ground_rows)
    reach = np.sqrt((points * points).sum(axis=2).max(axis=1)) if bottom > top else np.zeros(0)
    levels = np.searchsorted([level.reach for level in LEVELS[:-1]], reach)
    cuts = [0, *(np.flatnonzero(np.diff(levels)) + 1).tolist(), len(levels)]
    found = []
    for a, b in zip(cuts[:-1], cuts[1:]):
        if b > a:
            shift = np.array([[1, 0, 0.5], [0, 1, top + a + 0.5], [0, 0, 1.0]])
            found.append(Band(int(levels[a]), a, b, glass.to_ground @ shift))
    return tuple(found)


class Outlines:
    """Polygons [n, 2] in world metres, all their corners in one array, so that those within a window are found and scaled at once."""

    def __init__(self, polygons: Sequence[Any]) -> None:
        count = np.array([len(polygon) for polygon in polygons], np.int64)
        self._end = np.cumsum(count)
        self._first, self._whose = self._end - count, np.repeat(np.arange(len(count)), count)
        self._points = np.concatenate([np.zeros((0, 2)), *polygons])
        # The corner across a strip: corners run along one side and back along the other.
        self._across = np.repeat(self._first + self._end - 1, count) - np.arange(len(self._points))
        if len(count):
            low, high = (reduce.reduceat(self._points, self._first, axis=0) for reduce in (np.minimum, np.maximum))
            self._bounds = np.concatenate([low, high], axis=1)
        else:
            self._bounds = np.zeros((0, 4))

    def within(self, corner: Any, far: Any, scale: float, margin: Any = None) -> List[Tuple[int, Any]]:
        """(row, corners as fixed-point pixels int32) of the polygons that touch a window of so many pixels to the metre.

        ``margin`` [N]: metres by which both long sides of a strip move inwards, as a filled polygon's smoothed edge stands half a pixel
        outside it. A pixel's middle is a whole number.
        """
        inside = (self._bounds[:, :2] < far).all(axis=1) & (self._bounds[:, 2:] > corner).all(axis=1)
        found = np.flatnonzero(inside)
        rows = np.flatnonzero(inside[self._whose])
        points = self._points[rows]
        if margin is not None:
            across = self._points[self._across[rows]] - points
            wide = np.maximum(np.sqrt(np.einsum("ij,ij->i", across, across)), 1e-9)
            points = points + across * np.minimum(0.45, margin[self._whose[rows]] / wide)[:, None]
        fixed = np.rint(((points - corner) * scale - 0.5) * (1 << SHIFT)).astype(np.int32)
        count = (self._end - self._first)[found]
        ends = np.cumsum(count)
        return [(row, fixed[a:b]) for row, a, b in zip(found.tolist(), (ends - count).tolist(), ends.tolist())]


class Ground:
    """The patches of a road, and the windows painted of them so far (one for each level)."""

    def __init__(self, patches: Patches, shadows: Sequence[Any], shadow: Any, town_kind: str, seed: int) -> None:
        self._polygons, self._shadows = Outlines(patches.polygons), Outlines(shadows)
        self._colors = np.array(patches.colors, np.float64).reshape(-1, 3)
        self._widths = np.array(patches.widths, np.float64)
        self._shadow = tuple(int(255 * part + 0.5) for part in shadow)
        self._ramp = _ramp(*TERRAIN[town_kind])
        self._noise, self._grain = _noises(seed)
        self._windows: Dict[int, Tuple[Tuple[int, int], np.ndarray[Any, Any]]] = {}
        self._sheets: Dict[Tuple[int, ...], np.ndarray[Any, Any]] = {}
        # What windows are painted on: kept, because memory that is new to the process costs more time than the painting.
        self._tables = np.empty((2, max(level.size for level in LEVELS) ** 2 * 3), np.uint8)

    def paint(self, part: Sequence[Band], ego: Any, out: np.ndarray[Any, Any]) -> None:
        """Lay the ground into ``out``, the ground rows of a picture.

        By way of a sheet of four channels, the last unused: OpenCV warps four in half the time that it takes for three.
        """
        if out.shape not in self._sheets:
            self._sheets[out.shape] = np.empty((*out.shape[:2], 4), np.uint8)
        sheet = self._sheets[out.shape]
        cos, sin = float(np.cos(ego.yaw)), float(np.sin(ego.yaw))
        for band in part:
            level = LEVELS[band.level]
            texture, x0, y0 = self._window(band.level, ego.x, ego.y)
            place = np.array([[cos, -sin, ego.x - x0], [sin, cos, ego.y - y0], [0, 0, 1]])
            to_texture = np.array([[level.scale, 0, -0.5], [0, level.scale, -0.5], [0, 0, 1]])
            rows = sheet[band.top : band.bottom]
            cv2.warpPerspective(
                texture,
                to_texture @ place @ band.to_ground,
                (rows.shape[1], rows.shape[0]),
                dst=rows,
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
        cv2.cvtColor(sheet, cv2.COLOR_RGBA2RGB, dst=out)

    def _window(self, index: int, x: float, y: float) -> Tuple[np.ndarray[Any, Any], float, float]:
        level = LEVELS[index]
        cell = (int(x // level.cell), int(y // level.cell))
        held, texture = self._windows.get(index, (None, None))
        if held != cell:
            painted = self._paint_window(level, cell[0] * level.cell - level.reach, cell[1] * level.cell - level.reach)
            self._windows[index] = (cell, cv2.cvtColor(painted, cv2.COLOR_RGB2RGBA, dst=texture))
        return self._windows[index][1], cell[0] * level.cell - level.reach, cell[1] * level.cell - level.reach

    def _paint_window(self, level: Level, x0: float, y0: float) -> np.ndarray[Any, Any]:
        """The window uint8 [size, size, 3] whose corner is at x0, y0; on a table that the next window will be painted on."""
        texture, table = (flat[: level.size**2 * 3].reshape(level.size, level.size, 3) for flat in self._tables)
        noise = self._uneven(level, x0, y0)
        cv2.applyColorMap(noise, self._ramp, dst=texture)
        corner, far = np.array([x0, y0]), np.array([x0, y0]) + level.size / level.scale
        fade = np.where(self._widths > 0, np.minimum(1.0, self._widths * level.scale / 1.3), 1.0)[:, None]
        colors = (np.array(ASPHALT) + (self._colors - ASPHALT) * fade).tolist()
        margin = np.where(self._widths > 0, 0.5 / level.scale, 0.0)
        for index, outline in self._polygons.within(corner, far, level.scale, margin):
            cv2.fillPoly(texture, [outline], colors[index], cv2.LINE_AA, SHIFT)
        mottle = cv2.cvtColor(self._mottle(level, noise, (x0, y0)), cv2.COLOR_GRAY2RGB, dst=table)
        cv2.multiply(texture, mottle, dst=texture, scale=1 / 128)
        shaded = self._shadows.within(corner, far, level.scale) if min(self._shadow) < 235 else []
        if shaded:
            table.fill(255)
            for _, outline in shaded:
                cv2.fillPoly(table, [outline], self._shadow, cv2.LINE_AA, SHIFT)
            cv2.multiply(texture, table, dst=texture, scale=1 / 255)
        return texture

    def _uneven(self, level: Level, x0: float, y0: float) -> np.ndarray[Any, Any]:
        """uint8 [size, size]: the world's unevenness in a window; coarse levels repeat one scaled tile."""
        period = NOISE_METRES * NOISE_PER_METRE
        if level.scale <= 2 * NOISE_PER_METRE:
            side = round(NOISE_METRES * level.scale)
            tile = cv2.resize(self._noise, (side, side), interpolation=cv2.INTER_AREA)
            columns = (np.arange(level.size) + round(x0 * level.scale)) % side
            rows = (np.arange(level.size) + round(y0 * level.scale)) % side
            return np.asarray(tile.take(rows, axis=0).take(columns, axis=1))
        count = round(level.size / level.scale * NOISE_PER_METRE)
        columns = (np.arange(count) + round(x0 * NOISE_PER_METRE)) % period
        rows = (np.arange(count) + round(y0 * NOISE_PER_METRE)) % period
        return np.asarray(cv2.resize(self._noise[np.ix_(rows, columns)], (level.size, level.size), interpolation=cv2.INTER_LINEAR))

    def _mottle(self, level: Level, noise: np.ndarray[Any, Any], corner: Tuple[float, float]) -> np.ndarray[Any, Any]:
        """uint8 [size, size]: what the surfaces' colours are multiplied with, 128 = unchanged: broad stains, near by also grain."""
        soft = cv2.addWeighted(noise, 0.16, noise, 0.0, 128 - 0.16 * 128)
        if level.scale > 10:
            side, count = len(self._grain), np.arange(level.size)
            columns, rows = ((count + round(at * level.scale)) % side for at in corner)
            grain = self._grain.take(rows, axis=0).take(columns, axis=1)
            soft = cv2.addWeighted(soft, 1.0, grain, 0.22, -0.22 * 128)
        return np.asarray(soft)


def _ramp(dark: RGB, light: RGB) -> np.ndarray[Any, Any]:
    steps = np.clip(np.linspace(-0.4, 1.4, 256), 0, 1)[:, None]
    return np.asarray((np.array(dark) + (np.array(light) - np.array(dark)) * steps).astype(np.uint8).reshape(256, 1, 3))


def _noises(seed: int) -> Tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """(unevenness that wraps every NOISE_METRES, grain of single pixels), uint8 around 128."""
    random = np.random.RandomState((seed + 2) % 2**32)
    size = NOISE_METRES * NOISE_PER_METRE
    total = np.zeros((size, size), np.float32)
    for coarse, weight in ((8, 1.0), (32, 0.7), (128, 0.6)):
        field = np.pad(random.standard_normal((coarse, coarse)).astype(np.float32), 2, mode="wrap")
        scale = size // coarse
        fine = cv2.resize(field, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        total += weight * fine[2 * scale : 2 * scale + size, 2 * scale : 2 * scale + size]
    grain = random.standard_normal((256, 256)).astype(np.float32)
    return _centred(total, 45.0), _centred(grain, 40.0)


def _centred(values: Any, spread: float) -> np.ndarray[Any, Any]:
    return np.asarray(np.clip(values / values.std() * spread + 128, 0, 255).astype(np.uint8))
