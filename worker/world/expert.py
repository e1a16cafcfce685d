"""What a wise driver would see and do: the hazard ahead, and the line round what stands in the way.

This is an honest expert: it looks at what is visible in the world (and at where a visible actor is heading), never at the scenario's
plan. ``ahead`` and ``hazard`` follow its line; a follower that keeps to both gets through nearly everything. An agent may ignore both.
"""

from __future__ import annotations

import math
from typing import Any, List, NamedTuple, Sequence, Tuple

import numpy as np

from .crossings import Path
from .crowd import CROSS, LANE, STILL, WALK
from .ego import LENGTH, WIDTH, Ego
from .traffic import Traffic

SIGHT = 60.0  # metres
_BESIDE = 0.5 * WIDTH + 0.35  # metres from the ego's middle that must be free
_PULL = 1.5  # m/s2 that the expert counts on
_RAMP, _CLEAR = 14.0, 4.0  # metres: how long a swerve takes, and how far before an obstacle it is complete
_WAIT = 15.0  # metres before an obstacle where one waits for a gap


class Hazard(NamedTuple):
    """What the ego must heed.

    Metres to the most pressing thing in its path and that thing's speed along it (m/s), metres to a line where it must stop now
    (both inf where there is none), and the speed limit (m/s).
    """

    gap: float
    gap_speed: float
    stop: float
    speed_limit: float


class Expert:
    """Plans a detour once a tick (``detour`` is its only memory: offset, begin, full, until; all 0 when there is none)."""

    def __init__(self, traffic: Traffic) -> None:
        self.traffic, self.motion = traffic, traffic.motion
        self.road, self.crowd, self.signals, self.paths = traffic.road, traffic.crowd, traffic.signals, traffic.paths
        self.detour = [0.0, 0.0, 0.0, 0.0]
        self.wait = math.inf  # s of the line where to wait for a free detour

    def lateral(self, s: Any) -> Any:
        """The d of the expert's line at s."""
        offset, begin, full, until = self.detour
        if offset == 0.0:
            return np.zeros_like(np.asarray(s, float))
        rise = np.clip((s - begin) / max(full - begin, 1.0), 0.0, 1.0)
        fall = np.clip((until + _CLEAR + _RAMP - s) / _RAMP, 0.0, 1.0)
        part = np.minimum(rise, fall)
        return offset * part * part * (3.0 - 2.0 * part)

    def request(self, offset: float, s: float, until: float) -> None:
        """Drive beside the line from s on, as a driver does who makes room."""
        if self.detour[0] == 0.0:
            self.detour = [offset, s + 2.0, s + 2.0 + _RAMP, until]

    def plan(self, ego: Ego) -> None:
        """Begin, keep or end a detour round what stands in the lane."""
        self.wait = math.inf
        if self.detour[0] != 0.0:
            self._come_back(ego)
            return
        found = self._blockers(ego)
        if not len(found):
            return
        c, m = self.crowd, self.motion
        first, last = float((c.s - m.half_s)[found].min()), float((c.s + m.half_s)[found].max())
        nose = ego.s + 0.5 * LENGTH
        if first - nose > max(24.0, 2.5 * ego.speed):
            return
        for offset in self._ways_round(found):
            if self.free(offset, ego, last):
                begin = max(ego.s + 1.0, first - _CLEAR - _RAMP)
                self.detour = [offset, begin, max(begin + 5.0, first - _CLEAR), last]
                return
        self.wait = first - _WAIT

    def _come_back(self, ego: Ego) -> None:
        """End the detour behind the obstacle, and not before the ego's own lane is free."""
        offset, _, _, until = self.detour
        if ego.s > until + _CLEAR + _RAMP:
            self.detour = [0.0, 0.0, 0.0, 0.0]
        elif until < ego.s < until + _CLEAR and abs(ego.d - offset) < 1.0 and self._lane_taken(ego, 1.0):
            self.detour[3] = ego.s

    def _lane_taken(self, ego: Ego, seconds: float) -> bool:
        """Somebody of the ego's own way drives beside it in its own lane, or comes up from behind within so many seconds."""
        c = self.crowd
        own = (c.mode == LANE) & (c.visible != 0) & (c.way > 0) & (np.minimum(np.abs(c.d), np.abs(c.goal)) < 1.5)
        own[0] = False
        ahead = c.s - ego.s
        return bool((own & (ahead > -6.0 - seconds * np.maximum(c.v - ego.speed, 0.0)) & (ahead < 9.0)).any())

    def _blockers(self, ego: Ego) -> Any:
        """Standing things in the ego's lane ahead, the first and those close behind it."""
        c = self.crowd
        inner = np.abs(c.d) < self.motion.half_d + np.where(c.d > 0, self._swing(), 0.0) + _BESIDE
        standing = (c.mode == STILL) & (c.visible != 0) & c.solid & inner
        ahead = c.s - ego.s
        rows = np.flatnonzero(standing & (ahead > 1.5) & (ahead < SIGHT))
        rows = rows[np.argsort(c.s[rows], kind="stable")]
        count = 1
        while count < len(rows) and c.s[rows[count]] - c.s[rows[count - 1]] < 22.0:
            count += 1
        return rows[:count]

    def _swing(self) -> Any:
        """Metres that each open door may reach out, however far it is open yet."""
        return np.where(self.crowd.door > 0.0, 0.95, 0.0)

    def _ways_round(self, found: Any) -> List[float]:
        """Offsets that clear the obstacle, the better first: a lane of the ego's own way, then as little as needed to the left."""
        c, m = self.crowd, self.motion
        left = float((c.d - m.half_d - self._swing())[found].min()) - _BESIDE - 0.25
        right = float((c.d + m.half_d)[found].max()) + _BESIDE + 0.25
        own = [lane for lane in self.traffic.lanes[1] if (lane < 0.0 and lane <= left + 0.3) or (lane > 0.0 and lane >= right - 0.3)]
        ways = sorted((way for way in own if abs(way) < 4.5), key=abs)
        edge = min(lane.offset - 0.5 * lane.width for lane in self.road.lanes if lane.kind in ("driving", "shoulder"))
        if left - 0.5 * WIDTH > edge and left < 0.0:
            ways.append(left)
        return ways

    def free(self, offset: float, ego: Ego, until: float) -> bool:
        """Nobody comes in the strip about ``offset`` before the ego is through, from ahead or from behind."""
        c, m = self.crowd, self.motion
        goal = np.where(c.mode == LANE, c.goal, c.d)
        strip = (c.visible != 0) & c.solid & (np.minimum(np.abs(c.d - offset), np.abs(goal - offset)) < m.half_d + _BESIDE)
        strip[0] = False
        through = _time(until + 14.0 - ego.s, ego.speed)
        oncoming = (c.mode == LANE) & (c.way < 0)
        ahead = c.s - ego.s
        meets = oncoming & (ahead > -4.0) & (c.s - np.maximum(c.v, 4.0) * (through + 1.0) < until + 8.0)
        behind = (
            ~oncoming
            & (np.abs(goal - offset) < np.abs(goal - ego.d))
            & (ahead <= 0.0)
            & (ahead + 7.0 + 3.0 * np.maximum(c.v - ego.speed, 0.0) > 0.0)
        )
        beside = ~oncoming & (ahead > 0.0) & (ahead < np.where(c.v > 3.0, 9.0, until - ego.s + 6.0))
        return not bool((strip & (meets | behind | beside)).any())

    def hazard(self, ego: Ego, tick: int) -> Hazard:
        """See ``Hazard``; looks SIGHT metres ahead along the expert's line."""
        gap, speed = self._nearest(ego)
        return Hazard(gap, speed, self._stop(ego, tick), self.road.speed_limit)

    def _nearest(self, ego: Ego) -> Tuple[float, float]:
        c, m = self.crowd, self.motion
        gap = c.s - m.half_s - (ego.s + 0.5 * LENGTH)
        seen = (c.visible != 0) & c.solid & (c.s > ego.s) & (gap > -3.0) & (gap < SIGHT)
        seen[0] = False
        line = self._line_from(ego, c.s)
        half = m.half_d + _BESIDE
        inside = np.abs(c.d - line) < half
        inside |= (c.mode == LANE) & (c.way > 0) & (np.abs(c.goal - line) < half) & (np.abs(c.goal - c.d) > 0.2)
        inside |= (c.mode == STILL) & (c.door > 0.0) & (np.abs(c.d - self._swing() - line) < half)
        inside |= self._about_to_walk(line, half)
        rows = np.flatnonzero(seen & inside)
        if not len(rows):
            return math.inf, 0.0
        speed = np.where(c.mode == LANE, c.v * c.way, 0.0)[rows]
        pressing = speed * np.abs(speed) + 6.0 * (gap[rows] - 2.0)
        worst = int(pressing.argmin())
        return float(gap[rows[worst]]), float(speed[worst])

    def _line_from(self, ego: Ego, s: Any) -> Any:
        """The expert's line as the ego will drive it: from where it is, back onto the line within some metres."""
        line = self.lateral(s)
        astray = ego.d - float(self.lateral(np.array([ego.s]))[0])
        if abs(astray) < 0.3:
            return line
        return line + astray * np.clip(1.0 - (s - ego.s) / (8.0 + 0.4 * abs(ego.speed)), 0.0, 1.0)

    def _about_to_walk(self, line: Any, half: Any) -> Any:
        """Walkers and cyclists on their way across who will be in the ego's strip within seconds."""
        c = self.crowd
        low, high = np.minimum(c.d, c.goal), np.maximum(c.d, c.goal)
        crosses = (c.mode == WALK) & (c.v > 0.1) & (high > line - half) & (low < line + half)
        return crosses & (np.abs(c.d - line) - half < 4.0 * c.v)

    def _stop(self, ego: Ego, tick: int) -> float:
        nose, stop = ego.s + 0.5 * LENGTH, math.inf
        if self.wait < math.inf:
            stop = max(self.wait - nose, 0.0)
        if self.detour[0] == 0.0 and abs(ego.d) > 1.9 and ego.speed < 1.0 and self._lane_taken(ego, 3.5):
            stop = 0.0  # about to pull out into the traffic of the lane
        for index, junction in enumerate(self.signals.junctions):
            gap = junction.enter - nose
            if -0.3 < gap < SIGHT and (self.signals.must_stop(index, gap, ego.speed, tick) or self._must_yield(index, gap, ego, tick)):
                stop = min(stop, max(gap, 0.0))
        return stop

    def _must_yield(self, index: int, gap: float, ego: Ego, tick: int) -> bool:
        """Somebody with the right of way will be where the ego would be."""
        if gap > 35.0 or ego.speed * ego.speed / 12.0 > gap + 1.0:
            return False
        c = self.crowd
        nose = ego.s + 0.5 * LENGTH
        for row in np.flatnonzero((c.mode == CROSS) & (c.visible != 0)):
            path = self.paths[c.path[row]]
            if path.junction != index or not self._comes(int(row), path, tick):
                continue
            enters = _time(path.road_zone[0] - 3.0 - nose, ego.speed)
            leaves = _time(path.road_zone[1] + LENGTH + 1.0 - nose, ego.speed)
            pace, half = max(float(c.v[row]), 0.6 * float(c.cruise[row])), 0.5 * float(c.length[row])
            first, last = (path.zone[0] - half - c.p[row]) / pace, (path.zone[1] + half - c.p[row]) / pace
            if last > max(enters - 0.8, 0.0) and first < leaves + 1.0:
                return True
        return False

    def _comes(self, row: int, path: Path, tick: int) -> bool:
        return bool(self.crowd.p[row] > path.stop + 1.0) or self.traffic.may_cross(row, tick, 0.0)

    def state(self) -> List[float]:
        """The detour and the waiting line, as plain numbers (-1e9 for no line)."""
        return [*self.detour, self.wait if self.wait < math.inf else -1.0e9]

    def load(self, numbers: Sequence[float]) -> None:
        """What ``state`` told."""
        self.detour = [float(n) for n in numbers[:4]]
        self.wait = float(numbers[4]) if numbers[4] > -1.0e8 else math.inf


def _time(distance: float, speed: float) -> float:
    """Seconds to cover that distance, speeding up gently."""
    speed = max(speed, 0.0)
    return (math.sqrt(speed * speed + 2.0 * _PULL * max(distance, 0.0)) - speed) / _PULL
