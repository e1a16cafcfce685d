"""A snapshot's world on the present server by setting what can be set: the fast tier, and the last step of the hybrid one.

The order matters. The traffic manager lets go; weather; the cast is reconciled; the lights are brought to their phase while everybody is
held at the first moment of the lead-in; then everybody goes through the lead-in, one tick after the other put where they were, so that
wheels, gears and bodies have a history when the present is reached. What is still off is tried again, and told honestly in the end.
"""

from __future__ import annotations

from typing import Any, List, Sequence, Tuple

from . import orders
from .capture import WEATHER, Watch, weather
from .fidelity import Account, Residuals, residuals
from .lights import FREEZE, Alignment, Order, clocks
from .link import Link, asking
from .moment import Moment
from .snapshot import State

RETRIES = 2
STANDING = 3  # ticks of lead-in where the snapshot has none, at the reset

_LANDING = 1  # ticks before the present at which the lights' clocks run again


class Transfer:
    """One transfer into a cast that ``watch`` sees already; ``placed`` are the rows that are put in their places rather than driven."""

    def __init__(self, link: Link, state: State, watch: Watch, placed: Sequence[bool], account: Account) -> None:
        self._link, self._state, self._watch, self._account = link, state, watch, account
        self._placed = placed
        steps = state.lead_in if len(state.lead_in) > 1 else state.lead_in * (STANDING + 1)
        self._steps: Tuple[Moment, ...] = steps

    def align(self) -> None:
        """The weather, and the lights frozen in their phase; everybody waits at the beginning of the lead-in."""
        self._set_weather()
        lamps = self._watch.lamps
        alignment = Alignment(self._state.lamps, lamps.groups, self._state.dt)
        lamps.late = {}
        lamps.obey(alignment.begin(lamps.read()))
        self._tick(self._hold(self._steps[0], self._steps[0]))
        lamps.obey(alignment.look(lamps.state()))
        while not alignment.done:
            self._tick(self._hold(self._steps[0], self._steps[0]))
            lamps.obey(alignment.look(lamps.state()))

    def lead_in(self) -> Residuals:
        """Everybody through the last moments to the present, up to RETRIES times again; what is left of the difference."""
        for attempt in range(1 + RETRIES):
            self._account.retries = attempt
            if attempt:
                self._freeze()
            self._approach()
            off = residuals(self._watch.now(), self._state.now)
            if not off.over().any():
                break
        return off

    def land(self) -> None:
        """The exact state once more, without a tick: the next one starts from there."""
        now, commands = self._state.now, []
        for row, actor in self._there():
            commands += orders.pin(self._link.carla, actor, now.motion[row]) if self._moves(row) else []
        for row, actor in self._there():
            if self._state.roles[row].kind == "vehicle":
                beams = self._link.carla.VehicleLightState(int(self._state.beams[row]))
                commands.append(self._link.carla.command.SetVehicleLightState(actor.id, beams))
        self._link.batch(commands, "handing over")

    def _approach(self) -> None:
        lamps = self._watch.lamps
        for number, (before, after) in enumerate(zip(self._steps, self._steps[1:])):
            last = number == len(self._steps) - 2
            if last:
                told, lamps.late = clocks(self._state.lamps, lamps.elapsed(), lamps.groups, self._state.dt, _LANDING)
                lamps.obey(told)
            self._tick(self._hold(before, after, hold_gear=not last))

    def _hold(self, before: Moment, after: Moment, hold_gear: bool = True) -> List[Any]:
        """Commands for one tick that leads from the first moment to the second."""
        commands: List[Any] = []
        for row, actor in self._there():
            if not (before.alive[row] and after.alive[row]):
                continue
            if self._moves(row):
                where = after if self._placed[row] else before
                commands += orders.pin(self._link.carla, actor, where.motion[row])
            commands += orders.steer(self._link.carla, actor, self._state.roles[row], after.control[row], hold_gear)
        return commands

    def _tick(self, commands: Sequence[Any]) -> None:
        self._link.batch(commands, "leading in")
        self._link.tick()
        self._account.ticks += 1
        self._watch.see(self._link.world.get_snapshot())

    def _freeze(self) -> None:
        lamps = self._watch.lamps
        lamps.obey([Order(rows[0], FREEZE) for rows in lamps.groups])

    def _there(self) -> List[Tuple[int, Any]]:
        return [(row, actor) for row, actor in enumerate(self._watch.actors) if actor is not None and self._state.now.alive[row]]

    def _moves(self, row: int) -> bool:
        return self._state.roles[row].kind != "prop" or self._placed[row]

    def _set_weather(self) -> None:
        with asking("setting the weather"):
            if (weather(self._link.world) != self._state.weather).any():
                wanted = dict(zip(WEATHER, (float(number) for number in self._state.weather)))
                self._link.world.set_weather(self._link.carla.WeatherParameters(**wanted))
