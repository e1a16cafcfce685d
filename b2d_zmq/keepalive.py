"""The keep-alives of one client: "whoever holds these leases is still there", sent while its trainer computes.

A trainer that spends a minute in an optimiser step asks nothing, and must not lose its leases for it; so this is the one second
thread of a client's process. It has a socket of its own, sends a notice of a few bytes every fifth of a lease's time to live, holds no
reference to the client, and ends when it is told to, or with the process. The notice names the leases: one that was granted in an answer
that came too late is not among them, so it lapses and its worker is free again.
"""

from __future__ import annotations

import logging
import threading
from typing import Tuple

import zmq

from .codec import encode
from .door import Door
from .keys import Keys
from .protocol import Header, Kind, Message, pack

log = logging.getLogger(__name__)


class KeepAlive:
    """Sends KEEPALIVE for the leases of ``token`` named in ``held``, while there are any; started by ``start``, ended by ``stop``."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, token: str, keys: Keys | None = None) -> None:
        self.held: Tuple[str, ...] = ()  # replaced whole, never changed: two threads see it
        self._context, self._endpoint, self._token, self._keys = context, endpoint, token, keys
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, ttl: float) -> None:
        """Begin, if not begun yet; ``ttl`` is the time to live of a lease in seconds."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, args=(ttl / 5.0,), name="b2d-keepalive", daemon=True)
            self._thread.start()

    def stop(self) -> bool:
        """End the thread and wait for it; True when its socket is closed (False only when called from the thread itself)."""
        self._stopped.set()
        if self._thread is threading.current_thread():
            return False
        if self._thread is not None:
            self._thread.join()
        return True

    def _run(self, interval: float) -> None:
        socket = self._context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.IMMEDIATE, 1)
        socket.setsockopt(zmq.SNDHWM, 1)
        with Door(socket, self._endpoint, self._keys) as door:
            door.open()
            while not self._stopped.wait(interval):
                held = self.held
                if held:
                    self._send(door, held)

    def _send(self, door: Door, held: Tuple[str, ...]) -> None:
        notice = Message(Header(Kind.KEEPALIVE), encode({"client": self._token, "leases": list(held)}))
        try:
            door.socket.send_multipart(pack(notice), zmq.NOBLOCK)
        except zmq.Again:
            log.debug("no broker at %s took a keep-alive", self._endpoint)
        door.look()
        door.knock()
        while door.socket.poll(0):
            log.debug("dropped a message of %d frames that came to the keep-alive socket", len(door.socket.recv_multipart()))
