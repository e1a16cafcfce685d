"""What a client reads in answers: their size, their refusals, and in STATUS where a worker is. Takes values, gives values or errors."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Tuple

from .errors import B2DError, Busy, FrameTooLarge, ProtocolError, from_wire
from .protocol import Message, unpack


def unpack_answer(frames: List[Any], limit: int) -> Tuple[Message, B2DError | None]:
    """The message, and what is wrong with its size: an answer that is too large still names its request, which must hear of it."""
    try:
        return unpack(frames, limit), None
    except FrameTooLarge as error:
        return unpack(frames[:1], limit), error


def mapping(value: Any, kind: str) -> Dict[str, Any]:
    """The body of an answer that must be a map. Raises ProtocolError."""
    if not isinstance(value, dict):
        raise ProtocolError(f"the answer to {kind} is a {type(value).__name__}, not a map")
    return value


def refusal(body: Any) -> B2DError:
    """The error that the body of an ERROR tells of."""
    if not isinstance(body, dict) or type(body.get("code")) is not int:
        return ProtocolError("an ERROR came without a code")
    error = from_wire(body["code"], str(body.get("message", "")), str(body.get("traceback", "")))
    after = body.get("retry_after")
    if isinstance(error, Busy) and type(after) is float and 0.0 <= after <= 60.0:
        error.retry_after = after
    return error


def whereabouts(status: Any, worker: str) -> str:
    """Which worker was where in what, in words, from an answer to STATUS; "" where it cannot be read."""
    try:
        rows = [row for row in status["workers"] if row["worker"] == worker]
        if not rows:
            return f"the broker does not know worker {worker} any more"
        age, progress = float(rows[0]["age"]), rows[0]["progress"]
        return f"worker {worker} is {rows[0]['state']}, {_doing(progress or {})}; its keeper was heard {age:.1f} s ago"
    except (LookupError, TypeError, ValueError):
        return ""


def _doing(progress: Mapping[str, Any]) -> str:
    if not progress.get("kind"):
        return f"with no job running ({progress.get('doing') or 'it has said nothing yet'})"
    place = f" of {progress['place']}" if progress.get("place") else ""
    return f"in {progress['kind']} for {float(progress['seconds']):.1f} s, at tick {progress['tick']}{place} ({progress['doing']})"
