"""The options of ``b2d-worker`` that concern CARLA, and what they ask for: a server of the worker's own, somebody else's, or none."""

from __future__ import annotations

import os
from typing import Any, Callable, Sequence

import click

from b2d_zmq.errors import RequestError

from . import rig
from .adapter import RENDERINGS
from .carla_root import CarlaRoot, check_client, find
from .external import ExternalServer
from .launch import QUALITIES
from .output import LOG_BYTES
from .owned import OwnedServer
from .plan import ExternalPlan, ServerPlan
from .server import Server
from .wear import Limits

_OPTIONS: Sequence[Any] = (
    click.option("--carla-root", type=click.Path(), help="CARLA's folder; the worker starts its own server.  [default: $CARLA_ROOT]"),
    click.option("--carla-host", help="Use a running CARLA server on this machine or another instead of starting one."),
    click.option("--carla-port", type=click.IntRange(1, 65535), help="Its RPC port; with --carla-host.  [default: 2000]"),
    click.option("--gpu", default="auto", help="auto: most free memory; none; or a number, UUID or PCI bus id, as nvidia-smi tells them."),
    click.option(
        "--graphics-adapter", "adapter", type=click.IntRange(0, 64), help="Vulkan's number of the GPU, where the found one is wrong."
    ),
    click.option(
        "--rendering",
        type=click.Choice(RENDERINGS),
        default="auto",
        help="Whether the server draws. auto: if the rig has cameras. offscreen: also without a GPU (software Vulkan). null: no renderer.",
    ),
    click.option("--quality-level", "quality", type=click.Choice(QUALITIES), default="Epic", help="CARLA's; Low changes the pictures."),
    click.option(
        "--carla-flag", "flags", multiple=True, metavar="FLAG", help="Hand FLAG on to the server, e.g. --carla-flag=-RPCThreads=2."
    ),
    click.option(
        "--recycle-growth", "growth", type=click.FloatRange(min=0.0), default=2.0, help="Replace a server that grew so much; 0: never."
    ),
    click.option("--recycle-memory", "memory", type=click.FloatRange(min=0.0), default=0.0, help="... that has so many GB; 0: never."),
    click.option(
        "--recycle-episodes", "episodes", type=click.IntRange(min=0), default=0, help="... that served so many episodes; 0: never."
    ),
    click.option(
        "--server-log-dir", "log_dir", type=click.Path(file_okay=False), help="Where the server's log goes.  [default: --run-dir]"
    ),
    click.option(
        "--server-log-bytes", "log_bytes", type=click.IntRange(min=65536), default=LOG_BYTES, help="... and how large it may grow."
    ),
    click.option(
        "--run-dir", envvar="B2D_RUN_DIR", type=click.Path(file_okay=False), help="Locks of this user's workers; also $B2D_RUN_DIR."
    ),
)


def carla_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command these options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def server_plan(
    backend: str, sensors: str, *, carla_root: str | None, carla_host: str | None, carla_port: int | None, run_dir: str | None, **more: Any
) -> ServerPlan | ExternalPlan | None:
    """What server the backend needs. Raises RequestError for what cannot be, before anything is started."""
    if backend == "embedded":
        if carla_root or carla_host or carla_port:
            raise RequestError("--carla-root, --carla-host and --carla-port are for --backend carla; the embedded world needs no server")
        return None
    if carla_host or carla_port:
        if carla_root:
            raise RequestError("--carla-root starts a server and --carla-host uses a running one: give one of the two")
        if more["gpu"] != "auto" or more["adapter"] is not None or more["flags"]:
            raise RequestError("--gpu, --graphics-adapter and --carla-flag are for a server that the worker starts, not for --carla-host")
        return ExternalPlan(carla_host or "127.0.0.1", carla_port or 2000, more["rendering"] != "null", run_dir)
    root = carla_root or (os.environ.get("CARLA_ROOT") if backend == "carla" else None)
    if not root:
        if backend == "carla":
            raise RequestError(
                "no CARLA to drive: give --carla-root DIR (or set CARLA_ROOT), or --carla-host and --carla-port of a running server"
            )
        return None
    found = find(root)
    if backend == "carla":  # another backend may have a client of its own
        check_client(found)
    return _owned(found, sensors, run_dir, **more)


def _owned(root: CarlaRoot, sensors: str, run_dir: str | None, *, growth: float, memory: float, episodes: int, **more: Any) -> ServerPlan:
    limits = Limits(growth, int(memory * 1e9), episodes)
    return ServerPlan(root, bool(rig.load(sensors).cameras), run_dir=run_dir, limits=limits, **more)


def open_server(plan: ServerPlan | ExternalPlan | None, name: str) -> Server:
    """The server that was planned, not yet started."""
    if plan is None:
        return Server()
    return ExternalServer(plan) if isinstance(plan, ExternalPlan) else OwnedServer(plan, name)
