"""Sampled curves -> OpenDRIVE's plan view and elevation: as few lines and cubics as stay within a centimetre or two of the samples.

A curve is given in CARLA's frame, which is left-handed; OpenDRIVE's y and heading are the negatives.
Rule: cubics share position and heading where they meet, so that a waypoint's yaw has no steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, List, NamedTuple, Tuple

import numpy as np

TOLERANCE = 0.015  # metres between a sample and the cubic
STRAIGHT = 0.002  # metres between a sample and a line
LONGEST = 128  # samples in one cubic
_HALVES = np.linspace(0.0, 1.0, 17)
_SIMPSON = np.array([1.0, *[4.0, 2.0] * 7, 4.0, 1.0]) / 48.0


@dataclass(frozen=True, eq=False)
class Curve:
    """Arrays of equal length, CARLA's frame: s rising from 0, metres; yaw in radians, unwrapped."""

    s: Any
    x: Any
    y: Any
    z: Any
    yaw: Any

    @property
    def length(self) -> float:
        """Metres from the first sample to the last."""
        return float(self.s[-1])

    def at(self, s: float, d: float = 0.0) -> Tuple[float, float, float, float]:
        """x, y, z and yaw (radians) at s, d metres to the right."""
        x, y, z, yaw = (float(np.interp(s, self.s, column)) for column in (self.x, self.y, self.z, self.yaw))
        return x - d * math.sin(yaw), y + d * math.cos(yaw), z, yaw


class Stretch(NamedTuple):
    """One element of the plan view in OpenDRIVE's frame; no coefficients: a line."""

    s: float
    x: float
    y: float
    heading: float
    length: float
    u: Tuple[float, ...] = ()
    v: Tuple[float, ...] = ()


class Rise(NamedTuple):
    """One element of the elevation: a cubic from s on."""

    s: float
    coefficients: Tuple[float, ...]


def plan(curve: Curve) -> List[Stretch]:
    """The plan view of a curve. Its s is the cubics' own length, which differs from the samples' by less than a part in a thousand."""
    columns = (curve.s, curve.x, -curve.y, -curve.yaw)
    stretches: List[Stretch] = []
    first, s, last = 0, 0.0, len(curve.s) - 1
    while first < last:
        stop, stretch = _longest(columns, first, s)
        stretches.append(stretch)
        first, s = stop, s + stretch.length
    return stretches


def _longest(columns: Tuple[Any, ...], first: int, s: float) -> Tuple[int, Stretch]:
    """The longest line from a sample on, or else the longest cubic, with the sample at its end."""
    last = len(columns[0]) - 1
    span = _straight_samples(columns, first)
    if span >= 4 or first + span == last:
        stop = first + span
        x, y = columns[1], columns[2]
        dx, dy = float(x[stop] - x[first]), float(y[stop] - y[first])
        return stop, Stretch(s, float(x[first]), float(y[first]), math.atan2(dy, dx), math.hypot(dx, dy))
    span = LONGEST
    while span > 1:
        stop = min(first + span, last)
        stretch = _cubic(columns, first, stop, s)
        if stretch:
            return stop, stretch
        span //= 2
    stretch = _cubic(columns, first, first + 1, s, math.inf)
    assert stretch is not None
    return first + 1, stretch


def _straight_samples(columns: Tuple[Any, ...], first: int) -> int:
    """How many samples after the first lie on its own heading."""
    _, x, y, heading = (column[first:] for column in columns)
    cos, sin = math.cos(heading[0]), math.sin(heading[0])
    aside = np.abs((y - y[0]) * cos - (x - x[0]) * sin)
    off = np.flatnonzero((aside > STRAIGHT) | (np.abs(heading - heading[0]) > 0.0005))
    return int(off[0]) - 1 if len(off) else len(x) - 1


def _cubic(columns: Tuple[Any, ...], first: int, stop: int, s: float, most: float = TOLERANCE) -> Stretch | None:
    """The cubic between two samples that has their headings, unless a sample between lies off it."""
    at, x, y, heading = (column[first : stop + 1] for column in columns)
    length, h, turn = float(at[-1] - at[0]), float(heading[0]), float(heading[-1] - heading[0])
    if abs(turn) > 1.0:
        return None
    cos, sin = math.cos(h), math.sin(h)
    u, v = (x - x[0]) * cos + (y - y[0]) * sin, (y - y[0]) * cos - (x - x[0]) * sin
    end_u, end_v = float(u[-1]), float(v[-1])
    a = (0.0, length, 3 * end_u - length * (2 + math.cos(turn)), length * (1 + math.cos(turn)) - 2 * end_u)
    b = (0.0, 0.0, 3 * end_v - length * math.sin(turn), length * math.sin(turn) - 2 * end_v)
    p = (at - at[0]) / length
    off_u, off_v = a[1] * p + a[2] * p**2 + a[3] * p**3 - u, b[2] * p**2 + b[3] * p**3 - v
    if most < math.inf and float(np.maximum(np.abs(off_u), np.abs(off_v)).max()) > most:
        return None
    return Stretch(s, float(x[0]), float(y[0]), h, _arc(a, b), a, b)


def _arc(a: Tuple[float, ...], b: Tuple[float, ...]) -> float:
    """The length of a cubic from p = 0 to 1."""
    p = _HALVES
    du, dv = a[1] + 2 * a[2] * p + 3 * a[3] * p**2, b[1] + 2 * b[2] * p + 3 * b[3] * p**2
    return float((np.sqrt(du * du + dv * dv) * _SIMPSON).sum())


def rises(curve: Curve) -> List[Rise]:
    """The elevation of a curve: cubics that share height and slope where they meet."""
    s, z = curve.s, curve.z
    slope = np.gradient(z, s)
    found: List[Rise] = []
    first, last = 0, len(s) - 1
    while first < last:
        span = 4 * LONGEST
        while True:
            stop = min(first + span, last)
            length = float(s[stop] - s[first])
            rise, start, end = float(z[stop] - z[first]), float(slope[first]), float(slope[stop])
            c, d = 3 * rise / length**2 - (2 * start + end) / length, (start + end) / length**2 - 2 * rise / length**3
            p = s[first : stop + 1] - s[first]
            if span <= 1 or float(np.abs(z[first] + start * p + c * p**2 + d * p**3 - z[first : stop + 1]).max()) < TOLERANCE:
                break
            span //= 2
        found.append(Rise(float(s[first]), (float(z[first]), start, c, d)))
        first = stop
    return found
