"""The wire: headers are read back as written, and whatever else comes is refused by name, never with another exception."""

from __future__ import annotations

import re

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from b2d_zmq import errors, protocol
from b2d_zmq.errors import CLASS_OF, B2DError, ErrorCode, FrameTooLarge, ProtocolError, VersionMismatch, code_of, from_wire
from b2d_zmq.protocol import ANSWERS, HEADER_BYTES, MAGIC, MAJOR, MAX_FRAMES, REQUESTS, Header, Kind, Message, pack, request_of, unpack

HEADERS = st.builds(
    Header,
    st.sampled_from(Kind),
    st.integers(0, 2**63 - 1),
    st.text(max_size=64),
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**63 - 1),
    st.floats(0, 1e9),
)


def raw(*fields):
    return msgpack.packb(fields)


GOOD = (MAGIC, MAJOR, 11, 1, "L1", 1, 1, 2.5)


@settings(deadline=None)
@given(HEADERS)
def test_a_header_is_read_back_as_written(header):
    assert Header.unpack(header.pack()) == header


def test_a_header_of_a_later_minor_version_may_have_more_fields():
    assert Header.unpack(raw(*GOOD, "new", 3)) == Header(Kind.STEP, 1, "L1", 1, 1, 2.5)


def test_another_major_version_is_refused_by_name_whatever_else_has_changed():
    for frame in (raw(MAGIC, 2), raw(MAGIC, 99, "all", ["is"], "new"), raw(MAGIC, "next")):
        with pytest.raises(VersionMismatch, match=f"speaks {MAJOR}"):
            Header.unpack(frame)


@pytest.mark.parametrize("place", range(2, 8))
@pytest.mark.parametrize("value", [None, -1, 2**63, "x" * 65, 1.5, float("nan"), float("inf"), b"L1", [1], True, 10**9 + 1])
def test_a_field_of_the_wrong_kind_is_refused(place, value):
    fields = list(GOOD)
    fields[place] = value
    legal = (place in (3, 5, 6) and value == 10**9 + 1 and type(value) is int) or (place == 7 and value == 1.5)
    if legal:
        assert Header.unpack(raw(*fields))[place - 2] == value
    else:
        with pytest.raises(ProtocolError):
            Header.unpack(raw(*fields))


@settings(deadline=None)
@given(st.binary(max_size=300))
@example(b"")
@example(b"\x91" * 5000)
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\xc7\x0c\xff" + b"\0" * 12)
@example(b"\xd9\xff")
def test_any_bytes_give_a_header_or_a_protocol_error(frame):
    try:
        assert isinstance(Header.unpack(frame), Header)
    except ProtocolError as error:
        assert str(error)
    assert request_of([frame]) >= 0


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(), st.lists, max_leaves=12
    )
)
def test_any_msgpack_gives_a_header_or_a_protocol_error(tree):
    try:
        Header.unpack(msgpack.packb(tree))
    except ProtocolError:
        return
    assert tree[0] == MAGIC


def test_the_request_of_a_refused_message_is_read_where_it_can_be():
    assert request_of([raw(MAGIC, 99, None, 7)]) == 7
    for frames in ([], [b"junk"], [raw(MAGIC, 99, None, "7")], [raw(MAGIC, 99)], [b"\0" * (HEADER_BYTES + 1)]):
        assert request_of(frames) == 0


def test_limits_hold_before_sending_and_after_receiving():
    header = Header(Kind.STEP, 1)
    full = [b""] * (MAX_FRAMES - 1)
    assert unpack(pack(Message(header, full))) == Message(header, full)
    for body, limit in (([b""] * MAX_FRAMES, 10**9), ([b"x" * 1000], 1000)):
        with pytest.raises(FrameTooLarge):
            pack(Message(header, body), limit)
        with pytest.raises(FrameTooLarge):
            unpack([header.pack(), *body], limit)
    with pytest.raises(FrameTooLarge):
        unpack([header.pack() + b"\0" * HEADER_BYTES])
    with pytest.raises(ProtocolError, match="empty"):
        unpack([])


def test_each_kind_has_one_direction():
    assert REQUESTS.isdisjoint(ANSWERS)
    assert {Kind.REPLY, Kind.ERROR} == ANSWERS
    assert len({int(kind) for kind in Kind}) == len(Kind)


def test_the_protocol_page_numbers_every_kind_and_error_of_this_version(pytestconfig):
    page = (pytestconfig.rootpath / "docs" / "protocol.md").read_text(encoding="utf-8")
    assert page.startswith(f"# The protocol, version {protocol.MAJOR}.{protocol.MINOR}\n")
    assert not [kind.name for kind in Kind if f"| {kind.name} | {int(kind)} |" not in page]
    assert not [code.name for code in ErrorCode if not re.search(rf"\b{code.name} {int(code)}\b", page)]


def test_codes_and_classes_of_errors_are_one_to_one():
    assert set(CLASS_OF) == set(ErrorCode)
    assert len(set(CLASS_OF.values())) == len(CLASS_OF)
    for code, cls in CLASS_OF.items():
        there = from_wire(int(code), "what happened", "a traceback")
        assert type(there) is cls and code_of(there) == code
        assert str(there) == "what happened" and there.remote_traceback == "a traceback"


def test_an_error_that_is_not_ours_or_not_yet_known_still_travels():
    assert code_of(ZeroDivisionError()) == ErrorCode.SIMULATOR
    assert code_of(errors.WrongMode("x")) == ErrorCode.SIMULATOR
    newer = from_wire(987, "from the future")
    assert type(newer) is B2DError and "987" in str(newer) and "from the future" in str(newer)
