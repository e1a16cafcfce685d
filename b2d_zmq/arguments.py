"""Numbers that a caller gives: each is checked once, where it comes in, and refused in words that say what is wanted.

A wrong number that got further would come back as somebody else's error, or as a wait without end.
"""

from __future__ import annotations

import math
from typing import Any, Sequence

import numpy as np

from .errors import RequestError, UnknownOption

MOST_SECONDS = 1e9  # the most that the header of a request can say


def whole(name: str, value: Any, least: int = 1, most: float = math.inf) -> int:
    """``value`` as an int from ``least`` to ``most``; numpy's integers are welcome, bool and float are not. Raises RequestError."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not least <= value <= most:
        wanted = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
        raise RequestError(f"{name} must be a whole number {wanted}; got {value!r:.60}")
    return int(value)


def seconds(name: str, value: Any, zero: bool = True) -> float:
    """``value`` as seconds, finite and not negative, above 0 unless ``zero``. Raises RequestError."""
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not number or not 0.0 <= value <= MOST_SECONDS or (value == 0.0 and not zero):
        raise RequestError(f"{name} must be a number of seconds from 0 to 1e9{'' if zero else ', more than 0'}; got {value!r:.60}")
    return float(value)


def seed(value: Any) -> int:
    """``value`` as a seed, 0 to 2**63-1. Raises RequestError."""
    return whole("a seed", value, 0, 2**63 - 1)


def tier(value: Any, offered: Sequence[str]) -> str:
    """``value`` as one of the tiers that a farm offers; None is the first of them ("" where it names none). Raises UnknownOption."""
    if value is None:
        return str(offered[0]) if offered else ""
    if not isinstance(value, str) or value not in offered:
        raise UnknownOption(f"no tier {value!r:.60}; the workers of this farm restore by {', '.join(offered)}")
    return value


def on_loss(value: Any) -> str:
    """``value`` as what to do when a worker is lost, "resume" or "raise". Raises UnknownOption."""
    if value not in ("resume", "raise"):
        raise UnknownOption(f"on_loss is 'resume' or 'raise'; got {value!r:.60}")
    return str(value)
