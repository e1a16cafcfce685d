"""The model of lease and fencing (lease.pml), checked by spin: every order of every message and fault, within small bounds.

``make test`` checks the fenced model with one fault, where spin is installed; ``make model`` checks larger ones, and shows for each
defect a history in which a promise breaks. Without spin (Debian: ``apt-get install spin``) or a C compiler it is skipped.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MODEL = Path(__file__).with_name("lease.pml")
ALL = bool(os.environ.get("B2D_MODEL"))
COMPILER = shutil.which("cc") or shutil.which("gcc")

pytestmark = pytest.mark.skipif(shutil.which("spin") is None or COMPILER is None, reason="spin or a C compiler is not installed")
on_demand = pytest.mark.skipif(not ALL, reason="only in `make model`")

SMALL = {"WORKERS": 1, "CLIENTS": 2, "FAULTS": 1}
LARGER = {
    "two clients, one worker, two faults": {"WORKERS": 1, "CLIENTS": 2, "FAULTS": 2},
    "one client, two workers, two faults": {"WORKERS": 2, "CLIENTS": 1, "FAULTS": 2, "SLOTS": 3},
    "two clients, two workers, one fault": {"WORKERS": 2, "CLIENTS": 2, "FAULTS": 1, "STEPS": 1, "SLOTS": 3},
}
DEFECTS = {
    "HOST_ANY_LEASE": "the host does jobs of any lease and epoch",
    "HOST_ANY_SEQ": "the host does a job again that it did before",
    "BROKER_ANY_ANSWER": "the broker passes any answer of a worker to whoever waits for one",
    "CLIENT_ANY_ANSWER": "the client takes an answer to another request",
    "NO_REPLAY": "the session goes on elsewhere without living the episode again",
    "NAMES_AGAIN": "a restarted broker mints the names of leases anew",
}


def check(folder, bounds, *defects, optimise="-O0"):
    """Run spin's search; (errors found, states, the search's own words)."""
    told = [f"-D{name}={value}" for name, value in bounds.items()] + [f"-D{name}" for name in defects]
    shutil.copy(MODEL, folder)
    for command in (["spin", "-a", *told, MODEL.name], [COMPILER, optimise, "-DBFS", "-DSAFETY", "-DMEMLIM=6000", "-o", "pan", "pan.c"]):
        done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
    search = subprocess.run(["./pan", "-m100000", "-w20"], cwd=folder, check=False, capture_output=True, text=True, timeout=1800)
    words = search.stdout + search.stderr
    errors, states = re.search(r"errors: (\d+)", words), re.search(r"(\d+) states, stored", words)
    assert errors and states, words
    assert errors.group(1) != "0" or "Search not completed" not in words, words  # out of memory, say
    return int(errors.group(1)), int(states.group(1)), words


def history(folder, bounds, *defects):
    """What led to the error, a line for each turn."""
    told = [f"-D{name}={value}" for name, value in bounds.items()] + [f"-D{name}" for name in defects]
    done = subprocess.run(["spin", "-t", *told, MODEL.name], cwd=folder, check=False, capture_output=True, text=True, timeout=60)
    return "\n".join(line for line in done.stdout.splitlines() if re.match(r"      \S|spin: text", line))


def test_the_fenced_model_has_no_error(tmp_path):
    errors, states, words = check(tmp_path, SMALL)
    assert errors == 0 and states > 10_000, words


@on_demand
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("bounds", LARGER.values(), ids=list(LARGER))
def test_the_fenced_model_has_no_error_in_larger_farms(tmp_path, bounds):
    errors, states, words = check(tmp_path, bounds, optimise="-O2")
    sys.stdout.write(f"{states} states\n")
    assert errors == 0 and states > 10_000, words


@on_demand
def test_both_sessions_can_finish_in_spite_of_a_fault(tmp_path):
    errors, _, words = check(tmp_path, SMALL, "COMPLETE")
    assert errors == 1 and "assertion violated" in words, words


@on_demand
@pytest.mark.parametrize("defect", DEFECTS)
def test_each_defect_has_its_counter_example(tmp_path, defect):
    errors, _, words = check(tmp_path, SMALL, defect)
    assert errors == 1 and "assertion violated" in words, f"{DEFECTS[defect]}, and nothing went wrong: {words}"
    sys.stdout.write(f"== {DEFECTS[defect]}:\n{history(tmp_path, SMALL, defect)}\n")
