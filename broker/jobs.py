"""Jobs: requests that go to a host, and the answers that come back. The hot path; bodies pass through unopened.

One job of a lease runs at a time, a few wait behind it in order. Lease and epoch are checked both ways. A job that names a lease of
an earlier broker is held for a moment after this one's start, because the host that holds the lease is about to announce it.
"""

from __future__ import annotations

from typing import Dict, List

from b2d_zmq.errors import B2DError, Busy, ErrorCode, LeaseVoid, code_of
from b2d_zmq.protocol import Message

from .table import Job, Lease, Table

STRAYS = 256  # jobs of leases not yet announced, all together


class Jobs:
    """What runs on the leases and what waits behind it."""

    def __init__(self, table: Table, queue: int, grace: float) -> None:
        self._table, self._queue = table, queue
        self._patient_until = table.born + grace
        self.strays: Dict[str, List[Job]] = {}
        table.alarm(self._patient_until, "strays", None)

    def job(self, sender: bytes, message: Message, now: float) -> None:
        """Forward a job, or queue it behind the running one. Raises LeaseVoid, Forbidden and Busy."""
        header = message.header
        lease = self._table.leases.get(header.lease)
        if lease is None or not self._current(lease, header.epoch):
            self._stray(Job(sender, message), now)
            return
        self._table.rights.check_use(lease, message)
        lease.heard, lease.asker = now, sender
        if lease.running is None:
            self._table.held.take(sender, message.body)
            self._start(lease, Job(sender, message))
        elif any(job.sender == sender and job.message.header.request == header.request for job in lease.jobs()):
            self._table.counters["repeated requests ignored"] += 1
        elif len(lease.queued) >= self._queue:
            raise Busy(f"lease {lease.name} has {self._queue} jobs waiting behind a running one; wait for an answer before sending more")
        else:
            self._table.held.take(sender, message.body)
            lease.queued.append(Job(sender, message))

    def answer(self, sender: bytes, message: Message, now: float) -> None:
        """Pass a host's answer to whoever asked and start the next job; drop what nobody waits for any more."""
        header, table = message.header, self._table
        lease = table.leases.get(header.lease)
        if lease is None or lease.running is None or not self._current(lease, header.epoch) or sender != lease.worker.host:
            table.counters["late answers dropped"] += 1
            return
        asked = lease.running.message.header
        if asked.request != header.request or asked.seq != header.seq:
            table.counters["late answers dropped"] += 1
            return
        table.held.let_go(lease.running.sender, lease.running.message.body)
        table.out.append((lease.running.sender, message))
        table.counters["jobs answered"] += 1
        lease.running = None
        if lease.queued:
            self._start(lease, lease.queued.popleft())

    def again(self, lease: Lease) -> None:
        """Forward the running job once more, to a host whose connection may have lost it; a host that did it sends its cached answer."""
        if lease.running:
            self._table.out.append((lease.worker.host, lease.running.message))

    def taken_up(self, lease: Lease, now: float) -> None:
        """Do the jobs that came before their lease was announced."""
        for job in self.strays.pop(lease.name, []):
            self._table.held.let_go(job.sender, job.message.body)
            try:
                self.job(job.sender, job.message, now)
            except B2DError as error:  # an old epoch, or a full queue: the one who asked is told, not the host that announced the lease
                self._table.error(job.sender, job.message.header, code_of(error), str(error))

    def give_up(self) -> None:
        """The time for announcements is over: answer every job that is still held."""
        held, self.strays = self.strays, {}
        for job in [job for jobs in held.values() for job in jobs]:
            self._table.held.let_go(job.sender, job.message.body)
            self._table.error(job.sender, job.message.header, ErrorCode.LEASE_VOID, str(self._void(job)))

    def _start(self, lease: Lease, job: Job) -> None:
        lease.running = job
        self._table.out.append((lease.worker.host, job.message))

    def _current(self, lease: Lease, epoch: int) -> bool:
        return lease.epoch == epoch

    def _stray(self, job: Job, now: float) -> None:
        """Hold a job of an earlier broker's lease for a moment; refuse any other."""
        table, name = self._table, job.message.header.lease
        foreign = name and not table.ours(name) and name not in table.ended and name not in table.leases
        if not foreign or now >= self._patient_until or sum(map(len, self.strays.values())) >= STRAYS:
            raise self._void(job)
        held = self.strays.get(name, [])
        if any(other.sender == job.sender and other.message.header == job.message.header for other in held):
            table.counters["repeated requests ignored"] += 1
        elif len(held) > self._queue:
            raise Busy(f"{len(held)} jobs of lease {name} wait for its worker to be heard of; wait for an answer before sending more")
        else:
            table.held.take(job.sender, job.message.body)
            self.strays.setdefault(name, held).append(job)

    def _void(self, job: Job) -> LeaseVoid:
        header, table = job.message.header, self._table
        if header.lease in table.leases:
            reason = f"its epoch is {table.leases[header.lease].epoch}, the request says {header.epoch}"
        else:
            reason = table.ended.get(header.lease, "this broker does not know it")
        return LeaseVoid(f"lease {header.lease!r} is void: {reason}; acquire a new one")
