"""Episodes on CARLA, before stand-ins with the real wheel: they are driven to the goal, judged, told of, and leave nothing behind."""

from __future__ import annotations

import contextlib
import json
import socket

import numpy as np
import pytest
from backend_contract import assert_same_outcome, drive, script
from faraway import FarBackend
from standins import StandIn, wheel

from b2d_zmq import spaces
from b2d_zmq.errors import InvalidRouteFile, RequestError, SimulatorError
from b2d_zmq.follower import RouteFollower
from worker import routes as route_files
from worker.backends.base import SimulatorLost

wheel()

SPEC = "peeking:Peeking"
ROUTES = {route.id: route for route in route_files.read(route_files.DEFAULT_FILE)}
OBSTACLE, FLOW, CROSSING, STOP_SIGN, EMERGENCY = 101, 102, 103, 105, 108
FULL = np.array([1.0, 0.0, 0.0], np.float32)
CAMERAS = {"cameras": [{"key": "ahead", "x": 1.2, "y": 0.0, "z": 1.8, "width": 160, "height": 90, "fov": 90.0}]}


def free_port():
    with contextlib.closing(socket.socket()) as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]


@pytest.fixture(scope="module")
def opening(tmp_path_factory):
    """Opens backends, each with a server and a process of its own."""
    with contextlib.ExitStack() as stack:

        def another(*words, server=None, **options):
            pictures = options.get("rendering", False)
            if server is None:
                flags = ("-nosound",) if pictures else ("-nosound", "-nullrhi")
                server = StandIn(tmp_path_factory.mktemp("carla"), *words, flags=flags)
                stack.enter_context(contextlib.closing(server))
            options = {"sensors": "state", "rendering": False, **options, "carla_port": server.port, "tm_port": free_port()}
            backend = FarBackend(SPEC, options)
            stack.callback(backend.leave)
            return backend

        yield another


@pytest.fixture(scope="module")
def backend(opening):
    return opening()


@pytest.fixture(scope="module")
def seeing(opening, tmp_path_factory):
    rig = tmp_path_factory.mktemp("rig") / "one.json"
    rig.write_text(json.dumps(CAMERAS))
    return opening(sensors=str(rig), rendering=True)


def followed(backend, route, seed=3, **options):
    """The outcomes of the follower's drive to the end."""
    follower, outcomes = RouteFollower(), [backend.reset(seed, {"route_id": route, "max_steps": 2400, **options})]
    while not (outcomes[-1].terminated or outcomes[-1].truncated):
        outcomes.append(backend.step(follower.act(outcomes[-1].observation, outcomes[-1].info), 2))
    return outcomes


def infractions(outcomes):
    return [word for outcome in outcomes for word in outcome.info.get("infractions", [])]


@pytest.mark.parametrize("route", sorted(ROUTES))
def test_the_follower_drives_every_route_to_its_goal(backend, route):
    outcomes = followed(backend, route)
    last = outcomes[-1].info
    assert last["termination"] == "completed", (last["termination"], last.get("collision"), last["scenario"])
    assert infractions(outcomes) == []
    assert last["scenario"]["type"] == ROUTES[route].scenarios[0].type
    assert last["scenario"]["state"] in ("running", "done") and last["scenario"]["archetype"] != "none"


@pytest.mark.parametrize("route", [OBSTACLE, FLOW])
def test_the_same_seed_drives_the_same_way_after_other_episodes_and_on_another_server(backend, opening, route):
    first = [outcome.digest for outcome in followed(backend, route)]
    followed(backend, CROSSING, seed=8)
    assert [outcome.digest for outcome in followed(backend, route)] == first
    assert [outcome.digest for outcome in followed(opening(), route)] == first
    assert [outcome.digest for outcome in followed(backend, route, seed=4)] != first


def test_loading_the_map_anew_for_each_episode_changes_nothing_that_is_seen(backend, opening):
    fresh = opening(reload=True)
    for _ in range(2):
        one = [backend.reset(5, {"route_id": FLOW}), *drive(backend, script(15), 4)]
        two = [fresh.reset(5, {"route_id": FLOW}), *drive(fresh, script(15), 4)]
        for a, b in zip(one, two):
            assert_same_outcome(a, b)
    assert fresh.facts()["loads"] == 2


def test_who_looks_at_nothing_hits_what_stands_there_and_is_told_what_it_was(backend):
    backend.reset(3, {"route_id": OBSTACLE, "traffic_density": 0.0})
    last = drive(backend, [FULL] * 400)[-1]
    assert last.terminated and last.info["termination"] == "collision" and last.info["infractions"] == ["collision_vehicle"]
    assert last.info["collision"].startswith("vehicle.") and last.info["reward_terms"]["collision"] < 0.0


def test_a_stop_sign_that_is_passed_without_a_stop_is_told(backend):
    begun = backend.reset(3, {"route_id": STOP_SIGN, "traffic_density": 0.0})
    follower, outcome, seen = RouteFollower(), begun, []
    for _ in range(400):
        blind = {**outcome.info, "hazard": {**outcome.info["hazard"], "stop": float("inf")}}
        outcome = backend.step(follower.act(outcome.observation, blind))
        seen += outcome.info.get("infractions", [])
        if outcome.terminated:
            break
    assert "stop_sign" in seen


def test_leaving_the_lane_and_the_road_is_told(backend):
    backend.reset(3, {"route_id": EMERGENCY, "traffic_density": 0.0, "scenario": False})
    drive(backend, [FULL] * 80)
    aside = np.array([0.6, 0.0, 0.25], np.float32)
    outcomes = drive(backend, [aside] * 200)
    assert {"lane_invasion", "off_road"} <= set(infractions(outcomes)) and outcomes[-1].info["termination"] == "off_route"


def test_the_ego_and_its_sensors_stay_from_episode_to_episode_and_no_map_is_loaded(seeing):
    seeing.reset(1, {"route_id": CROSSING})
    before = seeing.facts()
    drive(seeing, script(3), 5)
    seeing.reset(2, {"route_id": CROSSING})
    seeing.release()
    seeing.reset(1, {"route_id": CROSSING})
    after = seeing.facts()
    assert len(before["sensors"]) == 2
    assert [before[name] for name in ("ego", "sensors", "loads", "cast")] == [after[name] for name in ("ego", "sensors", "loads", "cast")]
    seeing.release()
    assert seeing.facts()["vehicles"] == 1


def test_pictures_are_of_the_very_frame_and_rgb(seeing):
    outcomes = [seeing.reset(1, {"route_id": CROSSING, "weather": "ClearNoon"})]
    for action in script(5):
        outcomes.append(seeing.step(action, 3))
        facts = seeing.facts()
        assert facts["frames"] == {"ahead": facts["frame"]}
    for outcome in outcomes:
        picture = outcome.observation["ahead"]
        assert picture.shape == (90, 160, 3) and picture.dtype == np.uint8 and picture.flags.c_contiguous
        red, _, blue = picture[:10].reshape(-1, 3).mean(axis=0)
        assert blue > red + 5.0  # the sky
    assert any((one.observation["ahead"] != other.observation["ahead"]).any() for one, other in zip(outcomes, outcomes[1:]))


def test_the_space_is_the_embedded_worlds(seeing, backend):
    assert seeing.traits.observation_space == spaces.observation_space({"ahead": (90, 160)})
    assert backend.traits.observation_space == spaces.observation_space({})
    assert backend.traits.extra["carla"] in ("0.9.15", "0.9.16")


def test_without_traffic_and_scenario_the_ego_is_alone(backend):
    backend.reset(3, {"route_id": OBSTACLE, "traffic_density": 0.0, "scenario": False})
    assert backend.facts()["cast"] == ["ego"] and backend.facts()["vehicles"] == 1
    backend.reset(3, {"route_id": OBSTACLE, "traffic_density": 1.0})
    kinds = {key.split("/")[0] for key in backend.facts()["cast"]}
    assert kinds == {"ego", "scenario", "traffic"}


def route_file(path, town, *places):
    points = "".join(f'<position x="{x}" y="{y}" z="{z}"/>' for x, y, z in places)
    path.write_text(f'<routes><route id="1" town="{town}"><waypoints>{points}</waypoints></route>{ON_THE_MAP}</routes>')
    return str(path)


def _as_xml(route):
    points = "".join(f'<position x="{x}" y="{y}" z="{z}"/>' for x, y, z in route.waypoints.tolist())
    return f'<route id="2" town="{route.town}"><waypoints>{points}</waypoints></route>'


ON_THE_MAP = _as_xml(ROUTES[OBSTACLE])
FAR_OFF = [(9000.0 + 2.0 * n, 9000.0, 0.0) for n in range(30)]


def test_a_route_off_the_map_is_refused_and_the_episode_goes_on(opening, tmp_path):
    backend = opening(routes=route_file(tmp_path / "off.xml", "Town03", *FAR_OFF))
    backend.reset(3, {"route_id": 2})
    moment = drive(backend, script(3))[-1]
    with pytest.raises(InvalidRouteFile, match="driving lane"):
        backend.reset(3, {"route_id": 1})
    assert backend.digest() == moment.digest and backend.step(FULL).tick == moment.tick + 1


def test_a_route_off_a_map_that_had_to_be_loaded_ends_the_episode_with_words(opening, tmp_path):
    backend = opening(routes=route_file(tmp_path / "off.xml", "Town05", *FAR_OFF))
    backend.reset(3, {"route_id": 2})
    with pytest.raises(SimulatorError, match=r"route 1 cannot be driven on Town05.*driving lane"):
        backend.reset(3, {"route_id": 1})
    assert backend.reset(3, {"route_id": 2}).info["town"] == "Town03"


def test_a_town_that_the_server_has_not_is_refused_and_the_episode_goes_on(opening, tmp_path):
    backend = opening(routes=route_file(tmp_path / "town.xml", "Atlantis", *FAR_OFF))
    backend.reset(3, {"route_id": 2})
    moment = drive(backend, script(3))[-1]
    with pytest.raises(RequestError, match="is in Atlantis, and this CARLA server has only"):
        backend.reset(3, {"route_id": 1})
    assert backend.digest() == moment.digest


def test_cameras_need_a_server_that_renders(opening):
    with pytest.raises(RequestError, match="use the rig state"):
        opening(sensors="predecessor", rendering=False)


def test_a_server_of_another_version_is_refused_with_advice(opening):
    with pytest.raises(RequestError, match=r"version 0\.9\.10, the client here is .*they must be the same"):
        opening("--report-version", "0.9.10")


def test_a_start_goes_by_stages(backend):
    port, version, ticks = backend.opening[:3]
    assert port.startswith("waiting for CARLA's port ")
    assert version == f"CARLA {backend.traits.extra['carla']} answers"
    assert ticks == "three ticks"


def test_nobody_at_the_port_is_told(tmp_path):
    with pytest.raises(SimulatorError, match="nobody listens at"):
        FarBackend(SPEC, {"sensors": "state", "rendering": False, "carla_port": free_port(), "tm_port": free_port()})


def test_a_server_that_hangs_in_a_tick_is_lost(opening):
    backend = opening("--hang-at-tick", "120")
    backend.reset(3, {"route_id": OBSTACLE})
    with pytest.raises(SimulatorLost, match="no longer answers"):
        drive(backend, [FULL] * 200)
