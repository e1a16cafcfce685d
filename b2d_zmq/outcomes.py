"""Outcomes: what a reset, a step, a rollout or a snapshot gave, as values, and how they are read from the body of an answer.

A worker is not trusted to answer in the right shape: what cannot be read is a ProtocolError, never half an outcome.
"""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple

import numpy as np

from .errors import ProtocolError
from .snapshot import State

MISSHAPEN = (LookupError, TypeError, ValueError, OverflowError)
"""What reading a body raises that is not what it should be."""


class Seconds(float):
    """A measured time. Any two are equal: how long a simulator took is no part of an episode, so infos of the same step are the same."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Seconds) or float.__eq__(self, other) is True

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # type: ignore[assignment]  # what equals everything of its kind has no place in a set


class Outcome(NamedTuple):
    """What one reset, restore or step gave; ``simulator_seconds`` is what the simulator itself took."""

    observation: Any
    reward: float
    terminated: bool
    truncated: bool
    info: Dict[str, Any]
    digest: str
    tick: int
    simulator_seconds: float


class Trajectory(NamedTuple):
    """What a rollout gave: T <= H steps; ``observations`` holds the last one, or all T of them."""

    observations: List[Any]
    rewards: np.ndarray[Any, Any]
    terminated: np.ndarray[Any, Any]
    truncated: np.ndarray[Any, Any]
    digests: List[str]
    info: Dict[str, Any]
    tick: int
    simulator_seconds: float


def annotate(outcome: Outcome, steps: int, reward: float, worker: str) -> Dict[str, Any]:
    """The info of an outcome with what the client knows: counters, digest, tick, worker, and the simulator's own seconds."""
    return {
        **outcome.info,
        "episode_steps": steps,
        "episode_reward": reward,
        "digest": outcome.digest,
        "tick": outcome.tick,
        "simulator_seconds": Seconds(outcome.simulator_seconds),
        "worker": worker,
    }


def read_seconds(body: Any) -> float:
    """How long a simulator took, by an answer that may not say; 0 then."""
    seconds = body.get("simulator_seconds") if isinstance(body, dict) else None
    return float(seconds) if isinstance(seconds, (int, float)) else 0.0


def read_outcome(body: Any) -> Outcome:
    """The outcome in the body of an answer. Raises ProtocolError."""
    try:
        return Outcome(
            body["observation"],
            float(body["reward"]),
            bool(body["terminated"]),
            bool(body["truncated"]),
            dict(body["info"]),
            str(body["digest"]),
            int(body["tick"]),
            float(body["simulator_seconds"]),
        )
    except MISSHAPEN as error:
        raise ProtocolError(f"a worker answered with an outcome that cannot be read: {error!r}") from None


def read_trajectory(body: Any) -> Trajectory:
    """The trajectory in the body of an answer to ROLLOUT. Raises ProtocolError."""
    try:
        observations = list(body["observations"]) if "observations" in body else [body["observation"]]
        flags = [np.array(body[name], kind) for name, kind in (("rewards", np.float64), ("terminated", bool), ("truncated", bool))]
        digests = [str(digest) for digest in body["digests"]]
        if any(part.shape != (len(digests),) for part in flags) or len(observations) not in (1, len(digests)) or not digests:
            raise ValueError("its parts differ in length")
        info, tick, seconds = dict(body["info"]), int(body["tick"]), float(body["simulator_seconds"])
        return Trajectory(observations, flags[0], flags[1], flags[2], digests, info, tick, seconds)
    except MISSHAPEN as error:
        raise ProtocolError(f"a worker answered with a rollout that cannot be read: {error!r}") from None


def read_state(body: Any) -> State:
    """The state in the body of an answer to SNAPSHOT, or of a HANDOVER. Raises ProtocolError."""
    try:
        names = [str(body[name]) for name in ("tier", "digest", "backend", "version")]
        if not isinstance(body["data"], np.ndarray) or body["data"].dtype != np.uint8:
            raise ValueError("its data are no bytes")
        return State(str(body["id"]), body["data"].tobytes(), int(body["tick"]), *names)
    except MISSHAPEN as error:
        raise ProtocolError(f"a worker answered with a snapshot that cannot be read: {error!r}") from None
