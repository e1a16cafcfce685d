"""What /proc tells of processes: when one started, which group it is in, what its environment says. Reads only; Linux only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import List, NamedTuple

_PROC = Path("/proc")


class Process(NamedTuple):
    """``start`` is in clock ticks since the machine started: with the pid it names one process for good."""

    pid: int
    start: int
    group: int
    state: str  # Z: over, and not yet reaped


def look(pid: int) -> Process | None:
    """The process, or None when there is none."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    rest = text[text.rindex(")") + 2 :].split()  # the name before may hold spaces and parentheses
    return Process(pid, int(rest[19]), int(rest[2]), rest[0])


def members(group: int) -> List[Process]:
    """The living processes of a process group."""
    found = []
    for entry in os.listdir(_PROC):
        process = look(int(entry)) if entry.isdigit() else None
        if process is not None and process.group == group and process.state != "Z":
            found.append(process)
    return found


def has_mark(pid: int, mark: str) -> bool:
    """Whether the process was started with ``mark`` (``NAME=VALUE``) in its environment; False for another user's."""
    try:
        return mark.encode() in (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def resident_bytes(pid: int) -> int:
    """How much memory the process occupies; 0 where that is not to be had."""
    try:
        return int((_PROC / str(pid) / "statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


def boot() -> str:
    """A word that is new whenever the machine starts."""
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
