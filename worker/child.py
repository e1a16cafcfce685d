"""One child process and its group: launch, notice its end, TERM, KILL, reap. Touches no process that it did not start.

The child is alone in a session of its own, so that its group can be ended whole. Its end comes as SIGCHLD to this process; ``ended`` then
says whose it was, and only ``reap`` gives the pid up, so that nothing else is ever killed by its number. The child's side
(``die_with_parent``, ``become``) asks the kernel to end it with its parent. Linux only.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
from typing import Dict, List, Mapping, Sequence

_PR_SET_PDEATHSIG = 1

log = logging.getLogger("worker.child")


class Child:
    """A running child; what it prints goes to the file descriptor ``output``."""

    def __init__(
        self, command: Sequence[str], output: int, pass_fds: Sequence[int] = (), environment: Mapping[str, str] | None = None
    ) -> None:
        """Start ``command`` (no shell)."""
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=tuple(pass_fds),
            env=None if environment is None else dict(environment),
            start_new_session=True,
        )
        self.pid = self._process.pid

    def ended(self) -> bool:
        """Whether the child is over; it waits to be reaped then."""
        if self._process.returncode is not None:
            return True
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def stopped(self) -> bool:
        """Whether a signal has made the child stand still (STOP); a debugger's stop does not count."""
        try:
            return os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # it is over
            return False

    def terminate(self) -> None:
        """Ask the child to leave (TERM to the child alone: what it started is its own to stop)."""
        self.send(signal.SIGTERM)

    def send(self, number: int) -> None:
        """Send a signal to the child alone; one that is over and not reaped yet takes it without harm."""
        if self._process.returncode is None:
            os.kill(self.pid, number)  # not Popen.send_signal, which would reap a child that is over and leave its group behind

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send KILL, or another signal, to the whole group. The pid is still ours, because only ``reap`` gives it up."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            log.debug("group %d was gone already", self.pid)

    def reap(self) -> int:
        """After the end: end what is left of the group; the exit code (negative: the signal)."""
        if self._process.returncode is None:
            self.kill()
        return self._process.wait()

    def end(self, seconds: float = 5.0) -> None:
        """KILL the group and wait for the end, but not for ever: a process that hangs in a driver cannot be killed."""
        if self._process.returncode is not None:
            return
        self.kill()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            log.error("process %d does not end, though it was killed: it hangs inside the kernel", self.pid)


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


def become() -> None:
    """A child's process, for a moment: tie itself to the parent named first, then become the program that the other arguments are.

    The kernel keeps the tie over exec. To set it between fork and exec instead would run Python in a copy of a process with threads.
    """
    parent, command = int(sys.argv[1]), sys.argv[2:]
    die_with_parent(parent)
    try:
        os.execv(command[0], command)
    except OSError as error:
        raise SystemExit(f"{command[0]} cannot be run: {error.strerror}") from None


def tied(command: Sequence[str]) -> List[str]:
    """A command that runs ``command`` (a path and arguments) as a child that dies with this process."""
    return python_command("worker.child:become", [str(os.getpid()), *command])


def python_command(entry: str, arguments: Sequence[str]) -> List[str]:
    """A command that calls ``module:function`` in this interpreter, with this process's import path."""
    module, function = entry.split(":")
    start = f"import sys; sys.path[:] = sys.argv.pop(1).split('\\n'); from {module} import {function}; {function}()"
    return [sys.executable, "-c", start, "\n".join(sys.path), *arguments]
