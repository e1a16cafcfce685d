"""Every error of the farm, and the one table between ErrorCode and class.

An error says what happened, to which worker or lease, and what to do next. A fault on the other side of the wire arrives
as the class that its code names, with the remote traceback in ``remote_traceback`` where there is one.
Rule: an error never becomes data. No zero reward, no black image, no ``terminated=True`` for an infrastructure fault.
"""

from __future__ import annotations

import enum
from typing import Dict, Type


class B2DError(Exception):
    """The root of every error that this package raises on purpose."""

    remote_traceback: str = ""


class ProtocolError(B2DError):
    """Bytes that are not our protocol, or a message that breaks its rules."""


class VersionMismatch(ProtocolError):
    """The peer speaks another major version of the protocol."""


class CodecError(ProtocolError):
    """An observation or body that must not be encoded or decoded: object arrays, foreign dtypes, wrong lengths."""


class FrameTooLarge(ProtocolError):
    """A message over the size or frame limit; refused before it is sent and after it is received."""


class FarmError(B2DError):
    """The farm as a whole cannot do what was asked."""


class NoBroker(FarmError, ConnectionError):
    """Nobody answers at the endpoint."""


class TurnedAway(NoBroker):
    """Somebody is at the endpoint and does not let this one in: an unknown key, or keys on one side only."""


class Forbidden(FarmError):
    """The key that this came under may not do that: it is of another role, or the lease is another's."""


class NoFreeWorker(FarmError):
    """There are not enough free workers; the message says how many there are and who holds them."""


class Busy(FarmError):
    """Something is full, and nothing was done; trying again after ``retry_after`` seconds may help."""

    retry_after: float = 0.25


class LeaseVoid(FarmError):
    """The lease is unknown, released, lapsed or fenced by a newer epoch."""


class WorkerLost(FarmError):
    """The worker that held the lease is gone; the message says why."""


class WorkerLeft(WorkerLost):
    """The worker that held the lease was told to leave, as before a restart; nothing went wrong there."""


class BudgetExceeded(WorkerLost, TimeoutError):
    """A request took longer than its budget, and the simulator was ended for it."""


class Poisoned(WorkerLost):
    """An episode that ended one worker after the other, and was given up; the message has what each of them said last."""


class OutOfOrder(ProtocolError):
    """A sequence number that is neither the next one nor the last one again."""


class RequestError(B2DError, ValueError):
    """The request itself is wrong: nothing was done, and the episode goes on."""


class InvalidAction(RequestError):
    """Wrong shape, dtype, NaN or out of range; the message names the space."""


class UnknownRoute(RequestError, KeyError):
    """No such route; the message names some that exist."""

    __str__ = Exception.__str__


class UnknownOption(RequestError):
    """An option of reset, a weather preset, a town, a sensor rig or a reward term that does not exist."""


class InvalidRouteFile(RequestError):
    """A route file that is not Bench2Drive's format, or is hostile."""


class InvalidRig(RequestError):
    """A sensor file that does not describe cameras."""


class SnapshotError(B2DError):
    """A snapshot that cannot be used here."""


class SnapshotCorrupt(SnapshotError, ValueError):
    """The bytes are not a snapshot, or were changed."""


class SnapshotMismatch(SnapshotError):
    """A snapshot of another backend, version, or world."""


class NoEpisode(B2DError, RuntimeError):
    """A step, snapshot or rollout before reset or restore."""


class WrongMode(B2DError, RuntimeError):
    """A call that the present mode does not allow, such as a single step while branching."""


class SimulatorError(B2DError, RuntimeError):
    """The simulator raised something that nobody foresaw; the remote traceback is attached."""


class ErrorCode(enum.IntEnum):
    """The number of an error on the wire. Numbers are never reused."""

    PROTOCOL = 1
    VERSION_MISMATCH = 2
    CODEC = 3
    FRAME_TOO_LARGE = 4
    OUT_OF_ORDER = 5
    NO_FREE_WORKER = 10
    BUSY = 11
    LEASE_VOID = 12
    WORKER_LOST = 13
    BUDGET_EXCEEDED = 14
    FARM = 15
    FORBIDDEN = 16
    WORKER_LEFT = 17
    REQUEST = 20
    INVALID_ACTION = 21
    UNKNOWN_ROUTE = 22
    UNKNOWN_OPTION = 23
    INVALID_ROUTE_FILE = 24
    INVALID_RIG = 25
    SNAPSHOT = 30
    SNAPSHOT_CORRUPT = 31
    SNAPSHOT_MISMATCH = 32
    NO_EPISODE = 40
    SIMULATOR = 50


CLASS_OF: Dict[ErrorCode, Type[B2DError]] = {
    ErrorCode.PROTOCOL: ProtocolError,
    ErrorCode.VERSION_MISMATCH: VersionMismatch,
    ErrorCode.CODEC: CodecError,
    ErrorCode.FRAME_TOO_LARGE: FrameTooLarge,
    ErrorCode.OUT_OF_ORDER: OutOfOrder,
    ErrorCode.NO_FREE_WORKER: NoFreeWorker,
    ErrorCode.BUSY: Busy,
    ErrorCode.LEASE_VOID: LeaseVoid,
    ErrorCode.WORKER_LOST: WorkerLost,
    ErrorCode.BUDGET_EXCEEDED: BudgetExceeded,
    ErrorCode.FARM: FarmError,
    ErrorCode.FORBIDDEN: Forbidden,
    ErrorCode.WORKER_LEFT: WorkerLeft,
    ErrorCode.REQUEST: RequestError,
    ErrorCode.INVALID_ACTION: InvalidAction,
    ErrorCode.UNKNOWN_ROUTE: UnknownRoute,
    ErrorCode.UNKNOWN_OPTION: UnknownOption,
    ErrorCode.INVALID_ROUTE_FILE: InvalidRouteFile,
    ErrorCode.INVALID_RIG: InvalidRig,
    ErrorCode.SNAPSHOT: SnapshotError,
    ErrorCode.SNAPSHOT_CORRUPT: SnapshotCorrupt,
    ErrorCode.SNAPSHOT_MISMATCH: SnapshotMismatch,
    ErrorCode.NO_EPISODE: NoEpisode,
    ErrorCode.SIMULATOR: SimulatorError,
}

_CODE_OF: Dict[Type[B2DError], ErrorCode] = {cls: code for code, cls in CLASS_OF.items()}


def code_of(error: BaseException) -> ErrorCode:
    """The code that an error travels under; whatever is not ours travels as SIMULATOR."""
    for cls in type(error).__mro__:
        if cls in _CODE_OF:
            return _CODE_OF[cls]
    return ErrorCode.SIMULATOR


def from_wire(code: int, message: str, remote_traceback: str = "") -> B2DError:
    """The exception for an error that arrived; an unknown code (a newer peer) becomes a plain ``B2DError``."""
    try:
        error = CLASS_OF[ErrorCode(code)](message)
    except ValueError:
        error = B2DError(f"error {code} (a code this version does not know): {message}")
    error.remote_traceback = remote_traceback
    return error
