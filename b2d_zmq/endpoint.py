"""Where a farm is: the endpoint that is meant when none is given, and what is none."""

from __future__ import annotations

import os
import re

from .errors import RequestError
from .protocol import DEFAULT_ENDPOINT

ENDPOINT = "an endpoint is a ZeroMQ address such as tcp://127.0.0.1:5570"


def usual_endpoint() -> str:
    """Where the farm is, for whoever was not told: ``$B2D_ENDPOINT``, or the default on this machine."""
    return os.environ.get("B2D_ENDPOINT") or DEFAULT_ENDPOINT


def check_endpoint(endpoint: object) -> None:
    """Raise RequestError for what is no ZeroMQ address with a port from 1 to 65535."""
    found = (
        re.match(r"(?:tcp://[^:/\s]+:(\d{1,5})|tcp://\[[^\]\s]+\]:(\d{1,5})|ipc://.+)$", endpoint) if isinstance(endpoint, str) else None
    )
    if found is None or int(found.group(1) or found.group(2) or 1) not in range(1, 65536):
        raise RequestError(f"{endpoint!r} is no endpoint; {ENDPOINT} (the farm speaks no http)")
