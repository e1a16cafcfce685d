"""SubEnv: one sub-environment of a vector environment; its session, its counters, its last observation and its snapshots."""

from __future__ import annotations

from typing import Any, Dict, Mapping

import numpy as np
from gymnasium.utils import seeding

from .client import Client, Lease, Pending
from .errors import NoEpisode
from .outcomes import annotate
from .resume import Source
from .session import Session
from .snapshot import Snapshot


class SubEnv:
    """Sub-environment ``index``. ``reward``, ``terminated``, ``truncated`` are the last step's; ``total``, ``steps`` the episode's."""

    def __init__(self, index: int, client: Client, budgets: Mapping[str, float], defaults: Mapping[str, Any]) -> None:
        self.index = index
        self.random: np.random.Generator = seeding.np_random()[0]
        self.options: Dict[str, Any] = {}
        self.session: Session | None = None
        self.observation: Dict[str, Any] | None = None
        self.info: Dict[str, Any] = {}
        self.reward = self.total = 0.0
        self.steps = 0
        self.terminated = self.truncated = False
        self.snapshots: Dict[str, Snapshot] = {}
        self._client, self._budgets, self._defaults = client, budgets, defaults
        self._counts = (0, 0.0)  # of the episode, when the answer that is awaited has come
        self._asked = self.options  # of the reset that is awaited

    @property
    def ended(self) -> bool:
        """Whether the episode is over."""
        return self.terminated or self.truncated

    def take(self, lease: Lease, source: Source | None) -> None:
        """Go on with this lease; what was on the old one is gone. ``source``: where another comes from when that one is lost."""
        self.session = Session(self._client, lease, self._budgets, source)

    def send_reset(self, seed: int | None, options: Dict[str, Any]) -> Pending:
        """Ask for an episode; without a seed, one is drawn. Options that are accepted are those of automatic resets from then on."""
        self._counts, self._asked = (0, 0.0), options
        drawn = int(self.random.integers(2**31)) if seed is None else seed
        return self._live().send_reset(drawn, {**self._defaults, **options})

    def send_step(self, action: np.ndarray[Any, Any], ticks: int) -> Pending:
        """Ask for a step."""
        self._counts = (self.steps + 1, self.total)
        return self._live().send_step(action, ticks)

    def send_restore(self, snapshot: Snapshot, tier: str = "") -> Pending:
        """Ask to become a snapshot, by ``tier``."""
        self._counts = (snapshot.episode_steps, snapshot.episode_reward)
        return self._live().send_restore(snapshot.data, tier)

    def send_snapshot(self) -> Pending:
        """Ask for the present state."""
        return self._live().send_snapshot()

    def finish(self, pending: Pending) -> None:
        """Fold the answer in; an error leaves all as it was."""
        outcome = self._live().finish(pending)
        self.steps, self.total = self._counts[0], self._counts[1] + outcome.reward
        self.reward, self.terminated, self.truncated = outcome.reward, outcome.terminated, outcome.truncated
        self.observation, self.options = outcome.observation, self._asked
        self.info = annotate(outcome, self.steps, self.total, self._live().lease.worker)

    def keep(self, pending: Pending) -> None:
        """Keep the snapshot that was asked for under its id, as the latest."""
        snapshot = Snapshot.of(self._live().finish_snapshot(pending), self.steps, self.total)
        self.snapshots.pop(snapshot.id, None)
        self.snapshots[snapshot.id] = snapshot

    def latest(self) -> Snapshot:
        """The snapshot that was saved last; raises NoEpisode without one."""
        if not self.snapshots:
            raise NoEpisode(f"sub-environment {self.index} has no snapshot; call save_snapshots first")
        return list(self.snapshots.values())[-1]

    def _live(self) -> Session:
        if self.session is None:
            raise NoEpisode(f"sub-environment {self.index} has no worker; call reset() first")
        return self.session
