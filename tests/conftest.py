"""Fixtures of all tests: ``farm`` starts real farms, ``bench`` a real worker before a broker played by the test.

Every process that a test starts carries the test's mark in its environment; none may be left when the test is over. Logs are printed
where a test fails.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from pathlib import Path

import psutil
import pytest
from bench import Bench, until

from b2d_zmq.local import LocalFarm

MARK = "B2D_TEST_MARK"

os.environ.pop("B2D_ENDPOINT", None)  # whoever has a farm of their own must not see it tested
os.environ.pop("CARLA_ROOT", None)  # nor a CARLA of their own started
os.environ.pop("B2D_CURVE_DIR", None)  # nor keys of their own used
os.environ.pop("BENCH2DRIVE_ROOT", None)  # nor routes of their own driven


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    item.stash.setdefault(_FAILED, []).append(report.failed)
    return report


_FAILED = pytest.StashKey()


@pytest.fixture
def leaves_nothing(monkeypatch):
    """Marks what the test starts, and fails if any of it is left. Yields a function that lists the marked processes."""
    mark = secrets.token_hex(8)
    monkeypatch.setenv(MARK, mark)
    tests = str(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [tests, os.environ.get("PYTHONPATH", "")])))

    def marked():
        return [process for process in psutil.process_iter() if process.pid != os.getpid() and _mark(process) == mark]

    yield marked
    left = [] if until(lambda: not marked(), seconds=5, fail=False) else marked()
    told = []
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            told.append(f"{process.pid}: {' '.join(process.cmdline())[:200]}")
            process.kill()
    assert not told, f"left running: {told}"


@pytest.fixture
def farm(leaves_nothing, tmp_path, request):
    """A factory of farms: ``farm(workers=2, sensors="state", backend="faulty:Counts")``; closed at the end.

    The heartbeat is 0.25 s unless told otherwise: quick, and yet a busy machine does not miss four of them in a row.
    """
    farms = []

    def start(workers=1, **options):
        folder = tmp_path / f"farm{len(farms)}"
        settings = {"sensors": "state", "heartbeat": 0.25, "log_dir": folder, "start_timeout": 60.0, **options}
        farms.append(LocalFarm(workers=workers, **settings))
        return farms[-1]

    yield start
    for started in farms:
        started.close()
    _print_logs(request, tmp_path)


@pytest.fixture
def bench(leaves_nothing, tmp_path, request):
    """A factory of workers that talk to the test: ``bench("faulty:Hangs", "--grace", "1")``."""
    with contextlib.ExitStack() as stack:
        yield lambda backend="faulty:Counts", *options: stack.enter_context(Bench(tmp_path, backend, options))
    _print_logs(request, tmp_path)


def _print_logs(request, folder):
    if any(request.node.stash.get(_FAILED, [])):
        for log in sorted(folder.rglob("*.log")):
            sys.stdout.write(f"--- {log.relative_to(folder)}\n{log.read_text(errors='replace')}\n")


def _mark(process):
    try:
        return process.environ().get(MARK)
    except (psutil.Error, OSError):
        return None
