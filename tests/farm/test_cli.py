"""The ``b2d`` command as people run it: up, status, and errors in one line."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from b2d_zmq import CarlaEnv
from b2d_zmq.cli import NO_BROKER
from b2d_zmq.table import WIDTH

NOBODY = "tcp://127.0.0.1:9"  # the discard port: no broker is there


def b2d(*arguments, **options):
    command = [sys.executable, "-m", "b2d_zmq", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


def test_status_shows_workers_and_who_holds_them(farm):
    running = farm(workers=2)
    with CarlaEnv(running.endpoint, label="anna@desk train.py") as env:
        env.reset(seed=1)
        done = b2d("status", "--endpoint", running.endpoint)
        told = json.loads(b2d("status", "--json", "--endpoint", running.endpoint).stdout)
    assert done.returncode == 0, done.stderr
    assert "2 workers, 1 free, 1 leases, 0 waiting" in done.stdout and "anna@desk train.py" in done.stdout
    assert all(len(line) <= WIDTH for line in done.stdout.splitlines())
    assert sorted(worker["state"] for worker in told["workers"]) == ["free", "leased"]
    assert told["leases"][0]["label"] == "anna@desk train.py"


def test_status_finds_the_endpoint_in_the_environment(farm):
    done = b2d("status", env={**os.environ, "B2D_ENDPOINT": farm(workers=1).endpoint})
    assert done.returncode == 0 and "1 workers, 1 free" in done.stdout


def test_no_broker_is_told_with_advice_and_a_code_of_its_own():
    done = b2d("status", "--endpoint", NOBODY, "--timeout", "0.3")
    assert done.returncode == NO_BROKER
    assert NOBODY in done.stderr and "b2d up" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("endpoint", ["http://localhost:8080", "5570", ""])
def test_what_is_no_endpoint_is_said_so(endpoint):
    done = b2d("status", "--endpoint", endpoint)
    assert done.returncode == 1
    assert "tcp://127.0.0.1:5570" in done.stderr and "Traceback" not in done.stderr


def test_debug_shows_the_traceback():
    assert "Traceback" in b2d("--debug", "status", "--endpoint", "nowhere").stderr


@pytest.mark.parametrize(
    "arguments", [["up", "-n", "0"], ["demo", "--branches", "1"], ["up", "--routes", "nowhere.xml"], ["up", "stray"], ["fly"]]
)
def test_wrong_options_are_refused_before_anything_starts(arguments):
    done = b2d(*arguments)
    assert done.returncode == 2 and "Usage: " in done.stderr


def test_version_and_help():
    assert re.fullmatch(r"b2d \S+ \(/.+\)\n", b2d("--version").stdout)
    for command in ("up", "status", "demo", "fidelity", "doctor"):
        assert command in b2d("--help").stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_runs_until_it_is_told_to_stop(leaves_nothing, number):
    command = [sys.executable, "-m", "b2d_zmq", "up", "-n", "2", "--sensors", "state", "--bind", "tcp://127.0.0.1:*", "--heartbeat", "0.2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        first = process.stdout.readline()
        assert first.startswith("farm of 2 workers at tcp://127.0.0.1:"), first + process.stderr.read()
        endpoint = first.split()[-1]
        script = ""
        while "env.close()" not in script:
            script += process.stdout.readline()
        pasted = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
        process.send_signal(number)
        process.communicate(timeout=30)
    assert endpoint in script and len(script.strip().splitlines()) == 10
    assert pasted.returncode == 0 and "returns" in pasted.stdout, pasted.stderr
    assert process.returncode == 0


def test_what_comes_after_two_dashes_goes_to_the_workers(leaves_nothing):
    done = b2d("up", "-n", "1", "--bind", "tcp://127.0.0.1:*", "--", "--fly")
    assert done.returncode == 1 and "No such option" in done.stderr and "--fly" in done.stderr


def test_up_that_cannot_start_says_why(leaves_nothing, tmp_path):
    broken = tmp_path / "routes.xml"
    broken.write_text("<routes><route></routes>")
    done = b2d("up", "-n", "1", "--routes", str(broken), "--bind", "tcp://127.0.0.1:*")
    assert done.returncode == 1
    assert "routes.xml" in done.stderr and "Traceback" not in done.stderr


def test_the_example_of_ten_lines_runs(leaves_nothing):
    example = Path(__file__).parents[2] / "examples" / "grpo_ten_lines.py"
    code = [line for line in example.read_text().splitlines() if line.strip() and not line.startswith('"""')]
    done = subprocess.run([sys.executable, str(example)], capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    assert "identical at the start: True" in done.stdout
    assert len(code) <= 11  # the import beside ten


def test_the_example_of_the_noise_floor_runs(leaves_nothing):
    example = Path(__file__).parents[2] / "examples" / "noise_floor.py"
    done = subprocess.run([sys.executable, str(example)], capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    assert "branch 2: exact, exact; ego off by 0.000 m" in done.stdout and "noise in the difference between branches: 0.0%" in done.stdout


def test_doctor_is_the_workers_own(tmp_path):
    done = b2d("doctor", "--help")
    assert done.returncode == 0 and "--carla-root" in done.stdout and done.stdout.startswith("Usage: b2d doctor ")
    done = b2d("doctor", "--carla-root", str(tmp_path / "nowhere"))
    assert done.returncode != 0 and "nowhere" in done.stdout + done.stderr
