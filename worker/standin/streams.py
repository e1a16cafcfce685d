"""The streams: who listens to what, and messages to them without a copy and without waiting.

A stream that nobody knows, or whose sensor has gone, stays open and silent: a client would come back for ever if it were closed.
Rule: ids are never used again, so that a stale listener never gets another sensor's data.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections import deque
from typing import Deque, Dict, List, Union

Part = Union[bytes, bytearray, memoryview]

_LENGTH = struct.Struct("<I")
MOST_WAITING = 64 * 1024 * 1024
"""Bytes that may wait for one listener: beyond it a synchronous server waits with the next tick, an asynchronous one drops messages."""


class Listener:
    """One connection of a client to one stream; the stream is 0 until the client's four bytes have come."""

    def __init__(self, connection: socket.socket):
        self.socket = connection
        self.stream = 0
        self.hello = b""
        self.waiting: Deque[memoryview] = deque()
        self.bytes_waiting = 0

    def send(self, parts: List[Part]) -> None:
        """Send what the socket takes now and keep the rest. Raises OSError when the client has gone."""
        views = [memoryview(part) for part in parts]
        if not self.waiting:
            views = _rest(views, _sent(self.socket, views))
        self.waiting.extend(memoryview(bytes(view)) if isinstance(view.obj, bytearray) else view for view in views)
        self.bytes_waiting = sum(len(view) for view in self.waiting)

    def flush(self) -> None:
        """Send more of what waits."""
        views = list(self.waiting)
        self.waiting = deque(_rest(views, _sent(self.socket, views[:64])))
        self.bytes_waiting = sum(len(view) for view in self.waiting)


class Streams:
    """All listeners, by stream. ``backlog`` holds those with something waiting, ``gone`` those whose client has left."""

    def __init__(self) -> None:
        self.listeners: Dict[int, List[Listener]] = {}
        self.backlog: List[Listener] = []
        self.gone: List[Listener] = []
        self.lossy = True  # asynchronous: a slow listener loses messages

    def __contains__(self, stream: int) -> bool:
        return bool(self.listeners.get(stream))

    def join(self, listener: Listener) -> None:
        """The listener has said which stream it wants."""
        self.listeners.setdefault(listener.stream, []).append(listener)

    def leave(self, listener: Listener) -> None:
        """The listener's connection has ended."""
        others = self.listeners.get(listener.stream, [])
        if listener in others:
            others.remove(listener)
        if not others:
            self.listeners.pop(listener.stream, None)
        if listener in self.backlog:
            self.backlog.remove(listener)

    def send(self, stream: int, *parts: Part) -> None:
        """A message to all who listen to the stream; the length is put in front."""
        length = _LENGTH.pack(sum(len(part) for part in parts))
        for listener in self.listeners.get(stream, ()):
            self.pass_on(listener, [length, *parts])

    def pass_on(self, listener: Listener, parts: List[Part]) -> None:
        """A whole message, its length in front, to one listener."""
        if self.lossy and listener.bytes_waiting > MOST_WAITING:
            return
        try:
            listener.send(parts)
        except OSError:
            self.gone.append(listener)
            return
        if listener.waiting and listener not in self.backlog:
            self.backlog.append(listener)

    def choked(self) -> bool:
        """Whether some listener has so much waiting that the next tick should wait too."""
        return any(listener.bytes_waiting > MOST_WAITING for listener in self.backlog)


def _sent(connection: socket.socket, views: List[memoryview]) -> int:
    try:
        return connection.sendmsg(views)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK):
            return 0
        raise


def _rest(views: List[memoryview], sent: int) -> List[memoryview]:
    """What remains of the parts after that many bytes."""
    rest = []
    for view in views:
        if sent >= len(view):
            sent -= len(view)
            continue
        rest.append(view[sent:])
        sent = 0
    return rest
