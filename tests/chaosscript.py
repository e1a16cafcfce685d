"""What a trainer of the chaos tests does, drawn from a seed, and what must come of it: each call with the outcome of an undisturbed world.

``script`` draws the calls and does them on a backend in this very process, with no farm between; ``Actor`` does the same calls on a real
environment, and ``tell`` makes both comparable: digest, tick, reward, flags and a hash of the observation.
"""

from __future__ import annotations

import hashlib
from typing import Any, List, NamedTuple

import numpy as np

from b2d_zmq.batch import member

FRAME_SKIPS = (1, 1, 2, 5)
BRANCHES = (2, 3)
OPTIONS = {"max_steps": 200, "reward_type": "dense", "reward_weights": {}}


class Call(NamedTuple):
    """One call: its name, its arguments, and what must come of it."""

    name: str
    args: Any
    expected: Any


class Told(NamedTuple):
    """What a trainer may learn from, of one step of one world."""

    digest: str
    tick: int
    reward: float
    terminated: bool
    truncated: bool
    seen: str


def script(backend, seed, calls):
    """About ``calls`` calls of one trainer, beginning with a reset."""
    return _Author(backend, seed).write(calls)


class _Author:
    def __init__(self, backend, seed):
        self.world, self.rng, self.calls = backend, np.random.RandomState(seed), []
        self.kept: List[bytes] = []
        self.over = True

    def write(self, calls):
        while len(self.calls) < calls:
            if self.over:
                self._reset()
            else:
                kinds = (self._step, self._step, self._step, self._step, self._step, self._save, self._restore, self._fork)
                kinds[self.rng.randint(len(kinds))]()
        return self.calls

    def _note(self, name, args, expected):
        self.calls.append(Call(name, args, expected))

    def _action(self, *shape):
        action = self.rng.uniform(0.0, 1.0, (*shape, 3)).astype(np.float32)
        action[..., 1] *= action[..., 1] > 0.8
        action[..., 2] = (action[..., 2] - 0.5) * 0.2
        return action

    def _reset(self):
        seed = int(self.rng.randint(1000))
        outcome = self.world.reset(seed, OPTIONS)
        self.kept, self.over = [], False
        self._note("reset", seed, tell(outcome))

    def _step(self):
        action, ticks = self._action(), int(FRAME_SKIPS[self.rng.randint(len(FRAME_SKIPS))])
        outcome = self.world.step(action, ticks)
        self.over = outcome.terminated or outcome.truncated
        self._note("step", (action, ticks), tell(outcome))

    def _save(self):
        taken = self.world.snapshot()
        self.kept.append(taken.data)
        self._note("snapshot", None, (taken.digest, taken.tick, _hash(taken.data)))

    def _restore(self):
        if self.kept:
            k = int(self.rng.randint(len(self.kept)))
            self._note("restore", k, tell(self.world.restore(self.kept[k])))

    def _fork(self):
        """A group steps, rolls out, and is closed or left by one of its branches."""
        n, workers = int(BRANCHES[self.rng.randint(len(BRANCHES))]), 2
        start = self.world.snapshot()
        steps, horizon = int(self.rng.randint(1, 4)), int(self.rng.randint(1, 6))
        singles, plan = [self._action(n) for _ in range(steps)], self._action(n, horizon)
        chosen = int(self.rng.randint(-1, n))
        branches = [_Branch(self.world, start.data) for _ in range(n)]
        told = [[branch.step(singles[t][i]) for i, branch in enumerate(branches)] for t in range(steps)]
        rolled = [branch.rollout(plan[i]) for i, branch in enumerate(branches)]
        outcome = self.world.restore(start.data if chosen < 0 else branches[chosen].data)
        self.over = False if chosen < 0 else branches[chosen].over
        end = (outcome.digest, outcome.tick)
        self._note("fork", (n, workers if n > 2 and self.rng.randint(2) else n, singles, plan, chosen), (told, rolled, end))


class _Branch:
    """One branch of a group, in the one world of the author, which is brought to it whenever it goes on."""

    def __init__(self, world, data):
        self.world, self.data, self.over = world, data, False
        self.last = world.restore(data)

    def step(self, action):
        return self.rollout(action[None])[0]

    def rollout(self, actions):
        """(what was told at last, all rewards); a branch that is over repeats its last observation with reward 0."""
        self.world.restore(self.data)
        rewards = []
        for action in actions:
            if not self.over:
                self.last = self.world.step(action, 1)
                self.over = self.last.terminated or self.last.truncated
                rewards.append(self.last.reward)
        self.data = self.world.snapshot().data
        return tell(self.last)._replace(reward=float(sum(rewards))), [float(reward) for reward in rewards]


class Actor:
    """Does calls on an environment. ``resumed`` collects every ``info["resumed"]`` that was told."""

    def __init__(self, env):
        self.env, self.kept, self.resumed = env, [], []

    def act(self, call):
        """What came of it, to be compared with ``call.expected``."""
        return getattr(self, f"_{call.name}")(call.args)

    def _note(self, info):
        if "resumed" in info:
            self.resumed.append(info["resumed"])
        return info

    def _reset(self, seed):
        self.kept = []
        observation, info = self.env.reset(seed=seed, options=OPTIONS)
        return _told(observation, 0.0, False, False, self._note(info))

    def _step(self, args):
        action, self.env.frame_skip = args
        observation, reward, terminated, truncated, info = self.env.step(action)
        return _told(observation, reward, terminated, truncated, self._note(info))

    def _snapshot(self, _):
        taken = self.env.snapshot()
        self.kept.append(taken)
        return taken.digest, taken.tick, _hash(taken.data)

    def _restore(self, k):
        observation, info = self.env.restore(self.kept[k])
        return _told(observation, 0.0, False, False, self._note(info))

    def _fork(self, args):
        n, workers, singles, plan, chosen = args
        self.env.frame_skip = 1
        with self.env.fork(n, workers=workers, wait=120.0, patience=120.0) as group:
            assert group.identical
            told = [self._branches(group.step(actions)) for actions in singles]
            out = group.rollout(plan)
            rolled = [
                (one._replace(reward=float(sum(rewards[:length].tolist()))), rewards[:length].tolist())
                for one, rewards, length in zip(self._branches(out), out.rewards, out.lengths)
            ]
            if chosen >= 0:
                group.select(chosen)
        return told, rolled, (self.env.last_info["digest"], self.env.last_info["tick"])

    def _branches(self, out):
        assert out.valid.all(), [info.get("error") for info in out.infos]
        flags = zip(out.terminated, out.truncated)
        rewards = out.rewards if out.rewards.ndim == 1 else np.zeros(len(out.infos))
        return [
            _told(member(out.observations, i), float(rewards[i]), bool(flag[0]), bool(flag[1]), self._note(out.infos[i]))
            for i, flag in enumerate(flags)
        ]


def tell(outcome):
    return Told(outcome.digest, outcome.tick, float(outcome.reward), outcome.terminated, outcome.truncated, _seen(outcome.observation))


def _told(observation, reward, terminated, truncated, info):
    return Told(info["digest"], info["tick"], float(reward), terminated, truncated, _seen(observation))


def _seen(tree):
    return _hash(b"".join(_parts(tree)))


def _parts(tree):
    if isinstance(tree, dict):
        return [part for key in sorted(tree) for part in _parts(tree[key])]
    return [np.asarray(tree).tobytes()]


def _hash(data):
    return hashlib.blake2b(data, digest_size=8).hexdigest()
