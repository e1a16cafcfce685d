"""What a keeper tells its host, and how a host says why it leaves. Imported by both, so it imports no simulator."""

from __future__ import annotations

import json
from typing import Any, Dict, NamedTuple

EXIT_CONFIGURATION = 78  # EX_CONFIG: starting again would not help
EXIT_SIMULATOR = 74  # EX_IOERR: the simulator no longer answers, the progress page says how
EXIT_WORN = 75  # EX_TEMPFAIL: asked to make room for a fresh server, where an episode ends


class Briefing(NamedTuple):
    """The host's first argument, as JSON; ``parent`` is a pid, ``page`` an inherited file descriptor."""

    worker: str
    identity: str
    endpoint: str
    backend: str
    options: Dict[str, Any]
    message_bytes: int
    log_level: str
    parent: int
    page: int
    curve_dir: str | None = None

    def to_json(self) -> str:
        return json.dumps(self._asdict())

    @classmethod
    def from_json(cls, text: str) -> Briefing:
        return cls(**json.loads(text))
