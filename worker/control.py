"""The keeper's end of the control socket: what it tells the broker, and whether it hears one. Holds the socket, decides nothing else."""

from __future__ import annotations

import logging
import time
from typing import Any, Dict, List

import zmq

from b2d_zmq import codec, protocol
from b2d_zmq.door import Door
from b2d_zmq.errors import B2DError
from b2d_zmq.protocol import Header, Kind, Message

SILENCE = 3.5  # heartbeats without an echo, then the broker counts as silent
KNOCK_EVERY = 1.0  # s between two tries to get in where the broker does not let this worker in
CONTROL_BYTES = 1024 * 1024  # of one control message

log = logging.getLogger("worker.keeper")


class Control:
    """Sends what can be sent now. What cannot is not kept: a broker that comes later asks WHO."""

    def __init__(self, door: Door, worker: str, endpoint: str, heartbeat: float) -> None:
        self.socket, self._door = door.socket, door
        self._turned_away, self._knock_at = "", 0.0
        self._worker, self._endpoint, self._heartbeat = worker, endpoint, heartbeat
        self._heard: float | None = time.monotonic()  # when the broker was last heard; None: it is silent, and that was said

    def send(self, kind: Kind, body: Dict[str, Any]) -> bool:
        """Whether the message left."""
        frames: List[Any] = protocol.pack(Message(Header(kind), codec.encode(body)), CONTROL_BYTES)
        try:
            self.socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            log.debug("no broker to send %s to", kind.name)
            return False
        return True

    def receive(self, now: float) -> bool:
        """Take in one message; True when the broker asked who this is."""
        try:
            kind = protocol.unpack(self.socket.recv_multipart(zmq.NOBLOCK), CONTROL_BYTES).header.kind
        except B2DError as error:
            log.warning("worker %s dropped a message that it cannot read: %s", self._worker, error)
            return False
        if self._heard is None:
            log.info("worker %s hears the broker at %s again", self._worker, self._endpoint)
        self._heard = now
        if kind not in (Kind.HEARTBEAT, Kind.WHO):
            log.warning("worker %s dropped a %s, which no keeper can use", self._worker, kind.name)
        return kind is Kind.WHO

    def listen(self, now: float) -> None:
        """Say once that the broker has been silent for long."""
        # at least a second: with quick heartbeats a broker that is busy for a moment is not away
        if self._heard is not None and now - self._heard > max(SILENCE * self._heartbeat, 1.0):
            self._heard = None
            log.warning("worker %s does not hear a broker at %s; it goes on trying", self._worker, self._endpoint)
        if now >= self._knock_at:
            self._knock_at = now + KNOCK_EVERY
            self._knock()

    def _knock(self) -> None:
        """Say, once each, why the broker does not let this worker in, and go on asking for it: a key may be allowed later."""
        self._door.look()
        if self._door.standing:
            self._turned_away = ""
        elif self._door.refusal:
            if self._door.refusal != self._turned_away:
                self._turned_away = self._door.refusal
                log.error("worker %s is turned away: %s; it goes on trying", self._worker, self._turned_away)
            self._door.knock()
