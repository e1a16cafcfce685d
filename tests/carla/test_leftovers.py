"""What a failure leaves behind on a CARLA server: no half an episode to go on with, and nobody in the way of the next."""

from __future__ import annotations

import contextlib
import json
import socket

import numpy as np
import pytest
from backend_contract import drive, script
from faraway import FarBackend
from standins import StandIn, wheel

from b2d_zmq.errors import NoEpisode, SimulatorError

wheel()

RESET = (3, {"route_id": 102})
RIG = {"cameras": [{"key": "ahead", "x": 1.2, "y": 0.0, "z": 1.8, "width": 96, "height": 64, "fov": 90.0}]}


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Opens backends, one after the other, on the same server."""
    folder = tmp_path_factory.mktemp("carla")
    (folder / "rig.json").write_text(json.dumps(RIG))
    with contextlib.closing(StandIn(folder)) as server, contextlib.ExitStack() as stack:

        def another():
            with contextlib.closing(socket.socket()) as asked:
                asked.bind(("127.0.0.1", 0))
                port = asked.getsockname()[1]
            backend = FarBackend("peeking:Peeking", {"sensors": str(folder / "rig.json"), "carla_port": server.port, "tm_port": port})
            stack.callback(backend.leave)
            return backend

        yield another


@pytest.fixture(scope="module")
def first(opened):
    return opened()


@pytest.fixture(scope="module")
def whole(first):
    """Who is there in an episode that nothing has gone wrong in."""
    first.reset(*RESET)
    there = first.census()
    assert there["sensor"] == 2 and there["vehicle"] > 3
    return there


def begins_anew(backend, whole):
    with pytest.raises(NoEpisode):
        backend.digest()
    outcome = backend.reset(*RESET)
    assert backend.census() == whole
    facts = backend.facts()
    assert facts["frames"] == {"ahead": facts["frame"]} and outcome.observation["ahead"].any()


@pytest.mark.parametrize("where, name", [("staging", "_introduce"), ("episode.Episode", "open")])
def test_a_beginning_that_failed_leaves_nobody(first, whole, where, name):
    first.stumble(where, name, 1)
    with pytest.raises(SimulatorError, match="stumbled"):
        first.reset(*RESET)
    begins_anew(first, whole)


def test_half_a_step_is_none(first, whole):
    first.reset(*RESET)
    first.stumble("episode.Episode", "world_tick", 3)
    with pytest.raises(SimulatorError, match="stumbled"):
        first.step(np.array([0.5, 0.0, 0.0], np.float32), 5)
    begins_anew(first, whole)


def test_half_a_replay_is_none_and_the_cameras_are_on_for_the_next(first, whole):
    first.reset(*RESET)
    drive(first, script(8), ticks=5)
    data = first.snapshot().data
    first.stumble("episode.Episode", "step", 10)
    with pytest.raises(SimulatorError, match="stumbled"):
        first.restore(data, "replay")
    begins_anew(first, whole)


def test_half_a_transfer_is_none_and_another_finds_nobody_in_its_way(first, whole):
    first.reset(*RESET)
    drive(first, script(2), ticks=5)
    data = first.snapshot().data
    first.stumble("lead_in.LeadIn", "land", 1)
    with pytest.raises(SimulatorError, match="stumbled"):
        first.restore(data, "transfer")
    fidelity = first.restore(data, "transfer").info["fidelity"]
    assert (fidelity["extra"], fidelity["missing"], fidelity["lights"], fidelity["verdict"]) == (0, 0, 0, "good")
    assert first.census() == whole


def test_an_ego_that_somebody_removed_is_told_and_replaced_with_its_sensors(first, whole):
    first.reset(*RESET)
    first.lose_ego()
    with pytest.raises(SimulatorError):
        first.step(np.array([0.5, 0.0, 0.0], np.float32))
    begins_anew(first, whole)


def test_a_server_whose_last_client_was_killed_serves_the_next_as_if_new(opened, whole):
    killed = opened()
    killed.reset(*RESET)
    killed._process.kill()
    killed._process.join()
    heir = opened()
    begins_anew(heir, whole)
    assert heir.facts()["loads"] == 1  # whoever was killed may have left false times of lights, and they cannot be told from true ones
