"""The outside of a snapshot: what was sealed comes back; whatever was changed is refused before it is parsed."""

import contextlib
import hashlib
import struct

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from b2d_zmq.errors import SnapshotCorrupt
from worker.backends.seal import MAGIC, MOST_BYTES, seal, unseal

TREE = {"name": "embedded", "small": np.arange(5), "large": np.arange(3000.0).reshape(30, 100), "deep": [1, 2.5, None, {"x": True}]}


def resealed(inside):
    """What an attacker, or a bug, can make: nonsense under a checksum that fits."""
    return MAGIC + hashlib.blake2b(inside, digest_size=16).digest() + inside


def test_a_tree_comes_back():
    back = unseal(seal(TREE))
    assert back["name"] == "embedded" and back["deep"] == TREE["deep"]
    np.testing.assert_array_equal(back["small"], TREE["small"])
    np.testing.assert_array_equal(back["large"], TREE["large"])


def test_the_same_tree_is_the_same_bytes():
    assert seal(TREE) == seal(TREE)


def test_any_buffer_of_bytes_will_do():
    data = seal(TREE)
    for kind in (bytes, bytearray, memoryview, lambda b: np.frombuffer(b, np.uint8)):
        assert unseal(kind(data))["name"] == "embedded"


@pytest.mark.parametrize("data", [None, "text", 5, [1, 2]])
def test_what_is_no_buffer_is_refused(data):
    with pytest.raises(SnapshotCorrupt, match="a snapshot is bytes"):
        unseal(data)


def test_every_changed_byte_is_found():
    data = seal({"a": 1, "b": np.arange(200)})
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 0x10
        with pytest.raises(SnapshotCorrupt):
            unseal(changed)


def test_every_cut_and_every_tail_is_found():
    data = seal({"a": 1})
    for place in range(len(data)):
        with pytest.raises(SnapshotCorrupt):
            unseal(data[:place])
    with pytest.raises(SnapshotCorrupt):
        unseal(data + b"\0")


def test_too_many_bytes_are_refused():
    with pytest.raises(SnapshotCorrupt, match="too many"):
        unseal(bytes(MOST_BYTES + 1))


@pytest.mark.parametrize(
    "inside",
    [
        b"\0\0\0\0",
        b"\xff\xff\xff\xff",
        struct.pack("<I", 3),
        struct.pack("<II", 1, 2**32 - 1) + b"x",
        struct.pack("<II", 1, 2) + b"\x80",
        struct.pack("<II", 1, 1) + b"\xc1",
        struct.pack("<II", 1, 9) + msgpack.packb({"__frame__": 1}),
        struct.pack("<III", 2, 1, 1) + b"\x80\x00",
    ],
)
def test_nonsense_under_a_good_checksum_is_refused(inside):
    with pytest.raises(SnapshotCorrupt, match="what is inside is not ours"):
        unseal(resealed(inside))


def test_a_pickled_array_is_refused_and_never_loaded():
    body = msgpack.packb({"x": {b"nd": True, b"type": "O", b"kind": b"O", b"shape": (1,), b"data": b"cos\nsystem\n(S'exit 1'\ntR."}})
    with pytest.raises(SnapshotCorrupt):
        unseal(resealed(struct.pack("<II", 1, len(body)) + body))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_random_insides_are_refused_or_read(inside):
    with contextlib.suppress(SnapshotCorrupt):
        unseal(resealed(inside))
