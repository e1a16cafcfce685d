"""Snapshots of an episode on CARLA, and restores by one of three tiers; each restore measures how true it is.

``replay`` lives through the episode again, ``transfer`` sets what can be set, ``hybrid`` replays and corrects. Whoever restores goes the
same way, the worker that the snapshot is of too. In every tier the task, the scenario and the sums are the snapshot's in the end.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Dict, List

import numpy as np

from b2d_zmq.errors import RequestError, SnapshotCorrupt, SnapshotMismatch

from ...task import Task
from ...world.actors import ActorKind
from ...world.crowd import Look
from .. import view
from ..base import Outcome, SnapshotData
from . import snapshot as snapshots
from .capture import beams, roles, weather
from .episode import Episode
from .fidelity import Account, lamps_off, report, residuals
from .link import DT, asking
from .moment import aligned
from .play import Play, plan_of
from .replay import replay
from .snapshot import State
from .transfer import transfer

if TYPE_CHECKING:
    from .backend import CarlaBackend

REPLAY, TRANSFER, HYBRID = "replay", "transfer", "hybrid"
TIERS = (REPLAY, TRANSFER, HYBRID)


def snapshot(backend: CarlaBackend) -> SnapshotData:
    """The present state. Its tier is ``replay`` where the log alone leads to it."""
    episode = backend.present()
    state = state_of(backend, episode)
    return SnapshotData(state.data(), state.tick, TRANSFER if state.origin else REPLAY, state.digest)


def state_of(backend: CarlaBackend, episode: Episode) -> State:
    """All that a snapshot holds."""
    link, cast, watch = backend.link, episode.cast, episode.watch
    actors = [member.actor for member in cast]
    shown, air = beams(link.world, actors), weather(link.world)
    return State(
        server=link.version,
        map=link.town,
        opendrive=link.map_hash,
        dt=DT,
        settings=episode.settings,
        roles=roles(actors, [member.key for member in cast], [member.autopilot for member in cast]),
        lead_in=watch.lead_in(),
        beams=shown,
        lamp_ids=watch.lamps.ids,
        lamps=watch.lamps.read(),
        weather=air,
        log=np.array(episode.log, np.float32).reshape(-1, 3),
        digests=tuple(watch.digests),
        origin=tuple(episode.origin),
        told=tuple(episode.manners.record),
        episode=episode.state(),
        digest=episode.digest(),
    )


def restore(backend: CarlaBackend, data: bytes, tier: str) -> Outcome:
    """Become the snapshot's state by that tier.

    Raises SnapshotCorrupt or SnapshotMismatch: before anything is changed, unless the snapshot's map had to be loaded to see it.
    """
    state = snapshots.read(data)
    _check_server(backend, state)
    started, first = time.monotonic(), backend.link.frame()
    if backend.link.town != state.map:
        backend.arrive(state.settings)
    _check_map(backend, state)
    account = Account(tier)
    backend.progress(f"restoring route {state.settings.route.id} by {tier}", state.tick)
    with backend.whole():
        episode = _gone_through(backend, state, account)
        _become(episode, state, account)
        account.ticks = backend.link.frame() - first
        fidelity = _report(episode, state, account, time.monotonic() - started)
        return backend.outcome(episode, [], [], {**view.beginning(episode.play, state.settings), "fidelity": fidelity})


def _gone_through(backend: CarlaBackend, state: State, account: Account) -> Episode:
    """The episode whose world stands as the tier leads to it."""
    if account.tier == TRANSFER:
        return transfer(backend, state, account)
    episode = replay(backend, state, account, snap=account.tier == HYBRID)
    if account.tier == HYBRID and not _comparable(episode, state):
        account.corrected = len(state.roles)
        return transfer(backend, state, account)
    return episode


def _check_server(backend: CarlaBackend, state: State) -> None:
    link = backend.link
    if state.server != link.version:
        raise SnapshotMismatch(f"the snapshot is of CARLA {state.server}; this worker's server is {link.version}")
    if state.map != state.settings.route.town or state.dt != DT:
        raise SnapshotCorrupt("the snapshot's map or tick is not that of its own route")
    if state.map != link.town and state.map not in link.towns:
        raise SnapshotMismatch(f"the snapshot is of {state.map}; this CARLA server has only {', '.join(link.towns)}")


def _check_map(backend: CarlaBackend, state: State) -> None:
    """The map is the snapshot's own, and its scenario can be what the snapshot says."""
    if state.opendrive != backend.link.map_hash:
        raise SnapshotMismatch(f"{state.map} on this CARLA server is another {state.map} than the snapshot's: their OpenDRIVE texts differ")
    unknown = {role.type_id for role in state.roles} - {blueprint.id for blueprint in backend.link.blueprints}
    if unknown:
        raise SnapshotMismatch(f"the snapshot has {', '.join(sorted(unknown)[:4])}, which this CARLA server has no blueprints of")
    try:
        governed = backend.road(state.settings)
    except RequestError as error:
        raise SnapshotCorrupt(f"the snapshot's route cannot be driven on its own map: {error}") from None
    plan = plan_of(state.settings, governed.road)
    ours = sum(not role.autopilot for role in state.roles)
    if len(plan.cast.members) != ours:
        raise SnapshotCorrupt(f"the snapshot has {ours} actors of its scenario, which has {len(plan.cast.members)}")
    looks = [Look(ActorKind.CAR, 4.0, 2.0, 1.5)] * len(state.roles)
    play = Play(plan, governed, state.settings, looks[:ours], looks[ours:])
    Episode.check(state.episode, play, Task(governed.road.length, DT, state.settings.terms))


def _become(episode: Episode, state: State, account: Account) -> None:
    """What is only in Python, where the way here has not led to the very same; and what tells how the episode came about."""
    lived = account.tier != TRANSFER and not account.corrected and account.diverged_at < 0
    account.same = lived and episode.digest() == state.digest
    if not account.same:
        _load(episode, state)
        episode.log = [(throttle, brake, steer) for throttle, brake, steer in state.log.tolist()]
        episode.watch.digests = list(state.digests)
        episode.origin = [*state.origin, (account.tier, state.tick)]


def _load(episode: Episode, state: State) -> None:
    if [member.key for member in episode.cast] == [role.key for role in state.roles]:
        episode.load(state.episode)
        episode.resume(episode.link.frame(), state.episode["s"])
    else:  # somebody found no room in the replay: the scenario goes on as it is, with the snapshot's task
        episode.task.load(state.episode["task"])
        episode.play.tick = state.tick


def _comparable(episode: Episode, state: State) -> bool:
    """Whether a replay has led to the snapshot's tick with its cast, so that single actors can be corrected."""
    return episode.tick == state.tick and [member.key for member in episode.cast] == [role.key for role in state.roles]


def _report(episode: Episode, state: State, account: Account, seconds: float) -> Dict[str, Any]:
    keys: List[str] = [role.key for role in state.roles]
    found, extra = aligned(episode.watch.now(), [member.key for member in episode.cast], keys)
    account.missing = int(np.count_nonzero(state.now.alive & ~found.alive))
    account.extra = extra + int(np.count_nonzero(found.alive & ~state.now.alive)) + _strangers(episode)
    lamps = lamps_off(episode.watch.lamps.read(), state.lamps, DT)
    return report(account, residuals(found, state.now), lamps, keys, seconds)


def _strangers(episode: Episode) -> int:
    """How many vehicles and walkers are in the world that are not of the episode."""
    ours = {member.actor.id for member in episode.cast}
    with asking("looking who is there"):
        there = episode.link.world.get_actors()
    return sum(actor.id not in ours for kind in ("vehicle.*", "walker.*") for actor in there.filter(kind))
