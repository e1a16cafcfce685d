"""When a sensor speaks: each tick, or each ``sensor_tick`` seconds of simulated time, and only to who listens.

What it says is the affair of ``sense``.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List

from .actors import Actor
from .sense import INDEX, readings
from .snapshot import HEADER
from .streams import Streams
from .world import World


class Sensing:
    """The sensors of one episode."""

    def __init__(self, world: World, streams: Streams, told: Callable[[Actor], Any]):
        self._world = world
        self._told = told  # an actor as the wire has it
        self._streams = streams
        self._sensors: List[Actor] = []
        self.stale = True  # actors have come or gone
        self._due: Dict[int, float] = {}  # sensor -> elapsed time of its next message

    def send(self) -> None:
        """This tick's data, in the order of the sensors' ids."""
        world = self._world
        if self.stale:
            self.stale = False
            self._sensors = [actor for actor in world.actors.values() if actor.stream]
        for actor in self._sensors:
            if actor.stream in self._streams and self._is_due(actor):
                head = HEADER.pack(INDEX[actor.type_id], world.frame, world.elapsed, *actor.pose)
                for payload in readings(actor, world, self._told):
                    self._streams.send(actor.stream, head, payload)

    def _is_due(self, actor: Actor) -> bool:
        period = float(actor.attributes.get("sensor_tick") or 0.0)
        if period <= 0.0:
            return True
        now = self._world.elapsed
        due = self._due.get(actor.id, now)
        if now + 1e-6 < due:
            return False
        self._due[actor.id] = max(due + period, now)
        return True
