"""The side of the broker that clients see: acquiring, releasing, keeping alive, asking.

Acquisition is all or none and first come first served: whoever waits keeps later ones away from the workers that would suit it, so a
large group is not starved by small ones. Who lost a worker goes first: it may hold others, which come free only when it can go
on. A request that is sent again is answered again, never granted twice.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Dict, List, Sequence, Set, Tuple

from b2d_zmq.errors import Busy, ErrorCode
from b2d_zmq.protocol import Header, Kind, Message, frame_bytes

from . import bodies, report
from .bodies import Body
from .table import Table, Worker, log

PROBE = 5.0  # seconds between the notices by which the broker finds that a waiting client is gone
MOMENT = 2.0  # seconds that even who will not wait waits for workers that are just being released: their hosts answer in milliseconds
ANSWERS_KEPT = 1024  # answers to ACQUIRE, in case the request comes again
ANSWER_BYTES_KEPT = 32 * 1024 * 1024  # the same, by weight
WAITING_OF_ONE = 32  # requests of one peer that may wait

Key = Tuple[bytes, int]  # identity and request number


@dataclass
class Waiting:
    """An ACQUIRE of ``n`` workers that waits its turn, or a DESCRIBE (``n`` = 0) that waits for a ready worker."""

    sender: bytes
    asked: Header
    n: int
    profile: str
    client: str
    label: str
    since: float
    until: float
    key: str = ""  # under which it came
    instead: bool = False  # of a worker that was lost: it goes before those that wait for more


class Clients:
    """Handlers of requests to the broker itself, and the queue of those who wait."""

    def __init__(self, table: Table, waiting: int) -> None:
        self._table, self._most = table, waiting
        self.waiting: Dict[Key, Waiting] = {}  # in the order of coming
        self.answered: OrderedDict[Key, Tuple[Message, Sequence[str]]] = OrderedDict()  # ACQUIREs: the answer, the leases granted
        self._answer_bytes = 0

    def acquire(self, sender: bytes, message: Message, now: float) -> None:
        """ACQUIRE: grant ``n`` workers at once, or wait. Raises RequestError and Busy."""
        body, key = Body(message), (sender, message.header.request)
        if key in self.answered:
            self._table.out.append((sender, self.answered[key][0]))
            return
        wanted = Waiting(
            sender,
            message.header,
            body.whole("n", 1, 4096, 1),
            body.text("profile"),
            body.text("client", least=1),
            body.text("label"),
            now,
            now + body.number("wait", 0.0, 1e9, 0.0),
            message.key,
            body.fields.get("instead") is True,
        )
        self._enqueue(key, wanted, now)

    def describe(self, sender: bytes, message: Message, now: float) -> None:
        """DESCRIBE: the description of a ready worker, without taking it. Raises RequestError and Busy."""
        body, asked = Body(message), message.header
        until = now + body.number("wait", 0.0, 1e9, 0.0)
        self._enqueue((sender, asked.request), Waiting(sender, asked, 0, body.text("profile"), "", "", now, until, message.key), now)

    def release(self, sender: bytes, message: Message, now: float) -> None:
        """RELEASE: end the named leases; those that are over already are no error. Raises RequestError, and Forbidden for another's."""
        table, body = self._table, Body(message)
        held = [table.leases[name] for name in dict.fromkeys(body.names("leases")) if name in table.leases]
        client = body.text("client")
        for lease in held:
            table.rights.check_end(lease, client, message)
        for lease in held:
            table.end(lease, ErrorCode.LEASE_VOID, "released by its client", living=True)
        table.out.append((sender, bodies.reply(message.header, {"released": [lease.name for lease in held]})))

    def status(self, sender: bytes, message: Message, now: float) -> None:
        """STATUS: everything an operator may want to see."""
        waiting = [{"label": w.label, "n": w.n, "profile": w.profile, "seconds": now - w.since} for w in self.waiting.values() if w.n]
        self._table.out.append((sender, bodies.reply(message.header, report.status(self._table, waiting, now))))

    def keepalive(self, sender: bytes, message: Message, now: float) -> None:
        """KEEPALIVE: renew the leases of a token; where it lists ``leases``, only those, so that one its client never heard of lapses."""
        body, table = Body(message), self._table
        held = table.of_client.get(body.text("client", least=1), ())
        for name in held if "leases" not in body.fields else set(body.names("leases")).intersection(held):
            if table.leases[name].key == message.key:
                table.leases[name].heard = now

    def serve(self, now: float) -> None:
        """Answer, in order, everybody who waits and for whom there are enough workers."""
        reserved: Set[str] = set()  # profiles that somebody further ahead waits for
        all_reserved = False
        for key, wanted in sorted(self.waiting.items(), key=lambda item: not item[1].instead):
            if wanted.n == 0:
                self._described(key, wanted)
                continue
            chosen = None if all_reserved else self._choose(wanted, reserved)
            if chosen is not None:
                self._grant(key, wanted, chosen, now)
            elif wanted.profile:
                reserved.add(wanted.profile)
            else:
                all_reserved = True

    def lapse(self, name: str, now: float) -> None:
        """A lease's alarm: void if its client was silent too long, otherwise look again later."""
        table, lease = self._table, self._table.leases.get(name)
        if lease is None:
            return
        if lease.heard + table.lease_ttl > now:
            table.alarm(lease.heard + table.lease_ttl, "lease", name)
        else:
            table.end(lease, ErrorCode.LEASE_VOID, f"it lapsed: its client was silent for {now - lease.heard:.1f} s", living=True)

    def overdue(self, key: Key, now: float) -> None:
        """A waiting request's alarm: its time is over, or the broker sees whether its client is still there."""
        wanted = self.waiting.get(key)
        if wanted is None:
            return
        if now < wanted.until:
            self._table.out.append((wanted.sender, Message(wanted.asked._replace(kind=Kind.HEARTBEAT, budget=0.0))))
            self._table.alarm(min(wanted.until, now + PROBE), "waiting", key)
            return
        self._leave(key)
        self._none_free(key, wanted, now)

    def turn_out(self, key: str) -> None:
        """Forget what waits under a key that is not allowed any more; nothing is answered."""
        for place in [place for place, wanted in self.waiting.items() if wanted.key == key]:
            self._leave(place)

    def unreachable(self, identity: bytes, message: Message) -> None:
        """A client is gone: forget what it waits for, and take back leases that it will never hear of."""
        for key in [key for key in self.waiting if key[0] == identity]:
            self._leave(key)
        told, names = self.answered.get((identity, message.header.request), (None, ()))
        if told is not message:
            return
        for name in names:
            if name in self._table.leases:
                self._table.end(self._table.leases[name], ErrorCode.LEASE_VOID, "its client was gone before it was told", living=True)

    def _enqueue(self, key: Key, wanted: Waiting, now: float) -> None:
        """Serve a request at once if its turn has come; otherwise keep it, or refuse it if it will not wait."""
        if key in self.waiting:
            self._table.counters["repeated requests ignored"] += 1
            return
        if len(self.waiting) >= self._most:
            raise Busy(f"{self._most} requests for workers wait already; try again later")
        if sum(sender == wanted.sender for sender, _ in self.waiting) >= WAITING_OF_ONE:
            raise Busy(f"{WAITING_OF_ONE} requests of yours wait for workers already; wait for an answer before sending more")
        self.waiting[key] = wanted
        self.serve(now)
        if key not in self.waiting:
            return
        alone = len(self.waiting) == 1
        if wanted.until <= now and alone and self._choose(wanted, set(), ("free", "releasing")):
            wanted.until = now + MOMENT
        if wanted.until <= now:
            self._leave(key)
            self._none_free(key, wanted, now)
        else:
            self._table.alarm(min(wanted.until, now + PROBE), "waiting", key)

    def _none_free(self, key: Key, wanted: Waiting, now: float) -> None:
        text = report.no_free_worker(self._table, wanted.n, wanted.profile, len(self.waiting), now)
        if now > wanted.since:
            text += f" (waited {now - wanted.since:.1f} s)"
        self._answer(key, wanted, bodies.error(wanted.asked, ErrorCode.NO_FREE_WORKER, text))

    def _answer(self, key: Key, wanted: Waiting, answer: Message, leases: Sequence[str] = ()) -> None:
        """Send the answer, and keep it: the same ACQUIRE once more must neither be granted twice nor be granted after a refusal."""
        self._table.out.append((wanted.sender, answer))
        if wanted.n:
            self.answered[key] = (answer, leases)
            self._answer_bytes += sum(map(frame_bytes, answer.body))
            while len(self.answered) > ANSWERS_KEPT or self._answer_bytes > ANSWER_BYTES_KEPT:
                _, (forgotten, _) = self.answered.popitem(last=False)
                self._answer_bytes -= sum(map(frame_bytes, forgotten.body))

    def _leave(self, key: Key) -> None:
        del self.waiting[key]
        self._table.changed = True

    def _choose(self, wanted: Waiting, reserved: Set[str], states: Sequence[str] = ("free",)) -> List[Worker] | None:
        """``n`` free workers of one profile, of the one with most free if any will do; None if there are not so many."""
        free: Dict[str, List[Worker]] = {}
        for worker in self._table.workers.values():
            if worker.state in states and worker.profile not in reserved and wanted.profile in ("", worker.profile):
                free.setdefault(worker.profile, []).append(worker)
        most = max(free.values(), key=len, default=[])
        return most[: wanted.n] if len(most) >= wanted.n else None

    def _grant(self, key: Key, wanted: Waiting, chosen: List[Worker], now: float) -> None:
        table = self._table
        leases = [table.grant(worker, wanted.client, wanted.label, now, wanted.key) for worker in chosen]
        told = [{"lease": one.name, "epoch": one.epoch, "worker": one.worker.id, "ttl": table.lease_ttl} for one in leases]
        answer = bodies.reply(wanted.asked, {"leases": told, "description": chosen[0].description})
        log.info("%d leases granted to %r: %s", len(leases), wanted.label, ", ".join(f"{one.name} on {one.worker.id}" for one in leases))
        self._answer(key, wanted, answer, [lease.name for lease in leases])
        del self.waiting[key]

    def _described(self, key: Key, wanted: Waiting) -> None:
        for worker in self._table.workers.values():
            if worker.attached and wanted.profile in ("", worker.profile):
                self._answer(key, wanted, bodies.reply(wanted.asked, {"description": worker.description}))
                del self.waiting[key]
                return
