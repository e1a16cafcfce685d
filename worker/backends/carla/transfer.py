"""A snapshot's state on the present server by setting what can be set: no reset, and as many ticks whatever the age of the state.

The order matters. The traffic manager lets go of everybody and is seeded anew, which resets the lights, so it comes before them; weather;
the cast; the lights; the traffic manager is told again what it had been told; the lead-in; and what was only in Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Sequence

import numpy as np

from b2d_zmq.errors import SnapshotMismatch

from . import orders
from .arrival import restore_all
from .capture import WEATHER
from .drafting import draft
from .episode import Episode, Member
from .fidelity import Account
from .lead_in import LeadIn
from .link import Link, asking
from .moment import Moment
from .reconcile import reconcile
from .signals import Governed
from .snapshot import State
from .staging import sweep
from .traffic import Manners

if TYPE_CHECKING:
    from .backend import CarlaBackend


def transfer(backend: CarlaBackend, state: State, account: Account) -> Episode:
    """The snapshot's episode on the present server, with as many of the present episode's actors as fit."""
    governed, before = backend.arrive(state.settings, keep=True)
    episode = _staged(backend, state, governed, before)
    backend.enter(episode)
    backend.progress("leading in", state.tick)
    _lead(episode, state, account)
    return episode


def _staged(backend: CarlaBackend, state: State, governed: Governed, before: Sequence[Member]) -> Episode:
    """Everybody about where the lead-in begins."""
    link, first = backend.link, state.lead_in[0]
    plan = draft(link, state.settings, governed)
    sensors = backend.carrier.join(plan.wanted[0], orders.transform(link.carla, first.motion[0]))
    sensors.pause()
    _let_go(link, before)
    sweep(link, {backend.carrier.ego.id, *(member.actor.id for member in before)})
    manners = Manners(link.tm)
    with asking("resetting traffic and lights"):
        manners.again([told for told in state.told if not told[1]], lambda key: None)
        restore_all(link.world, link.light_times)  # those of the present episode, which may have been elsewhere
    _set_weather(link, state.weather)
    live = {**{member.key: member.actor for member in before}, "ego": backend.carrier.ego}
    cast = reconcile(link, state.roles, _first_places(state), live)
    members = [Member(role.key, actor, role.autopilot) for role, actor in zip(state.roles, cast)]
    episode = Episode(link, plan, sensors, manners, members)
    if episode.watch.lamps.ids != state.lamp_ids:
        raise SnapshotMismatch("the snapshot's traffic lights are not those of this map")
    return episode


def _lead(episode: Episode, state: State, account: Account) -> None:
    lead_in = LeadIn(episode.link, state, episode.watch, account)
    lead_in.align()
    episode.sensors.resume()
    _hire(episode, state.told)
    lead_in.run()
    lead_in.land()


def _first_places(state: State) -> Moment:
    """Where the lead-in begins, of those who are there in the end."""
    first, now = state.lead_in[0], state.now
    return Moment(np.where(first.alive[:, None], first.motion, now.motion), first.control, now.alive)


def _let_go(link: Link, before: Sequence[Member]) -> None:
    """No more traffic manager for those who are there, and one tick in which it forgets them."""
    present = link.world.get_snapshot()
    driven = [member.actor for member in before if member.autopilot and present.has_actor(member.actor.id)]
    link.tell([link.carla.command.SetAutopilot(actor, False, link.tm_port) for actor in driven], "stopping the traffic")
    link.tick()


def _hire(episode: Episode, told: Sequence[Any]) -> None:
    """The traffic manager drives its vehicles again, from the first spawned to the last, as it had been told to."""
    actors: Dict[str, Any] = {member.key: member.actor for member in episode.cast if member.autopilot and member.actor.is_alive}
    autopilot = episode.link.carla.command.SetAutopilot
    with asking("instructing the traffic"):
        episode.link.tell([autopilot(actor, True, episode.link.tm_port) for actor in actors.values()], "starting the traffic")
        episode.manners.again([each for each in told if each[1]], actors.get)


def _set_weather(link: Link, wanted: Any) -> None:
    numbers = dict(zip(WEATHER, (float(number) for number in wanted)))
    with asking("setting the weather"):
        link.world.set_weather(link.carla.WeatherParameters(**numbers))
