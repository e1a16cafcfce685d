"""A farm at full speed under kills for a long time: does anything grow?

Run: python benchmarks/soak.py [--minutes 60] [--workers 8] [--every 5] [--json FILE]
Eight embedded worlds with the state rig; a vector environment steps all but two of them as fast as it can, and every few seconds a host or
a whole worker is killed or stopped. Looked at, twelve times a minute: resident memory, open files and threads of the trainer (this process)
and of the broker, which both live all the time; the number of the farm's processes and their files and threads together; entries in
/dev/shm. After a warm-up of a fifth of the time a line is laid through each of them: its slope per hour, and how far it came to be at most.
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
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from chaosfarm import ChaosFarm

from b2d_zmq import CarlaVectorEnv

LOOK = 5.0  # s between two looks
SPARE = 2  # workers that nobody holds, for those that are lost
WARM = 0.2  # of the time
ALLOWED = {"trainer MB": 1.0, "broker MB": 1.0, "trainer files": 0.5, "broker files": 0.5, "trainer threads": 0.5, "broker threads": 0.5}


class Killer(threading.Thread):
    """Kills and stops, until it is told to end."""

    def __init__(self, farm, seconds):
        super().__init__(daemon=True)
        self.farm, self.seconds, self.over, self.count = farm, seconds, threading.Event(), 0
        self.random = np.random.RandomState(1)

    def run(self):
        while not self.over.wait(self.seconds * self.random.uniform(0.5, 1.5)):
            name = self.farm.workers[self.random.randint(len(self.farm.workers))]
            host, what = self.farm.host(name), self.random.randint(4)
            self.count += 1
            if what == 0 or not host:
                self.farm.strike(name, signal.SIGKILL)
            else:
                try:
                    os.kill(host, signal.SIGSTOP if what == 1 else signal.SIGKILL)
                except ProcessLookupError:
                    self.count -= 1


def look(farm):
    """What might grow, by name."""
    here, broker = psutil.Process(), psutil.Process(farm.pid("broker"))
    found = {}
    for name, process in (("trainer", here), ("broker", broker)):
        found[f"{name} MB"] = process.memory_info().rss / 1e6
        found[f"{name} files"], found[f"{name} threads"] = process.num_fds(), process.num_threads()
    family = here.children(recursive=True)
    found["processes"], found["their files"], found["their threads"] = len(family), 0, 0
    for process in family:
        try:
            files, threads = process.num_fds(), process.num_threads()
        except psutil.Error:
            continue
        found["their files"] += files
        found["their threads"] += threads
    found["shm"] = len(os.listdir("/dev/shm"))
    return found


def drive(env, farm, until, looks, began):
    """Step until the time is over; how many steps of single environments were made, and episodes resumed."""
    steps, next_look = 0, began
    actions = np.zeros((env.num_envs, 3), np.float32)
    random = np.random.RandomState(2)
    env.reset(seed=1)
    while time.monotonic() < until:
        actions[:, 0] = random.uniform(0.0, 0.6, env.num_envs)
        actions[:, 2] = random.uniform(-0.1, 0.1, env.num_envs)
        env.step(actions)
        steps += env.num_envs
        if time.monotonic() >= next_look:
            next_look = time.monotonic() + LOOK
            looks.append((time.monotonic() - began, look(farm)))
    return steps


def slopes(looks, minutes):
    """By name: the slope per hour after the warm-up, the first, the last and the greatest."""
    late = [(when, found) for when, found in looks if when >= minutes * 60.0 * WARM]
    hours = np.array([when for when, _ in late]) / 3600.0
    result = {}
    for name in late[0][1]:
        values = np.array([found[name] for _, found in late], float)
        result[name] = [float(np.polyfit(hours, values, 1)[0]), float(values[0]), float(values[-1]), float(values.max())]
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two kills")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    looks = []
    with tempfile.TemporaryDirectory() as folder, ChaosFarm(folder, options.workers) as farm:
        budgets = {"step": 5.0, "reset": 60.0}
        env = CarlaVectorEnv(farm.endpoint, options.workers - SPARE, wait=120.0, timeout=60.0, budgets=budgets, autoreset_mode="NextStep")
        killer, began = Killer(farm, options.every), time.monotonic()
        killer.start()
        try:
            steps = drive(env, farm, began + options.minutes * 60.0, looks, began)
        finally:
            killer.over.set()
            killer.join()
            env.close()
        print(f"{steps} steps in {options.minutes:g} minutes on {options.workers} workers, {killer.count} kills and stops; none was lost")
    found = slopes(looks, options.minutes)
    print(f"{'':20}{'an hour':>10}{'first':>10}{'last':>10}{'most':>10}  allowed")
    for name, figures in found.items():
        print(f"{name:20}" + "".join(f"{figure:10.2f}" for figure in figures) + (f"  {ALLOWED[name]:g}" if name in ALLOWED else ""))
    if options.json:
        options.json.write_text(json.dumps({"looks": looks, "slopes": found, "steps": steps, "kills": killer.count}))


if __name__ == "__main__":
    main()
