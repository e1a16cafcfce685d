"""bin/supervise with a real supervisord: the farm comes up, a killed worker comes back, TERM leaves nothing behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from b2d_zmq.client import Client
from b2d_zmq.errors import NoBroker
from b2d_zmq.keys import create

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
    raise AssertionError(f"not so within {seconds} s")


def two_free_workers(endpoint, keys, without=""):
    """Worker id -> keeper pid, once there are two and ``without`` is none of them."""
    try:
        with Client(endpoint, timeout=1.0, curve_dir=keys) as client:
            free = {w["worker"]: w["pid"] for w in client.status()["workers"] if w["state"] == "free"}
    except NoBroker:
        return None
    return free if len(free) == 2 and without not in free else None


@pytest.mark.skipif(not (BIN / "supervisord").exists(), reason="supervisor is not installed in this environment")
def test_a_farm_with_keys_under_supervisord(tmp_path):
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    keys = tmp_path / "keys"
    create(keys, ["worker", "client"])
    env = {**os.environ, "B2D_BIN": str(BIN), "B2D_ENDPOINT": endpoint, "B2D_RUN": str(tmp_path), "B2D_CURVE_DIR": str(keys)}
    with open(tmp_path / "out", "wb") as out:
        farm = subprocess.Popen([str(ROOT / "bin/supervise"), "2", "--sensors", "state"], env=env, stdout=out, stderr=out)
    try:
        before = wait_for(lambda: two_free_workers(endpoint, keys))
        family = psutil.Process(farm.pid).children(recursive=True)
        victim = sorted(before)[0]
        os.kill(before[victim], signal.SIGKILL)
        after = wait_for(lambda: two_free_workers(endpoint, keys, without=victim))
        assert len(set(after) & set(before)) == 1, "the other worker went on"
        family += psutil.Process(farm.pid).children(recursive=True)
    finally:
        farm.terminate()
        code = farm.wait(timeout=60)
        sys.stdout.write((tmp_path / "out").read_text())
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    assert code == 0
