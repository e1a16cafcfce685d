"""Who is there and who holds whom: workers, leases and their jobs. The broker's only memory.

A lease is a client's sole right to one worker, fenced by its epoch. It lives in ``Table.leases`` from grant to end and nowhere else;
why it ended stays known for a while (bounded). What must be sent collects in ``Table.out``; what must happen later in ``Table.alarms``,
one entry per lease or worker however many messages pass, so a forwarded message costs the same with 8 leases as with 512.
"""

from __future__ import annotations

import heapq
import logging
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any, Deque, Dict, List, NamedTuple, Set, Tuple

from b2d_zmq.codec import encode
from b2d_zmq.errors import ErrorCode
from b2d_zmq.protocol import Header, Kind, Message

from . import bodies
from .held import MOST_BYTES, Held
from .rights import Rights

Send = Tuple[bytes, Message]

REMEMBERED = 1024  # ended leases whose reason is still known, and hosts of workers that were given up

log = logging.getLogger("b2d.broker")


class Job(NamedTuple):
    """A request to a host, and the identity that waits for its answer."""

    sender: bytes
    message: Message


@dataclass
class Lease:
    """One grant: a client's right to a worker until it is released, void or lapsed."""

    name: str
    epoch: int
    worker: Worker
    client: str
    label: str
    heard: float  # when its client last asked or kept alive
    running: Job | None = None
    queued: Deque[Job] = field(default_factory=deque)
    asker: bytes = b""  # the identity that asked last
    key: str = ""  # the public key under which it was acquired

    def jobs(self) -> List[Job]:
        """The running job and those behind it."""
        return ([self.running] if self.running else []) + list(self.queued)

    def granted(self) -> Dict[str, str]:
        """The body of its GRANT."""
        return {"client": self.client, "label": self.label, "key": self.key}


@dataclass
class Worker:
    """One keeper and its present host, as they announced themselves."""

    id: str
    keeper: bytes
    heard: float  # when the keeper last sent a heartbeat
    heartbeat: float = 1.0
    name: str = ""
    pid: int = 0
    version: str = ""
    progress: Any = None
    host: bytes = b""  # as the keeper announced it; b"" while there is none
    attached: bool = False  # that host has said ATTACH
    draining: bool = False  # it was told to leave: no more leases
    description: Dict[str, Any] = field(default_factory=dict)
    epoch: int = 0  # the highest that was ever granted on it
    lease: Lease | None = None
    revoking: Tuple[str, int] | None = None  # REVOKE was sent, RELEASED has not come
    last: Tuple[str, int] | None = None  # the latest grant to the present host; one that has not seen it may yet do so
    nudge_at: float = 0.0  # when WHO or REVOKE may be sent again
    nudge_after: float = 1.0
    key: str = ""  # the public key under which it came

    @property
    def state(self) -> str:
        """One of draining, starting, releasing, leased, free."""
        if self.draining:
            return "draining"
        if not self.attached:
            return "starting"
        if self.revoking:
            return "releasing"
        return "leased" if self.lease else "free"

    @property
    def profile(self) -> str:
        """What two workers must share for one snapshot to fit both."""
        return str(self.description.get("profile", ""))


class Table:
    """Workers, leases, what must be sent and what must happen later."""

    def __init__(self, boot: str, lease_ttl: float, now: float, held_bytes: int = MOST_BYTES) -> None:
        self.boot, self.lease_ttl, self.born = boot, lease_ttl, now
        self.held = Held(held_bytes)
        self.rights = Rights()
        self.workers: Dict[str, Worker] = {}
        self.hosts: Dict[bytes, Worker] = {}  # by the announced host's identity
        self.leases: Dict[str, Lease] = {}
        self.of_client: Dict[str, Set[str]] = {}  # lease names by client token
        self.ended: OrderedDict[str, str] = OrderedDict()  # lease name -> why
        self.fences: OrderedDict[bytes, Tuple[str, int]] = OrderedDict()  # by host: the latest grant of workers that were given up
        self.out: List[Send] = []
        self.alarms: List[Tuple[float, int, str, Any]] = []
        self.counters: Counter[str] = Counter()
        self.changed = False  # a worker became ready or free, or somebody left the queue: those who wait may be served
        self._serial = 0
        self._granted = 0
        self._epoch = 0

    def send(self, to: bytes, kind: Kind, lease: str = "", epoch: int = 0, body: Dict[str, Any] | None = None) -> None:
        """Queue a notice."""
        self.out.append((to, Message(Header(kind, lease=lease, epoch=epoch), encode(body) if body is not None else ())))

    def error(self, to: bytes, asked: Header, code: ErrorCode, message: str) -> None:
        """Queue the ERROR that answers a request."""
        self.counters["errors sent"] += 1
        self.out.append((to, bodies.error(asked, code, message)))

    def alarm(self, when: float, topic: str, key: Any) -> None:
        """Have ``tick`` look at this once ``when`` has come."""
        self._serial += 1
        heapq.heappush(self.alarms, (when, self._serial, topic, key))

    def grant(self, worker: Worker, client: str, label: str, now: float, key: str = "") -> Lease:
        """Put a new lease on a free worker and tell its host, which keeps what a later broker must know of it."""
        self._granted += 1
        self._epoch = worker.epoch = max(self._epoch, worker.epoch) + 1
        lease = Lease(f"L{self._granted}-{self.boot}", worker.epoch, worker, client, label, now, key=key)
        self.hold(lease)
        self.send(worker.host, Kind.GRANT, lease.name, lease.epoch, lease.granted())
        self.counters["leases granted"] += 1
        return lease

    def hold(self, lease: Lease) -> None:
        """Enter a lease, new or taken up from a host that outlived another broker."""
        lease.worker.lease = lease
        lease.worker.epoch = max(lease.worker.epoch, lease.epoch)
        lease.worker.last = (lease.name, lease.epoch)
        self.leases[lease.name] = lease
        self.of_client.setdefault(lease.client, set()).add(lease.name)
        self.alarm(lease.heard + self.lease_ttl, "lease", lease.name)

    def end(self, lease: Lease, code: ErrorCode, reason: str, *, living: bool) -> None:
        """Void a lease: answer its jobs with ``code``, remember ``reason``, and revoke it where its host is ``living``."""
        del self.leases[lease.name]
        tokens = self.of_client[lease.client]
        tokens.discard(lease.name)
        if not tokens:
            del self.of_client[lease.client]
        self.bury(lease.name, reason)
        worker, jobs = lease.worker, lease.jobs()
        worker.lease = None
        for job in jobs:
            self.held.let_go(job.sender, job.message.body)
            self.error(job.sender, job.message.header, code, f"lease {lease.name} on worker {worker.id} is void: {reason}")
        log.info("lease %s of %r on worker %s ended: %s; %d jobs answered", lease.name, lease.label, worker.id, reason[:200], len(jobs))
        if living:
            self.revoke(worker, lease.name, lease.epoch)

    def revoke(self, worker: Worker, lease: str, epoch: int) -> None:
        """Tell the host that a lease is over; the worker is free when RELEASED comes."""
        worker.revoking = (lease, epoch)
        self.send(worker.host, Kind.REVOKE, lease, epoch)

    def bury(self, lease: str, reason: str) -> None:
        """Remember why a lease is void, forgetting the oldest."""
        self.ended[lease] = reason
        if len(self.ended) > REMEMBERED:
            self.ended.popitem(last=False)

    def fence(self, host: bytes, last: Tuple[str, int]) -> None:
        """Remember the latest grant of a host whose worker is given up, in case it comes back, forgetting the oldest."""
        self.fences[host] = last
        if len(self.fences) > REMEMBERED:
            self.fences.popitem(last=False)

    def ours(self, lease: str) -> bool:
        """Whether this broker minted the name, so that it must know the lease while it lives."""
        return lease.rpartition("-")[2] == self.boot
