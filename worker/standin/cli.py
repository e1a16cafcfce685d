"""The command ``python -m worker.standin``: lay out a CARLA folder whose server is the stand-in, or be that server in the foreground."""

from __future__ import annotations

import logging
import os
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Dict, Tuple

import click

from b2d_zmq.errors import RequestError

from .. import routes as route_files
from ..routes import Route
from .dialect import DIALECTS
from .faults import Faults, Refused
from .flags import Flags, read
from .install import install as lay_out
from .options import own_options, words
from .server import Server
from .simulator import Config, Simulator
from .streams import Streams
from .town import plain

log = logging.getLogger(__name__)

FIRST_MAP = "Town10HD_Opt"  # CARLA's own; it is Town10HD, and its routes too
_FAULTS = ("start_seconds", "refuse_start", "hang_at_tick", "die_at_tick", "die_in_load", "leak_mb")


@click.group()
def main() -> None:
    """A server that speaks CARLA's protocol over the embedded world, for machines without CARLA."""


@main.command()
@click.argument("root", type=click.Path(file_okay=False, path_type=Path))
@own_options
def install(root: Path, **options: Any) -> None:
    """Lay out ROOT like CARLA's folder; give it to b2d-worker as --carla-root."""
    options["routes"] = tuple(str(Path(each).resolve()) for each in options["routes"])
    try:
        lay_out(root.resolve(), options["report_version"] or options["dialect"], words(options))
    except OSError as error:
        raise click.ClickException(str(error)) from None


@main.command(context_settings={"ignore_unknown_options": True})
@own_options
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
def serve(dialect: str, routes: Tuple[str, ...], report_version: str, flags: Tuple[str, ...], **faults: Any) -> None:
    """Be the server; FLAGS are CARLA's, such as -carla-rpc-port=2000 and -nullrhi."""
    logging.basicConfig(level="INFO", stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        server, sim = _started(Faults(**{name: faults[name] for name in _FAULTS}), read(flags), dialect, report_version, _routes(routes))
    except (Refused, OSError, RequestError, ValueError) as error:
        log.error("%s", error)
        raise SystemExit(1) from None
    with closing(server), suppress(KeyboardInterrupt):
        server.run(sim)
    raise SystemExit(130)


def _started(faults: Faults, flags: Flags, dialect: str, version: str, routes: Tuple[Route, ...]) -> Tuple[Server, Simulator]:
    for flag in flags.unknown:
        log.info("unknown flag passed over: %s", flag)
    faults.start()
    streams = Streams()
    config = Config(DIALECTS[dialect], version or dialect, routes, 0, flags.rendering)
    first = FIRST_MAP if any(plain(route.town) == plain(FIRST_MAP) for route in routes) else routes[0].town
    threading.Event().wait(faults.start_seconds)
    server = Server((flags.rpc_port, flags.streaming_port, flags.secondary_port), streams)
    sim = Simulator(config._replace(streaming_port=server.ports[1]), streams, faults, first)
    log.info("CARLA %s (stand-in, pid %d) serves %s at port %d", config.version, os.getpid(), sim.world.town.name, server.ports[0])
    return server, sim


def _routes(files: Tuple[str, ...]) -> Tuple[Route, ...]:
    found: Dict[Tuple[int, str, bytes], Route] = {}  # the files of one set may overlap, and those of two sets use the same ids
    for path in files or (str(route_files.DEFAULT_FILE),):
        for route in route_files.read(Path(path)):
            found.setdefault((route.id, route.town, route.waypoints.tobytes()), route)
    return tuple(found.values())
