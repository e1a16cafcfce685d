"""Traffic lights and stop signs of a route: where they stand, what they show, and whether the ego heeded them.

A light's colour follows from the tick alone. What the ego did at its stop line is all that is remembered: ``served`` per junction.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, List, Sequence, Tuple

import numpy as np

from .ego import DT
from .road import Junction, Road

LIGHT, STOP_SIGN = 0, 1
RED, YELLOW, GREEN, OFF = 0, 1, 2, 3

_GREEN_FOR, _YELLOW_FOR, _RED_FOR, _ALL_RED = 12.0, 3.0, 11.0, 1.5  # seconds
_CYCLE = _GREEN_FOR + _YELLOW_FOR + _RED_FOR
_STILL = 0.3  # m/s: slower than this before the line counts as a stop
_WITHIN = 6.0  # metres before the line


@dataclass(frozen=True)
class _Post:
    """One light or sign: the junction it belongs to, and whose eyes it is for (0 the route's own, 1 crossing traffic)."""

    junction: int
    group: int
    kind: int
    s: float
    d: float
    turn: float  # radians between the road's heading at s and where it faces


class Signals:
    """Columns of what stands at the junctions (world metres, ``yaw`` the way it faces in radians), and the rules of the lines."""

    def __init__(self, road: Road, rng: random.Random, arrival: str = "") -> None:
        """``arrival`` is what the ego is to meet at the first light: "red", "green" or "" (by chance)."""
        self.junctions: Tuple[Junction, ...] = road.junctions
        self.served = [0] * len(road.junctions)  # 1: stopped here, or past it
        self._starts = [self._start(j, rng, arrival if n == 0 else "") for n, j in enumerate(road.junctions)]
        self._posts = [post for n, j in enumerate(road.junctions) for post in _posts(road, n, j)]
        places = [road.pose(post.s, post.d) for post in self._posts]
        self.x, self.y, self.z, yaw = (np.array([float(p[k]) for p in places], float) for k in range(4))
        self.yaw = yaw + np.array([post.turn for post in self._posts], float)
        self.kind = np.array([post.kind for post in self._posts], np.int8)
        self.state = np.full(len(self._posts), OFF, np.int8)
        self._lamps = sorted({(post.junction, post.group) for post in self._posts if post.kind == LIGHT})
        self._rows = [[row for row, p in enumerate(self._posts) if (p.junction, p.group) == lamp] for lamp in self._lamps]
        self._showing = [OFF] * len(self._lamps)
        self.show(0)

    @staticmethod
    def _start(junction: Junction, rng: random.Random, arrival: str) -> float:
        """Where in its cycle (green, yellow, red) the light is at tick 0."""
        chance = rng.random() * _CYCLE
        reach = max(junction.enter, 0.0) / 8.0  # seconds until the ego may be there
        if arrival == "red":
            return (_GREEN_FOR + _YELLOW_FOR + 3.0 - reach) % _CYCLE
        if arrival == "green":
            return (2.0 - reach) % _CYCLE
        return chance

    def show(self, tick: int) -> None:
        """Set the colours of that tick."""
        for index, (junction, group) in enumerate(self._lamps):
            colour = self.light(junction, group, tick)
            if colour != self._showing[index]:
                self._showing[index] = colour
                self.state[self._rows[index]] = colour

    def light(self, junction: int, group: int, tick: int) -> int:
        """What the light shows to the route (group 0) or to crossing traffic (1); OFF where there is none."""
        if self.junctions[junction].control != "light":
            return OFF
        at = (self._starts[junction] + tick * DT) % _CYCLE
        if group == 0:
            return GREEN if at < _GREEN_FOR else YELLOW if at < _GREEN_FOR + _YELLOW_FOR else RED
        since = at - _GREEN_FOR - _YELLOW_FOR - _ALL_RED
        free = _RED_FOR - 2 * _ALL_RED - _YELLOW_FOR
        return RED if since < 0 or since > free + _YELLOW_FOR else GREEN if since < free else YELLOW

    def watch(self, before: float, now: float, front: float, speed: float, tick: int) -> Tuple[bool, bool]:
        """The ego moved from s ``before`` to ``now``, its nose ``front`` metres ahead: (ran a red light, ran a stop sign)."""
        red = stop = False
        for index, junction in enumerate(self.junctions):
            gap = junction.enter - (now + front)
            if junction.control == "stop" and speed < _STILL and 0.0 <= gap < _WITHIN:
                self.served[index] = 1
            if before + front < junction.enter <= now + front:
                red = red or self.light(index, 0, tick) == RED
                stop = stop or (junction.control == "stop" and not self.served[index])
                self.served[index] = 1
        return red, stop

    def must_stop(self, index: int, gap: float, speed: float, tick: int) -> bool:
        """Whether a careful driver stops at that junction's line, ``gap`` metres ahead of the nose."""
        if self.junctions[index].control == "stop":
            return not self.served[index]
        colour = self.light(index, 0, tick)
        return colour == RED or (colour == YELLOW and gap > speed * speed / 7.0)


def _posts(road: Road, index: int, junction: Junction) -> List[_Post]:
    if junction.control not in ("light", "stop"):
        return []
    kind = LIGHT if junction.control == "light" else STOP_SIGN
    right = _outer(road, 1)
    half_turn = np.pi
    posts = [_Post(index, 0, kind, junction.enter, right, half_turn)]
    if kind == LIGHT:
        # The far light is the one that a driver at the line can see; the crossing road's stand at the near corners.
        posts.append(_Post(index, 0, kind, junction.leave, right, half_turn + _bend(road, junction)))
        posts.append(_Post(index, 1, kind, junction.enter, right + 0.6, np.pi / 2))
        posts.append(_Post(index, 1, kind, junction.enter, _outer(road, -1) - 0.6, -np.pi / 2))
    return posts


def _bend(road: Road, junction: Junction) -> float:
    """Radians to turn back from the heading behind the junction to the one before it."""
    return float(road.pose(junction.enter, 0.0)[3]) - float(road.pose(junction.leave, 0.0)[3])


def _outer(road: Road, side: int) -> float:
    """d just beyond the outermost driving lane on that side."""
    edges: Sequence[Any] = [lane.offset + side * (0.5 * lane.width + 0.9) for lane in road.lanes if lane.kind == "driving"]
    return float(max(edges) if side > 0 else min(edges))
