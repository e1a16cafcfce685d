"""Traffic lights brought to the phase and the remaining time of a snapshot, although CARLA lets nobody set a light's clock.

The trick: a group is reset, all its times are made nothing, so that every tick moves it on by one state, until the wanted phase shows
the wanted state; there its times are made endless until they count again; then that state's time is set to what must remain, and the
true time is put back when it has passed. (Freezing would be simpler, but CARLA's documents say that it freezes the whole town.)
Pure: ``Alignment`` is told what the lights show after each tick and answers with orders; who carries them out is ``lamps``.
"""

from __future__ import annotations

import math
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from .moment import GREEN, RED, TIME_OF, YELLOW, Lamps

RESET, TIMES, FREEZE, THAW, SHOW = "reset", "times", "freeze", "thaw", "show"

Late = Dict[int, Tuple[int, float]]
"""Rows whose clock is behind -> (the state that this is true for, by how many seconds): that state's time is given so much shorter."""

_NOTHING, _ENDLESS = (0.0, 0.0, 0.0), (1e5, 1e5, 1e5)
_STATES = 3  # of a phase: a group of p phases is back where it was after 3 p ticks


class Order(NamedTuple):
    """One thing to do to one light. ``times`` are seconds of green, yellow, red; ``state`` is CARLA's number."""

    row: int
    what: str
    times: Tuple[float, float, float] = _NOTHING
    state: int = RED


def turns(state: Any, before: Any, groups: Sequence[Sequence[int]]) -> Any:
    """bool [M]: whose turn it is, seen from what shows now and whose turn it was: where all are red, the last that were not."""
    now = before.copy()
    for rows in groups:
        lit = [row for row in rows if state[row] in (GREEN, YELLOW)]
        if lit:
            now[list(rows)] = False
            now[lit] = True
    return now


def ticks_left(left: float, dt: float) -> int:
    """In how many ticks a clock changes its state."""
    return max(1, math.ceil(left / dt - 0.01))


class Alignment:
    """See the module's text. ``groups`` are the rows of each group; ``clocks`` is what follows."""

    def __init__(self, wanted: Lamps, groups: Sequence[Sequence[int]], dt: float) -> None:
        self._wanted, self._dt = wanted, dt
        self._open = [list(rows) for rows in groups]
        self._turn = np.zeros(len(wanted.state), np.bool_)
        self._ticks, self._most = 0, 2 + _STATES * max([len(rows) for rows in groups], default=0)
        self.stuck: List[int] = []  # rows of groups that never showed what is wanted

    @property
    def done(self) -> bool:
        """Nothing is left to wait for."""
        return not self._open

    def begin(self, now: Lamps) -> List[Order]:
        """What to do before the first tick. A group that is where it should be stays there."""
        orders = [Order(rows[0], THAW) for rows in self._open if now.frozen[rows].any()]
        fits = [rows for rows in self._open if self._fits(rows, now)]
        self._open = [rows for rows in self._open if rows not in fits]
        for rows in self._open:
            orders += [*(Order(row, TIMES) for row in rows), Order(rows[0], RESET)]
        return orders + hold(fits)

    def look(self, state: Any) -> List[Order]:
        """What to do after a tick that showed these states."""
        self._ticks += 1
        self._turn = turns(state, self._turn, self._open)
        there = [rows for rows in self._open if self._shows(rows, state)]
        self._open = [rows for rows in self._open if rows not in there]
        orders = hold(there)
        if self._ticks >= self._most:
            self.stuck = [row for rows in self._open for row in rows]
            orders += hold(self._open)
            orders += [Order(row, SHOW, state=int(self._wanted.state[row])) for row in self.stuck]
            self._open = []
        return orders

    def _fits(self, rows: List[int], now: Lamps) -> bool:
        wanted = self._wanted
        near = np.abs(now.left[rows] - wanted.left[rows]) <= 1.5 * self._dt
        same = (now.state[rows] == wanted.state[rows]) & (now.turn[rows] == wanted.turn[rows])
        return bool((same & (near | ~wanted.turn[rows])).all())

    def _shows(self, rows: List[int], state: Any) -> bool:
        wanted = self._wanted
        same = bool((state[rows] == wanted.state[rows]).all())
        return same and (not wanted.turn[rows].any() or bool((self._turn[rows] == wanted.turn[rows]).all()))


def clocks(wanted: Lamps, elapsed: Any, groups: Sequence[Sequence[int]], dt: float, ahead: int) -> Tuple[List[Order], Late]:
    """What to do to aligned lights ``ahead`` ticks before the wanted moment: the time that must remain, true times else, and go."""
    late: Late = {}
    for row in np.flatnonzero(wanted.turn).tolist():
        state = int(wanted.state[row])
        if state in TIME_OF:
            remain = (ticks_left(float(wanted.left[row]), dt) + ahead - 0.5) * dt
            late[row] = (state, float(wanted.times[row, TIME_OF[state]]) - float(elapsed[row]) - remain)
    orders = [Order(row, TIMES, given(row, wanted.times, late)) for row in range(len(wanted.state))]
    orders += [Order(rows[0], FREEZE) for rows in groups if wanted.frozen[rows[0]]]
    return orders, late


def hold(groups: Sequence[Sequence[int]]) -> List[Order]:
    """Have these groups stay as they are."""
    return [Order(row, TIMES, _ENDLESS) for rows in groups for row in rows]


def given(row: int, true: Any, late: Late) -> Tuple[float, float, float]:
    """The times that a light must be given so that it changes when it would with its true ones."""
    times = [float(each) for each in true[row]]
    if row in late:
        state, behind = late[row]
        times[TIME_OF[state]] = max(0.0, times[TIME_OF[state]] - behind)
    return times[0], times[1], times[2]


def back(late: Late, state: Any, true: Any) -> Tuple[List[Order], Late]:
    """After each tick that follows: orders to put true times back where the state has passed, and what is still late."""
    rest = {row: each for row, each in late.items() if state[row] == each[0]}
    return [Order(row, TIMES, given(row, true, rest)) for row in late if row not in rest], rest
