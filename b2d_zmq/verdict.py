"""What a restore says of its own truth: ``info["fidelity"]`` as a plain dict, read the same way for every backend.

A backend whose only tier is exact reports nothing, so its entry is made here, from the one thing that can be checked on this side: the
digest. Nothing is measured here. docs/fidelity.md tells what the keys mean.
"""

from __future__ import annotations

import math
from typing import Any, Dict, Mapping

from .outcomes import Outcome, Seconds
from .snapshot import Snapshot, State

VERDICTS = ("exact", "good", "degraded")
"""From the best to the worst."""


def fidelity(outcome: Outcome, snapshot: Snapshot | State) -> Dict[str, Any]:
    """How true this restore of ``snapshot`` is."""
    told = outcome.info.get("fidelity")
    if isinstance(told, dict):
        return told
    same = outcome.digest == snapshot.digest
    error = 0.0 if same else math.nan  # another state, and nobody said how far away
    return {
        "tier": snapshot.tier,
        "verdict": VERDICTS[0] if same else VERDICTS[-1],
        "ticks": 0,
        "seconds": Seconds(outcome.simulator_seconds),
        "ego": {"position": error, "speed": error, "yaw": error},
    }


def rank(told: Mapping[str, Any]) -> int:
    """0 for an exact restore, and more the worse it is; a word that nobody knows is as bad as it gets."""
    word = told.get("verdict")
    return VERDICTS.index(word) if word in VERDICTS else len(VERDICTS) - 1
