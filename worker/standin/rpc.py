"""MessagePack-RPC as CARLA wraps it: a client's bytes -> requests, a request -> its answer's bytes. No sockets here.

A user's mistake is answered as CARLA answers it, with an error text in the result; the protocol's own error field is for calls that do not
exist, because clients do not show its text.
"""

from __future__ import annotations

import logging
from typing import Any, Dict, Iterator, NamedTuple, Tuple

import msgpack

from .calls import actors, batch, lights, managers, sensors, vehicles, worlds
from .calls.table import Call
from .errors import MISFITS, Refusal
from .simulator import Simulator

log = logging.getLogger(__name__)

MOST_BYTES = 256 * 1024 * 1024  # of one request
CALLS: Dict[str, Call] = {
    **worlds.CALLS, **actors.CALLS, **vehicles.CALLS, **lights.CALLS, **sensors.CALLS, **managers.CALLS, **batch.CALLS,
}  # fmt: skip

_pack = msgpack.Packer(use_bin_type=True).pack


class Request(NamedTuple):
    """One call. ``number`` is the client's, to be given back."""

    number: int
    method: str
    arguments: Tuple[Any, ...]  # the first is CARLA's metadata

    def ticks(self) -> bool:
        """Whether time goes on by it."""
        return self.method == "tick_cue" or (self.method == "apply_batch" and self.arguments[-1:] == (True,))


class Malformed(Exception):
    """What the client sent is no MessagePack-RPC."""


class Requests:
    """The requests of one connection, from its bytes."""

    def __init__(self) -> None:
        self._unpacker = msgpack.Unpacker(
            raw=False, use_list=False, strict_map_key=False, max_buffer_size=MOST_BYTES, unicode_errors="replace"
        )

    def feed(self, data: bytes) -> None:
        """Take bytes that came. Raises Malformed when a request has too many."""
        try:
            self._unpacker.feed(data)
        except msgpack.exceptions.BufferFull:
            raise Malformed(f"a request of more than {MOST_BYTES} bytes") from None

    def __iter__(self) -> Iterator[Request]:
        return self

    def __next__(self) -> Request:
        try:
            message = next(self._unpacker)
        except (ValueError, TypeError, msgpack.exceptions.UnpackException) as error:  # TypeError: a map whose key is a map
            raise Malformed(f"no MessagePack: {error}") from None
        if not isinstance(message, tuple) or len(message) != 4 or [type(each) for each in message] != [int, int, str, tuple] or message[0]:
            raise Malformed(f"no request: {str(message)[:80]}")
        return Request(*message[1:])


def answer(sim: Simulator, request: Request) -> bytes:
    """Do a call; its reply."""
    call = CALLS.get(request.method)
    if call is None or request.method in sim.config.dialect.absent:
        log.warning("a call that CARLA %s has not: %s", sim.config.dialect.version, request.method)
        return _packed(request.number, f"unknown function {request.method}", None)
    try:
        value = call(sim, *request.arguments[1:])
    except Refusal as refusal:
        return _packed(request.number, None, [[0, [str(refusal)]]])
    except MISFITS as error:
        log.warning("a call with arguments that do not fit: %s%.200s", request.method, request.arguments, exc_info=True)
        return _packed(request.number, None, [[0, [f"{request.method}: {error}"]]])
    if request.method in batch.UNWRAPPED:
        return _packed(request.number, None, value)
    return _packed(request.number, None, [[False]] if value is None else [[1, value]])


def _packed(number: int, error: str | None, result: Any) -> bytes:
    packed: bytes = _pack((1, number, error, result))
    return packed
