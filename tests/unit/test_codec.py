"""The codec: trees come back as they were, and nothing hostile reaches a decoder that could be harmed by it."""

from __future__ import annotations

import math
import pickle

import msgpack
import msgpack_numpy
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from b2d_zmq.codec import ALLOWED, INLINE_BYTES, MAX_DIMENSIONS, decode, encode
from b2d_zmq.errors import CodecError

SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=12)
ARRAYS = hnp.arrays(st.sampled_from([np.dtype(name) for name in ALLOWED]), SHAPES)
LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary() | ARRAYS


def branches(parts):
    return st.lists(parts, max_size=4) | st.dictionaries(st.text(max_size=8), parts, max_size=4)


TREES = st.recursive(LEAVES, branches, max_leaves=12)


def same(a, b):
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@settings(deadline=None)
@given(TREES)
def test_a_tree_comes_back_as_it_was(tree):
    if isinstance(tree, dict) and "__frame__" in tree:
        return
    assert same(tree, decode([bytes(frame) for frame in encode(tree)]))


@pytest.mark.parametrize("name", ALLOWED)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (7,), (40, 50), (2, 3, 4, 5, 2, 3)])
def test_every_dtype_and_shape_comes_back(name, shape):
    array = np.arange(math.prod(shape), dtype=np.int64).reshape(shape).astype(name)
    there = decode(encode({"a": array}))["a"]
    assert np.array_equal(there, array) and there.dtype == array.dtype and there.shape == array.shape


def test_large_arrays_travel_as_frames_of_their_own_and_uncopied():
    array = np.zeros((64, 64, 3), np.uint8)
    body, frame = encode({"picture": array, "small": np.zeros(4)})
    assert len(body) < 300 and frame.nbytes == array.nbytes
    array[0, 0, 0] = 7
    assert frame[0] == 7
    there = decode([body, frame])["picture"]
    assert there.base is not None and not there.flags.writeable
    assert len(encode(np.zeros(INLINE_BYTES, np.uint8))) == 1
    assert len(encode(np.zeros(INLINE_BYTES + 1, np.uint8))) == 2


def test_other_memory_layouts_arrive_as_the_same_values():
    base = np.arange(3000, dtype=np.float32).reshape(30, 100)
    for array in (base.T, base[::2, ::-3], base.astype(">f4"), np.asfortranarray(base), base[:2, :3], base[:2, :3].astype(">f4")):
        there = decode(encode([array]))[0]
        assert np.array_equal(there, array) and there.dtype == np.dtype("<f4")


def test_nan_and_infinity_come_back():
    there = decode(encode({"x": [math.nan, math.inf], "y": np.array([np.nan, -np.inf])}))
    assert math.isnan(there["x"][0]) and there["x"][1] == math.inf and np.isnan(there["y"][0])


class Strange:
    """Something that no codec should take."""


@pytest.mark.parametrize(
    "value",
    [
        np.array([Strange()], dtype=object),
        np.zeros(2, dtype=[("a", "i4")]),
        np.array(["text"]),
        np.array([b"bytes"]),
        np.zeros(3, np.complex64),
        np.zeros(3, "M8[s]"),
        np.zeros(3, np.longdouble),
        np.zeros((1,) * (MAX_DIMENSIONS + 1)),
        Strange(),
        {1, 2},
        2**64,
        "\ud800",
        {"__frame__": 1, "dtype": "<f4", "shape": [1]},
        {"deep": [{b"nd": True}]},
        {1: "a"},
        {"deep": ({None: 1},)},
        [np.zeros(1000)] * 63,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_must_not_travel_is_refused_before_it_is_sent(value):
    with pytest.raises(CodecError):
        encode({"value": value})


def test_a_tree_without_end_is_refused():
    tree = []
    tree.append(tree)
    with pytest.raises(CodecError):
        encode(tree)


class Bomb:
    """Leaves a mark when it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was opened",)


INLINE = {b"nd": True, b"type": "<f4", b"kind": b"", b"shape": [2], b"data": b"\0" * 8}
BAD_INLINE = [
    {b"type": "|O", b"kind": b"O", b"data": pickle.dumps(Bomb())},
    {b"type": "|O"},
    {b"type": "|O", b"kind": b""},
    {b"type": [["a", "|O"]], b"kind": b"V"},
    {b"type": [["a", "<i4"]]},
    {b"type": "|V0", b"shape": [2**40], b"data": b""},
    {b"type": "<f4,<f4"},
    {b"type": b"<f4"},
    {b"type": "<U2"},
    {b"type": ">f4"},
    {b"kind": b"V"},
    {b"kind": "O"},
    {b"shape": [3]},
    {b"shape": [-1]},
    {b"shape": [-2, -1]},
    {b"shape": 2},
    {b"shape": [2.0]},
    {b"shape": [True, 2]},
    {b"shape": [1] * 7 + [2]},
    {b"shape": [0, 2**62], b"data": b""},
    {b"data": "text"},
    {b"data": None},
    {b"nd": 1},
    {b"nd": "yes"},
    {b"nd": False},
    {b"nd": False, b"type": "|O"},
    {b"nd": False, b"type": "<f8", b"data": b"\0" * 9},
]


@pytest.mark.parametrize("change", BAD_INLINE, ids=str)
def test_a_hostile_inline_array_is_refused_before_any_decoder_sees_it(change, monkeypatch):
    seen = []
    monkeypatch.setattr(msgpack_numpy, "decode", lambda value, *_: seen.append(value))
    body = msgpack.packb({"x": [{**INLINE, **change}]})
    with pytest.raises(CodecError):
        decode([body])
    assert not seen


FRAMED = {"__frame__": 1, "dtype": "<f4", "shape": [2]}


@pytest.mark.parametrize(
    ("change", "frames"),
    [
        ({"__frame__": 0}, 1),
        ({"__frame__": 2}, 1),
        ({"__frame__": -1}, 1),
        ({"__frame__": True}, 1),
        ({"__frame__": "1"}, 1),
        ({"__frame__": None}, 1),
        ({}, 0),
        ({}, 2),
        ({"dtype": "|O"}, 1),
        ({"dtype": ["<f4"]}, 1),
        ({"dtype": None}, 1),
        ({"shape": [1]}, 1),
        ({"shape": [2**24, 2**24, 2**24]}, 1),
        ({"shape": None}, 1),
        ({"more": 1}, 1),
    ],
    ids=str,
)
def test_a_hostile_array_frame_is_refused(change, frames):
    with pytest.raises(CodecError):
        decode([msgpack.packb([{**FRAMED, **change}]), *[b"\0" * 8] * frames])


def test_a_frame_named_twice_is_refused():
    with pytest.raises(CodecError):
        decode([msgpack.packb([FRAMED, FRAMED]), b"\0" * 8])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x91" * 100000,
        b"\x90\x90",
        b"\xd6\xff\0\0\0\0",
        b"\xc7\x04\x05abcd",
        b"\xa2\xff\xff",
        b"\x81\x91\x01\x01",
        msgpack.packb({"x": msgpack.ExtType(1, pickle.dumps(Bomb()))}),
    ],
)
def test_bytes_that_are_no_body_are_refused(body):
    with pytest.raises(CodecError):
        decode([body])


def test_no_frames_at_all_are_refused():
    with pytest.raises(CodecError):
        decode([])


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200), st.lists(st.binary(max_size=20), max_size=3))
@example(b"\x81\xc4\x02nd\xc3", [])
def test_any_bytes_give_a_tree_or_a_codec_error(body, frames):
    try:
        decode([body, *frames])
    except CodecError as error:
        assert str(error)


@settings(deadline=None, max_examples=300)
@given(TREES, st.data())
def test_a_damaged_body_gives_a_tree_or_a_codec_error(tree, data):
    frames = [bytearray(frame) for frame in encode([tree])]
    body = frames[0]
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode([bytes(frame) for frame in frames])
    except CodecError as error:
        assert str(error)
