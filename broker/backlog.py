"""Backlog: how many bytes are on their way to each peer that it has not taken.

libzmq keeps what a slow peer has not read and counts messages, not bytes. A peer that asks and asks and never reads would fill the memory
with its answers; with this count it is BUSY instead. Now and then a message's header is a marker: libzmq lets go of it when everything
before it has left, and the marks that are still kept tell what has not.
"""

from __future__ import annotations

from collections import deque
from typing import Deque, Dict, Tuple, Union

import zmq

MOST_BYTES = 64 * 1024 * 1024  # a peer with more than that on its way to it is BUSY
MARK_EVERY = 4 * 1024 * 1024  # bytes from marker to marker; one costs some 30 us
PEERS = 4096  # those with nothing on their way are forgotten beyond it


class _Line:
    """What was sent to one peer: bytes so far, bytes up to the last marker, and up to the last that has left."""

    __slots__ = ("left", "marked", "marks", "sent")

    def __init__(self) -> None:
        self.sent = self.marked = self.left = 0
        self.marks: Deque[Tuple[int, zmq.MessageTracker]] = deque()

    def waiting(self) -> int:
        while self.marks and self.marks[0][1].done:
            self.left = self.marks.popleft()[0]
        return self.sent - self.left if self.marks else 0


class Backlog:
    """Counts what goes out; the sockets are the server's."""

    def __init__(self) -> None:
        self._lines: Dict[bytes, _Line] = {}
        # the first marker starts what pyzmq needs for them, and that must not be when strangers have taken the last file descriptor
        zmq.Frame(b"", track=True, copy=False, copy_threshold=0)

    def header(self, to: bytes, packed: bytes, size: int) -> Union[bytes, zmq.Frame]:
        """The header to send before a body of ``size`` bytes to this peer: the packed one, or the same as a marker."""
        line = self._lines.get(to)
        if line is None:
            line = self._lines[to] = _Line()
            if len(self._lines) > PEERS:
                self._lines = {peer: kept for peer, kept in self._lines.items() if kept is line or kept.waiting()}
        line.sent += len(packed) + size
        if line.sent - line.marked < MARK_EVERY:
            return packed
        line.marked = line.sent
        frame = zmq.Frame(packed, track=True, copy=False, copy_threshold=0)
        line.marks.append((line.sent, frame.tracker))
        return frame

    def forget(self, peer: bytes) -> None:
        """The peer is gone."""
        self._lines.pop(peer, None)

    def waiting(self, peer: bytes) -> int:
        """Bytes on their way to this peer, to the next marker; 0 where it reads what it gets."""
        line = self._lines.get(peer)
        return line.waiting() if line else 0
