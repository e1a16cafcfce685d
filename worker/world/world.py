"""The embedded driving world: one ego on one route, with its traffic, signals, scenario and weather. 20 ticks a second.

All chance is drawn at construction from the seed. Whatever a tick changes is in ``state``; every float of it is rounded to a grid of
2**-20 at the end of a tick, so that a last bit that differs between two numpy builds vanishes instead of growing.
"""

from __future__ import annotations

import hashlib
import math
import random
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple

import numpy as np

from b2d_zmq.errors import SnapshotCorrupt

from ..routes import Route, Weather
from . import road as roads
from . import weather as weathers
from .actors import ActorKind, Actors, Lights
from .collision import touching, word_of
from .crossings import paths_of
from .crowd import Cast, Crowd
from .ego import HEIGHT, LENGTH, MASS, WIDTH, Car, car_of, drive, hit, snap, view
from .expert import Expert, Hazard
from .motion import Motion
from .outlook import Outlook
from .placing import Wishes, populate
from .scenarios import plot_of
from .script import Stage
from .signals import Signals
from .traffic import Traffic

__all__ = ["Events", "Hazard", "World"]

_GRID = 2.0**20
_MOST = 1e12  # a place that nobody comes to is 1e9
_GRASS_GRIP, _GRASS_DRAG = 0.55, 2.0  # share of the friction; m/s2


class Events(NamedTuple):
    """What happened in one tick; see the names. ``impulse`` is in newton seconds."""

    collision: str = ""  # "", "vehicle", "walker", "static"
    collision_with: str = ""  # for people
    impulse: float = 0.0
    ran_red: bool = False
    ran_stop: bool = False
    lane_invasion: bool = False
    off_road: bool = False
    yield_violation: bool = False


def _sane(numbers: Any) -> bool:
    """Whether these are numbers that a world can have; what is beyond would be infinite in an observation."""
    return bool((np.abs(numbers) <= _MOST).all())


class World(Outlook):
    """See the module's text. ``actors`` and ``signals`` are tables for pictures; row 0 of the actors is the ego."""

    def __init__(self, route: Route, seed: int, weather: Weather, traffic: float = 1.0, scenario: bool = True) -> None:
        """Build the world of a route at tick 0; ``traffic`` scales the number of others (0 to 2), ``scenario`` admits the route's own."""
        super().__init__(roads.build(route, seed))
        self.route, self.seed, self.weather = route, seed, weather
        self._paths = paths_of(self.road)
        rng = random.Random(f"{seed}/{route.id}/{route.town}")
        cast = Cast(rng)
        plot = plot_of(route, self.road, self._paths, cast) if scenario else None
        self.signals = Signals(self.road, rng, plot.arrival if plot else "")
        populate(cast, self.road, self._paths, traffic, plot.wishes if plot else Wishes())
        self.crowd = Crowd(cast, (LENGTH, WIDTH, HEIGHT))
        self._actors, self._lit = self.crowd.actors(), -1
        self._motion = Motion(self.road, self.crowd, self._paths, Lights.HEAD if weathers.daylight(weather) < 0.45 else Lights.OFF)
        self._traffic = Traffic(self.road, self.crowd, self.signals, self._paths, self._motion)
        self.expert = Expert(self._traffic)
        self.stage = Stage(self.road, self.crowd, self._paths, self.expert, plot)
        self._grip = weathers.grip(weather)
        self._begin(plot.start_d if plot else 0.0)

    def _begin(self, d: float) -> None:
        x, y, _, yaw = (float(part) for part in self.road.pose(0.0, d))
        self._car = Car(x, y, yaw)
        self._car.snap()
        self.lane = self.lane_at(d)
        self._sit(0.0, snap(d))
        self.seat()
        self._settle()

    def step(self, throttle: float, brake: float, steer: float) -> Events:
        """One tick (0.05 s) under that action; what happened in it."""
        self.tick += 1
        before = self.ego
        off_road = self.off_road(before)
        grip = self._grip * self.stage.grip(before) * (_GRASS_GRIP if off_road else 1.0)
        drive(self._car, float(throttle), float(brake), float(steer), grip=grip, drag=_GRASS_DRAG if off_road else 0.0)
        self._look(before.s)
        self.seat()
        along = self.ego.speed * math.cos(self.heading_error)
        self._traffic.step(along, self._actors.x, self._actors.y, self._actors.yaw, self.tick)
        self.stage.act(self.ego, self.tick)
        self._settle()
        collision, other, impulse = self._collide()
        self.signals.show(self.tick)
        red, stop = self.signals.watch(before.s, self.ego.s, LENGTH / 2, self.ego.speed, self.tick)
        return Events(collision, other, impulse, red, stop, self.invaded(), self.off_road(self.ego), self.stage.yield_violation)

    def _look(self, near: float) -> None:
        """Where the car is now, as everybody sees it."""
        s, d = self.road.locate(self._car.x, self._car.y, near)
        self._sit(snap(s), snap(d))

    def _sit(self, s: float, d: float) -> None:
        """The view of the car at that place of the road."""
        z, _ = self.road.level(s)
        self.ego = view(self._car, snap(z), s, d)

    def _settle(self) -> None:
        """Round the state to its grid, then publish everybody's place and plan on."""
        f = self.crowd.f
        np.multiply(f, _GRID, out=f)
        np.rint(f, out=f)
        np.multiply(f, 1.0 / _GRID, out=f)
        self._motion.publish(self._actors, self.ego)
        self.expert.plan(self.ego)
        self.expert.detour = [snap(n) for n in self.expert.detour]

    def _collide(self) -> Tuple[str, str, float]:
        """Report new contacts once, and let the ego lose speed."""
        c, rows = self.crowd, touching(self._actors)
        new = [row for row in rows if not c.contact[row]]
        c.contact.fill(0)
        if not rows:
            return "", "", 0.0
        c.contact[rows] = 1
        if not new:
            hit(self._car, 0.95 if (c.kind[rows] == ActorKind.WALKER).all() else 0.5)
            self._look(self.ego.s)
            return "", "", 0.0
        row = new[0]
        word = word_of(int(c.kind[row]))
        closing = math.hypot(
            self.ego.vx - c.v[row] * math.cos(self._actors.yaw[row]), self.ego.vy - c.v[row] * math.sin(self._actors.yaw[row])
        )
        hit(self._car, 0.85 if word == "walker" else 0.3)
        self._look(self.ego.s)
        c.v[row] = snap(float(c.v[row]) * 0.3)
        mass = 80.0 if word == "walker" else MASS
        return word, ActorKind(int(c.kind[row])).name.lower(), snap(mass * closing)

    @property
    def actors(self) -> Actors:
        """The table of everybody, for pictures. Its lights are as they were when it was asked for, all else is always up to date."""
        if self._lit != self.tick:
            self._motion.light(self._actors)
            self._lit = self.tick
        return self._actors

    def state(self) -> Dict[str, Any]:
        """All that ``step`` may change, as plain values and arrays; ``load`` takes it."""
        return {
            "tick": self.tick,
            "floats": self.crowd.f.copy(),
            "ints": self.crowd.i.copy(),
            "ego": [*self._car.numbers(), self.ego.s, self.ego.d],
            "lane": self.lane,
            "served": list(self.signals.served),
            "expert": self.expert.state(),
            "scenario": self.stage.state(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Become that state of the same route, seed, weather and options. Raises SnapshotCorrupt, and changes nothing then."""
        try:
            with np.errstate(invalid="ignore"):  # NaN among whole numbers warns when it is cast, and is refused below
                floats, ints = np.array(state["floats"], np.float64), np.array(state["ints"], np.int32)
            numbers = [float(n) for n in (*state["ego"], *state["expert"])]
            served = [int(n) for n in state["served"]]
            tick, lane = int(state["tick"]), int(state["lane"])
            scenario = self.stage.checked(state["scenario"])
        except (LookupError, TypeError, ValueError, OverflowError) as error:
            raise SnapshotCorrupt(f"not a state of this world: {error!r}") from None
        shapes = floats.shape == self.crowd.f.shape and ints.shape == self.crowd.i.shape and len(numbers) == 16
        if not shapes or len(served) != len(self.signals.served) or not 0 <= lane < len(self.road.lanes) or not 0 <= tick < 2**53:
            raise SnapshotCorrupt("a state of another world: it has other actors, junctions or lanes")
        if not (_sane(floats) and _sane(np.array(numbers)) and self._sound(ints)):
            raise SnapshotCorrupt("a state with numbers out of range")
        self.crowd.f[:], self.crowd.i[:] = floats, ints
        self.tick, self.lane, self.signals.served = tick, lane, served
        self.stage.load(scenario)
        self._become(numbers)

    def _sound(self, ints: Any) -> bool:
        mode, path, way, visible, contact = ints
        crossing = mode == 2
        return bool(
            (np.isin(mode, (0, 1, 2, 3)) & np.isin(way, (-1, 1)) & np.isin(visible, (0, 1)) & np.isin(contact, (0, 1))).all()
            and ((path >= -1) & (path < len(self._paths))).all()
            and (path[crossing] >= 0).all()
        )

    def _become(self, numbers: List[float]) -> None:
        """The ego and the expert of a state, and the tables that follow from it."""
        self._car = car_of(numbers[:9])
        s, d = numbers[9:11]
        self._sit(s, d)
        self.expert.load(numbers[11:])
        self._motion.publish(self._actors, self.ego)
        self._lit = -1
        self.signals.show(self.tick)

    def digest(self) -> str:
        """16 hex digits over the (rounded) state: equal where states are equal, on any machine."""
        told = hashlib.blake2b(digest_size=8)
        told.update(np.ascontiguousarray(self.crowd.f + 0.0, "<f8").tobytes())  # + 0.0: there is no negative zero
        told.update(np.ascontiguousarray(self.crowd.i, "<i4").tobytes())
        numbers = [self.tick, self.lane, *self.signals.served, *self._car.numbers(), self.ego.s, self.ego.d, *self.expert.state()]
        numbers += [n for part in self.stage.state() for n in part]
        told.update((np.array(numbers, "<f8") + 0.0).tobytes())
        return told.hexdigest()
