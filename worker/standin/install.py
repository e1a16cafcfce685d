"""Lays out a folder like CARLA's, whose server is the stand-in: a launcher, a binary, a version and an empty PythonAPI.

The binary is a shell script that turns into the Python process by ``exec``, so that it keeps its pid and the signal at its parent's death.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Sequence

BINARY = Path("CarlaUE4") / "Binaries" / "Linux" / "CarlaUE4-Linux-Shipping"
LAUNCHER = "CarlaUE4.sh"

_PACKAGES = Path(__file__).resolve().parents[2]

_MARK = "# of the stand-in"

_LAUNCHER = """#!/bin/sh
{mark}
here=$(dirname "$(readlink -f "$0")")
chmod +x "$here/{binary}"
exec "$here/{binary}" CarlaUE4 "$@"
"""

_BINARY = """#!/bin/sh
{mark}
PYTHONPATH={packages}${{PYTHONPATH:+:$PYTHONPATH}}
export PYTHONPATH
exec {python} -m worker.standin serve {words} "$@"
"""


def install(root: Path, version: str, words: Sequence[str]) -> None:
    """Write the folder; ``words`` are the options that its server always gets. Raises FileExistsError over a CARLA that is no stand-in."""
    for script in (root / BINARY, root / LAUNCHER):
        if script.exists() and not _ours(script):
            raise FileExistsError(f"{script}: is there and no stand-in's; give another folder")
    (root / "PythonAPI" / "carla").mkdir(parents=True, exist_ok=True)
    (root / "VERSION").write_text(f"{version}\n")
    (root / BINARY).parent.mkdir(parents=True, exist_ok=True)
    _script(root / LAUNCHER, _LAUNCHER.format(mark=_MARK, binary=BINARY))
    quoted = " ".join(shlex.quote(word) for word in words)
    names = {"packages": shlex.quote(str(_PACKAGES)), "python": shlex.quote(sys.executable), "words": quoted}
    _script(root / BINARY, _BINARY.format(mark=_MARK, **names))


def _ours(script: Path) -> bool:
    with script.open("rb") as opened:
        head = opened.read(1 << 16)
    return _MARK.encode() in head


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    os.chmod(path, 0o755)
