"""The flags of CARLA's server, in their own style (``-carla-rpc-port=2000``), as far as the stand-in cares.

Those that it does not know are named and passed over, as the real server does.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Sequence, Tuple

LISTED_TOWNS = (
    "Town01", "Town02", "Town03", "Town04", "Town05", "Town06", "Town07", "Town10HD", "Town10HD_Opt",
    "Town11", "Town12", "Town13", "Town15",
)  # fmt: skip
"""The towns that CARLA has; those without routes are small ones."""

DEFAULT_PORT = 2000

_ALIASES = {"world-port": "carla-rpc-port", "carla-port": "carla-rpc-port", "carla-world-port": "carla-rpc-port"}
_KNOWN = (
    "renderoffscreen", "nosound", "quality-level", "graphicsadapter", "prefernvidia", "rpcthreads", "resx", "resy", "windowed", "opengl",
    "vulkan", "carla-secondary-port", "unattended", "log", "fps", "benchmark",
)  # fmt: skip


class Flags(NamedTuple):
    """What the flags say."""

    rpc_port: int = DEFAULT_PORT
    streaming_port: int = DEFAULT_PORT + 1
    secondary_port: int = DEFAULT_PORT + 2
    rendering: bool = True
    unknown: Tuple[str, ...] = ()


def read(arguments: Sequence[str]) -> Flags:
    """The flags of a command line. Raises ValueError on a port that is none."""
    values: Dict[str, str] = {}
    unknown: List[str] = []
    for argument in arguments:
        name, _, value = argument.partition("=")
        name = name.lstrip("-").lower()
        name = _ALIASES.get(name, name)
        if name in ("carla-rpc-port", "carla-streaming-port", "carla-secondary-port", "nullrhi"):
            values[name] = value
        elif argument.startswith("-") and name not in _KNOWN:
            unknown.append(argument)
    rpc = _port(values.get("carla-rpc-port", str(DEFAULT_PORT)))
    streaming = _port(values.get("carla-streaming-port", str(rpc + 1 if rpc else 0)))
    secondary = _port(values.get("carla-secondary-port", str(rpc + 2 if rpc else 0)))
    return Flags(rpc, streaming, secondary, "nullrhi" not in values, tuple(unknown))


def _port(text: str) -> int:
    if not text.isdigit() or not 0 <= int(text) < 65536:
        raise ValueError(f"a port {text!r}; wanted: 1 to 65535")
    return int(text)
