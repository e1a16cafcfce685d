"""Strangers at a port: each attack is one connection that does harm in its own way. ``Mob`` has many of them at once.

Run by itself it attacks from a process of its own: python hostility.py ENDPOINT COUNT [RATE], with RATE connections a second.
"""

from __future__ import annotations

import os
import random
import socket
import struct
import sys
import time
from collections import deque

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


def newcomer(name):
    """A worker of which nothing more is heard."""
    return hello(identity=name.encode()) + said(Kind.READY, {"worker": name, "host": name + "/h1", "heartbeat": 0.1})


ATTACKS = {
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
    "an endless frame": lambda rng: hello() + b"\x02" + struct.pack(">Q", rng.choice((2**32, 2**62, 2**64 - 1))) + b"x" * 3000,
    "a message that never ends": lambda rng: hello() + b"\x01\x01x" * 5000,
    "many frames": lambda rng: hello() + b"\x01\x00" * 5000 + b"\x00\x00",
    "junk messages": lambda rng: hello() + b"".join(message([rng.randbytes(rng.randrange(200)) for _ in range(3)]) for _ in range(20)),
    "our word and junk": lambda rng: hello() + message([b"\x98\xa3" + MAGIC.encode() + rng.randbytes(40), rng.randbytes(50)]) * 10,
    "another version of ours": lambda rng: hello() + message([b"\x94\xa3b2d\x63\x0b" + bytes([rng.randrange(128)]), b"x"]) * 5,
    "bodies that are none": lambda rng: hello() + b"".join(
        message([Header(rng.choice(list(Kind)), rng.randrange(2**31), "L1-x", 1, 1, 1.0).pack(), rng.randbytes(80)]) for _ in range(20)
    ),
    "somebody else's name": lambda rng: hello(identity=rng.choice((b"w-1", b"w-1/h1", b"w-0", b"\0abc"))) + said(Kind.HEARTBEAT, {}),
    "a worker that is none": lambda rng: newcomer(f"x-{rng.getrandbits(64):x}"),
    "a client that only asks": lambda rng: hello() + b"".join(said(Kind.STATUS, {}, request=n + 1) for n in range(50)),
    "leases of others": lambda rng: hello() + b"".join(
        said(Kind.STEP, {}, request=n + 1, lease=f"L{n}-{rng.getrandbits(32):08x}", epoch=n, seq=1, budget=1.0) for n in range(20)
    ),
    "waiting for ever": lambda rng: hello() + said(Kind.ACQUIRE, {"n": 4000, "wait": 3.0, "client": "x", "label": "y" * 200}, request=1),
}  # fmt: skip


class Mob:
    """Connections to one port, the latest ``most`` of them open at a time."""

    def __init__(self, endpoint, seed=0, most=100):
        host, port = endpoint.rpartition("/")[2].split(":")
        self._where, self._rng, self._most = (host, int(port)), _Random(seed), most
        self._open = deque()
        self.made = self.refused = 0

    def attack(self, name=None):
        """One more connection, with this attack or any."""
        data = ATTACKS[name or self._rng.choice(list(ATTACKS))](self._rng)
        connection = socket.socket()
        connection.settimeout(2.0)
        try:
            connection.connect(self._where)
            connection.setblocking(False)
            connection.send(data) if data else None
        except OSError:  # it was closed on us while we sent, or nobody could take one more
            self.refused += 1
        self.made += 1
        self._open.append(connection)
        while len(self._open) > self._most:
            self._leave(self._open.popleft())

    def _leave(self, connection):
        if self._rng.random() < 0.5:  # reset instead of an end
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    def close(self):
        while self._open:
            self._leave(self._open.popleft())


class _Random(random.Random):
    """With ``randbytes``, which Python 3.8 has not."""

    def randbytes(self, n):
        return self.getrandbits(8 * n).to_bytes(n, "little") if n else b""


def main(endpoint, count, rate="0"):
    mob, start = Mob(endpoint, seed=os.getpid()), time.monotonic()
    for number in range(int(count)):
        mob.attack()
        early = number / float(rate) - (time.monotonic() - start) if float(rate) else 0.0
        if early > 0.002:
            time.sleep(early)
    mob.close()
    sys.stdout.write(f"{mob.made} {mob.refused}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
