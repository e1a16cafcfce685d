"""Session: one episode, on one worker after another. It numbers the jobs, and lives the episode again where its worker is lost.

Each job is sent by a ``send_*`` method and folded in by ``finish``, so that a group can send to all before it waits for any. What is kept:
how the episode began (reset or snapshot), the actions since, and the digest of each reply. When the worker is lost, ``finish`` takes
another one, begins as the episode began, repeats the actions, compares the digests, does the job that was asked for, and says so in
``info["resumed"]``. Without a ``source`` of workers, or where there is none to be had, it raises the reason of the loss and the session
refuses everything after; it never makes up an outcome.
"""

from __future__ import annotations

import logging
import time
from itertools import groupby
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Sequence, Tuple, Type, TypeVar

import numpy as np

from . import arguments, resume
from .client import Client, Lease, Pending
from .errors import (
    B2DError,
    FarmError,
    LeaseVoid,
    NoEpisode,
    ProtocolError,
    RequestError,
    SimulatorError,
    SnapshotError,
    UnknownOption,
    WorkerLeft,
    WorkerLost,
    WrongMode,
)
from .outcomes import Outcome, Seconds, Trajectory, read_outcome, read_seconds, read_state, read_trajectory
from .protocol import BEGINNINGS, Kind
from .resume import Resumed, Source, Thrift
from .snapshot import State

log = logging.getLogger(__name__)

BUDGETS: Mapping[str, float] = {"reset": 300.0, "restore": 300.0, "snapshot": 60.0, "step": 30.0, "rollout": 10.0, "rollout_step": 1.0}
"""Seconds that each kind of job may take; a rollout of H steps has "rollout" + H times "rollout_step"."""

LOSSES: Tuple[Type[B2DError], ...] = (WorkerLost, LeaseVoid, SimulatorError)
"""The errors after which an episode has no simulator to go on with."""

Entry = Tuple[str, "np.ndarray[Any, Any]", int]  # "step" or "rollout", its actions, ticks a step


Told = TypeVar("Told", Outcome, Trajectory)


class Begin(NamedTuple):
    """How an episode began: by a reset, or from a snapshot's bytes and by which tier."""

    seed: int = 0
    options: Mapping[str, Any] | None = None
    data: bytes | None = None
    tier: str = ""


class _Job(NamedTuple):
    """A job as it was asked for, so that it can be asked for again of another worker."""

    kind: Kind
    tree: Any
    budget: float
    begin: Begin | None = None
    entry: Entry | None = None


class Session:
    """The episode on ``lease``, and on those that follow it as long as ``source`` has workers.

    ``log`` holds ("step" or "rollout", actions, ticks) since ``begin``; ``digests`` that of the beginning and of each step since.
    """

    def __init__(self, client: Client, lease: Lease, budgets: Mapping[str, float] | None = None, source: Source | None = None) -> None:
        self.client, self.lease, self.budgets, self.source = client, lease, budgets_with(budgets), source
        self.seq = 0
        self.begin: Begin | None = None
        self.log: List[Entry] = []
        self.digests: List[str] = []
        self.lost: B2DError | None = None
        self._seen: Any = None  # the last observation
        self._thrift = Thrift()
        self._losses: List[B2DError] = []  # of the job that is awaited
        self._bare = False  # a beginning lost the worker and was refused by the next, which has nothing of the episode that goes on
        self._resumed: Resumed | None = None  # to be told with the next outcome
        self._jobs: Dict[int, _Job] = {}
        self._awaited: Pending | None = None  # what was sent and brought no certain end yet
        self._before: Pending | None = None  # the same, before the last request

    def send_reset(self, seed: int, options: Mapping[str, Any]) -> Pending:
        """Ask for a new episode."""
        tree = {"seed": seed, "options": dict(options)}
        return self._send(_Job(Kind.RESET, tree, self.budgets["reset"], begin=Begin(seed, dict(options))))

    def send_restore(self, data: bytes, tier: str = "") -> Pending:
        """Ask the worker to become this snapshot, by ``tier`` or, without, by its first one."""
        return self._send(self._restoring(Begin(data=data, tier=tier)))

    def send_step(self, action: np.ndarray[Any, Any], ticks: int = 1) -> Pending:
        """Ask for one step: ``action`` f32[A], checked, held for ``ticks`` ticks."""
        self._require_episode()
        return self._send(_Job(Kind.STEP, {"action": action, "ticks": ticks}, self.budgets["step"], entry=("step", action, ticks)))

    def send_rollout(self, actions: np.ndarray[Any, Any], ticks: int = 1, observations: str = "last") -> Pending:
        """Ask for H steps in one request: ``actions`` f32[H, A], checked."""
        self._require_episode()
        return self._send(self._rolling(actions, ticks, observations)._replace(entry=("rollout", actions, ticks)))

    def send_snapshot(self) -> Pending:
        """Ask for the present state."""
        self._require_episode()
        return self._send(_Job(Kind.SNAPSHOT, {}, self.budgets["snapshot"]))

    def finish(self, pending: Pending) -> Outcome:
        """The outcome of a reset, restore or step; raises its error."""
        job, body = self._result(pending)
        outcome = self._told(read_outcome(body))
        if job.begin is not None:
            self._begin(job.begin)
        self.digests.append(outcome.digest)
        self._seen = outcome.observation
        self._keep_short(job, outcome.simulator_seconds, outcome.terminated or outcome.truncated)
        return outcome

    def finish_rollout(self, pending: Pending) -> Trajectory:
        """The trajectory of a rollout; raises its error."""
        job, body = self._result(pending)
        trajectory = self._told(read_trajectory(body))
        self.digests.extend(trajectory.digests)
        if job.entry is not None:  # an episode may end before its rollout does
            self.log[-1] = (job.entry[0], job.entry[1][: len(trajectory.digests)], job.entry[2])
        self._seen = trajectory.observations[-1]
        self._keep_short(job, trajectory.simulator_seconds, bool(trajectory.terminated[-1] or trajectory.truncated[-1]))
        return trajectory

    def finish_snapshot(self, pending: Pending) -> State:
        """The state that was asked for; the episode can be lived again from here."""
        _, body = self._result(pending)
        state = read_state(body)
        self._begin(Begin(data=state.data))
        self.digests.append(state.digest)
        self._thrift.taken(state.tier, read_seconds(body))
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

    def _restoring(self, begin: Begin) -> _Job:
        tree = {"data": np.frombuffer(begin.data or b"", np.uint8), **({"tier": begin.tier} if begin.tier else {})}
        return _Job(Kind.RESTORE, tree, self.budgets["restore"], begin=begin)

    def _rolling(self, actions: np.ndarray[Any, Any], ticks: int, observations: str) -> _Job:
        tree = {"actions": actions, "ticks": ticks, "observations": observations}
        return _Job(Kind.ROLLOUT, tree, self.budgets["rollout"] + len(actions) * self.budgets["rollout_step"])

    def _send(self, job: _Job) -> Pending:
        if job.kind not in BEGINNINGS or self.lost is not None:
            self.require_certain()
        pending = self._ask(job)
        self._before, self._awaited = self._awaited, pending
        self._jobs = {pending.number: job}
        if job.entry is not None:
            self.log.append(job.entry)
        return pending

    def _ask(self, job: _Job) -> Pending:
        pending = self.client.send(job.kind, job.tree, budget=job.budget, lease=self.lease, seq=self.seq + 1)
        self.seq += 1
        return pending

    def _begin(self, begin: Begin) -> None:
        self.begin, self._bare = begin, False
        self.log.clear()
        self.digests.clear()
        self._thrift.begun()

    def _result(self, pending: Pending) -> Tuple[_Job, Any]:
        """The answer of the worker that the job was sent to, or of the one that came after it."""
        job = self._jobs.get(pending.number)
        if job is None:
            raise WrongMode("this request is not the last that its session sent; what came of it is not known any more")
        while True:
            try:
                body = pending.result()
            except LOSSES as error:
                pending = self._elsewhere(job, error)
                continue
            except (RequestError, SnapshotError, NoEpisode) as error:
                if self._bare and isinstance(error, NoEpisode):
                    pending = self._elsewhere(job, LeaseVoid(f"worker {self.lease.worker} came after a loss and never had the episode"))
                    continue
                self._awaited = self._before  # these leave the episode as it was, uncertain or not
                if job.entry is not None:
                    self.log.pop()
                self._bare, self._losses = self._bare or (job.begin is not None and bool(self._losses)), []
                raise
            self._awaited = None
            self._jobs, self._losses = {}, []
            return job, body

    def _elsewhere(self, job: _Job, error: B2DError) -> Pending:
        """Ask for the job again where the episode was lived again; raises the loss where that is not to be."""
        source = self.source
        if source is None:
            if not isinstance(error, SimulatorError):  # after that the worker lives, and can begin anew
                self.lost = error
            raise error
        began, lost = time.monotonic(), [*(self._resumed.lost if self._resumed else []), str(error)]
        while True:
            self._mourn(job, error)
            self._take_over(job)
            log.warning("worker %s is lost; its episode is lived again elsewhere: %s", self.lease.worker, error)
            try:
                # a worker that makes room for a fresh server where an episode ends is soon back, within what a reset may take
                self._move(source, job.budget if job.kind is Kind.RESET and isinstance(error, WorkerLeft) else 0.0)
                steps, at, gaps = self._relive(job)
                self._resumed = Resumed(lost, self.lease.worker, steps, Seconds(time.monotonic() - began), at, gaps)
                return self._ask(job)
            except LOSSES as again:
                error = again
                lost.append(str(again))
            except B2DError as fault:
                self.lost = type(error)(f"{error}\nIts episode could not be resumed on another worker: {fault}")
                self.lost.remote_traceback = error.remote_traceback
                raise self.lost from fault

    def _mourn(self, job: _Job, error: B2DError) -> None:
        """Count a loss; raises Poisoned where it was one too many."""
        self._losses.append(error)
        kills = [loss for loss in self._losses if not isinstance(loss, (LeaseVoid, WorkerLeft))]
        if len(kills) >= resume.KILLS or len(self._losses) >= resume.ATTEMPTS:
            self.lost = resume.poisoned(self._losses, f"{job.kind.name} of session {self.client.label!r}")
            self._let_go()
            raise self.lost from error

    def _take_over(self, job: _Job) -> None:
        """Go on from the state that a worker handed over when it was told to leave, if it is that of the last answer: nothing to repeat."""
        try:
            state, at = read_state(self.client.handed(self.lease)), self.digests[-1]
        except (ProtocolError, IndexError):  # nothing was handed over, or nothing that can be used
            return
        if state.tier == "exact" and state.digest == at:
            self._begin(Begin(data=state.data))
            self.digests.append(at)
            self.log.extend([] if job.entry is None else [job.entry])

    def _move(self, source: Source, least: float) -> None:
        """Give this lease back, whatever became of it, and take another, waiting ``least`` seconds for it if the source would wait less."""
        self._let_go()
        self.client, self.lease = source.take(self.client, least)
        self.seq = 0

    def _let_go(self) -> None:
        try:
            self.client.release([self.lease])
        except FarmError as error:
            log.debug("lease %s is left to lapse: %s", self.lease.name, error)

    def _relive(self, job: _Job) -> Tuple[int, int, Dict[str, float]]:
        """Bring the new worker to where the job was asked for: how many steps that took, where digests first differed, and the drift."""
        if job.begin is not None or self.begin is None:
            return 0, -1, {}
        outcome = read_outcome(self._ask(self._beginning(self.begin)).result())
        digests, seen = [outcome.digest], outcome.observation
        for actions, ticks in _pieces(self.log if job.entry is None else self.log[:-1]):
            driven = 0
            while driven < len(actions):  # a rollout ends where an episode does
                done = read_trajectory(self._ask(self._rolling(actions[driven:], ticks, "last")).result())
                digests.extend(done.digests)
                seen, driven = done.observations[-1], driven + len(done.digests)
        at = resume.first_difference(self.digests, digests)
        gaps = resume.drift(self._seen, seen)
        self.digests, self._bare = digests, False
        if self._resumed is not None and self._resumed.diverged_at >= 0:  # not told yet: what the trainer has seen is still another episode
            at, gaps = self._resumed.diverged_at, self._resumed.drift
        return len(digests) - 1, at, gaps

    def _beginning(self, begin: Begin) -> _Job:
        if begin.data is not None:
            return self._restoring(begin)
        return _Job(Kind.RESET, {"seed": begin.seed, "options": dict(begin.options or {})}, self.budgets["reset"])

    def _told(self, outcome: Told) -> Told:
        """The outcome, with what was resumed for it."""
        if self._resumed is None:
            return outcome
        told, self._resumed = self._resumed.told(), None
        return outcome._replace(info={**outcome.info, "resumed": told})

    def _keep_short(self, job: _Job, seconds: float, over: bool) -> None:
        """Take a snapshot of its own accord when one is due, so that living the episode again stays short."""
        ticks = 0 if job.entry is None else job.entry[2] * (1 if job.entry[0] == "step" else len(job.entry[1]))
        if self.source is not None and self._thrift.stepped(ticks, seconds) and not over:
            self.finish_snapshot(self.send_snapshot())


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


def _pieces(entries: Sequence[Entry]) -> Iterator[Tuple[np.ndarray[Any, Any], int]]:
    """The actions f32[H, A] of a log, in pieces of one request each, with their ticks a step."""
    for ticks, group in groupby(entries, key=lambda entry: entry[2]):
        actions = np.concatenate([np.atleast_2d(entry[1]) for entry in group])
        for start in range(0, len(actions), resume.PIECE):
            yield actions[start : start + resume.PIECE], ticks
