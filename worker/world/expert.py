"""What a wise driver would see and do: the hazard ahead, and the line round what stands in the way.

This is an honest expert: it looks at what is visible in the world (and at where a visible actor is heading), never at the scenario's
plan. ``ahead`` and ``hazard`` follow its line; a follower that keeps to both gets through nearly everything. An agent may ignore both.
"""

from __future__ import annotations

import math
from typing import Any, List, NamedTuple, Sequence, Tuple

import numpy as np

from .actors import ActorKind
from .crossings import Path
from .crowd import CROSS, LANE, STILL
from .ego import LENGTH, WIDTH, Ego
from .traffic import Traffic

SIGHT = 60.0  # metres
_BESIDE = 0.5 * WIDTH + 0.35  # metres from the ego's middle that must be free
_PULL = 1.5  # m/s2 that the expert counts on
_RAMP, _CLEAR = 14.0, 4.0  # metres: how long a swerve takes at least, and how far before an obstacle it is complete
_SWERVE = 3.0  # seconds that a swerve takes at speed, so that nobody brakes for its bend
_SWING = 0.95  # metres that an open door may reach out
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
        self._solid = self.crowd.solid.copy()  # things that one must not hit: neither debris nor the ego itself
        self._solid[0] = False
        self.detour = [0.0, 0.0, 0.0, 0.0]
        self.wait = math.inf  # s of the line where to wait for a free detour

    def lateral(self, s: Any) -> Any:
        """The d of the expert's line at s."""
        offset, begin, full, until = self.detour
        if offset == 0.0:
            return np.zeros_like(np.asarray(s, float))
        rise = np.clip((s - begin) / max(full - begin, 1.0), 0.0, 1.0)
        ramp = self._ramp_back()
        fall = np.clip((until + _CLEAR + ramp - s) / ramp, 0.0, 1.0)
        part = np.minimum(rise, fall)
        return offset * part * part * (3.0 - 2.0 * part)

    def _lateral(self, s: float) -> float:
        """The same for one s."""
        offset, begin, full, until = self.detour
        if offset == 0.0:
            return 0.0
        rise = min(max((s - begin) / max(full - begin, 1.0), 0.0), 1.0)
        ramp = self._ramp_back()
        fall = min(max((until + _CLEAR + ramp - s) / ramp, 0.0), 1.0)
        part = min(rise, fall)
        return offset * part * part * (3.0 - 2.0 * part)

    def request(self, offset: float, s: float, until: float, speed: float) -> None:
        """Drive beside the line from s on, as a driver does who makes room at that speed."""
        if self.detour[0] == 0.0:
            self.detour = [offset, s + 2.0, s + 2.0 + self._ramp(offset, speed), until]

    def _ramp(self, offset: float, speed: float) -> float:
        """Metres of a swerve: gentle between lanes of one way, short where the oncoming ones are borrowed."""
        same_way = any(abs(offset - lane) < 0.1 for lane in self.traffic.lanes[1])
        return max(_RAMP, _SWERVE * speed) if same_way else _RAMP

    def _ramp_back(self) -> float:
        """Metres of the way back: as long as the way out was."""
        _, begin, full, _ = self.detour
        return max(full - begin, _RAMP)

    def plan(self, ego: Ego) -> None:
        """Begin, keep or end a detour round what stands in the lane."""
        self.wait = math.inf
        if self.detour[0] != 0.0:
            self._come_back(ego)
            return
        found = self._blockers(ego)
        if not found:
            return
        c, m = self.crowd, self.motion
        first, last = float((c.s - m.half_s)[found].min()), float((c.s + m.half_s)[found].max())
        gap, near = first - ego.s - 0.5 * LENGTH, max(24.0, 2.5 * ego.speed)
        if gap > max(near, _CLEAR + _SWERVE * ego.speed):
            return
        for offset in self._ways_round(found):
            ramp = self._ramp(offset, ego.speed)
            if gap <= max(near, _CLEAR + ramp) and self.free(offset, ego, last):
                begin = max(ego.s + 1.0, first - _CLEAR - ramp)
                self.detour = [offset, begin, max(begin + 5.0, first - _CLEAR), last]
                return
        if gap <= near:
            self.wait = first - _WAIT

    def _come_back(self, ego: Ego) -> None:
        """End the detour behind the obstacle, and not before the ego's own lane is free."""
        offset, _, _, until = self.detour
        if ego.s > until + _CLEAR + self._ramp_back():
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

    def _met(self, ego: Ego, seconds: float) -> bool:
        """Somebody comes towards the ego in the next lane and is beside it within so many seconds."""
        c = self.crowd
        ahead = c.s - ego.s
        oncoming = (c.mode == LANE) & (c.visible != 0) & (c.way < 0) & (c.kind <= ActorKind.BICYCLE) & (np.abs(c.d) < 5.0)
        return bool((oncoming & (ahead > -4.0) & (ahead < 8.0 + seconds * c.v)).any())

    def _blockers(self, ego: Ego) -> List[int]:
        """Standing things in the ego's lane ahead, the first and those close behind it."""
        c, half = self.crowd, self.motion.half_d
        standing = (c.mode == STILL) & (c.s > ego.s + 1.5) & (c.s < ego.s + SIGHT) & self._solid
        found = []
        for row in standing.nonzero()[0].tolist():
            d, s = c.d.item(row), c.s.item(row)
            swing = _SWING if d > 0.0 and c.door[row] > 0.0 else 0.0
            if c.visible[row] and abs(d) < half.item(row) + swing + _BESIDE:
                found.append((s, row))
        found.sort()
        count = 1
        while count < len(found) and found[count][0] - found[count - 1][0] < 22.0:
            count += 1
        return [row for _, row in found[:count]]

    def _swing(self) -> Any:
        """Metres that each open door may reach out, however far it is open yet."""
        return np.where(self.crowd.door > 0.0, _SWING, 0.0)

    def _ways_round(self, found: List[int]) -> List[float]:
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
        end = until + _CLEAR + _RAMP  # where the ego is back in its own lane
        through = max(_time(end - ego.s, ego.speed), (end - ego.s) / self.road.speed_limit)
        oncoming = (c.mode == LANE) & (c.way < 0)
        ahead = c.s - ego.s
        meets = oncoming & (ahead > -4.0) & (c.s - np.maximum(c.v, 4.0) * (through + 1.0) < end)
        behind = (
            ~oncoming
            & (np.abs(goal - offset) < np.abs(goal - ego.d))
            & (ahead <= 0.0)
            & (ahead + m.half_s + 0.5 * LENGTH + 2.0 + 0.3 * c.v + 3.0 * np.maximum(c.v - ego.speed, 0.0) > 0.0)
        )
        beside = ~oncoming & (ahead > 0.0) & (ahead < np.where(c.v > 3.0, 9.0, until - ego.s + 6.0))
        return not bool((strip & (meets | behind | beside)).any())

    def hazard(self, ego: Ego, tick: int) -> Hazard:
        """See ``Hazard``; looks SIGHT metres ahead along the expert's line."""
        gap, speed = self._nearest(ego)
        return Hazard(gap, speed, self._stop(ego, tick), self.road.speed_limit)

    def _nearest(self, ego: Ego) -> Tuple[float, float]:
        c, m = self.crowd, self.motion
        gaps = c.s - m.half_s
        gaps -= ego.s + 0.5 * LENGTH
        seen = (gaps < SIGHT) & (gaps > -3.0) & (c.s > ego.s) & self._solid
        astray = ego.d - self._lateral(ego.s)
        fade = 8.0 + 0.4 * abs(ego.speed)
        worst, found = math.inf, (math.inf, 0.0)
        for row in seen.nonzero()[0].tolist():
            if not c.visible[row]:
                continue
            line = self._lateral(c.s.item(row))
            if abs(astray) >= 0.3:  # the line as the ego will drive it: from where it is, back within some metres
                line += astray * min(max(1.0 - (c.s.item(row) - ego.s) / fade, 0.0), 1.0)
            if self._in_way(row, line):
                gap, speed = gaps.item(row), c.v.item(row) * c.way.item(row) if c.mode[row] == LANE else 0.0
                pressing = speed * abs(speed) + 6.0 * (gap - 2.0)
                if pressing < worst:
                    worst, found = pressing, (gap, speed)
        return found

    def _in_way(self, row: int, line: float) -> bool:
        """Whether it is in the ego's strip about that line, or will be within seconds."""
        c, half = self.crowd, self.motion.half_d.item(row) + _BESIDE
        mode, d = c.mode.item(row), c.d.item(row)
        if abs(d - line) < half:
            return True
        if mode == STILL:
            return c.door.item(row) > 0.0 and abs(d - _SWING - line) < half
        if mode == CROSS:
            return False
        goal = c.goal.item(row)
        if mode == LANE:
            return c.way.item(row) > 0 and abs(goal - line) < half and abs(goal - d) > 0.2
        pace = c.v.item(row)  # of somebody on the way across
        return pace > 0.1 and max(d, goal) > line - half and min(d, goal) < line + half and abs(d - line) - half < 4.0 * pace

    def _stop(self, ego: Ego, tick: int) -> float:
        nose, stop = ego.s + 0.5 * LENGTH, math.inf
        if self.wait < math.inf:
            stop = max(self.wait - nose, 0.0)
        if self.detour[0] == 0.0 and abs(ego.d) > 1.9 and ego.speed < 1.0 and (self._lane_taken(ego, 3.5) or self._met(ego, 3.5)):
            stop = 0.0  # about to pull out into the traffic of the lane, and to swing close to the oncoming one
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
        for row in (c.mode == CROSS).nonzero()[0].tolist():
            path = self.paths[c.path.item(row)]
            if path.junction != index or not c.visible[row] or not self._comes(row, path, tick):
                continue
            enters = _time(path.road_zone[0] - 3.0 - nose, ego.speed)
            leaves = _time(path.road_zone[1] + LENGTH + 1.0 - nose, ego.speed)
            p, half = c.p.item(row), 0.5 * c.length.item(row)
            pace = max(c.v.item(row), 0.6 * c.cruise.item(row))
            far = path.zone[1] + half - p
            first, last = (path.zone[0] - half - p) / pace, max(far / pace, _time(far, c.v.item(row)))
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
