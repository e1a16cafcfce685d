"""A worker's own lock file: which server it started. A worker that begins reads what the one before it left under the same name.

What is still alive of that server, and proven by pid and start time or by the mark in its environment, is ended. Nothing else is touched:
not by name, not by port.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import signal
from pathlib import Path
from typing import Any, Dict

from . import processes
from .launch import MARK
from .locks import Lock, take

log = logging.getLogger("worker.record")


class Record:
    """Held while the worker lives. ``name`` is the worker's, with a number where another worker of that name runs."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name, self._lock = _first_free(folder, name)

    def note(self, pid: int, mark: str) -> None:
        """A server was started: this is its process, and its group's number."""
        process = processes.look(pid)
        start = process.start if process else 0
        self._lock.write(json.dumps({"pid": pid, "start": start, "mark": mark, "boot": processes.boot(), "keeper": os.getpid()}))

    def clear(self) -> None:
        """The server is gone, and was reaped."""
        self._lock.write("{}")

    def sweep(self) -> int:
        """End what the worker before left behind; how many processes that were."""
        try:
            told: Dict[str, Any] = json.loads(self._lock.read() or "{}")
            pid, start, mark = int(told["pid"]), int(told["start"]), str(told["mark"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return 0
        if told.get("boot") != processes.boot():
            return 0
        orphans = [process for process in processes.members(pid) if _proven(process, pid, start, mark)]
        for process in orphans:
            log.warning("process %d of server %d was left behind by a worker %s that is gone; it is ended", process.pid, pid, self.name)
            with contextlib.suppress(ProcessLookupError):  # the death signal may be ending it this very moment
                os.kill(process.pid, signal.SIGKILL)
        self.clear()
        return len(orphans)

    def close(self) -> None:
        """Let the next worker of that name begin."""
        self._lock.close()


def _proven(process: processes.Process, pid: int, start: int, mark: str) -> bool:
    return (process.pid, process.start) == (pid, start) or processes.has_mark(process.pid, f"{MARK}={mark}")


def _first_free(folder: Path, name: str) -> tuple[str, Lock]:
    for number in itertools.count(1):
        full = name if number == 1 else f"{name}.{number}"
        lock = take(folder / f"worker-{full}.lock")
        if lock is not None:
            return full, lock
    raise AssertionError("there is always a next number")
