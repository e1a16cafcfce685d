"""One child process and its group: launch, notice its death at once, TERM, KILL, reap. Touches no process that it did not start.

The child is alone in a session of its own, so that its group can be ended whole. It holds the only write end of a pipe, whose end
wakes the parent's poll loop in the moment of death. What it prints is passed on to the parent's stderr, and the tail is kept to be quoted.
The child's side (``die_with_parent``) asks the kernel to end it with its parent. Linux only; elsewhere that is skipped with a log line.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
from typing import Dict, List, Sequence

TAIL_BYTES = 4096
_PR_SET_PDEATHSIG = 1

log = logging.getLogger("worker.child")


class Child:
    """A running child. ``death`` and ``output`` are file descriptors to poll; ``death`` becomes readable when the child is gone."""

    def __init__(self, command: Sequence[str], pass_fds: Sequence[int] = ()) -> None:
        """Start ``command`` (no shell); ``{death}`` in it becomes the number of the fd that the child has to keep to itself."""
        self.death, death_write = os.pipe()
        self.output, output_write = os.pipe()
        try:
            self._process = subprocess.Popen(
                [word.replace("{death}", str(death_write)) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=output_write,
                stderr=output_write,
                pass_fds=(*pass_fds, death_write),
                start_new_session=True,
            )
        except OSError:
            os.close(self.death)
            os.close(self.output)
            raise
        finally:
            os.close(death_write)
            os.close(output_write)
        os.set_blocking(self.output, False)
        self.output_open = True
        self._tail = b""
        self.pid = self._process.pid

    def read_output(self) -> bool:
        """Pass on what the child has printed since. False when there is nothing more; ``output_open`` says whether there may be."""
        try:
            data = os.read(self.output, 65536)
        except BlockingIOError:
            return False
        if not data:
            self.output_open = False
            return False
        self._tail = (self._tail + data)[-TAIL_BYTES:]
        sys.stderr.buffer.write(data)
        sys.stderr.buffer.flush()
        return True

    def tail(self, lines: int = 20) -> str:
        """The last lines that the child printed."""
        text = self._tail.decode("utf-8", "replace")
        return "\n".join(text.splitlines()[-lines:])

    def terminate(self) -> None:
        """Ask the child to leave (TERM to the child alone: what it started is its own to stop)."""
        self._process.terminate()

    def kill(self) -> None:
        """End the whole group now. The pid is still ours, because only ``reap`` gives it up."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            log.debug("group %d was gone already", self.pid)

    def reap(self) -> int:
        """After the death: end what is left of the group, read the last words, give the fds up; the exit code (negative: the signal)."""
        self.kill()
        code = self._process.wait()
        while self.read_output():
            pass
        os.close(self.death)
        os.close(self.output)
        return code

    def resident_bytes(self) -> int:
        """How much memory the child occupies; 0 where that is not to be had."""
        try:
            with open(f"/proc/{self.pid}/statm", encoding="ascii") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError):
            return 0


def describe_exit(code: int) -> str:
    """``exit code 3`` or ``signal SIGKILL``, from what ``reap`` gave."""
    if code >= 0:
        return f"exit code {code}"
    names: Dict[int, str] = {int(number): number.name for number in signal.Signals}
    return f"signal {names.get(-code, -code)}"


def die_with_parent(parent: int) -> None:
    """Called by a child at its start: be killed when the parent dies. Leaves at once if the parent is gone already.

    The kernel's signal comes when the *thread* that started the child ends, so only a parent's main thread may start children.
    """
    if not sys.platform.startswith("linux"):
        log.info("this system has no parent-death signal; a killed keeper leaves its host behind")
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        raise SystemExit(f"the parent {parent} is gone already")


def python_command(entry: str, arguments: Sequence[str]) -> List[str]:
    """A command that calls ``module:function`` in this interpreter, with this process's import path."""
    module, function = entry.split(":")
    start = f"import sys; sys.path[:] = sys.argv.pop(1).split('\\n'); from {module} import {function}; {function}()"
    return [sys.executable, "-c", start, "\n".join(sys.path), *arguments]
