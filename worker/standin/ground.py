"""Fast answers about places in a town: how high the ground is, whose road is nearest, what limit holds, and which light governs.

Every vehicle asks in every tick. The lanes are sampled; for each small square that is asked about, the few samples that can be nearest to
a place in it are found once and kept.
"""

from __future__ import annotations

import math
from typing import Any, Dict, Iterable, List, NamedTuple, Sequence, Tuple

import numpy as np

from .opendrive import Piece
from .signals import StopLine

SQUARE, EVERY = 2.0, 2.0  # metres
GRID = 2.0**20  # samples are rounded to 1/GRID, where the last bits of sines are forgotten
BLOCK = 32.0  # metres: stop lines are sorted into these
CELL = 8.0  # metres: samples are sorted into these
REACHES = (1, 4, 16)  # cells around a place that are searched, as long as a nearer sample could be farther out
KEPT = 200_000  # squares: then all are forgotten
BEFORE_LINE, BEYOND_LINE = 18.0, 0.5  # metres of a vehicle's middle to a stop line, within which the light governs it


class Sample(NamedTuple):
    """One place on a road: its height, how the ground rises with x and y, whose road it is, and the limit (km/h)."""

    x: float
    y: float
    z: float
    rise_x: float
    rise_y: float
    owner: int
    limit: float


class Ground:
    """See the module's text."""

    def __init__(self, pieces: Iterable[Piece], lines: Iterable[StopLine]) -> None:
        rows = np.concatenate([np.zeros((0, 7)), *(_rows(piece) for piece in pieces)])
        self._rows = np.rint(rows * GRID) / GRID
        self._cells = _sorted(self._rows)
        self._squares: Dict[Tuple[int, int], List[Sample]] = {}
        self._lines = _by_square(lines)

    def nearest(self, x: float, y: float) -> Sample:
        """The sample nearest to a place. Raises IndexError in a town without roads."""
        key = (int(x // SQUARE), int(y // SQUARE))
        found = self._squares.get(key)
        if found is None:
            found = self._learn(key)
        if len(found) == 1:
            return found[0]
        best, least = found[0], math.inf
        for sample in found:
            dx, dy = x - sample[0], y - sample[1]
            away = dx * dx + dy * dy
            if away < least:
                best, least = sample, away
        return best

    def height(self, x: float, y: float) -> float:
        """The ground's z: the nearest lane goes on sideways, level across. There is one storey."""
        x0, y0, z, rise_x, rise_y, _, _ = self.nearest(x, y)
        return z + rise_x * (x - x0) + rise_y * (y - y0)

    def light(self, x: float, y: float, yaw: float) -> str | None:
        """The sign of the light for those who stand or drive there, of the nearest where there are two; yaw in radians."""
        found, farthest = None, -BEFORE_LINE
        for line in self._lines.get((int(x // BLOCK), int(y // BLOCK)), ()):
            dx, dy = x - line.x, y - line.y
            cos, sin = math.cos(line.yaw), math.sin(line.yaw)
            along, aside = dx * cos + dy * sin, dy * cos - dx * sin
            if farthest < along < BEYOND_LINE and abs(aside) < line.half_width and math.cos(yaw - line.yaw) > 0.5:
                found, farthest = line.sign, along
        return found

    def _learn(self, key: Tuple[int, int]) -> List[Sample]:
        """The samples that can be nearest to a place in a square."""
        x, y = (key[0] + 0.5) * SQUARE, (key[1] + 0.5) * SQUARE
        rows, away = self._around(x, y)
        near = rows[away <= away.min() + SQUARE * math.sqrt(2.0)]
        if len(self._squares) >= KEPT:
            self._squares.clear()
        found = [Sample(x, y, z, rise_x, rise_y, int(owner), limit) for x, y, z, rise_x, rise_y, owner, limit in near.tolist()]
        self._squares[key] = found
        return found

    def _around(self, x: float, y: float) -> Tuple[Any, Any]:
        """The samples around a place, enough of them to have the nearest among them, and how far each is away."""
        if not len(self._rows):
            raise IndexError("a town without roads")
        i, j = int(x // CELL), int(y // CELL)
        for reach in REACHES:
            span = range(-reach, reach + 1)
            cells = [self._cells[key] for key in ((i + a, j + b) for a in span for b in span) if key in self._cells]
            if cells:
                rows = self._rows[np.concatenate(cells)]
                away = _away(rows, x, y)
                if away.min() + 2.0 * SQUARE < reach * CELL:
                    return rows, away
        return self._rows, _away(self._rows, x, y)


def _away(rows: Any, x: float, y: float) -> Any:
    return np.sqrt((rows[:, 0] - x) ** 2 + (rows[:, 1] - y) ** 2)


def _rows(piece: Piece) -> Any:
    """The samples of a road: the middle of every driving lane, every two metres."""
    curve = piece.curve
    s = np.linspace(0.0, curve.length, max(2, math.ceil(curve.length / EVERY) + 1))
    x, y, z, yaw = (np.interp(s, curve.s, column) for column in (curve.x, curve.y, curve.z, curve.yaw))
    cos, sin, slope, same = np.cos(yaw), np.sin(yaw), np.gradient(z, s), np.ones(len(s))
    rest = [z, slope * cos, slope * sin, piece.owner * same, piece.limit * same]
    return np.concatenate([np.zeros((0, 7)), *(np.column_stack([x - d * sin, y + d * cos, *rest]) for _, d in piece.middles())])


def _sorted(rows: Any) -> Dict[Tuple[int, int], Any]:
    """The indices of the samples in each cell."""
    keys = np.floor_divide(rows[:, :2], CELL).astype(np.int64)
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    cuts = np.flatnonzero(np.any(np.diff(keys[order], axis=0) != 0, axis=1)) + 1
    return {(int(keys[part[0], 0]), int(keys[part[0], 1])): part for part in np.split(order, cuts) if len(part)}


def _by_square(lines: Iterable[StopLine]) -> Dict[Tuple[int, int], Sequence[StopLine]]:
    """The stop lines that may matter in each block."""
    found: Dict[Tuple[int, int], List[StopLine]] = {}
    for line in lines:
        reach = BEFORE_LINE + line.half_width
        for i in range(int((line.x - reach) // BLOCK), int((line.x + reach) // BLOCK) + 1):
            for j in range(int((line.y - reach) // BLOCK), int((line.y + reach) // BLOCK) + 1):
                found.setdefault((i, j), []).append(line)
    return dict(found)
