"""Client: one DEALER socket to the broker; send requests, gather answers by their number, give every wait a deadline.

It knows requests and leases, not episodes (session.py) or spaces (env.py). Rules: an answer that nobody waits for is dropped with a
debug line; a wait always ends, with an answer or with an error that says who is silent and what to do; a request that went down with a
broker, or that a full one refused, is sent again under the same number, which is harmless because no job is done twice; a Client serves
one thread at a time and one process, and the only other thread is the keep-alive's. Arrays in answers are read-only views of what was
received.
"""

from __future__ import annotations

import getpass
import logging
import math
import os
import random
import secrets
import socket as network
import sys
import threading
import time
import weakref
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence, Type

import zmq

from . import answers, arguments
from .codec import decode, encode
from .endpoint import ENDPOINT, check_endpoint, usual_endpoint
from .errors import (
    B2DError,
    BudgetExceeded,
    Busy,
    NoBroker,
    ProtocolError,
    RequestError,
    TurnedAway,
    VersionMismatch,
    WrongMode,
)
from .keys import Keys, client_keys
from .line import Line
from .protocol import MESSAGE_BYTES, Header, Kind, Message, pack

log = logging.getLogger(__name__)

MARGIN = 10.0  # seconds beyond a budget: the keeper ends an overdue simulator first, and its word is the better one
MOMENT = 2.0  # seconds that the broker has to tell where a worker is that does not answer
PATIENCE = 2.0  # seconds without a broker before a line in the log says so


class Lease(NamedTuple):
    """The sole right to one worker. ``ttl``: seconds after which it lapses when the client is silent."""

    name: str
    epoch: int
    worker: str
    ttl: float


class Pending:
    """A request on its way. ``done`` looks without waiting; ``result`` waits and gives the answer's body, or raises its error."""

    def __init__(self, client: Client, number: int, what: str, seconds: float, frames: List[Any], worker: str) -> None:  # noqa: PLR0917
        self._client, self._what, self._seconds, self._frames, self._worker = client, what, seconds, frames, worker
        self._deadline, self._patient_until = time.monotonic() + seconds, time.monotonic() + min(seconds, client.timeout)
        self.number = number
        self._settled = False
        self._body: Any = None
        self._error: B2DError | None = None

    def done(self) -> bool:
        """Whether the answer has come (or can come no more); takes in what has arrived, waits for nothing."""
        if not self._settled:
            self._client.collect()
        return self._settled

    def result(self) -> Any:
        """The body of the answer; raises the error that came instead, BudgetExceeded or NoBroker when none came in time."""
        self._client.wait([self])
        if self._error is not None:
            raise self._error
        return self._body


class Client:
    """A connection to the farm at ``endpoint``; ``timeout`` is how many seconds the broker may take for an answer of its own.

    Without an endpoint: ``$B2D_ENDPOINT``, then this machine's ``tcp://127.0.0.1:5570``. ``message_bytes`` is the largest message, and the
    same on all sides. ``curve_dir``: the folder of keys (without: ``$B2D_CURVE_DIR``, then no keys), of which the one for ``role`` is
    used, "client" or "admin"; where there is none, the other.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        label: str | None = None,
        timeout: float = 30.0,
        message_bytes: int = MESSAGE_BYTES,
        curve_dir: str | os.PathLike[str] | None = None,
        role: str = "client",
    ) -> None:
        endpoint = usual_endpoint() if endpoint is None else endpoint
        check_endpoint(endpoint)
        self.endpoint, self.timeout, self.margin = endpoint, arguments.seconds("timeout", timeout, zero=False), MARGIN
        self.label = label if label is not None else _label()
        self.message_bytes = message_bytes
        self.token = secrets.token_hex(8)
        self._line = _line(endpoint, self.token, client_keys(curve_dir, role))
        self._number = 0
        self._waiting: weakref.WeakValueDictionary[int, Pending] = weakref.WeakValueDictionary()
        self._swallowed: List[int] = []  # requests that went down with a connection, to be sent again when there is a broker
        self._patient_until = 0.0  # how long that may take
        self._later: Dict[int, float] = {}  # requests that were BUSY -> when to send them again
        self._connected = True  # False from a loss of the connection until the next one stands
        self._busy = threading.RLock()
        self._close = weakref.finalize(self, self._line.close)

    def send(
        self, kind: Kind, tree: Any, *, budget: float, lease: Lease | None = None, seq: int = 0, patience: float | None = None
    ) -> Pending:
        """Send a request and go on; its answer is waited for as long as its budget and a margin, or ``patience``.

        Raises NoBroker when nobody takes it, CodecError or FrameTooLarge when it must not travel.
        """
        name, epoch = (lease.name, lease.epoch) if lease else ("", 0)
        with self._alone():
            number = self._number + 1
            header = Header(kind, number, name, epoch, seq, budget)
            frames = pack(Message(header, encode(tree)), self.message_bytes)
            self._look_at_line()
            self._put(frames)
            self._number = number
            what = f"{kind.name} on worker {lease.worker} (lease {name})" if lease else kind.name
            seconds = budget + self.margin if patience is None else patience
            pending = Pending(self, number, what, seconds, frames, lease.worker if lease else "")
            self._waiting[number] = pending
            return pending

    def ask(self, kind: Kind, tree: Any, *, budget: float | None = None) -> Any:
        """One question to the broker and its answer."""
        return self.send(kind, tree, budget=self.timeout if budget is None else budget).result()

    def wait(self, pendings: Sequence[Pending]) -> None:
        """Wait until each of these has its answer or its error; raises nothing of theirs."""
        with self._alone():
            for pending in pendings:
                while not pending._settled:
                    now = time.monotonic()
                    left = (min(pending._deadline, self._patient_until) if self._swallowed else pending._deadline) - now
                    if left > 0.0:
                        self._turn(left)
                    elif pending._deadline <= now:
                        self._settle(pending, error=self._silence(pending, self._whereabouts(pending)))
                    else:
                        self._give_up(now)

    def gather(self, pendings: Sequence[Pending]) -> List[Any]:
        """The answers, in the order of the requests, when all have come; the first error among them is raised then."""
        self.wait(pendings)
        return [pending.result() for pending in pendings]

    def collect(self) -> None:
        """Take in whatever has arrived, without waiting."""
        with self._alone():
            while self._turn(0.0):
                pass
            now = time.monotonic()
            self._give_up(now)
            for pending in [late for late in self._waiting.values() if late._deadline <= now]:
                self._settle(pending, error=self._silence(pending))

    def status(self) -> Dict[str, Any]:
        """Workers, leases, queues and counters of the farm, as docs/protocol.md lists them."""
        return answers.mapping(self.ask(Kind.STATUS, {}), "STATUS")

    def describe(self, profile: str = "", wait: float | None = None) -> Dict[str, Any]:
        """The description of a ready worker, waiting up to ``wait`` seconds for one; takes nothing."""
        wait = self.timeout if wait is None else arguments.seconds("wait", wait)
        body = answers.mapping(self.ask(Kind.DESCRIBE, {"profile": profile, "wait": wait}, budget=wait + self.timeout), "DESCRIBE")
        return answers.mapping(body.get("description"), "DESCRIBE")

    def acquire(self, n: int = 1, wait: float = 0.0, profile: str = "", *, instead: bool = False) -> List[Lease]:
        """Leases on ``n`` workers of one profile, all or none, waiting up to ``wait`` seconds. Raises NoFreeWorker.

        ``instead`` of one that was lost: such a request goes before those that wait for more workers.
        """
        n, wait = arguments.whole("n", n), arguments.seconds("wait", wait)
        asked = {"n": n, "wait": wait, "client": self.token, "label": self.label, "profile": profile, "instead": instead}
        body = answers.mapping(self.ask(Kind.ACQUIRE, asked, budget=wait + self.timeout), "ACQUIRE")
        try:
            leases = [Lease(str(x["lease"]), int(x["epoch"]), str(x["worker"]), float(x["ttl"])) for x in body["leases"]]
        except (KeyError, TypeError, ValueError) as error:
            raise ProtocolError(f"the answer to ACQUIRE cannot be read: {error!r}") from None
        self._line.hold([lease.name for lease in leases], min((lease.ttl for lease in leases), default=1.0))
        return leases

    def release(self, leases: Sequence[Lease]) -> None:
        """Give leases back; those that are void already are no error, nor is that this Client was closed, which gave all of them back."""
        names = [lease.name for lease in leases]
        self._line.drop(names)
        if names and self._close.alive:
            self.ask(Kind.RELEASE, {"leases": names, "client": self.token})

    def handed(self, lease: Lease) -> Any:
        """What a worker that was told to leave handed over of its episode, as SNAPSHOT is answered; None if nothing. Given once."""
        return self._line.handed.pop(lease.name, None)

    def close(self) -> None:
        """Release what is still held and let go of the sockets; calling it again does nothing. Runs by itself at exit.

        Raises WrongMode while another thread waits for an answer: closing its socket under it would crash the process.
        """
        if self._close.alive and self._line.pid == os.getpid():
            with self._alone():
                self._close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: Type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self._line.pid != os.getpid():
            raise WrongMode("this Client was made in another process; make a new one after a fork")
        if not self._close.alive:
            raise WrongMode("this Client is closed")
        if not self._busy.acquire(blocking=False):
            raise WrongMode("this Client is in use by another thread; a Client serves one thread at a time, so give each its own")
        try:
            yield
        finally:
            self._busy.release()

    def _put(self, frames: List[Any]) -> None:
        until, warned = time.monotonic() + self.timeout, False
        self._line.door.knock()
        while not self._sent(frames):
            left = until - time.monotonic()
            if left <= 0.0:
                told = f"no broker answers at {self.endpoint} (waited {self.timeout:g} s); {_START}, or check the endpoint"
                raise NoBroker(told)
            if left < self.timeout - PATIENCE and not warned:
                log.warning("no broker answers at %s yet; waiting up to %g s (%s)", self.endpoint, self.timeout, _START)
                warned = True
            self._line.await_way_out(min(left, PATIENCE), self._connected)
            self._look_at_line()
            if self._line.door.refusal:
                raise TurnedAway(self._line.door.refusal)

    def _sent(self, frames: List[Any]) -> bool:
        """Whether these frames left, behind whatever has to be sent again. A connection that just broke would take them, and lose them."""
        if not self._connected:
            return False
        try:
            self._send_again()
            self._line.socket.send_multipart(frames, zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return False
        return True

    def _turn(self, seconds: float) -> bool:
        """Wait for the next event and take it in; False when none came."""
        seconds = min(seconds, self._ask_again())
        again = self._swallowed and self._connected
        self._line.poller.register(self._line.socket, zmq.POLLIN | zmq.POLLOUT if again else zmq.POLLIN)
        events = dict(self._line.poller.poll(int(seconds * 1000) + (1 if seconds else 0)))
        if events.get(self._line.socket, 0) & zmq.POLLIN:
            self._receive(self._line.socket.recv_multipart(copy=False))
        elif self._line.door.monitor in events:
            self._look_at_line()
        elif self._line.socket in events:
            with suppress(zmq.Again):  # it was there when it was looked for
                self._send_again()
        return bool(events)

    def _receive(self, frames: List[Any]) -> None:
        try:
            message, fault = answers.unpack_answer(frames, self.message_bytes)
        except VersionMismatch as error:
            for asked in list(self._waiting.values()):
                self._settle(asked, error=error)
            return
        except ProtocolError as error:
            log.warning("dropped a message that is not ours: %s", error)
            return
        header = message.header
        if header.kind is Kind.HANDOVER:
            return self._line.keep(message)
        pending = self._waiting.get(header.request)
        if pending is None or header.kind not in (Kind.REPLY, Kind.ERROR):
            log.debug("dropped a late or foreign %s to request %d", header.kind.name, header.request)
            return
        try:
            body = decode(message.body) if message.body and fault is None else {}
        except B2DError as error:
            fault = error
        if fault is not None:
            self._settle(pending, error=fault)
            return
        refused = answers.refusal(body) if header.kind is Kind.ERROR else None
        if not (isinstance(refused, Busy) and self._postponed(pending, refused.retry_after)):
            self._settle(pending, body, refused)

    def _look_at_line(self) -> None:
        """What was asked over a connection that broke will not be answered: it is to be asked again over the next one."""
        if self._line.door.look():
            if not self._swallowed:
                self._patient_until = time.monotonic() + self.timeout
            self._swallowed = sorted(self._waiting.keys())
            log.warning("the broker at %s went away; waiting up to %g s for it (%s)", self.endpoint, self.timeout, _START)
        self._connected = self._line.door.standing is not False
        if self._line.door.refusal:
            self._patient_until = 0.0  # whoever is there now will not answer

    def _send_again(self) -> None:
        """Ask, in the old order and under the old numbers, what the last broker did not answer. Raises zmq.Again where there is none."""
        while self._swallowed:
            pending = self._waiting.get(self._swallowed[0])
            if pending is not None:
                self._line.socket.send_multipart(pending._frames, zmq.NOBLOCK, copy=False)
                pending._deadline = time.monotonic() + pending._seconds
            self._swallowed.pop(0)

    def _postponed(self, pending: Pending, seconds: float) -> bool:
        """Whether a request that found something full will be sent again, in so many seconds and a bit; its patience is ``timeout``."""
        again = time.monotonic() + seconds * random.uniform(1.0, 1.5)  # so that many who were refused together do not come together
        if again < pending._patient_until:
            self._later[pending.number] = again
        return again < pending._patient_until

    def _ask_again(self) -> float:
        """Have what was postponed long enough sent again; seconds until more is due."""
        now = time.monotonic()
        for number in [number for number, when in self._later.items() if when <= now]:
            del self._later[number]
            if not self._swallowed:
                self._patient_until = now + self.timeout
            self._swallowed.append(number)
        return min(self._later.values(), default=math.inf) - now

    def _give_up(self, now: float) -> None:
        """No broker came back in time: each request that waits for one is told."""
        if not self._swallowed or now < self._patient_until:
            return
        refusal = self._line.door.refusal
        for pending in [self._waiting[number] for number in self._swallowed if number in self._waiting]:
            told = f"the broker at {self.endpoint} went away while {pending._what} was under way; its answer is lost"
            nobody = NoBroker(f"{told}, for no broker came back within {self.timeout:g} s. {_START}")
            self._settle(pending, error=TurnedAway(f"{told}, for {refusal}") if refusal else nobody)
        self._swallowed = []

    def _silence(self, pending: Pending, told: str = "") -> B2DError:
        if pending._worker:
            late = f"{pending._what} was not answered within its budget and {self.margin:g} s more"
            return BudgetExceeded(f"{late}; {told or 'reset takes another worker'}")
        return NoBroker(f"the broker at {self.endpoint} is connected but did not answer {pending._what}; look at its log, or restart it")

    def _whereabouts(self, pending: Pending) -> str:
        """What the broker knows of the worker that does not answer, if it tells within a moment."""
        if not pending._worker or self._swallowed or not self._connected:
            return ""
        try:
            asked = self.send(Kind.STATUS, {}, budget=MOMENT, patience=MOMENT)
            return answers.whereabouts(asked.result(), pending._worker)
        except B2DError as error:
            return f"nor did the broker say where its worker is ({error})"

    def _settle(self, pending: Pending, body: Any = None, error: B2DError | None = None) -> None:
        pending._body, pending._error, pending._settled, pending._frames = body, error, True, []
        self._waiting.pop(pending.number, None)


_START = "start a farm with `b2d up -n 4`, or `b2d-broker` and `b2d-worker`"


def _line(endpoint: str, token: str, keys: Keys | None) -> Line:
    try:
        return Line(endpoint, token, keys)
    except zmq.ZMQError as error:
        raise RequestError(f"{endpoint!r} cannot be connected to ({error}); {ENDPOINT}") from None


def _label() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):
        user = str(os.getuid())
    return f"{user}@{network.gethostname()}:{os.getpid()} {Path(sys.argv[0] or 'python').name}"
