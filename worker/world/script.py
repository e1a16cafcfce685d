"""A scenario as it is played: waiting, running, done. The archetypes themselves are in ``plots_*.py``.

A plot is made once, from the route; it casts its actors and keeps only constants. What changes while it is played is in the crowd, or in
the few numbers of its stage's ``memory``.
"""

from __future__ import annotations

import abc
import math
from typing import Any, List, NamedTuple, Sequence, Tuple

import numpy as np

from ..routes import Scenario
from .crossings import Path
from .crowd import Cast, Crowd
from .ego import Ego
from .expert import Expert
from .placing import Wishes
from .road import Road

WAITING, RUNNING, DONE = range(3)
_WORDS = ("waiting", "running", "done")
_MEMORY = 4


class Scene(NamedTuple):
    """Everything that a plot is made from."""

    scenario: Scenario
    trigger: float  # s of the trigger point
    road: Road
    paths: Sequence[Path]
    cast: Cast

    def number(self, element: str, default: float, low: float, high: float) -> float:
        """The scenario's parameter of that name ("value", or the middle of "from" and "to"), kept within sane bounds."""
        told = self.scenario.parameters.get(element, {})
        try:
            value = float(told["value"]) if "value" in told else 0.5 * (float(told["from"]) + float(told["to"]))
        except (KeyError, ValueError):
            return default
        return min(max(value, low), high) if math.isfinite(value) else default

    @property
    def place(self) -> float:
        """s where it happens: some way behind the trigger, and within the route."""
        return self.trigger + max(min(self.number("distance", 42.0, 25.0, 60.0), self.road.length - self.trigger - 25.0), 15.0)


class Plot(abc.ABC):
    """One scenario of a route. Subclasses say what their archetype does when it starts and in each tick until it is over."""

    archetype = "none"
    arrival = ""  # what the first light shortly ahead is to show: "red", "green" or "" (by chance)
    start_d = 0.0  # where across the road the ego starts, metres

    def __init__(self, scene: Scene) -> None:
        self.kind = scene.scenario.type
        self.trigger = scene.trigger  # s at which it starts
        self.clear: Tuple[float, float] = (0.0, scene.trigger + 60.0)  # s between which the ego's lane starts empty
        self.oncoming = 24  # oncoming vehicles of the background, at most
        self.crossing = True  # whether the background crosses the junctions
        self.patches: List[Tuple[float, float, float]] = []  # slippery places: s, d, radius

    @property
    def wishes(self) -> Wishes:
        """What it asks of the background."""
        return Wishes(self.clear, self.oncoming, self.crossing)

    def start(self, stage: Stage) -> None:  # noqa: B027  # most have nothing to do then
        """The ego has come to the trigger."""

    def wait(self, stage: Stage) -> None:  # noqa: B027  # the same
        """One tick before that."""

    @abc.abstractmethod
    def run(self, stage: Stage) -> bool:
        """One tick of it; True when it is over."""


class Stage:
    """Where the plot of one world is played."""

    def __init__(self, road: Road, crowd: Crowd, paths: Sequence[Path], expert: Expert, plot: Plot | None) -> None:
        self.road, self.crowd, self.paths, self.expert, self.plot = road, crowd, paths, expert, plot
        self.phase, self.begun, self.tick = WAITING, 0, 0
        self.memory = [0.0] * _MEMORY
        self.yield_violation = False
        self.ego: Any = None

    @property
    def told(self) -> Tuple[str, str, str]:
        """(type, archetype, state) for people and info."""
        if self.plot is None:
            return "", "none", "done"
        return self.plot.kind, self.plot.archetype, _WORDS[self.phase]

    @property
    def seconds(self) -> float:
        """Seconds since the scenario started."""
        return (self.tick - self.begun) * 0.05

    def act(self, ego: Ego, tick: int) -> None:
        """One tick of the scenario."""
        self.ego, self.tick, self.yield_violation = ego, tick, False
        if self.plot is None or self.phase == DONE:
            return
        if self.phase == WAITING and ego.s >= self.plot.trigger - 2.0:
            self.phase, self.begun = RUNNING, tick
            self.plot.start(self)
        if self.phase == WAITING:
            self.plot.wait(self)
        if self.phase == RUNNING and self.plot.run(self):
            self.phase = DONE

    def eta(self, s: float) -> float:
        """Seconds until the ego's nose is at s if it goes on as now; long when it hardly moves."""
        return float(max(s - self.ego.s - 2.45, 0.0) / max(self.ego.speed, 0.5))

    def grip(self, ego: Ego) -> float:
        """The share of the friction that is left where the ego is."""
        patches = self.plot.patches if self.plot else []
        return min((0.3 for s, d, radius in patches if abs(ego.s - s) < radius and abs(ego.d - d) < radius), default=1.0)

    def state(self) -> Tuple[List[int], List[float]]:
        """Phase and memory, as plain numbers."""
        return [self.phase, self.begun], list(self.memory)

    def checked(self, state: Any) -> Tuple[List[int], List[float]]:
        """What ``state`` told, or ValueError."""
        (phase, begun), memory = state
        numbers = [float(n) for n in memory]
        if phase not in (WAITING, RUNNING, DONE) or begun < 0 or len(numbers) != _MEMORY or not np.isfinite(numbers).all():
            raise ValueError("a scenario's state that makes no sense")
        return [int(phase), int(begun)], numbers

    def load(self, state: Tuple[List[int], List[float]]) -> None:
        """Go on from a checked state."""
        (self.phase, self.begun), self.memory = state[0], list(state[1])
        self.yield_violation = False
