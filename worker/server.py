"""What a keeper's host needs beside it, and this is nothing: a backend that is a simulator itself. See ``owned.py``, ``external.py``.

A server and its host live and die together. Nothing here blocks, whatever the server does: the keeper calls ``act`` when ``wake`` says so
or when something happened, and says "alive" in between. Times are seconds of ``time.monotonic``.
"""

from __future__ import annotations

import math
from typing import Any, Dict

from .progress import Progress


class Server:
    """No server. Everything that a keeper asks of one, answered for the case that there is none."""

    def ready(self, now: float) -> bool:
        """Get one ready for the next host; True when the host may start. Raises RequestError where starting again would not help."""
        return True

    def options(self) -> Dict[str, Any]:
        """What the backend must know to connect, as keyword arguments."""
        return {}

    def act(self, now: float) -> None:
        """Do what is due."""

    def wake(self) -> float:
        """When ``act`` or ``ready`` has something to do next."""
        return math.inf

    def died(self, now: float) -> str:
        """In words, once, that it ended without having been told to; else the empty string."""
        return ""

    def look(self, now: float, progress: Progress) -> str:
        """Take in how the opened host is doing; a reason why both should be replaced where an episode ends, or the empty string."""
        return ""

    def end(self, now: float, at_once: bool) -> None:
        """The host is gone: let it go too, KILL ``at_once`` or TERM first. ``gone`` says when that is done."""

    @property
    def gone(self) -> bool:
        """Whether nothing is left of it."""
        return True

    def failed(self, now: float, opened: bool) -> float:
        """The host ended, and whether it had opened; seconds that must pass before the next start, besides the keeper's own back-off."""
        return 0.0

    @property
    def doing(self) -> str:
        """In words, why the host has not been started yet, or the empty string."""
        return ""

    def progress(self) -> Dict[str, Any]:
        """What the heartbeat tells about it."""
        return {}

    def tail(self) -> str:
        """The last lines of its log."""
        return ""

    def close(self) -> None:
        """End it now, and wait for that."""
