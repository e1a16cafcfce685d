"""Model keepers, hosts and clients for farmsim.py: as docs/protocol.md wants them, with nothing behind them.

They keep the rules that are theirs, so that a broken promise is the broker's. ``world`` gives them the time and takes their messages.
"""

from __future__ import annotations

import farmtoy
from farmwatch import require

from b2d_zmq.codec import decode, encode
from b2d_zmq.errors import B2DError, ErrorCode, code_of
from b2d_zmq.protocol import ANSWERS, TO_HOST, Header, Kind, Message
from worker.ledger import Answer, Ledger

TTL = 6.0  # of a lease; short, so that histories are


class Host:
    """A model host: the real ledger, and a hash chain behind it."""

    def __init__(self, world, keeper, number):
        self.world, self.keeper = world, keeper
        self.identity = keeper.identity + b"/h%d" % number
        self.ledger = Ledger(self.identity.decode())
        self.chain = farmtoy.Chain(keeper.salt)
        self.hangs, self.fails, self.overdue_at = False, False, None  # when the job that never ends is over its budget
        self.leaving = self.left = False  # it handed its episode over; and has heard that the broker has it
        self.attach()

    @property
    def lease(self):
        return self.ledger.lease

    def attach(self):
        body = {
            "worker": self.keeper.identity.decode(),
            "description": farmtoy.description(self.keeper.profile),
            "epoch": self.ledger.epoch,
            "seq": self.ledger.seq,
            "lease": self.ledger.lease,
            "client": self.ledger.client,
            "label": self.ledger.label,
        }
        self.world.post(self.identity, Kind.ATTACH, body)

    def take(self, message):
        header = message.header
        if self.overdue_at is not None:
            return
        if header.kind is Kind.WHO:
            self.attach()
        elif header.kind is Kind.GRANT and header.epoch > self.ledger.epoch:
            ordered = self.world.trouble.ordered  # otherwise a GRANT may come after the REVOKE of its lease
            require(not (self.lease and ordered), f"{self.identity} was granted {header.lease} while it holds {self.lease}")
            require(all(h.lease != header.lease for h in self.world.hosts()), f"{header.lease} is held by two hosts")
            body = decode(message.body)
            self.ledger.grant(header, body["client"], body["label"])
            self.chain.place = None
        elif header.kind is Kind.REVOKE:
            if self.ledger.revoke(header):
                self.chain.place = None
            self.world.post(self.identity, Kind.RELEASED, None, lease=header.lease, epoch=header.epoch)
            self.left = self.leaving
        elif header.kind in TO_HOST and self.hangs:
            self.overdue_at = self.world.now + header.budget
        elif header.kind in TO_HOST:
            self.job(message)

    def hand_over(self):
        """Its worker was told to leave: the episode goes to its client."""
        ledger = self.ledger
        header = Header(Kind.HANDOVER, 0, ledger.lease, ledger.epoch, ledger.seq)
        self.leaving, self.left = True, not ledger.lease
        if ledger.revoke(header):
            self.world.send(self.identity, Message(header, encode(self.chain.run(Kind.SNAPSHOT, {})) if self.chain.place else ()))

    def job(self, message):
        header = message.header
        try:
            answer = self.ledger.accept(header)
        except B2DError as error:
            answer = _error(error)
        if answer is None:
            self.world.monitor.ran(self.identity, header)
            answer = self.done(message)
            if answer is None:
                self.world.monitor.deadly[self.ledger.label.split("/")[0]] += 1
                self.keeper.lose_host()
                return
            self.ledger.done(answer)
        self.world.send(self.identity, Message(header._replace(kind=answer.kind, budget=0.0), answer.body))

    def done(self, message):
        """The answer to a job; a model client's job has no body and does nothing, and one that is deadly has no answer."""
        body = decode(message.body)
        if self.fails:
            self.fails, self.chain.place = False, None
            return _error(RuntimeError("the simulator failed"))
        if "deadly" in body.get("options", ()):
            return None
        try:
            empty = message.header.kind is Kind.STEP and not body
            return Answer(Kind.REPLY, encode({} if empty else self.chain.run(message.header.kind, body)))
        except B2DError as error:
            return _error(error)


def _error(error):
    return Answer(Kind.ERROR, encode({"code": int(code_of(error)), "message": str(error), "traceback": ""}))


class Keeper:
    """A model keeper: heartbeats, and the news of its host."""

    def __init__(self, world, name, profile, salt=b""):
        self.world, self.identity, self.profile, self.salt = world, name.encode(), profile, salt
        self.hosts, self.host, self.beat_at = 0, None, world.now
        self.leaves_by = None  # it was told to leave
        self.launch()
        self.say(Kind.READY, heartbeat=1.0, name=name, pid=1, version="0")

    def launch(self):
        self.hosts += 1
        self.host = self.world.join(Host(self.world, self, self.hosts))

    def say(self, kind, **more):
        host = self.host.identity.decode() if self.host else ""
        told = {"worker": self.identity.decode(), "host": host, "draining": self.leaves_by is not None}
        self.world.post(self.identity, kind, {**told, **more})

    def take(self, message):
        if message.header.kind is Kind.WHO:
            self.say(Kind.READY, heartbeat=1.0, name="w", pid=1, version="0")

    def due(self, now):
        if now >= self.beat_at:
            self.beat_at = now + 1.0
            self.say(Kind.HEARTBEAT, progress={"tick": 1})
        if self.host.overdue_at is not None and now >= self.host.overdue_at:
            self.lose_host(ErrorCode.BUDGET_EXCEEDED)
        if self.leaves_by is not None and (self.host.left or now >= self.leaves_by):
            self.make_room()

    def drain(self):
        """It is told to leave."""
        if self.leaves_by is None and self.host.overdue_at is None:
            self.leaves_by = self.world.now + 3.0
            self.say(Kind.HEARTBEAT, progress={"tick": 1})
            self.host.hand_over()

    def lose_host(self, code=ErrorCode.WORKER_LOST):
        if self.leaves_by is not None:
            self.make_room()
            return
        self.world.leave(self.host)
        self.say(Kind.LOST, reason="killed", code=int(code), log="")
        self.launch()

    def make_room(self):
        """Leave, and let another worker come."""
        self.die(goodbye=True)
        self.world.add_keeper(self.profile)

    def die(self, goodbye):
        self.world.leave(self.host)
        if goodbye:
            self.say(Kind.GOODBYE, reason="drained")
        self.world.leave(self)


class Client:
    """A model client: takes groups, steps them, keeps them alive or falls silent, gives them back or dies."""

    def __init__(self, world, name):
        self.world, self.name, self.identity = world, name, name.encode()
        self.leases = {}  # name -> [epoch, last seq sent]
        self.pending = {}  # request -> (message, sent at)
        self.keepalive_at, self.silent = world.now, False

    def ask(self, kind, body, lease="", epoch=0, seq=0):
        self.world.requests += 1
        number = self.world.requests
        self.pending[number] = (Message(Header(kind, number, lease, epoch, seq, 10.0), encode(body)), self.world.now)
        self.world.send(self.identity, self.pending[number][0])
        return number

    def acquire(self, n, wait, profile=""):
        label = f"{self.name}/{self.world.requests + 1}"
        self.world.monitor.wanted[label] = n
        return self.ask(Kind.ACQUIRE, {"n": n, "wait": wait, "client": self.name, "label": label, "profile": profile})

    def act(self, rng):
        asking = {message.header.kind for message, _ in self.pending.values()}
        if not self.leases and Kind.ACQUIRE not in asking:
            self.acquire(rng.randint(1, 3), rng.choice([0.0, 2.0, 20.0]), rng.choice(["", "", "a", "b"]))
        elif self.leases and rng.random() < 0.9:
            name = rng.choice(sorted(self.leases))
            if sum(message.header.lease == name for message, _ in self.pending.values()) < rng.choice([1, 1, 3, 6]):
                self.step(name, stale=rng.random() < 0.05)
        elif self.leases:
            self.give_back(list(self.leases))

    def step(self, name, stale=False):
        lease = self.leases[name]
        if stale:
            self.world.monitor.stale.add(self.ask(Kind.STEP, {}, name, lease[0] - 1, lease[1] + 1))
        else:
            lease[1] += 1
            self.ask(Kind.STEP, {}, name, lease[0], lease[1])

    def give_back(self, names):
        self.ask(Kind.RELEASE, {"leases": names, "client": self.name})
        for name in names:
            self.leases.pop(name, None)

    def take(self, message):
        header = message.header
        if header.kind not in ANSWERS or header.request not in self.pending:
            return
        asked = self.pending.pop(header.request)[0].header
        body = decode(message.body)
        if header.kind is Kind.ERROR and asked.lease and header.request not in self.world.monitor.stale:
            if body["code"] == ErrorCode.BUSY or (self.leases.pop(asked.lease, None) and body["code"] == ErrorCode.OUT_OF_ORDER):
                self.give_back([asked.lease])
        elif header.kind is Kind.REPLY and asked.kind is Kind.ACQUIRE:
            for one in body["leases"]:
                require(
                    self.world.monitor.told.get(one["lease"]) == self.name, f"{one['lease']} was told to {self.name}, not granted to it"
                )
                self.leases[one["lease"]] = [one["epoch"], 0]
            self.check_group(body["leases"])

    def check_group(self, leases):
        keepers = [self.world.keepers.get(one["worker"].encode()) for one in leases]
        require(len({one["worker"] for one in leases}) == len(leases), "a group with one worker twice")
        require(len({keeper.profile for keeper in keepers if keeper}) <= 1, "a group of two profiles")

    def due(self, now):
        """Keep alive; send again what seems lost, once; then give it up."""
        if now >= self.keepalive_at and not self.silent:
            self.keepalive_at = now + TTL / 5
            self.world.post(self.identity, Kind.KEEPALIVE, {"client": self.name, "leases": list(self.leases)})
        for number, (message, at) in list(self.pending.items()):
            if now - at > 30.0 and self.world.trouble.lossy:
                del self.pending[number]
                if message.header.lease in self.leases:
                    self.give_back([message.header.lease])
                elif message.header.kind in (Kind.ACQUIRE, Kind.RELEASE):
                    self.pending[number] = (message, now)
                    self.world.send(self.identity, message)

    def broker_lost(self):
        """What was on its way is lost: steps are sent again, under new numbers."""
        lost, self.pending = self.pending, {}
        self.world.monitor.forgiven |= {(self.identity, number) for number in lost}
        for message, _ in lost.values():
            header = message.header
            if header.kind in TO_HOST and header.lease in self.leases and header.request not in self.world.monitor.stale:
                self.ask(header.kind, {}, header.lease, header.epoch, header.seq)
