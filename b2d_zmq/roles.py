"""Roles: what the owner of a key may say to the broker. docs/protocol.md has the table; plain values, no socket."""

from __future__ import annotations

import enum
import re
from typing import Dict, FrozenSet, NamedTuple

from .errors import RequestError
from .protocol import ANSWERS, REQUESTS, Kind

FROM_WORKER: FrozenSet[Kind] = ANSWERS | {Kind.READY, Kind.HEARTBEAT, Kind.LOST, Kind.GOODBYE, Kind.ATTACH, Kind.RELEASED, Kind.HANDOVER}
FROM_CLIENT: FrozenSet[Kind] = REQUESTS | {Kind.KEEPALIVE}

_NAME = re.compile(r"(worker|client|admin)(-[A-Za-z0-9_.-]{1,40})?")


class Role(enum.Enum):
    """What a key is for. An admin may do what a client may, and end the leases of others."""

    WORKER = "worker"
    CLIENT = "client"
    ADMIN = "admin"


MAY: Dict[Role, FrozenSet[Kind]] = {Role.WORKER: FROM_WORKER, Role.CLIENT: FROM_CLIENT, Role.ADMIN: FROM_CLIENT}


class Holder(NamedTuple):
    """Who has a key that the broker lets in."""

    name: str
    role: Role


def role_of(name: str) -> Role:
    """The role that a key's name says. Raises RequestError."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise RequestError(f"no key may be named {name!r}; a name is worker, client or admin, and may go on with a dash, as in worker-gpu7")
    return Role(found.group(1))
