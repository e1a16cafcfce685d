"""The clocks of the traffic lights: groups of phases, as CARLA has them.

A group's lamps of one phase are green, then yellow, then red for their own times, and then the next phase has its turn; only the phase
whose turn it is has a running clock. Setting a lamp's state from outside changes the lamp only, until the clock's next transition.
"""

from __future__ import annotations

from typing import Dict, Iterable, List, Set

from .actors import Actor, Lamp

RED, YELLOW, GREEN, OFF, UNKNOWN = range(5)

_ORDER = {GREEN: YELLOW, YELLOW: RED}


class Group:
    """The lamps of one junction, by phase."""

    def __init__(self, lamps: Iterable[Actor]):
        phases: Dict[int, List[Actor]] = {}
        for lamp in lamps:
            phases.setdefault(lamp.body.phase, []).append(lamp)
        self.phases = [phases[key] for key in sorted(phases)]
        self.turn = 0
        self.state = GREEN
        self.elapsed = 0.0
        self.frozen = False
        self._show()

    def lamps(self) -> List[Actor]:
        """All lamps of the group."""
        return [lamp for phase in self.phases for lamp in phase]

    def reset(self) -> None:
        """The first phase's turn begins anew, all others are red."""
        self.turn, self.state, self.elapsed = 0, GREEN, 0.0
        self._show()

    def freeze(self, frozen: bool) -> None:
        """Stop or start the clock."""
        self.frozen = frozen
        for lamp in self.lamps():
            lamp.body.frozen = frozen

    def advance(self, delta: float, touched: Set[int]) -> None:
        """One tick; the ids of the lamps that look different now are added to ``touched``."""
        if self.frozen:
            return
        self.elapsed += delta
        phase = self.phases[self.turn]
        if self.elapsed + 1e-6 >= self._span(phase[0].body):
            self.elapsed = 0.0
            if self.state == RED:
                self.turn, self.state = (self.turn + 1) % len(self.phases), GREEN
                phase = self.phases[self.turn]
            else:
                self.state = _ORDER[self.state]
            for lamp in phase:
                lamp.body.state = self.state
        for lamp in phase:
            lamp.body.elapsed = self.elapsed
            touched.add(lamp.id)

    def _span(self, lamp: Lamp) -> float:
        return {GREEN: lamp.green, YELLOW: lamp.yellow, RED: lamp.red}[self.state]

    def _show(self) -> None:
        for turn, phase in enumerate(self.phases):
            for lamp in phase:
                lamp.body.state = self.state if turn == self.turn else RED
                lamp.body.elapsed = self.elapsed if turn == self.turn else 0.0


def groups_of(actors: Iterable[Actor]) -> Dict[int, Group]:
    """The groups of all lamps, by number."""
    members: Dict[int, List[Actor]] = {}
    for actor in actors:
        if isinstance(actor.body, Lamp) and actor.body.group >= 0:
            members.setdefault(actor.body.group, []).append(actor)
    return {key: Group(members[key]) for key in sorted(members)}
