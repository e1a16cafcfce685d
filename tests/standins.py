"""Real stand-in servers for tests: laid out in a folder like CARLA's and started from it, on free ports, as processes of their own.

They die with the test's process.
"""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import threading
from importlib import metadata
from pathlib import Path

import pytest

from worker.child import tied
from worker.standin.install import BINARY, install


def dialect():
    """The version of the wheel that this Python has; None without one."""
    try:
        return metadata.version("carla")
    except metadata.PackageNotFoundError:
        return None


def wheel():
    """The carla module of this Python, or the end of the test. (The folder of tests for the backend has the same name, and is no wheel.)"""
    if dialect() is None:
        pytest.skip("no carla wheel for this Python", allow_module_level=True)
    return importlib.import_module("carla")


class StandIn:
    """One server. ``port`` is its RPC port, ``lines`` what it has logged; ``words`` are the stand-in's own options, ``flags`` CARLA's."""

    def __init__(self, root: Path, *words: str, flags=("-nosound",), wait=True):
        self.root = root
        install(root, dialect() or "0.9.16", [f"--dialect={dialect() or '0.9.16'}", *words])
        command = [str(root / BINARY), "CarlaUE4", "-carla-rpc-port=0", *flags]
        self.process = subprocess.Popen(tied(command), stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
        self.lines = []
        self.port = 0
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if wait:
            try:
                self.wait()
            except AssertionError:
                self.close()
                raise

    def wait(self, seconds=30.0):
        """Until its ports are open."""
        assert self._ready.wait(seconds) and self.port, f"no stand-in: {self.lines}"

    def ended(self, seconds=10.0):
        """Its exit code, once it has ended by itself."""
        return self.process.wait(seconds)

    def close(self):
        """End it."""
        self.process.kill()
        self.process.wait(10.0)
        self._reader.join(10.0)
        self.process.stderr.close()

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line.rstrip())
            found = re.search(r"serves \S+ at port (\d+)$", line.rstrip())
            if found:
                self.port = int(found[1])
                self._ready.set()
        self._ready.set()


def client_of(server: StandIn, seconds=10.0):
    """A client of the running Python's wheel."""
    client = wheel().Client("127.0.0.1", server.port)
    client.set_timeout(seconds)
    return client


def run_client(server: StandIn, script: str, *arguments: str, seconds=60.0):
    """A script in a process of its own, with the port as its first argument; what it printed. The wheel may abort as it leaves."""
    done = subprocess.run(
        [sys.executable, "-c", script, str(server.port), *arguments], capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode in (0, -6), done.stderr
    return done.stdout
