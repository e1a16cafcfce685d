"""Lifeline: a pipe by which child processes notice that their parent is gone, however it went.

The parent keeps the write end and never writes to it; children inherit the read end and are told its number. When the parent
dies, also by SIGKILL, the kernel closes the write end, the read end reaches its end, and the children leave.
(A fork of the parent that outlives it holds the line too; what the parent starts by exec does not.) POSIX only.
"""

from __future__ import annotations

import os
import select
from types import TracebackType


class Lifeline:
    """The parent's side. Give ``fd`` to children (``pass_fds=(line.fd,)`` and ``--lifeline FD``); ``close`` tells them to leave."""

    def __init__(self) -> None:
        self.fd, self._write = os.pipe()  # neither end is inheritable, so no child can hold the write end open

    def close(self) -> None:
        """Cut the line; calling it again does nothing."""
        for fd in (self.fd, self._write):
            if fd >= 0:
                os.close(fd)
        self.fd = self._write = -1

    def __enter__(self) -> Lifeline:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def gone(fd: int) -> bool:
    """Whether the parent at the other end is gone. A process that polls anyway adds ``fd`` to its poller instead: readable means gone."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))
