"""Held: the weight of the jobs that the broker keeps, all together and by who sent them.

A job is kept from its coming until it is answered, with its body: a host that attaches again gets it once more. So a few clients that
restore large snapshots could fill the memory; what is over the bound is BUSY instead. One peer has at most half, so that there is room
for others. A job is never refused while nothing else is kept: however large it may be, it passes in the end.
"""

from __future__ import annotations

from typing import Any, Dict, Sequence

from b2d_zmq.errors import Busy
from b2d_zmq.protocol import frame_bytes

MOST_BYTES = 1024**3


class Held:
    """Counts bytes; keeps nothing itself."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.total = 0
        self.by_sender: Dict[bytes, int] = {}

    def take(self, sender: bytes, body: Sequence[Any]) -> None:
        """Count a job that will be kept. Raises Busy."""
        size, own = sum(map(frame_bytes, body)), self.by_sender.get(sender, 0)
        if self.total and self.total + size > self._most:
            raise Busy(f"the jobs under way weigh {self.total} bytes already, the most is {self._most}")
        if own and own + size > self._most // 2:
            raise Busy(
                f"your jobs under way weigh {own} bytes already, the most is {self._most // 2}; wait for an answer before sending more"
            )
        self.total += size
        self.by_sender[sender] = own + size

    def let_go(self, sender: bytes, body: Sequence[Any]) -> None:
        """A job that was counted is answered, or goes no further."""
        size = sum(map(frame_bytes, body))
        self.total -= size
        left = self.by_sender[sender] - size
        if left:
            self.by_sender[sender] = left
        else:
            del self.by_sender[sender]
