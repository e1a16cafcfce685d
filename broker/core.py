"""Broker: messages in, messages out. No socket, no clock, no randomness; ``server.py`` has those.

Everything that the broker decides is decided here and in the three files that this one joins: ``workers.py`` (who is there),
``clients.py`` (who holds whom) and ``jobs.py`` (what passes through), over the one memory in ``table.py``. Time comes in as ``now``,
in seconds of a clock that never goes back. docs/protocol.md has the rules.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from typing import Any, Callable, Dict, List, Mapping

from b2d_zmq.errors import B2DError, ErrorCode, ProtocolError, code_of
from b2d_zmq.protocol import ANSWERS, REQUESTS, TO_HOST, Header, Kind, Message
from b2d_zmq.roles import Holder, Role

from .clients import Clients
from .held import MOST_BYTES
from .jobs import Jobs
from .rights import Rights
from .table import Send, Table, Worker, log
from .workers import Workers

REFUSALS = 64  # answers that one peer gets to what is no message and names no request
REFUSED_KEPT = 1024  # peers whose refusals are counted

Handler = Callable[[bytes, Message, float], None]


class Broker:
    """Who is alive, who holds whom, what waits. ``boot`` is a word that no other broker of this farm has had.

    ``holders``: by public key, who is let in; None: a farm without keys.
    """

    def __init__(
        self,
        boot: str,
        *,
        lease_ttl: float = 30.0,
        queue: int = 4,
        waiting: int = 256,
        held_bytes: int = MOST_BYTES,
        grace: float = 5.0,
        now: float = 0.0,
        holders: Mapping[str, Holder] | None = None,
    ) -> None:
        self.table = Table(boot, lease_ttl, now, held_bytes)
        self.table.rights = Rights(holders)
        self.jobs = Jobs(self.table, queue, grace)
        self.workers = Workers(self.table, self.jobs)
        self.clients = Clients(self.table, waiting)
        self._refused: OrderedDict[bytes, int] = OrderedDict()  # by peer: how often what it sent was no message
        self._handlers: Dict[Kind, Handler] = {
            Kind.ACQUIRE: self.clients.acquire,
            Kind.RELEASE: self.clients.release,
            Kind.STATUS: self.clients.status,
            Kind.DESCRIBE: self.clients.describe,
            Kind.KEEPALIVE: self.clients.keepalive,
            Kind.READY: self.workers.ready,
            Kind.HEARTBEAT: self.workers.heartbeat,
            Kind.ATTACH: self.workers.attach,
            Kind.RELEASED: self.workers.released,
            Kind.HANDOVER: self.workers.handover,
            Kind.LOST: self.workers.lost,
            Kind.GOODBYE: self.workers.goodbye,
            **dict.fromkeys(TO_HOST, self.jobs.job),
            **dict.fromkeys(ANSWERS, self.jobs.answer),
        }

    def receive(self, sender: bytes, message: Message, now: float) -> List[Send]:
        """What to send because this message came."""
        kind = message.header.kind
        try:
            handler = self._handlers.get(kind)
            if handler is None:
                raise ProtocolError(f"{kind.name} is what a broker sends, not what it takes")
            if self.table.rights.holders is not None:
                self.table.rights.check(message, self._worker_of(sender))
            handler(sender, message, now)
        except B2DError as error:
            if kind in REQUESTS:
                self.table.error(sender, message.header, code_of(error), str(error))
            else:
                self._refuse(sender, error, message.header.request)
        return self._sends(now)

    def allow(self, holders: Mapping[str, Holder], now: float) -> List[Send]:
        """What to send because from now on these keys are let in and no others; what is held under another one is over."""
        table = self.table
        table.rights = Rights(holders)
        for lease in [lease for lease in table.leases.values() if not table.rights.keeps(lease.key, Role.CLIENT)]:
            table.end(lease, ErrorCode.LEASE_VOID, "the key of its client is not allowed any more", living=True)
        for worker in [worker for worker in table.workers.values() if not table.rights.keeps(worker.key, Role.WORKER)]:
            self.workers.remove(worker, f"worker {worker.id} was turned out: its key is not allowed any more")
        for key in {wanted.key for wanted in self.clients.waiting.values() if not table.rights.keeps(wanted.key, Role.CLIENT)}:
            self.clients.turn_out(key)
        return self._sends(now)

    def refuse(self, sender: bytes, error: B2DError, request: int = 0) -> List[Send]:
        """What to send to a peer whose bytes are no message; ``request`` is the number of its request where that could be read."""
        self._refuse(sender, error, request)
        return self._taken()

    def unreachable(self, identity: bytes, message: Message, now: float) -> List[Send]:
        """What to send because this message could not be delivered: its receiver is gone, or does not read."""
        self.table.counters["messages undeliverable"] += 1
        worker = self.table.hosts.get(identity)
        if worker is not None:
            if message.header.kind is not Kind.WHO:  # a host that has not connected yet is no loss
                self.workers.unreachable(worker)
        elif identity.decode("utf-8", "replace") not in self.table.workers:  # of a keeper, the heartbeats tell
            self.clients.unreachable(identity, message)
        return self._sends(now)

    def tick(self, now: float) -> List[Send]:
        """What to send because time has passed."""
        self._sweep()
        while self.table.alarms and self.table.alarms[0][0] <= now:
            _, _, topic, key = heapq.heappop(self.table.alarms)
            if topic == "lease":
                self.clients.lapse(key, now)
            elif topic == "worker":
                self.workers.expiry(key, now)
            elif topic == "waiting":
                self.clients.overdue(key, now)
            else:
                self.jobs.give_up()
        return self._sends(now)

    def wake_at(self) -> float:
        """When ``tick`` has something to do at the earliest; infinity if never."""
        return self.table.alarms[0][0] if self.table.alarms else float("inf")

    def overslept(self, seconds: float) -> None:
        """This process stood still for so long: what others said meanwhile is still unread, so nobody was silent."""
        for worker in self.table.workers.values():
            worker.heard += seconds
        for lease in self.table.leases.values():
            lease.heard += seconds

    def failed(self, error: Exception, sender: bytes = b"", asked: Header | None = None) -> List[Send]:
        """What to send after a fault in this very code: the one who asked is told, and the broker goes on."""
        self.table.counters["faults"] += 1
        if asked is not None and asked.kind in REQUESTS:
            text = f"the broker failed on {asked.kind.name}: {error!r}; its log has the traceback"
            self.table.error(sender, asked, ErrorCode.FARM, text)
        return self._taken()

    def _sweep(self) -> None:
        """Let go of the alarms of leases that are over, which with a long time to live would outnumber the living a thousand times."""
        table = self.table
        if len(table.alarms) < 1024 + 4 * (len(table.leases) + len(table.workers) + len(self.clients.waiting)):
            return
        table.alarms = [alarm for alarm in table.alarms if self._still(alarm[2], alarm[3])]
        heapq.heapify(table.alarms)

    def _still(self, topic: str, key: Any) -> bool:
        if topic == "lease":
            return key in self.table.leases
        if topic == "worker":
            return self.table.workers.get(key.id) is key
        return topic != "waiting" or key in self.clients.waiting

    def _worker_of(self, sender: bytes) -> Worker | None:
        """The worker in whose name this peer speaks, if it is known."""
        return self.table.hosts.get(sender) or self.table.workers.get(sender.decode("utf-8", "replace"))

    def _refuse(self, sender: bytes, error: B2DError, request: int) -> None:
        count = self.table.counters["messages refused"] = self.table.counters["messages refused"] + 1
        if count & (count - 1) == 0:  # the 1st, 2nd, 4th, 8th, ...: a flood of junk is not a flood of lines
            log.warning("a message of %r was refused (the %d. so far): %s", sender, count, error)
        if request or self._listens(sender):
            self.table.error(sender, Header(Kind.ERROR, request), code_of(error), str(error))

    def _listens(self, sender: bytes) -> bool:
        """Whether to tell this peer of one more message that names no request; who sends many of them does not read the answers."""
        told = self._refused[sender] = self._refused.pop(sender, 0) + 1
        if len(self._refused) > REFUSED_KEPT:
            self._refused.popitem(last=False)
        return told <= REFUSALS

    def _sends(self, now: float) -> List[Send]:
        while self.table.changed:
            self.table.changed = False
            self.clients.serve(now)
        return self._taken()

    def _taken(self) -> List[Send]:
        out, self.table.out = self.table.out, []
        return out
