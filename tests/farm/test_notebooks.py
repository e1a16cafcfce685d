"""The calls of the predecessor's two tutorial notebooks, as far as they are about driving and branches, on the embedded world."""

from __future__ import annotations

import json

import numpy as np
import pytest

from b2d_zmq import CarlaEnv, EnvStatus, GRPOCarlaEnv, LocalFarm
from b2d_zmq.errors import UnknownRoute

RIG = {"cameras": [{"key": "center_image", "x": -1.5, "y": 0, "z": 2.0, "yaw": 0, "width": 64, "height": 32, "fov": 110}]}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two workers of the embedded world, with one small camera."""
    rig = tmp_path_factory.mktemp("rig") / "center.json"
    rig.write_text(json.dumps(RIG))
    with LocalFarm(workers=2, sensors=str(rig), heartbeat=0.2) as farm:
        yield farm


def test_seed_002_from_the_first_cell_to_the_last(world):
    env = GRPOCarlaEnv(
        num_services=2, service_urls=[world.endpoint], base_api_port=8080, render_mode="rgb_array", max_steps=100, timeout=60.0
    )
    init_status = env.initialize_all_services(route_id=0)
    assert init_status.ready and init_status.message == "Pre-initialized 2/2 services"
    assert (env.max_branches, env.service_urls, env.current_mode, env.is_branching) == (2, [world.endpoint], "single", False)
    assert len(env.envs) == 2 and None not in env.envs

    def create_action(throttle=0.0, brake=0.0, steer=0.0):
        return np.clip(np.array([throttle, brake, steer], np.float32), env.action_space.low, env.action_space.high)

    assert env.envs[0].last_observation is not None
    trajectory = []
    for step in range(20):
        steer = 0.0 if step < 10 else 0.3 * np.sin(step * 0.5)
        obs, reward, terminated, truncated, info = env.single_step(create_action(throttle=1.0, steer=steer))
        assert not (terminated or truncated)
        trajectory.append((obs["vehicle_state"]["position"], obs["vehicle_state"]["speed"][0], obs["center_image"].copy(), reward))
    assert trajectory[-1][1] > 1.0

    snapshot_id = env.save_snapshot()
    assert (env.episode_steps, env.branch_start_step, env.current_snapshot) == (20, 20, snapshot_id)

    status = env.enable_branching(snapshot_id, num_branches=2, async_setup=False)
    assert status.status.value == "branching_ready" and env.active_branches == 2
    totals, images = [0, 0], []
    for _ in range(15):
        observations, rewards, terminateds, _, infos = env.branch_step([create_action(1.0), create_action(1.0, steer=0.5)])
        totals = [total + reward for total, reward in zip(totals, rewards)]
        images.append([obs["center_image"].copy() for obs in observations])
    assert totals[0] != totals[1] and 0.0 not in totals
    assert (images[-1][0] != images[-1][1]).any()

    best_branch = env.get_branch_statistics()["best_branch"]
    last = infos[best_branch]
    assert not terminateds[best_branch]
    env.select_branch(best_branch)
    assert (env.current_mode, env.primary_env_idx, env.episode_steps) == ("single", best_branch, 35)
    obs, reward, terminated, truncated, info = env.single_step(create_action(throttle=1.0))
    assert info["tick"] == last["tick"] + 1 and info["worker"] == last["worker"]
    env.close()


def test_seed_000_three_manoeuvres_one_after_another_on_one_worker(world):
    """The first seed restores one service for each branch in turn; on a farm that is one environment and ``restore``."""
    env = CarlaEnv(world.endpoint, frame_skip=2)
    env.reset(seed=0)
    for _ in range(5):
        env.step([0.8, 0.0, 0.0])
    snapshot = env.snapshot()
    results = {}
    for name, steer in (("Straight", 0.0), ("Left", -0.5), ("Right", 0.5)):
        observation, info = env.restore(snapshot)
        assert info["digest"] == snapshot.digest
        total = 0.0
        for _ in range(10):
            observation, reward, terminated, truncated, info = env.step([0.8, 0.0, steer])
            total += reward
            if terminated or truncated:
                break
        results[name] = (total, tuple(observation["vehicle_state"]["position"]))
    assert len({place for _, place in results.values()}) == 3
    assert len({total for total, _ in results.values()}) > 1
    ranking = sorted(results, key=lambda name: -results[name][0])
    assert results[ranking[0]][0] > results[ranking[-1]][0]
    env.close()


def test_an_unknown_route_is_an_error_and_the_real_one_is_told(world):
    """Flaw 7: one id meant 1790, then 2050, and another in another service."""
    with GRPOCarlaEnv(num_services=2, service_urls=[world.endpoint], timeout=60.0) as env:
        with pytest.raises(UnknownRoute, match="424242"):
            env.reset(options={"route_id": 424242})
        status = env.initialize_all_services(route_id=424242)
        assert not status.ready and status.status is EnvStatus.ERROR and "0/2" in status.message and "424242" in status.message
        ids = {env.reset(options={"route_id": 0})[1]["route_id"] for _ in range(2)}
        status = env.initialize_all_services(route_id=0)
        assert status.ready and len(status.details["digests"]) == 1, "all services must be in one state"
        assert ids == {place.last_info["route_id"] for place in env.envs} and 0 not in ids
