"""What is told of an ego on its road beside its crowd: the route's commands, the expert's line and hazard, and the rules of the lanes.

Whoever moves the ego and the others keeps ``ego``, ``tick`` and the crowd up to date; nothing here moves anybody.
"""

from __future__ import annotations

import math
from typing import Any, List, Tuple

import numpy as np

from .crowd import Crowd
from .ego import Ego
from .expert import Expert, Hazard
from .road import Road
from .script import Stage

_COMMANDS = {"left": 0, "right": 1, "straight": 2}
_FOLLOW, _CHANGE_LEFT, _CHANGE_RIGHT = 3, 4, 5
_DRIFT = 0.3  # m/s across the road that others take for a lane change
_ANNOUNCED = 25.0  # metres before a junction or lane change at which the route's command changes


class Outlook:
    """See the module's text."""

    ego: Ego
    crowd: Crowd
    expert: Expert
    stage: Stage

    def __init__(self, road: Road) -> None:
        self.road, self.tick = road, 0
        self.lane = 0  # the index of the strip that the ego was in last
        self.commands = _commands(road)
        self.edges = (road.lanes[0].offset - road.lanes[0].width / 2, road.lanes[-1].offset + road.lanes[-1].width / 2)

    @property
    def scenario_state(self) -> Tuple[str, str, str]:
        """(type, archetype, "waiting" | "running" | "done"); empty type and "none" where there is no scenario."""
        return self.stage.told

    @property
    def lane_offset(self) -> float:
        """Metres that the ego is to the right of the route's line."""
        return self.ego.d

    @property
    def heading_error(self) -> float:
        """Radians that the ego points to the right of the route's heading, -pi to pi."""
        return math.remainder(self.ego.yaw - self.road.level(self.ego.s)[1], 2.0 * math.pi)

    def hazard(self) -> Hazard:
        """What the ego must heed now; see ``expert``."""
        return self.expert.hazard(self.ego, self.tick)

    def ahead(self, n: int, spacing: float) -> Any:
        """float64 [n, 2]: world points of the expert's line from the ego on, ``spacing`` metres apart.

        It is the route itself, except that it bends round what stands in the lane once the way round is free: an honest expert's line.
        """
        s = self.ego.s + spacing * np.arange(n)
        x, y = self.road.pose(s, self.expert.lateral(s))[:2]
        return np.stack([x, y], axis=1)

    def command(self) -> int:
        """An index into ``spaces.COMMANDS``: what the route asks for within the next 25 m."""
        for enter, leave, command in self.commands:
            if enter - _ANNOUNCED <= self.ego.s <= leave:
                return command
        return _FOLLOW

    @property
    def next_command_distance(self) -> float:
        """Metres to the next junction or lane change of the route; 0 within one, inf when none is left."""
        return next((max(0.0, enter - self.ego.s) for enter, leave, _ in self.commands if self.ego.s <= leave), math.inf)

    def seat(self) -> None:
        """The ego as the first row of the crowd; others take it to be going where its drift leads within a second."""
        c = self.crowd
        drift = self.ego.speed * math.sin(self.heading_error)
        goal = self.ego.d + drift if abs(drift) > _DRIFT else self.ego.d
        c.s[0], c.d[0], c.p[0], c.q[0], c.goal[0] = self.ego.s, self.ego.d, self.ego.s, self.ego.d, goal
        c.v[0] = self.ego.speed

    def near_junction(self, ego: Ego) -> bool:
        """Whether the ego is in a junction or about to be, where no strips are."""
        return any(j.enter - 4.0 < ego.s < j.leave + 4.0 for j in self.road.junctions)

    def off_road(self, ego: Ego) -> bool:
        """Whether the ego's middle is on none of the road's strips."""
        low, high = self.edges
        return not low <= ego.d <= high and not (self.near_junction(ego) and abs(ego.d) < 30.0)

    def lane_at(self, d: float) -> int:
        """The index of the strip that holds d; the outermost for what is beyond."""
        for index, lane in enumerate(self.road.lanes):
            if d <= lane.offset + 0.5 * lane.width:
                return index
        return len(self.road.lanes) - 1

    def invaded(self) -> bool:
        """The ego's middle came into another lane than its own, and neither the route nor an obstacle asked for it. Once a tick."""
        lane, before = self.lane_at(self.ego.d), self.lane
        self.lane = lane
        if lane == before or self.near_junction(self.ego):
            return False
        own, asked = self.lane_at(0.0), self.lane_at(self.expert.detour[0])
        return not min(own, asked) <= lane <= max(own, asked)


def _commands(road: Road) -> List[Tuple[float, float, int]]:
    """What the route asks for as (from s, to s, command), in order."""
    turns = [(j.enter, j.leave, _COMMANDS[j.turn]) for j in road.junctions]
    changes = [(c.enter, c.leave, _CHANGE_LEFT if c.lateral < 0 else _CHANGE_RIGHT) for c in road.lane_changes]
    return sorted(turns + changes)
