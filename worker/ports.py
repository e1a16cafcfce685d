"""Blocks of ports for CARLA servers: locked against other workers, proven free by binding, outside the range of outgoing connections.

A server takes three ports in a row (RPC, streaming, secondary); its client's traffic manager takes a fourth. A block that was in use
rests for a minute, so that nobody meets the connections of the server before. The server binds seconds after the proof; until then a
lock file keeps this user's workers away, and a name in the kernel, of the same network as the ports, everybody else's.
Times are seconds of ``time.monotonic``.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from pathlib import Path
from typing import Iterator, List, NamedTuple, Tuple

from b2d_zmq.errors import FarmError

from .locks import Lock, take

FIRST, LAST, STRIDE = 20000, 65535, 50
LOWEST = 10000  # where a block may begin when the range of outgoing connections leaves nothing above FIRST
TM_OFFSET = 10  # of the traffic manager's port
QUARANTINE = 60.0
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


class Block(NamedTuple):
    """The ports of one server."""

    rpc: int

    @property
    def tm(self) -> int:
        return self.rpc + TM_OFFSET

    @property
    def ports(self) -> Tuple[int, ...]:
        return (self.rpc, self.rpc + 1, self.rpc + 2, self.tm)


class Ports:
    """Takes one block after another for one worker; ``block`` is the present one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: Lock | None = None
        self._name: socket.socket | None = None
        self._last: Block | None = None
        self.block: Block | None = None

    def take(self, now: float) -> Block:
        """A block that is free now and is not the one before. Raises FarmError when there is none."""
        self.release(now)
        blocks = candidates(ephemeral())
        for block in _in_turn(blocks, self._last):
            if self._try(block, now):
                return block
        raise FarmError(f"no block of ports is free: {len(blocks)} were tried, all are locked by other workers, resting, or in use")

    def release(self, now: float) -> None:
        """Give the block back; it rests from now on. Calling it again does nothing."""
        if self._lock is None or self._name is None:
            return
        self._lock.write(_rest(now))
        self._lock.close()
        self._name.close()
        self._last, self._lock, self._name, self.block = self.block, None, None, None

    def close(self) -> None:
        """Leave: whoever finds the block lets it rest."""
        if self._lock is not None and self._name is not None:
            self._lock.close()
            self._name.close()
            self._lock = self._name = None

    def _try(self, block: Block, now: float) -> bool:
        """Take that block if it can be had; nothing is kept of one that cannot, or that raises."""
        with contextlib.ExitStack() as held:
            lock = take(self._folder / f"ports-{block.rpc}.lock")
            if lock is None:
                return False
            held.callback(lock.close)
            name = _name(block) if block != self._last and not _resting(lock, now) else None
            if name is None:
                return False
            held.callback(name.close)
            if not free(block):
                return False
            held.pop_all()
        lock.write(json.dumps({"held_by": os.getpid()}))
        self._lock, self._name, self.block = lock, name, block
        return True


def ephemeral() -> Tuple[int, int]:
    """The first and the last port that outgoing connections may take."""
    try:
        low, high = _RANGE.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return 32768, 60999  # Linux's own
    return int(low), int(high)


def candidates(outgoing: Tuple[int, int]) -> List[Block]:
    """All blocks outside that range: those from FIRST on, then those below it."""
    low, high = outgoing
    starts = [*range(FIRST, LAST - STRIDE + 2, STRIDE), *range(LOWEST, FIRST, STRIDE)]
    return [Block(start) for start in starts if start + STRIDE <= low or start > high]


def free(block: Block) -> bool:
    """Whether every port can be bound on all addresses. Without SO_REUSEADDR: a connection that lingers counts as in use."""
    for port in block.ports:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                return False
    return True


def _name(block: Block) -> socket.socket | None:
    """The block's name among the kernel's abstract sockets, or None while anybody on this network has it. It goes with its holder."""
    name = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        name.bind(f"\0b2d-ports-{block.rpc}")
    except OSError:
        name.close()
        return None
    return name


def _in_turn(blocks: List[Block], last: Block | None) -> Iterator[Block]:
    """From the block after the last one on, round once."""
    start = blocks.index(last) + 1 if last in blocks else 0
    yield from blocks[start:]
    yield from blocks[:start]


def _resting(lock: Lock, now: float) -> bool:
    """Whether the block's last use is too recent. One whose holder died without a word begins to rest where it is found."""
    try:
        told = json.loads(lock.read() or "{}")
        since = told.get("free_since", None if "held_by" in told else now - QUARANTINE)
        since = None if since is None else float(since)
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):  # whoever wrote it died in the middle, or is no worker
        return False
    if since is None:
        lock.write(_rest(now))
        return True
    return bool(now - QUARANTINE < since <= now)  # a moment to come is of before this machine's start


def _rest(now: float) -> str:
    return json.dumps({"free_since": now})
