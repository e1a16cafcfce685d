"""How a worker was asked to be: its options as values, from ``cli.py`` to whoever needs them."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Tuple

from b2d_zmq import protocol

from .carla_root import CarlaRoot
from .output import LOG_BYTES
from .wear import Limits

START_BUDGET = 300.0  # s for a backend to open: a simulator starts, and loads a map


class Plan(NamedTuple):
    """The worker."""

    name: str
    worker: str  # the id, NAME-xxxxxxxx
    endpoint: str
    backend: str
    options: Dict[str, Any]
    heartbeat: float = 1.0
    grace: float = 10.0
    message_bytes: int = protocol.MESSAGE_BYTES
    log_level: str = "info"
    lifeline: int = -1
    start_budget: float = START_BUDGET
    curve_dir: str | None = None  # the folder of keys; None: $B2D_CURVE_DIR, then no keys


class ServerPlan(NamedTuple):
    """The CARLA server that the worker starts."""

    root: CarlaRoot
    cameras: bool  # whether the rig has any
    gpu: str = "auto"  # or none, a number, a UUID, a PCI bus id
    adapter: int | None = None  # Vulkan's number of the GPU, where the user knows better
    rendering: str = "auto"  # or offscreen, null
    quality: str = "Epic"
    flags: Tuple[str, ...] = ()
    run_dir: str | None = None
    log_dir: str | None = None  # None: the run folder
    log_bytes: int = LOG_BYTES
    limits: Limits = Limits()


class ExternalPlan(NamedTuple):
    """A CARLA server that somebody else started."""

    host: str
    port: int
    rendering: bool
    run_dir: str | None = None
