"""The commands for people on workers that own CARLA servers: the stand-in's, with the real wheel of this Python."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import cv2
import psutil
import pytest
from bench import until
from standins import dialect, wheel

from b2d_zmq import CarlaEnv, LocalFarm
from b2d_zmq.errors import UnknownOption
from worker.routes import DEFAULT_FILE
from worker.standin.install import install

wheel()  # without one, nothing here can run

SMALL = {"cameras": [{"key": "front_image", "x": 1.5, "y": 0, "z": 1.7, "yaw": 0, "width": 128, "height": 64, "fov": 90}]}


@pytest.fixture
def here(leaves_nothing, tmp_path, monkeypatch):
    """A folder with a stand-in's root, and locks of its own."""
    monkeypatch.setenv("B2D_RUN_DIR", str(tmp_path / "run"))
    install(tmp_path / "carla", dialect(), [f"--dialect={dialect()}", f"--routes={DEFAULT_FILE}"])
    return tmp_path


def b2d(*arguments):
    command = [sys.executable, "-m", "b2d_zmq", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=115, check=False)


def test_the_demo_makes_the_same_picture_and_table_on_carla(here):
    (here / "small.json").write_text(json.dumps(SMALL))
    carla = ("--backend", "carla", "--carla-root", here / "carla", "--sensors", here / "small.json")
    done = b2d("demo", *carla, "--branches", 2, "--steps", 10, "--out", here / "out", "--", "--rendering", "offscreen")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "restored by replay: exact" in done.stdout and "by digest: 2 of 2 branches" in done.stdout and "advantage" in done.stdout
    told = json.loads((here / "out" / "demo.json").read_text())
    assert [one["verdict"] for one in told["start"]["fidelity"]] == ["exact"] * 2
    assert set(told["start"]["digests"]) == {told["snapshot"]["digest"]}
    assert len({branch["digests"][-1] for branch in told["branches"]}) == 2
    picture = cv2.imread(str(here / "out" / "demo.png"))
    assert picture is not None and picture.shape[0] > 600


@pytest.mark.parametrize("tier", ["replay", "transfer"])
def test_an_episode_whose_server_is_killed_goes_on_where_it_was(here, tier):
    options = {"backend": "carla", "carla_root": here / "carla", "sensors": "state", "log_dir": here / "logs", "heartbeat": 0.2}
    with LocalFarm(2, **options) as farm, CarlaEnv(farm.endpoint, tier=tier) as env:

        def kill_server():
            (told,) = (one for one in env.client.status()["workers"] if one["worker"] == env.last_info["worker"])
            psutil.Process(told["progress"]["server"]["pid"]).kill()

        env.reset(seed=1)
        digests = [env.step([0.5, 0.0, steer])[4]["digest"] for steer in (0.0, 0.1, -0.1, 0.0)]
        env.reset(seed=1)
        for steer in (0.0, 0.1):
            env.step([0.5, 0.0, steer])
        until(lambda: all(one["progress"].get("server", {}).get("state") == "up" for one in env.client.status()["workers"]))
        kill_server()
        info = env.step([0.5, 0.0, -0.1])[4]
        while "resumed" not in info:  # a signal takes its time, and the step may have been quicker
            info = env.step([0.5, 0.0, 0.0])[4]
        assert info["resumed"]["verdict"] == "exact" and info["resumed"]["drift"]["position"] == 0.0
        assert info["digest"] == digests[2] or info["tick"] > 3
        snapshot, before = env.snapshot(), env.last_info["tick"]
        env.restore(snapshot)
        until(lambda: all(one["state"] != "starting" for one in env.client.status()["workers"]), seconds=30)
        kill_server()
        info = env.last_info
        while "resumed" not in info:
            info = env.step([0.5, 0.0, 0.0])[4]
        told = info["resumed"]
        assert info["tick"] > before and told["drift"]["position"] < 0.02 and told["drift"]["speed"] < 0.05
        assert told["verdict"] == "exact" or tier == "transfer"


def test_fidelity_measures_every_tier(here):
    carla = ("--backend", "carla", "--carla-root", here / "carla", "--routes", DEFAULT_FILE)
    done = b2d("fidelity", *carla, "--sample", 1, "--prefix", 30, "--ticks", "0,1,20", "--out", here / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((here / "out" / "fidelity.json").read_text())
    assert told["tiers"] == ["replay", "transfer", "hybrid"] and told["installation"]["carla"] == dialect()
    for tier in told["tiers"]:
        assert told["restores"][tier]["restores"] == 2, told["routes"]
        assert told["restores"][tier]["measured"]["degraded"] == 0, told["routes"]
    assert told["restores"]["replay"]["said"]["exact"] == 2


def test_a_group_on_carla_has_a_noise_floor_and_its_servers_are_told(here):
    options = {"backend": "carla", "carla_root": here / "carla", "sensors": "state", "log_dir": here / "logs"}
    with LocalFarm(2, **options) as farm, CarlaEnv(farm.endpoint, tier="replay") as env:
        env.reset(seed=1)
        for _ in range(20):
            env.step([0.5, 0.0, 0.0])
        with pytest.raises(UnknownOption, match="replay, transfer, hybrid"):
            env.fork(2, tier="exact")
        with env.fork(2) as group:
            floor = group.noise_floor([0.5, 0.0, 0.0], 10)
            assert floor.identical and floor.spread == 0.0 and floor.drift.position.max() == 0.0
            assert [told["verdict"] for told in group.fidelity] == ["exact"] * 2
            group.step([[0.5, 0.0, -0.2], [0.5, 0.0, 0.2]])
            group.select(1)
        assert env.last_info["tick"] == 21
        deadline = time.monotonic() + 10
        servers = []
        while time.monotonic() < deadline and not (len(servers) == 2 and all(one.get("state") == "up" for one in servers)):
            servers = [worker["progress"].get("server", {}) for worker in env.client.status()["workers"]]
        assert len({one["pid"] for one in servers}) == len({one["port"] for one in servers}) == 2
        done = b2d("status", "--endpoint", farm.endpoint)
    assert done.returncode == 0 and str(servers[0]["pid"]) in done.stdout and str(servers[1]["port"]) in done.stdout


def test_a_trainer_that_keeps_its_lease_gets_a_fresh_server(here):
    options = {"backend": "carla", "carla_root": here / "carla", "sensors": "state", "log_dir": here / "logs", "heartbeat": 0.2}
    with LocalFarm(1, worker_options=["--recycle-episodes", "2"], **options) as farm, CarlaEnv(farm.endpoint, wait=0.0) as env:

        def server():
            return env.client.status()["workers"][0]["progress"].get("server", {})

        first = [env.reset(seed=1)[1]["digest"], env.step([0.5, 0.0, 0.0])[4]["digest"]]
        env.reset(seed=1)
        pid = until(lambda: server().get("worn") and server()["pid"])
        info = env.reset(seed=1)[1]
        assert info["resumed"]["verdict"] == "exact" and "replaced where an episode ended" in info["resumed"]["lost"][0]
        assert [info["digest"], env.step([0.5, 0.0, 0.0])[4]["digest"]] == first
        assert until(lambda: server().get("pid")) != pid
