"""Scenarios across the ego's path: walkers and cyclists, doors, oncoming invaders, crossing flows, runners, and emergency vehicles.

Their timing follows the ego, as it does in Bench2Drive: who crosses aims at arriving when the ego does, and then goes through with it.
"""

from __future__ import annotations

import math

from .actors import Lights
from .crossings import START
from .crowd import BICYCLE, CAR, CROSS, EMERGENCY, LANE, STILL, VAN, WALK, Look
from .ego import DT
from .placing import side_way
from .plots_lane import kerb, neighbour
from .script import Plot, Scene, Stage


class Crossing(Plot):
    """Walkers or a cyclist cross the road in front of the ego, timed to meet it, and go on to the other side."""

    archetype = "crossing"

    def __init__(self, scene: Scene, at: float, look: Look, count: int, blocker: Look | None) -> None:
        super().__init__(scene)
        self.crossing = False
        self.at = at
        self.clear = (0.0, at + 30.0)
        edge = max(lane.offset + 0.5 * lane.width for lane in scene.road.lanes if lane.kind in ("driving", "parking"))
        left = min(lane.offset - 0.5 * lane.width for lane in scene.road.lanes if lane.kind == "driving")
        self.start_q, self.goal = edge + 0.5, left - 1.5
        self.speed = 4.0 if look is BICYCLE else 1.9
        self.rows = [scene.cast.add(look, STILL, at + 0.9 * n, self.start_q + 0.5 * n, turn=-math.pi / 2) for n in range(count)]
        if blocker is not None:
            scene.cast.add(
                blocker, STILL, at - 0.5 * blocker.length - 1.0, max(edge - 0.4, 3.0) if kerb(scene.road).kind == "parking" else edge + 1.2
            )

    def run(self, stage: Stage) -> bool:
        c = stage.crowd
        reach = (self.start_q - 0.8) / self.speed
        near = self.at - stage.ego.s < 14.0
        if stage.memory[0] == 0.0 and (stage.eta(self.at) < reach + 0.3 or near):
            stage.memory[0] = 1.0
            for row in self.rows:
                c.mode[row], c.v[row], c.goal[row] = WALK, self.speed, self.goal
        if stage.memory[0] == 1.0 and all(abs(c.q[row] - self.goal) < 0.05 for row in self.rows):
            for row in self.rows:
                c.mode[row], c.v[row] = STILL, 0.0
            return True
        return False


class Door(Plot):
    """A parked car opens its door into the lane as the ego comes."""

    archetype = "door"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.oncoming = 3
        side = kerb(scene.road)
        self.at = scene.place
        self.clear = (0.0, self.at + 30.0)
        self.row = scene.cast.add(CAR, STILL, self.at, min(side.offset, 2.55), way=side_way(side))

    def run(self, stage: Stage) -> bool:
        c = stage.crowd
        if stage.memory[0] == 0.0 and (stage.eta(self.at) < 2.8 or self.at - stage.ego.s < 14.0):
            stage.memory[0] = 1.0
        if stage.memory[0] == 1.0:
            c.door[self.row] = min(1.0, float(c.door[self.row]) + 1.5 * DT)
        return bool(stage.ego.s > self.at + 8.0)


class Invader(Plot):
    """Oncoming vehicles keep too far to their left, into the ego's lane. Keeping to the right is enough."""

    archetype = "oncoming_invader"

    def __init__(self, scene: Scene, depth: float) -> None:
        super().__init__(scene)
        self.at = scene.place
        self.clear = (0.0, self.at + 40.0)
        inner = -0.5 * min(scene.road.lanes, key=lambda lane: abs(lane.offset)).width
        speed = min(scene.road.speed_limit, 9.0)
        self.rows = [
            scene.cast.add(
                look,
                LANE,
                self.at + 40.0 + 16.0 * n,
                inner + depth + 0.75 - 0.5 * look.width,
                way=-1,
                cruise=speed,
                visible=False,
                blind=True,
            )
            for n, look in enumerate((CAR, VAN, CAR))
        ]

    def start(self, stage: Stage) -> None:
        stage.expert.request(0.75, stage.ego.s + 4.0, self.at + 70.0, 0.0)
        for row in self.rows:
            stage.crowd.visible[row], stage.crowd.v[row] = 1, stage.crowd.cruise[row]

    def run(self, stage: Stage) -> bool:
        passed = all(stage.crowd.s[row] < stage.ego.s - 5.0 for row in self.rows)
        if passed:
            stage.expert.detour[3] = min(stage.expert.detour[3], stage.ego.s)
        return passed or stage.seconds > 40.0


class Runner(Plot):
    """A vehicle crosses the junction without the right to, aiming at the ego."""

    archetype = "runner"

    def __init__(self, scene: Scene, path: int) -> None:
        super().__init__(scene)
        self.crossing = False
        self.path = scene.paths[path]
        self.clear = (0.0, self.path.road_zone[1] + 30.0)
        self.arrival = "green" if "Light" in self.kind else ""
        self.row = scene.cast.add(CAR, CROSS, START, 0.0, path=path, cruise=9.0, visible=False, heedless=True, blind=True)

    def start(self, stage: Stage) -> None:
        c = stage.crowd
        c.visible[self.row], c.v[self.row] = 1, 8.0
        c.p[self.row] = max(START, self.path.zone[0] - 38.0)

    def run(self, stage: Stage) -> bool:
        c = stage.crowd
        middle = 0.5 * (self.path.zone[0] + self.path.zone[1])
        eta = stage.eta(0.5 * (self.path.road_zone[0] + self.path.road_zone[1]))
        if stage.memory[0] == 0.0:
            left = middle - float(c.p[self.row])
            c.v[self.row] = min(max(left / max(eta, 0.3), 5.0), 13.0)
            if left < 14.0 or eta < 1.2 or stage.seconds > 15.0:
                stage.memory[0] = 1.0
        return bool(c.p[self.row] > self.path.zone[1] + 4.0) or not c.visible[self.row]


class Flow(Plot):
    """A stream of vehicles or cyclists with the right of way crosses or joins the route. It has an end."""

    archetype = "crossing_flow"

    def __init__(self, scene: Scene, path: int, look: Look, speed: float) -> None:
        super().__init__(scene)
        self.crossing = False
        self.path, self.speed = scene.paths[path], speed
        self.clear = (0.0, self.path.road_zone[1] + 30.0)
        self.arrival = "green" if self.kind.startswith("Signalized") else ""
        if self.path.merge < math.inf and self.path.way > 0:
            self.archetype = "merging_flow"
        looks = [look] * 5 if look is not CAR else [CAR, CAR, VAN, CAR, CAR]
        self.rows = [scene.cast.add(one, CROSS, START, 0.0, path=path, cruise=speed, visible=False, heedless=True) for one in looks]

    def start(self, stage: Stage) -> None:
        c = stage.crowd
        eta = max(self.path.road_zone[0] - stage.ego.s, 5.0) / max(stage.ego.speed, 6.0)
        for n, row in enumerate(self.rows):
            c.visible[row], c.v[row] = 1, self.speed
            c.p[row] = self.path.zone[0] - self.speed * (eta + 2.3 * (n - 1))
        stage.memory[0] = 1.0

    def run(self, stage: Stage) -> bool:
        c = stage.crowd
        left = [row for row in self.rows if c.visible[row] and c.mode[row] == CROSS and c.p[row] < self.path.zone[1] + 3.0]
        return not left or bool(stage.ego.s > self.path.road_zone[1] + 6.0)


class Meeting(Plot):
    """Nothing but the junction itself: its light, its stop sign, its right of way, or the lane changes of the route."""

    def __init__(self, scene: Scene, archetype: str, arrival: str) -> None:
        super().__init__(scene)
        self.archetype, self.arrival = archetype, arrival
        ends = [j.leave for j in scene.road.junctions] + [change.leave for change in scene.road.lane_changes]
        self.end = max(ends) if ends else scene.road.length - 5.0
        self.clear = (0.0, 40.0)

    def run(self, stage: Stage) -> bool:
        return bool(stage.ego.s > self.end)


class Emergency(Plot):
    """An emergency vehicle comes from behind with its siren on; who stays in front of it blocks it."""

    archetype = "yield_to_emergency"
    _PATIENCE = 5.0  # seconds

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.clear = (-120.0, scene.road.length)
        beside = neighbour(scene.road)
        self.aside = beside if beside is not None else 2.3
        speed = max(1.25 * min(scene.road.speed_limit, 16.0), 12.0)
        self.distance = scene.number("distance", 28.0, 20.0, 40.0)
        self.row = scene.cast.add(EMERGENCY, LANE, 0.0, -0.3, cruise=speed, visible=False, heedless=True, lights=Lights.SIREN | Lights.HEAD)

    def start(self, stage: Stage) -> None:
        c = stage.crowd
        c.p[self.row] = c.s[self.row] = stage.ego.s - self.distance - 8.0
        c.visible[self.row], c.v[self.row] = 1, max(stage.ego.speed + 2.0, 8.0)

    def run(self, stage: Stage) -> bool:
        c = stage.crowd
        behind = stage.ego.s - float(c.s[self.row])
        if behind > 0.0 and stage.expert.free(self.aside, stage.ego, stage.ego.s + 5.0):
            stage.expert.request(self.aside, stage.ego.s, stage.ego.s + 500.0, stage.ego.speed)
        if 0.0 < behind < 16.0 and abs(stage.ego.d - c.d[self.row]) < 1.8:
            before, stage.memory[0] = stage.memory[0], stage.memory[0] + DT
            stage.yield_violation = before < self._PATIENCE <= stage.memory[0]
        over = behind < -14.0 or not c.visible[self.row] or stage.seconds > 30.0
        if over:
            stage.expert.detour[3] = min(stage.expert.detour[3], stage.ego.s)
        return bool(over)
