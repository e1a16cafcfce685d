"""The modes and statuses of ``GRPOCarlaEnv``, under the predecessor's names and values."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Dict


class ExecutionMode(enum.Enum):
    """One drive, or a group of branches of it."""

    SINGLE = "single"
    BRANCHING = "branching"


class EnvStatus(enum.Enum):
    """What a StatusInfo tells. BUSY is never given: a call here does its work, or raises."""

    READY = "ready"
    BUSY = "busy"
    BRANCHING_SETUP = "branching_setup"
    BRANCHING_READY = "branching_ready"
    ERROR = "error"
    TERMINATED = "terminated"
    WAITING_RETRY = "waiting_retry"


@dataclass
class StatusInfo:
    """A status for programs and people: ``retry_after`` in seconds, ``progress`` from 0 to 1 (-1: failed)."""

    status: EnvStatus
    message: str
    ready: bool = True
    retry_after: float | None = None
    progress: float | None = None
    details: Dict[str, Any] | None = None
