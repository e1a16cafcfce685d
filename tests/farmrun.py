"""Histories of simulated farms by the thousand, from seeds: by kind of faults, in this process or beside it.

``python tests/farmrun.py KINDS FIRST STEP FAULTS`` goes through the seeds FIRST, FIRST + STEP, ... of all kinds of "sessions" or "broker"
until so many faults were done, and prints what was seen as JSON; a history in which a promise was broken ends it with its kind and seed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import farmprograms
import farmtrainers
import pytest
from farmfaults import Faults
from farmsim import World

BROKER = {
    "calm": Faults(kill=0.0, stall=0.01, restart=0.0),
    "deaths": Faults(),
    "repeats": Faults(duplicate=0.05),
    "losses": Faults(drop=0.03, duplicate=0.03),
    "disorder": Faults(duplicate=0.05, reorder=0.05, still=0.004),
    "chaos": Faults(drop=0.08, duplicate=0.05, reorder=0.05, kill=0.05, stall=0.05, restart=0.02, hang=0.01, still=0.005),
}
SESSIONS = {
    "calm": Faults(kill=0.0, stall=0.01, restart=0.0),
    "deaths": Faults(cut=0.01, hang=0.004, drain=0.004),
    "drift": Faults(cut=0.01, fail=0.004, drain=0.004, salted=0.3),
    "crowd": Faults(cut=0.01, drain=0.004),
    "repeats": Faults(duplicate=0.3, cut=0.02, hang=0.002, fail=0.002, still=0.002),
    "chaos": Faults(0.004, 0.2, 0.02, 0.02, 0.004, 0.06, 0.01, 0.002, 0.002, 0.002, 0.002),
}
EVENTS = {"broker": 120, "sessions": 1000}


class Broken(AssertionError):
    """A promise was broken; the text has the kind and the seed of the history, and what it takes to see it again."""


def history(kinds, kind, seed):
    """One history, to its end. The world, when all is over; raises Broken."""
    sessions = kinds == "sessions"
    faults = (SESSIONS if sessions else BROKER)[kind]
    workers = 3 if kind == "crowd" else 6
    world = World(seed, faults, workers, clients=0, profiles="a") if sessions else World(seed, faults)
    for i in range(3 if sessions else 0):
        world.add_trainer(farmprograms.team if (seed + i) % 4 == 3 else farmprograms.drive)
    try:
        world.run(EVENTS[kinds])
        world.check()
    except Exception as error:
        told = f"{kinds} {kind}, seed {seed}: {type(error).__name__}: {error}"
        raise Broken(f"{told}\nagain: B2D_SEED={kinds}:{kind}:{seed} pytest tests/unit/test_session_histories.py") from error
    finally:
        world.close()
    return world


def search(kinds, first, step, faults):
    """Histories of all kinds until so many faults were done; what they saw. Raises Broken."""
    tally, seed = Counter(), first
    while tally["faults"] < faults:
        for kind in SESSIONS if kinds == "sessions" else BROKER:
            world = history(kinds, kind, seed)
            monitor = world.monitor
            tally.update({f"fault: {name}": count for name, count in world.trouble.done.items()})
            tally.update({f"resumed: {verdict}": count for verdict, count in monitor.resumed.items()})
            tally.update({f"given up: {name}": count for name, count in monitor.given_up.items()})
            tally.update(histories=1, faults=sum(world.trouble.done.values()), jobs=monitor.steps, grants=len(monitor.told))
            tally.update({"states seen": monitor.seen, "episodes": monitor.episodes, "branches lost": monitor.branches_lost})
        seed += step
    return tally


def search_beside(kinds, faults, processes):
    """The same in processes of their own."""
    command = [sys.executable, str(Path(__file__)), kinds]
    began = time.monotonic()
    runs = [
        subprocess.Popen([*command, str(i), str(processes), str(faults // processes + 1)], stdout=subprocess.PIPE, text=True)
        for i in range(processes)
    ]
    try:
        told = [json.loads(run.communicate()[0]) for run in runs]
    finally:
        for run in runs:
            run.kill()
            run.wait()
    broken = [one["broken"] for one in told if "broken" in one]
    if broken:
        raise Broken(broken[0])
    tally = sum((Counter(one) for one in told), Counter())
    tally["seconds"] = round(time.monotonic() - began, 1)
    return tally


@contextlib.contextmanager
def simulation():
    """Here clients live in simulated farms, and nobody logs."""
    with pytest.MonkeyPatch.context() as patch:
        farmtrainers.simulate(patch)
        before = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(before)


def main():
    kinds, first, step, faults = sys.argv[1], *map(int, sys.argv[2:])
    with simulation():
        try:
            told = search(kinds, first, step, faults)
        except Broken as error:
            told = {"broken": str(error)}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
