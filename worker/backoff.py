"""How long to wait before a simulator is started again: at once the first time, then longer and longer, and fresh after a good run.

One that does not even come up, again and again, is put aside for long: each try costs a GPU minutes, and somebody has to look.
"""

from __future__ import annotations

from collections import deque
from typing import Deque

MOST = 30.0  # s; longer would be dead GPU time
GOOD_RUN = 60.0  # s that a host must have lived for its death to count as the first
FAILED_STARTS, WITHIN = 5, 1800.0  # so many within so many seconds, and the server is put aside
ASIDE = 600.0  # s


class Backoff:
    """Counts the deaths in a row. No clock: the caller says how long the host lived."""

    def __init__(self) -> None:
        self.failures = 0

    def after(self, lived: float) -> float:
        """Seconds to wait after a host that lived so long: 0, 0.5, 1, 2, ... 30."""
        self.failures = 1 if lived >= GOOD_RUN else self.failures + 1
        return 0.0 if self.failures == 1 else min(MOST, 0.25 * 2.0 ** min(self.failures - 1, 16))


class Quarantine:
    """Counts the starts that failed of late. ``aside``: so many that each further failure means a long wait, until a start succeeds."""

    def __init__(self) -> None:
        self._failed: Deque[float] = deque(maxlen=FAILED_STARTS)
        self.aside = False

    def failed(self, now: float) -> float:
        """A start failed; seconds to put the server aside, mostly 0."""
        self._failed.append(now)
        if len(self._failed) == FAILED_STARTS and now - self._failed[0] <= WITHIN:
            self.aside = True
        return ASIDE if self.aside else 0.0

    def succeeded(self) -> None:
        """A start succeeded."""
        self._failed.clear()
        self.aside = False
