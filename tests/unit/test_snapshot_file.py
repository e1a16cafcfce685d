"""Snapshot files: what is saved is what is loaded, and nothing else is."""

import hashlib

import msgpack
import pytest

from b2d_zmq.errors import SnapshotCorrupt, SnapshotMismatch
from b2d_zmq.snapshot import FORMAT, MAGIC, Snapshot

SNAPSHOT = Snapshot("ab12", 40, "exact", "00ff", "toy", "1", 20, 1.5, bytes(range(256)) * 40)


def sealed(content):
    return content + hashlib.blake2b(content, digest_size=32).digest()


def made(header, data=b"data", version=FORMAT):
    packed = header if isinstance(header, bytes) else msgpack.packb(header)
    return sealed(MAGIC + version.to_bytes(2, "little") + len(packed).to_bytes(4, "little") + packed + data)


def fields(**changes):
    told = {name: getattr(SNAPSHOT, name) for name in SNAPSHOT.__dataclass_fields__ if name != "data"}
    return {**told, **changes}


def test_round_trip(tmp_path):
    path = SNAPSHOT.save(tmp_path / "a.snapshot")
    assert Snapshot.load(path) == SNAPSHOT
    assert Snapshot.load(str(path)).nbytes == 10240
    assert [file.name for file in tmp_path.iterdir()] == ["a.snapshot"]


def test_saving_again_replaces(tmp_path):
    path = tmp_path / "a.snapshot"
    path.write_bytes(b"something else")
    SNAPSHOT.save(path)
    assert Snapshot.load(path) == SNAPSHOT


def test_a_failed_save_leaves_nothing(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        SNAPSHOT.save(tmp_path / "folder")
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("at", [0, 9, 11, 40, 3000, -1])
def test_every_changed_byte_is_noticed(tmp_path, at):
    path = SNAPSHOT.save(tmp_path / "a.snapshot")
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises((SnapshotCorrupt, SnapshotMismatch)):
        Snapshot.load(path)


@pytest.mark.parametrize("length", [0, 5, 20, 45, 5000])
def test_a_truncated_file_is_refused(tmp_path, length):
    path = SNAPSHOT.save(tmp_path / "a.snapshot")
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(SnapshotCorrupt):
        Snapshot.load(path)


def test_a_newer_format_says_what_to_do(tmp_path):
    path = tmp_path / "a.snapshot"
    path.write_bytes(made(fields(), version=FORMAT + 1))
    with pytest.raises(SnapshotMismatch, match=f"format {FORMAT + 1}.*reads {FORMAT}"):
        Snapshot.load(path)


def test_a_pickle_is_no_snapshot(tmp_path):
    path = tmp_path / "a.snapshot"
    path.write_bytes(b"\x80\x04\x95" + b"cos\nsystem\n" * 10)
    with pytest.raises(SnapshotCorrupt, match="not a snapshot file"):
        Snapshot.load(path)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\xc1",
        b"\x81" * 2000,
        b"\xdf\xff\xff\xff\xff",
        [1, 2],
        {},
        fields(tick="40"),
        fields(tick=True),
        fields(episode_reward=1),
        fields(id=b"ab"),
        fields(tier=["exact"]),
        fields(id="x" * 5000),
    ],
)
def test_a_hostile_header_with_a_right_hash_is_refused(tmp_path, header):
    path = tmp_path / "a.snapshot"
    path.write_bytes(made(header))
    with pytest.raises(SnapshotCorrupt):
        Snapshot.load(path)


def test_a_header_longer_than_the_file_is_refused(tmp_path):
    path = tmp_path / "a.snapshot"
    path.write_bytes(sealed(MAGIC + FORMAT.to_bytes(2, "little") + (2**32 - 1).to_bytes(4, "little")))
    with pytest.raises(SnapshotCorrupt, match="longer"):
        Snapshot.load(path)


def test_an_enormous_file_is_refused_unread(tmp_path):
    path = tmp_path / "a.snapshot"
    with open(path, "wb") as file:
        file.truncate(2 * 1024**3)  # sparse
    with pytest.raises(SnapshotCorrupt, match="larger than any"):
        Snapshot.load(path)


def test_a_large_file_of_another_kind_is_refused_by_its_first_bytes(tmp_path, monkeypatch):
    path = tmp_path / "a.video"
    with open(path, "wb") as file:
        file.truncate(2 * 1024**2)
    monkeypatch.setattr("b2d_zmq.snapshot._hash", None)  # nobody gets so far
    with pytest.raises(SnapshotCorrupt, match="not a snapshot file"):
        Snapshot.load(path)


@pytest.mark.parametrize("what", ["/dev/zero", "."])
def test_what_is_no_file_is_refused_unread(what):
    with pytest.raises(SnapshotCorrupt, match="not a file"):
        Snapshot.load(what)


def test_a_file_that_is_not_there_is_the_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        Snapshot.load(tmp_path / "nothing")


def test_unknown_keys_of_a_later_minor_are_ignored(tmp_path):
    path = tmp_path / "a.snapshot"
    path.write_bytes(made(fields(colour="red"), SNAPSHOT.data))
    assert Snapshot.load(path) == SNAPSHOT
