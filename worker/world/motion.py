"""How actors move once their acceleration is known, and where that puts them in the world.

Everything here is plain columns of the crowd; nobody decides anything.
"""

from __future__ import annotations

import math
from typing import Any, Sequence, Tuple

import numpy as np

from .actors import ActorKind, Actors, Lights
from .crossings import RASTER, START, Path
from .crowd import CROSS, LANE, STILL, WALK, Crowd
from .ego import DT, LENGTH, WIDTH, Ego
from .road import SPACING, Road

_TIGHTEST = 0.3  # of 1 - curvature * d: nobody turns on the spot
_SIDE_ACCELERATION = 1.6  # m/s2 of a lane change
_MAX_SLIDE = 1.6  # m/s
_EDGE_OVER = 0.3  # m/s: who stands half way between two lanes still gets over, so that nobody blocks both for ever


class Motion:
    """Moves the crowd of one world and publishes its places."""

    def __init__(self, road: Road, crowd: Crowd, paths: Sequence[Path], base_lights: int) -> None:
        self.road, self.crowd = road, crowd
        self._lights = (crowd.base_lights | np.where(crowd.kind <= ActorKind.EMERGENCY, base_lights, 0)).astype(np.uint8)
        columns = [(p.x, p.y, p.cos, p.sin, p.yaw, p.merge, float(p.way), p.lane) for p in paths] or [(0.0,) * 8]
        self.px, self.py, self.pcos, self.psin, self.pyaw, self.merge, self._merge_way, self._merge_lane = np.array(columns).T
        self.stops = [p.stop for p in paths]
        self._tables = [(p.s.tolist(), p.d.tolist()) for p in paths]
        self.half_s, self.half_d = crowd.half_s.copy(), crowd.half_d.copy()  # as they stand in the road now
        self._is_vehicle = crowd.kind <= ActorKind.EMERGENCY
        self._step = np.zeros(len(crowd))

    def curvature(self, s: Any) -> Any:
        """The curvature of the road at the nearest sample, 1/m."""
        index = ((s - self.road.s[0]) * (1.0 / SPACING)).astype(np.int64)
        return self.road.curvature.take(index, mode="clip")

    def advance(self, acceleration: Any, lane: Any, cross: Any) -> None:
        """One tick for everybody visible: ``lane`` and ``cross`` are the rows of those modes.

        ``acceleration``, m/s2, is of all actors, 0 where the mode is another; walkers keep their speed.
        """
        c, go = self.crowd, self._step
        c.acceleration[:] = acceleration
        acceleration *= DT
        acceleration[0] = 0.0
        speeds = c.v[1:]
        speeds += acceleration[1:]
        speeds[speeds < 0.0] = 0.0
        go.fill(0.0)
        if len(lane):
            stretch = np.maximum(1.0 - self.curvature(c.s[lane]) * c.d[lane], _TIGHTEST)
            go[lane] = c.way[lane] * c.v[lane] / stretch
        go[cross] = c.v[cross]
        go[0] = 0.0
        go *= DT
        c.p += go
        self._shift(lane)
        self._walk()
        self._project()

    def _shift(self, lane: Any) -> None:
        """Lateral motion towards the goal, smooth, and hardly without rolling, of the few who are not there yet."""
        c = self.crowd
        aside = (c.goal[lane] != c.q[lane]) | (c.slide[lane] != 0.0)
        change = _SIDE_ACCELERATION * DT
        for row in lane[aside].tolist():
            error, slide = c.goal.item(row) - c.q.item(row), c.slide.item(row)
            most = min(max(0.3 * c.v.item(row), _EDGE_OVER if abs(error) > 0.3 else 0.0), _MAX_SLIDE)
            wish = min(max(1.1 * error, -most), most)
            slide += min(max(wish - slide, -change), change)
            c.slide[row] = slide = min(max(slide, -most), most)
            c.q[row] += slide * DT

    def _walk(self) -> None:
        c = self.crowd
        for row in (c.mode == WALK).nonzero()[0].tolist():
            if c.visible[row]:
                pace, left = c.v.item(row) * DT, c.goal.item(row) - c.q.item(row)
                c.q[row] += min(max(left, -pace), pace)

    def _project(self) -> None:
        """The place on the route of those on crossing paths, from the table; of all others their own place."""
        c = self.crowd
        c.s[1:] = c.p[1:]
        c.d[1:] = c.q[1:]
        for row in (c.mode == CROSS).nonzero()[0].tolist():
            s, d = self._tables[c.path.item(row)]
            at = min(max((c.p.item(row) - START) * (1.0 / RASTER), 0.0), len(s) - 1.001)
            low = int(at)
            part = at - low
            c.s[row] = s[low] * (1.0 - part) + s[low + 1] * part
            c.d[row] = d[low] * (1.0 - part) + d[low + 1] * part

    def join(self, crossing: Sequence[int]) -> None:
        """Those of the crossing traffic who have reached one of the route's legs become that leg's traffic."""
        c = self.crowd
        for row in crossing:
            path = c.path.item(row)
            if c.p.item(row) >= self.merge.item(path):
                c.mode[row], c.way[row], c.path[row] = LANE, int(self._merge_way[path]), -1
                c.p[row], c.q[row], c.goal[row], c.slide[row] = c.s[row], c.d[row], self._merge_lane[path], 0.0

    def publish(self, actors: Actors, ego: Ego) -> None:
        """Write the world places and headings of all actors; the ego's are given."""
        c = self.crowd
        x, y, z, yaw = self.road.pose(c.s, c.d)
        actors.x[:], actors.y[:], actors.z[:] = x, y, z
        facing = (c.way < 0) & (c.mode < CROSS)
        np.add(yaw, facing * math.pi, out=actors.yaw)
        actors.yaw += c.turn
        for row in c.slide.nonzero()[0].tolist():
            if c.mode[row] == LANE and c.v[row] > 0.5:
                actors.yaw[row] += c.slide.item(row) / max(c.v.item(row), 2.0) * c.way.item(row)
        np.copyto(self.half_s, c.half_s)
        np.copyto(self.half_d, c.half_d)
        for row in (c.mode == CROSS).nonzero()[0].tolist():
            self._publish_crossing(actors, row, yaw.item(row))
        actors.x[0], actors.y[0], actors.z[0], actors.yaw[0] = ego.x, ego.y, ego.z, ego.yaw
        self.half_s[0], self.half_d[0] = _boxed(LENGTH, WIDTH, ego.yaw - yaw.item(0))
        np.not_equal(c.visible, 0, out=actors.visible)

    def _publish_crossing(self, actors: Actors, row: int, road_yaw: float) -> None:
        c = self.crowd
        path, u = c.path.item(row), c.p.item(row)
        actors.x[row], actors.y[row] = self.px.item(path) + u * self.pcos.item(path), self.py.item(path) + u * self.psin.item(path)
        actors.yaw[row] = yaw = self.pyaw.item(path)
        self.half_s[row], self.half_d[row] = _boxed(c.length.item(row), c.width.item(row), yaw - road_yaw)

    def light(self, actors: Actors) -> None:
        """Write the lights of all actors as they are now; only pictures need them, so that not every tick does it."""
        c = self.crowd
        braking = (c.mode != STILL) & (c.mode != WALK) & ((c.acceleration < -0.9) | (c.v < 0.1)) & self._is_vehicle
        aside = np.where(c.mode == LANE, (c.goal - c.q) * c.way, 0.0)
        lights = self._lights | np.where(braking, int(Lights.BRAKE), 0).astype(np.uint8)
        lights |= np.where(aside > 0.5, int(Lights.RIGHT), np.where(aside < -0.5, int(Lights.LEFT), 0)).astype(np.uint8)
        actors.lights[:] = lights


def _boxed(length: float, width: float, angle: float) -> Tuple[float, float]:
    cos, sin = abs(math.cos(angle)), abs(math.sin(angle))
    return 0.5 * (length * cos + width * sin), 0.5 * (length * sin + width * cos)
