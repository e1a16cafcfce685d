"""The watcher of a simulated farm (farmsim.py): sees what the broker takes and sends and what hosts execute, and knows the promises.

It looks from outside only: at messages, never into the broker's tables. A broken promise of docs/protocol.md raises Violation.
"""

from __future__ import annotations

from collections import Counter

from b2d_zmq.codec import decode
from b2d_zmq.errors import ErrorCode
from b2d_zmq.protocol import ANSWERS, REQUESTS, TO_HOST, Kind


class Violation(AssertionError):
    """A promise of the protocol was broken."""


def require(condition, text):
    """Raise Violation with this text unless the condition holds."""
    if not condition:
        raise Violation(text)


class Monitor:
    """Sees every message that the broker takes or sends, and every step that is executed."""

    def __init__(self, ordered=True):
        self.ordered = ordered  # otherwise what a host said of itself long ago may be heard after what it said since
        self.executed = set()
        self.asked, self.answered = Counter(), Counter()  # by (identity, request)
        self.wanted = {}  # label of an ACQUIRE -> n
        self.forgiven = set()  # requests whose broker was restarted
        self.stale = set()  # requests with an old epoch
        self.told = {}  # lease -> the client that was told of it
        self.at_host = {}  # host -> the (lease, epoch, seq) that it is at
        self.asking = {}  # label of an ACQUIRE -> the identities that sent it: a client that comes back has another one
        self.served = Counter()  # labels of ACQUIREs, how often granted: what a client asks again is granted again, and the first lapses
        self.steps = 0
        self.episodes = self.seen = self.branches_lost = 0  # whole episodes, states that were right, by trainers
        self.deadly = Counter()  # hosts that died of a job, by trainer
        self.resumed, self.given_up = Counter(), Counter()  # verdicts of resumes; errors by which trainers lost an episode

    def took(self, sender, message):
        if message.header.kind in REQUESTS:
            self.asked[sender, message.header.request] += 1
            if message.header.kind is Kind.ACQUIRE:
                self.asking.setdefault(decode(message.body)["label"], set()).add(sender)
        at, header = self.at_host.get(sender), message.header
        answered = header.kind in ANSWERS and at == header[2:5]
        let_go = header.kind is Kind.RELEASED and at and at[0] == header.lease
        if answered or let_go:
            del self.at_host[sender]

    def sent(self, batch):
        grants = {}
        for to, message in batch:
            header = message.header
            if header.kind in ANSWERS:
                self._answer((to, header.request), message)
            elif header.kind is Kind.GRANT:
                grants.setdefault(decode(message.body)["label"], set()).add((to, header.lease))
            elif header.kind in TO_HOST:
                require(header.request not in self.stale, f"a job of an old epoch of {header.lease} was forwarded")
                require(not self.ordered or self.at_host.get(to, header[2:5]) == header[2:5], f"{to} was given a job while it had one")
                self.at_host[to] = header[2:5]
        for label, given in grants.items():
            new = {grant for grant in given if grant[1] not in self.told}
            if new:
                hosts, n = len({host for host, _ in new}), self.wanted[label]
                require(hosts % n == 0, f"{label}: {hosts} granted, {n} wanted")
                self.served[label] += hosts // n
                require(self.served[label] <= len(self.asking[label]), f"{label} was granted twice")
                self.told.update((lease, label.split("/")[0]) for _, lease in new)

    def ran(self, host, header):
        job = (header.lease, header.epoch, header.seq)
        require(job not in self.executed, f"{job} was executed twice")
        require(header.request not in self.stale, f"{job} came through although its epoch is old")
        self.executed.add(job)
        self.steps += 1

    def _answer(self, key, message):
        self.answered[key] += 1
        require(self.answered[key] <= self.asked[key], f"request {key} was answered {self.answered[key]} times, asked {self.asked[key]}")
        if key[1] in self.stale:
            code = decode(message.body).get("code")
            require(
                code in (ErrorCode.LEASE_VOID, ErrorCode.WORKER_LOST, ErrorCode.BUSY), f"a job of an old epoch was answered with {code}"
            )
