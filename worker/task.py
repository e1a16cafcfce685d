"""The driving task: route progress, reward terms and the end of an episode. Shared by every backend; knows no simulator.

Reward per tick is the sum over TERMS of weight * amount. Six terms and weights are the predecessor's: alive (1 each tick), speed
(forward speed / 30 m/s, at most 1), collision, lane_violation and red_light_violation (1 each time), route_completed (1 at the goal).
Ours are stop_violation and yield_violation (1 each time) and progress (metres of route never covered before, so that circling and
driving back and forth earn nothing): at 10 m/s it is worth as much as being alive, and less than the goal on any route below 500 m.
The alive term pays for time, so of two drives to the goal the slower earns more: set its weight to 0 where that matters.
``reward_type`` "sparse" starts from collision and route_completed alone; ``reward_weights`` then sets single weights, in both types.
Lengths are metres, speeds m/s. ``max_steps`` counts ticks, so that one step of n ticks equals n steps of one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, NamedTuple, Protocol, Tuple

from b2d_zmq.errors import NoEpisode, RequestError, SnapshotCorrupt, UnknownOption

DENSE: Dict[str, float] = {
    "alive": 0.1,
    "speed": 0.5,
    "progress": 0.2,
    "collision": -10.0,
    "lane_violation": -1.0,
    "red_light_violation": -5.0,
    "stop_violation": -3.0,
    "yield_violation": -1.0,
    "route_completed": 100.0,
}
SPARSE: Dict[str, float] = {name: DENSE[name] if name in ("collision", "route_completed") else 0.0 for name in DENSE}
TERMS: Tuple[str, ...] = tuple(DENSE)
REWARD_TYPES: Dict[str, Dict[str, float]] = {"dense": DENSE, "sparse": SPARSE}

MAX_STEPS = 1000  # of an episode, unless the option says otherwise
MOST_TICKS = 2**53  # that a state may tell of; what counts on must still travel
MOST_STEPS = 10_000_000
FULL_SPEED = 30.0  # m/s at which the speed term is full
GOAL_DISTANCE = 2.0  # metres before the end of the route that count as arrived
BEYOND_ROAD = 10.0  # metres outside the road that count as off the route
BESIDE_LINE = 30.0  # metres beside the reference line that count as off the route, however wide the road
BEHIND_BEST = 15.0  # metres back from the farthest place that count as off the route: driving the wrong way
BLOCKED_SECONDS = 60.0  # of standing still; longer than any red light
STANDING = 0.1  # m/s


class Events(Protocol):
    """What a backend must report of one tick. ``collision`` is "" or what was hit; a violation is True in the tick in which it happens."""

    @property
    def collision(self) -> str: ...
    @property
    def ran_red(self) -> bool: ...
    @property
    def ran_stop(self) -> bool: ...
    @property
    def lane_invasion(self) -> bool: ...
    @property
    def off_road(self) -> bool: ...  # for as long as it lasts
    @property
    def yield_violation(self) -> bool: ...


class Place(NamedTuple):
    """Where the ego is: ``s`` along the route, ``d`` beside it, ``beyond`` outside the road's edge (0 on it), and its forward speed."""

    s: float
    d: float
    beyond: float
    speed: float


class Verdict(NamedTuple):
    """What one tick was worth. ``reason`` says why the episode ended ("" while it goes on, and where time alone ran out)."""

    reward: float
    terms: Dict[str, float]
    terminated: bool
    truncated: bool
    reason: str
    infractions: Tuple[str, ...]


@dataclass(frozen=True)
class Terms:
    """What an episode is judged by: its longest duration in ticks and the weight of every reward term."""

    max_steps: int = MAX_STEPS
    weights: Mapping[str, float] = field(default_factory=lambda: dict(DENSE))

    @classmethod
    def parse(cls, max_steps: object, reward_type: object, reward_weights: object) -> Terms:
        """Check the three options of the task. Raises UnknownOption for a name, RequestError for a value."""
        if type(max_steps) is not int or not 1 <= max_steps <= MOST_STEPS:
            raise RequestError(f"max_steps must be a whole number from 1 to {MOST_STEPS}; got {max_steps!r:.60}")
        if not isinstance(reward_type, str) or reward_type not in REWARD_TYPES:
            raise UnknownOption(f"no reward_type {reward_type!r:.60}; there are {', '.join(REWARD_TYPES)}")
        if not isinstance(reward_weights, Mapping):
            raise RequestError(f"reward_weights must be a mapping of term to number; got {type(reward_weights).__name__}")
        return cls(max_steps, {**REWARD_TYPES[reward_type], **{str(k): _weight(k, v) for k, v in reward_weights.items()}})


def _weight(term: object, value: object) -> float:
    if term not in DENSE:
        raise UnknownOption(f"no reward term {term!r:.60}; there are {', '.join(TERMS)}")
    if type(value) not in (int, float) or not abs(value) <= 1e6:  # type: ignore[arg-type]  # NaN fails the comparison too
        raise RequestError(f"the weight of {term} must be a finite number of at most a million; got {value!r:.60}")
    return float(value)  # type: ignore[arg-type]


class Task:
    """One episode's progress along its route, its reward and its end."""

    def __init__(self, length: float, dt: float, terms: Terms) -> None:
        self.length, self.dt, self.terms = length, dt, terms
        self.ticks = 0
        self.best = 0.0  # the farthest place reached
        self.cumulative_reward = 0.0
        self.ended = ""  # why; "time" where max_steps ran out
        self._standing = 0  # ticks
        self._off_road = False

    @property
    def completion(self) -> float:
        """How much of the route was ever covered, from 0 to 1."""
        if self.ended == "completed":
            return 1.0
        return min(max(self.best / self.length, 0.0), 1.0)

    @property
    def terminated(self) -> bool:
        """Whether the task itself ended, by arriving or by failing."""
        return self.ended not in ("", "time")

    @property
    def truncated(self) -> bool:
        """Whether time ran out."""
        return self.ended == "time"

    def check_open(self) -> None:
        """Raise NoEpisode where the episode has ended."""
        if self.ended:
            raise NoEpisode(f"the episode has ended ({self.ended}, after {self.ticks} ticks): reset or restore first")

    def update(self, place: Place, events: Events) -> Verdict:
        """Judge one tick. Raises NoEpisode after the end."""
        self.check_open()
        self.ticks += 1
        self._standing = self._standing + 1 if abs(place.speed) < STANDING else 0
        best = max(self.best, min(place.s, self.length))
        gained, self.best = best - self.best, best
        infractions = self._infractions(events)
        self.ended = self._end(place, events)
        terms = self._rewards(place, gained, infractions)
        reward = math.fsum(terms.values())
        self.cumulative_reward += reward
        reason = self.ended if self.terminated else ""
        return Verdict(reward, terms, self.terminated, self.truncated, reason, tuple(infractions))

    def _infractions(self, events: Events) -> List[str]:
        left_road = events.off_road and not self._off_road
        self._off_road = events.off_road
        found = [f"collision_{events.collision}"] if events.collision else []
        if events.lane_invasion:
            found.append("lane_invasion")
        if left_road:
            found.append("off_road")
        if events.ran_red:
            found.append("red_light")
        if events.ran_stop:
            found.append("stop_sign")
        if events.yield_violation:
            found.append("yield_emergency_vehicle")
        return found

    def _end(self, place: Place, events: Events) -> str:
        if events.collision:
            return "collision"
        if place.beyond > BEYOND_ROAD or abs(place.d) > BESIDE_LINE or place.s < self.best - BEHIND_BEST:
            return "off_route"
        if place.s >= self.length - GOAL_DISTANCE:
            return "completed"
        if self._standing * self.dt >= BLOCKED_SECONDS:
            return "blocked"
        return "time" if self.ticks >= self.terms.max_steps else ""

    def _rewards(self, place: Place, gained: float, infractions: List[str]) -> Dict[str, float]:
        amounts = {
            "alive": 1.0,
            "speed": min(max(place.speed, 0.0) / FULL_SPEED, 1.0),
            "progress": gained,
            "collision": float(self.ended == "collision"),
            "lane_violation": float("lane_invasion" in infractions or "off_road" in infractions),
            "red_light_violation": float("red_light" in infractions),
            "stop_violation": float("stop_sign" in infractions),
            "yield_violation": float("yield_emergency_vehicle" in infractions),
            "route_completed": float(self.ended == "completed"),
        }
        return {name: self.terms.weights[name] * amounts[name] for name in TERMS}

    def state(self) -> List[Any]:
        """Every number that ``update`` changes, as plain values."""
        return [self.ticks, self.best, self.cumulative_reward, self.ended, self._standing, self._off_road]

    def load(self, state: Any) -> None:
        """Become that state. Raises SnapshotCorrupt, and changes nothing then."""
        kinds = (int, float, float, str, int, bool)
        if not isinstance(state, list) or len(state) != len(kinds) or any(type(v) is not k for v, k in zip(state, kinds)):
            raise SnapshotCorrupt("the task of this snapshot is not one: its fields are not the six that belong there")
        ticks, best, total, ended, standing, off_road = state
        sane = 0 <= ticks < MOST_TICKS and 0 <= standing < MOST_TICKS and 0.0 <= best <= self.length and math.isfinite(total)
        if not sane or ended not in ("", "time", "collision", "off_route", "completed", "blocked"):
            raise SnapshotCorrupt("the task of this snapshot is not one: its numbers contradict its route")
        self.ticks, self.best, self.cumulative_reward, self.ended = ticks, best, total, ended
        self._standing, self._off_road = standing, off_road
