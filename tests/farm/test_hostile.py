"""A broker among strangers: junk, half-open connections, floods, foreign names, versions and keys. Those who behave notice nothing.

A few hundred connections here; 30,000, and what they cost the others, in benchmarks/hostile.py.
"""

from __future__ import annotations

import contextlib
import resource
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import zmq
from bench import until
from hostility import ATTACKS, Mob, hello, said

from b2d_zmq import CarlaEnv, Client, keys
from b2d_zmq.codec import encode
from b2d_zmq.protocol import Header, Kind, Message, pack, unpack
from broker import backlog

GO = np.array([0.5, 0.0, 0.0], np.float32)
MB = 1024 * 1024


@pytest.fixture(params=["without keys", "with keys"])
def running(request, farm, tmp_path):
    """A farm of the toy world, its broker as a process, and an environment under way."""
    folder = None
    if request.param == "with keys":
        folder = tmp_path / "keys"
        keys.create(folder, ["worker", "client"])
    started = farm(workers=1, backend="toy:Toy", curve_dir=folder)
    with CarlaEnv(started.endpoint, wait=30.0, curve_dir=folder) as env:
        env.reset(seed=1, options={"limit": 1e9, "max_steps": 10**9})
        yield started.endpoint, psutil.Process(started.broker_pid), env


def steps(env, n):
    """Steps are answered, each once."""
    before = env.step(GO)[4]["tick"]
    assert [env.step(GO)[4]["tick"] - before for _ in range(n)] == list(range(1, n + 1))


def test_strangers_of_every_kind_disturb_nobody_and_leave_nothing(running):
    endpoint, broker, env = running
    descriptors, memory = broker.num_fds(), broker.memory_info().rss
    with contextlib.closing(Mob(endpoint)) as mob:
        for attack in ATTACKS:
            for _ in range(10):
                mob.attack(attack)
            steps(env, 2)
    steps(env, 10)
    assert mob.made == 10 * len(ATTACKS)
    assert until(lambda: broker.num_fds() <= descriptors, seconds=30), "connections that are over were kept"
    assert broker.memory_info().rss < 2 * memory


def test_who_does_not_finish_the_greeting_is_shown_out(running):
    endpoint, broker, env = running
    before = broker.num_fds()
    with contextlib.closing(Mob(endpoint)) as mob:
        for attack in ("nothing", "half a greeting", "a greeting", "curve"):
            for _ in range(10):
                mob.attack(attack)
        assert until(lambda: broker.num_fds() <= before, seconds=30), "half-open connections were kept"
    steps(env, 10)


@pytest.mark.parametrize("running", ["with keys"], indirect=True)
def test_a_key_that_nobody_knows_and_none_at_all_reach_nothing(running, tmp_path):
    endpoint, _, env = running
    refused = env.client.status()["counters"].get("messages refused", 0)
    public, secret = zmq.curve_keypair()
    other, _ = zmq.curve_keypair()
    broker_key = keys.client_keys(tmp_path / "keys").broker.encode()
    with zmq.Context() as context, contextlib.ExitStack() as stack:
        for server in (None, broker_key, other):
            stranger = stack.enter_context(context.socket(zmq.DEALER))
            stranger.setsockopt(zmq.LINGER, 0)
            if server is not None:
                stranger.curve_publickey, stranger.curve_secretkey, stranger.curve_serverkey = public, secret, server
            watch = stranger.get_monitor_socket(
                zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_DISCONNECTED
            )
            stranger.connect(endpoint)
            stranger.send_multipart(pack(Message(Header(Kind.STATUS, 1), encode({}))))
            assert watch.poll(30_000), "it was let in"
            assert not stranger.poll(0)
            stranger.disable_monitor()
            watch.close(0)
    steps(env, 10)
    assert env.client.status()["counters"].get("messages refused", 0) == refused


class Played:
    """A broker process with a worker that the test plays, and a client that holds it and is plain TCP."""

    def __init__(self, stack, **options):
        command = [str(Path(sys.executable).parent / "b2d-broker"), "--bind", "tcp://127.0.0.1:*"]
        process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **options))
        stack.callback(process.kill)
        self.endpoint = process.stdout.readline().decode().split()[-1]
        self.process = psutil.Process(process.pid)
        self.context = stack.enter_context(zmq.Context())
        self.stack = stack
        self.keeper, self.host = self.peer(b"w-1"), self.peer(b"w-1/h1")
        self.keeper.send_multipart(self.message(Kind.READY, {"worker": "w-1", "host": "w-1/h1", "heartbeat": 600.0}))
        attach = {"worker": "w-1", "description": {"profile": "p"}, "epoch": 0, "seq": 0, "lease": "", "client": "", "label": ""}
        with Client(self.endpoint) as client:
            assert until(lambda: client.status()["workers"])
            self.host.send_multipart(self.message(Kind.ATTACH, attach))
            assert until(lambda: client.status()["workers"][0]["state"] == "free")

    def hear(self, kind):
        """The next message of that kind that comes to the worker; WHO may come at any time."""
        while True:
            message = unpack(self.host.recv_multipart())
            if message.header.kind is kind:
                return message

    @staticmethod
    def message(kind, tree, **fields):
        return pack(Message(Header(kind, **fields), encode(tree)))

    def peer(self, identity):
        peer = self.stack.enter_context(self.context.socket(zmq.DEALER))
        peer.setsockopt(zmq.LINGER, 0)
        peer.setsockopt(zmq.IDENTITY, identity)
        peer.setsockopt(zmq.RCVTIMEO, 30_000)
        peer.connect(self.endpoint)
        return peer

    def plain(self, greeted=True):
        """A connection by hand."""
        host, port = self.endpoint.rpartition("/")[2].split(":")
        plain = self.stack.enter_context(socket.create_connection((host, int(port)), timeout=30))
        plain.sendall(hello())
        heard = b""
        while greeted and b"READY" not in heard:  # who speaks before the hands are shaken is shown out
            heard += plain.recv(4096)
        return plain


def test_a_client_that_asks_and_never_reads_is_busy_before_it_fills_the_broker(leaves_nothing):
    """Its answers weigh 4 MB each; it asks for two hundred and takes none."""
    with contextlib.ExitStack() as stack:
        played = Played(stack)
        before = played.process.memory_info().rss
        deaf = played.plain()
        deaf.sendall(said(Kind.ACQUIRE, {"n": 1, "wait": 30.0, "client": "deaf", "label": "deaf"}, request=1))
        granted = played.hear(Kind.GRANT).header
        lease, answered = {"lease": granted.lease, "epoch": granted.epoch}, 0
        answer = [b"opaque", bytes(4 * MB)]
        with Client(played.endpoint) as client:
            for seq in range(1, 200):
                deaf.sendall(said(Kind.STEP, {}, request=seq + 1, seq=seq, budget=1.0, **lease))
                while not played.host.poll(10) and not client.status()["counters"].get("messages refused"):
                    pass
                if not played.host.poll(0):
                    break
                asked = played.hear(Kind.STEP).header
                played.host.send_multipart([asked._replace(kind=Kind.REPLY).pack(), *answer])
                answered += 1
            counters = client.status()["counters"]
        assert 10 < answered < 60 and counters["messages refused"] == 1
        assert played.process.memory_info().rss < before + backlog.MOST_BYTES + 200 * MB
        heard, told, tail = 0, False, b""
        while not told or heard < answered * 4 * MB:
            data = deaf.recv(1 << 20)
            heard, tail = heard + len(data), (tail + data)[-len(data) - 20 :]
            told = told or b"retry_after" in tail
        # it has read, so it is served again, as soon as that was noticed
        again = said(Kind.STEP, {}, request=seq + 1, seq=seq, budget=1.0, **lease)
        assert until(lambda: deaf.sendall(again) or played.host.poll(100), seconds=15)
        assert played.hear(Kind.STEP).header.request == seq + 1


def few_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def test_strangers_that_take_every_descriptor_do_not_end_a_broker_with_keys(leaves_nothing, tmp_path):
    folder = tmp_path / "keys"
    keys.create(folder, ["client"])
    command = [str(Path(sys.executable).parent / "b2d-broker"), "--bind", "tcp://127.0.0.1:*", "--curve-dir", str(folder)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "preexec_fn": few_descriptors}
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(subprocess.Popen(command, **options))
        stack.callback(process.kill)
        endpoint = process.stdout.readline().decode().split()[-1]
        client = stack.enter_context(Client(endpoint, curve_dir=folder))
        assert client.status()["workers"] == []
        port = int(endpoint.rpartition(":")[2])
        crowd = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(100)]
        assert until(lambda: psutil.Process(process.pid).num_fds() == 64)
        keys.create(folder, ["client-new"])  # the list of allowed keys changes while it cannot be read
        # they are shown out after 2 s, and the list is looked at every second
        assert until(lambda: client.status() and psutil.Process(process.pid).num_fds() < 64, seconds=30)
        for stranger in crowd:
            stranger.close()
        with Client(endpoint, timeout=60.0, curve_dir=folder) as late:
            assert late.status()["workers"] == []
        assert process.poll() is None


def test_without_a_free_descriptor_those_who_are_there_are_served_and_others_wait(leaves_nothing):
    with contextlib.ExitStack() as stack:
        played = Played(stack, preexec_fn=few_descriptors)
        client = stack.enter_context(Client(played.endpoint))
        (lease,) = client.acquire(1, wait=30.0)
        played.hear(Kind.GRANT)
        crowd = [played.plain(greeted=False) for _ in range(100)]
        assert until(lambda: played.process.num_fds() == 64)
        for seq in range(1, 20):
            pending = client.send(Kind.STEP, {"n": seq}, budget=30.0, lease=lease, seq=seq)
            there = played.hear(Kind.STEP)
            played.host.send_multipart([there.header._replace(kind=Kind.REPLY).pack(), *there.body])
            assert pending.result() == {"n": seq}
        for plain in crowd:
            plain.close()
        with Client(played.endpoint, timeout=60.0) as late:
            assert len(late.status()["leases"]) == 1
