"""Strangers at a port: each attack is one connection that does harm in its own way. ``Mob`` has many of them at once.

Run by itself it attacks from a process of its own: python hostility.py ENDPOINT COUNT [RATE [KEY]], with RATE connections a second, and the
broker's public key where strangers know it.
"""

from __future__ import annotations

import os
import random
import socket
import struct
import sys
import time
from collections import deque

import zmq

from b2d_zmq.codec import encode
from b2d_zmq.protocol import MAGIC, Header, Kind, Message, pack

SIGNATURE = b"\xff" + b"\0" * 8 + b"\x7f"


def greeting(mechanism=b"NULL", version=b"\x03\x00", server=False):
    """The first 64 bytes of ZMTP 3."""
    return SIGNATURE + version + mechanism.ljust(20, b"\0") + (b"\1" if server else b"\0") + b"\0" * 31


def command(name, body):
    """A ZMTP command."""
    inside = bytes([len(name)]) + name + body
    return (b"\x04" + bytes([len(inside)]) if len(inside) < 256 else b"\x06" + struct.pack(">Q", len(inside))) + inside


def frame(data, more=False):
    """A ZMTP frame."""
    flags = int(more)
    return (bytes([flags, len(data)]) if len(data) < 256 else bytes([flags | 2]) + struct.pack(">Q", len(data))) + data


def message(frames):
    """Frames as one ZMTP message."""
    return b"".join(frame(bytes(part), number < len(frames) - 1) for number, part in enumerate(frames))


def hello(kind=b"DEALER", identity=b""):
    """A greeting and a READY, sent without waiting for the other's."""
    pairs = ((b"Socket-Type", kind), (b"Identity", identity))
    told = b"".join(bytes([len(name)]) + name + struct.pack(">I", len(value)) + value for name, value in pairs)
    return greeting() + command(b"READY", told)


def said(kind, tree, **fields):
    """A message of our protocol."""
    return message(pack(Message(Header(kind, **fields), encode(tree))))


def stepping(rng):
    """Jobs on leases that are not one's own."""
    lease = f"-{rng.getrandbits(32):08x}"
    return b"".join(said(Kind.STEP, {}, request=n, lease=f"L{n}{lease}", epoch=n, seq=1, budget=1.0) for n in range(1, 20))


def bodies(rng):
    """Right headers with bodies that are none."""
    headers = [Header(rng.choice(list(Kind)), rng.randrange(2**31), "L1-x", 1, 1, 1.0) for _ in range(20)]
    return b"".join(message([header.pack(), rng.randbytes(80)]) for header in headers)


BLUNT = {
    "nothing": lambda rng: b"",
    "http": lambda rng: b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n",
    "tls": lambda rng: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(200),
    "noise": lambda rng: rng.randbytes(rng.randrange(1, 3000)),
    "half a greeting": lambda rng: greeting()[: rng.randrange(1, 64)],
    "a greeting": lambda rng: greeting(),
    "a greeting and noise": lambda rng: greeting() + rng.randbytes(500),
    "another version": lambda rng: greeting(version=bytes([rng.choice((0, 1, 2, 4, 9, 255)), 0])) + rng.randbytes(30),
    "plain": lambda rng: greeting(b"PLAIN") + command(b"HELLO", b"\4user\4pass"),
    "curve": lambda rng: greeting(b"CURVE") + command(b"HELLO", b"\1\0" + rng.randbytes(192)),
    "a server": lambda rng: greeting(server=True) + hello(b"ROUTER")[64:],
    "another kind of socket": lambda rng: hello(rng.choice((b"PUB", b"SUB", b"REP", b"", b"x" * 255))),
    "a long command": lambda rng: greeting() + b"\x06" + struct.pack(">Q", rng.choice((2**16, 2**40, 2**63 - 1, 2**64 - 1))) + b"x" * 300,
}
"""Attack -> what is sent at once."""

GREETED = {
    "an endless frame": lambda rng: b"\x02" + struct.pack(">Q", rng.choice((2**32, 2**62, 2**64 - 1))) + b"x" * 3000,
    "a message that never ends": lambda rng: b"\x01\x01x" * 5000,
    "many frames": lambda rng: b"\x01\x00" * 5000 + b"\x00\x00",
    "junk messages": lambda rng: b"".join(message([rng.randbytes(rng.randrange(200)) for _ in range(3)]) for _ in range(20)),
    "our word and junk": lambda rng: message([b"\x98\xa3" + MAGIC.encode() + rng.randbytes(40), rng.randbytes(50)]) * 10,
    "another version of ours": lambda rng: message([b"\x94\xa3b2d\x63\x0b" + bytes([rng.randrange(128)]), b"x"]) * 5,
    "bodies that are none": bodies,
    "somebody else's name": lambda rng: said(Kind.HEARTBEAT, {}),
    "a worker that is none": lambda rng: said(Kind.READY, {"worker": "x", "host": "x/h1", "heartbeat": 0.1}),
    "a client that only asks": lambda rng: b"".join(said(Kind.STATUS, {}, request=n + 1) for n in range(50)),
    "leases of others": stepping,
    "waiting for more than there is": lambda rng: said(Kind.ACQUIRE, {"n": 4000, "wait": 3.0, "client": "x", "label": "y"}, request=1),
}
"""Attack -> what is said once the hands are shaken: a peer that speaks earlier is shown out by libzmq."""

ATTACKS = (*BLUNT, *GREETED)
NAMES = {"somebody else's name": (b"w-1", b"w-1/h1", b"w-0", b"taken"), "a worker that is none": (b"x", b"y")}
"""Under which strangers come, where they name themselves. libzmq ignores one whose name is in use, and forgets nothing of it."""


class _Stranger:
    """One connection. ``then`` is what it says when it was greeted."""

    def __init__(self, where, first, then):
        self.socket, self.then = socket.socket(), then
        self.socket.settimeout(2.0)
        self.socket.connect(where)
        self.socket.setblocking(False)
        if first:
            self.socket.send(first)

    def go_on(self):
        """Say the rest, if the other side has shaken hands; whether there is nothing more to come."""
        try:
            if self.then and len(self.socket.recv(1 << 16)) > 64:
                self.socket.send(self.then)
                self.then = b""
        except BlockingIOError:
            return False
        except OSError:  # shown out
            self.then = b""
        return not self.then

    def close(self, rudely):
        if rudely:  # a reset instead of an end
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class _Knocker:
    """A connection with a key that nobody knows."""

    def __init__(self, context, endpoint, broker_key):
        self.socket = context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.curve_publickey, self.socket.curve_secretkey = zmq.curve_keypair()
        self.socket.curve_serverkey = broker_key
        self.socket.connect(endpoint)

    def go_on(self):
        return True

    def close(self, rudely):
        self.socket.close()


class Mob:
    """Connections to one port, the latest ``most`` of them open at a time."""

    def __init__(self, endpoint, seed=0, most=100, broker_key=b""):
        self._endpoint, self._broker_key, self._context = endpoint, broker_key, None
        host, port = endpoint.rpartition("/")[2].split(":")
        self._where, self._rng, self._most = (host, int(port)), _Random(seed), most
        self._open, self._talking = deque(), []
        self.made = self.refused = 0

    def attack(self, name=None):
        """One more connection, with this attack or any; one in ten has a key of its own, where the broker's public key is known."""
        self.made += 1
        try:
            stranger = self._stranger(name)
        except OSError:  # it was closed on us while we sent, or nobody could take one more
            self.refused += 1
            return
        self._open.append(stranger)
        self._talking = [each for each in (*self._talking, stranger) if not each.go_on()]
        while len(self._open) > self._most:
            self._open.popleft().close(self._rng.random() < 0.5)

    def _stranger(self, name):
        rng = self._rng
        if self._broker_key and name is None and rng.random() < 0.1:
            self._context = self._context or zmq.Context()
            return _Knocker(self._context, self._endpoint, self._broker_key)
        name = name or rng.choice(ATTACKS)
        if name in BLUNT:
            return _Stranger(self._where, BLUNT[name](rng), b"")
        return _Stranger(self._where, hello(identity=rng.choice(NAMES.get(name, (b"",)))), GREETED[name](rng))

    def close(self):
        while self._open:
            self._open.popleft().close(self._rng.random() < 0.5)
        if self._context is not None:
            self._context.term()


class _Random(random.Random):
    """With ``randbytes``, which Python 3.8 has not."""

    def randbytes(self, n):
        return self.getrandbits(8 * n).to_bytes(n, "little") if n else b""


def main(endpoint, count, rate="0", broker_key=""):
    mob, start = Mob(endpoint, seed=os.getpid(), broker_key=broker_key.encode()), time.monotonic()
    for number in range(int(count)):
        mob.attack()
        early = number / float(rate) - (time.monotonic() - start) if float(rate) else 0.0
        if early > 0.002:
            time.sleep(early)
    mob.close()
    sys.stdout.write(f"{mob.made} {mob.refused}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
