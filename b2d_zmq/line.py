"""Line: the sockets of a Client and the names of the leases it holds; kept apart from it so that leaving needs no Client."""

from __future__ import annotations

import logging
import os
from typing import Any, Dict, Sequence

import zmq

from .codec import decode, encode
from .door import Door
from .errors import B2DError
from .keepalive import KeepAlive
from .keys import Keys
from .protocol import Header, Kind, Message, pack

FAREWELL_MS = 500  # the longest that leaving may take for the release of what is still held

log = logging.getLogger(__name__)


class Line:
    """One DEALER to the broker with its ``door``, and the keep-alive beside it. Raises ZMQError for what is no endpoint."""

    def __init__(self, endpoint: str, token: str, keys: Keys | None) -> None:
        self.pid = os.getpid()
        self._token = token
        self._held: Dict[str, None] = {}  # in the order of their coming
        self.handed: Dict[str, Any] = {}  # by lease: the episode of a worker that was told to leave
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.IMMEDIATE, 1)
        self.socket.setsockopt(zmq.LINGER, FAREWELL_MS)
        self.socket.setsockopt(zmq.SNDHWM, 16)
        self.socket.setsockopt(zmq.RCVHWM, 0)  # at most one answer per request comes; a bound here would stall the broker
        self.socket.setsockopt(zmq.HEARTBEAT_IVL, 5000)  # a broker that stands still is noticed as one that went away
        self.socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 30000)
        self.door = Door(self.socket, endpoint, keys)
        self.poller = zmq.Poller()
        self.poller.register(self.socket, zmq.POLLIN)
        self.poller.register(self.door.monitor, zmq.POLLIN)
        self._keepalive = KeepAlive(self._context, endpoint, token, keys)
        try:
            self.door.open()
        except zmq.ZMQError:
            self.close()
            raise

    def await_way_out(self, seconds: float, connected: bool) -> None:
        """Wait until a request can be sent, or something happened at the door. Where nothing is connected, only the door is watched."""
        poller = zmq.Poller()
        poller.register(self.door.monitor, zmq.POLLIN)
        if connected:
            poller.register(self.socket, zmq.POLLOUT)
        poller.poll(int(seconds * 1000) + 1)

    def hold(self, names: Sequence[str], ttl: float) -> None:
        """Keep these leases alive, of which each lives ``ttl`` seconds."""
        self._held.update(dict.fromkeys(names))
        self._keepalive.held = tuple(self._held)
        self._keepalive.start(ttl)

    def keep(self, handover: Message) -> None:
        """Keep what a worker handed over of a lease that is held here, until it is asked for or the lease is dropped."""
        lease = handover.header.lease
        try:
            if lease in self._held and handover.body:
                self.handed[lease] = decode(handover.body)
        except B2DError as error:
            log.warning("dropped the episode of lease %s, which cannot be read: %s", lease, error)

    def drop(self, names: Sequence[str]) -> None:
        """Keep these leases alive no longer."""
        for name in names:
            self._held.pop(name, None)
            self.handed.pop(name, None)
        self._keepalive.held = tuple(self._held)

    def close(self) -> None:
        """Say goodbye and close; in a forked child the sockets are the parent's and stay untouched."""
        if self.pid != os.getpid():
            return
        ended = self._keepalive.stop()
        if self._held:
            farewell = Message(Header(Kind.RELEASE), encode({"leases": list(self._held), "client": self._token}))
            try:
                self.socket.send_multipart(pack(farewell), zmq.NOBLOCK)
            except zmq.ZMQError as error:
                log.debug("%d leases were left to lapse: %s", len(self._held), error)
        self.door.close()
        if ended:
            self._context.term()
