"""A farm on a slow link, with observations that take seconds to pass: ``python slowlink.py STEPS HEARTBEAT``, within ``LINK``.

``LINK`` is a command that runs another one in a network of its own, whose loopback has 100 Mbit/s for everything together: an observation
of 26 MB passes it twice, from worker to broker and from there to the trainer, and every heartbeat stands in the same queue.
It prints one line of JSON: how long the steps took, the greatest age of a heartbeat that the broker told, and what it lost.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time

import numpy as np
from faulty import Counts

from b2d_zmq.client import Client
from b2d_zmq.env import CarlaEnv
from b2d_zmq.local import LocalFarm

RATE = "100mbit"
LINK = (
    "unshare",
    "--net",
    "sh",
    "-c",
    f'ip link set lo up && tc qdisc add dev lo root tbf rate {RATE} burst 256kb latency 200ms && exec "$@"',
    "sh",
)
SHAPE = (13, 2_000_000)  # bytes


class Wide(Counts):
    """Every observation has 26 MB that its space does not announce."""

    def observation(self):
        return {**super().observation(), "film": np.zeros(SHAPE, np.uint8)}


def permitted():
    """Why there can be no such link here; the empty string where there can."""
    try:
        done = subprocess.run([*LINK, "true"], capture_output=True, text=True, timeout=20, check=False)
    except OSError as error:
        return str(error)
    return done.stderr.strip() if done.returncode else ""


def run(steps, heartbeat):
    """What ``main`` prints, from the other side of the link."""
    command = [*LINK, sys.executable, __file__, str(steps), str(heartbeat)]
    paths = os.pathsep.join([os.path.dirname(os.path.abspath(__file__)), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60 + 20 * steps, check=False, env={**os.environ, "PYTHONPATH": paths}
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Ages(threading.Thread):
    """Asks the broker how old its workers' heartbeats are, over and over."""

    def __init__(self, endpoint):
        super().__init__(daemon=True)
        self.endpoint, self.over, self.ages = endpoint, threading.Event(), [0.0]

    def run(self):
        with Client(self.endpoint, label="ages") as client:
            while not self.over.wait(0.1):
                self.ages += [one["age"] for one in client.status()["workers"]]


def main():
    steps, heartbeat, seconds = int(sys.argv[1]), float(sys.argv[2]), []
    with LocalFarm(2, backend="slowlink:Wide", sensors="state", heartbeat=heartbeat) as farm:
        ages = Ages(farm.endpoint)
        ages.start()
        with CarlaEnv(farm.endpoint, wait=30.0, on_loss="raise") as env:
            env.reset(seed=10)
            for _ in range(steps):
                began = time.monotonic()
                env.step(np.zeros(3, np.float32))
                seconds.append(round(time.monotonic() - began, 2))
        ages.over.set()
        ages.join()
        lost = [line for line in farm.log("broker").splitlines() if " lost" in line]
    sys.stdout.write(json.dumps({"seconds": seconds, "age": round(max(ages.ages), 2), "lost": lost}) + "\n")


if __name__ == "__main__":
    main()
