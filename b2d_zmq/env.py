"""CarlaEnv: one simulator of the farm as a Gymnasium environment that can also snapshot, restore and fork.

It checks what it is given, counts the episode, and keeps one lease from its first reset until ``close``; the protocol is session.py's and
client.py's. Rules: no error becomes data, so an episode whose worker is lost is lived again on another one and says so in
``info["resumed"]``, or WorkerLost is raised (the next reset takes another worker); and while a group of branches is open the environment
itself stands still.
"""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

import gymnasium
import numpy as np
from gymnasium import spaces

from . import arguments
from .client import Client, Lease, Pending
from .errors import NoEpisode, NoFreeWorker, RequestError, SnapshotMismatch, WrongMode
from .group import BranchGroup
from .outcomes import Outcome, annotate
from .resume import PATIENCE, Source, release_spares
from .session import Session, budgets_with, release
from .snapshot import Snapshot
from .spaces import check_action, from_wire
from .window import Window, first_picture

Observation = Dict[str, Any]


class CarlaEnv(gymnasium.Env[Observation, np.ndarray]):
    """A driving episode on one worker of the farm at ``endpoint`` (without: ``$B2D_ENDPOINT``, or this machine's); use it from one thread.

    ``max_steps``, ``reward_type`` ("dense" or "sparse") and ``reward_weights`` are the defaults of each reset's options. ``frame_skip``
    is the number of ticks (0.05 s each) per step. ``timeout``: seconds that the broker may take to answer; ``wait``: seconds to wait for
    a free worker at a reset; ``budgets``: seconds per kind of job, see session.BUDGETS. ``client``: share this one instead of an own.
    ``tier``: how this environment restores and forks unless a call says otherwise, one of ``description["tiers"]`` (without: the first).
    ``on_loss``: "resume" lives an episode whose worker is lost again on another one, waiting up to ``wait`` seconds for it, and answers
    the call; ``info["resumed"]`` tells then. "raise" raises WorkerLost. ``curve_dir``: the folder of keys (without: ``$B2D_CURVE_DIR``).
    """

    metadata = {"render_modes": ["human", "rgb_array"], "render_fps": 20}  # noqa: RUF012 (declared so by Gymnasium)

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        render_mode: str | None = None,
        max_steps: int = 1000,
        frame_skip: int = 1,
        reward_type: str = "dense",
        reward_weights: Mapping[str, float] | None = None,
        timeout: float = 30.0,
        wait: float = 60.0,
        budgets: Mapping[str, float] | None = None,
        label: str | None = None,
        client: Client | None = None,
        tier: str | None = None,
        on_loss: str = "resume",
        curve_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        self.max_steps, self.frame_skip = arguments.whole("max_steps", max_steps), arguments.whole("frame_skip", frame_skip)
        self.render_mode, self.reward_type, self.reward_weights = _render_mode(render_mode), reward_type, dict(reward_weights or {})
        self.timeout, self.wait, self.budgets = timeout, arguments.seconds("wait", wait), budgets_with(budgets)
        self.on_loss = arguments.on_loss(on_loss)
        self.episode_steps, self.episode_reward = 0, 0.0
        self.last_observation: Observation | None = None
        self.last_info: Dict[str, Any] = {}
        self.snapshots: Dict[str, Snapshot] = {}
        self.current_snapshot: str | None = None
        self._session: Session | None = None
        self._group: BranchGroup | None = None
        self._window: Window | None = None
        self._owns_client = client is None
        self.client = client or Client(endpoint, timeout=timeout, label=label, curve_dir=curve_dir)
        try:
            self.description = self.client.describe(wait=wait)
            self.tier = arguments.tier(tier, self.description.get("tiers", ()))
            self.observation_space: spaces.Space[Observation] = from_wire(self.description.get("observation_space", {}))
            self.action_space: spaces.Box = from_wire(self.description.get("action_space", {}))  # type: ignore[assignment]
        except BaseException:
            self.close()
            raise

    @property
    def endpoint(self) -> str:
        """Where the farm is."""
        return self.client.endpoint

    def reset(self, *, seed: int | None = None, options: Dict[str, Any] | None = None) -> Tuple[Observation, Dict[str, Any]]:
        """Begin an episode; the worker checks the options (route_id, town, weather, ...) and its errors name the known ones.

        Without a seed one is drawn from ``np_random``, so that a seeded environment stays reproducible.
        """
        return self.finish_reset(self.begin_reset(seed, options))

    def begin_reset(self, seed: int | None = None, options: Dict[str, Any] | None = None) -> Pending:
        """The first half of reset, for whoever resets several environments at once: it asks, and waits only for a free worker."""
        self._require_no_group("reset")
        if options is not None and not isinstance(options, dict):
            raise RequestError(f"options must be a dict or None, not {type(options).__name__}")
        seed = self._seed(seed)
        defaults = {"max_steps": self.max_steps, "reward_type": self.reward_type, "reward_weights": self.reward_weights}
        return self._ready_session().send_reset(seed, {**defaults, **(options or {})})

    def finish_reset(self, pending: Pending) -> Tuple[Observation, Dict[str, Any]]:
        """The second half of reset: wait for the episode that ``begin_reset`` asked for."""
        outcome = self._live_session().finish(pending)
        self._take(outcome, 0, 0.0)
        return outcome.observation, dict(self.last_info)

    def step(self, action: Any) -> Tuple[Observation, float, bool, bool, Dict[str, Any]]:
        """Hold ``action`` (f32[3]: throttle, brake, steer) for ``frame_skip`` ticks; one request, whatever the number of ticks."""
        self._require_no_group("step")
        checked = check_action(action, self.action_space)
        session = self._live_session()
        outcome = session.finish(session.send_step(checked, self.frame_skip))
        self._take(outcome, self.episode_steps + 1, self.episode_reward + outcome.reward)
        return outcome.observation, outcome.reward, outcome.terminated, outcome.truncated, dict(self.last_info)

    def render(self) -> Any:
        """The first camera's picture of the last observation: a copy uint8 [H, W, 3] ("rgb_array"), or shown in a window ("human")."""
        if self.render_mode is None:
            return None
        picture = first_picture(self.observation_space, self.get_current_observation())
        if self.render_mode == "rgb_array":
            return picture
        if self._window is None:
            self._window = Window("b2d-zmq")
        self._window.show(picture)
        return None

    def close(self) -> None:
        """Give the lease back and let go of the farm; calling it again does nothing."""
        group, session, self._group, self._session = self._group, self._session, None, None
        if self._window is not None:
            self._window.close()
            self._window = None
        try:
            if group is not None:
                group.discard()
        finally:
            if self._owns_client:
                self.client.close()
            elif session is not None:
                release([session])

    def snapshot(self) -> Snapshot:
        """The simulator's present state with this environment's counters; changes nothing."""
        self._require_no_group("snapshot")
        session = self._live_session()
        return Snapshot.of(session.finish_snapshot(session.send_snapshot()), self.episode_steps, self.episode_reward)

    def restore(self, snapshot: Snapshot, tier: str | None = None) -> Tuple[Observation, Dict[str, Any]]:
        """Become that state, whoever took it, and go on from there; ``info["fidelity"]`` says how true it is where that is not exact.

        ``tier`` is one of ``description["tiers"]``; docs/fidelity.md tells what they are.
        """
        self._require_no_group("restore")
        self._require_fitting(snapshot)
        chosen = self.tier_of(tier)
        session = self._ready_session()
        outcome = session.finish(session.send_restore(snapshot.data, chosen))
        self._take(outcome, snapshot.episode_steps, snapshot.episode_reward)
        return outcome.observation, dict(self.last_info)

    def fork(
        self,
        n: int,
        workers: int | None = None,
        wait: float = 0.0,
        block: bool = True,
        tier: str | None = None,
        *,
        spares: int = 0,
        patience: float = PATIENCE,
    ) -> BranchGroup:
        """Snapshot, and n branches of it: on n workers, this one included, or on fewer ``workers`` in waves.

        The leases are acquired all or none, waiting up to ``wait`` seconds; raises NoFreeWorker, and nothing has changed then. With
        ``block=False`` it returns while the branches are still being set up: call ``group.poll()`` until it gives 1.0. ``tier`` is how
        each branch is restored, as in ``restore``. Waves restore a branch before each of its steps, so any tier but "exact" costs much
        there: "replay" drives the whole way to the branch again, "transfer" adds an error each time; ``group.fidelity`` tells the worst.
        A branch whose worker is lost is run again on one of ``spares`` more workers that are acquired with the others, or on another one
        that is free within ``patience`` seconds; where there is none, or with ``on_loss="raise"``, it is not valid from then on.
        """
        self._require_no_group("fork")
        n, chosen = arguments.whole("n", n), self.tier_of(tier)
        workers = n if workers is None else arguments.whole("workers", workers)
        if workers > n:
            raise RequestError(f"{workers} workers for {n} branches; at most one worker per branch is of use")
        spares, patience = arguments.whole("spares", spares, 0), arguments.seconds("patience", patience)
        if spares and self.on_loss == "raise":
            raise RequestError(f"{spares} spares are of no use with on_loss='raise'")
        snapshot = self.snapshot()
        others = self._others(n, workers - 1 + spares, wait)
        kept = [(session.client, session.lease) for session in others[workers - 1 :]]
        return self.branch(snapshot, n, others[: workers - 1], release, block, chosen, self.source(patience, kept))

    def branch(  # noqa: PLR0917 (only fork and the crew call it)
        self,
        snapshot: Snapshot,
        n: int,
        others: Sequence[Session],
        give_back: Callable[[Sequence[Session]], None],
        block: bool = True,
        tier: str | None = None,
        source: Source | None = None,
    ) -> BranchGroup:
        """Like fork, of any fitting snapshot, on this environment's worker and on ``others``, which may belong to several farms.

        ``source`` has the workers for branches that lose theirs (without: as for a fork without spares).
        When the group ends, ``give_back`` gets the sessions that the environment does not go on with; so it does when this call fails.
        """
        try:
            self._require_no_group("branch")
            self._require_fitting(snapshot)
            chosen = self.tier_of(tier)
            own = self._ready_session()
        except BaseException:
            give_back(others)
            release_spares(source)
            raise
        group = BranchGroup(self, snapshot, n, [own, *others], give_back, chosen, source or self.source(PATIENCE))
        self._group = group
        try:
            group.begin(block)
        except BaseException:
            group.close()
            raise
        return group

    def save_snapshot(self) -> str:
        """Keep a snapshot under its id, in this environment, and give the id."""
        snapshot = self.snapshot()
        self.snapshots[snapshot.id] = snapshot
        self.current_snapshot = snapshot.id
        return snapshot.id

    def restore_snapshot(self, snapshot_id: str) -> None:
        """Restore a kept snapshot; ``reset_from_snapshot`` or ``last_observation`` has what is seen there."""
        self.restore(self._kept(snapshot_id))
        self.current_snapshot = snapshot_id

    def reset_from_snapshot(self) -> Tuple[Observation, Dict[str, Any]]:
        """Restore the current snapshot (the last one saved or restored); raises NoEpisode without one."""
        if self.current_snapshot is None:
            raise NoEpisode("no snapshot has been saved; call save_snapshot first")
        observation, info = self.restore(self._kept(self.current_snapshot))
        return observation, {**info, "from_snapshot": True}

    def tier_of(self, tier: str | None) -> str:
        """The tier that a call goes by: its own, or this environment's. Raises UnknownOption for one that the farm does not offer."""
        return self.tier if tier is None else arguments.tier(tier, self.description.get("tiers", ()))

    def get_current_observation(self) -> Observation:
        """The last observation; raises NoEpisode before the first reset."""
        if self.last_observation is None:
            raise NoEpisode("no observation available; call reset() first")
        return self.last_observation

    def list_snapshots(self) -> List[str]:
        """The ids of the snapshots kept here, oldest first."""
        return list(self.snapshots)

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Forget a kept snapshot."""
        self._kept(snapshot_id)
        del self.snapshots[snapshot_id]
        if self.current_snapshot == snapshot_id:
            self.current_snapshot = None

    def adopt(self, session: Session | None, outcome: Outcome | None, steps: int, reward: float) -> None:
        """Called by the group when it ends: go on with this session from this outcome, or without an episode when there is none."""
        self._group, self._session = None, session
        if session is not None:
            session.source = self.source(self.wait)
        if outcome is not None:
            self._take(outcome, steps, reward)
        else:
            self.last_observation, self.last_info = None, {}

    @property
    def holds_worker(self) -> bool:
        """Whether a worker is held here now."""
        return self._session is not None

    def lend(self) -> Session:
        """Hand over the worker that is held here, or a new one; until ``adopt`` or reset this environment has none."""
        self._require_no_group("lend")
        session, self._session = self._ready_session(), None
        return session

    def _take(self, outcome: Outcome, steps: int, reward: float) -> None:
        self.episode_steps, self.episode_reward, self.last_observation = steps, reward, outcome.observation
        worker = self._session.lease.worker if self._session else ""
        self.last_info = annotate(outcome, steps, reward, worker)
        if self.render_mode == "human":
            self.render()

    def _seed(self, seed: int | None) -> int:
        if seed is None:
            super().reset(seed=None)
            return int(self.np_random.integers(2**31))
        super().reset(seed=arguments.seed(seed))
        return int(seed)

    def _ready_session(self) -> Session:
        """The session on the lease that is held; a new lease when there is none, or when its worker is lost."""
        if self._session is None or self._session.lost is not None:
            self.drop_lease()
            (lease,) = self.client.acquire(1, wait=self.wait, profile=self._profile)
            self._session = Session(self.client, lease, self.budgets)
        self._session.source = self.source(self.wait)
        return self._session

    def source(self, wait: float, spares: Sequence[Tuple[Client, Lease]] = ()) -> Source | None:
        """Where a session of this environment gets another worker when it loses its own; None where it is to raise the loss."""
        return Source(self._profile, wait, spares) if self.on_loss == "resume" else None

    @property
    def _profile(self) -> str:
        return str(self.description.get("profile", ""))

    def drop_lease(self) -> None:
        """Give the present lease back, if there is one, and an open group's without restoring anything; the next reset acquires another."""
        group, session, self._group, self._session = self._group, self._session, None, None
        if group is not None:
            group.discard()
        if session is not None:
            release([session])

    def _live_session(self) -> Session:
        if self._session is None:
            raise NoEpisode("no episode is under way; call reset() first")
        return self._session

    def _others(self, n: int, more: int, wait: float) -> List[Session]:
        if not more:
            return []
        try:
            leases = self.client.acquire(more, wait=wait, profile=self._profile)
        except NoFreeWorker as error:
            advice = f"fork({n}, workers=k) runs the branches in waves on k workers, 1 being the one that is held already"
            raise NoFreeWorker(f"{error}; {more} more were wanted for {n} branches. {advice}") from error
        return [Session(self.client, lease, self.budgets) for lease in leases]

    def _require_no_group(self, call: str) -> None:
        if self._group is not None:
            told = f"{call} while a group of {self._group.n} branches is open; end it with group.select(i) or group.close() first"
            raise WrongMode(told)

    def _require_fitting(self, snapshot: Snapshot) -> None:
        if not isinstance(snapshot, Snapshot):
            raise RequestError(
                f"a Snapshot is wanted, not {type(snapshot).__name__}; Snapshot.load reads a file, restore_snapshot takes an id"
            )
        here = (self.description.get("backend"), self.description.get("version"))
        if (snapshot.backend, snapshot.version) != here:
            told = f"a snapshot of {snapshot.backend} {snapshot.version} does not fit the farm's {here[0]} {here[1]}"
            raise SnapshotMismatch(f"{told}; use workers of the version that took it, or take a new one")

    def _kept(self, snapshot_id: str) -> Snapshot:
        if snapshot_id not in self.snapshots:
            known = ", ".join(list(self.snapshots)[-5:]) or "none"
            raise RequestError(f"no snapshot {snapshot_id!r} is kept in this environment; there are: {known}")
        return self.snapshots[snapshot_id]


def _render_mode(wanted: str | None) -> str | None:
    if wanted is not None and wanted not in CarlaEnv.metadata["render_modes"]:
        raise RequestError(f"no render mode {wanted!r}; there are 'human', 'rgb_array' and None")
    return wanted
