"""Session: one episode on one lease. It numbers the jobs, and keeps what it takes to live the episode again.

Each job is sent by a ``send_*`` method and folded in by ``finish``, so that a group can send to all before it waits for any. What is kept:
how the episode began (reset or snapshot), the actions since, and the digest of each reply. A session whose worker is lost raises the
reason and refuses everything after; it never makes up an outcome.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple, Type

import numpy as np

from . import arguments
from .client import Client, Lease, Pending
from .errors import (
    B2DError,
    LeaseVoid,
    NoEpisode,
    ProtocolError,
    RequestError,
    SimulatorError,
    SnapshotError,
    UnknownOption,
    WorkerLost,
    WrongMode,
)
from .protocol import BEGINNINGS, Kind
from .snapshot import State

BUDGETS: Mapping[str, float] = {"reset": 300.0, "restore": 300.0, "snapshot": 60.0, "step": 30.0, "rollout": 10.0, "rollout_step": 1.0}
"""Seconds that each kind of job may take; a rollout of H steps has "rollout" + H times "rollout_step"."""

LOSSES: Tuple[Type[B2DError], ...] = (WorkerLost, LeaseVoid, SimulatorError)
"""The errors after which a branch has no simulator to go on with."""


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


class Begin(NamedTuple):
    """How an episode began: by a reset, or from a snapshot's bytes and by which tier."""

    seed: int = 0
    options: Mapping[str, Any] | None = None
    data: bytes | None = None
    tier: str = ""


class Session:
    """The episode that ``lease`` is used for. ``log`` holds ("step" or "rollout", actions, ticks) since ``begin``."""

    def __init__(self, client: Client, lease: Lease, budgets: Mapping[str, float] | None = None) -> None:
        self.client, self.lease, self.budgets = client, lease, budgets_with(budgets)
        self.seq = 0
        self.begin: Begin | None = None
        self.log: List[Tuple[str, np.ndarray[Any, Any], int]] = []
        self.digests: List[str] = []
        self.lost: B2DError | None = None
        self._beginnings: Dict[int, Begin] = {}
        self._awaited: Pending | None = None  # what was sent and brought no certain end yet
        self._before: Pending | None = None  # the same, before the last request
        self._logged = 0  # the number of the request that wrote the last entry of the log

    def send_reset(self, seed: int, options: Mapping[str, Any]) -> Pending:
        """Ask for a new episode."""
        pending = self._send(Kind.RESET, {"seed": seed, "options": dict(options)}, self.budgets["reset"])
        self._beginnings[pending.number] = Begin(seed, dict(options))
        return pending

    def send_restore(self, data: bytes, tier: str = "") -> Pending:
        """Ask the worker to become this snapshot, by ``tier`` or, without, by its first one."""
        tree = {"data": np.frombuffer(data, np.uint8), **({"tier": tier} if tier else {})}
        pending = self._send(Kind.RESTORE, tree, self.budgets["restore"])
        self._beginnings[pending.number] = Begin(data=data, tier=tier)
        return pending

    def send_step(self, action: np.ndarray[Any, Any], ticks: int = 1) -> Pending:
        """Ask for one step: ``action`` f32[A], checked, held for ``ticks`` ticks."""
        self._require_episode()
        pending = self._send(Kind.STEP, {"action": action, "ticks": ticks}, self.budgets["step"])
        self._note(pending, ("step", action, ticks))
        return pending

    def send_rollout(self, actions: np.ndarray[Any, Any], ticks: int = 1, observations: str = "last") -> Pending:
        """Ask for H steps in one request: ``actions`` f32[H, A], checked."""
        self._require_episode()
        tree = {"actions": actions, "ticks": ticks, "observations": observations}
        pending = self._send(Kind.ROLLOUT, tree, self.budgets["rollout"] + len(actions) * self.budgets["rollout_step"])
        self._note(pending, ("rollout", actions, ticks))
        return pending

    def send_snapshot(self) -> Pending:
        """Ask for the present state."""
        self._require_episode()
        return self._send(Kind.SNAPSHOT, {}, self.budgets["snapshot"])

    def finish(self, pending: Pending) -> Outcome:
        """The outcome of a reset, restore or step; raises its error."""
        begin = self._beginnings.pop(pending.number, None)
        outcome = _outcome(self._result(pending))
        if begin is not None:
            self._begin(begin)
        self.digests.append(outcome.digest)
        return outcome

    def finish_rollout(self, pending: Pending) -> Trajectory:
        """The trajectory of a rollout; raises its error."""
        trajectory = _trajectory(self._result(pending))
        self.digests.extend(trajectory.digests)
        return trajectory

    def finish_snapshot(self, pending: Pending) -> State:
        """The state that was asked for; the episode can be lived again from here."""
        state = _state(self._result(pending))
        self._begin(Begin(data=state.data))
        return state

    def require_certain(self) -> None:
        """Raise what makes this episode unusable: the loss of its worker, or a request that failed half-way or was interrupted."""
        if self.lost is not None:
            raise self.lost
        if self._awaited is not None:
            told = f"the last request on worker {self.lease.worker} failed or was interrupted, so its episode is uncertain"
            raise WrongMode(f"{told}; go on from a reset, a restore or a new fork")

    def _require_episode(self) -> None:
        if self.lost is None and self.begin is None:
            raise NoEpisode("no episode is under way on this worker; call reset or restore first")

    def _send(self, kind: Kind, tree: Any, budget: float) -> Pending:
        if kind not in BEGINNINGS or self.lost is not None:
            self.require_certain()
        pending = self.client.send(kind, tree, budget=budget, lease=self.lease, seq=self.seq + 1)
        self._before, self._awaited = self._awaited, pending
        self.seq += 1
        return pending

    def _note(self, pending: Pending, entry: Tuple[str, np.ndarray[Any, Any], int]) -> None:
        self.log.append(entry)
        self._logged = pending.number

    def _begin(self, begin: Begin) -> None:
        self.begin = begin
        self.log.clear()
        self.digests.clear()

    def _result(self, pending: Pending) -> Any:
        try:
            body = pending.result()
        except (WorkerLost, LeaseVoid) as error:
            self.lost = error
            raise
        except (RequestError, SnapshotError, NoEpisode):
            self._awaited = self._before  # these leave the episode as it was, uncertain or not
            if pending.number == self._logged:
                self.log.pop()
            raise
        self._awaited = None
        return body


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


def release(sessions: Sequence[Session]) -> None:
    """Give the leases of these sessions back, to whichever farm they belong."""
    for client in {session.client for session in sessions}:
        client.release([session.lease for session in sessions if session.client is client])


def budgets_with(changes: Mapping[str, float] | None) -> Dict[str, float]:
    """BUDGETS with some changed; raises UnknownOption for a kind that does not exist, RequestError for what are no seconds."""
    unknown = sorted(set(changes or {}) - set(BUDGETS))
    if unknown:
        raise UnknownOption(f"no budget {unknown[0]!r}; there are {', '.join(BUDGETS)}")
    return {**BUDGETS, **{name: arguments.seconds(f"budget {name!r}", given, zero=False) for name, given in (changes or {}).items()}}


def _outcome(body: Any) -> Outcome:
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
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"a worker answered with an outcome that cannot be read: {error!r}") from None


def _trajectory(body: Any) -> Trajectory:
    try:
        observations = list(body["observations"]) if "observations" in body else [body["observation"]]
        flags = [np.array(body[name], kind) for name, kind in (("rewards", np.float64), ("terminated", bool), ("truncated", bool))]
        digests = [str(digest) for digest in body["digests"]]
        if any(part.shape != (len(digests),) for part in flags) or len(observations) not in (1, len(digests)) or not digests:
            raise ValueError("its parts differ in length")
        info, tick, seconds = dict(body["info"]), int(body["tick"]), float(body["simulator_seconds"])
        return Trajectory(observations, flags[0], flags[1], flags[2], digests, info, tick, seconds)
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"a worker answered with a rollout that cannot be read: {error!r}") from None


def _state(body: Any) -> State:
    try:
        names = [str(body[name]) for name in ("tier", "digest", "backend", "version")]
        return State(str(body["id"]), np.asarray(body["data"], np.uint8).tobytes(), int(body["tick"]), *names)
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"a worker answered with a snapshot that cannot be read: {error!r}") from None
