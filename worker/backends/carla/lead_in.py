"""A cast on its way to a snapshot's present: held while the lights are brought to their phase, then led through the last moments.

For each of the last ticks everybody is put where they were before it, moving as they did, under the control of that very tick: so wheels,
gears and bodies have a history when the present is reached, by the simulator's own physics. Who is placed by the scenario has no physics
and is put where the tick ends. Lights are held until the last tick. What is off in the end is tried again.
"""

from __future__ import annotations

from typing import Any, List, Sequence, Tuple

from . import orders
from .capture import Watch
from .fidelity import Account, Residuals, residuals
from .lights import Alignment, clocks, hold
from .link import Link
from .moment import Moment
from .snapshot import State

RETRIES = 2
STANDING = 3  # ticks of lead-in where the snapshot has none

_LANDING = 1  # ticks before the present at which the lights' clocks run again


class LeadIn:
    """The way of a cast, which ``watch`` sees already, to the snapshot's present."""

    def __init__(self, link: Link, state: State, watch: Watch, account: Account) -> None:
        self._link, self._state, self._watch, self._account = link, state, watch, account
        self._placed = [row > 0 and not role.autopilot for row, role in enumerate(state.roles)]  # put where the scenario has them
        steps = state.lead_in if len(state.lead_in) > 1 else state.lead_in * (STANDING + 1)
        self._steps: Tuple[Moment, ...] = steps

    def align(self) -> None:
        """The lights brought to their phase and held there; everybody waits at the beginning of the lead-in. One tick at least."""
        lamps = self._watch.lamps
        alignment = Alignment(self._state.lamps, lamps.groups, self._state.dt)
        lamps.falsify(self._state.lamps.times)
        lamps.see()
        lamps.obey(alignment.begin(lamps.read()))
        self._tick(self._hold(self._steps[0], self._steps[0]))
        lamps.obey(alignment.look(lamps.state()))
        while not alignment.done:
            self._tick(self._hold(self._steps[0], self._steps[0]))
            lamps.obey(alignment.look(lamps.state()))

    def run(self) -> Residuals:
        """Everybody through the last moments to the present, up to RETRIES times again; what is left of the difference."""
        for attempt in range(1 + RETRIES):
            self._account.retries = attempt
            if attempt:
                self._watch.lamps.obey(hold(self._watch.lamps.groups))
            self._approach()
            off = residuals(self._watch.now(), self._state.now)
            if not off.over().any():
                break
        return off

    def land(self) -> None:
        """The exact state once more, without a tick: the next one starts from there. The lights of the vehicles."""
        carla, commands = self._link.carla, []
        for row, actor in self._there():
            commands += self._pin(row, actor, self._state.now)
            if self._state.roles[row].kind == "vehicle":
                beams = carla.VehicleLightState(int(self._state.beams[row]))
                commands.append(carla.command.SetVehicleLightState(actor.id, beams))
        self._link.tell(commands, "handing over")

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
            commands += self._pin(row, actor, after if self._placed[row] else before)
            if not self._placed[row]:
                commands += orders.steer(self._link.carla, actor, self._state.roles[row], after.control[row], hold_gear)
        return commands

    def _tick(self, commands: Sequence[Any]) -> None:
        self._link.tell(commands, "leading in")
        self._link.tick()
        self._watch.see(self._link.world.get_snapshot())

    def _there(self) -> List[Tuple[int, Any]]:
        return [(row, actor) for row, actor in enumerate(self._watch.actors) if actor.is_alive and self._state.now.alive[row]]

    def _pin(self, row: int, actor: Any, where: Moment) -> List[Any]:
        motion = where.motion[row]
        if self._placed[row]:
            return [self._link.carla.command.ApplyTransform(actor.id, orders.transform(self._link.carla, motion))]
        return orders.pin(self._link.carla, actor, motion)
