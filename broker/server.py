"""Server: the ROUTER socket, the poll loop, the clock and the signals around ``Broker``.

The loop never blocks except in poll: it drains what has come, sends without waiting, and turns a peer that cannot be reached into an
event for the core. Frames behind the header are passed on as they came, uncopied. Whatever goes wrong with one message, the loop goes on.
"""

from __future__ import annotations

import logging
import signal
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Callable, Deque, Iterable, List, Sequence, Tuple

import zmq

from b2d_zmq.errors import Busy, FrameTooLarge, ProtocolError, RequestError
from b2d_zmq.protocol import MAX_FRAMES, REQUESTS, Message, frame_bytes, request_of, unpack
from b2d_zmq.wakeup import Wakeup

from .backlog import MOST_BYTES, Backlog
from .core import Broker
from .table import Send

if TYPE_CHECKING:
    from .guard import Guard  # it takes a moment to load, and most brokers have none

BATCH = 256  # messages taken before the clock is looked at again
LOOK_EVERY = 1.0  # seconds between two looks at the list of allowed keys
POLL_MOST = 1.0  # seconds; also how finely the loop notices that it stood still
STOOD_STILL = 2.0  # seconds beyond the poll after which nobody else's silence counts
SEND_MOST = 4096  # messages on their way to one peer: a client that steps a large group gets all answers at once
RECEIVE_MOST = 64  # unread messages of one peer; beyond that TCP holds it back

log = logging.getLogger("b2d.broker")


class Server:
    """One bound ROUTER socket and its broker. ``endpoint`` is where it listens, with the port that the system chose if none was named."""

    def __init__(self, broker: Broker, bind: str, message_bytes: int, guard: Guard | None = None) -> None:
        """Listen, with the keys of ``guard``. Raises ZMQError, and RequestError where the guard would let strangers in."""
        self._broker, self._limit, self._backlog, self._guard = broker, message_bytes, Backlog(), guard
        self._look_at = 0.0  # when to see whether other keys are allowed
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        for option, value in (
            (zmq.ROUTER_MANDATORY, 1),
            (zmq.LINGER, 200),
            (zmq.MAXMSGSIZE, message_bytes),
            (zmq.HANDSHAKE_IVL, 2000),
            (zmq.SNDHWM, SEND_MOST),
            (zmq.RCVHWM, RECEIVE_MOST),
            (zmq.HEARTBEAT_IVL, 2000),  # finds cut connections; no clock of ours depends on it
            (zmq.HEARTBEAT_TIMEOUT, 20000),
        ):
            self._socket.setsockopt(option, value)
        try:
            if guard is not None:
                guard.arm(self._context, self._socket)
            self._socket.bind(bind)
            self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")
            if guard is not None:
                guard.test(self.endpoint)
        except (zmq.ZMQError, RequestError):
            self.close()
            raise

    def run(self, started: Callable[[], None], lifeline: int = -1) -> str:
        """Serve until TERM, INT, or the end of ``lifeline`` (the read end of a parent's pipe); returns why.

        ``started`` is called once signals are handled: whoever is told of the endpoint may send one at once.
        """
        wakeup = Wakeup(signal.SIGTERM, signal.SIGINT)
        try:
            started()
            return self._loop(wakeup, lifeline)
        finally:
            wakeup.close()

    def close(self) -> None:
        """Close the socket; what was sent last gets a moment to leave."""
        self._socket.close()
        if self._guard is not None:
            self._guard.close()
        self._context.term()

    def _loop(self, wakeup: Wakeup, lifeline: int) -> str:
        poller = zmq.Poller()
        for source in (self._socket, wakeup.fd) + ((lifeline,) if lifeline >= 0 else ()):
            poller.register(source, zmq.POLLIN)
        now = time.monotonic()
        while True:
            wait = min(POLL_MOST, max(0.0, self._broker.wake_at() - now))
            ready = dict(poller.poll(int(wait * 1000) + 1))
            before, now = now, time.monotonic()
            if now - before > POLL_MOST + STOOD_STILL:
                log.warning("the broker stood still for %.1f s; nobody is held silent for it", now - before)
                self._broker.overslept(now - before)
            if wakeup.fd in ready:
                return signal.Signals(wakeup.read()[0]).name
            if lifeline in ready:
                return "the parent process is gone"
            if self._guard is not None and now >= self._look_at:
                self._look_at_keys(self._guard, now)
            drained = self._drain(now)
            now = time.monotonic()
            if drained or self._broker.wake_at() < now - POLL_MOST:  # silence counts only once everything that came was read
                self._tick(now)

    def _drain(self, now: float) -> bool:
        """Take what has come, at most a batch; whether that was all."""
        for _ in range(BATCH):
            try:
                sender, key, frames = self._receive()
            except zmq.Again:
                return True
            self._handle(sender, key, frames, now)
        return False

    def _receive(self) -> Tuple[bytes, str, List[Any]]:
        """One message: the sender's identity and key, the header as bytes, the rest as frames. Surplus frames are read and let go."""
        receive = self._socket.recv
        frame = receive(zmq.NOBLOCK, copy=False)
        sender, key = frame.bytes, "" if self._guard is None else str(frame.get("User-Id"))
        frames: List[Any] = []
        while frame.more:
            frame = receive(zmq.NOBLOCK, copy=False)
            if len(frames) <= MAX_FRAMES:
                frames.append(frame if frames else frame.bytes)
        return sender, key, frames

    def _handle(self, sender: bytes, key: str, frames: List[Any], now: float) -> None:
        try:
            if len(frames) > MAX_FRAMES:
                raise FrameTooLarge(f"a message of more than {MAX_FRAMES} frames")
            message = unpack(frames, self._limit)
            if key:
                message = message._replace(key=key)
        except ProtocolError as error:
            self._send(self._broker.refuse(sender, error, request_of(frames)), now)
            return
        if message.header.kind in REQUESTS and self._backlog.waiting(sender) > MOST_BYTES:
            told = f"you have not read {self._backlog.waiting(sender)} bytes of answers; read them first"
            self._send(self._broker.refuse(sender, Busy(told), message.header.request), now)
            return
        try:
            sends = self._broker.receive(sender, message, now)
        except Exception as error:  # a fault of ours over one message must not end the farm
            log.exception("the broker failed on %s of %r", message.header, sender)
            sends = self._broker.failed(error, sender, message.header)
        self._send(sends, now, message, frames)

    def _look_at_keys(self, guard: Guard, now: float) -> None:
        self._look_at = now + LOOK_EVERY
        self._broker.table.counters["strangers turned away"] = guard.turned_away
        holders = guard.look()
        if holders is not None:
            self._send(self._broker.allow(holders, now), now)

    def _tick(self, now: float) -> None:
        try:
            sends = self._broker.tick(now)
        except Exception as error:  # as above; what was due is done at the next call
            log.exception("the broker failed on the passing of time")
            sends = self._broker.failed(error)
        self._send(sends, now)

    def _send(self, sends: Iterable[Send], now: float, came: Message | None = None, frames: Sequence[Any] = ()) -> None:
        """Send without waiting. A message that is passed on goes with the very header that ``came``."""
        waiting: Deque[Send] = deque(sends)
        while waiting:
            to, message = waiting.popleft()
            packed = frames[0] if message is came else message.header.pack()
            header = self._backlog.header(to, packed, sum(map(frame_bytes, message.body)))
            try:
                self._socket.send_multipart([to, header, *message.body], zmq.NOBLOCK, copy=False)
            except zmq.ZMQError as error:  # nobody of that name (EHOSTUNREACH), or one who does not read (EAGAIN)
                if error.errno == zmq.EHOSTUNREACH:
                    self._backlog.forget(to)
                log.debug("%s to %r was not sent: %s", message.header.kind.name, to, error)
                waiting.extend(self._broker.unreachable(to, message, now))
