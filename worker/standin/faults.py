"""What the stand-in does wrong when it is told to, so that a farm can be tested against a server that behaves badly."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass, field
from typing import List


class Refused(Exception):
    """The server ends before it is up; the text is its last line."""


@dataclass
class Faults:
    """Counts ticks and loads, and misbehaves at the ones it was given; 0 is never."""

    start_seconds: float = 0.0  # the port opens that late
    refuse_start: bool = False
    hang_at_tick: int = 0
    die_at_tick: int = 0
    die_in_load: int = 0
    leak_mb: float = 0.0  # per tick
    ticks: int = 0
    loads: int = 0
    _leaked: List[bytes] = field(default_factory=list)

    def start(self) -> None:
        """Before the ports open."""
        if self.refuse_start:
            raise Refused("LogInit: Error: the GPU could not be initialised (VK_ERROR_INITIALIZATION_FAILED); shutting down")

    def tick(self) -> None:
        """At the begin of each tick that a client has asked for."""
        self.ticks += 1
        if self.leak_mb:
            self._leaked.append(b"\x01" * int(self.leak_mb * 1024 * 1024))
        if self.ticks == self.die_at_tick:
            _die()
        if self.ticks == self.hang_at_tick:
            _hang()

    def load(self) -> None:
        """At the begin of each load that a client has asked for."""
        self.loads += 1
        if self.loads == self.die_in_load:
            _die()


def _die() -> None:
    """As the real one dies: a line, and a segmentation fault."""
    sys.stderr.write("Signal 11 caught.\nEngine crash handling finished; re-raising signal 11 for the default handler. Good bye.\n")
    sys.stderr.flush()
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGSEGV)


def _hang() -> None:
    """For ever, with all ports open."""
    while True:
        signal.pause()
