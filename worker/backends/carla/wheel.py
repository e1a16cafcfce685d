"""The ``carla`` package, or advice on how to get it. Nothing else in this folder imports it, so that all of it loads without a wheel.

CARLA's client comes as a wheel per Python version, and it must be of the server's own version: see WHEELS.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any, Mapping, Tuple

from b2d_zmq.errors import RequestError

WHEELS: Mapping[str, Tuple[Tuple[int, int], Tuple[int, int]]] = {"0.9.15": ((3, 7), (3, 10)), "0.9.16": ((3, 10), (3, 12))}
"""Version of CARLA -> the first and the last Python that its wheel is for."""


def load() -> Any:
    """The module ``carla``. Raises RequestError that says which wheels there are."""
    try:
        carla = importlib.import_module("carla")
    except ImportError as error:
        raise RequestError(f"the carla backend needs CARLA's own client, and it cannot be imported ({error}); {advice()}") from None
    if not hasattr(carla, "Client"):  # a folder named carla on the path is imported as an empty package
        where = next(iter(getattr(carla, "__path__", ["?"])))
        raise RequestError(f"what is imported as carla is the folder {where}, not CARLA's client: take it off PYTHONPATH; {advice()}")
    return carla


def advice(version: str = "") -> str:
    """Which wheels exist and what to type, for ``version`` if it is known."""
    python = sys.version_info[:2]
    told = ", ".join(f"{name} for Python {_word(first)} to {_word(last)}" for name, (first, last) in WHEELS.items())
    fitting = [name for name, (first, last) in WHEELS.items() if first <= python <= last and version in ("", name)]
    if fitting:
        return f"type: {sys.executable} -m pip install carla=={fitting[-1]} (there is {told})"
    wanted = f" of CARLA {version}" if version else ""
    return f"there is no wheel{wanted} for this Python {_word(python)}: there is {told}; start the worker with one of those"


def _word(version: Tuple[int, ...]) -> str:
    return ".".join(str(number) for number in version[:2])
