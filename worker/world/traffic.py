"""How traffic decides: it follows (the Intelligent Driver Model), keeps its lights and rights of way, and changes lanes.

Everybody's acceleration comes from whatever stands or drives in the strip ahead of it, the ego and walkers included, braking with
limits. Nothing here is random: the same state always decides the same.
"""

from __future__ import annotations

from typing import Any, List, Sequence, Tuple

import numpy as np

from .actors import ActorKind
from .crossings import END, START, Path
from .crowd import CROSS, LANE, WALK, Crowd
from .ego import DT, snap
from .motion import Motion
from .road import MARGIN, SPACING, Road
from .signals import GREEN, RED, YELLOW, Signals

_PULL, _COMFORT, _HARDEST = 1.6, 2.2, 8.0  # m/s2: acceleration, comfortable and hardest braking
_HEADWAY, _JAM = 1.2, 2.2  # seconds, metres
_SIDE = 0.25  # metres that a strip is wider than the vehicle
_FAR = 1.0e6
_UNSEEN = 55.0  # metres from the ego at which an actor may enter
_SOON = 3.5  # seconds ahead that a right of way is looked at


class Traffic:
    """Decides for everybody in modes LANE and CROSS, and lets those who left come again."""

    def __init__(self, road: Road, crowd: Crowd, signals: Signals, paths: Sequence[Path], motion: Motion) -> None:
        self.road, self.crowd, self.signals, self.paths, self.motion = road, crowd, signals, paths, motion
        self._pace = {way: _pace(road, way) for way in (1, -1)}
        self.lanes = {way: usable_lanes(road, way) for way in (1, -1)}
        self._edge = max(abs(lane.offset) + 0.5 * lane.width for lane in road.lanes if lane.kind == "driving")

    def step(self, ego_along: float, x: Any, y: Any, yaw: Any, tick: int) -> None:
        """One tick of everybody but the ego, whose speed along the road is given; x, y and yaw are the actors' last places in the world."""
        c = self.crowd
        shown = c.visible != 0
        lane, cross = ((shown & (c.mode == mode)).nonzero()[0] for mode in (LANE, CROSS))
        acceleration = np.zeros(len(c))
        open_ = np.zeros(len(c), bool)
        if len(cross):
            open_[cross] = [self.may_cross(int(row), tick, ego_along) for row in cross]
            acceleration[cross] = self._crossing(cross, open_[cross], x, y, yaw)
        if len(lane):
            acceleration[lane] = self._following(lane, ego_along, open_, tick)
        self.motion.advance(acceleration, lane, cross)
        self.motion.join(cross.tolist())
        self._change_lanes(tick)
        self._come_and_go()

    def _following(self, rows: Any, ego_along: float, open_: Any, tick: int) -> Any:
        """IDM acceleration of those in lanes."""
        c, m = self.crowd, self.motion
        way = c.way[rows]
        along = np.where(c.mode == LANE, c.v * c.way, 0.0)
        along[0] = ego_along
        ahead = (c.s[None, :] - c.s[rows, None]) * way[:, None]
        side = m.half_d[rows, None] + m.half_d[None, :] + _SIDE
        d, goal = c.d, np.where(c.mode == LANE, c.goal, c.d)
        goal[0] = d[0]
        inside = (np.abs(d[None, :] - d[rows, None]) < side) | (np.abs(d[None, :] - goal[rows, None]) < side)
        inside |= np.abs(goal[None, :] - d[rows, None]) < side
        inside &= (ahead > 0.0) & (c.solid & (c.visible != 0))[None, :]
        inside[:, 0] &= ~c.blind[rows]
        if (c.mode == CROSS).any():
            # Who stands in the middle of a junction goes first: otherwise two who face each other there stand for ever.
            stuck = self._in_junction(c.s[rows]) & (c.v[rows] < 0.5)
            inside &= ~(stuck[:, None] & (c.mode == CROSS)[None, :])
        room = np.where(inside, ahead - m.half_s[rows, None] - m.half_s[None, :], _FAR)
        leader = room.argmin(axis=1)
        gap = room[np.arange(len(rows)), leader]
        speed = along[leader] * way
        gap, speed = self._lines(rows, gap, speed, open_, tick)
        return _idm(c.v[rows], self._wish(rows), gap, speed)

    def _wish(self, rows: Any) -> Any:
        """The speed each wants here: its own, or what the bends allow."""
        c = self.crowd
        index = np.minimum(np.maximum(((c.s[rows] + MARGIN) * (1.0 / SPACING)).astype(np.int64), 0), len(self.road.s) - 1)
        bends = np.where(c.way[rows] > 0, self._pace[1][index], self._pace[-1][index])
        return np.minimum(c.cruise[rows], bends)

    def _lines(self, rows: Any, gap: Any, speed: Any, open_: Any, tick: int) -> Tuple[Any, Any]:
        """Stop lines count as standing leaders for those who can still stop there."""
        c = self.crowd
        for index, junction in enumerate(self.signals.junctions):
            light = self.signals.light(index, 0, tick)
            busy = self._crossed_soon(index, open_)
            if light not in (RED, YELLOW) and not busy:
                continue
            way = c.way[rows]
            line = np.where(way > 0, junction.enter, junction.leave + 1.0)
            room = (line - c.s[rows]) * way - self.motion.half_s[rows]
            stops = (room > -0.5) & (room + 1.0 > c.v[rows] * c.v[rows] / 9.0) & ~c.heedless[rows] & (room < gap)
            gap, speed = np.where(stops, room + 1.2, gap), np.where(stops, 0.0, speed)
        return gap, speed

    def _crossed_soon(self, junction: int, open_: Any) -> bool:
        """Somebody is crossing the junction, or will at once and may."""
        c = self.crowd
        for row in np.flatnonzero((c.mode == CROSS) & (c.visible != 0)):
            path = self.paths[c.path[row]]
            if path.junction != junction:
                continue
            soon = path.zone[0] - _SOON * max(float(c.v[row]), 2.0)
            if c.p[row] < path.zone[1] and (c.p[row] > path.stop + 1.0 or (open_[row] and c.p[row] > soon)):
                return True
        return False

    def may_cross(self, row: int, tick: int, ego_along: float) -> bool:
        """Whether one on a crossing path may pass its stop line."""
        c = self.crowd
        path = self.paths[c.path[row]]
        control = self.signals.junctions[path.junction].control
        if c.heedless[row] or control in ("stop", "yield"):
            return True
        if control == "light":
            return self.signals.light(path.junction, 0 if path.origin == "ahead" else 1, tick) == GREEN
        return path.origin == "ahead" or not self._road_busy(path, ego_along)

    def _road_busy(self, path: Path, ego_along: float) -> bool:
        """Somebody on the route is in the junction or arrives within moments."""
        c = self.crowd
        junction = self.signals.junctions[path.junction]
        speed = np.where(c.mode == LANE, c.v, 0.0)
        speed[0] = abs(ego_along)
        on_road = ((c.mode == LANE) | (c.mode == WALK)) & (c.visible != 0) & (np.abs(c.d) < self._edge)
        on_road[0] = True
        reach = np.where(speed > 0.5, speed * _SOON + 3.0, 0.0)
        first = junction.enter - np.where(c.way > 0, reach, 0.0)
        last = junction.leave + np.where(c.way < 0, reach, 0.0)
        return bool((on_road & (c.s > first) & (c.s < last)).any())

    def _crossing(self, rows: Any, open_: Any, x: Any, y: Any, yaw: Any) -> Any:
        """IDM acceleration of those on crossing paths, in the frame of each one's own path."""
        c, m = self.crowd, self.motion
        path = c.path[rows]
        cos, sin = m.pcos[path][:, None], m.psin[path][:, None]
        dx, dy = x[None, :] - x[rows, None], y[None, :] - y[rows, None]
        ahead, aside = dx * cos + dy * sin, np.abs(dy * cos - dx * sin)
        same = (c.mode == CROSS)[None, :] & (c.path[None, :] == path[:, None])
        tx, ty = np.cos(yaw)[None, :], np.sin(yaw)[None, :]
        dot, cross = np.abs(tx * cos + ty * sin), np.abs(ty * cos - tx * sin)
        reach, half = 0.5 * (c.length * dot + c.width * cross), 0.5 * (c.length * cross + c.width * dot) + _SIDE
        inside = (aside < 0.5 * c.width[rows, None] + half) & (ahead > 0.0) & (c.solid & (c.visible != 0))[None, :]
        inside[:, 0] &= ~c.blind[rows]
        room = np.where(inside, ahead - 0.5 * c.length[rows, None] - reach, _FAR)
        leader = room.argmin(axis=1)
        at = np.arange(len(rows))
        gap, speed = room[at, leader], np.where(same[at, leader], c.v[leader], 0.0)
        line = np.array([self.paths[p].stop for p in path]) - c.p[rows] - 0.5 * c.length[rows]
        stops = ~open_ & (line > -0.5) & (line + 1.0 > c.v[rows] * c.v[rows] / 9.0) & (line < gap)
        return _idm(c.v[rows], c.cruise[rows], np.where(stops, line + 1.2, gap), np.where(stops, 0.0, speed))

    def _change_lanes(self, tick: int) -> None:
        """Each background driver looks once a second, at its own tick, whether the next lane is better and free."""
        c = self.crowd
        rows = np.flatnonzero((c.mode == LANE) & (c.visible != 0) & (c.pause >= 0.0) & (c.kind <= ActorKind.TRUCK) & (c.timer <= 0.0))
        for row in rows[(tick + 7 * rows) % 20 == 0]:
            held = c.acceleration[row] < -0.3 or c.v[row] < 0.6 * min(c.cruise[row], 8.0)
            if held and c.v[row] > 0.3 and abs(c.goal[row] - c.q[row]) < 0.3 and not self._near_junction(float(c.s[row])):
                self._try_lanes(int(row))

    def _try_lanes(self, row: int) -> None:
        c = self.crowd
        lanes: List[float] = self.lanes[int(c.way[row])]
        if c.goal[row] not in lanes:
            return
        here = lanes.index(float(c.goal[row]))
        for other in (here - 1, here + 1):
            if 0 <= other < len(lanes) and self.lane_free(row, lanes[other]):
                c.goal[row], c.timer[row] = lanes[other], 6.0
                return

    def lane_free(self, row: int, offset: float) -> bool:
        """Whether the row could move over to that lane without making anybody brake."""
        c = self.crowd
        near = (c.visible != 0) & (np.minimum(np.abs(c.d - offset), np.abs(c.goal - offset)) < 2.0) & c.solid
        near[row] = False
        ahead = (c.s - c.s[row]) * c.way[row]
        closing = np.where(ahead > 0, c.v[row] - c.v, c.v - c.v[row])
        room = np.abs(ahead) - self.motion.half_s - self.motion.half_s[row]
        return not bool((near & (room < 5.0 + 0.4 * c.v[row] + 2.5 * np.maximum(closing, 0.0))).any())

    def _in_junction(self, s: Any) -> Any:
        within = np.zeros(len(s), bool)
        for junction in self.signals.junctions:
            within |= (s > junction.enter) & (s < junction.leave)
        return within

    def _near_junction(self, s: float) -> bool:
        return any(j.enter - 25.0 < s < j.leave + 8.0 for j in self.signals.junctions)

    def _turn_back(self) -> None:
        """People on the pavement turn round before a junction."""
        c = self.crowd
        for junction in self.signals.junctions:
            near = (c.s > junction.enter - 5.0) & (c.s < junction.leave + 5.0)
            inwards = (0.5 * (junction.enter + junction.leave) - c.s) * c.way > 0.0
            c.way[(c.kind == ActorKind.WALKER) & (c.mode == LANE) & near & inwards] *= -1

    def _come_and_go(self) -> None:
        self._turn_back()
        c = self.crowd
        c.timer[:] = np.maximum(c.timer - DT, 0.0)
        low, high = float(self.road.s[0]) + 3.0, float(self.road.s[-1]) - 3.0
        driving = (c.visible != 0) & ((c.mode == LANE) | (c.mode == CROSS))
        off = np.where(c.mode == LANE, np.where(c.way > 0, c.p > high, c.p < low), c.p > END - 1.0)
        for row in np.flatnonzero(driving & off):
            c.visible[row], c.timer[row] = 0, max(float(c.pause[row]), 0.0)
        waiting = (c.visible == 0) & (c.pause >= 0.0) & (c.timer <= 0.0)
        for row in np.flatnonzero(waiting):
            self._come(int(row), low, high)

    def _come(self, row: int, low: float, high: float) -> None:
        """Enter again where the actor first came from, out of the ego's sight and not on top of anybody."""
        c, member = self.crowd, self.crowd.members[row]
        crossing = member.mode == CROSS
        p = START if crossing else low if member.way > 0 else high
        same = (c.visible != 0) & (c.mode == member.mode) & (np.abs(c.p - p) < 20.0)
        same &= (c.path == member.path) if crossing else (np.abs(c.q - member.q) < 2.0)
        if same.any() or (not crossing and abs(float(c.s[0]) - p) < _UNSEEN):
            return
        c.mode[row], c.path[row], c.way[row], c.visible[row] = member.mode, member.path, member.way, 1
        c.p[row], c.q[row], c.goal[row], c.v[row], c.slide[row] = p, member.q, member.q, 0.8 * member.cruise, 0.0
        c.s[row], c.d[row] = (self.paths[member.path].s[0], 1000.0) if crossing else (p, member.q)


def _idm(v: Any, wish: Any, gap: Any, leader: Any) -> Any:
    """The Intelligent Driver Model's acceleration, m/s2, between the hardest braking and the pull."""
    ratio = v / np.maximum(wish, 0.1)
    square = ratio * ratio
    closing = np.maximum(v * _HEADWAY + v * (v - leader) * (0.5 / np.sqrt(_PULL * _COMFORT)), 0.0)
    near = (_JAM + closing) / np.maximum(gap, 0.2)
    free = np.where(ratio > 1.0, -0.8 * np.minimum(square - 1.0, 4.0), _PULL * (1.0 - square * square))
    wanted = np.where(gap < 0.2, -_HARDEST, free - _PULL * near * near)
    return np.minimum(np.maximum(wanted, -_HARDEST), _PULL)


def _pace(road: Road, way: int) -> Any:
    """The speed that bends allow at each sample, m/s, reached by braking gently before them."""
    pace = np.sqrt(2.4 / np.maximum(np.abs(road.curvature), 1e-4)).tolist()[::-way]
    for index in range(1, len(pace)):
        pace[index] = min(pace[index], (pace[index - 1] ** 2 + 2.0 * 1.8 * SPACING) ** 0.5)
    return np.array(pace[::-way])


def usable_lanes(road: Road, way: int) -> List[float]:
    """Offsets of the driving lanes of that way, left to right, that no bend folds up."""
    tightest = [(float(road.curvature.max())), float(road.curvature.min())]
    lanes = [snap(lane.offset) for lane in road.lanes if lane.direction == way and lane.kind == "driving"]
    return [offset for offset in lanes if min(1.0 - offset * k for k in tightest) > 0.35 or abs(offset) < 0.1]
