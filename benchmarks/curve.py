"""What keys cost: a step over encrypted sockets beside one over plain ones, by the size of its observation.

Run: python benchmarks/curve.py [--seconds 4] [--json FILE]
Two farms of one worker each run side by side on loopback, one with keys and one without. Their steps are timed in turn, a block of one
and a block of the other, so that whatever else the machine does meets both. An observation goes through two sockets, worker to broker
and broker to client, and is encrypted and decrypted on each. The simulator does nothing. "CPU" is what all processes of a side spend on a
step together, which holds on a busy machine too.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from gymnasium import spaces

from b2d_zmq import Client, LocalFarm
from b2d_zmq.keys import create
from b2d_zmq.protocol import Kind
from worker.backends.base import Backend, Outcome, SnapshotData, Traits

SIZES = {"1 KB": 1_000, "200 KB": 200_000, "1.4 MB": 1_400_000}
BLOCK = 20  # steps of one farm before it is the other's turn
QUANTILES = (10, 50, 99)  # p10: how it is where nothing disturbs
ACTION = np.zeros(3, np.float32)


class Sized(Backend):
    """An observation of ``bytes`` bytes, as the reset's options say."""

    def __init__(self, **_):
        self._picture, self._tick = np.zeros(1, np.uint8), 0

    @property
    def traits(self):
        box = spaces.Box(-1.0, 1.0, (3,), np.float32)
        return Traits("sized", "1", "sized", 0.05, spaces.Dict({"picture": spaces.Box(0, 255, (1,), np.uint8)}), box, 1)

    def reset(self, seed, options):
        self._picture, self._tick = np.random.default_rng(seed).integers(0, 256, options["bytes"], np.uint8), 0
        return self._outcome()

    def step(self, action, ticks=1):
        self._tick += ticks
        return self._outcome()

    def snapshot(self):
        return SnapshotData(b"", self._tick, "exact", self.digest())

    def restore(self, data, tier=""):
        return self._outcome()

    def digest(self):
        return str(self._tick)

    def _outcome(self):
        return Outcome({"picture": self._picture}, 0.0, False, False, {}, self.digest(), self._tick)


class Side:
    """A client on one of the farms, with its lease, the times of its steps in milliseconds, and its own CPU seconds in them."""

    def __init__(self, farm, folder):
        began = time.perf_counter()
        self.client = Client(farm.endpoint, curve_dir=folder)
        self.client.status()
        self.first = 1000.0 * (time.perf_counter() - began)
        (self.lease,), self.seq, self.times, self.own = self.client.acquire(1, wait=10.0), 0, [], 0.0
        (keeper,) = farm.pids.values()
        self.processes = [psutil.Process(farm.broker_pid), *psutil.Process(keeper).children(recursive=True)]

    def do(self, kind, tree):
        self.seq += 1
        return self.client.send(kind, tree, budget=30.0, lease=self.lease, seq=self.seq).result()

    def begin(self, size):
        self.do(Kind.RESET, {"seed": 1, "options": {"bytes": size}})
        self.block()
        self.times, self.own, self.before = [], 0.0, self.others()

    def others(self):
        return sum(sum(process.cpu_times()[:2]) for process in self.processes)

    def cpu(self):
        """Milliseconds of CPU a step."""
        return 1000.0 * (self.own + self.others() - self.before) / len(self.times)

    def block(self):
        cpu = time.process_time()
        for _ in range(BLOCK):
            began = time.perf_counter()
            self.do(Kind.STEP, {"action": ACTION, "ticks": 1})
            self.times.append(1000.0 * (time.perf_counter() - began))
        self.own += time.process_time() - cpu


def measure(plain, keyed, size, seconds):
    """Milliseconds: quantiles of both, for observations of this size."""
    for side in (plain, keyed):
        side.begin(size)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        plain.block()
        keyed.block()
    names = (("plain", plain), ("keys", keyed))
    told = {f"{name} p{q}": float(np.percentile(side.times, q)) for name, side in names for q in QUANTILES}
    return {**told, **{f"{name} cpu": side.cpu() for name, side in names}, "steps": len(plain.times) + len(keyed.times)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0, help="per size")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
    os.environ.pop("B2D_CURVE_DIR", None)
    with tempfile.TemporaryDirectory() as folder:
        keys = Path(folder) / "keys"
        create(keys, ["worker", "client"])
        backend = {"workers": 1, "backend": "curve:Sized", "sensors": "state"}
        with LocalFarm(**backend) as one, LocalFarm(curve_dir=keys, **backend) as other:
            plain, keyed = Side(one, None), Side(other, keys)
            figures = {name: measure(plain, keyed, size, options.seconds) for name, size in SIZES.items()}
            firsts = {"plain": plain.first, "keys": keyed.first}
            plain.client.close()
            keyed.client.close()
    columns = [f"{side} {what}" for side in ("plain", "keys") for what in (*(f"p{q}" for q in QUANTILES), "cpu")]
    print(f"{'ms a step':10}", *(f"{column:>10}" for column in columns), "   more: p10        cpu")
    for name, told in figures.items():
        more = [told["keys p10"] - told["plain p10"], told["keys cpu"] - told["plain cpu"]]
        print(f"{name:10}", *(f"{told[column]:10.2f}" for column in columns), "  ", *(f"{x:10.2f}" for x in more))
    print(f"connecting and a first answer: {firsts['plain']:.1f} ms, with keys {firsts['keys']:.1f} ms")
    if options.json:
        options.json.write_text(json.dumps({"sizes": figures, "first answer": firsts}, indent=2) + "\n")


if __name__ == "__main__":
    main()
