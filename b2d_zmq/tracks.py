"""Where the ego was, as arrays, and how far two such records are apart. From observations alone, so the same for every simulator.

Positions are metres, speeds m/s, yaw degrees. Values in, values out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping, NamedTuple, Sequence

import numpy as np

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]
else:
    Array = np.ndarray  # Python 3.8 cannot subscript it


class Gaps(NamedTuple):
    """Distances between two records, in m, m/s and degrees (0 to 180); never negative."""

    position: Array
    speed: Array
    yaw: Array

    def worst(self, axis: Any = None) -> Gaps:
        """The largest along ``axis``, each for itself."""
        return Gaps(*(np.max(part, axis=axis) for part in self))


class Tracks(NamedTuple):
    """Egos with any leading dimensions, such as [G] or [G, K]: ``position`` [..., 3], ``speed`` [...], ``yaw`` [...], float64."""

    position: Array
    speed: Array
    yaw: Array

    @classmethod
    def seen(cls, observations: Mapping[str, Any]) -> Tracks:
        """What an observation, or a batch of them, says of the ego."""
        vehicle = observations["vehicle_state"]
        position, speed, rotation = (np.array(vehicle[name], np.float64) for name in ("position", "speed", "rotation"))
        return cls(position, speed[..., 0], rotation[..., 1])

    @classmethod
    def over_time(cls, moments: Sequence[Tracks]) -> Tracks:
        """Moments of [G] egos as one record [G, K]."""
        return cls(*(np.stack(parts, axis=1) for parts in zip(*moments)))

    def of(self, index: Any) -> Tracks:
        """Those at ``index`` of the leading dimension."""
        return Tracks(*(part[index] for part in self))

    def until(self, moments: int) -> Tracks:
        """A record [G, K] with so many moments, the last one repeated where it ended before."""
        return Tracks(*(part[:, np.minimum(np.arange(moments), part.shape[1] - 1)] for part in self))

    def gaps(self, other: Tracks) -> Gaps:
        """How far apart the two are, element by element; they broadcast as numpy's arrays do."""
        turn = np.abs(np.remainder(self.yaw - other.yaw + 180.0, 360.0) - 180.0)
        return Gaps(np.linalg.norm(self.position - other.position, axis=-1), np.abs(self.speed - other.speed), turn)

    def drift(self) -> Gaps:
        """Of a record [G, K]: at each of the K moments, how far apart the two are that are farthest apart; [K]."""
        one, other = (Tracks(*(np.expand_dims(part, axis) for part in self)) for axis in (0, 1))
        return one.gaps(other).worst((0, 1))
