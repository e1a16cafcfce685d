"""How far a restored state is from its snapshot: residuals of the ego and of the worst other actor, and the verdict on them.

Plain arithmetic over two moments; nothing is read from a server here. The verdict speaks of the moment of the restore alone. How far
two branches drift apart later is measured by driving them (``group.noise_floor``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, NamedTuple, Sequence

import numpy as np

from .moment import PLACE, VELOCITY, YAW, Lamps, Moment

EXACT, GOOD, DEGRADED = "exact", "good", "degraded"


class Limits(NamedTuple):
    """The most that a residual may be for the verdict "good"."""

    position: float  # m
    speed: float  # m/s
    yaw: float  # degrees


EGO = Limits(0.01, 0.05, 0.1)
OTHERS = Limits(0.1, 0.5, 1.0)  # ten times as much: what an error of another actor does to the ego comes later and weaker


class Residuals(NamedTuple):
    """Of every row of the cast, float64 [N]; zero where the actor is gone in either moment (those are counted apart)."""

    position: Any  # m
    speed: Any  # m/s, of the velocity vectors' difference
    yaw: Any  # degrees, 0 to 180

    def over(self) -> Any:
        """bool [N]: which rows are beyond their limits, EGO for the first and OTHERS for the rest."""
        return ~(_shares(self) <= 1.0)  # so that a number that is none counts as over


def residuals(found: Moment, wanted: Moment) -> Residuals:
    """How far the first is from the second."""
    both = (found.alive & wanted.alive)[:, None]
    off = np.where(both, found.motion.astype(np.float64) - wanted.motion.astype(np.float64), 0.0)
    yaw = np.abs((off[:, YAW] + 180.0) % 360.0 - 180.0)
    return Residuals(np.linalg.norm(off[:, PLACE], axis=1), np.linalg.norm(off[:, VELOCITY], axis=1), yaw)


@dataclass
class Account:
    """What a restore did, beside the state that it reached; filled in while it goes on."""

    tier: str
    ticks: int = 0  # of the world that it took
    retries: int = 0
    missing: int = 0  # actors that the snapshot has and the world has not
    extra: int = 0
    corrected: int = 0  # actors that hybrid had to put in their place
    diverged_at: int = -1  # the tick at which a replay was first seen to differ
    same: bool = False  # the digest is the snapshot's, and what cannot be seen came about in the same way


def report(account: Account, off: Residuals, lamps: int, names: Sequence[str], seconds: float) -> Dict[str, Any]:
    """``info["fidelity"]``: texts and plain numbers. ``lamps`` are the traffic lights that differ, ``names`` the keys of the cast."""
    whole = not (account.missing or account.extra or lamps)
    good = whole and not off.over().any()
    same = account.same and account.diverged_at < 0 and not account.corrected
    verdict = (EXACT if same else GOOD) if good else DEGRADED
    shares = _shares(off)
    worst = 1 + int(np.argmax(shares[1:])) if len(shares) > 1 else 0
    return {
        "tier": account.tier,
        "verdict": verdict,
        "ticks": account.ticks,
        "seconds": seconds,
        "ego": _row(off, 0),
        "worst": {"actor": names[worst] if worst else "", **_row(off, worst)},
        "missing": account.missing,
        "extra": account.extra,
        "lights": lamps,
        "corrected": account.corrected,
        "retries": account.retries,
        "diverged_at": account.diverged_at,
    }


def lamps_off(found: Lamps, wanted: Lamps, dt: float) -> int:
    """How many traffic lights show another state, or will change more than a tick too early or too late."""
    late = wanted.turn & (np.abs(found.left.astype(np.float64) - wanted.left) > 1.5 * dt)
    return int(np.count_nonzero((found.state != wanted.state) | (found.turn != wanted.turn) | late | (found.frozen != wanted.frozen)))


def _shares(off: Residuals) -> Any:
    """Of every row, the greatest of its residuals as a share of its limit."""
    most = np.array([EGO, *[OTHERS] * (len(off.position) - 1)], np.float64).reshape(-1, 3)
    return (np.stack(off, axis=1) / most).max(axis=1)


def _row(off: Residuals, row: int) -> Dict[str, float]:
    return {name: float(part[row]) for name, part in zip(("position", "speed", "yaw"), off)}
