"""Group advantages from returns: GRPO's, centred, and leave-one-out, over the valid members only.

A convenience: returns are always handed out raw, so that a trainer can use its own formula. Standard deviations are those of the
population (divided by n). A lost member has NaN, never 0, and never shifts the others.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import RequestError

KINDS = ("grpo", "centered", "leave_one_out")


def advantages(returns: np.ndarray[Any, Any], valid: np.ndarray[Any, Any], kind: str = "grpo", eps: float = 1e-6) -> np.ndarray[Any, Any]:
    """Advantages f64[G]; "grpo": (r - mean) / (std + eps), "centered": r - mean, "leave_one_out": r - mean of the others."""
    if kind not in KINDS:
        raise RequestError(f"no advantage {kind!r}; there are {', '.join(KINDS)}")
    result = np.full(len(returns), np.nan)
    members = np.asarray(returns, np.float64)[valid]
    if members.size == 0:
        return result
    centered = members - members.mean()
    if np.ptp(members) == 0.0:  # equal members, whose mean may be off by a last bit
        centered = np.zeros_like(members)
    if kind == "grpo":
        centered = centered / (members.std() + eps)
    elif kind == "leave_one_out" and members.size > 1:
        centered = centered * (members.size / (members.size - 1))
    result[valid] = centered
    return result
