"""Curves across a junction: beside a corridor, round a bend, and round a turning place.

A place is x, y, z and yaw in CARLA's frame: metres and radians.
Rule: a curve begins and ends at the places it is given, with their headings; a bend does so a little aside, so that whoever asks for the
lane at a place on a route finds the route's own way and not one that branches off there.
"""

from __future__ import annotations

import math
from typing import Any, List, Tuple

import numpy as np

from .corridor import Corridor, Span
from .opendrive_plan import Curve

Place = Tuple[float, float, float, float]

STEP = 0.5  # metres between samples
TIGHTEST = 1.0 / 3.8  # 1/m: no car turns tighter
ASIDE = 0.3  # metres towards the inside of a bend
TURNING_RADIUS, RETURN_RADIUS = 7.5, 30.0  # metres


def measured(x: Any, y: Any, z: Any, yaw: Any) -> Curve:
    """A curve through points, with its length measured along them."""
    steps = np.sqrt(np.diff(x) ** 2 + np.diff(y) ** 2)
    return Curve(np.concatenate([[0.0], np.cumsum(steps)]), x, y, z, yaw)


def shifted(curve: Curve, d: float) -> Curve:
    """A curve d metres to the right of another; its length is the other's."""
    return Curve(curve.s, curve.x - d * np.sin(curve.yaw), curve.y + d * np.cos(curve.yaw), curve.z, curve.yaw)


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
    x, y, yaw = [a[0]], [a[1]], [a[3]]
    for turn in (out, -math.pi - 2.0 * out, out):
        _arc(x, y, yaw, turn, radius)
    return measured(np.array(x), np.array(y), np.linspace(a[2], b[2], len(x)), np.array(yaw))


def way_back(corridor: Corridor, span: Span, side: float) -> Curve | None:
    """From the end of a corridor round to its start, beside it: to the right (side 1) or left (-1). None where it bends too much."""
    aside = 2.0 * RETURN_RADIUS * side
    back = beside(corridor, (span[1], span[0]), aside, aside)
    if float((1.0 - aside * corridor.road.curvature).min()) < 0.4:
        return None
    x, y, yaw = ([part] for part in (*corridor.place(span[1])[:2], corridor.place(span[1])[3]))
    _arc(x, y, yaw, side * math.pi, RETURN_RADIUS)
    first = len(x) - 1
    turned = back.yaw + (yaw[-1] - float(back.yaw[0]))
    x, y, yaw = [*x[:-1], *back.x.tolist()], [*y[:-1], *back.y.tolist()], [*yaw[:-1], *turned.tolist()]
    last = len(x)
    _arc(x, y, yaw, side * math.pi, RETURN_RADIUS)
    z = [*[float(back.z[0])] * first, *back.z.tolist(), *[float(back.z[-1])] * (len(x) - last)]
    return measured(np.array(x), np.array(y), np.array(z), np.array(yaw))


def _arc(x: List[float], y: List[float], yaw: List[float], turn: float, radius: float) -> None:
    """Go on along an arc; a positive turn is to the right."""
    count = max(2, round(abs(turn) * radius / STEP))
    step = turn / count
    chord = 2.0 * radius * math.sin(abs(step) / 2.0)
    for _ in range(count):
        middle = yaw[-1] + step / 2.0
        x.append(x[-1] + chord * math.cos(middle))
        y.append(y[-1] + chord * math.sin(middle))
        yaw.append(yaw[-1] + step)
