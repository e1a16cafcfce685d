"""A toy world on which incidents can be brought about: ``--backend moody:Moody``. What is to go wrong is a file's name in ``$MOODS``.

A mood strikes the first host that meets it, once: the file is gone then. ``cursed`` is no such file: while it exists, tick 7 ends any host.
"""

import ctypes
import os
import signal
import threading
from pathlib import Path

from toy import Toy

BUSY = 2.5  # s that a busy simulator lets nothing else run in its process
CURSED = 7


def moods():
    return Path(os.environ["MOODS"])


def _hang():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    while True:
        signal.sigwait({signal.SIGUSR2})


def _busy():
    ctypes.PyDLL(None).usleep(int(BUSY * 1e6))  # and keeps the interpreter's lock


def _wait():
    while not (moods() / "go").exists():
        threading.Event().wait(0.01)


STRIKES = {
    "crash": lambda: os._exit(3),
    "segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "hang": _hang,
    "busy": _busy,
    "wait": _wait,
}


class Moody(Toy):
    def reset(self, seed, options):
        self._strike("reset")
        return super().reset(seed, options)

    def restore(self, data, tier=""):
        self._strike("restore")
        return super().restore(data, tier)

    def step(self, action, ticks=1):
        self._strike("step")
        if self.state is not None and self.state[5] >= CURSED and (moods() / "cursed").exists():
            os.write(2, b"assertion failed at frame 7\n")
            os._exit(3)
        return super().step(action, ticks)

    def _strike(self, kind):
        for name, strike in STRIKES.items():
            try:
                (moods() / f"{kind}-{name}").unlink()
            except FileNotFoundError:
                continue
            strike()
