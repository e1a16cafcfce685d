"""Backend: what a simulator promises to the host that holds it.

The same contract tests (tests/contract) run over every backend. A backend is driven by one thread, one call at a time; it may raise
any ``B2DError`` (it travels to the client under its own class) or anything else (it travels as ``SimulatorError`` with its traceback).
A ``RequestError`` leaves the episode exactly as it was; after anything else there may be none. ``SimulatorLost`` ends the host, and the
client gets ``WorkerLost``.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Mapping, Tuple

import gymnasium
import numpy as np

from b2d_zmq.errors import UnknownOption


class SimulatorLost(Exception):
    """The simulator no longer answers, or is beyond use. The host ends with these words, and both are started again."""


@dataclass(frozen=True)
class Outcome:
    """What one reset, restore or step gives. ``digest`` is a short hash of the simulator's state, equal where states are equal.

    The arrays of ``observation`` and ``info`` are given away: the backend never writes to them again, because they travel uncopied.
    """

    observation: Any
    reward: float
    terminated: bool
    truncated: bool
    info: Dict[str, Any]
    digest: str
    tick: int


@dataclass(frozen=True)
class SnapshotData:
    """A simulator's state as bytes that ``restore`` takes; opaque to everybody else."""

    data: bytes
    tick: int
    tier: str
    digest: str


@dataclass(frozen=True)
class Traits:
    """What a backend can do, announced when its worker attaches."""

    backend: str  # "embedded", "carla"
    version: str  # of its snapshots; another version's are refused
    rig: str  # the name of the sensor rig
    dt: float  # seconds of simulated time per tick
    observation_space: gymnasium.spaces.Dict
    action_space: gymnasium.spaces.Box
    routes: int  # how many routes it can drive
    tiers: Tuple[str, ...] = ("exact",)
    extra: Dict[str, Any] = field(default_factory=dict)


class Backend(abc.ABC):
    """One simulator. Constructing it may take minutes (a server starts); every method is a job with a budget."""

    progress: Callable[[str, int], None] = staticmethod(lambda doing, tick: None)
    """Set by the host: call it with what is being done and the tick counter, so that "starting a map" and "hung" look different."""

    @property
    @abc.abstractmethod
    def traits(self) -> Traits:
        """What this backend is and can do; constant for its life."""

    @property
    def place(self) -> str:
        """What is loaded just now, such as a map: for people, and because a simulator's memory depends on it."""
        return ""

    @abc.abstractmethod
    def reset(self, seed: int, options: Mapping[str, Any]) -> Outcome:
        """Begin an episode. Same seed and options, same episode. Unknown options raise UnknownOption, unknown routes UnknownRoute."""

    @abc.abstractmethod
    def step(self, action: np.ndarray[Any, Any], ticks: int = 1) -> Outcome:
        """Hold one action (validated, float32 [3]: throttle, brake, steer) for ``ticks`` ticks; rewards are summed.

        Stops early where the episode ends. Raises NoEpisode before reset or restore, and after the end.
        """

    @abc.abstractmethod
    def snapshot(self) -> SnapshotData:
        """The present state, as bytes; changes nothing."""

    @abc.abstractmethod
    def restore(self, data: bytes, tier: str = "") -> Outcome:
        """Become that state (reward 0.0, the observation of that moment), by one of ``traits.tiers``; "" is the first of them.

        Raises UnknownOption for another tier, SnapshotCorrupt or SnapshotMismatch, and changes nothing then.
        """

    @abc.abstractmethod
    def digest(self) -> str:
        """The hash of the present state."""

    def tier(self, asked: str) -> str:
        """The tier that a restore asks for, "" being the backend's first. Raises UnknownOption."""
        tiers = self.traits.tiers
        if asked and asked not in tiers:
            raise UnknownOption(f"no tier {asked!r:.60}; this worker's backend {self.traits.backend} restores by {', '.join(tiers)}")
        return asked or tiers[0]

    def release(self) -> None:  # noqa: B027 - to do nothing is right for most
        """The lease is over: forget the episode, keep the simulator warm. Nothing to do for most."""

    def close(self) -> None:  # noqa: B027 - to do nothing is right where nothing is held
        """Let go of the simulator."""
