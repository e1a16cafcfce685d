"""Bodies that are addressed to the broker: read with care, written in one place.

Nobody trusts a body. What does not decode raises CodecError, a field of the wrong kind RequestError; the caller answers both
as ERROR. Bodies of jobs and of their answers never come here: the broker passes them on unopened.
"""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple

from b2d_zmq.codec import decode, encode
from b2d_zmq.errors import Busy, ErrorCode, FrameTooLarge, RequestError
from b2d_zmq.protocol import Header, Kind, Message, frame_bytes


class Bound(NamedTuple):
    """The most that a body for the broker may be: its bytes, and its values when it is unpacked (some 100 bytes each at worst)."""

    bytes: int
    values: int


BOUNDS: Dict[Kind, Bound] = {
    Kind.ATTACH: Bound(64 * 1024, 4096),  # the description is kept as long as the worker
    **dict.fromkeys((Kind.READY, Kind.GOODBYE, Kind.HEARTBEAT), Bound(16 * 1024, 512)),  # progress is kept until the next one
}
BOUND = Bound(512 * 1024, 16384)  # of all other kinds: 4096 names of leases, the tail of a log


class Body:
    """The fields of one message to the broker, each read with its bounds."""

    def __init__(self, message: Message) -> None:
        total = sum(frame_bytes(frame) for frame in message.body)
        most = BOUNDS.get(message.header.kind, BOUND)
        if total > most.bytes:
            raise FrameTooLarge(f"a body of {total} bytes for {message.header.kind.name}; the broker reads at most {most.bytes}")
        tree = decode(message.body, most.values) if message.body else {}
        if not isinstance(tree, dict):
            raise RequestError(f"the body of {message.header.kind.name} must be a map, not {type(tree).__name__}")
        self._kind = message.header.kind.name
        self.fields: Dict[Any, Any] = tree

    def text(self, key: str, longest: int = 200, least: int = 0) -> str:
        """A text of at most ``longest`` characters, ``""`` where absent. Raises RequestError."""
        value = self.fields.get(key, "")
        if not isinstance(value, str) or not least <= len(value) <= longest:
            raise self._wrong(key, f"a text of {least} to {longest} characters", value)
        return value

    def whole(self, key: str, low: int, high: int, default: int) -> int:
        """A whole number from ``low`` to ``high``. Raises RequestError."""
        value = self.fields.get(key, default)
        if type(value) is not int or not low <= value <= high:
            raise self._wrong(key, f"a whole number from {low} to {high}", value)
        return value

    def number(self, key: str, low: float, high: float, default: float) -> float:
        """A number from ``low`` to ``high``. Raises RequestError."""
        value = self.fields.get(key, default)
        if type(value) not in (int, float) or not low <= value <= high:
            raise self._wrong(key, f"a number from {low} to {high}", value)
        return float(value)

    def names(self, key: str) -> List[str]:
        """A list of at most 4096 texts. Raises RequestError."""
        value = self.fields.get(key, [])
        if not isinstance(value, list) or len(value) > 4096 or not all(isinstance(name, str) and len(name) <= 64 for name in value):
            raise self._wrong(key, "a list of at most 4096 texts", value)
        return value

    def tree(self, key: str) -> Dict[str, Any]:
        """A map, empty where absent. Raises RequestError."""
        value = self.fields.get(key, {})
        if not isinstance(value, dict):
            raise self._wrong(key, "a map", value)
        return value

    def _wrong(self, key: str, wanted: str, value: Any) -> RequestError:
        return RequestError(f"{self._kind}: {key!r} must be {wanted}; got {repr(value)[:60]}")


def reply(asked: Header, tree: Dict[str, Any]) -> Message:
    """The REPLY to the request with this header."""
    return Message(asked._replace(kind=Kind.REPLY, budget=0.0), encode(tree))


def error(asked: Header, code: ErrorCode, message: str) -> Message:
    """The ERROR that answers the request with this header."""
    told: Dict[str, Any] = {"code": int(code), "message": message, "traceback": ""}
    if code is ErrorCode.BUSY:
        told["retry_after"] = Busy.retry_after
    return Message(asked._replace(kind=Kind.ERROR, budget=0.0), encode(told))
