"""Waypoints -> a smooth reference line, sampled evenly: what a driver would make of points on a 0.1 m raster.

The line is a smoothing spline: it minimises bending against the distance to the waypoints. Where the waypoints jump across a junction, the
line bends freely, guided through a fillet of both headings when they meet; where they step aside by a lane, the pull of the points is
loosened, so that the step becomes a lane change; where the line would be too tight for a car, likewise.
Rule: plain Python floats throughout, since + - * / and sqrt give the same bits everywhere, which a linear algebra library does not.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from statistics import median
from typing import Iterable, List, NamedTuple, Sequence, Tuple

from b2d_zmq.errors import InvalidRouteFile

STEP = 0.5  # metres between two points of the line
STIFFNESS = 16.0  # weight of bending against distance: waves shorter than about 15 m are taken for noise
TIGHTEST = 1.0 / 6.5  # 1/m: a car with a turning radius of 5.8 m follows this with some room
ROUNDS = 24  # of loosening: each halves the pull
SHORTEST = 4.0  # metres: less than a car's length is no route
JUMP = 10.0  # metres between two waypoints that make a jump, when they stand closer elsewhere

Point = Tuple[float, float, float]


class Knot(NamedTuple):
    """A point that pulls the line: its place, where on the line (metres), how strongly, and which waypoint it is (-1: a guide)."""

    place: Point
    at: float
    weight: float
    waypoint: int


class Fillet(NamedTuple):
    """A straight leg, an arc and a straight leg; ``turn`` is in radians, positive to the right."""

    first: float
    radius: float
    turn: float
    second: float

    @property
    def length(self) -> float:
        return self.first + self.radius * abs(self.turn) + self.second

    def at(self, s: float) -> Tuple[float, float]:
        """Metres along and to the right of the first leg, after s metres."""
        angle = max(0.0, min((s - self.first) / self.radius, abs(self.turn)))
        rest = max(0.0, s - self.first - self.radius * angle)
        along = min(s, self.first) + self.radius * math.sin(angle) + rest * math.cos(angle)
        aside = self.radius * (1.0 - math.cos(angle)) + rest * math.sin(angle)
        return along, math.copysign(aside, self.turn)


class Shift(NamedTuple):
    """A lane change that the waypoints make: from and to (indices of knots), and metres to the right."""

    first: int
    last: int
    lateral: float


class Line(NamedTuple):
    """Points STEP apart from the first waypoint to the last, the exact length, and what the waypoints do on the way, by s."""

    points: List[Point]
    length: float
    jumps: List[Tuple[float, float]]  # s before and behind each jump
    shifts: List[Tuple[float, float, float]]  # s before and behind each lane change, metres to the right


def trace(waypoints: Sequence[Sequence[float]]) -> Line:
    """The line through waypoints [N, 3]. It may still be too tight for a car. Raises InvalidRouteFile where it leads nowhere."""
    places = _distinct([(float(p[0]), float(p[1]), float(p[2])) for p in waypoints])
    gaps = [_distance(a, b) for a, b in zip(places, places[1:])]
    wide = max(JUMP, 3.0 * median(gaps))
    jumps = [index for index, gap in enumerate(gaps) if gap > wide]
    shifts = _shifts(places, jumps)
    knots = _soften_shifts(_knots(places, gaps, jumps), shifts)
    curve, knots = _fit(knots)
    points, along = _resample(curve)
    place_of = {knot.waypoint: _lookup(along, knot.at, len(curve), knots[-1].at) for knot in knots}
    return Line(
        points,
        along[-1],
        [(place_of[i], place_of[i + 1]) for i in jumps],
        [(place_of[shift.first], place_of[shift.last], shift.lateral) for shift in shifts],
    )


def _distance(a: Point, b: Point) -> float:
    return math.sqrt((b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2)


def _distinct(places: List[Point]) -> List[Point]:
    """Without waypoints that stand on one another: their headings would be noise."""
    kept = [places[0]]
    for place in places[1:]:
        if _distance(kept[-1], place) >= 0.7:
            kept.append(place)
    if len(kept) < 2:
        raise InvalidRouteFile("the waypoints of this route stand on one spot; give at least two a metre apart")
    return kept


def _heading(places: Sequence[Point], start: int, stop: int) -> Tuple[float, float]:
    """The unit vector from one waypoint to another."""
    a, b = places[start], places[stop]
    length = _distance(a, b) or 1.0
    return (b[0] - a[0]) / length, (b[1] - a[1]) / length


def _shifts(places: List[Point], jumps: List[int]) -> List[Shift]:
    """Where the waypoints step aside by about a lane within a few metres and go on in the old direction."""
    found: List[Shift] = []
    index = 2
    while index < len(places) - 5:
        shift = _first(_shift(places, jumps, index, index + width) for width in (1, 2, 3))
        while shift and (tighter := _first(_shift(places, jumps, *ends) for ends in _within(shift))):
            shift = tighter
        if shift:
            found.append(shift)
        index = shift.last if shift else index + 1
    return found


def _within(shift: Shift) -> List[Tuple[int, int]]:
    """The same step one waypoint shorter, from either end."""
    ends = [(shift.first + 1, shift.last), (shift.first, shift.last - 1)]
    return ends if shift.last - shift.first > 1 else []


def _first(shifts: Iterable[Shift | None]) -> Shift | None:
    return next((shift for shift in shifts if shift), None)


def _shift(places: List[Point], jumps: List[int], first: int, last: int) -> Shift | None:
    """The step between two waypoints, if it is one: two straight waypoints on both sides, parallel, and no lane between them."""
    (ax, ay), (bx, by) = _heading(places, first - 2, first), _heading(places, last, last + 2)
    dx, dy = places[last][0] - places[first][0], places[last][1] - places[first][1]
    lateral = ax * dy - ay * dx
    if any(first - 2 <= jump < last + 2 for jump in jumps) or dx * dx + dy * dy > 15.0**2:
        return None
    if ax * bx + ay * by < 0.98 or not 1.8 < abs(lateral) < 6.0:
        return None
    bent = max(_aside(places, first - 2), _aside(places, last))
    return Shift(first, last, lateral) if bent < 0.3 else None


def _aside(places: List[Point], start: int) -> float:
    """How far the middle one of three waypoints lies beside the line through the others."""
    hx, hy = _heading(places, start, start + 2)
    return abs(hx * (places[start + 1][1] - places[start][1]) - hy * (places[start + 1][0] - places[start][0]))


def _knots(places: List[Point], gaps: List[float], jumps: List[int]) -> List[Knot]:
    knots = [Knot(places[0], 0.0, 0.5 * min(gaps[0], 5.0), 0)]
    for index, gap in enumerate(gaps):
        at = knots[-1].at
        guides, way = _guides(places, index, at) if index in jumps else ([], gap)
        beside = (gap, gaps[min(index + 1, len(gaps) - 1)])
        knots.extend(guides)
        knots.append(Knot(places[index + 1], at + way, 0.25 * sum(min(g, 5.0) for g in beside), index + 1))
    return knots


def _guides(places: List[Point], index: int, at: float) -> Tuple[List[Knot], float]:
    """Guides across a jump, and how long the way is: along the first heading, round a fillet, along the second."""
    a, b = places[index], places[index + 1]
    chord = _distance(a, b)
    if not 0 < index < len(places) - 2:
        return [], chord
    (ux, uy), (vx, vy) = _heading(places, max(0, index - 2), index), _heading(places, index + 1, min(len(places) - 1, index + 3))
    cross, dx, dy = ux * vy - uy * vx, b[0] - a[0], b[1] - a[1]
    if abs(cross) < 0.2:  # nearly the same direction: the spline alone does it best
        return [], chord
    first, second = (dx * vy - dy * vx) / cross, (ux * dy - uy * dx) / cross  # legs to where the headings meet
    if min(first, second) < 4.0:
        return [], chord
    tangent = min(first, second)
    turn = math.atan2(cross, ux * vx + uy * vy)
    fillet = Fillet(first - tangent, tangent / math.tan(abs(turn) / 2.0), turn, second - tangent)
    guides = []
    for k in range(1, int(fillet.length / 2.0)):
        along, aside = fillet.at(2.0 * k)
        rise = 2.0 * k / fillet.length * (b[2] - a[2])
        guides.append(Knot((a[0] + along * ux - aside * uy, a[1] + along * uy + aside * ux, a[2] + rise), at + 2.0 * k, 0.2, -1))
    return guides, fillet.length


def _soften_shifts(knots: List[Knot], shifts: List[Shift]) -> List[Knot]:
    at = {knot.waypoint: knot.at for knot in knots}
    middles = [(at[shift.first] + at[shift.last]) / 2.0 for shift in shifts]
    return [k._replace(weight=0.015 * k.weight) if any(abs(k.at - m) < 14.0 for m in middles) else k for k in knots]


def _fit(knots: List[Knot]) -> Tuple[List[Point], List[Knot]]:
    """Solve, measure the way anew, solve again; then loosen whatever makes the line too tight."""
    for _ in range(2):
        knots = _remeasure(_solve(knots), knots)
    for _ in range(ROUNDS):
        curve = _solve(knots)
        bends = _bends(curve)
        step = knots[-1].at / (len(curve) - 1)
        tight = [step * j for j, bend in enumerate(bends) if abs(bend) > TIGHTEST]
        if not tight:
            return curve, knots
        knots = _remeasure(curve, [k._replace(weight=0.5 * k.weight) if _near(k.at, tight, 9.0) else k for k in knots])
    return curve, knots


def _near(at: float, places: List[float], reach: float) -> bool:
    """Whether one of the sorted places is within reach."""
    index = bisect_left(places, at - reach)
    return index < len(places) and places[index] <= at + reach


def _remeasure(curve: List[Point], knots: List[Knot]) -> List[Knot]:
    along = _lengths(curve)
    end = knots[-1].at
    if along[-1] < SHORTEST:
        raise InvalidRouteFile("this route turns back on itself and leads nowhere; give waypoints along a road")
    return [knot._replace(at=_lookup(along, knot.at, len(curve), end)) for knot in knots]


def _lengths(curve: Sequence[Point]) -> List[float]:
    along = [0.0]
    for a, b in zip(curve, curve[1:]):
        along.append(along[-1] + _distance(a, b))
    return along


def _lookup(along: List[float], at: float, count: int, end: float) -> float:
    """The length of the curve up to parameter ``at`` of ``end``."""
    place = at / end * (count - 1)
    index = min(int(place), count - 2)
    return along[index] + (place - index) * (along[index + 1] - along[index])


def _bends(curve: Sequence[Point]) -> List[float]:
    """The curvature at each point, over about a metre on both sides."""
    bends = [0.0, 0.0]
    for a, b, c in zip(curve, curve[2:], curve[4:]):
        ux, uy, vx, vy = b[0] - a[0], b[1] - a[1], c[0] - b[0], c[1] - b[1]
        u, v, w = math.sqrt(ux * ux + uy * uy), math.sqrt(vx * vx + vy * vy), _distance(a, c)
        bends.append(2.0 * (ux * vy - uy * vx) / max(u * v * w, 1e-9))
    return bends + [0.0, 0.0]


def _solve(knots: List[Knot]) -> List[Point]:
    """The curve of least bending plus weighted squared distance to the knots: one pentadiagonal system, three right-hand sides."""
    end = knots[-1].at
    count = max(4, int(end / STEP)) + 1
    step = end / (count - 1)
    main, upper, upper2 = [0.0] * count, [0.0] * count, [0.0] * count
    right = [[0.0, 0.0, 0.0] for _ in range(count)]
    bending = STIFFNESS / step**3
    for j in range(1, count - 1):
        main[j - 1] += bending
        main[j] += 4.0 * bending
        main[j + 1] += bending
        upper[j - 1] -= 2.0 * bending
        upper[j] -= 2.0 * bending
        upper2[j - 1] += bending
    for knot in knots:
        j = min(int(knot.at / step), count - 2)
        b = knot.at / step - j
        a = 1.0 - b
        main[j] += knot.weight * a * a
        main[j + 1] += knot.weight * b * b
        upper[j] += knot.weight * a * b
        for axis in range(3):
            right[j][axis] += knot.weight * a * knot.place[axis]
            right[j + 1][axis] += knot.weight * b * knot.place[axis]
    return _pentadiagonal(main, upper, upper2, right)


def _pentadiagonal(main: List[float], upper: List[float], upper2: List[float], right: List[List[float]]) -> List[Point]:
    """Solve a symmetric positive definite pentadiagonal system by L D L^T, in place."""
    count = len(main)
    for j in range(count):
        pivot, row = main[j], right[j]
        if j + 1 < count:
            one, two = upper[j] / pivot, upper2[j] / pivot
            main[j + 1] -= one * upper[j]
            upper[j + 1] -= one * upper2[j]
            right[j + 1] = [b - one * r for b, r in zip(right[j + 1], row)]
            if j + 2 < count:
                main[j + 2] -= two * upper2[j]
                right[j + 2] = [b - two * r for b, r in zip(right[j + 2], row)]
    points: List[Point] = [(0.0, 0.0, 0.0)] * (count + 2)
    for j in range(count - 1, -1, -1):
        p, q, (x, y, z) = points[j + 1], points[j + 2], right[j]
        one, two, pivot = upper[j], upper2[j], main[j]
        points[j] = (
            (x - one * p[0] - two * q[0]) / pivot,
            (y - one * p[1] - two * q[1]) / pivot,
            (z - one * p[2] - two * q[2]) / pivot,
        )
    return points[:count]


def _resample(curve: List[Point]) -> Tuple[List[Point], List[float]]:
    """Points STEP apart on a cubic through the curve's points, and the length up to each of the curve's points."""
    along = _lengths(curve)
    padded = [_mirror(curve[1], curve[0]), *curve, _mirror(curve[-2], curve[-1])]
    points: List[Point] = []
    j = 0
    for k in range(int(along[-1] / STEP) + 1):
        while j < len(curve) - 2 and along[j + 1] <= k * STEP:
            j += 1
        u = (k * STEP - along[j]) / max(along[j + 1] - along[j], 1e-9)
        x, y, z = (_cubic(u, *four) for four in zip(*padded[j : j + 4]))
        points.append((x, y, z))
    return points, along


def _mirror(point: Point, centre: Point) -> Point:
    return 2.0 * centre[0] - point[0], 2.0 * centre[1] - point[1], 2.0 * centre[2] - point[2]


def _cubic(u: float, p: float, q: float, r: float, s: float) -> float:
    """Catmull and Rom's cubic from q (u = 0) to r (u = 1)."""
    return q + 0.5 * u * (r - p + u * (2.0 * p - 5.0 * q + 4.0 * r - s + u * (3.0 * (q - r) + s - p)))
