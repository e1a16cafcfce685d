"""What ships works by itself: a wheel, built and installed into an empty environment, runs the demo."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif("B2D_OTHER_PYTHONS" not in os.environ, reason="built and installed once, by make test on the default Python"),
]


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def test_the_wheel_alone_runs_the_demo(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # by way of the source archive, so that nothing stale in build/ gets in
    run(sys.executable, "-m", "build", "--outdir", tmp_path, ROOT, env=environment)
    (wheel,) = tmp_path.glob("*.whl")
    rooms = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert rooms == {"b2d_zmq", "broker", "worker"}

    run(sys.executable, "-m", "venv", tmp_path / "empty")
    binaries = tmp_path / "empty" / "bin"
    run(binaries / "python", "-m", "pip", "install", "--quiet", wheel, env=environment)
    run(binaries / "b2d", "demo", "--steps", "5", "--out", tmp_path / "out", cwd=tmp_path, env=environment)
    assert (tmp_path / "out" / "demo.png").stat().st_size > 10_000
    assert json.loads((tmp_path / "out" / "demo.json").read_text())
