"""The command ``b2d-broker``: one broker, in the foreground, until TERM or Ctrl-C. It holds options and exit codes, no logic."""

from __future__ import annotations

import ipaddress
import logging
import re
import secrets
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
import zmq

from b2d_zmq import protocol
from b2d_zmq.durations import Seconds
from b2d_zmq.errors import FarmError, RequestError
from b2d_zmq.keys import usual_folder
from b2d_zmq.version import VERSION

from .core import Broker
from .server import Server

if TYPE_CHECKING:
    from .guard import Guard

CONFIGURATION = 78  # EX_CONFIG: starting again would not help
SOFTWARE = 70  # EX_SOFTWARE: starting again helps
MOST_PORT = 65535  # ZeroMQ takes a larger number modulo 65536

log = logging.getLogger("b2d.broker")

_HELP = """
The broker of the farm: it knows which workers live, who holds which of them, and what waits.

\b
Examples:
  b2d-broker
  b2d-broker --bind tcp://127.0.0.1:*        (a free port; the first line of output names it)
  b2d-broker --lease-ttl 60 --log-level debug
  b2d-broker --bind tcp://0.0.0.0:5570 --curve-dir ~/b2d-keys

Exit code 0: TERM, Ctrl-C, or the parent process went away. Exit code 78: the configuration is wrong, and starting again would not help.
Exit code 70: something in it broke; starting it again helps.
"""


@click.command(help=_HELP, context_settings={"show_default": True, "max_content_width": 110})
@click.option("--bind", envvar="B2D_ENDPOINT", default=protocol.DEFAULT_ENDPOINT, help="Where to listen; also $B2D_ENDPOINT.")
@click.option(
    "--curve-dir",
    envvar="B2D_CURVE_DIR",
    help="The folder of keys (b2d keys create): let only those in that it allows; also $B2D_CURVE_DIR.",
)
@click.option("--lease-ttl", type=Seconds(0.2, 86400.0), default=30.0, help="Seconds that a client may be silent.")
@click.option("--queue", type=click.IntRange(0, 64), default=4, help="Jobs that may wait behind the running one of a lease.")
@click.option(
    "--message-bytes", type=click.IntRange(min=65536), default=protocol.MESSAGE_BYTES, help="The largest message; the same on all sides."
)
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info")
@click.option("--lifeline", type=int, default=-1, hidden=True)
@click.version_option(VERSION, message=f"b2d-broker %(version)s ({__file__})")
def main(
    *,
    bind: str,
    curve_dir: str | None,
    lease_ttl: float,
    queue: int,
    message_bytes: int,
    log_level: str,
    lifeline: int,
) -> None:
    logging.basicConfig(level=log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    folder = usual_folder(curve_dir)
    _check_bind(bind, folder is not None)
    boot = secrets.token_hex(4)  # new at every start: leases of an earlier broker are told apart
    try:
        guard = _guard(folder) if folder is not None else None
        holders = guard.holders if guard is not None else None
        broker = Broker(boot, lease_ttl=lease_ttl, queue=queue, now=time.monotonic(), holders=holders)
        server = Server(broker, bind, message_bytes, guard)
    except zmq.ZMQError as error:
        _refuse(_bind_advice(bind, error))
    except RequestError as error:
        _refuse(str(error))
    try:
        known = "without keys" if holders is None else f"for {len(holders)} keys"
        log.info("broker %s listens on %s %s", boot, server.endpoint, known)
        why = server.run(lambda: click.echo(f"listening on {server.endpoint}"), lifeline)  # the first line of output, flushed
        log.info("broker %s leaves: %s", boot, why)
    except FarmError as error:
        log.error("broker %s leaves: %s", boot, error)
        raise SystemExit(SOFTWARE) from None
    finally:
        server.close()


def _guard(folder: Path) -> Guard:
    from .guard import Guard  # noqa: PLC0415 (it takes a moment to load, and most brokers have none)

    return Guard(folder)


def _check_bind(bind: str, keys: bool) -> None:
    """Refuse what is no endpoint, and without keys an address that others can reach."""
    if bind.startswith("ipc://"):
        return
    match = re.fullmatch(r"tcp://(\[[^\]]+\]|[^:]+):(\d+|\*)", bind)
    if match is None or (match.group(2) != "*" and int(match.group(2)) > MOST_PORT):
        _refuse(f"--bind {bind!r} is no endpoint; write tcp://ADDRESS:PORT, with * for a free port, such as {protocol.DEFAULT_ENDPOINT}")
    elif not keys and not _loopback(match.group(1).strip("[]")):
        _refuse(
            f"--bind {bind} can be reached from other machines, and without keys whoever reaches it can read and drive everything. "
            f"Make keys, once, and use them: `b2d keys create ~/b2d-keys`, then `b2d-broker --bind {bind} --curve-dir ~/b2d-keys`. "
            "Or listen on 127.0.0.1 and bring the other machines in through an ssh tunnel (ssh -N -L 5570:127.0.0.1:5570 THIS_MACHINE)"
        )


def _loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _bind_advice(bind: str, error: zmq.ZMQError) -> str:
    if error.errno == zmq.EADDRINUSE:
        port = bind.rpartition(":")[2]
        return (
            f"{bind} is in use: is another broker running? Try `b2d status --endpoint {bind}`, or see who listens with "
            f"`ss -ltnp 'sport = :{port}'`; then stop it, or choose another port (tcp://127.0.0.1:* takes a free one)"
        )
    return f"cannot listen on {bind}: {error}; choose an address of this machine, such as {protocol.DEFAULT_ENDPOINT}"


def _refuse(text: str) -> NoReturn:
    click.echo(f"b2d-broker: {text}", err=True)
    raise SystemExit(CONFIGURATION)
