"""At most two servers start at once on one GPU, among all workers of this user: locks, held from the launch until the server is up.

More of them at once make each other miss CARLA's own time limits. The locks also tell who will take memory that NVML does not yet see.
"""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Sequence

from .gpu import Gpu
from .locks import Lock, held, take

AT_ONCE = 2


class Starts:
    """One worker's share in them: nothing, or one place on one GPU."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: Lock | None = None

    def choose(self, ranked: Callable[[Callable[[Gpu], int]], Sequence[Gpu]]) -> Gpu | None:
        """The first GPU of those ``ranked`` gives that has a place left, and the place is ours; None: wait and ask again.

        One worker at a time chooses, so that a whole farm that starts in one moment spreads over its GPUs.
        """
        choosing = take(self._folder / "choosing-gpu.lock")
        if choosing is None:
            return None
        try:
            return next((gpu for gpu in ranked(self.under_way) if self._take(gpu)), None)
        finally:
            choosing.close()

    def under_way(self, gpu: Gpu) -> int:
        """How many servers are starting on that GPU, ours not counted."""
        return sum(held(path) for path in self._places(gpu))

    def release(self) -> None:
        """The server is up, or it failed. Calling it again does nothing."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _take(self, gpu: Gpu) -> bool:
        self.release()
        self._lock = next((lock for lock in map(take, self._places(gpu)) if lock is not None), None)
        return self._lock is not None

    def _places(self, gpu: Gpu) -> Sequence[Path]:
        return [self._folder / f"start-{gpu.uuid}-{number}.lock" for number in range(AT_ONCE)]
