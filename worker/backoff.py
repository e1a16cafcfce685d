"""How long to wait before a host is started again: at once the first time, then longer and longer, and fresh after a good run."""

from __future__ import annotations

MOST = 30.0  # s; longer would be dead GPU time
GOOD_RUN = 60.0  # s that a host must have lived for its death to count as the first


class Backoff:
    """Counts the deaths in a row. No clock: the caller says how long the host lived."""

    def __init__(self) -> None:
        self.failures = 0

    def after(self, lived: float) -> float:
        """Seconds to wait after a host that lived so long: 0, 0.5, 1, 2, ... 30."""
        self.failures = 1 if lived >= GOOD_RUN else self.failures + 1
        return 0.0 if self.failures == 1 else min(MOST, 0.25 * 2.0 ** min(self.failures - 1, 16))
