"""The folder that the stand-in lays out, and the flags that its server takes, are like CARLA's."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner
from standins import StandIn, client_of, wheel

from worker.standin import cli, flags
from worker.standin.install import BINARY, LAUNCHER, install
from worker.standin.town import build

ROUTE = """<routes><route id="7" town="Town07"><waypoints>
<position x="0" y="0" z="0"/><position x="120" y="0" z="0"/></waypoints></route></routes>"""


def test_layout_in_a_folder_with_spaces(tmp_path):
    root, routes = tmp_path / "a carla's root", tmp_path / "my routes.xml"
    routes.write_text(ROUTE)
    command = [sys.executable, "-m", "worker.standin", "install", str(root), "--dialect", "0.9.15", "--routes", routes.name]
    path = os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH", "")]))
    subprocess.run([*command, "--leak-mb", "1.5", "--die-in-load"], check=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path})
    assert (root / "VERSION").read_text() == "0.9.15\n"
    assert (root / "PythonAPI" / "carla").is_dir()
    assert os.access(root / LAUNCHER, os.X_OK) and os.access(root / BINARY, os.X_OK)
    script = (root / BINARY).read_text()
    assert "--die-in-load=1" in script and "--leak-mb=1.5" in script
    run = subprocess.run([str(root / LAUNCHER), "-carla-rpc-port=99999999"], capture_output=True, text=True, check=False, cwd="/")
    assert run.returncode == 1 and "a port '99999999'" in run.stderr


def test_a_real_carla_is_not_written_over(tmp_path):
    for name in (BINARY, LAUNCHER):
        root = tmp_path / type(name).__name__
        install(root, "0.9.16", [])
        install(root, "0.9.16", [])
        (root / name).write_bytes(b"\x7fELF" + bytes(100))
        told = CliRunner().invoke(cli.main, ["install", str(root)])
        assert told.exit_code == 1 and "no stand-in's" in told.output
        assert (root / name).read_bytes()[:4] == b"\x7fELF"


def test_the_binary_becomes_the_server(tmp_path):
    """No shell stays between: signals and the pid are the server's own."""
    root, routes = tmp_path / "root", tmp_path / "routes.xml"
    routes.write_text(ROUTE)
    server = StandIn(root, f"--routes={routes}", flags=["-RenderOffScreen", "-quality-level=Low", "-spam", "-ResX=4"])
    try:
        assert any(f"pid {server.process.pid})" in line and "serves Town07" in line for line in server.lines)
        assert any("unknown flag passed over: -spam" in line for line in server.lines)
        assert not any("ResX" in line for line in server.lines)
    finally:
        server.close()


def test_an_error_of_its_own_is_told_with_its_traceback(tmp_path, monkeypatch):
    routes = tmp_path / "routes.xml"
    routes.write_text(ROUTE)
    monkeypatch.setattr(cli.Server, "run", lambda server, sim: [].remove(sim))  # a ValueError, as a port that is none
    told = CliRunner().invoke(cli.main, ["serve", f"--routes={routes}", "-carla-rpc-port=0"])
    assert isinstance(told.exception, ValueError)


def test_without_rendering_cameras_are_silent(standin):
    carla = wheel()
    server = standin(flags=["-nullrhi"])
    world = client_of(server).get_world()
    settings = world.get_settings()
    settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.05
    world.apply_settings(settings)
    heard = []
    library = world.get_blueprint_library()
    sensors = [world.spawn_actor(library.find(name), carla.Transform()) for name in ("sensor.camera.rgb", "sensor.other.imu")]
    for sensor in sensors:
        sensor.listen(lambda data: heard.append(type(data).__name__))
    frames = {world.tick() for _ in range(5)}
    settings.synchronous_mode = False
    world.apply_settings(settings)
    world.wait_for_tick(5.0)
    assert frames and set(heard) == {"IMUMeasurement"}


@pytest.mark.parametrize(
    "words, ports",
    [
        ([], (2000, 2001, 2002)),
        (["CarlaUE4", "-carla-rpc-port=3000"], (3000, 3001, 3002)),
        (["-world-port=3000", "-carla-streaming-port=5000", "-carla-secondary-port=6000"], (3000, 5000, 6000)),
        (["-carla-world-port=3000", "-carla-streaming-port=0"], (3000, 0, 3002)),
    ],
)
def test_ports(words, ports):
    found = flags.read(words)
    assert (found.rpc_port, found.streaming_port, found.secondary_port) == ports


@pytest.mark.parametrize("port", ["65536", "65534", "x"])
def test_ports_that_are_none(port):
    with pytest.raises(ValueError, match="wanted: 1 to 65535"):
        flags.read([f"-carla-rpc-port={port}"])


def test_routes_of_several_files_may_have_the_same_ids(tmp_path):
    here, there = tmp_path / "here.xml", tmp_path / "there.xml"
    here.write_text(ROUTE)
    there.write_text(ROUTE.replace("Town07", "Town05_Opt"))
    routes = cli._routes((str(here), str(there), str(here)))
    assert [route.town for route in routes] == ["Town07", "Town05_Opt"]
    assert len(build("Town05_Opt", routes).roads) == len(build("Town05", routes).roads) == 1  # a town without routes has three


def test_rendering_and_unknown_flags():
    found = flags.read(["-nullrhi", "-RenderOffScreen", "-fast-and-loose", "-RPCThreads=4"])
    assert (found.rendering, found.unknown) == (False, ("-fast-and-loose",))
