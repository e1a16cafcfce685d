"""What ships, and whether a foreign package has taken one of our names."""

import configparser
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def owners(module_file: str):
    """The distributions that claim to have installed this file."""
    return sorted(
        {dist.metadata["Name"] for dist in importlib.metadata.distributions() if any(str(file) == module_file for file in dist.files or ())}
    )


@pytest.mark.parametrize("room", ["b2d_zmq", "broker", "worker"])
def test_no_foreign_package_owns_our_names(room):
    foreign = [name for name in owners(f"{room}/__init__.py") if name.replace("_", "-") != "b2d-zmq"]
    assert not foreign, f"{foreign} also installed {room}/; give the farm an environment of its own"


def test_the_rooms_that_are_imported_are_ours():
    code = "import b2d_zmq, broker, worker; print(b2d_zmq.__file__, broker.__file__, worker.__file__)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/").stdout.split()
    assert [Path(file).parent.parent for file in printed] == [Path(printed[0]).parent.parent] * 3


def test_every_package_folder_ships():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    shipped = set(config["options"]["packages"].split())
    folders = {
        ".".join(init.parent.relative_to(ROOT).parts)
        for room in ("b2d_zmq", "broker", "worker")
        for init in (ROOT / room).rglob("__init__.py")
    }
    assert shipped == folders


@pytest.mark.parametrize("command", ["b2d", "b2d-broker", "b2d-worker"])
def test_commands_say_their_version_and_file(command):
    done = subprocess.run([str(Path(sys.executable).parent / command), "--version"], capture_output=True, text=True, check=True)
    version = importlib.metadata.version("b2d-zmq")
    assert version in done.stdout
    where = Path(done.stdout.split()[-1].strip("()"))
    assert where.exists(), "it says where it runs from, so that a shadowed package shows"


def test_nothing_names_where_it_was_built():
    """No machine's paths, no package hosts: the project speaks of itself alone."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode != 0:
        pytest.skip("not a git checkout")
    words = ["/" + "root/", "/" + "tmp/dev", "py" + "pi.org", "/" + "work/"]
    found = []
    for name in tracked.stdout.splitlines():
        path = ROOT / name
        if path.suffix in {".png", ".svg"} or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        found += [(name, word) for word in words if word in text]
    assert not found
