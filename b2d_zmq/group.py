"""BranchGroup: G branches of one snapshot, stepped together.

All branches are restored by the same procedure, the one on the environment's own worker included, so none is privileged. With fewer
workers than branches a worker serves several in waves: the branch's own snapshot is restored, stepped, and taken again; same results,
longer time. A branch that ended stays ended: later steps repeat its last observation with reward 0. A branch whose worker is lost is
run again on another one (``info["resumed"]``); where there is none it is not valid: NaN in rewards and returns, NaN or 0 in observations,
the reason in its info. Never a shorter list, never a made-up reward.
Where the tier is not exact the branches are as true as ``fidelity`` says, and as comparable as ``noise_floor`` finds.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Sequence, Tuple, Type

import numpy as np

from . import advantages as formulas
from . import noise, results
from .batch import same, stack
from .client import Pending
from .errors import B2DError, RequestError, WorkerLost, WrongMode
from .outcomes import Outcome, Trajectory, annotate
from .results import GroupRollout, GroupStep
from .resume import Source, release_spares
from .session import LOSSES, Session
from .snapshot import Snapshot, State
from .spaces import check_actions
from .verdict import fidelity, rank

if TYPE_CHECKING:
    from .env import CarlaEnv


@dataclass
class _Branch:
    index: int
    session: Session
    state: Snapshot | State  # its own, as it was when it last left its worker
    outcome: Outcome | None = None
    reward: float = 0.0  # of the last step
    total: float = 0.0
    steps: int = 0
    ended: bool = False
    error: B2DError | None = None
    fidelity: Dict[str, Any] | None = None  # of its worst restore since the start

    def keep(self, pending: Pending) -> None:
        self.state = self.session.finish_snapshot(pending)

    def judge(self, outcome: Outcome) -> None:
        told = fidelity(outcome, self.state)
        if self.fidelity is None or rank(told) >= rank(self.fidelity):
            self.fidelity = told


Send = Callable[[_Branch], Pending]
Finish = Callable[[_Branch, Pending], None]


class BranchGroup:
    """G branches of ``snapshot``, made by ``env.fork``; a context manager that closes itself. ``n`` is G, ``tier`` how all are restored."""

    def __init__(  # noqa: PLR0917 (only the environment calls it)
        self,
        env: CarlaEnv,
        snapshot: Snapshot,
        n: int,
        sessions: Sequence[Session],
        give_back: Callable[[Sequence[Session]], None],
        tier: str = "",
        source: Source | None = None,
    ) -> None:
        self.n, self.snapshot, self.tier = n, snapshot, tier
        self._env, self._sessions, self._give_back = env, list(sessions), give_back
        self._source = source
        for session in self._sessions:
            session.source = source
        self._branches = [_Branch(i, sessions[i % len(sessions)], snapshot) for i in range(n)]
        self._waves = [self._branches[i : i + len(sessions)] for i in range(0, n, len(sessions))]
        self._present: Dict[Session, int] = {}  # the branch that its worker is in now
        self._initial: List[Outcome | None] = []
        self._rounds = list(self._waves)
        self._flight: List[Tuple[_Branch, Pending]] = []
        self._open, self._amid = True, False

    @property
    def waves(self) -> int:
        """How many rounds a step takes: 1 when each branch has a worker of its own."""
        return len(self._waves)

    @property
    def observations(self) -> Any:
        """What each branch saw at its start, [G, ...]."""
        self._require_ready()
        return stack(self._env.observation_space, [first and first.observation for first in self._initial])

    @property
    def digests(self) -> List[str]:
        """The digest of each branch's state at its start; "" where the branch was lost before."""
        self._require_ready()
        return [first.digest if first else "" for first in self._initial]

    @property
    def identical(self) -> bool:
        """Whether all branches began in the state of the snapshot and saw the same, bit for bit."""
        self._require_ready()
        firsts = [first for first in self._initial if first is not None]
        alike = all(same(first.observation, firsts[0].observation) for first in firsts[1:])
        return alike and {first.digest for first in firsts} == {self.snapshot.digest}

    @property
    def fidelity(self) -> List[Dict[str, Any] | None]:
        """How true each branch's restore is ("tier", "verdict", "ego", ...; see docs/fidelity.md), or None where it was lost before that.

        In waves a branch is restored before each of its steps: the worst of them counts.
        """
        self._require_ready()
        return [branch.fidelity for branch in self._branches]

    @property
    def valid(self) -> np.ndarray[Any, Any]:
        """bool [G]: False where the branch's worker was lost."""
        return np.array([branch.error is None for branch in self._branches])

    @property
    def returns(self) -> np.ndarray[Any, Any]:
        """f64 [G]: rewards summed since the fork, NaN where the branch was lost."""
        return np.array([np.nan if branch.error else branch.total for branch in self._branches])

    @property
    def infos(self) -> List[Dict[str, Any]]:
        """The last info of each branch, with "branch", and "error" where it was lost."""
        return [self._info(branch) for branch in self._branches]

    @property
    def errors(self) -> List[B2DError | None]:
        """The error by which each branch was lost, or None."""
        return [branch.error for branch in self._branches]

    def advantages(self, kind: str = "grpo", eps: float = 1e-6) -> np.ndarray[Any, Any]:
        """f64 [G] over the valid branches' returns ("grpo", "centered", "leave_one_out"; see advantages.py), NaN for the others."""
        return formulas.advantages(self.returns, self.valid, kind, eps)

    def begin(self, block: bool = True) -> None:
        """Restore the snapshot for every branch; fork calls this."""
        while self.poll() < 1.0 and block:
            _wait(self._flight)

    def poll(self) -> float:
        """Take the set-up as far as it goes without waiting, and give the share that is done; 1.0 means ready."""
        self._require_open()
        while True:
            done = [pending.done() for _, pending in self._flight]
            if not all(done) or not (self._rounds or self._flight):
                return 1.0 - (sum(map(len, self._rounds)) + done.count(False)) / self.n
            self._gather(self._flight, self._finish_restore)
            self._flight = self._scatter(self._rounds.pop(0), self._send_restore) if self._rounds else []
            if not (self._rounds or self._flight):
                self._initial = [branch.outcome for branch in self._branches]
                self._raise_if_all_lost()

    def step(self, actions: Any) -> GroupStep:
        """One step of every branch that goes on: ``actions`` f32 [G, A]; sent to all before any is waited for."""
        checked = check_actions(actions, self._env.action_space, (self.n,))
        ticks = self._env.frame_skip

        def send(branch: _Branch) -> Pending:
            return branch.session.send_step(checked[branch.index], ticks)

        def finish(branch: _Branch, pending: Pending) -> None:
            outcome = branch.session.finish(pending)
            self._account(branch, outcome, outcome.reward, 1)

        self._run(send, finish)
        return GroupStep(**self._parts())

    def rollout(self, actions: Any, observations: str = "last") -> GroupRollout:
        """H steps of every branch, open loop, one request per branch: ``actions`` f32 [G, H, A]; ``observations`` "last" or "all"."""
        if observations not in ("last", "all"):
            raise RequestError(f"observations must be 'last' or 'all'; got {observations!r}")
        checked = check_actions(actions, self._env.action_space, (self.n, -1))
        if checked.shape[1] == 0:
            raise RequestError("a rollout of no steps; give actions of shape [G, H, A] with H of at least 1")
        done: Dict[int, Trajectory] = {}

        def send(branch: _Branch) -> Pending:
            return branch.session.send_rollout(checked[branch.index], self._env.frame_skip, observations)

        def finish(branch: _Branch, pending: Pending) -> None:
            done[branch.index] = trajectory = branch.session.finish_rollout(pending)
            self._account(branch, results.last(trajectory), float(trajectory.rewards.sum()), len(trajectory.rewards))

        self._run(send, finish)
        return self._rolled(done, checked.shape[1], observations)

    def restart(self) -> None:
        """All branches at the snapshot again, restored as at the fork; what they did since is forgotten. A lost branch stays lost."""
        self._require_ready()
        for branch in self._branches:
            branch.state, branch.outcome, branch.fidelity = self.snapshot, None, None
            branch.reward, branch.total, branch.steps, branch.ended = 0.0, 0.0, 0, False
        self._rounds = list(self._waves)
        self.begin()

    def noise_floor(self, actions: Any, ticks: int | None = None, against: Any = None) -> noise.NoiseFloor:
        """Run the same actions in every branch, and see how far they drift apart and how much their returns differ.

        ``actions`` f32 [H, A] for all, or [A] to hold for ``ticks``; ``against`` f32 [G, H, A]: different ones for as many steps, whose
        returns to compare with. Wanted are two branches or more, before their first step; afterwards the group is restarted, so it costs
        one restore of each branch, or two. A branch whose worker is lost meanwhile is lost to the group.
        """
        self._require_ready()
        space, skip = self._env.action_space, self._env.frame_skip
        one = noise.plan(actions, ticks, skip, space)
        others = None if against is None else check_actions(against, space, (self.n, len(one)))
        if any(branch.steps for branch in self._branches) or self.n < 2:
            raise WrongMode("a noise floor is measured with two branches or more at their start; fork more, or call group.restart() first")
        run, compared = noise.drive(self, np.tile(one, (self.n, 1, 1)), skip), None
        self.restart()
        if others is not None:
            compared = noise.drive(self, others, skip)
            self.restart()
        return noise.floor(run, compared)

    def select(self, i: int) -> None:
        """Go on live from branch ``i``: the environment takes its worker and counters, all other workers are released."""
        self._require_ready()
        if isinstance(i, bool) or not isinstance(i, (int, np.integer)) or not 0 <= i < self.n:
            raise RequestError(f"no branch {i!r}; the group has branches 0 to {self.n - 1}")
        branch = self._branches[i]
        if branch.error is not None:
            rest = [int(k) for k in np.flatnonzero(self.valid)]
            raise RequestError(f"branch {i} was lost ({branch.error}); the valid ones are {rest}")
        self._bring([branch])
        if branch.error is not None:
            raise branch.error
        steps, reward = self.snapshot.episode_steps + branch.steps, self.snapshot.episode_reward + branch.total
        self._end(branch.session, branch.outcome, steps, reward)

    def close(self) -> None:
        """End the group without a choice: the environment is back at the snapshot; calling it again does nothing.

        If no worker is left to restore it on, the environment has no episode and wants a reset.
        """
        if not self._open:
            return
        _wait(self._flight)
        session, outcome = None, None
        try:
            session, outcome = self._back()
        finally:
            self._end(session, outcome, self.snapshot.episode_steps, self.snapshot.episode_reward)

    def discard(self) -> None:
        """Called when the environment lets go of its worker: release the others and restore nothing."""
        self._open = False
        self._give_back(self._sessions[1:])
        release_spares(self._source)

    def __len__(self) -> int:
        return self.n

    def __enter__(self) -> BranchGroup:
        return self

    def __exit__(self, kind: Type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _run(self, send: Send, finish: Finish) -> None:
        """One job for every branch that goes on, wave by wave."""
        self._require_ready()
        self._amid = True
        for branch in self._branches:
            branch.reward = 0.0
        for wave in self._waves:
            going = [branch for branch in wave if branch.error is None and not branch.ended]
            self._bring(going)
            self._gather(self._scatter(going, send), finish)
            if self.waves > 1:
                self._gather(self._scatter(going, lambda branch: branch.session.send_snapshot()), _Branch.keep)
        self._amid = False
        self._raise_if_all_lost()

    def _bring(self, branches: Sequence[_Branch]) -> None:
        """Have each branch's worker be in that branch; it is not when another branch used the worker since."""
        absent = [branch for branch in branches if self._present.get(branch.session) != branch.index]

        def finish(branch: _Branch, pending: Pending) -> None:
            restored = branch.session.finish(pending)
            branch.judge(restored)
            if branch.outcome is not None and branch.outcome.digest != restored.digest:
                branch.outcome = restored  # the tier is not exact: what the worker is in now is what counts

        self._gather(self._scatter(absent, self._send_restore), finish)

    def _scatter(self, branches: Sequence[_Branch], send: Send) -> List[Tuple[_Branch, Pending]]:
        flight = []
        for branch in branches:
            if branch.error is None:
                try:
                    flight.append((branch, send(branch)))
                except LOSSES as error:
                    branch.error = error
        return flight

    def _gather(self, flight: Sequence[Tuple[_Branch, Pending]], finish: Finish) -> None:
        """Fold all answers in; an error that is no loss is raised afterwards, and leaves the group in step if all branches had one."""
        _wait(flight)
        faults: List[B2DError] = []
        for branch, pending in flight:
            try:
                finish(branch, pending)
            except LOSSES as error:
                branch.error = error
            except B2DError as error:
                faults.append(error)
        if faults:
            self._amid = self._amid and not (self.waves == 1 and len(faults) == len(flight))
            raise faults[0]

    def _send_restore(self, branch: _Branch) -> Pending:
        self._present[branch.session] = branch.index
        return branch.session.send_restore(branch.state.data, self.tier)

    def _finish_restore(self, branch: _Branch, pending: Pending) -> None:
        branch.outcome = outcome = branch.session.finish(pending)
        branch.ended = outcome.terminated or outcome.truncated
        branch.judge(outcome)

    def _account(self, branch: _Branch, outcome: Outcome, reward: float, steps: int) -> None:
        branch.outcome, branch.reward = outcome, reward
        branch.total += reward
        branch.steps += steps
        branch.ended = outcome.terminated or outcome.truncated

    def _back(self) -> Tuple[Session | None, Outcome | None]:
        """A session that is back at the snapshot: the environment's own, or another one if that is lost."""
        for session in self._sessions:
            try:
                return session, session.finish(session.send_restore(self.snapshot.data, self.tier))
            except LOSSES:
                continue  # close promises an environment without an episode when none is left
        return None, None

    def _end(self, session: Session | None, outcome: Outcome | None, steps: int, reward: float) -> None:
        self._open = False
        self._env.adopt(session, outcome, steps, reward)
        self._give_back([one for one in self._sessions if one is not session])
        release_spares(self._source)

    def _parts(self) -> Dict[str, Any]:
        outcomes = [None if branch.error else branch.outcome for branch in self._branches]
        return {
            "observations": stack(self._env.observation_space, [one and one.observation for one in outcomes]),
            "rewards": np.array([np.nan if branch.error else branch.reward for branch in self._branches]),
            "terminated": np.array([one is not None and one.terminated for one in outcomes]),
            "truncated": np.array([one is not None and one.truncated for one in outcomes]),
            "valid": self.valid,
            "infos": self.infos,
            "returns": self.returns,
            "digests": [one.digest if one else "" for one in outcomes],
        }

    def _rolled(self, done: Dict[int, Trajectory], steps: int, observations: str) -> GroupRollout:
        parts = self._parts()
        parts["rewards"], lengths = results.tables(done, self.valid, steps)
        if observations == "all":
            lasts = [None if branch.error else branch.outcome for branch in self._branches]
            parts["observations"] = results.films(self._env.observation_space, done, lasts, steps)
        return GroupRollout(**parts, lengths=lengths)

    def _info(self, branch: _Branch) -> Dict[str, Any]:
        worker = branch.session.lease.worker
        if branch.error is not None or branch.outcome is None:
            return {"branch": branch.index, "worker": worker, "error": f"{type(branch.error).__name__}: {branch.error}"}
        steps, reward = self.snapshot.episode_steps + branch.steps, self.snapshot.episode_reward + branch.total
        return {**annotate(branch.outcome, steps, reward, worker), "branch": branch.index}

    def _require_open(self) -> None:
        if not self._open:
            raise WrongMode("this group is closed; env.fork makes another")

    def _require_ready(self) -> None:
        self._require_open()
        if self._rounds or self._flight:
            raise WrongMode("the branches are still being set up; call group.poll() until it gives 1.0")
        if self._amid:
            raise WrongMode("a step of this group was interrupted, so its branches are no longer in step; close it and fork again")

    def _raise_if_all_lost(self) -> None:
        if not self.valid.any():
            raise WorkerLost(f"all {self.n} branches were lost; the first: {self._branches[0].error}") from self._branches[0].error


def _wait(flight: Sequence[Tuple[_Branch, Pending]]) -> None:
    """Wait for all answers; the branches may belong to several farms, each with a client of its own."""
    for branch, pending in flight:
        branch.session.client.wait([pending])
