"""Curves across a junction: beside a corridor, round a bend, and round a turning place.

A place is x, y, z and yaw in CARLA's frame: metres and radians.
Rule: a curve begins and ends at the places it is given, with their headings; a bend does so a little aside, so that whoever asks for the
lane at a place on a route finds the route's own way and not one that branches off there.
"""

from __future__ import annotations

import math
from typing import Any, Tuple

import numpy as np

from .corridor import Corridor, Span
from .opendrive_plan import Curve

Place = Tuple[float, float, float, float]

STEP = 0.5  # metres between samples
TIGHTEST = 1.0 / 3.8  # 1/m: no car turns tighter
ASIDE = 0.3  # metres towards the inside of a bend
TURNING_RADIUS = 7.5  # metres


def measured(x: Any, y: Any, z: Any, yaw: Any) -> Curve:
    """A curve through points, with its length measured along them."""
    steps = np.sqrt(np.diff(x) ** 2 + np.diff(y) ** 2)
    return Curve(np.concatenate([[0.0], np.cumsum(steps)]), x, y, z, yaw)


def beside(corridor: Corridor, span: Span, first: float, last: float) -> Curve:
    """A line beside a corridor's own lane that goes over from one offset to another; ``span`` may run backwards."""
    count = max(3, round(abs(span[1] - span[0]) / STEP) + 1)
    part = np.linspace(0.0, 1.0, count)
    s = span[0] + (span[1] - span[0]) * part
    d = first + (last - first) * part * part * (3.0 - 2.0 * part)
    x, y, z, yaw = corridor.road.pose(s, d)
    slant = (last - first) * 6.0 * part * (1.0 - part) / (span[1] - span[0])
    return measured(x, y, z, yaw + np.arctan(slant) + (0.0 if span[1] > span[0] else math.pi))


def bend(a: Place, b: Place) -> Curve | None:
    """A smooth way from one place to another; None where no car could follow it."""
    turn = math.remainder(b[3] - a[3], math.tau)
    a, b = (_aside(place, math.copysign(ASIDE, turn)) for place in (a, b))
    chord = math.hypot(b[0] - a[0], b[1] - a[1])
    if chord < 3.0:
        return None
    reach = chord / math.cos(turn / 4.0) ** 2
    count = max(8, round(1.2 * chord / STEP))
    p = np.linspace(0.0, 1.0, count)
    x, dx, ddx = _hermite(p, (a[0], b[0]), (reach * math.cos(a[3]), reach * math.cos(b[3])))
    y, dy, ddy = _hermite(p, (a[1], b[1]), (reach * math.sin(a[3]), reach * math.sin(b[3])))
    speed = np.sqrt(dx * dx + dy * dy)
    if float(speed.min()) < 0.2 * chord or float(np.abs((dx * ddy - dy * ddx) / speed**3).max()) > TIGHTEST:
        return None
    yaw = np.unwrap(np.arctan2(dy, dx))
    return measured(x, y, a[2] + (b[2] - a[2]) * p * p * (3.0 - 2.0 * p), yaw)


def _aside(place: Place, d: float) -> Place:
    x, y, z, yaw = place
    return x - d * math.sin(yaw), y + d * math.cos(yaw), z, yaw


def _hermite(p: Any, ends: Tuple[float, float], slopes: Tuple[float, float]) -> Tuple[Any, Any, Any]:
    """A cubic by its ends and slopes, with its first and second derivative."""
    (a, b), (m, n) = ends, slopes
    c, d = 3.0 * (b - a) - 2.0 * m - n, m + n - 2.0 * (b - a)
    return a + m * p + c * p**2 + d * p**3, m + 2.0 * c * p + 3.0 * d * p**2, 2.0 * c + 6.0 * d * p


def turning_place(a: Place, b: Place) -> Curve:
    """Out of a lane at its end and round to the left into the lane that leads back: right, left about, right."""
    half = max(0.5, abs(math.cos(a[3]) * (b[1] - a[1]) - math.sin(a[3]) * (b[0] - a[0])) / 2.0)
    radius = max(TURNING_RADIUS, half)
    out = math.acos((half + radius) / (2.0 * radius))  # radians of the first and last arc
    arcs = ((out, radius), (-math.pi - 2.0 * out, radius), (out, radius))
    x, y, yaw = [a[0]], [a[1]], [a[3]]
    for turn, r in arcs:
        count = max(2, round(abs(turn) * r / STEP))
        for _ in range(count):
            step = turn / count
            chord = 2.0 * r * math.sin(abs(step) / 2.0)
            middle = yaw[-1] + step / 2.0
            x.append(x[-1] + chord * math.cos(middle))
            y.append(y[-1] + chord * math.sin(middle))
            yaw.append(yaw[-1] + step)
    z = np.linspace(a[2], b[2], len(x))
    return measured(np.array(x), np.array(y), z, np.array(yaw))
