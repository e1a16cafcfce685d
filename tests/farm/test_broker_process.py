"""``b2d-broker`` as a process: what it prints, how it leaves, and that no bytes on its port disturb those who behave.

Peers are played by hand over real sockets. After every attack a good client steps its worker through the same broker.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import msgpack
import psutil
import pytest
import zmq
from bench import until

from b2d_zmq.codec import decode, encode
from b2d_zmq.errors import ErrorCode
from b2d_zmq.lifeline import Lifeline
from b2d_zmq.protocol import MAGIC, Header, Kind, Message, pack, unpack
from b2d_zmq.version import VERSION

COMMAND = str(Path(sys.executable).parent / "b2d-broker")
SECONDS = 15


class Peer:
    """A DEALER that speaks by hand."""

    def __init__(self, context, endpoint, identity=None):
        self.socket = context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        if identity:
            self.socket.setsockopt(zmq.IDENTITY, identity)
        self.socket.connect(endpoint)

    def say(self, kind, body=None, **fields):
        self.socket.send_multipart(pack(Message(Header(kind, **fields), encode(body if body is not None else {}))))

    def hear(self, *kinds):
        """The next message of one of these kinds: (header, body)."""
        while self.socket.poll(SECONDS * 1000):
            message = unpack(self.socket.recv_multipart())
            if message.header.kind in kinds:
                return message.header, decode(message.body) if message.body else None
        raise AssertionError(f"no {kinds} within {SECONDS} s")

    def ask(self, kind, body=None, **fields):
        self.say(kind, body, **fields)
        while True:
            header, answer = self.hear(Kind.REPLY, Kind.ERROR)
            if header.request == fields["request"]:
                return answer


class Running:
    """A broker process, with one good worker and one good client that holds it."""

    def __init__(self, stack, *options, command=(COMMAND,), stderr=None):
        command = [*command, "--bind", "tcp://127.0.0.1:*", *options]
        self.process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr))
        stack.callback(self.process.kill)
        self.endpoint = self.process.stdout.readline().decode().split()[-1]
        self.context = stack.enter_context(zmq.Context())
        self.stack, self.seq = stack, 0

    def peer(self, identity=None):
        peer = Peer(self.context, self.endpoint, identity)
        self.stack.callback(peer.socket.close)
        return peer

    def populate(self):
        self.keeper, self.host, self.client = self.peer(b"w-1"), self.peer(b"w-1/h1"), self.peer()
        self.keeper.say(Kind.READY, {"worker": "w-1", "host": "w-1/h1", "heartbeat": 600.0, "name": "w", "pid": 1, "version": VERSION})
        until(lambda: self.client.ask(Kind.STATUS, request=1)["workers"])
        self.host.say(Kind.ATTACH, {"worker": "w-1", "description": {"profile": "p"}, "epoch": 0, "seq": 0, "lease": ""})
        body = self.client.ask(Kind.ACQUIRE, {"n": 1, "wait": SECONDS, "client": "good", "label": "good"}, request=2)
        self.lease = {"lease": body["leases"][0]["lease"], "epoch": body["leases"][0]["epoch"]}
        return self

    def works(self):
        """The good client steps its worker."""
        self.seq += 1
        self.client.say(Kind.STEP, {"n": self.seq}, request=100 + self.seq, seq=self.seq, **self.lease)
        header, body = self.host.hear(Kind.STEP)
        assert body == {"n": self.seq}
        self.host.say(Kind.REPLY, {"done": self.seq}, request=header.request, seq=header.seq, **self.lease)
        header, body = self.client.hear(Kind.REPLY)
        assert (header.request, body) == (100 + self.seq, {"done": self.seq})
        return True

    def port(self):
        return int(self.endpoint.rpartition(":")[2])


@pytest.fixture
def start(leaves_nothing):
    with contextlib.ExitStack() as stack:
        yield lambda *options: Running(stack, *options)


def test_it_says_where_it_listens_and_leaves_on_signals(start):
    for number in (signal.SIGTERM, signal.SIGINT):
        broker = start()
        assert broker.endpoint.startswith("tcp://127.0.0.1:")
        broker.process.send_signal(number)
        assert broker.process.wait(SECONDS) == 0


def test_it_leaves_when_its_parent_is_gone(leaves_nothing):
    with Lifeline() as line:
        command = [COMMAND, "--bind", "tcp://127.0.0.1:*", "--lifeline", str(line.fd)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=(line.fd,)) as process:
            assert process.stdout.readline().startswith(b"listening on ")
            line.close()
            assert process.wait(SECONDS) == 0


@pytest.mark.parametrize(
    ("bind", "advice"),
    [
        ("tcp://0.0.0.0:5570", "b2d keys create"),
        ("tcp://*:5570", "ssh"),
        ("http://127.0.0.1", "tcp://"),
        ("tcp://127.0.0.1", "tcp://"),
        ("taken", "in use"),
    ],
)
def test_a_wrong_bind_is_refused_with_advice(start, bind, advice):
    if bind == "taken":
        bind = start().endpoint
    ended = subprocess.run([COMMAND, "--bind", bind], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ended.returncode == 78 and advice in ended.stderr and "Traceback" not in ended.stderr


def test_version_names_the_file_it_runs_from():
    told = subprocess.run([COMMAND, "--version"], capture_output=True, text=True, timeout=SECONDS, check=True).stdout
    assert VERSION in told and "broker" in told and ".py" in told


def header_of(*fields):
    return msgpack.packb(fields)


GOOD = pack(Message(Header(Kind.STATUS, 5)))[0]
NASTY = {
    "no frames but an empty one": ([b""], ErrorCode.PROTOCOL, 0),
    "junk": ([os.urandom(200)], ErrorCode.PROTOCOL, 0),
    "text": ([b"GET / HTTP/1.1\r\n\r\n"], ErrorCode.PROTOCOL, 0),
    "another version": ([header_of(MAGIC, 99, 3, 7, "", 0, 0, 0.0)], ErrorCode.VERSION_MISMATCH, 7),
    "a short header": ([header_of(MAGIC, 1, 3, 7)], ErrorCode.PROTOCOL, 7),
    "an unknown kind": ([header_of(MAGIC, 1, 999, 7, "", 0, 0, 0.0)], ErrorCode.PROTOCOL, 7),
    "fields of wrong types": ([header_of(MAGIC, 1, "3", -7, 5, 0.5, None, [])], ErrorCode.PROTOCOL, 0),
    "a budget that is no number": ([header_of(MAGIC, 1, 3, 7, "", 0, 0, float("nan"))], ErrorCode.PROTOCOL, 7),
    "a huge first frame": ([GOOD + b"\0" * 70000], ErrorCode.FRAME_TOO_LARGE, 0),
    "a hundred frames": ([GOOD] + [b"x"] * 99, ErrorCode.FRAME_TOO_LARGE, 5),
    "ten thousand frames": ([GOOD] + [b""] * 9999, ErrorCode.FRAME_TOO_LARGE, 5),
    "more bytes than allowed": ([GOOD] + [b"x" * 50000] * 8, ErrorCode.FRAME_TOO_LARGE, 5),
    "a header that nests": ([b"\x91" * 5000], ErrorCode.PROTOCOL, 0),
}


@pytest.mark.parametrize("name", NASTY)
def test_a_message_that_is_none_is_answered_and_nobody_else_notices(start, name):
    frames, code, request = NASTY[name]
    broker = start("--message-bytes", "300000").populate()
    nasty = broker.peer()
    nasty.socket.send_multipart(frames)
    header, body = nasty.hear(Kind.ERROR)
    assert (body["code"], header.request) == (code, request)
    if code == ErrorCode.VERSION_MISMATCH:
        assert "99" in body["message"] and " 1" in body["message"]
    assert broker.works()


def test_object_arrays_in_a_body_are_never_decoded(start, tmp_path):
    broker = start().populate()
    proof = tmp_path / "ran"
    for payload in (
        {b"nd": True, b"type": "|O", b"kind": b"O", b"shape": [1], b"data": b"cos\nsystem\n(S'touch " + bytes(proof) + b"'\ntR."},
        {b"nd": True, b"type": "|O", b"shape": [1], b"data": struct.pack("<Q", 0xDEADBEEF)},
        {b"nd": True, b"type": [["a", "|O"]], b"kind": b"V", b"shape": [1], b"data": b"\1" * 8},
    ):
        nasty = broker.peer()
        body = msgpack.packb({"n": payload, "client": "t"})
        nasty.socket.send_multipart([pack(Message(Header(Kind.ACQUIRE, 1)))[0], body])
        assert nasty.hear(Kind.ERROR)[1]["code"] == ErrorCode.CODEC
    assert broker.works() and not proof.exists()


def test_a_frame_over_the_limit_costs_the_sender_its_connection_and_nobody_else(start):
    broker = start("--message-bytes", "65536").populate()
    nasty = broker.peer()
    nasty.socket.send_multipart([GOOD, b"x" * 200000])  # libzmq drops it before the broker sees it
    assert broker.works()
    assert "workers" in broker.peer().ask(Kind.STATUS, request=1)


def test_plain_tcp_garbage_is_survived(start):
    broker = start().populate()
    greeting = b"\xff" + b"\0" * 8 + b"\x7f\x03\x00NULL" + b"\0" * 48
    for junk in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(3000), b"\xff" * 64, greeting, greeting + os.urandom(500), b"\x01\x00" * 500, b""):
        with socket.create_connection(("127.0.0.1", broker.port()), timeout=SECONDS) as plain:
            with contextlib.suppress(ConnectionError):
                plain.sendall(junk)
            assert broker.works()
    assert broker.works() and broker.process.poll() is None


def test_a_client_that_dies_leaves_its_worker_to_the_next(start):
    broker = start("--lease-ttl", "0.5").populate()
    broker.client.socket.close()
    next_one = broker.peer()
    next_one.say(Kind.ACQUIRE, {"n": 1, "wait": SECONDS, "client": "next", "label": "next"}, request=1)
    header, _ = broker.host.hear(Kind.REVOKE)
    assert (header.lease, header.epoch) == (broker.lease["lease"], broker.lease["epoch"])
    broker.host.say(Kind.RELEASED, lease=header.lease, epoch=header.epoch)
    header, body = next_one.hear(Kind.REPLY)
    assert body["leases"][0]["epoch"] > broker.lease["epoch"]


def test_a_host_that_dies_in_mid_job_is_answered_for(start):
    broker = start().populate()
    broker.client.say(Kind.STEP, {}, request=50, seq=1, **broker.lease)
    broker.host.hear(Kind.STEP)
    broker.keeper.say(Kind.LOST, {"worker": "w-1", "host": "w-1/h1", "reason": "signal 9", "code": 13, "log": "last words"})
    header, body = broker.client.hear(Kind.ERROR)
    assert header.request == 50 and body["code"] == ErrorCode.WORKER_LOST and "signal 9" in body["message"]


def test_a_host_that_cannot_be_reached_is_an_event(start):
    broker = start().populate()
    process = psutil.Process(broker.process.pid)
    open_before = process.num_fds()
    broker.host.socket.close()
    until(lambda: process.num_fds() < open_before, SECONDS)
    for request, code in ((50, ErrorCode.WORKER_LOST), (51, ErrorCode.LEASE_VOID)):
        body = broker.client.ask(Kind.STEP, {}, request=request, seq=1, **broker.lease)
        assert body["code"] == code and "could not be reached" in body["message"]
    assert broker.client.ask(Kind.STATUS, request=52)["workers"][0]["state"] == "starting"


def test_a_flood_of_junk_does_not_grow_it(start):
    broker = start().populate()
    process = psutil.Process(broker.process.pid)
    before = process.num_fds()
    for _ in range(100):
        nasty = broker.peer()
        for _ in range(20):
            nasty.socket.send_multipart([os.urandom(64)])
        nasty.socket.close()
    assert broker.works()
    assert until(lambda: process.num_fds() <= before + 5, SECONDS)


def test_large_bodies_pass_through_whole(start):
    broker = start().populate()
    frames = [b"opaque", os.urandom(3_000_000), b"", os.urandom(100)]
    header = Header(Kind.RESTORE, 300, seq=1, budget=1.0, **broker.lease)
    broker.client.socket.send_multipart([header.pack(), *frames])
    while True:
        there = broker.host.socket.recv_multipart()
        if unpack(there).header.kind is Kind.RESTORE:
            break
    assert there[1:] == frames
    broker.host.socket.send_multipart([header._replace(kind=Kind.REPLY).pack(), *frames])
    assert broker.client.socket.recv_multipart()[1:] == frames


BROKEN = """
from broker import clients, cli, workers
def fail(*_): raise ZeroDivisionError("a fault of ours")
clients.Clients.status = fail
workers.Workers.expiry = fail
cli.main()
"""


def test_a_fault_of_the_broker_itself_is_answered_and_logged_and_it_goes_on(leaves_nothing):
    with contextlib.ExitStack() as stack:
        broker = Running(stack, command=[sys.executable, "-c", BROKEN], stderr=subprocess.PIPE)
        client, keeper = broker.peer(), broker.peer(b"w-1")
        for request in (1, 2):
            body = client.ask(Kind.STATUS, request=request)
            assert body["code"] == ErrorCode.FARM and "a fault of ours" in body["message"]
        keeper.say(Kind.READY, {"worker": "w-1", "host": "", "heartbeat": 0.02})
        keeper.say(Kind.HEARTBEAT, {"worker": "w-1", "host": ""})
        assert keeper.hear(Kind.HEARTBEAT)
        assert client.ask(Kind.RELEASE, {"leases": []}, request=3) == {"released": []}
        broker.process.terminate()
        assert "ZeroDivisionError" in broker.process.communicate(timeout=SECONDS)[1].decode()
        assert broker.process.returncode == 0
