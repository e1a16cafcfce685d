"""The server: all sockets, the clock, one thread and one loop. Each connection's requests are done in their order.

A tick waits a moment (LISTEN_SECONDS at most) for a client that has asked where a stream is and has not joined it yet, because its first
data would be lost; and it waits while a listener is so slow that its data pile up. In the meantime all other clients are served.
"""

from __future__ import annotations

import logging
import selectors
import socket
import time
from collections import deque
from typing import Any, Deque, List, Tuple

from .rpc import Malformed, Request, Requests, answer
from .simulator import STATE_STREAM, Simulator
from .streams import Listener, Streams

log = logging.getLogger(__name__)

LISTEN_SECONDS = 0.25
HOST = "127.0.0.1"

_HELLO = 4
_READ = 1 << 18


class Client:
    """One RPC connection: requests that have come and bytes that have not gone yet."""

    def __init__(self, connection: socket.socket):
        self.socket = connection
        self.requests = Requests()
        self.waiting: Deque[Request] = deque()
        self.unsent = bytearray()


class Server:
    """See the module's text. ``ports`` are the RPC port, the streaming port, and the one of secondary servers, which nobody calls."""

    def __init__(self, ports: Tuple[int, int, int], streams: Streams):
        self._streams = streams
        self._selector = selectors.DefaultSelector()
        self._listening = [_listening(port) for port in ports]
        self.ports = tuple(each.getsockname()[1] for each in self._listening)
        for each, greet in zip(self._listening, (self._greet_client, self._greet_listener, self._greet_secondary)):
            self._selector.register(each, selectors.EVENT_READ, (greet, each))
        self._held: List[Client] = []  # their next request is a tick that has to wait
        self._awaited: List[Tuple[int, float]] = []  # streams that somebody will join, and until when a tick waits for it
        self._tick_at = 0.0

    def run(self, sim: Simulator) -> None:
        """Serve for ever."""
        self.begin(sim)
        while True:
            self.turn()

    def begin(self, sim: Simulator) -> None:
        """Serve this simulator from now on."""
        self._sim = sim
        self._tick_at = time.monotonic()

    def turn(self) -> None:
        """Wait until something is to be done, and do it."""
        for key, events in self._selector.select(self._patience()):
            act, subject = key.data
            act(subject, events) if events & selectors.EVENT_WRITE else act(subject)
        self._after()

    def close(self) -> None:
        """Hang up on everybody."""
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()

    def _patience(self) -> float | None:
        """Seconds until something is to be done without anybody's call."""
        now, until = time.monotonic(), []
        if self._held and self._awaited:
            until.append(min(moment for _, moment in self._awaited))
        if not self._sim.world.settings.synchronous:
            until.append(self._tick_at)
        return max(0.0, min(until) - now) if until else None

    def _after(self) -> None:
        """What follows from what has come: ticks of an asynchronous world, held requests, listeners that have gone."""
        now = time.monotonic()
        if not self._sim.world.settings.synchronous and now >= self._tick_at:
            self._sim.advance()
            self._tick_at = max(self._tick_at + self._sim.step(), now)
        if self._awaited:
            self._awaited = [each for each in self._awaited if each[1] > now]
        self._tidy()  # a listener that has gone holds no tick
        for client in list(self._held):
            if self._may_tick():
                self._held.remove(client)
                self._serve(client)
        self._tidy()

    # -- clients

    def _greet_client(self, listening: socket.socket) -> None:
        client = Client(_accepted(listening))
        self._selector.register(client.socket, selectors.EVENT_READ, (self._read, client))

    def _read(self, client: Client, events: int = selectors.EVENT_READ) -> None:
        if events & selectors.EVENT_WRITE and not self._write(client):
            return
        if not events & selectors.EVENT_READ:
            return
        try:
            data = client.socket.recv(_READ)
            if data:
                client.requests.feed(data)
                client.waiting.extend(client.requests)
        except BlockingIOError:
            return
        except (OSError, Malformed) as error:
            log.warning("a client's connection ended: %s", error)
            data = b""
        if not data:
            self._end(client)
        elif client not in self._held:
            self._serve(client)

    def _serve(self, client: Client) -> None:
        """Do what waits, up to a tick that has to wait itself."""
        while client.waiting:
            request = client.waiting[0]
            if request.ticks() and not self._may_tick():
                self._held.append(client)
                return
            client.waiting.popleft()
            reply = answer(self._sim, request)
            self._expect()
            client.unsent += reply
            if not self._write(client):
                return

    def _expect(self) -> None:
        """Note the streams that the last call has told of."""
        if self._sim.announced:
            until = time.monotonic() + LISTEN_SECONDS
            self._awaited.extend((stream, until) for stream in self._sim.announced)
            self._sim.announced.clear()

    def _may_tick(self) -> bool:
        if self._awaited:
            now = time.monotonic()
            if any(moment > now for _, moment in self._awaited):
                return False
        return not (self._streams.backlog and self._streams.choked())

    def _write(self, client: Client) -> bool:
        """Send what is to be sent; False if the client has gone."""
        try:
            sent = client.socket.send(client.unsent)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            log.warning("a client's connection ended: %s", error)
            self._end(client)
            return False
        del client.unsent[:sent]
        self._watch(client.socket, (self._read, client), writing=bool(client.unsent))
        return True

    def _end(self, client: Client) -> None:
        self._selector.unregister(client.socket)
        client.socket.close()
        client.waiting.clear()
        if client in self._held:
            self._held.remove(client)

    # -- streams

    def _greet_listener(self, listening: socket.socket) -> None:
        listener = Listener(_accepted(listening))
        self._selector.register(listener.socket, selectors.EVENT_READ, (self._hear, listener))

    def _hear(self, listener: Listener, events: int = selectors.EVENT_READ) -> None:
        """The four bytes that name the stream; later only that there is room to send, or the end."""
        try:
            if events & selectors.EVENT_WRITE:
                listener.flush()
            data = listener.socket.recv(_HELLO) if events & selectors.EVENT_READ else b"-"
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._streams.gone.append(listener)
        elif not listener.stream and events & selectors.EVENT_READ:
            listener.hello += data
            if len(listener.hello) >= _HELLO:
                self._join(listener)

    def _join(self, listener: Listener) -> None:
        listener.stream = int.from_bytes(listener.hello[:_HELLO], "little")
        self._streams.join(listener)
        awaited = next((each for each in self._awaited if each[0] == listener.stream), None)
        if awaited is not None:
            self._awaited.remove(awaited)
        if listener.stream == STATE_STREAM:
            self._streams.pass_on(listener, [self._sim.state()])

    def _tidy(self) -> None:
        """Watch for room where data wait, and close what has gone."""
        for listener in self._streams.gone:
            if listener.socket.fileno() >= 0:
                self._streams.leave(listener)
                self._selector.unregister(listener.socket)
                listener.socket.close()
        self._streams.gone.clear()
        for listener in list(self._streams.backlog):
            self._watch(listener.socket, (self._hear, listener), writing=bool(listener.waiting))
            if not listener.waiting:
                self._streams.backlog.remove(listener)

    def _greet_secondary(self, listening: socket.socket) -> None:
        _accepted(listening).close()

    def _watch(self, connection: socket.socket, data: Any, *, writing: bool) -> None:
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
        if self._selector.get_key(connection).events != events:
            self._selector.modify(connection, events, data)


def _listening(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((HOST, port))
    listening.listen(128)
    listening.setblocking(False)
    return listening


def _accepted(listening: socket.socket) -> socket.socket:
    connection, _ = listening.accept()
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection
