"""The host: the child process that holds the backend and does the jobs, one at a time, over the data socket.

It never decides about liveness: the keeper, its parent, watches it through the progress page. Bytes from
the socket are not trusted; what is no message of ours is logged and dropped, what is wrong with a job is answered, and the host lives on.
Nothing is read while something waits to be sent, so no answer is overtaken and nothing piles up.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
import time
import traceback
from collections import deque
from typing import Any, Deque, Dict, List, Sequence, Tuple

import zmq

from b2d_zmq import codec, protocol
from b2d_zmq.door import Door
from b2d_zmq.errors import B2DError, CodecError, ProtocolError, RequestError, code_of
from b2d_zmq.keys import Keys, worker_keys
from b2d_zmq.protocol import Header, Kind, Message
from b2d_zmq.wakeup import Wakeup

from .backends.base import Backend, SimulatorLost
from .backends.opening import open_backend
from .briefing import EXIT_CONFIGURATION, EXIT_SIMULATOR, EXIT_WORN, Briefing
from .child import die_with_parent
from .jobs import Jobs, describe
from .ledger import Answer, Ledger
from .progress import Page, Progress
from .sockets import connect

KNOCK_EVERY_MS = 1000  # between two tries to get in where the broker does not let this host in
RELEASE_BUDGET = 60.0  # s for a backend to forget an episode
FAREWELL = 3.0  # s that a host waits, once it has handed its episode over, to hear that the broker has it

log = logging.getLogger("worker.host")


class Host:
    """Serves jobs from one data socket on one backend until it is told to leave."""

    def __init__(self, briefing: Briefing, backend: Backend, page: Page, door: Door, wakeup: Wakeup) -> None:
        self._briefing, self._backend, self._page, self._wakeup = briefing, backend, page, wakeup
        self._door, self._socket = door, door.socket
        self._ledger = Ledger(briefing.worker)
        self._jobs = Jobs(backend, briefing.message_bytes)
        self._progress = page.read()
        self._outbox: Deque[List[Any]] = deque()
        self._worn = self._over = False  # told to leave where an episode ends, to make room for a fresh server; it has ended
        self._leaves_by = math.inf  # told to leave: the episode was handed over, and this is how long to wait for the broker's word
        backend.progress = self._tell

    def serve(self) -> int:
        """Attach, then work until a signal comes, or a lease ends after one; the process's exit code."""
        self._idle("idle", 0)
        self._send(self._attach())
        poller = zmq.Poller()
        poller.register(self._wakeup.fd, zmq.POLLIN)
        poller.register(self._door.monitor, zmq.POLLIN)
        while True:
            poller.register(self._socket, zmq.POLLOUT if self._outbox else zmq.POLLIN)
            events = dict(poller.poll(self._patience_ms()))
            if self._door.monitor in events:
                self._door.look()
            elif not events:
                self._door.knock()
            signals = self._wakeup.read()  # always: a signal that comes with a message fills the pipe too late for this poll
            if signal.SIGTERM in signals and self._ledger.lease:
                self._hand_over()
            elif signal.SIGTERM in signals or time.monotonic() >= self._leaves_by:
                log.info("host %s leaves", self._briefing.identity)
                return 0
            self._worn = self._worn or signal.SIGUSR1 in signals
            if self._outbox:
                self._flush()
            elif self._socket in events:
                self._receive()
            if self._over:
                return EXIT_WORN

    def _receive(self) -> None:
        frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
        try:
            message = protocol.unpack(frames, self._briefing.message_bytes)
        except ProtocolError as error:
            log.warning("host %s dropped a message that it cannot read: %s", self._briefing.identity, error)
            return
        kind = message.header.kind
        if self._worn and kind is Kind.RESET and message.header[2:4] == (self._ledger.lease, self._ledger.epoch):
            self._over = True  # nobody wants the episode before any more; who asks for another is told of this end, and asks elsewhere
        elif kind in protocol.TO_HOST:
            self._send(self._answer(message))
        elif kind is Kind.GRANT:
            self._grant(message)
        elif kind is Kind.REVOKE:
            self._revoke(message.header)
        elif kind is Kind.WHO:
            self._send(self._attach())
        else:
            log.warning("host %s dropped a %s, which no host can use", self._briefing.identity, kind.name)

    def _answer(self, message: Message) -> Message:
        """The REPLY or ERROR to a job; a job that was done before is answered from the ledger."""
        header = message.header
        try:
            cached = self._ledger.accept(header)
        except B2DError as error:
            return _message(header, _error(error))
        if cached is not None:
            log.debug("job %d of lease %s was answered again", header.seq, header.lease)
            return _message(header, cached)
        answer = self._do(message)
        self._ledger.done(answer)
        return _message(header, answer)

    def _do(self, message: Message) -> Answer:
        header = message.header
        self._begin(header.kind, header.budget)
        answer = self._try(message)
        self._idle("idle", self._progress.tick)
        return answer

    def _try(self, message: Message) -> Answer:
        """The answer, whatever the backend raises; only with a lost simulator there is none."""
        header = message.header
        try:
            reply = self._jobs.run(header.kind, codec.decode(message.body))
            body = _encoded(reply)
            protocol.pack(Message(header, body), self._briefing.message_bytes)
            self._progress = self._progress._replace(tick=int(reply["tick"]))
            return Answer(Kind.REPLY, body)
        except SimulatorLost:
            raise
        except B2DError as error:
            log.debug("job %d of lease %s was refused: %s", header.seq, header.lease, error)
            return _error(error)
        except Exception as error:  # a backend may raise anything; the client learns what, and the host lives on
            log.exception("job %d (%s) of lease %s failed", header.seq, header.kind.name, header.lease)
            return _error(error, traceback.format_exc())

    def _grant(self, message: Message) -> None:
        try:
            body = codec.decode(message.body)
            client, label, key = (str(body.get(name, "")) for name in ("client", "label", "key"))
        except (CodecError, AttributeError) as error:
            log.warning("host %s dropped a GRANT that it cannot read: %s", self._briefing.identity, error)
            return
        held = self._ledger.lease
        if not self._ledger.grant(message.header, client, label, key):
            log.debug("host %s ignored an old GRANT of lease %s", self._briefing.identity, message.header.lease)
            return
        if held:
            self._release()

    def _hand_over(self) -> None:
        """End the lease from this side: what it takes to go on elsewhere goes to its client, behind the answer to its last job."""
        ledger = self._ledger
        header = Header(Kind.HANDOVER, lease=ledger.lease, epoch=ledger.epoch, seq=ledger.seq)
        self._begin(Kind.SNAPSHOT, 0.0)  # the keeper's grace is the budget
        state = self._try(Message(header._replace(kind=Kind.SNAPSHOT), codec.encode({})))
        self._idle("leaving", self._progress.tick)
        ledger.revoke(header)
        self._send(Message(header, state.body if state.kind is Kind.REPLY else ()))
        self._leaves_by = time.monotonic() + FAREWELL
        log.info("host %s handed the episode of lease %s over", self._briefing.identity, header.lease)

    def _patience_ms(self) -> int | None:
        """How long to wait for whatever comes next."""
        if self._leaves_by < math.inf:
            return max(0, math.ceil((self._leaves_by - time.monotonic()) * 1000.0))
        return KNOCK_EVERY_MS if self._door.refusal else None

    def _revoke(self, header: Header) -> None:
        if self._ledger.revoke(header):
            self._release()
            if self._worn:  # before the broker knows that the worker is free: nobody loses anything
                self._over = True
                return
        self._send(Message(Header(Kind.RELEASED, lease=header.lease, epoch=header.epoch)))
        if self._leaves_by < math.inf:
            self._leaves_by = 0.0  # the broker has everything

    def _release(self) -> None:
        """Let the backend forget the episode. If it fails at that, the host must not serve another client: the error ends it."""
        self._begin(Kind.REVOKE, RELEASE_BUDGET)
        self._backend.release()
        self._idle("idle", self._progress.tick)

    def _attach(self) -> Message:
        ledger = self._ledger
        body = {
            "worker": self._briefing.worker,
            "description": describe(self._backend),
            "epoch": ledger.epoch,
            "seq": ledger.seq,
            "lease": ledger.lease,
            "client": ledger.client,
            "label": ledger.label,
            "key": ledger.key,
        }
        return Message(Header(Kind.ATTACH), codec.encode(body))

    def _send(self, message: Message) -> None:
        self._outbox.append(protocol.pack(message, self._briefing.message_bytes))
        self._flush()

    def _flush(self) -> None:
        """Send what can be sent now; while the broker is away the rest waits here, for nothing queues in the socket then."""
        try:
            while self._outbox:
                # copy=False: the backend gives its arrays away (backends/base.py), so nobody writes to them while they travel
                self._socket.send_multipart(self._outbox[0], zmq.NOBLOCK, copy=False)
                self._outbox.popleft()
        except zmq.Again:
            log.debug("host %s waits to send %d messages", self._briefing.identity, len(self._outbox))

    def _begin(self, kind: Kind, budget: float) -> None:
        now = time.monotonic()
        deadline = now + budget if budget else 0.0
        jobs, episodes = self._progress.jobs + 1, self._progress.episodes + (kind in (Kind.RESET, Kind.RESTORE))
        self._write(Progress(jobs, kind, now, deadline, self._progress.tick, kind.name, episodes, self._progress.place))

    def _idle(self, doing: str, tick: int) -> None:
        told = self._progress
        self._write(Progress(told.jobs, 0, time.monotonic(), 0.0, tick, doing, told.episodes, self._backend.place))

    def _tell(self, doing: str, tick: int) -> None:
        """The backend's own report from within a job."""
        self._write(self._progress._replace(doing=doing, tick=tick))

    def _write(self, progress: Progress) -> None:
        self._progress = progress
        self._page.write(progress)


def _encoded(reply: Dict[str, Any]) -> Sequence[Any]:
    try:
        return codec.encode(reply)
    except CodecError as error:
        raise CodecError(f"the backend gave something that cannot travel: {error}") from error


def _message(header: Header, answer: Answer) -> Message:
    return Message(header._replace(kind=answer.kind, budget=0.0), answer.body)


def _error(error: Exception, trace: str = "") -> Answer:
    text = str(error) if isinstance(error, B2DError) else f"{type(error).__name__}: {error}"
    # lone surrogates cannot be packed, and an error must never fail to travel
    words = {"message": text[:8192], "traceback": trace[-16384:]}
    clean = {name: word.encode("utf-8", "replace").decode("utf-8") for name, word in words.items()}
    return Answer(Kind.ERROR, codec.encode({"code": int(code_of(error)), **clean}))


def main() -> None:
    """The host's process. Its argument is the Briefing."""
    briefing = Briefing.from_json(sys.argv[1])
    os.set_inheritable(briefing.page, False)  # what the backend starts must not hold it
    die_with_parent(briefing.parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(level=briefing.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    page = Page(briefing.page)
    keys, backend = _open(briefing, page)  # until it is open, TERM ends the process as it ends any
    wakeup = Wakeup(signal.SIGTERM, signal.SIGUSR1)
    try:
        code = _serve(briefing, keys, backend, page, wakeup)
        if code:  # the server is to be ended anyway, and may no longer answer: nothing is said to it
            logging.shutdown()
            os._exit(code)
    finally:
        backend.close()


def _serve(briefing: Briefing, keys: Keys | None, backend: Backend, page: Page, wakeup: Wakeup) -> int:
    try:
        with zmq.Context() as context, connect(context, briefing.endpoint, briefing.identity, briefing.message_bytes, keys) as door:
            return Host(briefing, backend, page, door, wakeup).serve()
    except SimulatorLost as error:
        log.error("host %s gives its simulator up: %s", briefing.identity, error)
        page.write(page.read()._replace(doing=str(error)))
        return EXIT_SIMULATOR


def _open(briefing: Briefing, page: Page) -> Tuple[Keys | None, Backend]:
    """The keys and the backend; a wrong configuration is one plain line and exit code 78, anything else a traceback."""

    def tell(doing: str, tick: int) -> None:
        page.write(page.read()._replace(doing=doing, tick=tick))

    try:
        return worker_keys(briefing.curve_dir), open_backend(briefing.backend, briefing.options, tell)
    except RequestError as error:
        sys.stderr.write(f"b2d-worker: {error}\n")
        raise SystemExit(EXIT_CONFIGURATION) from None
