"""The geometry of one route: a reference line with lanes beside it and junctions across it. Constant for an episode.

A place on the road is (s, d): metres along the route's own lane, and metres to the right of it. s runs from -MARGIN (road before
the start) over 0 (first waypoint) and ``length`` (goal) to length + MARGIN. All methods take and give arrays.
Rule: no numpy function whose last bit differs between builds (sin, cos, dot, linalg), so that a road is the same everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, List, Sequence, Tuple

import numpy as np

from b2d_zmq.errors import InvalidRouteFile

from ..routes import Route
from . import line
from .lanes import Junction, Lane, control_of, junction_at, lanes_of, speed_limit_of, town_kind_of

__all__ = ["MARGIN", "SPACING", "Junction", "Lane", "LaneChange", "Road", "build", "laid", "straight", "with_junctions"]

MARGIN = 120.0  # metres of road before the start and beyond the goal
SPACING = line.STEP  # metres between two samples of the reference line
GRID = 2.0**24  # samples are rounded to 1/GRID, where the last bits of atan2 and cos are forgotten
IMPOSSIBLE = 1.0 / 4.5  # 1/m: tighter than this is refused
SHORTEST_JUNCTION = 5.0  # metres
APPROACH = 5.0  # metres before and behind a junction where the line has its own heading, not the turn's
WINDOW = 16  # samples on either side of a hint: 8 m, further than any car gets within a tick
AT_ONCE = 32  # points that are compared with the whole road together: it may have 40,000 samples


@dataclass(frozen=True)
class LaneChange:
    """Where the route itself changes lanes: the road bends with it, and a driver would signal."""

    enter: float  # s
    leave: float
    lateral: float  # metres to the right


@dataclass(frozen=True, eq=False)
class Road:
    """See the module's text. Arrays are float64 [M], sampled every SPACING metres from s = -MARGIN."""

    length: float
    s: Any
    x: Any
    y: Any
    z: Any
    yaw: Any  # radians, unwrapped
    curvature: Any  # 1/m, positive to the right
    lanes: Tuple[Lane, ...]  # ordered by offset, left to right
    junctions: Tuple[Junction, ...]  # ordered by enter
    town_kind: str  # "urban", "rural", "highway"
    speed_limit: float  # m/s
    lane_changes: Tuple[LaneChange, ...] = ()  # ordered by enter

    @cached_property
    def _table(self) -> Any:
        """Columns x, y, z, yaw, curvature, and the unit tangent."""
        tangent = [(math.cos(yaw), math.sin(yaw)) for yaw in self.yaw.tolist()]
        return np.column_stack([self.x, self.y, self.z, self.yaw, self.curvature, _snap(tangent)])

    @cached_property
    def _delta(self) -> Any:
        return np.diff(self._table, axis=0)

    @cached_property
    def _reach(self) -> Tuple[Any, Any]:
        """The least and most u on each piece: the first and last go on for ever."""
        low, high = np.zeros(len(self._delta)), np.ones(len(self._delta))
        low[0], high[-1] = -np.inf, np.inf
        return low, high

    def _rows(self, s: Any) -> Any:
        """The table at s, [..., 7]; beyond the ends the last piece goes on straight."""
        place = (np.asarray(s, dtype=np.float64) - self.s[0]) / SPACING
        index = place.astype(np.int64)
        index = np.minimum(np.maximum(index, 0), len(self._delta) - 1)
        rows = self._delta.take(index, axis=0)
        rows *= (place - index)[..., None]
        rows += self._table.take(index, axis=0)
        return rows

    def pose(self, s: Any, d: Any = 0.0) -> Tuple[Any, Any, Any, Any]:
        """World x, y, z (metres) and yaw (radians, unwrapped) of places on the road, each of the shape of ``s``."""
        rows = self._rows(s)
        tx, ty = rows[..., 5], rows[..., 6]
        right = d / np.sqrt(tx * tx + ty * ty)
        return rows[..., 0] - right * ty, rows[..., 1] + right * tx, rows[..., 2], rows[..., 3]

    def curvature_at(self, s: Any) -> Any:
        """The reference line's curvature at s, 1/m, positive to the right."""
        return self._rows(s)[..., 4]

    @cached_property
    def _plain(self) -> Tuple[List[Any], List[Any]]:
        """The table and its differences as plain rows: one point at a time is faster without numpy."""
        return self._table.tolist(), self._delta.tolist()

    def level(self, s: float) -> Tuple[float, float]:
        """z and yaw at one s: the same bits as ``pose``."""
        table, delta = self._plain
        place = (s - float(self.s[0])) / SPACING
        index = min(max(int(place), 0), len(delta) - 1)
        row, step, part = table[index], delta[index], place - index
        return row[2] + part * step[2], row[3] + part * step[3]

    def locate(self, x: float, y: float, near_s: float) -> Tuple[float, float]:
        """The (s, d) of one point within 8 m of ``near_s``: the same bits as ``project``."""
        count, start = len(self.s), float(self.s[0])
        first = min(max(int((near_s - start) / SPACING) - WINDOW, 0), max(0, count - 2 * WINDOW - 1))
        dx, dy = x - self.x[first : first + 2 * WINDOW + 1], y - self.y[first : first + 2 * WINDOW + 1]
        nearest = first + int((dx * dx + dy * dy).argmin())
        table, delta = self._plain
        x0, y0, _, _, _, tx, ty = table[nearest]
        index = min(max(nearest - ((x - x0) * tx + (y - y0) * ty < 0.0), 0), len(delta) - 1)
        x0, y0, _, _, _, tx, ty = table[index]
        ex, ey, _, _, _, dtx, dty = delta[index]
        qx, qy = x - x0, y - y0
        a, b, c = qx * tx + qy * ty, ex * tx + ey * ty - qx * dtx - qy * dty, ex * dtx + ey * dty
        u = 2.0 * a / max(b + math.sqrt(max(b * b + 4.0 * a * c, 0.0)), 1e-6)
        u = u if u > 0.0 or index == 0 else 0.0
        u = u if u < 1.0 or index == len(delta) - 1 else 1.0
        tx, ty, qx, qy = tx + u * dtx, ty + u * dty, qx - u * ex, qy - u * ey
        return (index + u) * SPACING + start, (tx * qy - ty * qx) / math.sqrt(tx * tx + ty * ty)

    def project(self, x: Any, y: Any, near_s: Any = None) -> Tuple[Any, Any]:
        """The (s, d) of world points, the inverse of ``pose``.

        With ``near_s`` only the road within 8 m of it is searched, so that a point keeps its place where the route crosses itself;
        without it the whole road, which is slower.
        """
        x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        px, py = x.ravel(), y.ravel()
        index = self._piece(px, py, self._nearest(px, py, near_s))
        x0, y0, _, _, _, tx, ty = self._table[index].T
        ex, ey, _, _, _, dtx, dty = self._delta[index].T
        qx, qy = px - x0, py - y0
        # (q - u e) . (t + u dt) = 0: the foot u of a point lies where the tangent, turning along the piece, is square to it
        a, b, c = qx * tx + qy * ty, ex * tx + ey * ty - qx * dtx - qy * dty, ex * dtx + ey * dty
        u = 2.0 * a / np.maximum(b + np.sqrt(np.maximum(b * b + 4.0 * a * c, 0.0)), 1e-6)
        low, high = self._reach
        u = np.minimum(np.maximum(u, low[index]), high[index])
        tx, ty, qx, qy = tx + u * dtx, ty + u * dty, qx - u * ex, qy - u * ey
        d = (tx * qy - ty * qx) / np.sqrt(tx * tx + ty * ty)
        return ((index + u) * SPACING + self.s[0]).reshape(x.shape), d.reshape(x.shape)

    def _nearest(self, px: Any, py: Any, near_s: Any) -> Any:
        """The index of the sample nearest to each point."""
        if near_s is None:
            found = []
            for at in range(0, max(1, len(px)), AT_ONCE):
                dx, dy = px[at : at + AT_ONCE, None] - self.x, py[at : at + AT_ONCE, None] - self.y
                found.append((dx * dx + dy * dy).argmin(axis=1))
            return np.concatenate(found)
        near = np.asarray(near_s, dtype=np.float64).ravel()
        count = len(self.s)
        first = ((near - self.s[0]) / SPACING).astype(np.int64) - WINDOW
        first = np.minimum(np.maximum(first, 0), max(0, count - 2 * WINDOW - 1))
        index = first[:, None] + np.arange(min(count, 2 * WINDOW + 1))
        dx, dy = px[:, None] - self.x[index], py[:, None] - self.y[index]
        return first + (dx * dx + dy * dy).argmin(axis=1)

    def _piece(self, px: Any, py: Any, nearest: Any) -> Any:
        """The piece before or behind the nearest sample, whichever the point is beside."""
        x, y, _, _, _, tx, ty = self._table[nearest].T
        behind = (px - x) * tx + (py - y) * ty < 0.0
        return np.minimum(np.maximum(nearest - behind, 0), len(self._delta) - 1)


def build(route: Route, seed: int) -> Road:
    """The road of a route; the seed only decides what neither route nor town do. Raises InvalidRouteFile where no car could drive."""
    traced = line.trace(route.waypoints.tolist())
    kind = town_kind_of(route)
    shape = laid(_with_margins(traced.points), traced)
    road = replace(shape, lanes=lanes_of(route, kind), town_kind=kind, speed_limit=speed_limit_of(route, kind))
    return with_junctions(road, traced.jumps, control_of(route, seed, kind))


def laid(points: Sequence[line.Point], traced: line.Line) -> Road:
    """The bare road along points SPACING apart, MARGIN metres of them on either side of the traced line. Raises InvalidRouteFile.

    Its lanes, junctions and limits are the caller's to add.
    """
    columns = np.array(points)
    yaw = _headings(columns)
    x, y, z = (_snap(column) for column in columns.T)
    road = Road(
        length=float(_snap(traced.length)),
        s=np.arange(len(points)) * SPACING - MARGIN,
        x=x,
        y=y,
        z=z,
        yaw=_snap(yaw),
        curvature=_snap(_slopes(yaw)),
        lanes=(),
        junctions=(),
        town_kind="",
        speed_limit=0.0,
        lane_changes=tuple(LaneChange(*shift) for shift in traced.shifts),
    )
    _check(road)
    return road


def _check(road: Road) -> None:
    """Refuse a road that no car could follow; its waypoints were no road's."""
    worst = int(np.abs(road.curvature).argmax())
    if abs(float(road.curvature[worst])) > IMPOSSIBLE:
        raise InvalidRouteFile(
            f"this route turns too tightly for a car {float(road.s[worst]):.0f} m from its start; give waypoints along a road"
        )


def with_junctions(road: Road, spans: Sequence[Tuple[float, float]], control: str) -> Road:
    """The road with a junction between each two of these s; what is too short, or a motorway's slip road, is none."""
    found = []
    for enter, leave in spans:
        if leave - enter < SHORTEST_JUNCTION:  # loosening has drawn the line together
            continue
        x, y, _, yaw = road.pose(np.array([enter - APPROACH, (enter + leave) / 2.0, leave + APPROACH]))
        places = [(float(x[k]), float(y[k]), float(yaw[k])) for k in range(3)]
        junction = junction_at((enter, leave), places, road.lanes, road.town_kind, control)
        found.extend([_drawn_in(road, junction)] if junction else [])
    return replace(road, junctions=tuple(found))


def _drawn_in(road: Road, junction: Junction) -> Junction:
    """The junction without the road before and behind it, which a long jump passes over too."""
    s = road.s[(road.s >= junction.enter) & (road.s <= junction.leave)]
    x, y, _, _ = road.pose(s)
    distance = np.sqrt((x - junction.x) ** 2 + (y - junction.y) ** 2)
    inside = s[distance <= distance.min() + junction.half_width + 7.0]
    return replace(junction, enter=float(inside[0]), leave=float(inside[-1]))


def _with_margins(points: List[line.Point]) -> List[line.Point]:
    """The line with MARGIN metres straight road at both ends (its bending has faded there), level after 20 m."""
    count, span = int(MARGIN / SPACING), min(4, len(points) - 1)
    before = straight(points[span], points[0], count)
    behind = straight(points[-1 - span], points[-1], count)
    return before[::-1] + points + behind


def straight(start: line.Point, end: line.Point, count: int) -> List[line.Point]:
    """``count`` points SPACING apart beyond ``end``, on the way from ``start``; level after 20 m."""
    dx, dy, dz = (b - a for a, b in zip(start, end))
    run = math.sqrt(dx * dx + dy * dy)
    fade = 20.0
    points = []
    for k in range(1, count + 1):
        r = k * SPACING
        rise = r - r * r / (2.0 * fade) if r < fade else fade / 2.0
        points.append((end[0] + dx / run * r, end[1] + dy / run * r, end[2] + dz / run * rise))
    return points


def _headings(points: Any) -> Any:
    """The heading at each point, radians, unwrapped, from its neighbours."""
    x, y = points[:, 0], points[:, 1]
    dx = np.concatenate([x[1:2] - x[:1], x[2:] - x[:-2], x[-1:] - x[-2:-1]])
    dy = np.concatenate([y[1:2] - y[:1], y[2:] - y[:-2], y[-1:] - y[-2:-1]])
    raw = [math.atan2(b, a) for a, b in zip(dx.tolist(), dy.tolist())]
    yaw = [raw[0]]
    for angle in raw[1:]:
        turn = angle - yaw[-1]
        yaw.append(yaw[-1] + turn - math.tau * round(turn / math.tau))
    return np.array(yaw)


def _slopes(yaw: Any) -> Any:
    slopes = np.zeros(len(yaw))
    slopes[1:-1] = (yaw[2:] - yaw[:-2]) / (2.0 * SPACING)
    return slopes


def _snap(values: Any) -> Any:
    return np.rint(np.asarray(values, dtype=np.float64) * GRID) / GRID
