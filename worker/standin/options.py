"""The stand-in's own options, the same for ``install`` and ``serve``: dialect, routes, and what shall go wrong."""

from __future__ import annotations

from typing import Any, Callable, List, Mapping

import click

from .dialect import DIALECTS

_DIALECT = "0.9.16"

_OPTIONS = (
    click.option("--dialect", type=click.Choice(sorted(DIALECTS)), default=_DIALECT, help="Which CARLA to be."),
    click.option("--routes", type=click.Path(dir_okay=False), multiple=True, help="A route file; its towns can be loaded. Repeatable."),
    click.option("--report-version", default="", help="Tell clients this version."),
    click.option("--start-seconds", type=float, default=0.0, help="Open the ports that late."),
    click.option("--refuse-start", is_flag=True, help="End with code 1 before the ports open."),
    click.option("--hang-at-tick", type=int, default=0, help="Stop answering at this tick, with the ports open."),
    click.option("--die-at-tick", type=int, default=0, help="Die by signal 11 at this tick."),
    click.option("--die-in-load", type=int, is_flag=False, flag_value=1, default=0, help="Die by signal 11 in the first (or Nth) load."),
    click.option("--leak-mb", type=float, default=0.0, help="Lose so much memory each tick."),
)


def own_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def words(options: Mapping[str, Any]) -> List[str]:
    """The options as words of a command line."""
    found = []
    for name, value in options.items():
        key = "--" + name.replace("_", "-")
        if value is True:
            found.append(key)
        elif isinstance(value, tuple):
            found.extend(f"{key}={each}" for each in value)
        elif value:
            found.append(f"{key}={value}")
    return found
