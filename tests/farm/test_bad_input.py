"""Nonsense for the commands and for a whole farm: each is refused in a sentence, nothing hangs, nothing is left, the farm goes on."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from bench import until

from b2d_zmq import CarlaEnv, CarlaVectorEnv, Client, LocalFarm
from b2d_zmq.endpoint import usual_endpoint
from b2d_zmq.errors import FrameTooLarge, NoFreeWorker
from b2d_zmq.protocol import DEFAULT_ENDPOINT, Kind

BIN = Path(sys.executable).parent
ANY = "tcp://127.0.0.1:*"
LAUGHS = """<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><routes><route id="1" town="&b;"/></routes>"""
OUTSIDE = """<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><routes><route id="1" town="&a;"/></routes>"""


def command(name, *arguments, **options):
    return subprocess.run([str(BIN / name), *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False, **options)


@contextlib.contextmanager
def running_up(*arguments):
    """``b2d up`` as a process with its stderr in a pipe; ended when the test is over."""
    options = ["-n", "2", "--sensors", "state", "--bind", ANY, "--heartbeat", "0.2", *arguments]
    with subprocess.Popen([str(BIN / "b2d"), "up", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def read_to(stream, words):
    """Lines up to the one that has these words."""
    lines = [stream.readline()]
    while words not in lines[-1]:
        assert lines[-1], f"it ended without {words!r}: {''.join(lines)}"
        lines.append(stream.readline())
    return lines


@pytest.mark.parametrize(
    ("name", "arguments", "code", "words"),
    [
        ("b2d-broker", ["--lease-ttl", "nan"], 2, "no duration"),
        ("b2d-broker", ["--bind", "tcp://127.0.0.1:99999"], 78, "no endpoint"),
        ("b2d-broker", ["--bind", "ipc:///nowhere/at/all"], 78, "cannot listen"),
        ("b2d-worker", ["--heartbeat", "nan"], 2, "no duration"),
        ("b2d-worker", ["--grace", "nan"], 2, "no duration"),
        ("b2d-worker", ["--endpoint", "tcp://127.0.0.1:99999"], 2, "no endpoint"),
        ("b2d-worker", ["--endpoint", "http://127.0.0.1:8080"], 2, "no endpoint"),
        ("b2d-worker", ["--name", "a b"], 2, "letters"),
        ("b2d-worker", ["--backend", "carla"], 78, "no CARLA to drive"),
        ("b2d-worker", ["--backend", "os:system"], 78, "not a class"),
        ("b2d-worker", ["--sensors", "eyes"], 78, "predecessor"),
        ("b2d-worker", ["--routes", "/"], 78, "cannot be read"),
        ("b2d", ["status", "--timeout", "nan"], 2, "no duration"),
        ("b2d", ["up", "--heartbeat", "nan"], 2, "no duration"),
        ("b2d", ["up", "--sensors", "eyes", "-n", "1", "--bind", ANY], 1, "predecessor"),
        ("b2d", ["demo", "--route", "9" * 30], 2, "range"),
        ("b2d", ["demo", "--out", "/dev/null/x"], 1, "Not a directory"),
    ],
)
def test_a_wrong_argument_is_one_sentence_and_a_code(leaves_nothing, name, arguments, code, words):
    done = command(name, *arguments)
    assert done.returncode == code
    assert words in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("text", [LAUGHS, OUTSIDE, "<routes>", "\0\1", ""], ids=["laughs", "outside", "open", "bytes", "empty"])
def test_a_hostile_route_file_ends_a_worker_with_78(leaves_nothing, tmp_path, text):
    (tmp_path / "r.xml").write_text(text)
    done = command("b2d-worker", "--routes", tmp_path / "r.xml", "--sensors", "state")
    assert done.returncode == 78
    assert "r.xml" in done.stderr and "Traceback" not in done.stderr and "root:" not in done.stderr


def test_a_full_disk_is_one_sentence(leaves_nothing, farm, tmp_path):
    started = farm(workers=2)

    def nearly_full():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # Python ignores the signal, so a write fails as on a full disk

    done = command(
        "b2d", "demo", "--endpoint", started.endpoint, "--branches", "2", "--steps", "1", "--out", tmp_path / "o", preexec_fn=nearly_full
    )
    assert done.returncode == 1
    assert "File too large" in done.stderr and "Traceback" not in done.stderr
    with Client(started.endpoint) as client:
        assert [worker["state"] for worker in client.status()["workers"]] == ["free", "free"]


def test_a_port_in_use_is_said_with_advice(leaves_nothing, farm):
    endpoint = farm().endpoint
    assert "is in use" in command("b2d-broker", "--bind", endpoint).stderr
    done = command("b2d", "up", "-n", "1", "--bind", endpoint)
    assert done.returncode == 1 and "is in use" in done.stderr and "b2d status" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_up_can_be_ended_while_it_starts(leaves_nothing, number):
    with running_up() as process:
        read_to(process.stderr, "0 of 2 workers ready")
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 1 and "Traceback" not in err


def test_up_tells_of_a_worker_that_is_killed_and_ends_without_its_broker(leaves_nothing):
    with running_up() as process:
        read_to(process.stderr, "Logs: ")
        keepers = {p.cmdline()[p.cmdline().index("--index") + 1]: p for p in leaves_nothing() if "--index" in p.cmdline()}
        keepers["1"].kill()
        assert read_to(process.stderr, "w-1 left")[-1].strip() == "w-1 left (SIGKILL)"
        next(p for p in leaves_nothing() if any(word.endswith("b2d-broker") for word in p.cmdline())).kill()
        _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "the farm is gone" in err and "Traceback" not in err


def test_the_endpoint_comes_from_the_environment_everywhere(leaves_nothing, farm, tmp_path, monkeypatch):
    assert usual_endpoint() == DEFAULT_ENDPOINT
    endpoint = farm(workers=2).endpoint
    monkeypatch.setenv("B2D_ENDPOINT", endpoint)
    with CarlaEnv() as env, contextlib.closing(CarlaVectorEnv(num_envs=1)) as several, Client() as client:
        assert env.endpoint == several.client.endpoint == client.endpoint == endpoint
    with contextlib.closing(gymnasium.make("b2d_zmq/Carla-v0")) as env:
        assert env.unwrapped.endpoint == endpoint
    assert "2 workers" in command("b2d", "status").stdout
    assert f"using the farm at {endpoint}" in command("b2d", "demo", "--branches", "2", "--steps", "1", "--out", tmp_path).stdout
    assert "in use" in command("b2d-broker").stderr
    assert "in use" in command("b2d", "up", "-n", "1").stderr
    with LocalFarm(workers=1, sensors="state", heartbeat=0.2) as own:
        assert own.endpoint != endpoint
    with subprocess.Popen([str(BIN / "b2d-worker"), "--sensors", "state"], stderr=subprocess.DEVNULL) as third, Client() as client:
        try:
            assert until(lambda: len(client.status()["workers"]) == 3)
        finally:
            third.terminate()


def test_workers_of_a_killed_trainer_are_free_again(farm):
    endpoint = farm(workers=2, lease_ttl=1.0).endpoint
    code = f"from b2d_zmq import CarlaEnv\ne = CarlaEnv({endpoint!r})\ne.reset(seed=1)\ng = e.fork(2)\nprint('held', flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as trainer:
        assert trainer.stdout.readline() == "held\n"
        with Client(endpoint) as client:
            with pytest.raises(NoFreeWorker, match=f":{trainer.pid} "):
                client.acquire(1)
            os.kill(trainer.pid, signal.SIGKILL)
            assert len(client.acquire(2, wait=20.0)) == 2


def test_a_grant_whose_answer_nobody_heard_lapses(farm):
    """The client lives and keeps what it knows of; what it was granted without hearing of it must not be kept with it."""
    endpoint = farm(workers=2, lease_ttl=1.0).endpoint
    with Client(endpoint) as client, Client(endpoint) as other:
        (known,) = client.acquire(1)
        asked = {"n": 1, "wait": 0.0, "client": client.token, "label": client.label, "profile": ""}
        other.send(Kind.ACQUIRE, asked, budget=5.0)  # in the name of the first, who never hears the answer
        assert until(lambda: len(client.status()["leases"]) == 2)
        assert until(lambda: [lease["lease"] for lease in client.status()["leases"]] == [known.name])


def test_a_farm_of_small_messages_refuses_a_large_rollout_and_goes_on(leaves_nothing):
    with LocalFarm(workers=1, sensors="state", heartbeat=0.2, message_bytes=70_000) as farm, CarlaEnv(farm.endpoint) as env:
        env.reset(seed=1)
        with env.fork(1) as group, pytest.raises(FrameTooLarge, match="--message-bytes"):
            group.rollout(np.zeros((1, 500, 3), np.float32), observations="all")
        assert env.step(np.zeros(3, np.float32))[4]["tick"] == 1
