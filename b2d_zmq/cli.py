"""``b2d``: the commands for people. up starts a farm on this machine, status looks at one, demo shows what branching is.

An error of ours is one clear line and exit code 1 (69 where no broker answers), never a traceback, unless --debug asks for it.
"""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Tuple

import click

from . import fidelity as measure
from .client import Client
from .demo import Plan, run
from .durations import Seconds
from .errors import B2DError, FarmError, NoBroker
from .keycommands import keys, release
from .local import LocalFarm
from .protocol import DEFAULT_ENDPOINT
from .stage import Stage
from .table import status_text
from .version import VERSION

NO_BROKER = 69  # sysexits' EX_UNAVAILABLE
MOST_TICKS = 1000  # after a restore
WATCH_SECONDS = 0.5  # between two looks at the processes of a farm


class _Commands(click.Group):
    """Turns errors of ours into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except B2DError as error:
            if ctx.params.get("debug"):
                raise
            told = click.ClickException(str(error))
            told.exit_code = NO_BROKER if isinstance(error, NoBroker) else 1  # type: ignore[misc]
            raise told from error
        except OSError as error:  # a full disk, a folder that is not ours
            if ctx.params.get("debug") or error.errno == errno.EPIPE:  # the other end of a pipe left: click's to deal with
                raise
            raise click.ClickException(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}") from error


_ROUTES = "A Bench2Drive route file; without it, the routes shipped with us (carla: those of $BENCH2DRIVE_ROOT)."
_SENSORS = "predecessor, bench2drive, state, or a JSON file of cameras."


def _farm_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a farm that a command starts; the command gets what comes after ``--`` as ``worker_options``."""
    options = (
        click.option("--routes", type=click.Path(exists=True, dir_okay=False), help=_ROUTES),
        click.option("--backend", help="The simulator: embedded (the default), or carla."),
        click.option("--carla-root", type=click.Path(file_okay=False), help="The CARLA installation, the folder with CarlaUE4.sh."),
        click.argument(
            "worker_options", nargs=-1, type=click.UNPROCESSED, metavar="[-- OPTIONS FOR b2d-worker]", callback=_options_of_workers
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _options_of_workers(_context: click.Context, _parameter: click.Parameter, words: Tuple[str, ...]) -> Tuple[str, ...]:
    if words and not words[0].startswith("-"):
        raise click.UsageError(f"unexpected {words[0]!r}; options for b2d-worker come after --")
    return words


def _staged(options: Dict[str, Any]) -> Dict[str, Any]:
    """The options of a command with those of its farm as a Stage."""
    names = ("endpoint", "routes", "sensors", "backend", "carla_root", "worker_options", "curve_dir")
    stage = Stage(**{name: options[name] for name in names})
    return {"stage": stage, **{name: value for name, value in options.items() if name not in names}}


_endpoint = click.option(
    "--endpoint", envvar="B2D_ENDPOINT", default=DEFAULT_ENDPOINT, show_default=True, help="The farm's broker; also $B2D_ENDPOINT."
)


_keys = click.option(
    "--curve-dir", envvar="B2D_CURVE_DIR", help="The folder of keys, for a farm that has them (b2d keys create); also $B2D_CURVE_DIR."
)


_own_or_running = click.option(
    "--endpoint", envvar="B2D_ENDPOINT", help="Use this running farm instead of starting one; also $B2D_ENDPOINT."
)


@click.group(cls=_Commands)
@click.version_option(VERSION, message=f"b2d %(version)s ({__file__})")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def main(debug: bool) -> None:
    """A farm of driving simulators that can branch.

    Start here: b2d demo
    """


@main.command()
@click.option("-n", "--workers", type=click.IntRange(1, 256), default=4, show_default=True, help="How many workers to start.")
@_farm_options
@click.option("--sensors", default="predecessor", show_default=True, help=_SENSORS)
@click.option(
    "--bind", envvar="B2D_ENDPOINT", default=DEFAULT_ENDPOINT, show_default=True, help="Where the broker listens; also $B2D_ENDPOINT."
)
@click.option("--heartbeat", type=Seconds(0.05, 60.0), default=1.0, show_default=True, help="Seconds between heartbeats.")
@click.option("--message-bytes", type=click.IntRange(min=65536), help="The largest message; trainers must be told the same.")
@_keys
@click.option("--log-dir", type=click.Path(file_okay=False), help="Keep the logs there; without it they go when the farm ends.")
def up(workers: int, bind: str, backend: str | None, worker_options: Tuple[str, ...], **options: Any) -> None:
    """Run a farm on this machine until ctrl-C: a broker and some workers.

    A worker that is killed is told and not replaced; bin/supervise runs a farm that heals. Exit code 1: the broker or every worker is gone.

    \b
    With CARLA servers that the workers start and keep:
      b2d up -n 2 --backend carla --carla-root ~/CARLA_0.9.15 --routes bench2drive220.xml
      b2d up -n 2 --backend carla --carla-root ~/CARLA_0.9.15 -- --gpu 1 --quality-level Low
    """
    _end_as_by_ctrl_c()

    def told(ready: int, total: int) -> None:
        click.echo(f"  {ready} of {total} workers ready", err=True)

    def doing(worker: str, words: str) -> None:
        if backend not in (None, "embedded"):
            click.echo(f"  {worker}: {words}", err=True)

    click.echo(f"starting a broker and {workers} workers ...", err=True)
    given = {"backend": backend or "embedded", "worker_options": worker_options, **options}
    with LocalFarm(workers=workers, endpoint=bind, on_progress=told, on_doing=doing, **given) as farm:
        click.echo(f"farm of {workers} workers at {farm.endpoint}\n")
        folder = options["curve_dir"]
        given_keys = f", curve_dir={str(Path(folder).absolute())!r}" if folder else ""
        click.echo(_TEN_LINES.format(endpoint=farm.endpoint, branches=min(4, workers), keys=given_keys))
        same = f"--endpoint {farm.endpoint}{f' --curve-dir {folder}' if folder else ''}"
        click.echo(f"In another terminal: b2d status {same}     ctrl-C ends the farm", err=True)
        click.echo(f"Logs: {farm.log_dir}", err=True)
        try:
            _watch(farm)
        except KeyboardInterrupt:
            click.echo("ending the farm ...", err=True)


def _watch(farm: LocalFarm) -> None:
    """Tell of each process that leaves; raises FarmError when no farm is left."""
    told: Dict[str, int] = {}
    while True:
        for name, code in farm.left().items():
            if name not in told:
                told[name] = code
                click.echo(f"{name} left ({f'exit code {code}' if code >= 0 else signal.Signals(-code).name})", err=True)
        if "broker" in told or len(told) == len(farm.pids):
            raise FarmError("the farm is gone: its broker, or every worker, has left; start it again with b2d up")
        time.sleep(WATCH_SECONDS)


def _end_as_by_ctrl_c() -> None:
    """TERM, and a terminal that is closed, end a command as ctrl-C does: in order."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


@main.command()
@_endpoint
@_keys
@click.option("--json", "as_json", is_flag=True, help="Everything the broker knows, as JSON.")
@click.option("--timeout", type=Seconds(0.1, 600.0), default=5.0, show_default=True, help="Seconds to wait for the broker.")
def status(endpoint: str, curve_dir: str | None, as_json: bool, timeout: float) -> None:
    """Show the workers of a farm, who holds them, and what waits."""
    with Client(endpoint, timeout=timeout, curve_dir=curve_dir) as client:
        told = client.status()
    click.echo(json.dumps(told, indent=2, default=str) if as_json else status_text(endpoint, told))


@main.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def doctor(arguments: Tuple[str, ...]) -> None:
    """Check a CARLA installation and this machine, and say what to fix; b2d doctor --help tells its options."""
    # the checks are a worker's own, and this package imports none of it
    raise SystemExit(subprocess.run([sys.executable, "-m", "worker.doctor", *arguments], check=False).returncode)


@main.command()
@_farm_options
@click.option("--route", type=click.IntRange(0, 2**63 - 1), help="The id of a route in that file; without it, the first.")
@click.option("--workers", type=click.IntRange(1, 64), help="How many workers to start; without it, one per branch.")
@click.option("--branches", type=click.IntRange(2, 16), default=3, show_default=True, help="How many branches: the size of GRPO's group.")
@click.option("--steps", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many steps the group makes.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="The seed of the episode.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("b2d-demo"), show_default=True, help="Where the picture goes."
)
@click.option("--tier", help="How branches are restored, where the simulator offers several: replay, transfer, hybrid.")
@click.option("--sensors", help=f"Without it, predecessor. {_SENSORS}")
@_own_or_running
@_keys
def demo(**options: Any) -> None:
    """Branch a drive in three, compare, select the best: with real processes and sockets.

    Writes demo.png and demo.json to --out, and leaves no process behind.
    """
    _end_as_by_ctrl_c()
    run(Plan(**_staged(options)), click.echo)


def _whole_numbers(_context: click.Context, _parameter: click.Parameter, text: str) -> Tuple[int, ...]:
    try:
        ticks = sorted({0, *(int(word) for word in text.split(","))})
    except ValueError:
        raise click.BadParameter(f"{text!r} is no list such as 0,1,5,20") from None
    if not 0 <= ticks[0] <= ticks[-1] <= MOST_TICKS or ticks[-1] == 0:
        raise click.BadParameter(f"ticks go from 0 to {MOST_TICKS}, and one above 0 is wanted")
    return tuple(ticks)


@main.command()
@_farm_options
@click.option("--route", type=click.IntRange(0, 2**63 - 1), multiple=True, help="The id of a route to measure on; can be repeated.")
@click.option(
    "--sample",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="Without --route: so many of --routes, of all towns; without either, one.",
)
@click.option(
    "--ticks",
    default="0,1,5,10,20,50,100",
    show_default=True,
    callback=_whole_numbers,
    help="When to look, after a restore; at 0 in any case.",
)
@click.option("--tiers", default="", help="Such as replay,transfer; without it, all that the simulator offers.")
@click.option("--workers", type=click.IntRange(2, 64), default=2, show_default=True, help="How many workers: one per branch.")
@click.option("--prefix", type=click.IntRange(1, 10_000), default=60, show_default=True, help="Ticks from the reset to the branch point.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="The seed of the episodes.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("b2d-fidelity"), show_default=True, help="Where to.")
@click.option("--sensors", help=f"Without it, state. {_SENSORS}")
@_own_or_running
@_keys
def fidelity(tiers: str, **options: Any) -> None:
    """Measure how true the restores of an installation are, and how much of a return is noise.

    Writes fidelity.md, fidelity.json and fidelity.png to --out; docs/fidelity.md tells what the numbers mean.
    """
    _end_as_by_ctrl_c()
    asked = tuple(dict.fromkeys(word.strip() for word in tiers.split(",") if word.strip()))
    measure.run(measure.Plan(tiers=asked, **_staged(options)), click.echo)


main.add_command(keys)
main.add_command(release)


_TEN_LINES = """\
from b2d_zmq import CarlaEnv, RouteFollower
env, driver = CarlaEnv("{endpoint}"{keys}), RouteFollower()
observation, info = env.reset(seed=0)
for _ in range(60):
    observation, reward, terminated, truncated, info = env.step(driver.act(observation, info))
group = env.fork({branches})  # one state on {branches} workers
out = group.rollout([[env.action_space.sample()] * 20 for _ in range({branches})])
print("returns", out.returns, "advantages", group.advantages())
group.select(int(out.returns.argmax()))  # env drives on from the best
env.close()
"""
