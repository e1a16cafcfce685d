"""The five jobs: from the body of a request to calls of the backend to the body of the reply. No socket, no lease.

Whatever a client may have put into a body is checked here, before the backend is touched; a refused body is a ``RequestError`` (or one
of its kin) and has changed nothing. What the backend raises passes through. ``simulator_seconds`` is the time inside the backend.
"""

from __future__ import annotations

import dataclasses
import hashlib
import platform
import time
from typing import Any, Callable, Dict, Iterator, Mapping, NamedTuple

import gymnasium
import numpy as np

from b2d_zmq import spaces
from b2d_zmq.codec import BODY_BYTES, INLINE_BYTES, MAX_ITEMS, MAX_VALUES, VALUES_OF_ARRAY
from b2d_zmq.errors import RequestError
from b2d_zmq.protocol import MAX_FRAMES, Kind
from b2d_zmq.version import VERSION

from .backends.base import Backend, Outcome

MOST_TICKS = 1000  # of one step; 50 s of simulated time


class Jobs:
    """Does one job at a time on one backend. ``message_bytes`` is the most that a reply may have."""

    def __init__(self, backend: Backend, message_bytes: int) -> None:
        self._backend = backend
        self._limit = message_bytes
        self._action_space = backend.traits.action_space
        self._seconds = 0.0
        self._do: Dict[Kind, Callable[[Mapping[str, Any]], Dict[str, Any]]] = {
            Kind.RESET: self._reset,
            Kind.STEP: self._step,
            Kind.ROLLOUT: self._rollout,
            Kind.SNAPSHOT: self._snapshot,
            Kind.RESTORE: self._restore,
        }

    def run(self, kind: Kind, body: Any) -> Dict[str, Any]:
        """The reply's body. Raises B2DError for what is wrong with the request, and whatever the backend raises."""
        if not isinstance(body, dict):
            raise RequestError(f"the body of a {kind.name} must be a map")
        self._seconds = 0.0
        reply = self._do[kind](body)
        reply["simulator_seconds"] = self._seconds
        return reply

    def _reset(self, body: Mapping[str, Any]) -> Dict[str, Any]:
        seed, options = _whole(body, "seed", 0, 2**63 - 1), body.get("options", {})
        if not isinstance(options, dict) or not all(isinstance(name, str) for name in options):
            raise RequestError("options of a reset must be a map from names to values")
        return _outcome(self._timed(self._backend.reset, seed, options))

    def _step(self, body: Mapping[str, Any]) -> Dict[str, Any]:
        action = spaces.check_action(body.get("action"), self._action_space)
        ticks = _whole(body, "ticks", 1, MOST_TICKS, default=1)
        return _outcome(self._timed(self._backend.step, action, ticks))

    def _rollout(self, body: Mapping[str, Any]) -> Dict[str, Any]:
        actions = spaces.check_actions(body.get("actions"), self._action_space, [-1])
        ticks = _whole(body, "ticks", 1, MOST_TICKS, default=1)
        which = body.get("observations", "last")
        if which not in ("last", "all"):
            raise RequestError("observations of a rollout must be 'last' or 'all'")
        if not 1 <= len(actions) <= MAX_ITEMS:
            raise RequestError(f"a rollout of {len(actions)} steps; give one action at least, and {MAX_ITEMS} at most")
        if which == "all":
            self._check_room(len(actions))
        outcomes = list(self._outcomes(actions, ticks, keep_all=which == "all"))
        last = outcomes[-1]
        reply: Dict[str, Any] = {
            "rewards": np.array([outcome.reward for outcome in outcomes], np.float64),
            "terminated": np.array([outcome.terminated for outcome in outcomes], np.bool_),
            "truncated": np.array([outcome.truncated for outcome in outcomes], np.bool_),
            "digests": [outcome.digest for outcome in outcomes],
            "info": last.info,
            "tick": last.tick,
        }
        if which == "all":
            reply["observations"] = [outcome.observation for outcome in outcomes]
        else:
            reply["observation"] = last.observation
        return reply

    def _outcomes(self, actions: np.ndarray[Any, Any], ticks: int, keep_all: bool) -> Iterator[Outcome]:
        """Step until the actions or the episode end; observations that nobody asked for are let go of at once."""
        for i, action in enumerate(actions):
            outcome = self._timed(self._backend.step, action, ticks)
            ended = outcome.terminated or outcome.truncated or i == len(actions) - 1
            yield outcome if keep_all or ended else dataclasses.replace(outcome, observation=None)
            if ended:
                return
            self._backend.progress(f"rollout, step {i + 1} of {len(actions)}", outcome.tick)

    def _check_room(self, steps: int) -> None:
        """Refuse a rollout whose observations would not fit in one message before it is driven, not after."""
        need = _need(self._backend.traits.observation_space)
        room = (MAX_FRAMES - 4, self._limit, MAX_VALUES - 8 * steps, BODY_BYTES - 64 * steps)  # less what each step has besides
        most = min(there // each for there, each in zip(room, need) if each)
        if steps > most:
            raise RequestError(
                f"a rollout of {steps} steps with all observations does not fit in one message; with this sensor rig the most is {most} "
                "steps: ask for the last observation only, or send shorter rollouts"
            )

    def _snapshot(self, body: Mapping[str, Any]) -> Dict[str, Any]:
        traits, taken = self._backend.traits, self._timed(self._backend.snapshot)
        return {
            "id": hashlib.blake2b(taken.data, digest_size=8).hexdigest(),
            "data": np.frombuffer(taken.data, np.uint8),
            "tick": taken.tick,
            "tier": taken.tier,
            "digest": taken.digest,
            "backend": traits.backend,
            "version": traits.version,
        }

    def _restore(self, body: Mapping[str, Any]) -> Dict[str, Any]:
        data = body.get("data")
        if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 1:
            raise RequestError("data of a restore must be a snapshot's bytes, as an array of uint8")
        tier = body.get("tier", "")
        if not isinstance(tier, str):
            raise RequestError(f"tier of a restore must be a text such as {self._backend.traits.tiers[0]!r}; got {str(tier)[:40]}")
        return _outcome(self._timed(self._backend.restore, data.tobytes(), tier))

    def _timed(self, call: Callable[..., Any], *arguments: Any) -> Any:
        start = time.perf_counter()
        try:
            return call(*arguments)
        finally:
            self._seconds += time.perf_counter() - start


def describe(backend: Backend) -> Dict[str, Any]:
    """The description with which a host attaches; docs/protocol.md names its keys."""
    traits = backend.traits
    return {
        "backend": traits.backend,
        "version": traits.version,
        "build": VERSION,
        "profile": spaces.profile(traits.backend, traits.version, traits.observation_space, traits.action_space),
        "rig": traits.rig,
        "tiers": list(traits.tiers),
        "dt": traits.dt,
        "observation_space": spaces.to_wire(traits.observation_space),
        "action_space": spaces.to_wire(traits.action_space),
        "routes": traits.routes,
        "python": platform.python_version(),
        "numpy": np.__version__,
        **traits.extra,
    }


def _outcome(outcome: Outcome) -> Dict[str, Any]:
    return {
        "observation": outcome.observation,
        "reward": float(outcome.reward),
        "terminated": bool(outcome.terminated),
        "truncated": bool(outcome.truncated),
        "info": outcome.info,
        "digest": outcome.digest,
        "tick": outcome.tick,
    }


def _whole(body: Mapping[str, Any], name: str, low: int, high: int, default: Any = None) -> int:
    value = body.get(name, default)
    if type(value) is not int or not low <= value <= high:
        raise RequestError(f"{name} must be a whole number from {low} to {high}; got {str(value)[:40]}")
    return value


class _Need(NamedTuple):
    """What an observation takes of a message: frames of their own and their bytes; values and bytes in the body."""

    frames: int
    bytes: int
    values: int
    body: int


def _need(space: gymnasium.spaces.Space[Any]) -> _Need:
    if isinstance(space, gymnasium.spaces.Dict):
        parts = [_need(part) for part in space.spaces.values()]
        totals = [sum(column) for column in zip(*parts)] or [0, 0, 0, 0]
        return _Need(totals[0], totals[1], totals[2] + 1 + len(parts), totals[3] + 8 + sum(map(len, space.spaces)))
    nbytes = int(np.prod(space.shape)) * np.dtype(space.dtype).itemsize if space.shape is not None else 0
    framed = nbytes > INLINE_BYTES
    return _Need(int(framed), nbytes if framed else 0, VALUES_OF_ARRAY, 80 if framed else 80 + nbytes)
