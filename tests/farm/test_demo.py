"""``b2d demo`` as a newcomer runs it: a process of its own, real workers, two files, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid

import cv2
import numpy as np
import psutil
import pytest

from b2d_zmq import Client
from b2d_zmq.demo import LIVE_STEPS, MOST_STEER, manoeuvres
from b2d_zmq.picture import CHOSEN, WIDTH, color_of

STEPS = 12
SMALL = {"cameras": [{"key": "front_image", "x": 1.5, "y": 0, "z": 1.7, "yaw": 0, "width": 128, "height": 64, "fov": 90}]}


def marked_processes(mark):
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("B2D_TEST_MARK") == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def run_demo(out, *options):
    mark = uuid.uuid4().hex
    command = [sys.executable, "-m", "b2d_zmq", "demo", "--out", str(out), *options]
    done = subprocess.run(command, env={**os.environ, "B2D_TEST_MARK": mark}, capture_output=True, text=True, timeout=110, check=False)
    assert marked_processes(mark) == []
    return done


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    path = tmp_path_factory.mktemp("rig") / "small.json"
    path.write_text(json.dumps(SMALL))
    return str(path)


@pytest.fixture(scope="module")
def told(rig, tmp_path_factory):
    """One run of the demo: what it printed, its numbers, its picture."""
    out = tmp_path_factory.mktemp("demo") / "new" / "folder"
    done = run_demo(out, "--steps", str(STEPS), "--sensors", rig, "--seed", "3")
    assert done.returncode == 0, done.stderr
    return done, json.loads((out / "demo.json").read_text()), cv2.imread(str(out / "demo.png"))[:, :, ::-1]


def test_it_says_what_it_does(told):
    done, numbers, _ = told
    for words in ("bit-identical: yes", "advantage", "straight", "left", "right", "wrote", f"route {numbers['route_id']}"):
        assert words in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_branches_start_from_the_snapshot(told):
    _, numbers, _ = told
    start = numbers["start"]
    assert start["identical"] is True
    assert set(start["digests"]) == {numbers["snapshot"]["digest"]}
    assert len(set(start["observation_hashes"])) == 1
    assert len(start["digests"]) == 3


def test_numbers_agree_with_each_other(told):
    _, numbers, _ = told
    branches = numbers["branches"]
    assert [branch["name"] for branch in branches] == ["straight", "left", "right"]
    for branch in branches:
        assert branch["steps"] == len(branch["rewards"]) == len(branch["digests"]) == len(branch["path"]) - 1
        assert branch["steps"] == STEPS or branch["ended"]
        assert branch["return"] == pytest.approx(sum(branch["rewards"]), abs=1e-4)
        assert branch["return"] == pytest.approx(sum(branch["terms"].values()), abs=1e-3)
    returns = np.array([branch["return"] for branch in branches])
    advantages = np.array([branch["advantage"] for branch in branches])
    assert advantages == pytest.approx((returns - returns.mean()) / (returns.std() + 1e-6), abs=1e-4)
    assert numbers["selected"] == returns.argmax()
    assert [branch["selected"] for branch in branches] == [i == numbers["selected"] for i in range(3)]
    assert len({branch["digests"][-1] for branch in branches}) == 3


def test_the_live_drive_goes_on_where_the_branch_ended(told):
    _, numbers, _ = told
    chosen, live = numbers["branches"][numbers["selected"]], numbers["live"]
    assert live["path"][0] == chosen["path"][-1]
    assert live["steps"] == LIVE_STEPS or live["ended"]


def test_the_picture_shows_a_row_per_branch(told):
    _, _, picture = told
    assert picture.shape[1] == WIDTH
    for i in range(3):
        assert (picture == color_of(i)).all(axis=2).any()
    assert (picture == CHOSEN).all(axis=2).any()
    assert picture.shape[0] > 700


def test_the_same_seed_gives_the_same_drive_even_in_waves(told, rig, tmp_path):
    _, numbers, _ = told
    done = run_demo(tmp_path, "--steps", str(STEPS), "--sensors", rig, "--seed", "3", "--workers", "2")
    assert done.returncode == 0, done.stderr
    again = json.loads((tmp_path / "demo.json").read_text())
    assert again["snapshot"]["digest"] == numbers["snapshot"]["digest"]
    for one, other in zip(numbers["branches"] + [numbers["live"]], again["branches"] + [again["live"]]):
        assert one["digests"] == other["digests"]
        assert one["path"] == other["path"]


def test_a_route_that_does_not_exist_is_one_clear_line(rig, tmp_path):
    done = run_demo(tmp_path, "--route", "999999", "--sensors", rig, "--workers", "1")
    assert done.returncode == 1
    assert "999999" in done.stderr and "Traceback" not in done.stderr


def test_it_uses_a_running_farm_and_leaves_it_running(farm, tmp_path):
    running = farm(workers=2)
    done = run_demo(tmp_path, "--endpoint", running.endpoint, "--branches", "2", "--steps", "3")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "demo.json").read_text())["start"]["identical"]
    with Client(running.endpoint) as client:
        assert [worker["state"] for worker in client.status()["workers"]] == ["free", "free"]
    refused = run_demo(tmp_path, "--endpoint", running.endpoint, "--sensors", "state")
    assert refused.returncode == 1 and "Leave them out" in refused.stderr


def test_ctrl_c_leaves_nothing(leaves_nothing, tmp_path):
    command = [sys.executable, "-m", "b2d_zmq", "demo", "--sensors", "state", "--out", str(tmp_path), "--steps", "1000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while "bit-identical" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 1 and "Traceback" not in err


@pytest.mark.parametrize("branches", [2, 3, 4, 5, 8])
def test_manoeuvres_differ_and_begin_with_straight(branches):
    steers = manoeuvres(branches)
    assert len(set(steers)) == len(steers) == branches
    assert steers[:2] == [0.0, -MOST_STEER]
    assert max(map(abs, steers)) == MOST_STEER
