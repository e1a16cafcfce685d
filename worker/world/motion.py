"""How actors move once their acceleration is known, and where that puts them in the world.

Everything here is plain columns of the crowd; nobody decides anything.
"""

from __future__ import annotations

import math
from typing import Any, Sequence, Tuple

import numpy as np

from .actors import ActorKind, Actors, Lights
from .crossings import END, RASTER, START, Path
from .crowd import CROSS, LANE, STILL, WALK, Crowd
from .ego import DT, Ego
from .road import Road

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
        blank = np.zeros(int((END - START) / RASTER) + 1)
        self._table_s = np.stack([p.s for p in paths] or [blank])
        self._table_d = np.stack([p.d for p in paths] or [blank])
        self.half_s, self.half_d = crowd.half_s.copy(), crowd.half_d.copy()  # as they stand in the road now

    def curvature(self, s: Any) -> Any:
        """The curvature of the road at the nearest sample, 1/m."""
        index = ((s - self.road.s[0]) * (1.0 / (self.road.s[1] - self.road.s[0]))).astype(np.int64)
        return self.road.curvature[np.minimum(np.maximum(index, 0), len(self.road.curvature) - 1)]

    def advance(self, acceleration: Any) -> None:
        """One tick for every visible actor with that acceleration, m/s2 (of the modes LANE and CROSS; walkers keep their speed)."""
        c = self.crowd
        shown = c.visible != 0
        driving = shown & ((c.mode == LANE) | (c.mode == CROSS))
        c.acceleration[:] = np.where(driving, acceleration, 0.0)
        c.v[1:] = np.where(driving, np.maximum(c.v + acceleration * DT, 0.0), c.v)[1:]
        lane = shown & (c.mode == LANE)
        stretch = np.maximum(1.0 - self.curvature(c.s) * c.d, _TIGHTEST)
        go = np.where(lane, c.way * c.v / stretch, np.where(shown & (c.mode == CROSS), c.v, 0.0))
        go[0] = 0.0
        c.p += go * DT
        self._shift(lane)
        self._walk(shown & (c.mode == WALK))
        self._project()

    def _shift(self, lane: Any) -> None:
        """Lateral motion towards the goal: smooth, and hardly without rolling."""
        c = self.crowd
        error = c.goal - c.q
        most = np.minimum(np.maximum(0.3 * c.v, np.where(np.abs(error) > 0.3, _EDGE_OVER, 0.0)), _MAX_SLIDE)
        wish = np.minimum(np.maximum(1.1 * error, -most), most)
        change = np.minimum(np.maximum(wish - c.slide, -_SIDE_ACCELERATION * DT), _SIDE_ACCELERATION * DT)
        c.slide[:] = np.where(lane, np.minimum(np.maximum(c.slide + change, -most), most), c.slide)
        c.q += np.where(lane, c.slide * DT, 0.0)

    def _walk(self, walking: Any) -> None:
        if not walking.any():
            return
        c = self.crowd
        pace = c.v * DT
        c.q += np.where(walking, np.clip(c.goal - c.q, -pace, pace), 0.0)

    def _project(self) -> None:
        """The place on the route of those on crossing paths, from the table; of all others their own place."""
        c = self.crowd
        crossing = c.mode == CROSS
        c.s[1:] = np.where(crossing, c.s, c.p)[1:]
        c.d[1:] = np.where(crossing, c.d, c.q)[1:]
        if crossing.any():
            rows = np.flatnonzero(crossing)
            at = (c.p[rows] - START) * (1.0 / RASTER)
            at = np.clip(at, 0.0, self._table_s.shape[1] - 1.001)
            low = at.astype(np.int64)
            part, path = at - low, c.path[rows]
            c.s[rows] = self._table_s[path, low] * (1.0 - part) + self._table_s[path, low + 1] * part
            c.d[rows] = self._table_d[path, low] * (1.0 - part) + self._table_d[path, low + 1] * part

    def join(self) -> None:
        """Crossing traffic that has reached one of the route's legs becomes that leg's traffic."""
        c = self.crowd
        rows = np.flatnonzero((c.mode == CROSS) & (c.visible != 0))
        for row in rows[c.p[rows] >= self.merge[c.path[rows]]]:
            path = c.path[row]
            c.mode[row], c.way[row], c.path[row] = LANE, int(self._merge_way[path]), -1
            c.p[row], c.q[row], c.goal[row], c.slide[row] = c.s[row], c.d[row], self._merge_lane[path], 0.0

    def publish(self, actors: Actors, ego: Ego) -> None:
        """Write the world places, headings and lights of all actors; the ego's are given."""
        c = self.crowd
        x, y, z, yaw = self.road.pose(c.s, np.where(np.abs(c.d) > 500.0, 0.0, c.d))
        lane = (c.mode == LANE) & (c.v > 0.5)
        lean = np.where(lane, c.slide / np.maximum(c.v, 2.0), 0.0) * c.way
        facing = np.where(((c.mode == LANE) | (c.mode == STILL)) & (c.way < 0), math.pi, 0.0)
        actors.x[:], actors.y[:], actors.z[:], actors.yaw[:] = x, y, z, yaw + facing + c.turn + lean
        crossing = np.flatnonzero(c.mode == CROSS)
        if len(crossing):
            path, u = c.path[crossing], c.p[crossing]
            actors.x[crossing] = self.px[path] + u * self.pcos[path]
            actors.y[crossing] = self.py[path] + u * self.psin[path]
            actors.yaw[crossing] = self.pyaw[path]
        actors.x[0], actors.y[0], actors.z[0], actors.yaw[0] = ego.x, ego.y, ego.z, ego.yaw
        actors.visible[:] = c.visible != 0
        self._extents(yaw, ego, crossing)
        self._light(actors)

    def _extents(self, road_yaw: Any, ego: Ego, crossing: Any) -> None:
        c = self.crowd
        self.half_s[:], self.half_d[:] = c.half_s, c.half_d
        self.half_s[0], self.half_d[0] = _boxed(c.length[0], c.width[0], ego.yaw - float(road_yaw[0]))
        for row in crossing:
            self.half_s[row], self.half_d[row] = _boxed(c.length[row], c.width[row], float(self.pyaw[c.path[row]] - road_yaw[row]))

    def _light(self, actors: Actors) -> None:
        c = self.crowd
        braking = (c.mode != STILL) & (c.mode != WALK) & ((c.acceleration < -0.9) | (c.v < 0.1)) & (c.kind <= ActorKind.EMERGENCY)
        aside = np.where(c.mode == LANE, (c.goal - c.q) * c.way, 0.0)
        lights = self._lights | np.where(braking, int(Lights.BRAKE), 0).astype(np.uint8)
        lights |= np.where(aside > 0.5, int(Lights.RIGHT), np.where(aside < -0.5, int(Lights.LEFT), 0)).astype(np.uint8)
        actors.lights[:] = lights


def _boxed(length: float, width: float, angle: float) -> Tuple[float, float]:
    cos, sin = abs(math.cos(angle)), abs(math.sin(angle))
    return 0.5 * (length * cos + width * sin), 0.5 * (length * sin + width * cos)
