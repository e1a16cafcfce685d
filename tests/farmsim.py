"""A farm without sockets, threads or clock: the real broker core among simulated keepers, hosts and clients.

One seed is one history: which message arrives next, who dies, stalls or leaves, when the broker restarts. Messages of one peer keep their
order (as on TCP) and overtake those of others. ``farmwatch.Monitor`` looks on.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

from farmpeers import TTL, Client, Keeper
from farmwatch import Monitor, require

from b2d_zmq.codec import encode
from b2d_zmq.protocol import Header, Message
from broker.core import Broker


@dataclass(frozen=True)
class Faults:
    """How hostile a history is: probabilities per event."""

    drop: float = 0.0
    duplicate: float = 0.0
    kill: float = 0.02  # hosts, keepers, clients
    stall: float = 0.02
    restart: float = 0.004  # of the broker


class World:
    """Everybody, the links between them, and what happens next."""

    def __init__(self, seed, faults=None, workers=4, clients=3):
        self.rng, self.faults, self.now, self.monitor = random.Random(seed), faults or Faults(), 100.0, Monitor()
        self.requests = self.boots = self.named = 0
        self.links, self.peers, self.keepers, self.clients = {}, {}, {}, {}
        self.until = {}  # identity -> when its stall ends
        self.cut = []  # (when it is mended, host)
        self.broker = self.new_broker()
        for i in range(workers):
            self.add_keeper("ab"[i % 4 == 3])
        for _ in range(clients):
            self.add_client()

    def new_broker(self):
        self.boots += 1
        return Broker(f"boot{self.boots}", lease_ttl=TTL, now=self.now)

    def add_keeper(self, profile):
        self.named += 1
        keeper = Keeper(self, f"w{self.named}", profile)
        self.keepers[keeper.identity] = self.join(keeper)

    def add_client(self):
        self.named += 1
        client = self.join(Client(self, f"c{self.named}"))
        self.clients[client.identity] = client
        return client

    def hosts(self):
        return [keeper.host for keeper in self.keepers.values() if keeper.host]

    def join(self, peer):
        self.peers[peer.identity] = peer
        return peer

    def leave(self, peer):
        """Gone: what it sent may still arrive, what was sent to it does not."""
        self.peers.pop(peer.identity, None)
        self.links.pop((b"", peer.identity), None)
        self.monitor.at_host.pop(peer.identity, None)
        self.keepers.pop(peer.identity, None)
        self.clients.pop(peer.identity, None)

    def post(self, sender, kind, body, header=None, **fields):
        header = header._replace(kind=kind, budget=0.0) if header else Header(kind, **fields)
        self.send(sender, Message(header, encode(body) if body is not None else ()))

    def send(self, sender, message):
        self.links.setdefault((sender, b""), deque()).append(message)

    def dispatch(self, batch):
        """Hand the broker's messages to the links; whoever is gone is an event for the broker, as with ROUTER_MANDATORY."""
        self.monitor.sent(batch)
        for to, message in batch:
            if to in self.peers:
                self.links.setdefault((b"", to), deque()).append(message)
            else:
                self.monitor.at_host.pop(to, None)
                self.dispatch(self.broker.unreachable(to, message, self.now))

    def deliver(self):
        """One message arrives, or gets lost, or arrives twice. False when nothing can."""
        ready = [link for link, queue in self.links.items() if queue and self.until.get(link[0] or link[1], 0.0) <= self.now]
        if not ready:
            return False
        sender, to = self.rng.choice(ready)
        queue = self.links[sender, to]
        message = queue.popleft()
        if not queue:
            del self.links[sender, to]
        if self.rng.random() < self.faults.drop:
            self.monitor.at_host.pop(sender or to, None)
            return True
        if self.rng.random() < self.faults.duplicate:
            self.links.setdefault((sender, to), deque()).appendleft(message)
        if to:
            self.peers[to].take(message)
        else:
            self.monitor.took(sender, message)
            self.dispatch(self.broker.receive(sender, message, self.now))
        return True

    def pass_time(self, seconds):
        self.now += seconds
        self.mend()
        for peer in list(self.keepers.values()) + list(self.clients.values()):
            if self.until.get(peer.identity, 0.0) <= self.now:
                peer.due(self.now)
        if self.broker.wake_at() <= self.now:
            self.dispatch(self.broker.tick(self.now))

    def restart_broker(self):
        self.links = {}
        self.monitor.at_host = {}
        self.broker = self.new_broker()
        for client in self.clients.values():
            client.broker_lost()

    def fault(self):
        """Perhaps something goes wrong now."""
        rng, faults = self.rng, self.faults
        if rng.random() < faults.kill:
            rng.choice([self.kill_host, self.kill_keeper, self.kill_client, self.silence_client, self.cut_host])()
        if rng.random() < faults.stall and self.peers:
            self.until[rng.choice(sorted(self.peers))] = self.now + rng.choice([0.5, 3.0, 8.0])
        if rng.random() < faults.restart:
            self.restart_broker()

    def kill_host(self):
        if self.keepers:
            self.rng.choice(list(self.keepers.values())).lose_host()

    def cut_host(self):
        """An idle host loses its connection for a while; nobody tells the broker."""
        idle = [host for host in self.hosts() if host.identity not in self.monitor.at_host and host.identity in self.peers]
        if idle:
            host = self.rng.choice(idle)
            del self.peers[host.identity]
            self.links.pop((b"", host.identity), None)
            self.cut.append((self.now + self.rng.choice([0.5, 5.0]), host))

    def mend(self):
        for when, host in self.cut[:]:
            if when <= self.now:
                self.cut.remove((when, host))
                if host in self.hosts():
                    self.join(host)

    def kill_keeper(self):
        if self.keepers:
            keeper = self.rng.choice(list(self.keepers.values()))
            keeper.die(goodbye=self.rng.random() < 0.3)
            self.add_keeper(keeper.profile)

    def kill_client(self):
        if self.clients:
            self.leave(self.rng.choice(list(self.clients.values())))
            self.add_client()

    def silence_client(self):
        if self.clients:
            client = self.rng.choice(list(self.clients.values()))
            client.silent = not client.silent

    def run(self, events):
        """A history of so many events."""
        for _ in range(events):
            self.fault()
            dice = self.rng.random()
            if dice < 0.25 and self.clients:
                client = self.rng.choice(list(self.clients.values()))
                if self.until.get(client.identity, 0.0) <= self.now:
                    client.act(self.rng)
            elif dice < 0.32:
                self.pass_time(self.rng.choice([0.01, 0.1, 0.5, 1.0]))
            else:
                for _ in range(self.rng.randint(1, 4)):
                    self.deliver()

    def settle(self, seconds=300.0):
        """No more faults: everybody gives back what it holds, and all of it must end well within this (simulated) time."""
        self.faults, self.until = Faults(0.0, 0.0, 0.0, 0.0, 0.0) if not self.faults.drop else Faults(1e-12, 0.0, 0.0, 0.0, 0.0), {}
        end = self.now + seconds
        while self.now < end:
            for _ in range(10000):
                if not self.deliver():
                    break
            for client in list(self.clients.values()):
                client.silent = False
                if client.leases and not client.pending:
                    client.give_back(list(client.leases))
            if self.calm():
                return
            self.pass_time(0.5)
        require(False, f"not calm after {seconds} s: {self.broker.table.workers} {[c.pending for c in self.clients.values()]}")

    def calm(self):
        table = self.broker.table
        free = all(worker.state == "free" for worker in table.workers.values()) and set(table.hosts) == {h.identity for h in self.hosts()}
        return free and not self.links and not self.cut and not any(client.pending or client.leases for client in self.clients.values())

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
