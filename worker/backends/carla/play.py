"""The embedded world's crowd, expert and scenario over CARLA's actors: what is seen of them, and where the scenario's own go next.

Rows of the crowd are the ego (0), then the scenario's cast, then the vehicles of the traffic manager. The cast is moved here, by the same
plots and the same traffic rules as in the embedded world, and CARLA's actors are put where it is. The traffic manager's vehicles are
only looked at: after each tick their places overwrite whatever was computed for them. No call to a server in this file.
"""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

import numpy as np

from b2d_zmq.errors import SnapshotCorrupt

from ...settings import Settings
from ...world import weather as weathers
from ...world.actors import ActorKind, Lights
from ...world.collision import touching
from ...world.crossings import Path, paths_of
from ...world.crowd import LANE, WALK, Cast, Crowd, Look
from ...world.ego import Ego
from ...world.expert import Expert
from ...world.motion import Motion
from ...world.outlook import Outlook
from ...world.road import Road
from ...world.scenarios import plot_of
from ...world.script import Plot, Stage
from ...world.traffic import Traffic
from .signals import Governed, TownSignals

_GRID = 2.0**20
_SIGHT = 150.0  # metres from the ego beyond which nobody counts
_ASIDE, _ABOVE = 45.0, 4.0  # metres from the route's line and height at which a vehicle is elsewhere
_ALONG = 0.7  # cosine to the route's heading from which on a vehicle drives along it
_FORESIGHT = 4.0  # seconds that somebody on the way across is looked ahead
_DRIFT = 0.3  # m/s across the road that others take for a lane change
_FEELER = 0.4  # metres: closer than this a collision is likely enough to wait for its report


class Plan(NamedTuple):
    """A scenario before its actors are there. ``kinds`` are those of the cast, by row, without the ego."""

    road: Road
    paths: Tuple[Path, ...]
    cast: Cast
    plot: Plot | None

    @property
    def kinds(self) -> List[ActorKind]:
        return [member.look.kind for member in self.cast.members[1:]]


def plan_of(settings: Settings, road: Road) -> Plan:
    """Cast the route's scenario; the same for the same settings and road."""
    route = settings.route
    paths = paths_of(road)
    cast = Cast(random.Random(f"{settings.seed}/{route.id}/{route.town}"))
    plot = plot_of(route, road, paths, cast) if settings.scenario else None
    return Plan(road, paths, cast, plot)


class Placed(NamedTuple):
    """Where one of the cast is to be: metres, the ground's height, radians; not ``visible`` is out of the world. ``speed`` in m/s."""

    row: int
    x: float
    y: float
    z: float
    yaw: float
    speed: float
    visible: bool


class Play(Outlook):
    """See the module's text. ``others`` are the traffic manager's vehicles' looks."""

    def __init__(self, plan: Plan, governed: Governed, settings: Settings, looks: Sequence[Look], others: Sequence[Look]) -> None:
        super().__init__(governed.road)
        self.plot, cast = plan.plot, plan.cast
        cast.members[1:] = [member._replace(look=look) for member, look in zip(cast.members[1:], looks[1:])]
        self.first = len(cast.members)  # row of the first that is not ours to move
        for look in others:
            cast.add(look, LANE, 0.0, 1000.0, visible=False)
        self.signals = TownSignals(governed)
        self.crowd = Crowd(cast, looks[0][1:])
        self.actors = self.crowd.actors()
        dark = weathers.daylight(settings.weather) < 0.45
        self.motion = Motion(self.road, self.crowd, plan.paths, Lights.HEAD if dark else Lights.OFF)
        self.traffic = Traffic(self.road, self.crowd, self.signals, plan.paths, self.motion)
        self.expert = Expert(self.traffic)
        self.stage = Stage(self.road, self.crowd, plan.paths, self.expert, plan.plot)
        self._feelers = replace(self.actors, length=self.crowd.length + _FEELER, width=self.crowd.width + _FEELER)

    @property
    def start_d(self) -> float:
        """Where across the road the ego starts."""
        return self.plot.start_d if self.plot else 0.0

    def begin(self, ego: Ego, seen: Any) -> None:
        """Tick 0: the ego and the others are where they are; the cast is where it was cast."""
        self.ego, self.lane = ego, self.lane_at(ego.d)
        self.look(ego, seen)

    def move(self) -> None:
        """The cast's next tick, before the world's: it acts on what was seen last."""
        self.tick += 1
        actors = self.actors
        along = self.ego.speed * math.cos(self.heading_error)
        self.traffic.step(along, actors.x, actors.y, actors.yaw, self.tick)
        self.stage.act(self.ego, self.tick)
        f = self.crowd.f
        f[:] = np.rint(f * _GRID) / _GRID
        self.motion.publish(actors, self.ego)
        self.motion.light(actors)

    def placed(self) -> List[Placed]:
        """Where the cast is now."""
        a, rows = self.actors, range(1, self.first)
        columns = (a.x, a.y, a.z, a.yaw, a.speed, a.visible)
        return [Placed(row, *values) for row, values in zip(rows, zip(*(column[1 : self.first].tolist() for column in columns)))]

    def look(self, ego: Ego, seen: Any) -> None:
        """After the world's tick: the ego, and float64 [N, 6] of the others: x, y, z, yaw (radians), vx, vy; NaN for who is gone."""
        self.resume(ego, seen)
        self.expert.plan(ego)
        self.expert.detour = [round(number * _GRID) / _GRID for number in self.expert.detour]

    def resume(self, ego: Ego, seen: Any) -> None:
        """After ``load``: see everybody where they are, without planning on."""
        self.ego = ego
        self.seat()
        self.motion.publish(self.actors, ego)
        if len(seen):
            self._seat_others(seen)
        self.signals.read()

    def touched(self) -> bool:
        """Whether the ego touches somebody, or nearly."""
        return bool(touching(self._feelers))

    def _seat_others(self, seen: Any) -> None:
        """The rows of the traffic manager's vehicles: those along the route as its traffic, those across it as somebody crossing."""
        c, rows = self.crowd, slice(self.first, None)
        gone = np.isnan(seen[:, 0])
        x, y, z, yaw, vx, vy = np.nan_to_num(seen).T
        s, d = self.road.project(x, y)
        _, _, level, heading = self.road.pose(s)
        speed = np.sqrt(vx * vx + vy * vy)
        along, across = np.cos(yaw - heading), np.sin(yaw - heading)
        drives = np.abs(along) > _ALONG
        drift = speed * across
        c.s[rows] = c.p[rows] = s
        c.d[rows] = c.q[rows] = d
        c.v[rows] = np.where(drives, speed, np.abs(drift))
        c.goal[rows] = d + np.where(drives, np.where(np.abs(drift) > _DRIFT, drift, 0.0), _FORESIGHT * drift)
        c.mode[rows] = np.where(drives, LANE, WALK)
        c.way[rows] = np.where(along < 0.0, -1, 1)
        near = (np.abs(s - self.ego.s) < _SIGHT) & (np.abs(d) < _ASIDE) & (np.abs(z - level) < _ABOVE)
        c.visible[rows] = near & ~gone
        c.slide[rows] = c.acceleration[rows] = c.timer[rows] = 0.0
        self._box_others(rows, (x, y, z, yaw), np.abs(along), np.abs(across))

    def _box_others(self, rows: slice, places: Tuple[Any, ...], along: Any, across: Any) -> None:
        c, m, a = self.crowd, self.motion, self.actors
        a.x[rows], a.y[rows], a.z[rows], a.yaw[rows] = places
        a.visible[rows] = c.visible[rows] != 0
        m.half_s[rows] = 0.5 * (c.length[rows] * along + c.width[rows] * across)
        m.half_d[rows] = 0.5 * (c.length[rows] * across + c.width[rows] * along)

    def state(self) -> Dict[str, Any]:
        """All that cannot be seen of CARLA's actors, as plain values and arrays; ``load`` takes it."""
        return {
            "tick": self.tick,
            "floats": self.crowd.f.copy(),
            "ints": self.crowd.i.copy(),
            "lane": self.lane,
            "served": list(self.signals.served),
            "expert": self.expert.state(),
            "scenario": self.stage.state(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Become that state of the same cast; ``resume`` completes it. Raises SnapshotCorrupt, and changes nothing then."""
        try:
            floats, ints = np.array(state["floats"], np.float64), np.array(state["ints"], np.int32)
            expert = [float(n) for n in state["expert"]]
            served = [int(n) for n in state["served"]]
            tick, lane = int(state["tick"]), int(state["lane"])
            scenario = self.stage.checked(state["scenario"])
        except (LookupError, TypeError, ValueError, OverflowError) as error:
            raise SnapshotCorrupt(f"not a state of this scenario: {error!r}") from None
        fits = floats.shape == self.crowd.f.shape and ints.shape == self.crowd.i.shape and len(expert) == 5
        if not fits or len(served) != len(self.signals.served) or not 0 <= lane < len(self.road.lanes) or tick < 0:
            raise SnapshotCorrupt("a state of another scenario: it has other actors, junctions or lanes")
        if not (np.isfinite(floats).all() and np.isfinite(expert).all() and ints[1].max(initial=-1) < len(self.traffic.paths)):
            raise SnapshotCorrupt("a state of a scenario with numbers out of range")
        self.crowd.f[:], self.crowd.i[:] = floats, ints
        self.tick, self.lane, self.signals.served = tick, lane, served
        self.expert.load(expert)
        self.stage.load(scenario)
