"""When a server is worn and has to make room for a new one: it has grown, or it is old. Decides only; it happens where an episode ends.

CARLA's memory grows with each map that is loaded, and crashes become likely. How much a fresh server takes depends on the map,
so the measure is what it had when each map was first seen, the largest of them.
"""

from __future__ import annotations

from typing import Dict, NamedTuple

SLACK = 1 << 30  # bytes that any server may grow: twice of a small one is no leak


class Limits(NamedTuple):
    """``growth`` is a factor, ``memory`` bytes, ``episodes`` a number; 0 means without a limit."""

    growth: float = 2.0
    memory: int = 0
    episodes: int = 0


class Wear:
    """The history of one server; a new server gets a new one."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._fresh: Dict[str, int] = {}

    def seen(self, place: str, resident: int, episodes: int) -> str:
        """Take in what is seen while no job runs; why the server should go, or the empty string."""
        limits = self._limits
        fresh = self._fresh.setdefault(place, resident)
        fresh = max(fresh, *self._fresh.values())
        if limits.growth and resident > max(limits.growth * fresh, fresh + SLACK):
            return f"its memory grew from {_gigabytes(fresh)} after loading to {_gigabytes(resident)}"
        if limits.memory and resident > limits.memory:
            return f"its memory is {_gigabytes(resident)}, the most is {_gigabytes(limits.memory)}"
        if limits.episodes and episodes >= limits.episodes:
            return f"it has served {episodes} episodes, the most is {limits.episodes}"
        return ""


def _gigabytes(number: int) -> str:
    return f"{number / 1e9:.2f} GB"
