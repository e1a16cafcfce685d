"""The host's ledger: who holds this worker, and which job is the next. No socket, no clock, no backend.

It keeps the fence of docs/protocol.md rules 2 and 3: a job of a lease or epoch that is not current is refused, seq = last + 1 is done,
seq = last gets the cached answer once more, and everything else is out of order. So no job is done twice in an epoch. A RESET or RESTORE
may come with any later seq: it begins anew, and whoever sends it may not know what became of the jobs before.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Sequence

from b2d_zmq.errors import LeaseVoid, OutOfOrder
from b2d_zmq.protocol import BEGINNINGS, Header, Kind


class Answer(NamedTuple):
    """What a job was answered with: REPLY or ERROR, and the frames of its body."""

    kind: Kind
    body: Sequence[Any]


class Ledger:
    """One worker's lease as its host sees it. ``epoch`` is the highest ever granted, also while the worker is free."""

    def __init__(self, worker: str) -> None:
        self.worker = worker
        self.lease = self.client = self.label = self.key = ""
        self.epoch = self.seq = 0
        self._cached: Answer | None = None

    def grant(self, header: Header, client: str, label: str, key: str = "") -> bool:
        """Take up a lease. False, and nothing changed, when its epoch is not newer than all before (an old or repeated notice)."""
        if header.epoch <= self.epoch or not header.lease:
            return False
        self.lease, self.epoch, self.client, self.label, self.key = header.lease, header.epoch, client, label, key
        self.seq, self._cached = 0, None
        return True

    def revoke(self, header: Header) -> bool:
        """Give a lease up. False when it is not the one held: there is nothing to forget, but the answer is RELEASED all the same."""
        if not self.lease or (header.lease, header.epoch) != (self.lease, self.epoch):
            return False
        self.lease = self.client = self.label = self.key = ""
        self._cached = None
        return True

    def accept(self, header: Header) -> Answer | None:
        """None: do the job, then call ``done``. An Answer: send it again. Raises LeaseVoid or OutOfOrder.

        From here on the job's seq is used up, whatever becomes of it.
        """
        if not self.lease or (header.lease, header.epoch) != (self.lease, self.epoch):
            held = f"it holds lease {self.lease} of epoch {self.epoch}" if self.lease else "it holds no lease"
            raise LeaseVoid(f"worker {self.worker} refused a job of lease {header.lease or '(none)'} of epoch {header.epoch}: {held}")
        if header.seq == self.seq and self._cached is not None:
            return self._cached
        if header.seq != self.seq + 1 and not (header.kind in BEGINNINGS and header.seq > self.seq):
            raise OutOfOrder(f"job {header.seq} of lease {self.lease} is out of order: the last was {self.seq}, wanted is {self.seq + 1}")
        self.seq, self._cached = header.seq, None
        return None

    def done(self, answer: Answer) -> None:
        """Keep the answer of the job that ``accept`` let through, in case it is asked for again."""
        self._cached = answer
