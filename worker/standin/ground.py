"""Fast answers about places in a town: how high the ground is, whose road is nearest, what limit holds, and which light governs.

Every vehicle asks in every tick. The roads are sampled; for each small square that is asked about, the few samples that can be nearest to
a place in it are found once and kept.
"""

from __future__ import annotations

import math
from typing import Any, Dict, Iterable, List, NamedTuple, Sequence, Tuple

import numpy as np

from .opendrive import Piece
from .signals import StopLine

SQUARE = 4.0  # metres
BLOCK = 32.0  # metres: samples are sorted into these
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
        self._rows = np.concatenate([np.zeros((0, 7)), *(_rows(piece) for piece in pieces)])
        self._blocks = _sorted(self._rows)
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
        """The ground's z: the nearest road goes on sideways, level across."""
        x0, y0, z, rise_x, rise_y, _, _ = self.nearest(x, y)
        return z + rise_x * (x - x0) + rise_y * (y - y0)

    def light(self, x: float, y: float, yaw: float) -> str | None:
        """The sign of the light for those who stand or drive there; yaw in radians."""
        for line in self._lines.get((int(x // BLOCK), int(y // BLOCK)), ()):
            dx, dy = x - line.x, y - line.y
            cos, sin = math.cos(line.yaw), math.sin(line.yaw)
            along, aside = dx * cos + dy * sin, dy * cos - dx * sin
            if -BEFORE_LINE < along < BEYOND_LINE and abs(aside) < line.half_width and math.cos(yaw - line.yaw) > 0.5:
                return line.sign
        return None

    def _learn(self, key: Tuple[int, int]) -> List[Sample]:
        """The samples that can be nearest to a place in a square."""
        x, y = (key[0] + 0.5) * SQUARE, (key[1] + 0.5) * SQUARE
        rows = self._around(x, y)
        away = np.sqrt((rows[:, 0] - x) ** 2 + (rows[:, 1] - y) ** 2)
        near = rows[away <= away.min() + SQUARE * math.sqrt(2.0)]
        if len(self._squares) >= KEPT:
            self._squares.clear()
        found = [Sample(x, y, z, rise_x, rise_y, int(owner), limit) for x, y, z, rise_x, rise_y, owner, limit in near.tolist()]
        self._squares[key] = found
        return found

    def _around(self, x: float, y: float) -> Any:
        """The samples of the blocks around a place, or all where there are none."""
        if not len(self._rows):
            raise IndexError("a town without roads")
        i, j = int(x // BLOCK), int(y // BLOCK)
        blocks = [self._blocks[key] for key in ((a, b) for a in (i - 1, i, i + 1) for b in (j - 1, j, j + 1)) if key in self._blocks]
        return self._rows[np.concatenate(blocks)] if blocks else self._rows


def _rows(piece: Piece) -> Any:
    """The samples of a road, a metre apart."""
    curve = piece.curve
    s = np.arange(0.0, curve.length + 0.5, 1.0)
    x, y, z, yaw = (np.interp(s, curve.s, column) for column in (curve.x, curve.y, curve.z, curve.yaw))
    slope = np.gradient(z, s)
    same = np.ones(len(s))
    return np.column_stack([x, y, z, slope * np.cos(yaw), slope * np.sin(yaw), piece.owner * same, piece.limit * same])


def _sorted(rows: Any) -> Dict[Tuple[int, int], Any]:
    """The indices of the samples in each block."""
    keys = np.floor_divide(rows[:, :2], BLOCK).astype(np.int64)
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
