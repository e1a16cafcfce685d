"""The progress page: what the host is doing, in memory that the keeper can read while the host hangs.

One small anonymous file, mapped by both. Only the host writes (one ``pack_into`` per change, no wake-ups), only the keeper reads.
There are two slots: the host fills the one that is not current and then turns the count, so a reader never sees half a page, and a
host that is stopped in the middle of a write leaves the page before it readable.
Times are seconds of CLOCK_MONOTONIC, which all processes of one machine share.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from typing import NamedTuple

_COUNT = struct.Struct("<Q")
_SLOT = struct.Struct("<QiddqQHH240s48s")
_DOING, _PLACE = 240, 48  # bytes
_SIZE = 4096
_FIRST, _STRIDE = 64, 512


class Progress(NamedTuple):
    """One page: jobs begun, kind of the running one (0: idle), when it began, its deadline (0: none), the backend's tick, and words.

    ``episodes`` counts RESETs and RESTOREs; ``place`` names what is loaded, such as a map.
    """

    jobs: int = 0
    kind: int = 0
    started: float = 0.0
    deadline: float = 0.0
    tick: int = 0
    doing: str = ""
    episodes: int = 0
    place: str = ""


class Page:
    """One end of a page; ``fd`` goes to the other process (``pass_fds``)."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._map = mmap.mmap(fd, _SIZE)

    @classmethod
    def create(cls) -> Page:
        """A new, empty page; the fd is not inheritable unless it is passed on by name."""
        if hasattr(os, "memfd_create"):
            fd = os.memfd_create("b2d-progress")
        else:
            with tempfile.TemporaryFile() as file:
                fd = os.dup(file.fileno())
        os.ftruncate(fd, _SIZE)
        return cls(fd)

    def write(self, progress: Progress) -> None:
        """Replace the page."""
        count = self._count() + 1
        doing, place = _cut(progress.doing, _DOING), _cut(progress.place, _PLACE)
        lengths = len(doing), len(place)
        _SLOT.pack_into(self._map, _FIRST + _STRIDE * (count & 1), *progress[:5], progress.episodes, *lengths, doing, place)
        _COUNT.pack_into(self._map, 0, count)

    def read(self) -> Progress:
        """The present page, whole."""
        while True:
            count = self._count()
            slot = _SLOT.unpack_from(self._map, _FIRST + _STRIDE * (count & 1))
            if count == self._count():  # else it was turned meanwhile: the slot may be half of the next page but one
                jobs, kind, started, deadline, tick, episodes, n_doing, n_place, doing, place = slot
                return Progress(jobs, kind, started, deadline, tick, _text(doing[:n_doing]), episodes, _text(place[:n_place]))

    def close(self) -> None:
        """Unmap and close; calling it again does nothing."""
        if self.fd >= 0:
            self._map.close()
            os.close(self.fd)
            self.fd = -1

    def _count(self) -> int:
        count: int = _COUNT.unpack_from(self._map, 0)[0]
        return count


def _cut(text: str, most: int) -> bytes:
    return text.encode("utf-8", "replace")[:most]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
