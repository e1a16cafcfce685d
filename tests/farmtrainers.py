"""Trainers in a simulated farm (farmsim.py): the real Client, Session and environments, on a line without sockets and a clock without time.

Their code blocks while it waits, so each trainer has a thread; but only one thread runs at a time, and the world says which: a history of
a seed is the same each time. Whichever thread has to wait lets the world go on from there, and hands over when it is another's turn. A
trainer that is killed stops where it waits, as a process would: nothing that it calls reaches the world any more. Its connection may
break; then what was on its way is lost, the client is told, and the broker sees a stranger come back.
"""

from __future__ import annotations

import random
import struct
import sys
import threading
import time
from collections import deque
from types import ModuleType

import zmq
from farmpeers import TTL
from farmwatch import require
from gymnasium.vector import VectorEnv

from b2d_zmq import client as clients
from b2d_zmq import line, resume
from b2d_zmq.protocol import Kind, unpack

CUT, MADE = ([struct.pack("=hi", event, 0), b""] for event in (zmq.EVENT_DISCONNECTED, zmq.EVENT_HANDSHAKE_SUCCEEDED))

_here = threading.local()  # .trainer: whose thread this is


class Killed(BaseException):
    """Ends the thread of a trainer whose process was killed."""


class Trainer:
    """One client process. ``program`` is called with it, in a thread of its own, and runs whenever the world says ``act``."""

    def __init__(self, world, name, program):
        self.world, self.name, self.program = world, name, program
        self.connections, self.identity = 0, name.encode()
        self.inbox, self.news = deque(), deque()  # what came and was not read: messages, and events of the connection
        self.back_at, self.keepalive_at, self._cut = world.now, world.now, True
        self.keepalive, self.over, self.killed = None, False, False
        self.wake_at, self.wants_out = world.now, False
        self._mine, self._turn_after = threading.Lock(), world.turn  # released when it is its turn, and when it is over
        self._mine.acquire()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._begun = False

    def __str__(self):
        return f"{self.name} waits until {self.wake_at}"

    @property
    def connected(self):
        """Whether there is a connection; the news of it comes with it."""
        there = self.world.broker is not None and self.world.now >= self.back_at
        if there and self._cut:
            self._cut = False
            self.news.append(MADE)
        return there

    def take(self, message):
        """A message arrives; the trainer reads it when it is its turn."""
        self.inbox.append(message)

    def ready(self):
        """Whether there is something for it to go on with."""
        connected = self.connected
        return not self.over and bool(self.inbox or self.news or self.wake_at <= self.world.now or (self.wants_out and connected))

    def go(self):
        """It is this one's turn."""
        if self._begun:
            self._mine.release()
        else:
            self._begun = True
            self._thread.start()

    def kill(self):
        """Called in any thread: let it fall from where it waits, and return when it has."""
        self.killed = True
        if self._begun and not self.over and self._thread is not threading.current_thread():
            self._turn_after = threading.Lock()
            self._turn_after.acquire()
            self.go()
            self._turn_after.acquire()

    def due(self, now):
        """What the keep-alive thread does."""
        kept = self.keepalive
        if kept and kept.held and now >= self.keepalive_at and self.connected:
            self.keepalive_at = now + TTL / 5
            self.world.post(self.identity + b"/k", Kind.KEEPALIVE, {"client": kept.token, "leases": list(kept.held)})

    def holds(self, n):
        """It must keep so many leases alive, not one more: what it does not use is somebody else's."""
        require(len(self.keepalive.held) == n, f"{self.name} keeps {self.keepalive.held} alive and needs {n}")

    def disconnect(self, back_at):
        """The connection breaks. What was sent may still arrive; the next one has another identity, as a DEALER without a name has."""
        world = self.world
        world.purge((b"", self.identity))
        if world.rng.random() < 0.5:
            world.purge((self.identity, b""))
        del world.peers[self.identity], world.trainers[self.identity]
        self.connections += 1
        self.identity = f"{self.name}+{self.connections}".encode()
        world.trainers[self.identity] = world.join(self)
        if not self._cut:
            self._cut = True
            self.news.append(CUT)
        self.back_at = back_at

    def broker_lost(self):
        self.disconnect(self.world.now + self.world.rng.choice((0.0, 0.1, 1.0)))

    def block(self, until, wants_out=False):
        """Called in the trainer's thread: let the world go on until something comes, or until then."""
        if self.killed:
            raise Killed
        self.wake_at, self.wants_out = until, wants_out
        following = self.world.next()
        if following is not self and not self.killed:
            if following is None:
                self.world.turn.release()
            else:
                following.go()
            self._mine.acquire()
        if self.killed:
            raise Killed

    def think(self, seconds):
        """Compute for so long, reading nothing."""
        end = self.world.now + seconds
        while self.world.now < end:
            self.block(end)

    def _run(self):
        _here.trainer = self
        try:
            self.program(self)
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 (whatever it is, it is raised in the test's thread)
            self.world.error = self.world.error or error
        self.over = True
        self.world.leave(self)
        self._turn_after.release()


class Dealer:
    """The socket of a trainer's client: takes and gives whole messages, if there is a connection."""

    def __init__(self, context):
        self.context, self.trainer = context, _here.trainer

    def setsockopt(self, option, value):
        pass

    def connect(self, endpoint):
        pass

    def monitor(self, endpoint, events):
        pass

    def disable_monitor(self):
        pass

    def close(self, linger=0):
        pass

    def send_multipart(self, frames, flags=0, copy=True):
        trainer = self.trainer
        if trainer.killed or trainer.over or not trainer.connected:
            raise zmq.Again
        trainer.world.send(trainer.identity, unpack(frames))

    def recv_multipart(self, flags=0, copy=True):
        message = self.trainer.inbox.popleft()
        return [message.header.pack(), *message.body]

    def ready(self):
        return (zmq.POLLIN if self.trainer.inbox else 0) | (zmq.POLLOUT if self.trainer.connected else 0)


class Monitor(Dealer):
    """The monitor of that socket: tells of connections that stand or break."""

    def recv_multipart(self, flags=0):
        return self.trainer.news.popleft()

    def ready(self):
        return zmq.POLLIN if self.trainer.news else 0

    def poll(self, timeout):
        return self.ready()


class Poller:
    """Waits for sockets of one trainer; meanwhile the world goes on."""

    def __init__(self):
        self._wanted = {}

    def register(self, socket, events):
        self._wanted[socket] = events

    def poll(self, timeout):
        trainer = _here.trainer
        if trainer.killed:
            raise Killed
        found = self._ready()
        if timeout and not found:
            wants_out = any(events & zmq.POLLOUT for events in self._wanted.values())
            trainer.block(trainer.world.now + timeout / 1000, wants_out)
            found = self._ready()
        return found

    def _ready(self):
        return [(socket, events & socket.ready()) for socket, events in self._wanted.items() if events & socket.ready()]


class Context:
    """Makes such sockets."""

    def socket(self, kind):
        return Monitor(self) if kind == zmq.PAIR else Dealer(self)

    def term(self):
        pass


class KeepAlive:
    """In place of the thread that keeps leases alive: ``Trainer.due`` does it."""

    def __init__(self, context, endpoint, token, keys):
        self.token, self.held = token, ()
        _here.trainer.keepalive = self

    def start(self, ttl):
        pass

    def stop(self):
        return True


class WatchedClient(clients.Client):
    """The real client; the monitor of the world hears what it wants before it asks."""

    def __init__(self, trainer, **more):
        self._trainer = trainer
        super().__init__("tcp://simulated:1", label=trainer.name, **more)
        self.margin = 2.0

    def acquire(self, n=1, *rest, **more):
        monitor, name = self._trainer.world.monitor, self._trainer.name
        self.label = f"{name}/{len(monitor.wanted)}"
        monitor.wanted[self.label] = n
        leases = super().acquire(n, *rest, **more)
        require(all(monitor.told.get(lease.name) == name for lease in leases), f"{name} was told of leases that were not granted to it")
        return leases


class Simulated(ModuleType):
    """A module that is another one in a trainer's world; the rest of it is the real one's."""

    def __init__(self, real):
        super().__init__(real.__name__)
        self._real = real

    def __getattr__(self, name):
        return getattr(self._real, name)


class Clock(Simulated):
    """The world's, in a trainer's thread."""

    def monotonic(self):
        trainer = getattr(_here, "trainer", None)
        return trainer.world.now if trainer else time.monotonic()

    perf_counter = monotonic

    def sleep(self, seconds):
        _here.trainer.think(seconds)


class Dice(Simulated):
    """The world's."""

    def __getattr__(self, name):
        return getattr(_here.trainer.world.rng, name)


class Zmq(Simulated):
    """Without sockets."""

    Context, Poller = Context, Poller


def simulate(monkeypatch):
    """From here on clients are made in trainers' threads, on simulated sockets; their clock and their dice are the world's."""
    modules = [module for name, module in list(sys.modules.items()) if name.split(".")[0] == "b2d_zmq"]
    for simulated in (Clock(time), Dice(random), Zmq(zmq)):
        for module in modules:
            if getattr(module, simulated.__name__, None) is simulated._real:
                monkeypatch.setattr(module, simulated.__name__, simulated)
    monkeypatch.setattr(line, "KeepAlive", KeepAlive)
    monkeypatch.delattr(VectorEnv, "__del__", raising=False)  # what is killed says no goodbye
    monkeypatch.setattr(resume, "TICKS", 6)  # episodes are short here
    monkeypatch.setattr(resume, "PIECE", 4)
