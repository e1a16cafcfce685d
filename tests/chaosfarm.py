"""A farm in which whatever dies is started again at once, as supervisord would: broker at the same endpoint, workers under their names.

A thread looks after the processes; what is stopped (SIGSTOP) it leaves alone. Everything ends with the farm, and with this process.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psutil

from b2d_zmq.client import Client
from b2d_zmq.lifeline import Lifeline

BIN = Path(sys.executable).parent
PORTS = range(61000, 65535)  # beyond those that the kernel gives to whoever connects: a broker's port must still be free when it is back
WATCH = 0.02  # s between two looks at the processes


class ChaosFarm:
    """``endpoint``; ``restarts`` counts by name what was started again. A context manager; workers may not be ready yet.

    ``environment``: variables that its processes get besides those of this one.
    """

    def __init__(
        self, folder, workers, *, backend="embedded", heartbeat=0.25, lease_ttl=30.0, options=("--sensors", "state"), **environment
    ):
        self.folder, self.workers = Path(folder), [f"w-{i}" for i in range(workers)]
        self.endpoint = f"tcp://127.0.0.1:{_free_port()}"
        self.restarts = dict.fromkeys(["broker", *self.workers], -1)
        self._commands = {"broker": [str(BIN / "b2d-broker"), "--bind", self.endpoint, "--lease-ttl", str(lease_ttl)]}
        for name in self.workers:
            words = ["--endpoint", self.endpoint, "--name", name, "--backend", backend, "--heartbeat", str(heartbeat), *options]
            self._commands[name] = [str(BIN / "b2d-worker"), *words]
        paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
        self._environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **environment}
        self._processes = {}
        self._lifeline, self._over, self._lock = Lifeline(), threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._look_after, name="chaosfarm", daemon=True)

    def __enter__(self):
        for name in self._commands:
            self._start(name)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
        with self._lock:
            for process in self._processes.values():
                for number in (signal.SIGTERM, signal.SIGCONT):
                    process.send_signal(number)
            for process in self._processes.values():
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self._lifeline.close()

    def client(self, **options):
        """A Client of this farm."""
        return Client(self.endpoint, **{"timeout": 30.0, **options})

    def pid(self, name):
        """Of the broker or of a worker's keeper as it is now."""
        with self._lock:
            return self._processes[name].pid

    def host(self, name):
        """The pid of the host of this worker as it is now, or 0."""
        try:
            children = psutil.Process(self.pid(name)).children()
        except psutil.NoSuchProcess:
            return 0
        return next((child.pid for child in children if _is_host(child)), 0)

    def strike(self, name, number=signal.SIGKILL):
        """Send a signal to the broker or to a worker's keeper, never to a stranger that has its pid now."""
        with self._lock:
            self._processes[name].send_signal(number)

    def log(self, name):
        """What it has written so far, all its lives together."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def _look_after(self):
        while not self._over.wait(WATCH):
            for name in self._commands:
                if self._processes[name].poll() is not None:
                    self._start(name)

    def _start(self, name):
        with self._lock, open(self.folder / f"{name}.log", "ab") as log:
            self.restarts[name] += 1
            self._processes[name] = subprocess.Popen(
                [*self._commands[name], "--lifeline", str(self._lifeline.fd)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(self._lifeline.fd,),
                env=self._environment,
                start_new_session=True,
            )


def _is_host(process):
    try:
        return "worker.host" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def _free_port():
    start = os.getpid() * 7 % len(PORTS)
    for i in range(len(PORTS)):
        port = PORTS[(start + i) % len(PORTS)]
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
