"""The embedded backend's own promises: what a drive is worth, how it ends, what info tells, and what its snapshots refuse."""

from types import SimpleNamespace

import numpy as np
import pytest
from backend_contract import assert_same, assert_same_outcome, drive, script

from b2d_zmq.errors import NoEpisode, SnapshotCorrupt, SnapshotMismatch
from b2d_zmq.follower import RouteFollower
from b2d_zmq.spaces import COMMANDS
from worker import routes as route_files
from worker.backends.embedded import EmbeddedBackend
from worker.backends.seal import seal, unseal
from worker.task import DENSE, TERMS
from worker.world.world import World

QUIET = {"traffic_density": 0, "scenario": False}
INF = float("inf")
ALWAYS = {
    "route_id", "town", "seed", "step_count", "cumulative_reward", "reward_terms", "vehicle_state", "scenario", "weather", "speed_limit",
    "route_ahead", "hazard", "lane_offset", "heading_error",
}  # fmt: skip
AT_THE_START = {"route", "lanes", "traffic_density"}
ROUTES = route_files.read(route_files.DEFAULT_FILE)


@pytest.fixture(scope="module")
def opened():
    backend = EmbeddedBackend(sensors="state")
    yield backend
    backend.close()


@pytest.fixture
def backend(opened):
    opened.release()
    return opened


def blindly(info, route):
    """The same info, but neither the hazards nor a way round them: who follows this one brakes for nothing and keeps to the line."""
    place = info["vehicle_state"]["position"]
    nearest = int(np.hypot(route[:, 0] - place["x"], route[:, 1] - place["y"]).argmin())
    ahead = route[np.minimum(np.arange(nearest + 1, nearest + 17), len(route) - 1)]
    return {**info, "route_ahead": ahead, "hazard": {**info["hazard"], "gap": INF, "gap_speed": 0.0, "stop": INF}}


def follow(backend, outcome, limit=5000, blind=False):
    """Drive the route follower to the end of the episode, or for ``limit`` steps; all outcomes."""
    follower, outcomes = RouteFollower(), [outcome]
    while not (outcomes[-1].terminated or outcomes[-1].truncated) and len(outcomes) < limit:
        last = outcomes[-1]
        info = blindly(last.info, outcome.info["route"]) if blind else last.info
        outcomes.append(backend.step(follower.act(last.observation, info)))
    return outcomes


def with_scenario(*kinds):
    return [route for route in ROUTES if any(scenario.type.startswith(kinds) for scenario in route.scenarios)]


def test_info_at_reset_step_and_restore(backend):
    first = backend.reset(3, {"route_id": ROUTES[0].id, "traffic_density": 0.5})
    assert set(first.info) == ALWAYS | AT_THE_START
    assert first.info["route_id"] == ROUTES[0].id and first.info["town"] == ROUTES[0].town and first.info["traffic_density"] == 0.5
    route = first.info["route"]
    gaps = np.hypot(*np.diff(route, axis=0).T)
    assert route.dtype == np.float32 and route.shape[1] == 2 and np.abs(gaps[:-1] - 2.0).max() < 0.05
    step = backend.step(np.array([0.5, 0, 0], np.float32))
    assert set(step.info) == ALWAYS
    assert tuple(step.info["reward_terms"]) == TERMS
    assert step.info["route_ahead"].shape == (16, 2) and step.info["route_ahead"].dtype == np.float32
    assert set(step.info["hazard"]) == {"gap", "gap_speed", "stop", "speed_limit"}
    assert set(step.info["scenario"]) == {"type", "archetype", "state"}
    restored = backend.restore(backend.snapshot().data)
    assert set(restored.info) == ALWAYS | AT_THE_START
    assert_same(restored.info["route"], route)


def test_info_agrees_with_the_observation(backend):
    backend.reset(3, {})
    last = drive(backend, script(30))[-1]
    state, told = last.observation["vehicle_state"], last.info["vehicle_state"]
    np.testing.assert_array_equal(state["position"], np.float32(list(told["position"].values())))
    np.testing.assert_array_equal(state["rotation"], np.float32(list(told["rotation"].values())))
    np.testing.assert_array_equal(state["velocity"], np.float32(list(told["velocity"].values())))
    np.testing.assert_array_equal(state["speed"], np.float32([told["speed"]]))
    assert list(told["rotation"]) == ["pitch", "yaw", "roll"] and told["speed"] > 1.0


def test_the_heading_is_in_degrees_and_follows_the_motion(backend):
    for route in ROUTES:
        outcome = backend.reset(3, {**QUIET, "route_id": route.id})
        last = follow(backend, outcome, limit=60)[-1].info["vehicle_state"]
        course = np.degrees(np.arctan2(last["velocity"]["y"], last["velocity"]["x"]))
        assert abs((course - last["rotation"]["yaw"] + 180.0) % 360.0 - 180.0) < 10.0


def test_a_quiet_route_is_driven_to_its_end_for_a_hundred(backend):
    for route in ROUTES:
        last = follow(backend, backend.reset(3, {**QUIET, "route_id": route.id, "max_steps": 5000}))[-1]
        assert last.terminated and not last.truncated and last.info["termination"] == "completed", route.id
        assert last.info["route_completed"] is True and last.info["reward_terms"]["route_completed"] == 100.0
        assert last.observation["navigation"]["route_completion"][0] == 1.0
        assert last.observation["navigation"]["distance_to_goal"][0] <= 2.0
        with pytest.raises(NoEpisode):
            backend.step(np.zeros(3, np.float32))


def test_driving_blind_ends_in_a_collision(backend):
    for route in with_scenario("ParkedObstacle"):
        last = follow(backend, backend.reset(3, {"route_id": route.id, "traffic_density": 0, "max_steps": 5000}), blind=True)[-1]
        assert last.terminated and last.info["termination"] == "collision"
        assert last.info["collision"] and last.info["reward_terms"]["collision"] == -10.0
        assert "collision_vehicle" in last.info["infractions"]


def test_running_a_red_light_costs_five(backend):
    costs = []
    for seed in range(12):
        for route in with_scenario("Signalized"):
            for outcome in follow(backend, backend.reset(seed, {**QUIET, "route_id": route.id, "max_steps": 600}), blind=True):
                if "red_light" in outcome.info.get("infractions", ()):
                    costs.append(outcome.info["reward_terms"]["red_light_violation"])
        if costs:
            break
    assert costs and set(costs) == {-5.0}


def test_leaving_the_road_ends_off_route(backend):
    backend.reset(3, {**QUIET, "max_steps": 5000})
    outcomes = drive(backend, [np.array([0.6, 0.0, -0.25], np.float32)] * 600)
    assert outcomes[-1].terminated and outcomes[-1].info["termination"] in ("off_route", "collision")
    assert any(outcome.info["reward_terms"]["lane_violation"] == -1.0 for outcome in outcomes)


def test_standing_still_is_blocked_after_a_minute(backend):
    backend.reset(3, {**QUIET, "max_steps": 5000})
    last = backend.step(np.array([0.0, 1.0, 0.0], np.float32), 5000)
    assert last.terminated and last.info["termination"] == "blocked" and last.info["step_count"] == 1200


def test_time_truncates(backend):
    backend.reset(3, {"max_steps": 10})
    last = drive(backend, [np.array([0.0, 1.0, 0.0], np.float32)] * 20)[-1]
    assert last.truncated and not last.terminated and last.info["max_steps_reached"] is True and last.info["step_count"] == 10
    assert "termination" not in last.info


def test_sparse_pays_for_the_end_only(backend):
    outcomes = follow(backend, backend.reset(3, {**QUIET, "reward_type": "sparse", "max_steps": 5000}))
    assert [outcome.reward for outcome in outcomes[:-1]] == [0.0] * (len(outcomes) - 1)
    assert outcomes[-1].reward == 100.0 == outcomes[-1].info["cumulative_reward"]


def test_weights_scale_their_terms(backend):
    plain = [backend.reset(3, QUIET), *drive(backend, script(20))]
    heavy = [backend.reset(3, {**QUIET, "reward_weights": {"progress": 2.0, "alive": 0}}), *drive(backend, script(20))]
    for one, other in zip(plain[1:], heavy[1:]):
        assert other.info["reward_terms"]["alive"] == 0.0
        assert other.info["reward_terms"]["progress"] == pytest.approx(one.info["reward_terms"]["progress"] * 2.0 / DENSE["progress"])
        assert_same(one.observation, other.observation)


def test_the_rewards_add_up(backend):
    outcomes = follow(backend, backend.reset(3, {**QUIET, "max_steps": 5000}))
    total = sum(outcome.reward for outcome in outcomes)
    assert outcomes[-1].info["cumulative_reward"] == pytest.approx(total)
    progress = sum(outcome.info["reward_terms"].get("progress", 0.0) for outcome in outcomes)
    assert progress == pytest.approx(DENSE["progress"] * backend.reset(3, QUIET).observation["navigation"]["distance_to_goal"][0], rel=0.03)


def test_commands_name_the_turn(backend):
    for route in with_scenario("SignalizedJunctionLeftTurn"):
        outcomes = follow(backend, backend.reset(3, {**QUIET, "route_id": route.id, "max_steps": 5000}))
        seen = {COMMANDS[outcome.observation["navigation"]["command"]] for outcome in outcomes}
        assert {"left", "follow lane"} <= seen


def test_weather_by_name_by_parameters_and_the_routes_own(backend):
    assert backend.reset(3, {"weather": "HardRainNight"}).info["weather"] == "HardRainNight"
    assert backend.reset(3, {"weather": {"fog_density": 77.0}}).info["weather"] == "custom"
    wet = [backend.reset(3, {**QUIET, "weather": "HardRainNoon"}), *drive(backend, [np.array([1, 0, 0], np.float32)] * 20)]
    dry = [backend.reset(3, {**QUIET, "weather": "ClearNoon"}), *drive(backend, [np.array([1, 0, 0], np.float32)] * 20)]
    assert wet[0].digest != dry[0].digest or wet[-1].digest != dry[-1].digest


def test_every_route_of_ours_snapshots_small_and_exactly(backend):
    for route in ROUTES:
        backend.reset(5, {"route_id": route.id})
        drive(backend, script(30))
        taken = backend.snapshot()
        future = drive(backend, script(30, seed=6))
        assert len(taken.data) < 20_000, route.id
        assert backend.restore(taken.data).digest == taken.digest
        for one, other in zip(future, drive(backend, script(30, seed=6))):
            assert_same_outcome(one, other)


def test_a_snapshot_needs_neither_the_route_file_nor_the_rig(backend, tmp_path):
    moment = backend.reset(5, {"route_id": ROUTES[1].id})
    data = backend.snapshot().data
    points = "".join(f'<position x="{2 * n}" y="0" z="0"/>' for n in range(50))
    (tmp_path / "one.xml").write_text(f'<routes><route id="1" town="Town01"><waypoints>{points}</waypoints></route></routes>')
    (tmp_path / "small.json").write_text('{"cameras": [{"key": "front_image", "x": 0.5, "y": 0, "z": 1.6, "width": 64, "height": 48}]}')
    other = EmbeddedBackend(str(tmp_path / "one.xml"), str(tmp_path / "small.json"))
    back = other.restore(data)
    assert back.info["route_id"] == ROUTES[1].id and back.digest == moment.digest
    picture = back.observation.pop("front_image")
    assert picture.shape == (48, 64, 3) and picture.std() > 1.0
    assert_same(dict(back.observation), moment.observation)
    other.close()


def spoiled(data, **parts):
    return seal({**unseal(data), **parts})


def test_another_backend_or_version_is_named(backend):
    moment = backend.reset(3, {})
    data = backend.snapshot().data
    with pytest.raises(SnapshotMismatch, match="backend 'carla' version '1'; this worker has backend 'embedded' version '1'"):
        backend.restore(spoiled(data, backend="carla"))
    with pytest.raises(SnapshotMismatch, match="version '99'"):
        backend.restore(spoiled(data, version="99"))
    assert backend.digest() == moment.digest


@pytest.mark.parametrize("part", ["settings", "world", "task"])
@pytest.mark.parametrize("value", [None, 0, "x", [], {}, [0] * 6, {"x": 1}])
def test_nonsense_under_a_good_checksum_leaves_the_episode(backend, part, value):
    moment = backend.reset(3, {})
    data = backend.snapshot().data
    with pytest.raises(SnapshotCorrupt):
        backend.restore(spoiled(data, **{part: value}))
    with pytest.raises(SnapshotCorrupt):
        backend.restore(seal(value))
    assert backend.digest() == moment.digest and backend.step(np.zeros(3, np.float32)).tick == moment.tick + 1


def leaves(tree, path=()):
    if isinstance(tree, dict):
        return [leaf for key in tree for leaf in leaves(tree[key], (*path, key))]
    if isinstance(tree, list):
        return [leaf for index in range(len(tree)) for leaf in leaves(tree[index], (*path, index))]
    return [path]


def replaced(tree, path, value):
    if not path:
        return value
    if isinstance(tree, dict):
        return {**tree, path[0]: replaced(tree[path[0]], path[1:], value)}
    return [replaced(each, path[1:], value) if index == path[0] else each for index, each in enumerate(tree)]


@pytest.mark.parametrize("value", [None, "nonsense", [], {}, float("nan"), np.zeros((2, 2)), np.full(3, np.nan)])
def test_each_value_of_a_state_may_be_nonsense(backend, value):
    """Whatever single value is spoiled under a good checksum: refused as corrupt, and the episode is untouched."""
    moment = backend.reset(3, {})
    tree = unseal(backend.snapshot().data)
    for path in leaves(tree["world"]):
        with pytest.raises(SnapshotCorrupt):
            backend.restore(seal({**tree, "world": replaced(tree["world"], path, value)}))
    assert backend.digest() == moment.digest


def test_arrays_of_nan_are_refused(backend):
    backend.reset(3, {})
    tree = unseal(backend.snapshot().data)
    for path in leaves(tree["world"]):
        there = tree["world"]
        for key in path:
            there = there[key]
        if isinstance(there, np.ndarray) and there.dtype.kind == "f" and there.size:
            with pytest.raises(SnapshotCorrupt):
                backend.restore(seal({**tree, "world": replaced(tree["world"], path, np.full_like(there, np.nan))}))


def test_the_painter_is_kept_for_the_same_scene_only(monkeypatch):
    import worker.backends.embedded as module

    made = []

    def painter(road, weather, seed):
        made.append((weather, seed))
        return SimpleNamespace(render=lambda world, camera: np.zeros((camera.height, camera.width, 3), np.uint8))

    monkeypatch.setattr(module, "Painter", painter)
    backend = EmbeddedBackend(sensors="predecessor")
    backend.reset(1, {})
    data = backend.snapshot().data
    backend.restore(data)
    backend.reset(1, {"max_steps": 50, "traffic_density": 0})
    backend.release()
    backend.restore(data)
    assert len(made) == 1
    backend.reset(2, {})
    backend.reset(2, {"weather": "HardRainNight"})
    backend.reset(2, {"weather": "HardRainNight", "route_id": ROUTES[1].id})
    assert len(made) == 4
    backend.restore(data)
    assert len(made) == 5


def test_a_fork_again_and_again_builds_two_worlds(monkeypatch, backend):
    import worker.backends.embedded as module

    built = []

    def world(*settings):
        built.append(settings)
        return World(*settings)

    monkeypatch.setattr(module, "World", world)
    backend.reset(1, {"route_id": ROUTES[2].id})
    data = backend.snapshot().data
    for _ in range(5):
        drive(backend, script(5))
        backend.restore(data)
    assert len(built) == 2
    backend.reset(1, {"route_id": ROUTES[2].id, "traffic_density": 0})
    backend.restore(backend.snapshot().data)
    assert len(built) == 4


def test_a_spoiled_snapshot_cannot_spoil_the_spare(backend):
    backend.reset(1, {})
    data = backend.snapshot().data
    drive(backend, script(10))
    later = backend.snapshot().data
    backend.restore(data)  # from here on there is a spare of the same settings
    with pytest.raises(SnapshotCorrupt):
        backend.restore(spoiled(later, task=None))
    for _ in range(3):
        assert backend.restore(data).info["step_count"] == 0
        ahead = drive(backend, script(10))
    assert backend.restore(later).digest == ahead[-1].digest


def test_a_painter_that_fails_changes_nothing(monkeypatch):
    import worker.backends.embedded as module

    backend = EmbeddedBackend(sensors="predecessor")
    backend.reset(1, {})
    moment = backend.step(np.zeros(3, np.float32))
    monkeypatch.setattr(module, "Painter", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        backend.reset(2, {"route_id": ROUTES[1].id})
    assert backend.digest() == moment.digest
    assert_same(backend.restore(backend.snapshot().data).observation, moment.observation)
    backend.close()
