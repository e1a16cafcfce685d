"""Signals as something that a poll loop can wait for: a handler that only writes to a pipe, and the loop reads which signals came."""

from __future__ import annotations

import os
import signal
from typing import List


class Wakeup:
    """TERM and INT of this process, readable at ``fd``. Main thread only, as Python's signal handling demands."""

    def __init__(self, *signals: int) -> None:
        self.fd, self._write = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write, False)
        self._before = {number: signal.signal(number, lambda *_: None) for number in signals}
        self._fd_before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def read(self) -> List[int]:
        """The signals that came since the last call; none is an empty list."""
        try:
            return list(os.read(self.fd, 64))
        except BlockingIOError:
            return []

    def close(self) -> None:
        """Put back what was there before."""
        signal.set_wakeup_fd(self._fd_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self.fd)
        os.close(self._write)
