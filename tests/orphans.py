"""A farm of one worker with a server of its own, below a process that may be killed like the rest; who hangs on whom, and who is left."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time

import fakecarla
import psutil
from bench import ended, until

VICTIMS = ("parent", "broker", "keeper", "host", "server")
_PROGRAM = """
import sys, threading
from b2d_zmq.local import LocalFarm
root, logs = sys.argv[1:]
farm = LocalFarm(1, backend="attached:Attached", sensors="state", log_dir=logs, heartbeat=0.25, worker_options=["--carla-root", root])
print(farm.broker_pid, farm.pids["w-0"], flush=True)
threading.Event().wait()
"""


@contextlib.contextmanager
def family(folder):
    """The pids of such a farm, by what they are."""
    root = fakecarla.install(folder / "root")
    tests = os.path.dirname(os.path.abspath(__file__))
    surroundings = {
        **os.environ,
        "B2D_RUN_DIR": str(folder / "run"),
        "PYTHONPATH": os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, "-c", _PROGRAM, str(root), str(folder / "logs")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=surroundings) as parent:
        try:
            broker, keeper = map(int, parent.stdout.readline().split())
            children = psutil.Process(keeper).children()
            (host,) = [child.pid for child in children if "worker.host" in " ".join(child.cmdline())]
            (server,) = [child.pid for child in children if child.pid != host]
            yield {"parent": parent.pid, "broker": broker, "keeper": keeper, "host": host, "server": server}
        finally:
            parent.kill()


def hanging_on(victim):
    """Who may not outlive this one. A broker is waited for, and workers outlive it."""
    return {"parent": VICTIMS[1:], "keeper": ("host", "server"), "host": ("server",), "server": ("host",)}.get(victim, ())


def kill(pids, victim):
    """Kill one; the seconds until it is gone, and whoever hangs on it."""
    began = time.monotonic()
    psutil.Process(pids[victim]).kill()
    until(lambda: all(ended(pids[name]) for name in (victim, *hanging_on(victim))), seconds=20)
    return time.monotonic() - began
