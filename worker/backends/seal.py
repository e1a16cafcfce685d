"""The outside of a snapshot: a magic word, a checksum, and a packed tree. Shared by every backend.

``MAGIC (8) | blake2b-16 of the rest | frame count u32 | frame lengths u32 ... | frames`` in little-endian order; the frames are
``codec.encode``'s. Length, magic and checksum are verified before anything is parsed. The checksum finds accidents, it does not
prove who wrote the bytes: what is inside is checked again by whoever takes it. No pickle.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Any, Dict, Iterable, List

from b2d_zmq import codec
from b2d_zmq.errors import CodecError, SnapshotCorrupt, SnapshotMismatch

MAGIC = b"b2dsnap\n"
MOST_BYTES = 16 * 1024 * 1024
MOST_FRAMES = 64

_SUM_BYTES = 16
_HEAD = len(MAGIC) + _SUM_BYTES


def seal(tree: Any) -> bytes:
    """A tree of plain values and arrays as the bytes of a snapshot."""
    frames = [bytes(frame) for frame in codec.encode(tree)]
    inside = b"".join([struct.pack(f"<I{len(frames)}I", len(frames), *map(len, frames)), *frames])
    return MAGIC + _checksum(inside) + inside


def unseal(data: Any) -> Any:
    """The tree in these bytes. Raises SnapshotCorrupt for anything that ``seal`` did not write."""
    try:
        raw = memoryview(data).cast("B")
    except TypeError:
        raise SnapshotCorrupt(f"a snapshot is bytes, not {type(data).__name__}") from None
    if raw.nbytes > MOST_BYTES:
        raise SnapshotCorrupt(f"{raw.nbytes} bytes are too many for a snapshot; the most is {MOST_BYTES}")
    if raw.nbytes < _HEAD + 4 or raw[: len(MAGIC)] != MAGIC:
        raise SnapshotCorrupt(f"these {raw.nbytes} bytes are not a snapshot: they do not begin as one")
    inside = raw[_HEAD:]
    if _checksum(inside) != raw[len(MAGIC) : _HEAD]:
        raise SnapshotCorrupt("the snapshot was changed or cut short after it was taken: its checksum does not fit")
    try:
        return codec.decode(_frames(inside))
    except (CodecError, struct.error) as error:
        raise SnapshotCorrupt(f"the snapshot's checksum fits, but what is inside is not ours: {error}") from None


def opened(data: Any, backend: str, version: str, parts: Iterable[str] = ()) -> Dict[str, Any]:
    """The parts of a snapshot of this backend and version. Raises SnapshotCorrupt, or SnapshotMismatch for another's."""
    tree = unseal(data)
    if not isinstance(tree, dict) or not {"backend", "version", *parts} <= set(tree):
        raise SnapshotCorrupt("the snapshot's checksum fits, but its parts are missing")
    theirs = [str(tree[name])[:40] for name in ("backend", "version")]
    if theirs != [backend, version]:
        told = f"backend {theirs[0]!r} version {theirs[1]!r}"
        raise SnapshotMismatch(f"the snapshot is of {told}; this worker has backend {backend!r} version {version!r}")
    return tree


def _frames(inside: memoryview) -> List[memoryview]:
    (count,) = struct.unpack_from("<I", inside)
    if count > MOST_FRAMES:
        raise CodecError(f"{count} frames; the most is {MOST_FRAMES}")
    lengths = struct.unpack_from(f"<{count}I", inside, 4)
    start = 4 * (count + 1)
    if start + sum(lengths) != inside.nbytes:
        raise CodecError("the lengths of its frames do not add up")
    frames = []
    for length in lengths:
        frames.append(inside[start : start + length])
        start += length
    return frames


def _checksum(inside: Any) -> bytes:
    return hashlib.blake2b(inside, digest_size=_SUM_BYTES).digest()
