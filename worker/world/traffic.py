"""How traffic decides: it follows (the Intelligent Driver Model), keeps its lights and rights of way, and changes lanes.

Everybody's acceleration comes from whatever stands or drives in the strip ahead of it, the ego and walkers included, braking with
limits. Nothing here is random: the same state always decides the same.
"""

from __future__ import annotations

import math
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np

from .actors import ActorKind
from .crossings import END, START, Path
from .crowd import CROSS, LANE, STILL, WALK, Crowd
from .ego import DT, snap
from .motion import Motion
from .road import MARGIN, SPACING, Junction, Road
from .signals import GREEN, RED, YELLOW, Signals

_PULL, _COMFORT, _HARDEST = 1.6, 2.2, 8.0  # m/s2: acceleration, comfortable and hardest braking
_HEADWAY, _JAM = 1.2, 2.2  # seconds, metres
_SIDE = 0.25  # metres that a strip is wider than the vehicle
_FAR = 1.0e6
_UNSEEN = 55.0  # metres from the ego at which an actor may enter
_SOON = 3.5  # seconds ahead that a right of way is looked at
_BUSY = 250.0  # metres from a junction beyond which nobody can arrive soon
_WIDEST = 8.0  # metres from the middle of a path beyond which nobody reaches into it
_EASE = 0.5 / math.sqrt(_PULL * _COMFORT)


class Traffic:
    """Decides for everybody in modes LANE and CROSS, and lets those who left come again."""

    def __init__(self, road: Road, crowd: Crowd, signals: Signals, paths: Sequence[Path], motion: Motion) -> None:
        self.road, self.crowd, self.signals, self.paths, self.motion = road, crowd, signals, paths, motion
        self._pace = np.stack([_pace(road, 1), _pace(road, -1)])
        self.lanes = {way: usable_lanes(road, way) for way in (1, -1)}
        self._edge = max(abs(lane.offset) + 0.5 * lane.width for lane in road.lanes if lane.kind == "driving")
        self._strangers = bool(crowd.blind.any())  # somebody does not see the ego
        self._people = (crowd.kind == ActorKind.WALKER).nonzero()[0].tolist()
        drivers = ((crowd.pause >= 0.0) & (crowd.kind <= ActorKind.TRUCK)).nonzero()[0].tolist()
        # Each background driver looks at its own tick of every second whether the next lane is better.
        self._looking = [[row for row in drivers if (tick + 7 * row) % 20 == 0] for tick in range(20)]

    def step(self, ego_along: float, x: Any, y: Any, yaw: Any, tick: int) -> None:
        """One tick of everybody but the ego, whose speed along the road is given; x, y and yaw are the actors' last places in the world."""
        c = self.crowd
        shown = c.visible != 0
        in_lane = c.mode == LANE
        lane, cross = (shown & in_lane).nonzero()[0], (shown & (c.mode == CROSS)).nonzero()[0]
        crossing: List[int] = cross.tolist()
        acceleration = np.zeros(len(c))
        open_ = {row: self.may_cross(row, tick, ego_along) for row in crossing}
        seen = shown & c.solid
        if crossing:
            acceleration[cross] = self._crossing(crossing, open_, (x, y, yaw), seen)
        if len(lane):
            acceleration[lane] = self._following(lane, ego_along, open_, tick)
        self.motion.advance(acceleration, lane, cross)
        self.motion.join(crossing)
        self._change_lanes(tick)
        self._come_and_go(lane, crossing)

    def _following(self, rows: Any, ego_along: float, open_: Dict[int, bool], tick: int) -> Any:
        """IDM acceleration of those in lanes."""
        c, m = self.crowd, self.motion
        way, v = c.way[rows], c.v[rows]
        ahead = (c.s - c.s[rows, None]) * way[:, None]
        inside = self._inside(rows, ahead)
        if open_:
            # Who stands in the middle of a junction goes first: otherwise two who face each other there stand for ever.
            stuck = self._in_junction(c.s[rows]) & (v < 0.5)
            if stuck.any():
                inside &= ~(stuck[:, None] & (c.mode == CROSS))
        ahead -= m.half_s[rows, None]
        ahead -= m.half_s
        room = np.where(inside, ahead, _FAR)
        leader = room.argmin(axis=1)
        gap = room[np.arange(len(rows)), leader]
        along = c.v * c.way * (c.mode == LANE)
        along[0] = ego_along
        gap, speed = self._lines(rows, gap, along[leader] * way, open_, tick)
        return _idm(v, self._wish(rows, way), gap, speed)

    def _inside(self, rows: Any, ahead: Any) -> Any:
        """bool [rows, everybody]: who is ahead in the strip that a row drives in, or steers for, or steers for that strip."""
        c, m = self.crowd, self.motion
        half, d, seen = m.half_d[rows], c.d, c.solid & (c.visible != 0)
        inside = np.abs(d - d[rows, None]) < half[:, None] + m.half_d + _SIDE
        inside &= ahead > 0.0
        inside &= seen
        moving = (c.goal != d) & (c.mode == LANE)
        moving[0] = c.goal[0] != d[0]
        for row in (moving & seen).nonzero()[0].tolist():
            goal = c.goal[row]
            inside[:, row] |= (np.abs(goal - d[rows]) < half + m.half_d[row] + _SIDE) & (ahead[:, row] > 0.0)
        for index in (c.goal[rows] != d[rows]).nonzero()[0].tolist():
            inside[index] |= (np.abs(d - c.goal[rows[index]]) < half[index] + m.half_d + _SIDE) & (ahead[index] > 0.0) & seen
        if self._strangers:
            inside[:, 0] &= ~c.blind[rows]
        return inside

    def _wish(self, rows: Any, way: Any) -> Any:
        """The speed each wants here: its own, or what the bends allow."""
        c = self.crowd
        index = ((c.s[rows] + MARGIN) * (1.0 / SPACING)).astype(np.int64)
        np.minimum(np.maximum(index, 0, out=index), self._pace.shape[1] - 1, out=index)
        return np.minimum(c.cruise[rows], self._pace[(way < 0).astype(np.int64), index])

    def _lines(self, rows: Any, gap: Any, speed: Any, open_: Dict[int, bool], tick: int) -> Tuple[Any, Any]:
        """Stop lines count as standing leaders for those who can still stop there."""
        c = self.crowd
        for index, junction in enumerate(self.signals.junctions):
            light = self.signals.light(index, 0, tick)
            if light not in (RED, YELLOW) and not self._crossed_soon(index, open_):
                continue
            way = c.way[rows]
            line = np.where(way > 0, junction.enter, junction.leave + 1.0)
            room = (line - c.s[rows]) * way - self.motion.half_s[rows]
            stops = (room > -0.5) & (room + 1.0 > c.v[rows] * c.v[rows] / 9.0) & ~c.heedless[rows] & (room < gap)
            gap, speed = np.where(stops, room + 1.2, gap), np.where(stops, 0.0, speed)
        return gap, speed

    def _crossed_soon(self, junction: int, open_: Dict[int, bool]) -> bool:
        """Somebody is crossing the junction, or will at once and may."""
        c = self.crowd
        for row, may in open_.items():
            path = self.paths[c.path.item(row)]
            if path.junction != junction:
                continue
            p = c.p.item(row)
            soon = path.zone[0] - _SOON * max(c.v.item(row), 2.0)
            if p < path.zone[1] and (p > path.stop + 1.0 or (may and p > soon)):
                return True
        return False

    def may_cross(self, row: int, tick: int, ego_along: float) -> bool:
        """Whether one on a crossing path may pass its stop line."""
        c = self.crowd
        path = self.paths[c.path.item(row)]
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
        if _arrives(junction, c.s.item(0), 1, abs(ego_along)):
            return True
        near = (c.visible != 0) & (c.s > junction.enter - _BUSY) & (c.s < junction.leave + _BUSY) & (np.abs(c.d) < self._edge)
        for row in near.nonzero()[0].tolist():
            mode = c.mode[row] if row else STILL
            speed = c.v.item(row) if mode == LANE else 0.0
            if mode in (LANE, WALK) and _arrives(junction, c.s.item(row), c.way.item(row), speed):
                return True
        return False

    def _crossing(self, rows: List[int], open_: Dict[int, bool], places: Tuple[Any, Any, Any], seen: Any) -> List[float]:
        """IDM acceleration of those on crossing paths, in the frame of each one's own path."""
        c, m = self.crowd, self.motion
        found = []
        for row in rows:
            path, half, v = c.path.item(row), 0.5 * c.length.item(row), c.v.item(row)
            gap, leader = self._leader_across(row, path, places, seen)
            line = m.stops[path] - c.p.item(row) - half
            if not open_[row] and line > -0.5 and line + 1.0 > v * v / 9.0 and line < gap:
                gap, leader = line + 1.2, 0.0
            found.append(_idm_of_one(v, c.cruise.item(row), gap, leader))
        return found

    def _leader_across(self, row: int, path: int, places: Tuple[Any, Any, Any], seen: Any) -> Tuple[float, float]:
        """Metres to the next one in the strip of a crossing path, and its speed along the path."""
        c, m, (x, y, yaw) = self.crowd, self.motion, places
        cos, sin, half = m.pcos.item(path), m.psin.item(path), 0.5 * c.length.item(row)
        dx, dy = x - x[row], y - y[row]
        ahead, aside = dx * cos + dy * sin, np.abs(dy * cos - dx * sin)
        near = (aside < _WIDEST) & (ahead > 0.0) & seen
        gap, leader = _FAR, 0.0
        for other in near.nonzero()[0].tolist():
            if other == 0 and c.blind[row]:
                continue
            turn = yaw.item(other) - m.pyaw.item(path)
            along, across = abs(math.cos(turn)), abs(math.sin(turn))
            length, width = c.length.item(other), c.width.item(other)
            if aside[other] < 0.5 * c.width.item(row) + 0.5 * (length * across + width * along) + _SIDE:
                room = ahead.item(other) - half - 0.5 * (length * along + width * across)
                if room < gap:
                    gap, leader = room, c.v.item(other) if c.mode[other] == CROSS and c.path[other] == path else 0.0
        return gap, leader

    def _change_lanes(self, tick: int) -> None:
        """Those whose turn it is look whether the next lane is better and free."""
        c = self.crowd
        for row in self._looking[tick % 20]:
            if c.mode[row] != LANE or not c.visible[row] or c.timer[row] > 0.0 or c.v[row] <= 0.3:
                continue
            held = c.acceleration[row] < -0.3 or c.v[row] < 0.6 * min(c.cruise[row], 8.0)
            if held and abs(c.goal[row] - c.q[row]) < 0.3 and not self._near_junction(c.s.item(row)):
                self._try_lanes(row)

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
        for row in self._people:
            if c.mode[row] != LANE:
                continue
            s, way = c.s.item(row), c.way.item(row)
            for junction in self.signals.junctions:
                inside = junction.enter - 5.0 < s < junction.leave + 5.0
                if inside and (0.5 * (junction.enter + junction.leave) - s) * way > 0.0:
                    c.way[row] = way = -way

    def _come_and_go(self, lane: Any, crossing: Sequence[int]) -> None:
        self._turn_back()
        c = self.crowd
        c.timer -= DT
        c.timer[c.timer < 0.0] = 0.0
        low, high = float(self.road.s[0]) + 3.0, float(self.road.s[-1]) - 3.0
        p = c.p[lane]
        for row in lane[(p > high) | (p < low)].tolist():
            if (c.p[row] > high) if c.way[row] > 0 else (c.p[row] < low):
                self._go(row)
        for row in crossing:
            if c.mode[row] == CROSS and c.p[row] > END - 1.0:
                self._go(row)
        for row in (c.visible == 0).nonzero()[0].tolist():
            if c.pause[row] >= 0.0 and c.timer[row] <= 0.0:
                self._come(row, low, high)

    def _go(self, row: int) -> None:
        """Leave the world for a while."""
        self.crowd.visible[row], self.crowd.timer[row] = 0, max(float(self.crowd.pause[row]), 0.0)

    def _come(self, row: int, low: float, high: float) -> None:
        """Enter again where the actor first came from, out of the ego's sight and not on top of anybody."""
        c, member = self.crowd, self.crowd.members[row]
        crossing = member.mode == CROSS
        p = START if crossing else low if member.way > 0 else high
        if not crossing and abs(c.s.item(0) - p) < _UNSEEN:
            return
        same = (c.visible != 0) & (c.mode == member.mode) & (np.abs(c.p - p) < 20.0)
        same &= (c.path == member.path) if crossing else (np.abs(c.q - member.q) < 2.0)
        if same.any():
            return
        c.mode[row], c.path[row], c.way[row], c.visible[row] = member.mode, member.path, member.way, 1
        c.p[row], c.q[row], c.goal[row], c.v[row], c.slide[row] = p, member.q, member.q, 0.8 * member.cruise, 0.0
        c.s[row], c.d[row] = (self.paths[member.path].s[0], 1000.0) if crossing else (p, member.q)


def _arrives(junction: Junction, s: float, way: int, speed: float) -> bool:
    """Whether somebody on the route is in the junction, or will be within moments."""
    reach = speed * _SOON + 3.0 if speed > 0.5 else 0.0
    return junction.enter - (reach if way > 0 else 0.0) < s < junction.leave + (reach if way < 0 else 0.0)


def _idm(v: Any, wish: Any, gap: Any, leader: Any) -> Any:
    """The Intelligent Driver Model's acceleration, m/s2, between the hardest braking and the pull."""
    ratio = v / np.maximum(wish, 0.1)
    square = ratio * ratio
    near = (_JAM + np.maximum(v * _HEADWAY + v * (v - leader) * _EASE, 0.0)) / np.maximum(gap, 0.2)
    wanted = _PULL * (1.0 - square * square)
    fast = ratio > 1.0
    if fast.any():
        wanted[fast] = -0.8 * np.minimum(square[fast] - 1.0, 4.0)
    wanted -= _PULL * near * near
    wanted[gap < 0.2] = -_HARDEST
    return np.minimum(np.maximum(wanted, -_HARDEST, out=wanted), _PULL, out=wanted)


def _idm_of_one(v: float, wish: float, gap: float, leader: float) -> float:
    """The same for one."""
    if gap < 0.2:
        return -_HARDEST
    ratio = v / max(wish, 0.1)
    square = ratio * ratio
    near = (_JAM + max(v * _HEADWAY + v * (v - leader) * _EASE, 0.0)) / gap
    free = -0.8 * min(square - 1.0, 4.0) if ratio > 1.0 else _PULL * (1.0 - square * square)
    return min(max(free - _PULL * near * near, -_HARDEST), _PULL)


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
