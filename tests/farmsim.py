"""A farm without sockets, threads or clock: the real broker core among simulated keepers, hosts and clients.

One seed is one history: which message arrives next, who dies, stalls or leaves, when the broker restarts. Messages of one peer keep their
order (as on TCP, unless the faults are worse than that) and overtake those of others. Clients are models (farmpeers.py) or trainers: the
real client, session and environment, over a simulated line (farmtrainers.py). ``farmwatch.Monitor`` looks on.
"""

from __future__ import annotations

import random
import threading
from collections import deque

from farmfaults import Faults, Trouble
from farmpeers import TTL, Client, Keeper
from farmtrainers import Trainer
from farmwatch import Monitor, require

from b2d_zmq.codec import encode
from b2d_zmq.protocol import Header, Message
from broker.core import Broker


class World:
    """Everybody, the links between them, and what happens next."""

    def __init__(self, seed, faults=None, workers=4, clients=3, profiles="aaab"):
        self.rng, self.now = random.Random(seed), 100.0
        self.trouble = Trouble(self, faults or Faults())
        self.monitor = Monitor(self.trouble.ordered)
        self.requests = self.boots = self.named = 0
        self.links, self.peers, self.keepers, self.clients, self.trainers = {}, {}, {}, {}, {}
        self.salts = {}  # worker -> of its world
        self.until = {}  # identity -> when its stall ends
        self.cut = []  # (when it is mended, host)
        self.late = []  # (when it arrives, link, message)
        self.up_at, self.tail = self.now, False
        self.still = self.still_until = 0.0  # since when the broker stands still, and until when
        self.turn = threading.Lock()  # released when it is the test's thread's turn
        self.turn.acquire()
        self.broker = self.new_broker()
        for i in range(workers):
            self.add_keeper(profiles[i % len(profiles)])
        for _ in range(clients):
            self.add_client()

    def new_broker(self):
        self.boots += 1
        return Broker(f"boot{self.boots}", lease_ttl=TTL, now=self.now)

    def add_keeper(self, profile):
        self.named += 1
        salted = self.trouble.faults.salted and self.rng.random() < self.trouble.faults.salted
        keeper = Keeper(self, f"w{self.named}", profile, b"%d" % self.named if salted else b"")
        self.salts[f"w{self.named}"] = keeper.salt
        self.keepers[keeper.identity] = self.join(keeper)

    def add_client(self):
        self.named += 1
        client = self.join(Client(self, f"c{self.named}"))
        self.clients[client.identity] = client
        return client

    def add_trainer(self, program):
        self.named += 1
        trainer = self.join(Trainer(self, f"t{self.named}", program))
        self.trainers[trainer.identity] = trainer

    def close(self):
        """End the threads of trainers that are still there."""
        for trainer in list(self.trainers.values()):
            trainer.kill()

    def hosts(self):
        return [keeper.host for keeper in self.keepers.values() if keeper.host]

    def join(self, peer):
        self.peers[peer.identity] = peer
        return peer

    def leave(self, peer):
        """Gone: what it sent may still arrive, what was sent to it does not."""
        self.peers.pop(peer.identity, None)
        self.purge((b"", peer.identity))
        self.monitor.at_host.pop(peer.identity, None)
        for kind in (self.keepers, self.clients, self.trainers):
            kind.pop(peer.identity, None)

    def purge(self, link):
        """What is on its way there is lost."""
        self.links.pop(link, None)
        if self.late:
            self.late = [one for one in self.late if one[1] != link]

    def post(self, sender, kind, body, header=None, **fields):
        header = header._replace(kind=kind, budget=0.0) if header else Header(kind, **fields)
        self.send(sender, Message(header, encode(body) if body is not None else ()))

    def send(self, sender, message):
        self.links.setdefault((sender, b""), deque()).append(message)

    def dispatch(self, batch):
        """Hand the broker's messages to the links; whoever is gone is an event for the broker, as with ROUTER_MANDATORY."""
        if not batch:
            return
        self.monitor.sent(batch)
        for to, message in batch:
            if to in self.peers:
                self.links.setdefault((b"", to), deque()).append(message)
            else:
                self.monitor.at_host.pop(to, None)
                self.dispatch(self.broker.unreachable(to, message, self.now))

    def deliver(self):
        """One message arrives, or gets lost, or comes later. False when nothing can."""
        now, until, broker = self.now, self.until, self.broker
        takes = broker and self.still_until <= now
        ready = [link for link in self.links if until.get(link[0] or link[1], 0.0) <= now and (takes or link[1])]
        if not ready:
            return False
        link = self.rng.choice(ready)
        queue = self.links[link]
        message = queue.popleft()
        if not queue:
            del self.links[link]
        sender, to = link
        if self.trouble.arrives(link, message):
            if to:
                self.peers[to].take(message)
            else:
                self.monitor.took(sender, message)
                self.dispatch(broker.receive(sender, message, now))
        return True

    def pass_time(self, seconds):
        self.now += seconds
        if self.broker is None and self.now >= self.up_at:
            self.broker = self.new_broker()
        self.mend()
        for peer in [*self.keepers.values(), *self.clients.values(), *self.trainers.values()]:
            if self.until.get(peer.identity, 0.0) <= self.now:
                peer.due(self.now)
        if self.broker and self.still_until <= self.now:
            if self.still:
                self.broker.overslept(self.now - self.still)
                self.still = 0.0
            if self.broker.wake_at() <= self.now:
                self.dispatch(self.broker.tick(self.now))

    def mend(self):
        """What was cut is whole again, what was late arrives."""
        for when, host in self.cut[:]:
            if when <= self.now:
                self.cut.remove((when, host))
                if host in self.hosts():
                    self.join(host)
        if self.late:
            come = [one for one in self.late if one[0] <= self.now]
            self.late = [one for one in self.late if one[0] > self.now]
            for _, link, message in come:
                if not link[1] or link[1] in self.peers:
                    self.links.setdefault(link, deque()).append(message)

    def lose_broker(self, seconds=0.0):
        """The broker dies with all that was on its way; after so many seconds there is another one."""
        self.links, self.late = {}, []
        self.monitor.at_host = {}
        self.up_at, self.broker = self.now + seconds, None
        self.still = self.still_until = 0.0
        if not seconds:
            self.broker = self.new_broker()
        for client in [*self.clients.values(), *self.trainers.values()]:
            client.broker_lost()

    def play(self, script):
        """Go through a script: a generator of the trainers whose turn it is. Whichever thread runs goes on with it (farmtrainers.py)."""
        self.script, self.error, self.ended = script, None, False
        while not self.ended:
            trainer = self.next()
            if trainer is not None:
                trainer.go()
                self.turn.acquire()
            if self.error is not None:
                raise self.error

    def next(self):
        """Whose turn it is: a trainer's, or, as None, the test's thread's, because the script is over or broken."""
        try:
            return next(self.script)
        except StopIteration:
            self.ended = True
        except BaseException as error:  # noqa: BLE001 (a promise was broken: it is raised in the test's thread)
            self.error = self.error or error
        return None

    def run(self, events):
        """A history of so many events."""
        self.play(self._history(events))

    def _history(self, events):
        rng = self.rng
        for _ in range(events):
            self.trouble.perhaps()
            dice = rng.random()
            able = self._able() if dice < 0.3 else ()
            if able:
                one = rng.choice(able)
                if one.identity in self.trainers:
                    yield one
                else:
                    one.act(rng)
            elif dice > 0.95 or not self._deliver_some(rng.randint(1, 4 + len(self.links))):
                self.pass_time(rng.choice((0.01, 0.1, 0.5, 1.0)))

    def _able(self):
        """The clients that could do something now."""
        now, until = self.now, self.until
        able = [one for one in self.clients.values() if until.get(one.identity, 0.0) <= now]
        return able + [one for one in self.trainers.values() if until.get(one.identity, 0.0) <= now and one.ready()]

    def _deliver_some(self, most):
        """False when nothing can be delivered."""
        done = 0
        while done < most and self.deliver():
            done += 1
        return done > 0

    def settle(self, seconds=300.0):
        """No more faults: everybody gives back what it holds, and all of it must end well within this (simulated) time."""
        self.trouble.end()
        self.until, self.tail = {}, True
        self.play(self._settling(self.now + seconds))

    def _settling(self, end):
        while self.now < end:
            for _ in range(1000):
                if not self.deliver():
                    break
            for trainer in list(self.trainers.values()):
                if trainer.ready():
                    yield trainer
            for client in list(self.clients.values()):
                client.silent = False
                if client.leases and not client.pending:
                    client.give_back(list(client.leases))
            if self.calm():
                return
            if self.broker is None or self.still or not self.links:
                self.pass_time(0.5)
        waiting = [client.pending for client in self.clients.values()] + [str(trainer) for trainer in self.trainers.values()]
        require(False, f"not calm at {end}: {self.broker and self.broker.table.workers} {waiting}")

    def calm(self):
        if self.broker is None or self.links or self.late or self.cut or self.trainers:
            return False
        table = self.broker.table
        free = all(worker.state == "free" for worker in table.workers.values()) and set(table.hosts) == {h.identity for h in self.hosts()}
        return free and not any(client.pending or client.leases for client in self.clients.values())

    def check(self):
        """After settling: whoever asked was answered, all workers can be had at once, and no table has grown."""
        self.settle()
        for key, times in self.monitor.asked.items():
            answered = self.monitor.answered[key] or key in self.monitor.forgiven or key[0] not in self.clients
            require(answered, f"request {key} was asked {times} times and never answered")
        client = self.add_client()
        number = sum(keeper.profile == "a" for keeper in self.keepers.values())
        client.acquire(number, 5.0, "a")
        while client.pending:
            if not self.deliver():
                self.pass_time(0.5)
        require(len(client.leases) == number, f"{number} workers are free, {len(client.leases)} were granted")
        self.settle()
        for _ in range(12):  # seconds: longer than every alarm of what is gone
            self.pass_time(1.0)
            self.settle()
        table, broker = self.broker.table, self.broker
        left = (table.leases, table.of_client, broker.clients.waiting, broker.jobs.strays)
        require(not any(left) and len(table.workers) == len(self.keepers), f"something stayed behind: {left}")
        require(len(table.alarms) <= len(table.workers), f"alarms of nobody: {table.alarms}")
