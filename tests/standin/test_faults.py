"""A stand-in that is told to misbehave does so: late, refusing, hanging, dying, growing, lying."""

from __future__ import annotations

import signal
import socket
import time

import psutil
import pytest
from standins import client_of, dialect, wheel

from worker.standin.faults import Faults, Refused


def test_ports_open_late(standin):
    started = time.monotonic()
    server = standin("--start-seconds=1.5")
    assert time.monotonic() - started > 1.5 and server.port


def test_refuses_to_start(standin):
    server = standin("--refuse-start", wait=False)
    assert server.ended() == 1
    assert any("could not be initialised" in line for line in server.lines)
    with pytest.raises(Refused):
        Faults(refuse_start=True).start()


def test_a_taken_port_ends_it(standin):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = standin(flags=[f"-carla-streaming-port={taken.getsockname()[1]}"], wait=False)
        assert server.ended() == 1
        assert any("in use" in line for line in server.lines)


def test_hangs_with_its_port_open(standin):
    wheel()
    server = standin("--hang-at-tick=3")
    world = client_of(server, seconds=0.5).get_world()
    world.tick()
    world.tick()
    with pytest.raises(RuntimeError, match="time-out"):
        world.tick()
    with socket.create_connection(("127.0.0.1", server.port)):
        assert server.process.poll() is None


def test_dies_at_a_tick(standin):
    wheel()
    server = standin("--die-at-tick=2")
    world = client_of(server, seconds=0.5).get_world()
    world.tick()
    with pytest.raises(RuntimeError):
        world.tick()
    assert server.ended() == -signal.SIGSEGV
    assert "Signal 11 caught." in server.lines


@pytest.mark.parametrize("loads", [1, 2])
def test_dies_in_a_load(standin, loads):
    wheel()
    server = standin(f"--die-in-load={loads}")
    client = client_of(server, seconds=1.0)
    for _ in range(loads - 1):
        client.reload_world(False)
    with pytest.raises(RuntimeError):
        client.reload_world(False)
    assert server.ended() == -signal.SIGSEGV


def test_grows_with_each_tick(standin):
    wheel()
    server = standin("--leak-mb=4")
    world = client_of(server).get_world()
    world.tick()
    before = psutil.Process(server.process.pid).memory_info().rss
    for _ in range(10):
        world.tick()
    assert psutil.Process(server.process.pid).memory_info().rss - before > 35e6


def test_tells_another_version(standin):
    wheel()
    server = standin("--report-version=0.9.14")
    client = client_of(server)
    assert (client.get_server_version(), client.get_client_version()) == ("0.9.14", dialect())
