"""Snapshot: a simulator's state as opaque bytes, with the client's own counters, in memory or in a file.

What the bytes mean, only a backend of the same name and version knows. A file is: magic, format version, length of the header, header
(msgpack), data, and a blake2b hash over all before it. Nothing is parsed before size, magic, version and hash are right, and nothing is
ever unpickled.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, NamedTuple, Tuple, Union

import msgpack

from .errors import SnapshotCorrupt, SnapshotMismatch

MAGIC = b"B2DSNAP\n"
FORMAT = 1
HEADER_BYTES = 64 * 1024
DATA_BYTES = 1024**3  # of the simulator's state

_FRONT = struct.Struct("<8sHI")  # magic, format, length of the header
_HASH_BYTES = 32
_TYPES: Dict[str, Any] = {
    "id": str,
    "tick": int,
    "tier": str,
    "digest": str,
    "backend": str,
    "version": str,
    "episode_steps": int,
    "episode_reward": float,
}


class State(NamedTuple):
    """What a simulator says of its state when a snapshot is taken; the client's counters are not in it."""

    id: str
    data: bytes
    tick: int
    tier: str
    digest: str
    backend: str
    version: str


@dataclass(frozen=True)
class Snapshot:
    """A state that ``env.restore`` and ``env.fork`` take. ``tier`` says how true a restore is ("exact": bit for bit)."""

    id: str
    tick: int
    tier: str
    digest: str
    backend: str
    version: str
    episode_steps: int
    episode_reward: float
    data: bytes

    @classmethod
    def of(cls, state: State, episode_steps: int, episode_reward: float) -> Snapshot:
        """The simulator's account of a state, with the client's counters."""
        told = (state.id, state.tick, state.tier, state.digest, state.backend, state.version)
        return cls(*told, episode_steps, episode_reward, state.data)

    @property
    def nbytes(self) -> int:
        """The size of the state in bytes."""
        return len(self.data)

    def __repr__(self) -> str:
        return (
            f"Snapshot({self.id}, tick {self.tick}, {self.tier}, digest {self.digest}, {self.nbytes} bytes, {self.backend} {self.version})"
        )

    def save(self, path: Union[str, Path]) -> Path:
        """Write a file, whole or not at all, and give its path."""
        header = msgpack.packb({name: getattr(self, name) for name in _TYPES})
        parts = _FRONT.pack(MAGIC, FORMAT, len(header)), header, self.data
        path = Path(path)
        handle, scratch = tempfile.mkstemp(prefix=path.name + ".", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.writelines((*parts, _hash(*parts)))
                file.flush()
                os.fsync(file.fileno())
            os.replace(scratch, path)
        except BaseException:
            os.unlink(scratch)
            raise
        return path

    @classmethod
    def load(cls, path: Union[str, Path]) -> Snapshot:
        """Read a file that ``save`` wrote. Raises SnapshotCorrupt, SnapshotMismatch for a newer format, OSError where there is none."""
        path = Path(path)
        header, data = _read(path)
        return cls(**_header(header, path), data=data)


def _read(path: Path) -> Tuple[bytes, bytes]:
    """Header and data of a file whose size, first bytes, format and hash are right; of any other, as little as shows that it is none."""
    told = path.stat()
    if not stat.S_ISREG(told.st_mode):
        raise SnapshotCorrupt(f"{path}: not a file but a folder, pipe or device; Snapshot.save writes files")
    if told.st_size > _FRONT.size + HEADER_BYTES + DATA_BYTES + _HASH_BYTES:
        raise SnapshotCorrupt(f"{path}: larger than any snapshot; take a new one")
    with path.open("rb") as file:
        front = file.read(_FRONT.size)
        if told.st_size < _FRONT.size + _HASH_BYTES or not front.startswith(MAGIC):
            raise SnapshotCorrupt(f"{path}: not a snapshot file of b2d-zmq; Snapshot.save writes such files")
        _, version, length = _FRONT.unpack(front)
        if version != FORMAT:
            raise SnapshotMismatch(f"{path}: snapshot format {version}, this b2d-zmq reads {FORMAT}; load it with the one that wrote it")
        inside = told.st_size - _FRONT.size - _HASH_BYTES
        if length > min(HEADER_BYTES, inside):
            raise SnapshotCorrupt(f"{path}: damaged, for its header is longer than it may be; restore a copy of the file")
        header, data, told_hash = file.read(length), file.read(inside - length), file.read(_HASH_BYTES)  # apart: they are not copied again
    if _hash(front, header, data) != told_hash:
        raise SnapshotCorrupt(f"{path}: damaged (its hash does not fit); take the snapshot again or restore a copy of the file")
    return header, data


def _header(packed: bytes, path: Path) -> Dict[str, Any]:
    try:
        header = msgpack.unpackb(packed, max_ext_len=0, max_array_len=0, max_map_len=64, max_str_len=4096)
    except (ValueError, TypeError, msgpack.exceptions.UnpackException, RecursionError) as error:
        raise SnapshotCorrupt(f"{path}: its header cannot be read ({error})") from None
    if not isinstance(header, dict) or any(type(header.get(name)) is not kind for name, kind in _TYPES.items()):
        raise SnapshotCorrupt(f"{path}: its header lacks or garbles one of {', '.join(_TYPES)}")
    return {name: header[name] for name in _TYPES}


def _hash(*parts: bytes) -> bytes:
    told = hashlib.blake2b(digest_size=_HASH_BYTES)
    for part in parts:
        told.update(part)
    return told.digest()
