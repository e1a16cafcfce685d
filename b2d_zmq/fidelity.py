"""``b2d fidelity``: how true this installation's restores are, measured by driving. The numbers are records.py's to keep and tell.

For each route: a drive A to a branch point, a snapshot there, and on, which gives a tape of actions. A second drive B from reset with the
same seed and the same actions, without any restore: what differs between A and B is the simulator's own spread. Then for each tier a group
of branches restored from the snapshot that all play the tape: what differs from A is the restore's error, what differs between the
branches is the noise floor; and once more with different actions, for comparison. What fails is told in the table and the rest goes on.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np
from tqdm import tqdm

from . import noise, records
from .chart import chart
from .client import Client
from .env import CarlaEnv
from .errors import B2DError, NoBroker, RequestError
from .follower import RouteFollower
from .group import BranchGroup
from .records import Measured, Record
from .routelist import pick
from .session import Session, release
from .sheet import reason
from .snapshot import Snapshot
from .stage import Say, Stage
from .tracks import Array, Tracks

WAIT = 600.0  # s for a worker, which may just be starting its server again
WORDS = 300  # of an error in the table, in characters
MAX_STEPS = 100_000  # of an episode: nothing here ends by time
STEER, STEER_STEPS = 0.05, 10  # how far different actions differ: most steering added, to either side, and for how long
THROTTLE = 0.5  # and the least share of the throttle


@dataclass(frozen=True)
class Plan:
    """What the command's options say; see ``b2d fidelity --help``."""

    out: Path
    stage: Stage
    ticks: Tuple[int, ...]
    tiers: Tuple[str, ...] = ()
    route: Tuple[int, ...] = ()
    sample: int = 10
    workers: int = 2
    prefix: int = 60
    seed: int = 0


@dataclass(frozen=True)
class _Drive:
    """Drive A from the branch point on: the actions before it and after it, and the egos [1, K]."""

    before: List[Array]
    tape: Array
    tracks: Tracks
    reward: float
    snapshot: Snapshot


def run(plan: Plan, say: Say) -> Dict[str, Any]:
    """Do all of it; gives what ``fidelity.json`` holds."""
    plan.out.mkdir(parents=True, exist_ok=True)
    routes = plan.route or pick(plan.stage.routes, plan.sample)
    with plan.stage.farm(plan.workers, say, sensors="state") as endpoint, Client(endpoint, curve_dir=plan.stage.curve_dir) as client:
        told = _measure(plan, client, routes, say)
    say("\n" + records.page(told))
    say(f"wrote fidelity.md, fidelity.json and fidelity.png to {plan.out}")
    if not any(route["tiers"] for route in told["routes"]):
        first = told["routes"][0]
        raise RequestError(f"nothing could be measured; the first route: {first['error'] or first['errors']}")
    return told


def _measure(plan: Plan, client: Client, routes: Sequence[int | None], say: Say) -> Dict[str, Any]:
    with contextlib.closing(CarlaEnv(client=client, wait=WAIT, max_steps=MAX_STEPS)) as env:
        tiers = plan.tiers or tuple(env.description["tiers"])
        for tier in tiers:
            env.tier_of(tier)  # refuses what is not offered before anything is driven
        there = len(client.status()["workers"])
        if there < plan.workers:
            raise RequestError(f"{plan.workers} branches want as many workers, and the farm at {client.endpoint} has {there}; start more")
        say(f"{len(routes)} routes, tiers {', '.join(tiers)}, {plan.workers} branches each; branch point after {plan.prefix} ticks")
        with tqdm(total=len(routes) * (2 + 2 * len(tiers)), unit="run", disable=None) as bar:
            found: List[Record] = []
            for route in routes:
                found.append(_Route(plan, client, env, bar).measure(route, tiers))
                told = records.told(found, plan.ticks, tiers, {"seed": plan.seed, "prefix": plan.prefix, **_installation(env)})
                _write(plan, told)  # after each route: who stops early keeps what there is
                bar.write("  " + records.line(told["routes"][-1]))
        return told


class _Route:
    """Measures one route on one farm."""

    def __init__(self, plan: Plan, client: Client, env: CarlaEnv, bar: Any) -> None:
        self._plan, self._client, self._env, self._bar = plan, client, env, bar
        self._horizon = max(plan.ticks)

    def measure(self, route: int | None, tiers: Tuple[str, ...]) -> Record:
        """Everything about one route; an error ends what it struck and is told."""
        record, begun = Record(route), self._bar.n
        try:
            drive = self._drive(record)
            self._bar.update()
            record.baseline = self._again(drive, record)
            self._bar.update()
            for tier in tiers:
                self._bar.set_postfix_str(f"route {record.route} {tier}")
                self._tier(drive, record, tier)
        except NoBroker:
            raise
        except B2DError as error:
            record.error = _words(error)
            self._env.drop_lease()
        self._bar.update(begun + 2 + 2 * len(tiers) - self._bar.n)
        return record

    def _drive(self, record: Record) -> _Drive:
        """Drive A: the route follower to the branch point and on."""
        env, follower = self._env, RouteFollower()
        observation, info = env.reset(seed=self._plan.seed, options=self._options(record.route))
        record.begin(info)
        before: List[Array] = []
        while len(before) < self._plan.prefix:
            before.append(follower.act(observation, info))
            observation, _, terminated, truncated, info = env.step(before[-1])
            if terminated or truncated:
                raise RequestError(f"the drive ended ({reason(info)}) after {len(before)} ticks, before the branch point")
        snapshot, moments, tape = env.snapshot(), [_alone(observation)], []
        record.tick, start = snapshot.tick, env.episode_reward
        for _ in range(self._horizon):
            tape.append(follower.act(observation, info))
            observation, _, terminated, truncated, info = env.step(tape[-1])
            moments.append(_alone(observation))
            if terminated or truncated:
                record.ended = f"{reason(info)} at {len(tape)}"
                break
        return _Drive(before, np.array(tape), Tracks.over_time(moments), env.episode_reward - start, snapshot)

    def _again(self, drive: _Drive, record: Record) -> Measured:
        """Drive B: the same from reset, without a restore, on another worker where there is one."""
        with contextlib.closing(CarlaEnv(client=self._client, wait=WAIT, max_steps=MAX_STEPS)) as twin:
            observation, _ = twin.reset(seed=self._plan.seed, options=self._options(record.route))
            for action in drive.before:
                observation = twin.step(action)[0]
            moments, start, over = [_alone(observation)], twin.episode_reward, False
            for action in drive.tape:
                if not over:
                    observation, _, terminated, truncated, _ = twin.step(action)
                    over = terminated or truncated
                moments.append(_alone(observation))
            gaps = Tracks.over_time(moments).gaps(drive.tracks)
            return Measured.of(gaps, self._plan.ticks, returns=[drive.reward, twin.episode_reward - start])

    def _tier(self, drive: _Drive, record: Record, tier: str) -> None:
        """The branches of one tier: the tape in all of them, then different actions."""
        began = time.monotonic()
        try:  # the group is never closed, which would restore once more: nobody needs that, least of all who presses ctrl-C
            group = self._fork(drive.snapshot, tier)
            group.begin()
            measured = self._branches(group, drive)
            measured.wall = time.monotonic() - began
            record.tiers[tier] = measured
            group.select(int(np.flatnonzero(group.valid)[0]))
        except NoBroker:
            raise
        except B2DError as error:
            record.errors[tier] = _words(error)
            self._env.drop_lease()

    def _branches(self, group: BranchGroup, drive: _Drive) -> Measured:
        told = [one for one in group.fidelity if one is not None]
        tape = np.tile(drive.tape, (group.n, 1, 1))
        run = noise.drive(group, tape, 1)
        self._bar.update()
        group.restart()
        floor = noise.floor(run, noise.drive(group, fan(drive.tape, group.n), 1))
        self._bar.update()
        gaps = floor.tracks.until(drive.tracks.speed.shape[1]).gaps(drive.tracks)
        return Measured.of(gaps, self._plan.ticks, returns=floor.returns.tolist(), told=told, against=floor.against, drift=floor.drift)

    def _fork(self, snapshot: Snapshot, tier: str) -> BranchGroup:
        leases = self._client.acquire(self._plan.workers - 1, wait=WAIT, profile=str(self._env.description["profile"]))
        others = [Session(self._client, lease, self._env.budgets) for lease in leases]
        return self._env.branch(snapshot, self._plan.workers, others, release, block=False, tier=tier)

    @staticmethod
    def _options(route: int | None) -> Dict[str, Any]:
        return {} if route is None else {"route_id": route}


def fan(tape: Array, n: int) -> Array:
    """n different drives [n, H, A] around one: some steer a little at first, and all but the first give less throttle."""
    actions = np.tile(tape, (n, 1, 1))
    actions[:, :STEER_STEPS, 2] += np.linspace(-STEER, STEER, n)[:, None]
    actions[:, :, 0] *= np.linspace(1.0, THROTTLE, n)[:, None]
    clipped: Array = np.clip(actions, [0.0, 0.0, -1.0], 1.0).astype(np.float32)
    return clipped


def _words(error: B2DError) -> str:
    """An error as it fits into a table; the whole is in the workers' logs."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= WORDS else text[: WORDS - 3] + "..."


def _alone(observation: Any) -> Tracks:
    """One ego, as a moment of [1]."""
    return Tracks(*(part[None] for part in Tracks.seen(observation)))


def _installation(env: CarlaEnv) -> Dict[str, Any]:
    left_out = ("observation_space", "action_space")
    return {"installation": {name: value for name, value in env.description.items() if name not in left_out}}


def _write(plan: Plan, told: Dict[str, Any]) -> None:
    (plan.out / "fidelity.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    (plan.out / "fidelity.md").write_text(records.page(told), encoding="utf-8")
    chart(told, plan.out / "fidelity.png")
