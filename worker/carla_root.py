"""Finds and checks an installation of CARLA: the folder with ``CarlaUE4.sh``, the binary behind that script, the version. Starts nothing.

The binary itself is what a worker launches: a death signal does not reach behind a shell script.
"""

from __future__ import annotations

import os
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from b2d_zmq.errors import RequestError

from .backends.carla import wheel

SCRIPT = "CarlaUE4.sh"
BINARY = Path("CarlaUE4/Binaries/Linux/CarlaUE4-Linux-Shipping")


class CarlaRoot(NamedTuple):
    """An installation. ``version`` is empty where no file tells it."""

    path: Path
    binary: Path
    version: str


def find(given: str) -> CarlaRoot:
    """The installation in that folder. Raises RequestError that says what is not as it should be."""
    path = Path(given).expanduser().absolute()
    try:
        return _find(path)
    except OSError as error:  # in somebody else's home, say
        raise RequestError(f"CARLA's folder {path} cannot be looked into ({error.strerror}: {error.filename})") from None


def _find(path: Path) -> CarlaRoot:
    if not path.is_dir():
        raise RequestError(f"CARLA's folder {path} {'is no folder' if path.exists() else 'does not exist'}; {_wanted()}")
    if not (path / SCRIPT).is_file():
        raise RequestError(f"CARLA's folder {path} has no {SCRIPT} in it; {_near(path) or _wanted()}")
    binary = path / BINARY
    if not binary.is_file():
        raise RequestError(f"CARLA's folder {path} is not whole: {BINARY} is missing; unpack the release again")
    if not os.access(binary, os.X_OK):
        raise RequestError(f"{binary} may not be executed by this user; type: chmod +x '{binary}'")
    return CarlaRoot(path, binary, _version(path))


def client_version() -> str:
    """The version of the installed CARLA client, or the empty string. It is not imported: that takes a second and some memory."""
    try:
        return metadata.version("carla")
    except metadata.PackageNotFoundError:
        return ""


def check_client(root: CarlaRoot) -> None:
    """Refuse an installation whose client is missing here, or is of another version: they would answer and misunderstand each other."""
    ours = client_version()
    if not ours:
        raise RequestError(f"CARLA's client is not installed for {sys.executable}; {wheel.advice(root.version)}")
    if root.version and _plain(ours) != root.version:
        differ = f"CARLA in {root.path} is version {root.version}, the client here is {ours}: they must be the same"
        raise RequestError(f"{differ}; {wheel.advice(root.version)}")


def _version(path: Path) -> str:
    try:
        return _plain((path / "VERSION").read_text(encoding="utf-8", errors="replace").strip())
    except OSError:
        return ""


def _plain(version: str) -> str:
    """``0.9.15-3-gabc`` -> ``0.9.15``."""
    found = re.match(r"\d+\.\d+\.\d+", version)
    return found.group() if found else ""


def _near(path: Path) -> str:
    """A folder close by that looks right, as advice."""
    for candidate in (*list(path.parents)[:3], *sorted(child for child in path.iterdir() if child.is_dir())):
        if (candidate / SCRIPT).is_file():
            return f"{candidate} has"
    if (path / "CarlaUnreal.sh").is_file():
        return "it is CARLA on Unreal Engine 5, which speaks another protocol: 0.9.15 or 0.9.16 is needed"
    return ""


def _wanted() -> str:
    return f"give the folder in which {SCRIPT} lies: an unpacked CARLA release (--carla-root DIR, or CARLA_ROOT)"
