"""The stand-in's loop of sockets, turn by turn: whoever leaves, the others are served."""

from __future__ import annotations

import contextlib
import socket
import struct

import msgpack
import pytest

from worker.standin import streams as streaming
from worker.standin.dialect import DIALECTS
from worker.standin.faults import Faults
from worker.standin.server import Server
from worker.standin.simulator import STATE_STREAM, Config, Simulator
from worker.standin.streams import Streams


@pytest.fixture
def serving():
    """A server whose turns are the test's, and its simulator: a small synchronous town."""
    streams = Streams()
    server = Server((0, 0, 0), streams)
    sim = Simulator(Config(DIALECTS["0.9.16"], "0.9.16", (), server.ports[1]), streams, Faults(), "Town99")
    sim.set_settings(sim.world.settings._replace(synchronous=True, delta=0.05))
    server.begin(sim)
    with contextlib.closing(server):
        yield server, sim


@pytest.fixture
def connected(serving):
    """Connects to one of the server's ports; closed after the test."""
    with contextlib.ExitStack() as stack:

        def connect(port):
            link = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10.0))
            serving[0].turn()
            return link

        yield connect


def ask(link, method, count=1):
    link.sendall(b"".join(msgpack.packb([0, number, method, [[False]]]) for number in range(count)))


def test_a_client_that_dies_over_a_long_answer_takes_nobody_with_it(serving, connected):
    server, _ = serving
    dying = connected(server.ports[0])
    ask(dying, "get_map_data", 400)
    server.turn()
    dying.close()  # with answers unread, and more to come
    server.turn()
    other = connected(server.ports[0])
    ask(other, "version")
    server.turn()
    assert msgpack.unpackb(other.recv(4096)) == [1, 0, None, [[1, "0.9.16"]]]


def test_a_late_joiner_has_the_state_at_once(serving, connected):
    server, sim = serving
    late = connected(server.ports[1])
    late.sendall(STATE_STREAM.to_bytes(4, "little"))
    server.turn()
    assert struct.unpack_from("<IQQ", late.recv(1 << 16))[1:] == (17, sim.world.frame)


def test_a_tick_that_waits_for_a_slow_listener_goes_on_when_that_one_leaves(serving, connected, monkeypatch):
    monkeypatch.setattr(streaming, "MOST_WAITING", 1000)
    server, sim = serving
    client, slow = connected(server.ports[0]), connected(server.ports[1])
    slow.sendall(STATE_STREAM.to_bytes(4, "little"))
    server.turn()
    sim.streams.send(STATE_STREAM, bytes(16 * 1024 * 1024))
    before = sim.world.frame
    ask(client, "tick_cue")
    server.turn()
    assert sim.world.frame == before
    slow.close()
    server.turn()
    assert msgpack.unpackb(client.recv(4096)) == [1, 0, None, [[1, before + 1]]]
    assert STATE_STREAM not in sim.streams.listeners
