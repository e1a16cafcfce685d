"""Histories of simulated farms by the thousand, from seeds: in this process, or in processes of their own.

``python tests/farmrun.py FIRST STEP SESSIONS BROKER`` goes through the seeds FIRST, FIRST + STEP, ... until there were SESSIONS faults in
farms of real sessions and BROKER faults around the broker's core alone, and prints what was seen as JSON. A history in which a promise was
broken ends it, with the kind and the seed that show it again.
"""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
import time
from collections import Counter

import farmprograms
import farmtrainers
import pytest
from farmfaults import Faults
from farmsim import World

KINDS = {
    "broker": {
        "calm": Faults(kill=0.0, stall=0.01, restart=0.0),
        "deaths": Faults(),
        "repeats": Faults(duplicate=0.05),
        "losses": Faults(drop=0.03, duplicate=0.03),
        "disorder": Faults(duplicate=0.05, reorder=0.05, still=0.004),
        "chaos": Faults(drop=0.08, duplicate=0.05, reorder=0.05, kill=0.05, stall=0.05, restart=0.02, hang=0.01, still=0.005),
    },
    "sessions": {
        "calm": Faults(kill=0.0, stall=0.01, restart=0.0),
        "deaths": Faults(cut=0.01, hang=0.004, drain=0.004),
        "drift": Faults(cut=0.01, fail=0.006, drain=0.004, salted=0.3),
        "crowd": Faults(cut=0.01, drain=0.004),
        "repeats": Faults(duplicate=0.3, cut=0.02, hang=0.002, fail=0.002, still=0.002),
        "chaos": Faults(0.004, 0.2, 0.02, 0.02, 0.004, 0.06, 0.01, 0.002, 0.002, 0.002, 0.002),
    },
}
ROUND = {  # which of them, how often
    "broker": ["calm", "deaths", "repeats", "losses", "disorder", "disorder", "chaos", "chaos", "chaos"],
    "sessions": ["calm", "deaths", "drift", "crowd", "repeats", "repeats", "chaos", "chaos", "chaos", "chaos"],
}
EVENTS = {"broker": 250, "sessions": 1000}


class Broken(AssertionError):
    """A promise was broken; the text has the kind and the seed of the history, and what it takes to see it again."""


def history(farm, kind, seed):
    """One history, to its end, of a farm of "sessions" or of the "broker" alone. The world, when all is over; raises Broken."""
    sessions, faults = farm == "sessions", KINDS[farm][kind]
    workers = 3 if kind == "crowd" else 6
    world = World(seed, faults, workers, clients=0, profiles="a") if sessions else World(seed, faults)
    for i in range(3 if sessions else 0):
        world.add_trainer(farmprograms.team if (seed + i) % 4 == 3 else farmprograms.drive)
    try:
        world.run(EVENTS[farm])
        world.check()
    except Exception as error:
        told = f"{farm} {kind}, seed {seed}: {type(error).__name__}: {error}"
        raise Broken(f"{told}\nagain: B2D_SEED={farm}:{kind}:{seed} pytest tests/unit/test_histories.py") from error
    finally:
        world.close()
    return world


def search(farm, first, step, faults):
    """Histories until so many faults were done; what they saw. Raises Broken."""
    tally, seed = Counter(), first
    while tally["faults"] < faults:
        for kind in ROUND[farm]:
            tally.update(seen(history(farm, kind, seed)))
            seed += step
    return tally


def seen(world):
    """What a history saw, in numbers."""
    monitor, done = world.monitor, world.trouble.done
    tally = Counter(histories=1, faults=sum(done.values()), jobs=monitor.steps, grants=len(monitor.told))
    tally.update({"states seen": monitor.seen, "episodes": monitor.episodes, "branches lost": monitor.branches_lost})
    for name, counter in (("fault", done), ("resumed", monitor.resumed), ("given up", monitor.given_up)):
        tally.update({f"{name}: {kind}": count for kind, count in counter.items()})
    return tally


def search_beside(processes, **faults):
    """Both searches in processes of their own: what each farm saw, and the seconds that it took. Raises Broken."""
    shares = [str(faults[farm] // processes + 1) for farm in ("sessions", "broker")]
    began = time.monotonic()
    runs = [
        subprocess.Popen([sys.executable, __file__, str(i), str(processes), *shares], stdout=subprocess.PIPE, text=True)
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
    return {farm: sum((Counter(one[farm]) for one in told), Counter()) for farm in faults}, time.monotonic() - began


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
    first, step, sessions, broker = map(int, sys.argv[1:])
    with simulation():
        try:
            told = {"sessions": search("sessions", first, step, sessions), "broker": search("broker", first, step, broker)}
        except Broken as error:
            told = {"broken": str(error)}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
