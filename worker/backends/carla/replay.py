"""A snapshot's state by living through it again: the episode is staged anew and driven by the log of its actions.

Every EVERY ticks the digest is compared with the recorded one. Cameras are off until the lead-in. As ``hybrid``, whoever is over
tolerance when the lead-in begins is taken through it by the hand, as in a transfer, while everybody else goes on with the replay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List

import numpy as np

from . import orders
from .digest import diverged
from .episode import Episode
from .fidelity import Account, residuals
from .moment import Moment
from .snapshot import State

if TYPE_CHECKING:
    from .backend import CarlaBackend

_DARK = 20  # ticks from which on it is worth while to switch the cameras off


def replay(backend: CarlaBackend, state: State, account: Account, snap: bool = False) -> Episode:
    """Stage and drive the snapshot's episode; ``snap`` corrects whoever is off on the last ticks."""
    episode = backend.begin(state.settings)
    steps = state.lead_in[-1 - state.tick :]  # a young state's lead-in reaches back into the staging
    dark = state.tick + 1 - len(steps)
    if state.tick > _DARK:
        episode.sensors.pause()
    _drive(backend, episode, state.log[:dark])
    episode.sensors.resume()
    off = _off(episode, state, steps[0]) if snap and episode.tick == dark else []
    for before, after, control in zip(steps, steps[1:], state.log[dark:]):
        _send(episode, [order for row in off for order in _by_the_hand(episode, state, row, before, after)])
        _drive(backend, episode, [control])
    account.diverged_at = diverged(state.digests, episode.watch.digests)
    if snap:
        late = sorted({*off, *_off(episode, state, state.now)})
        account.corrected = len(late)
        _send(episode, [order for row in late for order in _at_last(episode, state, row)])
    return episode


def _send(episode: Episode, commands: List[Any]) -> None:
    if commands:
        episode.link.tell(commands, "correcting")


def _drive(backend: CarlaBackend, episode: Episode, log: Any) -> None:
    """So many ticks of the log, or fewer where the task ends before: then this is no longer the same episode."""
    for control in log:
        if episode.task.ended:
            return
        if episode.tick % 10 == 0:
            backend.progress("replaying", episode.tick)
        throttle, brake, steer = (float(pedal) for pedal in control)
        episode.step((throttle, brake, steer))


def _off(episode: Episode, state: State, wanted: Moment) -> List[int]:
    """The rows that are over tolerance, where the cast is the snapshot's."""
    if [member.key for member in episode.cast] != [role.key for role in state.roles]:
        return []
    return [int(row) for row in np.flatnonzero(residuals(episode.watch.now(), wanted).over())]


def _by_the_hand(episode: Episode, state: State, row: int, before: Moment, after: Moment) -> List[Any]:
    carla, actor = episode.link.carla, episode.cast[row].actor
    if not episode.watch.now().alive[row]:
        return []
    return [*orders.pin(carla, actor, before.motion[row]), *orders.steer(carla, actor, state.roles[row], after.control[row], True)]


def _at_last(episode: Episode, state: State, row: int) -> List[Any]:
    alive = episode.watch.now().alive[row] and state.now.alive[row]
    return orders.pin(episode.link.carla, episode.cast[row].actor, state.now.motion[row]) if alive else []
