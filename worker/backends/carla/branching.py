"""Snapshots of an episode on CARLA, and the tiers of their restores."""

from __future__ import annotations

from typing import Any

from b2d_zmq.errors import RequestError

from ..base import Outcome, SnapshotData

TIERS = ("replay", "transfer", "hybrid")


def snapshot(backend: Any) -> SnapshotData:
    raise RequestError("not yet")


def restore(backend: Any, data: bytes, tier: str) -> Outcome:
    raise RequestError("not yet")
