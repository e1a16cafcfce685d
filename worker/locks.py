"""Lock files in a folder of this user's own: what one process holds, another cannot take. The kernel lets go when the holder dies.

A lock is a file with a few words in it; the words stay when the lock is gone, and the next holder reads what became of the last one.
Files are never removed: a lock on a file that is no longer in the folder would lock nobody out.
"""

from __future__ import annotations

import fcntl
import logging
import os
import stat
import tempfile
from pathlib import Path

from b2d_zmq.errors import RequestError

log = logging.getLogger("worker.locks")


class Lock:
    """A lock that this process holds until ``close``, or until it dies."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def read(self) -> str:
        """The words in the file."""
        return os.pread(self._fd, 65536, 0).decode("utf-8", "replace")

    def write(self, words: str) -> None:
        """Replace them. Where the disk is full the lock holds all the same, and only what the next holder would read is missing."""
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, words.encode(), 0)
        except OSError as error:
            log.warning("a lock file cannot be written to: %s", error)

    def close(self) -> None:
        """Let go; calling it again does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def take(path: Path) -> Lock | None:
    """The lock on that file, or None while somebody holds it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    return Lock(fd)


def held(path: Path) -> bool:
    """Whether somebody else holds the lock on that file just now."""
    lock = take(path)
    if lock is not None:
        lock.close()
    return lock is None


def run_folder(given: str | None = None) -> Path:
    """The folder of this user's locks, made if need be: ``given``, or one in the system's folder for temporary files.

    Raises RequestError where somebody else could write into it.
    """
    path = Path(given) if given else Path(tempfile.gettempdir()) / f"b2d-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = path.lstat()
    except OSError as error:
        raise RequestError(f"the run folder {path} cannot be made ({error.strerror}); give another with --run-dir") from None
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or about.st_mode & 0o022:
        raise RequestError(f"the run folder {path} must be a folder that only you can write to; give another with --run-dir")
    return path
