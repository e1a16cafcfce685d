"""The side of the broker that workers see: keepers and their hosts come, are heard, are lost.

A keeper says READY and then HEARTBEAT; its present host says ATTACH. Whoever is unknown is asked WHO, so that a broker that restarted,
or messages that crossed, need no further rule. A worker that is gone takes its lease with it; a host that is merely behind gets
REVOKE until it says RELEASED.
"""

from __future__ import annotations

from b2d_zmq.errors import Busy, ErrorCode, ProtocolError
from b2d_zmq.protocol import Kind, Message

from .bodies import Body
from .jobs import Jobs
from .table import Lease, Table, Worker, log

MOST_WORKERS = 4096
MISSED = 3.5  # heartbeats that a keeper may miss
LATE = 1.5  # heartbeats after which to see whether a silent keeper's host, which dies with it, is there
NUDGE_MOST = 32.0  # seconds between repeated WHO and REVOKE; they start at one and double
LOG_TAIL = 4096  # characters of a host's and its server's log that an error carries


class Workers:
    """Handlers of what keepers and hosts say, and of their silence."""

    def __init__(self, table: Table, jobs: Jobs) -> None:
        self._table, self._jobs = table, jobs

    def ready(self, sender: bytes, message: Message, now: float) -> None:
        """READY: enter a keeper, or correct what is known about it."""
        table, body = self._table, Body(message)
        name = body.text("worker", 128, least=1)
        if name.encode() != sender:
            raise ProtocolError(f"READY: the keeper's identity must be its worker id {name!r}")
        worker = table.workers.get(name)
        if worker is None:
            if len(table.workers) >= MOST_WORKERS:
                raise Busy(f"this broker knows {MOST_WORKERS} workers already, and takes no more; start another farm")
            worker = table.workers[name] = Worker(name, sender, now, key=message.key)
            table.alarm(now, "worker", worker)  # once: it sets itself again, and READY may come any number of times
            log.info("worker %s ready", name)
        worker.heartbeat = body.number("heartbeat", 0.02, 600.0, 1.0)
        worker.draining = worker.draining or body.fields.get("draining") is True
        worker.name, worker.version = body.text("name"), body.text("version")
        worker.pid, worker.heard = body.whole("pid", 0, 2**31, 0), now
        self._announced(worker, body.text("host", 160).encode(), now)
        self._nudge(worker, now, at_once=True)

    def heartbeat(self, sender: bytes, message: Message, now: float) -> None:
        """HEARTBEAT: a keeper is alive, and says which host it has; answered in kind, so that it knows the same of the broker."""
        worker, body = self._table.workers.get(sender.decode("utf-8", "replace")), Body(message)
        if worker is None:
            self._table.send(sender, Kind.WHO)
            return
        worker.heard, worker.progress = now, body.fields.get("progress")
        worker.draining = worker.draining or body.fields.get("draining") is True
        self._table.send(sender, Kind.HEARTBEAT)
        self._announced(worker, body.text("host", 160).encode(), now)
        self._nudge(worker, now)

    def attach(self, sender: bytes, message: Message, now: float) -> None:
        """ATTACH: a host is there, free or with a lease that it was granted earlier."""
        table, body = self._table, Body(message)
        worker = table.workers.get(body.text("worker", 128, least=1))
        if worker is None or worker.host != sender:
            table.send(worker.keeper if worker else body.text("worker").encode(), Kind.WHO)
            return
        epoch, held = body.whole("epoch", 0, 2**62, 0), body.text("lease", 64)
        description = body.tree("description")
        if not worker.attached:
            log.info("worker %s attached (%s, rig %s)", worker.id, description.get("backend"), description.get("rig"))
        worker.attached, worker.description = True, description
        worker.nudge_after = 1.0
        worker.epoch = max(worker.epoch, epoch)
        table.changed = True
        unseen = worker.last if worker.last and epoch < worker.last[1] else None  # its GRANT may still be on the way
        over = worker.revoking or unseen
        if worker.lease is not None:
            self._reattached(worker, worker.lease, held, epoch)
        elif over and (held or epoch < over[1]):
            if held and (held, epoch) != over:
                table.revoke(worker, held, epoch)
            table.revoke(worker, *over)
        else:
            worker.revoking = None
            if held:
                client, label, key = body.text("client"), body.text("label"), body.text("key", 40)
                self._take_up(worker, Lease(held, epoch, worker, client, label, now, key=key), now)

    def released(self, sender: bytes, message: Message, now: float) -> None:
        """RELEASED: the host has let go of the lease, and its worker is free."""
        worker, header = self._table.hosts.get(sender), message.header
        if worker is None or worker.revoking != (header.lease, header.epoch):
            return
        worker.revoking = None
        worker.nudge_after = 1.0
        self._table.changed = True
        log.info("worker %s %s", worker.id, "has let go, and drains" if worker.draining else "free again")

    def handover(self, sender: bytes, message: Message, now: float) -> None:
        """HANDOVER: a host was told to leave; the state of the episode goes to whoever asked last, and the lease is over."""
        worker, header = self._table.hosts.get(sender), message.header
        lease = worker.lease if worker is not None else None
        if worker is None or lease is None or (lease.name, lease.epoch) != (header.lease, header.epoch):
            return
        worker.draining = True
        if lease.asker:
            self._table.out.append((lease.asker, message))
        self._table.end(lease, ErrorCode.WORKER_LEFT, f"worker {worker.id} was told to leave, and handed the episode over", living=True)

    def lost(self, sender: bytes, message: Message, now: float) -> None:
        """LOST: the keeper's host is gone; its lease is void and the worker starts another host."""
        worker, body = self._table.workers.get(sender.decode("utf-8", "replace")), Body(message)
        if worker is None or worker.host != body.text("host", 160).encode():
            return
        reason, tail = body.text("reason", 4000), body.text("log", 1 << 20)[-LOG_TAIL:]
        code = _code(body.whole("code", 0, 2**31, int(ErrorCode.WORKER_LOST)))
        log.info("host %s lost: %s", worker.host.decode("utf-8", "replace"), reason)
        self._detach(worker, code, f"{reason}\nthe end of its log:\n{tail}" if tail else reason)
        self._name_host(worker, b"")

    def goodbye(self, sender: bytes, message: Message, now: float) -> None:
        """GOODBYE: a worker leaves."""
        worker = self._table.workers.get(sender.decode("utf-8", "replace"))
        if worker is not None:
            reason = Body(message).text("reason", 4000) or "no reason given"
            self.remove(worker, f"worker {worker.id} left: {reason}", ErrorCode.WORKER_LEFT)

    def expiry(self, worker: Worker, now: float) -> None:
        """A worker's alarm: lost if its keeper was silent too long, otherwise look again later."""
        if self._table.workers.get(worker.id) is not worker:  # it left; one that came again under its name has an alarm of its own
            return
        late = worker.heard + LATE * worker.heartbeat
        if self._expiry(worker) <= now:
            self.remove(worker, f"worker {worker.id} lost: its keeper was silent for {now - worker.heard:.1f} s")
            return
        if late <= now and worker.lease is not None and worker.attached:  # a GRANT again changes nothing, but must be deliverable
            self._table.send(worker.host, Kind.GRANT, worker.lease.name, worker.lease.epoch, worker.lease.granted())
        self._table.alarm(late if late > now else self._expiry(worker), "worker", worker)

    def remove(self, worker: Worker, reason: str, code: ErrorCode = ErrorCode.WORKER_LOST) -> None:
        """Forget a worker whose keeper is gone."""
        log.info("%s", reason)
        self._detach(worker, code, reason)
        if worker.last:
            self._table.fence(worker.host, worker.last)
        self._name_host(worker, b"")
        del self._table.workers[worker.id]

    def unreachable(self, worker: Worker) -> None:
        """A message to this worker's host could not be delivered; if the host lives, its next ATTACH begins anew."""
        if worker.attached:
            self._detach(worker, ErrorCode.WORKER_LOST, f"the host of worker {worker.id} could not be reached")

    def _announced(self, worker: Worker, host: bytes, now: float) -> None:
        """The keeper named its present host; another one than before means that the one before is gone."""
        if host == worker.host:
            return
        code = ErrorCode.WORKER_LEFT if worker.draining else ErrorCode.WORKER_LOST
        self._detach(worker, code, f"the host of worker {worker.id} {'has left' if worker.draining else 'was replaced'}")
        self._name_host(worker, host)
        worker.nudge_at, worker.nudge_after = now, 1.0

    def _name_host(self, worker: Worker, host: bytes) -> None:
        self._table.hosts.pop(worker.host, None)
        worker.host, worker.last = host, self._table.fences.pop(host, None)
        if host:
            self._table.hosts[host] = worker

    def _detach(self, worker: Worker, code: ErrorCode, reason: str) -> None:
        worker.attached = False
        worker.revoking = None
        if worker.lease is not None:
            self._table.end(worker.lease, code, reason, living=False)

    def _nudge(self, worker: Worker, now: float, at_once: bool = False) -> None:
        """Ask a host again for what is missing: its ATTACH, or its RELEASED. Ever more rarely: it may be busy for minutes."""
        if not worker.host or (worker.attached and not worker.revoking) or (now < worker.nudge_at and not at_once):
            return
        if worker.revoking:
            self._table.revoke(worker, *worker.revoking)
        else:
            self._table.send(worker.host, Kind.WHO)
        worker.nudge_at = now + worker.nudge_after
        worker.nudge_after = min(2 * worker.nudge_after, NUDGE_MOST)

    def _reattached(self, worker: Worker, lease: Lease, held: str, epoch: int) -> None:
        """An ATTACH while a lease is on the worker: the host holds it, or has not yet seen its GRANT."""
        if (held, epoch) != (lease.name, lease.epoch):
            self._table.send(worker.host, Kind.GRANT, lease.name, lease.epoch, lease.granted())
        self._jobs.again(lease)

    def _take_up(self, worker: Worker, lease: Lease, now: float) -> None:
        """A free worker's host says that it holds a lease: true after this broker restarted, out of date otherwise."""
        table = self._table
        rival: Lease | None = table.leases.get(lease.name)
        if table.ours(lease.name) or lease.name in table.ended or (rival and rival.epoch >= lease.epoch):
            table.revoke(worker, lease.name, lease.epoch)
            return
        if rival:
            table.end(rival, ErrorCode.LEASE_VOID, f"worker {worker.id} holds it at the newer epoch {lease.epoch}", living=True)
            table.ended.pop(lease.name)
        table.hold(lease)
        log.info("lease %s of %r on worker %s taken up", lease.name, lease.label, worker.id)
        self._jobs.taken_up(lease, now)

    def _expiry(self, worker: Worker) -> float:
        return worker.heard + MISSED * worker.heartbeat


def _code(number: int) -> ErrorCode:
    try:
        return ErrorCode(number)
    except ValueError:
        return ErrorCode.WORKER_LOST
