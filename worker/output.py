"""Where a child's words go, and its last words to be quoted: on to the worker's own log, or into a file that cannot grow for ever."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
from pathlib import Path

from b2d_zmq.errors import RequestError

log = logging.getLogger("worker.output")

TAIL_BYTES = 4096
LOG_BYTES = 16 << 20  # of a server's log; one older piece of the same size is kept


def last_lines(data: bytes, lines: int) -> str:
    """The last lines of some output, as text."""
    return "\n".join(data[-TAIL_BYTES:].decode("utf-8", "replace").splitlines()[-lines:])


class Relay:
    """A pipe: what the child prints is passed on to this process's stderr. ``fd`` is to be polled while it is ``open``."""

    def __init__(self) -> None:
        self.fd, self.write = os.pipe()
        os.set_blocking(self.fd, False)
        self.open = True
        self._tail = b""

    def started(self) -> None:
        """The child has its end: let go of ours, so that the pipe ends with the child."""
        os.close(self.write)

    def read(self) -> bool:
        """Pass on what came since. False when there is nothing more; ``open`` says whether there may be."""
        try:
            data = os.read(self.fd, 65536)
        except BlockingIOError:
            return False
        if not data:
            self.open = False
            return False
        self._tail = (self._tail + data)[-TAIL_BYTES:]
        with contextlib.suppress(OSError):  # a full disk, or nobody reads: words are lost, and the worker goes on, as logging does
            sys.stderr.buffer.write(data)
            sys.stderr.buffer.flush()
        return True

    def tail(self, lines: int = 20) -> str:
        """The last lines that the child printed."""
        return last_lines(self._tail, lines)

    def close(self) -> None:
        """Read the last words and let go."""
        while self.read():
            pass
        os.close(self.fd)


class LogFile:
    """A file that the child appends to by itself, so that it never waits for a reader. ``fd`` is what the child gets.

    When the file is full its content moves to ``NAME.1`` and it is emptied under the child's feet (it appends, so it goes on at the
    beginning). What is printed in that very moment may be missing.
    """

    def __init__(self, path: Path, most: int = LOG_BYTES) -> None:
        """Raises RequestError where the file cannot be written."""
        self.path, self._most = path, most
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise RequestError(
                f"the server's log {path} cannot be written ({error.strerror}); give another folder with --server-log-dir"
            ) from None
        self._since = 0

    @property
    def older(self) -> Path:
        return self.path.with_name(self.path.name + ".1")

    def begin(self, words: str) -> None:
        """A new child begins here, under this heading."""
        os.write(self.fd, f"--- {words}\n".encode())
        self._since = os.fstat(self.fd).st_size

    def rotate(self) -> None:
        """Move the content away if the file is full."""
        if os.fstat(self.fd).st_size <= self._most:
            return
        try:
            shutil.copyfile(self.path, self.older)
        except OSError as error:  # a full disk is what the limit is there to prevent: then the older words go first
            log.warning("%s cannot be kept as %s (%s); its content is dropped", self.path, self.older, error.strerror)
            with contextlib.suppress(FileNotFoundError):
                self.older.unlink()
        os.ftruncate(self.fd, 0)
        self._since = 0

    def tail(self, lines: int = 20) -> str:
        """The last lines of the present child; of the older piece too, where the file has just been emptied."""
        size = os.fstat(self.fd).st_size
        start = max(self._since, size - TAIL_BYTES)
        data = os.pread(self.fd, max(0, size - start), start)
        if self._since == 0 and size < TAIL_BYTES and self.older.is_file():
            data = _end_of(self.older) + data
        return last_lines(data, lines)

    def close(self) -> None:
        """Let go of the file, which stays; calling it again does nothing."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _end_of(path: Path) -> bytes:
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
        return file.read()
