"""Microseconds that the broker core takes for a forwarded message, with few and with many leases, and with idle ones beside a busy one.

Run: python benchmarks/broker_core.py [--seconds 1.0]
A round is a STEP from the client to the host and its REPLY back: two messages. No socket: what libzmq takes comes on top.
"""

from __future__ import annotations

import argparse
import time

from b2d_zmq.codec import decode, encode
from b2d_zmq.protocol import Header, Kind, Message
from broker.core import Broker


def held(broker, n):
    """``n`` workers, all leased; a list of (lease, epoch, host)."""
    for i in range(n):
        keeper = b"w%d" % i
        name = keeper.decode()
        ready = {"worker": name, "host": name + "/h1", "heartbeat": 1.0, "name": "w", "pid": 1, "version": "0"}
        broker.receive(keeper, Message(Header(Kind.READY), encode(ready)), 0.0)
        attach = {"worker": name, "description": {"profile": "p"}, "epoch": 0, "seq": 0, "lease": "", "client": "", "label": ""}
        broker.receive(keeper + b"/h1", Message(Header(Kind.ATTACH), encode(attach)), 0.0)
    sends = broker.receive(b"c", Message(Header(Kind.ACQUIRE, 1), encode({"n": n, "client": "t", "wait": 0.0})), 0.0)
    (answer,) = [message for to, message in sends if to == b"c"]
    return [(one["lease"], one["epoch"], one["worker"].encode() + b"/h1") for one in decode(answer.body)["leases"]]


def measure(leases, busy, seconds):
    """Microseconds a message, stepping the first ``busy`` of so many leases in turn."""
    broker = Broker("bench")
    table = held(broker, leases)[:busy]
    body = [b"a body that the broker does not open"]
    messages, request, start = 0, 1, time.perf_counter()
    while time.perf_counter() - start < seconds:
        for lease, epoch, host in table:
            request += 1
            broker.receive(b"c", Message(Header(Kind.STEP, request, lease, epoch, 1, 10.0), body), 1.0)
            broker.receive(host, Message(Header(Kind.REPLY, request, lease, epoch, 1), body), 1.0)
        messages += 2 * len(table)
    return (time.perf_counter() - start) / messages * 1e6


def headers(seconds):
    """Microseconds to unpack a header and pack it again, which the server does for each message."""
    packed, rounds, start = Header(Kind.STEP, 123456, "L12-0011aabb", 12, 345, 10.0).pack(), 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        for _ in range(100):
            Header.unpack(packed).pack()
        rounds += 100
    return (time.perf_counter() - start) / rounds * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="per figure")
    seconds = parser.parse_args().seconds
    for leases, busy in ((8, 8), (512, 512), (512, 8), (8, 1), (512, 1)):
        print(f"{leases:4d} leases, {busy:3d} of them stepped: {measure(leases, busy, seconds):5.2f} us a message")
    print(f"a header read and written: {headers(seconds):5.2f} us")


if __name__ == "__main__":
    main()
