"""A real worker on a bench: the test plays the broker with a ROUTER socket and speaks docs/protocol.md by hand."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path

import psutil
import zmq

from b2d_zmq import codec, protocol
from b2d_zmq.protocol import Header, Kind, Message

COMMAND = str(Path(sys.executable).parent / "b2d-worker")


def until(condition, seconds=10.0, fail=True):
    """Wait for a condition with a deadline; its value, or False (an AssertionError where ``fail``) when time is over."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > deadline:
            assert value or not fail, f"{condition} did not become true within {seconds} s"
            return value
        threading.Event().wait(0.01)


def ended(pid):
    """Whether a process is over; one that nobody has reaped yet counts."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Bench:
    """One ``b2d-worker`` and the ROUTER that it connects to. ``keeper`` and ``host`` are identities, known after ``attached``."""

    def __init__(self, folder, backend, options=()):
        self.context = zmq.Context()
        self.router = self._bind("tcp://127.0.0.1:*")
        self.endpoint = self.router.getsockopt_string(zmq.LAST_ENDPOINT)
        self.log = folder / "worker.log"
        command = [COMMAND, "--endpoint", self.endpoint, "--name", "b", "--backend", backend, "--sensors", "state", "--heartbeat", "0.1"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*command, *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.keeper = self.host = b""
        self.attach = {}
        self._seen = deque()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.router.close(0)
        self.context.term()

    def attached(self):
        """Wait until a host has attached; the body of its ATTACH."""
        self.host, _, self.attach = self.expect(Kind.ATTACH)
        self.keeper = self.attach["worker"].encode()
        return self.attach

    def grant(self, lease="L1", epoch=1):
        """Attach and grant a lease."""
        self.attached()
        self.send(self.host, Kind.GRANT, {"client": "c", "label": "a test", "key": "k"}, lease=lease, epoch=epoch)
        return self

    def send(self, identity, kind, tree=None, **fields):
        body = codec.encode(tree) if tree is not None else []
        self.router.send_multipart([identity, *protocol.pack(Message(Header(kind, **fields), body))])

    def raw(self, identity, *frames):
        self.router.send_multipart([identity, *frames])

    def job(self, kind, tree, seq, *, lease="L1", epoch=1, budget=20.0, request=None):
        """Send a job; its number is its seq unless told otherwise."""
        number = seq if request is None else request
        self.send(self.host, kind, tree, request=number, lease=lease, epoch=epoch, seq=seq, budget=budget)
        return number

    def do(self, kind, tree, seq, **fields):
        """A job and its answer: (kind, body)."""
        number = self.job(kind, tree, seq, **fields)
        return self.answer(number)

    def answer(self, number, seconds=20.0):
        _, header, body = self._take(lambda m: m[1].kind in protocol.ANSWERS and m[1].request == number, seconds, f"answer {number}")
        return header.kind, body

    def expect(self, kind, seconds=20.0):
        """The next message of that kind: (identity, header, body)."""
        return self._take(lambda m: m[1].kind is kind, seconds, kind.name)

    def rebind(self):
        """A broker that goes away and comes back with no memory."""
        self.router.close(0)
        self._seen.clear()
        self.router = until(self._bind_again)

    def _bind_again(self):
        try:
            return self._bind(self.endpoint)
        except zmq.ZMQError:
            return None

    def _bind(self, endpoint):
        router = self.context.socket(zmq.ROUTER)
        router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        try:
            router.bind(endpoint)
        except zmq.ZMQError:
            router.close(0)
            raise
        return router

    def _take(self, wanted, seconds, what):
        deadline = time.monotonic() + seconds
        while True:
            for message in self._seen:
                if wanted(message):
                    self._seen.remove(message)
                    return message
            left = deadline - time.monotonic()
            assert left > 0, f"no {what} within {seconds} s; {self.log.read_text()[-3000:]}"
            if self.router.poll(int(left * 1000) + 1):
                self._receive()

    def _receive(self):
        identity, *frames = self.router.recv_multipart()
        message = protocol.unpack(frames)
        if message.header.kind is Kind.HEARTBEAT:
            with contextlib.suppress(zmq.ZMQError):  # its sender may have left since
                self.send(identity, Kind.HEARTBEAT)
            self._seen = deque(seen for seen in self._seen if seen[1].kind is not Kind.HEARTBEAT)
        self._seen.append((identity, message.header, codec.decode(message.body) if message.body else {}))
