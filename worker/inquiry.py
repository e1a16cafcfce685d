"""A survey of the GPUs that runs beside the keeper: a process, and what it found when it is over. See ``gpu.py`` for why."""

from __future__ import annotations

import os
import tempfile

from .child import Child, describe_exit, python_command, tied
from .gpu import Survey

PATIENCE = 30.0  # s; vulkaninfo may take 20 of them


class Inquiry:
    """One running survey. Times are seconds of ``time.monotonic``."""

    def __init__(self, now: float) -> None:
        fd, path = tempfile.mkstemp(prefix="b2d-gpus-")
        os.unlink(path)
        self._answer = fd
        try:
            self._child: Child | None = Child(tied(python_command("worker.gpu:main", [])), fd)
        except OSError:
            os.close(fd)
            raise
        self.deadline = now + PATIENCE

    def result(self, now: float) -> Survey | None:
        """What was found; None while it is not over. One that stands still is given up, and that is its result."""
        child = self._child
        if child is None:
            return None
        if child.ended():
            code = child.reap()
            told = os.pread(self._answer, os.fstat(self._answer).st_size, 0).decode("utf-8", "replace")
            self.close()
            return _read(told, code)
        if now >= self.deadline:
            self.close()
            told = f"NVML and vulkaninfo did not answer within {PATIENCE:.0f} s; nvidia-smi and the kernel's log may say more"
            return Survey(trouble=told, passing=True)
        return None

    def close(self) -> None:
        """Give it up; calling it again does nothing. It is hardly waited for: whoever hangs in a driver does not even die."""
        if self._child is not None:
            self._child.end(0.2)
            self._child = None
            os.close(self._answer)


def _read(told: str, code: int) -> Survey:
    try:
        return Survey.from_json(told[told.index("{") :])  # warnings may stand before it
    except (ValueError, TypeError, KeyError):
        last = told.strip().splitlines()[-1:] or ["no output"]
        return Survey(trouble=f"the survey of the GPUs failed ({describe_exit(code)}): {last[0][:200]}")
