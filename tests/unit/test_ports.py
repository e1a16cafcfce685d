"""Blocks of ports: outside of the range of outgoing connections, locked, free by proof, never the same twice in a row, rested."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import pytest

from b2d_zmq.errors import FarmError, RequestError
from worker import ports
from worker.locks import held, run_folder, take
from worker.ports import QUARANTINE, Block, Ports, candidates


@pytest.fixture
def folder(tmp_path):
    return run_folder(str(tmp_path / "run"))


@pytest.fixture
def user(folder):
    """A factory of users of ports, which are given back at the end."""
    users = []

    def another(place=folder):
        users.append(Ports(place))
        return users[-1]

    yield another
    for one in users:
        one.close()
        one.close()


@pytest.fixture
def few(monkeypatch):
    """Three blocks in all, of which no other worker on this machine knows."""
    monkeypatch.setattr(ports, "candidates", lambda outgoing: [Block(20000), Block(20050), Block(20100)])
    monkeypatch.setattr(ports, "free", lambda block: True)
    monkeypatch.setattr(ports, "_name", lambda block: socket.socket())


def test_a_block_is_four_ports_that_no_outgoing_connection_takes():
    assert Block(20000).ports == (20000, 20001, 20002, 20010)
    starts = [block.rpc for block in candidates((32768, 60999))]
    assert starts[:2] == [20000, 20050]
    assert len(starts) == len(set(starts)) > 500
    assert not [start for start in starts if 32768 - 50 < start <= 60999]


def test_a_wide_range_of_outgoing_connections_leaves_what_is_below_it():
    assert [block.rpc for block in candidates((10100, 65535))] == [10000, 10050]
    assert candidates((1024, 65535)) == []


def test_a_block_rests_after_use_and_is_never_the_same_twice(folder, user, few):
    mine = user()
    assert mine.take(1000.0) == Block(20000)
    assert mine.take(1001.0) == Block(20050)
    assert mine.take(1002.0) == Block(20100)
    mine.release(1003.0)
    with pytest.raises(FarmError, match="3 were tried"):
        mine.take(1004.0)
    assert mine.take(1001.0 + QUARANTINE) == Block(20000)


def test_a_block_of_another_worker_is_not_taken(folder, user, few):
    one, other = user(), user()
    assert (one.take(0.0), other.take(0.0)) == (Block(20000), Block(20050))
    one.release(1.0)
    one.release(1.0)
    assert other.take(2.0) == Block(20100)


def test_the_block_of_a_killed_worker_begins_to_rest_where_it_is_found(folder, user, few):
    (folder / "ports-20000.lock").write_text(json.dumps({"held_by": 1}))
    mine = user()
    assert mine.take(1000.0) == Block(20050)
    mine.release(1000.0)
    assert user().take(1000.0 + QUARANTINE) == Block(20000)


@pytest.mark.parametrize("words", ["", "nonsense", "[]", json.dumps({"free_since": 5000.0})])
def test_a_lock_file_of_before_the_machines_start_keeps_nobody_away(folder, user, few, words):
    (folder / "ports-20000.lock").write_text(words)
    assert user().take(1000.0) == Block(20000)


@pytest.mark.parametrize("offset", [0, 1, 2, ports.TM_OFFSET])
def test_every_port_of_a_block_is_tried(offset):
    block = next(block for block in candidates(ports.ephemeral()) if ports.free(block))
    with socket.socket() as other:
        other.bind(("127.0.0.1", block.rpc + offset))
        assert not ports.free(block)
    assert ports.free(block)


def test_a_block_of_a_worker_with_another_run_folder_is_not_taken(user, tmp_path):
    mine, theirs = user(), user(run_folder(str(tmp_path / "theirs")))
    assert mine.take(0.0) != theirs.take(0.0)
    freed = mine.block
    mine.release(1.0)
    assert theirs.take(2.0) == freed or theirs.block.rpc > freed.rpc  # free for them at once, if nobody else has taken it
    theirs.release(3.0)


_TAKER = """
import sys, time
from pathlib import Path
from worker.ports import Ports
mine = Ports(Path(sys.argv[1]))
print(mine.take(time.monotonic()).rpc, flush=True)
sys.stdin.read()
"""


def test_twenty_processes_take_twenty_blocks(folder):
    command = [sys.executable, "-c", _TAKER, str(folder)]
    takers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(20)]
    try:
        blocks = [int(taker.stdout.readline()) for taker in takers]
    finally:
        for taker in takers:
            taker.communicate()
    assert len(set(blocks)) == 20


def test_a_block_that_cannot_be_proven_is_let_go(folder, user, few, monkeypatch):
    def no_more_files(block):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(ports, "free", no_more_files)
    with pytest.raises(OSError):
        user().take(0.0)
    assert not held(folder / "ports-20000.lock")


def test_a_lock_is_held_by_one_and_keeps_its_words(folder):
    path = folder / "a.lock"
    lock = take(path)
    lock.write("long words")
    lock.write("words")
    assert take(path) is None
    assert held(path)
    lock.close()
    lock.close()
    assert not held(path)
    again = take(path)
    assert again.read() == "words"
    again.close()


def test_a_run_folder_that_others_can_write_to_is_refused(tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "file").write_text("")
    for name in ("open", "file", "file/below"):
        with pytest.raises(RequestError, match="give another with --run-dir"):
            run_folder(str(tmp_path / name))
    assert run_folder(str(tmp_path / "new" / "deep")).stat().st_mode & 0o777 == 0o700
