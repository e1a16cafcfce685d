"""How soon a death or a hang is found out, how long an episode takes to be resumed, and how long a broker's restart is felt.

Run: python benchmarks/detection.py [--rounds 20] [--heartbeat 0.25] [--json FILE]
A real farm of embedded worlds with the state rig; four workers, so that a warm one is free. A trainer steps at full speed, and in each
round something is killed or stopped while it does. ``found``: from the signal to the error, for a trainer that wants it raised.
``resumed``: the same, to the answer of the step that was under way, from another worker, for one that does not. ``restart``: the longest
step while the broker is killed and started again. ``orphans``: from a kill to the end of the last process that hangs on the killed one, in
a farm whose worker has a server of its own. ``slow link``: the age of a heartbeat while observations of 26 MB fill a link of 100 Mbit/s;
nobody may be held lost for it. A quiet machine has the figures; a busy one adds what it takes to be scheduled.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import orphans
import slowlink
from chaosfarm import ChaosFarm

from b2d_zmq import CarlaEnv
from b2d_zmq.session import LOSSES

ACTION = np.array([0.5, 0.0, 0.0], np.float32)
BUDGET = 1.0  # s for a step, where one hangs
DRIVEN = 50  # steps into the episode, so that there is something to live again
QUANTILES = (50, 90, 99, 100)


class Round:
    """A trainer amid an episode, and somebody who strikes at it from another thread."""

    def __init__(self, farm, env):
        self.farm, self.env, self.struck, self.over = farm, env, 0.0, True
        for _ in range(DRIVEN):
            self.step()
        self.name = env.last_info["worker"].rpartition("-")[0]
        self.keeper, self.host = farm.pid(self.name), farm.host(self.name)

    def step(self):
        """A step, or the reset after the last one."""
        if self.over:
            self.env.reset(seed=1)
        self.over = not self.over and any(self.env.step(ACTION)[2:4])

    def after(self, strike):
        """The time from a strike, some moments from now, to the end of the trainer's steps: an error or a resumed step."""
        timer = threading.Timer(0.05, self._strike, [strike])
        timer.start()
        try:
            while "resumed" not in self.env.last_info:
                self.step()
        except LOSSES:
            pass
        ended = time.monotonic()
        timer.join()
        return ended - self.struck

    def longest(self, strike):
        """The longest step around a strike, until one that began after it is answered."""
        timer, longest = threading.Timer(0.05, self._strike, [strike]), 0.0
        timer.start()
        over = False
        while not over:
            began = time.monotonic()
            self.step()
            over = 0.0 < self.struck < began - 0.5
            longest = max(longest, time.monotonic() - began)
        timer.join()
        return longest

    def _strike(self, strike):
        self.struck = time.monotonic()
        strike(self)


def kill_host(one):
    os.kill(one.host, signal.SIGKILL)


def kill_keeper(one):
    one.farm.strike(one.name, signal.SIGKILL)


def stop_host(one):
    os.kill(one.host, signal.SIGSTOP)


def stop_keeper(one):
    one.farm.strike(one.name, signal.SIGSTOP)


def restart_broker(one):
    one.farm.strike("broker", signal.SIGKILL)


CASES = (  # what, how often as a share of the rounds, the strike, what is measured, what issue 4 allows
    ("simulator dies, found", 1.0, kill_host, "raise", "0.1 s"),
    ("keeper dies, found", 0.5, kill_keeper, "raise", "3.5 heartbeats"),
    ("keeper hangs, found", 0.5, stop_keeper, "raise", "3.5 heartbeats"),
    ("simulator hangs, found", 0.5, stop_host, "raise", "budget 1 s + 1 s"),
    ("simulator dies, resumed", 1.0, kill_host, "resume", "1 s"),
    ("keeper dies, resumed", 0.5, kill_keeper, "resume", "1 s"),
    ("broker restarts, longest step", 0.5, restart_broker, "restart", "2 s"),
)


def measure(farm, strike, how):
    with CarlaEnv(farm.endpoint, on_loss="raise" if how == "raise" else "resume", wait=60.0, timeout=60.0, budgets={"step": BUDGET}) as env:
        while sum(one["state"] == "free" for one in env.client.status()["workers"]) < 2:  # one, and another one in its place
            threading.Event().wait(0.05)
        one = Round(farm, env)
        seconds = one.longest(strike) if how == "restart" else one.after(strike)
        if how != "restart" and farm.pid(one.name) == one.keeper:
            farm.strike(one.name, signal.SIGKILL)  # the next one starts its host without delay, however many died before
        return seconds


def orphan(victim):
    with tempfile.TemporaryDirectory() as folder, orphans.family(Path(folder)) as pids:
        return orphans.kill(pids, victim)


def tell(name, times, allowed):
    print(f"{name:32}{len(times):9}" + "".join(f"{np.percentile(times, q):9.3f}" for q in QUANTILES) + f"  {allowed}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--heartbeat", type=float, default=0.25)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures = {}
    print(f"seconds; heartbeat {options.heartbeat} s, so 3.5 of them are {3.5 * options.heartbeat:.2f} s; load {os.getloadavg()[0]:.1f}")
    print(f"{'':32}" + "".join(f"{name:>9}" for name in ["rounds", *(f"p{q}" for q in QUANTILES)]) + "  allowed")
    with tempfile.TemporaryDirectory() as folder, ChaosFarm(folder, 4, heartbeat=options.heartbeat) as farm:
        for name, share, strike, how, allowed in CASES:
            times = [measure(farm, strike, how) for _ in range(max(1, int(options.rounds * share)))]
            figures[name] = [float(np.percentile(times, q)) for q in QUANTILES]
            tell(name, times, allowed)
    for victim in ("parent", "keeper", "host", "server"):
        times = [orphan(victim) for _ in range(max(1, options.rounds // 8))]
        figures[f"orphans of {victim}"] = [float(np.percentile(times, q)) for q in QUANTILES]
        tell(f"orphans of a killed {victim}", times, "2 s")
    why = slowlink.permitted()
    told = {} if why else slowlink.run(10, options.heartbeat)
    figures["slow link"] = told
    print(f"slow link: {why or told}")
    if options.json:
        options.json.write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
