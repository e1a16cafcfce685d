"""Scenarios in the ego's own lane: obstacles, slow cyclists, hard braking, slow traffic, cut-ins, slippery patches, a parked start."""

from __future__ import annotations

from typing import List

from .actors import Lights
from .crowd import BARRIER, BICYCLE, CAR, CONE, DEBRIS, EMERGENCY, LANE, STILL, VAN, Cast, Look
from .ego import DT
from .placing import side_way
from .road import Lane, Road
from .script import Plot, Scene, Stage
from .traffic import usable_lanes


def neighbour(road: Road) -> float | None:
    """The offset of a lane of the ego's own way beside its lane, the right one first; None where there is none."""
    lanes = [offset for offset in usable_lanes(road, 1) if 0.1 < abs(offset) < 4.5]
    return max(lanes) if lanes else None


def kerb(road: Road) -> Lane:
    """The strip to the right of the ego's lane that is no driving lane: parking if there is any, else shoulder, bike lane or pavement."""
    side = [lane for lane in road.lanes if lane.offset > 0 and lane.kind != "driving"]
    return next((lane for lane in side if lane.kind == "parking"), side[0])


class Obstacle(Plot):
    """Something stands in the lane: an accident, a building site, or a parked car. One must go round it."""

    archetype = "obstacle"

    def __init__(self, scene: Scene, what: str) -> None:
        super().__init__(scene)
        self.oncoming = 3
        self.at = scene.place
        self.clear = (0.0, self.at + 35.0)
        self.end = self.at + {"accident": self._accident, "site": self._site, "parked": self._parked}[what](scene.cast)

    def _accident(self, cast: Cast) -> float:
        cast.add(EMERGENCY, STILL, self.at - 9.0, 0.1, lights=Lights.SIREN | Lights.HAZARD)
        cast.add(CAR, STILL, self.at, 0.2, turn=0.25, lights=Lights.HAZARD)
        cast.add(CAR, STILL, self.at + 6.5, -0.1, turn=-0.2, lights=Lights.HAZARD)
        return 12.0

    def _site(self, cast: Cast) -> float:
        cast.add(BARRIER, STILL, self.at - 5.0, 0.0)
        for n in range(5):
            cast.add(CONE, STILL, self.at - 3.0 + 3.0 * n, -0.9)
        cast.add(VAN, STILL, self.at + 4.0, 0.5, lights=Lights.HAZARD)
        return 14.0

    def _parked(self, cast: Cast) -> float:
        cast.add(CAR, STILL, self.at, 0.3, lights=Lights.HAZARD)
        return 6.0

    def run(self, stage: Stage) -> bool:
        return bool(stage.ego.s > self.end)


class SlowCyclists(Plot):
    """Cyclists ride in the ego's lane for a while, slowly, then leave it."""

    archetype = "slow_cyclists"

    def __init__(self, scene: Scene, ride: float, speed: float) -> None:
        super().__init__(scene)
        self.clear = (0.0, scene.place + ride + 20.0)
        self.until = scene.place + min(ride, 45.0)
        self.off = kerb(scene.road).offset + 0.6
        first = scene.place
        self.rows = [scene.cast.add(BICYCLE, STILL, first + 6.0 * n, 0.9 - 0.3 * n, cruise=speed, visible=True) for n in range(3)]

    def start(self, stage: Stage) -> None:
        for row in self.rows:
            stage.crowd.mode[row], stage.crowd.v[row] = LANE, 2.0

    def run(self, stage: Stage) -> bool:
        c = stage.crowd
        for row in self.rows:
            if c.p[row] > self.until:
                c.goal[row] = self.off
        return bool(min(c.d[row] for row in self.rows) > self.off - 0.4) or stage.ego.s > self.until + 40.0


class HardBrake(Plot):
    """The vehicle ahead brakes hard for no visible reason, stands for a moment, and drives on."""

    archetype = "hard_brake"
    _BRAKING = 7.0  # m/s2

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        cruise = min(scene.road.speed_limit, 11.0)
        self.row = scene.cast.add(CAR, LANE, 17.0, 0.0, 3.0, cruise=cruise)

    def run(self, stage: Stage) -> bool:
        c = stage.crowd
        if stage.memory[0] == 0.0 and (stage.seconds > 4.0 or stage.eta(float(c.s[self.row])) < 2.2):
            stage.memory[0] = stage.seconds
        since = stage.seconds - stage.memory[0]
        if stage.memory[0] > 0.0 and since < 3.5:
            # Its own wish is overruled: what it would have gained in this tick is taken back as well.
            gained = max(float(c.acceleration[self.row]), 0.0)
            c.v[self.row] = max(0.0, float(c.v[self.row]) - (self._BRAKING + gained) * DT)
            c.acceleration[self.row] = -self._BRAKING
        return stage.memory[0] > 0.0 and since > 3.5


class SlowTraffic(Plot):
    """A column of slow vehicles in the lane that the route merges into."""

    archetype = "merging_flow"

    def __init__(self, scene: Scene, speed: float) -> None:
        super().__init__(scene)
        self.clear = (0.0, scene.road.length + 60.0)
        cruise = min(speed, scene.road.speed_limit)
        start = scene.trigger + 45.0
        self.rows = [scene.cast.add(CAR, LANE, start + 22.0 * n, 0.0, 0.6 * cruise, cruise=cruise) for n in range(4)]
        beside = neighbour(scene.road)
        if beside is not None:
            self.rows += [scene.cast.add(CAR, LANE, start - 8.0 + 24.0 * n, beside, 0.6 * cruise, cruise=cruise) for n in range(3)]
        self.end = scene.road.length - 10.0

    def run(self, stage: Stage) -> bool:
        return bool(stage.ego.s > self.end)


class CutIn(Plot):
    """A vehicle comes into the ego's lane from the side, close ahead: from a parking place, out of a queue, or at speed."""

    archetype = "cut_in"

    def __init__(self, scene: Scene, what: str) -> None:
        super().__init__(scene)
        self.at, self.moving = scene.place, what == "moving"
        beside = neighbour(scene.road)
        if self.moving:
            self.clear = (0.0, scene.road.length)
            cruise = min(scene.road.speed_limit * 0.6, 12.0)
            side = beside if beside is not None else kerb(scene.road).offset
            self.row = scene.cast.add(CAR, LANE, 14.0, side, 4.0, cruise=cruise)
            return
        self.clear = (0.0, self.at + 30.0)
        side = beside if what == "queue" and beside is not None else kerb(scene.road).offset
        self.row = scene.cast.add(CAR, STILL, self.at, side, cruise=7.0)
        for n in (-2, -1, 2):
            scene.cast.add(CAR, STILL, self.at + 7.5 * n, side)

    def run(self, stage: Stage) -> bool:
        c = stage.crowd
        gap = float(c.s[self.row] - stage.ego.s)
        if stage.memory[0] == 0.0 and (3.0 < gap < 13.0 if self.moving else stage.eta(self.at) < 2.6 and gap > 0.0):
            stage.memory[0] = 1.0
            c.mode[self.row], c.goal[self.row] = LANE, 0.0
            c.v[self.row] = max(float(c.v[self.row]), 3.0)
        if gap < -8.0 or stage.seconds > 30.0:
            return True
        return stage.memory[0] == 1.0 and bool(abs(c.q[self.row]) < 0.3)


class Slippery(Plot):
    """Debris and oil on the road: the tyres lose their grip where it lies. It can be driven over, with care."""

    archetype = "loss_of_grip"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.patches = [(scene.trigger + 18.0 + 14.0 * n, scene.cast.rng.uniform(-0.6, 0.6), 1.9) for n in range(4)]
        for s, d, _ in self.patches:
            scene.cast.add(DEBRIS, STILL, s, d, turn=scene.cast.rng.uniform(0.0, 3.0))

    def run(self, stage: Stage) -> bool:
        return bool(stage.ego.s > self.patches[-1][0] + 4.0)


class ParkingExit(Plot):
    """The ego starts in a parking place between two parked cars, and must join the traffic of its lane."""

    archetype = "parking_exit"

    def __init__(self, scene: Scene, front: float, behind: float) -> None:
        super().__init__(scene)
        side = kerb(scene.road)
        self.start_d = min(side.offset, 2.9)
        self.clear = (-70.0, 40.0)
        for s in (max(front, 11.0), -max(behind, 8.0)):
            scene.cast.add(CAR, STILL, s, self.start_d, way=side_way(side))
        limit = min(scene.road.speed_limit, 9.0)
        self.rows: List[int] = [scene.cast.add(CAR, LANE, -22.0 - 16.0 * n, 0.0, limit, cruise=limit) for n in range(2)]

    def run(self, stage: Stage) -> bool:
        return bool(abs(stage.ego.d) < 0.8 and stage.ego.s > 12.0)


class Blockage(Plot):
    """A vehicle stands in the way behind the junction's corner, and drives on after some seconds."""

    archetype = "blocked_junction"
    _STANDS = 5.0  # seconds after the ego has come near

    def __init__(self, scene: Scene, at: float, look: Look = CAR) -> None:
        super().__init__(scene)
        self.crossing = False
        self.clear = (0.0, at + 40.0)
        self.row = scene.cast.add(look, LANE, at, 0.0, cruise=8.0, lights=Lights.HAZARD)

    def _hold(self, stage: Stage) -> None:
        stage.crowd.v[self.row] = 0.0

    def wait(self, stage: Stage) -> None:
        """It stands before anything has begun."""
        self._hold(stage)

    def run(self, stage: Stage) -> bool:
        c = stage.crowd
        if stage.memory[0] == 0.0 and (c.s[self.row] - stage.ego.s < 26.0 or stage.seconds > 25.0):
            stage.memory[0] = stage.seconds + self._STANDS
        if stage.memory[0] == 0.0 or stage.seconds < stage.memory[0]:
            self._hold(stage)
            return False
        return bool(c.v[self.row] > 3.0)
