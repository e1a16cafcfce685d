"""The command ``b2d-worker``: one worker, in the foreground, until TERM or Ctrl-C. It holds options and exit codes, no logic."""

from __future__ import annotations

import logging
import re
import secrets
import signal
import sys
from typing import Any

import click
import zmq

from b2d_zmq import protocol
from b2d_zmq.door import Door
from b2d_zmq.durations import Seconds
from b2d_zmq.endpoint import check_endpoint
from b2d_zmq.errors import RequestError
from b2d_zmq.keys import worker_keys
from b2d_zmq.version import VERSION
from b2d_zmq.wakeup import Wakeup

from .briefing import EXIT_CONFIGURATION
from .control import CONTROL_BYTES, Control
from .keeper import Keeper
from .options import carla_options, open_server, server_plan
from .plan import START_BUDGET, Plan
from .sockets import connect

_EXAMPLES = """
One worker of the farm: a keeper that talks to the broker, and a host process that holds the simulator.

\b
Examples:
  b2d-worker
  b2d-worker --endpoint tcp://10.0.0.1:5570 --index 3
  b2d-worker --routes bench2drive220.xml --sensors bench2drive
  b2d-worker --sensors state --heartbeat 0.2
  b2d-worker --backend carla --carla-root ~/CARLA_0.9.15 --gpu 1
  b2d-worker --backend carla --carla-host 127.0.0.1 --carla-port 2000

TERM or Ctrl-C lets the running job finish, then leaves (exit code 0); a second one does not wait.
Exit code 78: the configuration is wrong, and starting again would not help. b2d doctor says what an installation of CARLA lacks.
"""


@click.command(help=_EXAMPLES, context_settings={"show_default": True, "max_content_width": 110})
@click.option("--endpoint", envvar="B2D_ENDPOINT", default=protocol.DEFAULT_ENDPOINT, help="Where the broker is; also $B2D_ENDPOINT.")
@click.option("--curve-dir", help="The folder with this worker's key and broker.key (b2d keys create); also $B2D_CURVE_DIR.")
@click.option("--name", default="w", help="The worker's name, for people.")
@click.option("--index", type=click.IntRange(min=0), help="Makes the name NAME-INDEX; for supervisord's process_num.")
@click.option("--backend", default="embedded", help="The simulator: embedded, carla, or MODULE:CLASS of your own.")
@click.option(
    "--routes",
    type=click.Path(),
    help="A route file in Bench2Drive's format.  [default: the one that is shipped; carla: of $BENCH2DRIVE_ROOT]",
)
@click.option("--sensors", default="predecessor", help="The sensor rig: predecessor, bench2drive, state, or a JSON file.")
@click.option("--heartbeat", type=Seconds(0.02, 60.0), default=1.0, help="Seconds between signs of life.")
@click.option("--grace", type=Seconds(0.0, 3600.0), default=10.0, help="Seconds that a running job may still take after TERM.")
@click.option("--start-budget", type=Seconds(1.0, 3600.0), default=START_BUDGET, help="Seconds that the simulator may take to start.")
@click.option(
    "--message-bytes", type=click.IntRange(min=65536), default=protocol.MESSAGE_BYTES, help="The largest message; the same on all sides."
)
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info")
@click.option("--lifeline", type=int, default=-1, hidden=True)
@carla_options
@click.version_option(VERSION, message=f"b2d-worker %(version)s ({__file__})")
def main(
    *,
    name: str,
    index: int | None,
    routes: str | None,
    sensors: str,
    log_level: str,
    **rest: Any,
) -> None:
    name = name if index is None else f"{name}-{index}"
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,40}", name):
        raise click.BadParameter("letters, digits, '_', '.' and '-' only, 40 at most", param_hint="--name")
    logging.basicConfig(level=log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    worker = f"{name}-{secrets.token_hex(4)}"  # new at every start: a restarted worker is a new worker
    told = {field: rest.pop(field) for field in Plan._fields if field in rest}  # what is left is about CARLA
    plan = Plan(name=name, worker=worker, options={"routes": routes, "sensors": sensors}, log_level=log_level, **told)
    try:
        raise SystemExit(_run(plan, rest))
    except RequestError as error:
        sys.stderr.write(f"b2d-worker: {error}\n")
        raise SystemExit(EXIT_CONFIGURATION) from None


def _run(plan: Plan, carla: dict[str, Any]) -> int:
    with zmq.Context() as context, _connect(context, plan) as door:
        server = open_server(server_plan(plan.backend, plan.options["sensors"], **carla), plan.name)
        wakeup = Wakeup(signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
        keeper = Keeper(plan, Control(door, plan.worker, plan.endpoint, plan.heartbeat), wakeup, server)
        try:
            return keeper.run()
        finally:
            keeper.close()
            wakeup.close()


def _connect(context: zmq.Context[zmq.Socket[bytes]], plan: Plan) -> Door:
    keys = worker_keys(plan.curve_dir)
    try:
        check_endpoint(plan.endpoint)
        return connect(context, plan.endpoint, plan.worker, CONTROL_BYTES, keys)
    except (RequestError, zmq.ZMQError) as error:
        raise click.BadParameter(f"{plan.endpoint!r} cannot be connected to: {error}", param_hint="--endpoint") from None
