"""The wire: version, kinds, header, limits, pack and unpack. docs/protocol.md is the authority; the two change together.

A message is ``[header][body][array frame]...``. The broker reads headers; it opens a body only when the message is addressed
to it. The header begins with the magic word and the major version in every version there will ever be, so that a peer of
another version can be refused by name.
"""

from __future__ import annotations

import enum
from typing import Any, List, NamedTuple, Sequence, Tuple

import msgpack

from .errors import FrameTooLarge, ProtocolError, VersionMismatch

MAGIC = "b2d"
MAJOR = 1
MINOR = 0

HEADER_BYTES = 64 * 1024  # a longer first frame is not a header
MAX_FRAMES = 64  # header and body included
MESSAGE_BYTES = 256 * 1024 * 1024  # all frames together, unless an option says otherwise

DEFAULT_ENDPOINT = "tcp://127.0.0.1:5570"


class Kind(enum.IntEnum):
    """What a message is. Numbers are never reused; docs/protocol.md says who sends what to whom."""

    # client -> broker: requests, each answered by exactly one REPLY or ERROR
    ACQUIRE = 1
    RELEASE = 2
    STATUS = 3
    DESCRIBE = 4
    # client -> host, through the broker: requests numbered by seq
    RESET = 10
    STEP = 11
    ROLLOUT = 12
    SNAPSHOT = 13
    RESTORE = 14
    # answers to a request
    REPLY = 20
    ERROR = 21
    # notices: nobody answers them
    KEEPALIVE = 30  # client -> broker
    READY = 31  # keeper -> broker
    HEARTBEAT = 32  # keeper -> broker, and back
    LOST = 33  # keeper -> broker: the host is gone
    GOODBYE = 34  # keeper -> broker: the worker leaves
    ATTACH = 35  # host -> broker
    GRANT = 36  # broker -> host
    REVOKE = 37  # broker -> host
    RELEASED = 38  # host -> broker
    WHO = 39  # broker -> keeper or host: announce yourself (again)
    HANDOVER = 40  # host -> broker -> client: the worker leaves, and this is the state of your episode


TO_BROKER = frozenset({Kind.ACQUIRE, Kind.RELEASE, Kind.STATUS, Kind.DESCRIBE})
TO_HOST = frozenset({Kind.RESET, Kind.STEP, Kind.ROLLOUT, Kind.SNAPSHOT, Kind.RESTORE})
BEGINNINGS = frozenset({Kind.RESET, Kind.RESTORE})  # jobs that need nothing of the jobs before them
REQUESTS = TO_BROKER | TO_HOST
ANSWERS = frozenset({Kind.REPLY, Kind.ERROR})


class Header(NamedTuple):
    """The first frame. ``lease`` is empty and ``epoch``, ``seq`` are 0 where they mean nothing; ``budget`` is in seconds."""

    kind: Kind
    request: int = 0
    lease: str = ""
    epoch: int = 0
    seq: int = 0
    budget: float = 0.0

    def pack(self) -> bytes:
        packed: bytes = msgpack.packb((MAGIC, MAJOR, int(self.kind), self.request, self.lease, self.epoch, self.seq, self.budget))
        return packed

    @classmethod
    def unpack(cls, frame: bytes) -> Header:
        """Read a header; raises VersionMismatch or ProtocolError, never anything else."""
        fields = _fields(frame)
        if fields[1] != MAJOR:
            raise VersionMismatch(
                f"the peer speaks b2d-zmq protocol {str(fields[1])[:20]}, this side speaks {MAJOR}; install the same b2d-zmq on both sides"
            )
        if len(fields) < 8:
            raise ProtocolError(f"a header of {len(fields)} fields; protocol {MAJOR} has 8")
        kind, request, lease, epoch, seq, budget = fields[2:8]
        if not (_whole(kind) and _whole(request) and _whole(epoch) and _whole(seq)):
            raise ProtocolError("kind, request, epoch and seq of a header must be whole numbers from 0 to 2**63-1")
        if not isinstance(lease, str) or len(lease) > 64:
            raise ProtocolError("the lease of a header must be a text of at most 64 characters")
        if type(budget) not in (int, float) or not 0.0 <= budget <= 1e9:
            raise ProtocolError("the budget of a header must be a number of seconds from 0 to 1e9")
        try:
            return cls(Kind(kind), request, lease, epoch, seq, float(budget))
        except ValueError:
            raise ProtocolError(f"message kind {kind} is not known to protocol {MAJOR}.{MINOR}") from None


class Message(NamedTuple):
    """A header and the frames behind it, still packed. ``body`` is opaque to whom it is not addressed.

    ``key`` does not travel: it is the public key under which the message came, as the broker's socket knows it; ``""`` without keys.
    """

    header: Header
    body: Sequence[Any] = ()
    key: str = ""


def frame_bytes(frame: Any) -> int:
    """The size of one frame: bytes, bytearray, memoryview or zmq.Frame."""
    nbytes = getattr(frame, "nbytes", None)
    return len(frame) if nbytes is None else int(nbytes)


def pack(message: Message, limit: int = MESSAGE_BYTES) -> List[Any]:
    """The frames to send. Refuses what the other side would refuse: libzmq drops an oversized frame without telling anyone."""
    frames = [message.header.pack(), *message.body]
    check_size(frames, limit)
    return frames


def unpack(frames: Sequence[Any], limit: int = MESSAGE_BYTES) -> Message:
    """The message in these frames (without the envelope). Raises ProtocolError; the body stays packed."""
    if not frames:
        raise ProtocolError("an empty message")
    check_size(frames, limit)
    head = frames[0]
    return Message(Header.unpack(bytes(head.buffer) if hasattr(head, "buffer") else bytes(head)), frames[1:])


def request_of(frames: Sequence[Any]) -> int:
    """The number of the request in a message that was refused, so that its sender can tell which one; 0 where it cannot be read."""
    if not frames or frame_bytes(frames[0]) > HEADER_BYTES:
        return 0
    try:
        fields = _fields(bytes(getattr(frames[0], "buffer", frames[0])))
    except ProtocolError:
        return 0
    return int(fields[3]) if len(fields) > 3 and _whole(fields[3]) else 0


def check_size(frames: Sequence[Any], limit: int) -> None:
    """Raise FrameTooLarge when a message breaks the limits of this page."""
    if len(frames) > MAX_FRAMES:
        raise FrameTooLarge(f"a message of {len(frames)} frames; the most is {MAX_FRAMES}")
    if frame_bytes(frames[0]) > HEADER_BYTES:
        raise FrameTooLarge(f"a first frame of {frame_bytes(frames[0])} bytes; a header has at most {HEADER_BYTES}")
    total = sum(frame_bytes(frame) for frame in frames)
    if total > limit:
        raise FrameTooLarge(
            f"a message of {total} bytes; the most is {limit}: use a smaller sensor rig or a shorter rollout, "
            "or raise --message-bytes on the broker, the workers and the client alike"
        )


def _fields(frame: bytes) -> Tuple[Any, ...]:
    try:
        fields = msgpack.unpackb(frame, use_list=False, max_array_len=64, max_map_len=0, max_ext_len=0, max_str_len=4096)
    except (ValueError, TypeError, msgpack.exceptions.UnpackException, RecursionError) as error:
        raise ProtocolError(f"not a b2d-zmq message: the first frame is no header ({error})") from None
    if not isinstance(fields, tuple) or len(fields) < 2 or fields[0] != MAGIC:
        raise ProtocolError(f"not a b2d-zmq message: the first frame does not begin with {MAGIC!r}")
    return fields


def _whole(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63
