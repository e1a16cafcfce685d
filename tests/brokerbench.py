"""A broker core, a clock that the test holds, and shorthand for those who talk to it."""

from __future__ import annotations

from b2d_zmq.codec import decode, encode
from b2d_zmq.protocol import Header, Kind, Message
from broker.core import Broker


class Bench:
    """A broker and shorthand for those who talk to it. ``told[identity]`` collects what it sent: (kind, header, body)."""

    def __init__(self, **options):
        self.now, self.broker, self.told = 1000.0, Broker("boot", now=1000.0, **options), {}

    def take(self, sends):
        for to, message in sends:
            body = decode(message.body) if message.body else None
            self.told.setdefault(to, []).append((message.header.kind, message.header, body))

    def say(self, sender, kind, body=None, **fields):
        self.take(self.broker.receive(sender, Message(Header(kind, **fields), encode(body if body is not None else {})), self.now))

    def wait(self, seconds, beat=()):
        """Time passes in steps of a second; the keepers in ``beat`` stay alive."""
        for _ in range(int(seconds)):
            self.now += 1.0
            for worker in beat:
                self.say(worker, Kind.HEARTBEAT, {"worker": worker.decode(), "host": worker.decode() + "/h1"})
            self.take(self.broker.tick(self.now))

    def worker(self, name, profile="p", **attach):
        self.say(name, Kind.READY, {"worker": name.decode(), "host": name.decode() + "/h1", "heartbeat": 1.0, "name": "w", "pid": 1})
        body = {"worker": name.decode(), "description": {"profile": profile}, "epoch": 0, "seq": 0, "lease": "", "client": "", "label": ""}
        self.say(name + b"/h1", Kind.ATTACH, {**body, **attach})
        self.told.clear()

    def acquire(self, sender=b"c", request=1, n=1, wait=0.0, profile="", **more):
        body = {"n": n, "wait": wait, "client": "t" + sender.decode(), "label": "who " + sender.decode(), "profile": profile, **more}
        self.say(sender, Kind.ACQUIRE, body, request=request)
        return self.answer(sender)

    def answer(self, identity):
        """What this one was told last; None if nothing."""
        return self.told.pop(identity, [(None, None, None)])[-1]

    def status(self):
        self.say(b"status", Kind.STATUS, request=1)
        return self.answer(b"status")[2]

    def job(self, lease, request, seq=1, sender=b"c", **body):
        self.say(sender, Kind.STEP, body, request=request, lease=lease["lease"], epoch=lease["epoch"], seq=seq, budget=1.0)


def leases_of(answer):
    assert answer[0] is Kind.REPLY, answer
    return answer[2]["leases"]


def refusal(answer):
    assert answer[0] is Kind.ERROR, answer
    return answer[2]["code"], answer[2]["message"]
