"""Door: how a DEALER gets in at the broker. It has the keys, learns in words why it is turned away, and knocks again.

libzmq knocks no more once a broker has refused a key or has keys where this side has none; but a key may be allowed later, and the next
broker may be another. So whoever wants in looks now and then, and calls ``knock``. A door belongs to the thread of its socket.
"""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType
from typing import Type

import zmq
from zmq.utils.monitor import recv_monitor_message

from .keys import Keys, secure

_HUNG_UP = 3  # times in a row that somebody hung up in mid-greeting; once or twice, a broker that is just leaving does that too
_GIVEN_UP = (zmq.EVENT_HANDSHAKE_FAILED_AUTH, zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)
_EVENTS = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_DISCONNECTED | sum(_GIVEN_UP)


class Door:
    """``monitor`` is readable when there is something to look at; ``standing``: whether there is a connection, None before the first."""

    def __init__(self, socket: zmq.Socket[bytes], endpoint: str, keys: Keys | None) -> None:
        """Take over a socket that has its options and is not connected yet; ``open`` connects it, ``close`` closes it."""
        self.socket, self._endpoint, self._keys = socket, endpoint, keys
        secure(socket, keys)
        socket.monitor(f"inproc://door-{id(self)}", _EVENTS)
        self.monitor: zmq.Socket[bytes] = socket.context.socket(zmq.PAIR)
        self.monitor.setsockopt(zmq.RCVHWM, 0)  # a full one would stop libzmq's own thread
        self.monitor.connect(f"inproc://door-{id(self)}")
        self.standing: bool | None = None
        self.refusal = ""  # in words why this one is turned away, until it gets in
        self._hung_up = 0
        self._gave_up = False  # libzmq tries no more

    def open(self) -> None:
        """Connect, now or when somebody is there. Raises ZMQError for what is no endpoint."""
        self.socket.connect(self._endpoint)

    def look(self) -> bool:
        """Take in what happened since the last look; whether a connection that stood has broken."""
        broke = False
        while self.monitor.poll(0):
            event = recv_monitor_message(self.monitor)["event"]
            if event == zmq.EVENT_DISCONNECTED:
                broke = broke or self.standing is True
                self.standing = False
            elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.standing, self.refusal, self._hung_up = True, "", 0
            else:
                self._turned_away(event)
        return broke

    def knock(self) -> None:
        """Try again where libzmq does not, and forget the refusal."""
        self.refusal, self._hung_up = "", 0
        if self._gave_up:
            self._gave_up = False
            with suppress(zmq.ZMQError):  # there is nothing to disconnect
                self.socket.disconnect(self._endpoint)
            self.socket.connect(self._endpoint)

    def close(self) -> None:
        """Close the socket."""
        self.socket.disable_monitor()
        self.monitor.close(0)
        self.socket.close()

    def __enter__(self) -> Door:
        return self

    def __exit__(self, kind: Type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _turned_away(self, event: int) -> None:
        self._gave_up = self._gave_up or event in _GIVEN_UP
        self._hung_up += event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
        if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH and self._keys:
            told = f"does not know the key {self._keys.name} ({self._keys.public}); it belongs into the broker's folder of keys"
            self.refusal = f"the broker at {self._endpoint} {told}, as allowed/{self._keys.name}.key"
        elif event in _GIVEN_UP or self._hung_up >= _HUNG_UP:
            self.refusal = f"whoever listens at {self._endpoint} {self._misfit(event)}"

    def _misfit(self, event: int) -> str:
        if self._keys is None:
            return "hangs up: a broker that wants keys, it seems; give their folder (curve_dir, --curve-dir or $B2D_CURVE_DIR)"
        if event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
            return "knows no keys; start the broker with --curve-dir, or leave the folder of keys out here (--curve-dir, $B2D_CURVE_DIR)"
        return "does not have the key in broker.key, but another (copy that file from its folder of keys again) or none (--curve-dir)"
