"""What strangers cost those who behave: the time of a step while a mob attacks the broker's port, in tests/hostility.py's ways.

Run: python benchmarks/hostile.py [--connections 30000] [--rate 500] [--rounds 5]
For a farm without keys and for one with keys, in turns: nobody attacks; the mob attacks a broker that is not ours, which shows what it
costs the machine alone; the mob attacks ours. Prints the 50th and the 99th percentile of a step, and what the broker had before and after.
Each farm gets half of the connections.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from b2d_zmq import CarlaEnv, LocalFarm, keys

TESTS = Path(__file__).parents[1] / "tests"
GO = np.array([0.3, 0.0, 0.0], np.float32)


def stepped(env, until):
    """Seconds of each step until that says True."""
    times = []
    while not until():
        start = time.perf_counter()
        *_, terminated, truncated, info = env.step(GO)
        times.append(time.perf_counter() - start)
        assert "resumed" not in info, info
        if terminated or truncated:
            env.reset(seed=1)
    return times


def attacked(env, endpoint, connections, rate, key=""):
    """Step while a mob, a process of its own, attacks that endpoint; seconds of each step, connections made, those refused."""
    command = [sys.executable, str(TESTS / "hostility.py"), endpoint, str(connections), str(rate), key]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as mob:
        times = stepped(env, lambda: mob.poll() is not None)
        made, refused = map(int, mob.stdout.read().split())
    return times, made, refused


def has(broker):
    """Descriptors, threads and megabytes of a process."""
    return broker.num_fds(), broker.num_threads(), broker.memory_info().rss // 2**20


def measured(folder, connections, rate, rounds):
    """One farm; prints its lines."""
    told = {"calm": [], "mob elsewhere": [], "mob here": []}
    each, made, refused = connections // rounds, 0, 0
    elsewhere = [str(Path(sys.executable).parent / "b2d-broker"), "--bind", "tcp://127.0.0.1:*"]
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(subprocess.Popen(elsewhere, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True))
        stack.callback(other.terminate)
        farm = stack.enter_context(LocalFarm(workers=1, sensors="state", curve_dir=folder))
        env = stack.enter_context(CarlaEnv(farm.endpoint, curve_dir=folder))
        env.reset(seed=1)
        key = keys.client_keys(folder).broker if folder else ""
        port, broker = other.stdout.readline().split()[-1], psutil.Process(farm.broker_pid)
        before = has(broker)
        for _ in range(rounds):
            end = time.monotonic() + each / rate
            told["calm"] += stepped(env, lambda end=end: time.monotonic() > end)
            told["mob elsewhere"] += attacked(env, port, each, rate)[0]
            times, more, not_taken = attacked(env, farm.endpoint, each, rate, key)
            told["mob here"], made, refused = told["mob here"] + times, made + more, refused + not_taken
        time.sleep(5.0)  # for the last half-open ones to be shown out
        after, counters = has(broker), env.client.status()["counters"]
    print(f"{'with' if folder else 'without'} keys: {made} connections at {rate}/s ({refused} broken off while they were made)")
    calm = np.percentile(told["calm"], 99) * 1e3
    for name, times in told.items():
        p50, p99 = np.percentile(times, [50, 99]) * 1e3
        print(f"  {name:14s} {len(times):6d} steps, p50 {p50:6.2f} ms, p99 {p99:6.2f} ms ({p99 / calm:.2f} x)")
    print("  broker: {} -> {} descriptors, {} -> {} threads, {} -> {} MB".format(*(n for pair in zip(before, after) for n in pair)))
    print(f"  {counters}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=30_000)
    parser.add_argument("--rate", type=float, default=500.0, help="connections a second")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "keys"
        keys.create(folder, ["worker", "client"])
        for given in (None, folder):
            measured(given, options.connections // 2, options.rate, options.rounds)


if __name__ == "__main__":
    main()
