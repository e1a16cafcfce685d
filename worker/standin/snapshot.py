"""The world-state packet: one record of 119 bytes per actor, in one buffer that is written anew each tick.

What cannot have changed since the last packet keeps its bytes: only vehicles, walkers, what hangs on them and what was touched is packed.
The wall clock appears here, as the platform time, and nowhere else in the stand-in's answers.
"""

from __future__ import annotations

import struct
import time
from typing import Dict, List, Set, Tuple

from .actors import Actor, Lamp, Vehicle, Walker
from .world import World

HEADER = struct.Struct("<QQd6f")
RECORD_BYTES = 119

_HEAD = struct.Struct("<IQQd6fQdf3iI")  # length of the message, the common header, the episode's part
_COMMON = struct.Struct("<IB15f")
_VEHICLE = struct.Struct("<IB15f3f3?ifB?IB24x")
_WALKER = struct.Struct("<IB15f4f?37x")
_LAMP = struct.Struct("<IB15f32s4fI?B")
_ORIGIN = (0.0,) * 6
_ACTIVE = 1
_MAP_CHANGED = 1
_GREEN = 2


class Snapshot:
    """The packet of one episode, kept from tick to tick."""

    def __init__(self, index: int, tells_map: bool):
        self._index = index
        self.stale = True  # actors have come or gone
        self._flags = _MAP_CHANGED if tells_map else 0  # of the first packet: connected clients shall ask for the map again
        self._buffer = bytearray(_HEAD.size)
        self._moving: List[Tuple[int, Actor]] = []
        self._places: Dict[int, Tuple[int, Actor]] = {}

    def _lay_out(self, world: World) -> None:
        """Give each actor its place and write them all."""
        self.stale = False
        self._buffer = bytearray(_HEAD.size + RECORD_BYTES * len(world.actors))
        places = [(_HEAD.size + RECORD_BYTES * row, actor) for row, actor in enumerate(world.actors.values())]
        self._places = {place[1].id: place for place in places}
        self._moving = [place for place in places if place[1].parent or isinstance(place[1].body, (Vehicle, Walker))]
        for offset, actor in places:
            self._write(offset, actor, world)

    def pack(self, world: World, touched: Set[int]) -> bytearray:
        """The message of this tick with its length in front. Valid until the next call."""
        if self.stale:
            self._lay_out(world)
        for offset, actor in self._moving:
            self._write(offset, actor, world)
        for each in touched:
            self._write(*self._places[each], world)
        common = (len(self._buffer) - 4, self._index, world.frame, world.elapsed, *_ORIGIN)
        _HEAD.pack_into(self._buffer, 0, *common, world.episode, time.time(), world.delta, 0, 0, 0, self._flags)
        self._flags = 0
        return self._buffer

    def _write(self, offset: int, actor: Actor, world: World) -> None:
        x, y, z, pitch, yaw, roll = actor.pose
        common = (actor.id, _ACTIVE, x, y, z, pitch, yaw, roll, *actor.velocity, *actor.angular, *actor.acceleration)
        body = actor.body
        if isinstance(body, Vehicle):
            control, lamp = body.control, world.actors.get(body.lamp)
            _VEHICLE.pack_into(
                self._buffer, offset, *common, *control[:6], body.gear, body.limit,
                lamp.body.state if lamp else _GREEN, lamp is not None, body.lamp, body.failure,
            )  # fmt: skip
        elif isinstance(body, Walker):
            _WALKER.pack_into(self._buffer, offset, *common, *body.stride.direction, body.stride.speed, body.stride.jump)
        elif isinstance(body, Lamp):
            times = (body.green, body.yellow, body.red, body.elapsed)
            _LAMP.pack_into(self._buffer, offset, *common, body.sign.encode(), *times, body.pole, body.frozen, body.state)
        else:
            _COMMON.pack_into(self._buffer, offset, *common)
