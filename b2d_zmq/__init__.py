"""Everything a trainer imports: the environment, groups of branches, the client, a farm for one machine.

The names are fetched when they are first used, so that a broker or a keeper, which needs the wire alone, loads no more than that.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, List

from .register import register
from .version import VERSION as __version__

if TYPE_CHECKING:
    from . import errors
    from .client import Client
    from .env import CarlaEnv
    from .follower import RouteFollower
    from .group import BranchGroup
    from .grpo import GRPOCarlaEnv
    from .local import LocalFarm
    from .modes import EnvStatus, ExecutionMode, StatusInfo
    from .noise import NoiseFloor
    from .results import GroupRollout, GroupStep
    from .snapshot import Snapshot
    from .vector import CarlaVectorEnv

__all__ = [
    "BranchGroup",
    "CarlaEnv",
    "CarlaVectorEnv",
    "Client",
    "EnvStatus",
    "ExecutionMode",
    "GRPOCarlaEnv",
    "GroupRollout",
    "GroupStep",
    "LocalFarm",
    "NoiseFloor",
    "RouteFollower",
    "Snapshot",
    "StatusInfo",
    "__version__",
    "errors",
]

_HOMES = {
    "BranchGroup": "group",
    "CarlaEnv": "env",
    "CarlaVectorEnv": "vector",
    "Client": "client",
    "EnvStatus": "modes",
    "ExecutionMode": "modes",
    "GRPOCarlaEnv": "grpo",
    "GroupRollout": "results",
    "GroupStep": "results",
    "LocalFarm": "local",
    "NoiseFloor": "noise",
    "RouteFollower": "follower",
    "Snapshot": "snapshot",
    "StatusInfo": "modes",
}

register()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("." + _HOMES[name], __name__), name)


def __dir__() -> List[str]:
    return sorted(__all__)
