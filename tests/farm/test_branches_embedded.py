"""Environments and groups over the embedded world, with pictures, through real processes."""

import json

import numpy as np
import pytest

from b2d_zmq import CarlaEnv, CarlaVectorEnv
from b2d_zmq.errors import RequestError, SnapshotCorrupt, UnknownOption, UnknownRoute
from b2d_zmq.local import LocalFarm
from b2d_zmq.snapshot import Snapshot

FAN = np.array([[0.8, 0, -0.4], [0.8, 0, 0], [0.8, 0, 0.4]], np.float32)
CAMERA = {"key": "front_image", "x": 1.5, "y": 0, "z": 1.7, "yaw": 0, "width": 64, "height": 48, "fov": 90}


@pytest.fixture(scope="module")
def farm(tmp_path_factory):
    rig = tmp_path_factory.mktemp("rig") / "small.json"
    rig.write_text(json.dumps({"cameras": [CAMERA]}))
    with LocalFarm(3, sensors=str(rig), heartbeat=0.2) as farm:
        yield farm


@pytest.fixture
def env(farm):
    """An environment that rolls."""
    with CarlaEnv(farm.endpoint, wait=20.0) as env:
        env.reset(seed=1)
        for _ in range(20):
            env.step([0.8, 0.0, 0.0])
        yield env


def told(out):
    infos = [{key: value for key, value in info.items() if key != "worker"} for info in out.infos]
    return out.observations, out.rewards, out.returns, out.digests, infos


def test_observations_and_infos(env):
    observation, reward, _terminated, _truncated, info = env.step([0.5, 0.0, 0.1])
    assert observation in env.observation_space
    assert observation["front_image"].std() > 5
    assert reward == pytest.approx(sum(info["reward_terms"].values()))
    assert info["route_ahead"].shape == (16, 2) and info["vehicle_state"]["speed"] > 0


def test_branches_begin_identical_diverge_and_agree_with_driving_alone(env):
    snapshot = env.snapshot()
    alone = [env.step(FAN[2]) for _ in range(10)]
    env.restore(snapshot)
    with env.fork(3, wait=20.0) as group:
        assert group.identical
        outs = [group.step(FAN) for _ in range(10)]
        assert len(set(outs[-1].digests)) == 3
        for (seen, reward, _, _, info), out in zip(alone, outs):
            assert (info["digest"], reward) == (out.digests[2], out.rewards[2])
            np.testing.assert_equal(seen["front_image"], out.observations["front_image"][2])
        group.select(2)
    assert env.last_info["digest"] == alone[-1][4]["digest"]
    assert env.episode_reward == pytest.approx(alone[-1][4]["episode_reward"])


def test_waves_and_rollouts_are_the_same_bit_for_bit(env):
    snapshot = env.snapshot()
    with env.fork(3, wait=20.0) as group:
        whole = [told(group.step(FAN)) for _ in range(5)]
    env.restore(snapshot)
    with env.fork(3, workers=1) as group:
        waved = [told(group.step(FAN)) for _ in range(5)]
    np.testing.assert_equal(waved, whole)
    env.restore(snapshot)
    with env.fork(3, workers=2, wait=20.0) as group:
        out = group.rollout(np.repeat(FAN[:, None], 5, axis=1), observations="all")
    assert out.digests == whole[-1][3]
    np.testing.assert_equal(out.observations["front_image"][:, 2], whole[2][0]["front_image"])
    np.testing.assert_equal(out.rewards[:, 3], whole[3][1])


def test_a_snapshot_file_goes_on_exactly_on_another_worker(farm, env, tmp_path):
    path = env.snapshot().save(tmp_path / "a.snapshot")
    here = [env.step(action) for action in FAN]
    with CarlaEnv(farm.endpoint, wait=20.0) as other:
        other.restore(Snapshot.load(path))
        for mine, theirs in zip(here, [other.step(action) for action in FAN]):
            np.testing.assert_equal(theirs[:4], mine[:4])
            assert theirs[4]["digest"] == mine[4]["digest"]


def test_bad_options_teach_and_the_episode_goes_on(env):
    tick = env.last_info["tick"]
    for error, options in (
        (UnknownOption, {"wether": "ClearNoon"}),
        (UnknownRoute, {"route_id": 999999}),
        (RequestError, {"town": "Atlantis"}),
        (RequestError, {"weather": "Frogs"}),
        (RequestError, {"traffic_density": "much"}),
        (RequestError, {"max_steps": 0}),
        (RequestError, {"reward_type": "vague"}),
        (RequestError, {"reward_weights": {"style": 1.0}}),
    ):
        with pytest.raises(error):
            env.reset(options=options)
    good = env.snapshot()
    fields = {name: getattr(good, name) for name in good.__dataclass_fields__}
    for data in (b"", b"junk" * 100, good.data[:-1], good.data[:50] + b"x" + good.data[51:]):
        with pytest.raises(SnapshotCorrupt):
            env.restore(Snapshot(**{**fields, "data": data}))
    assert env.step([0.5, 0.0, 0.0])[4]["tick"] == tick + 1


def test_a_vector_of_different_routes(farm):
    env = CarlaVectorEnv(farm.endpoint, 3, wait=20.0)
    try:
        routes = [101, 102, 103]
        observations, infos = env.reset(seed=1, options={"per_env": [{"route_id": route} for route in routes]})
        assert infos["route_id"].tolist() == routes
        assert observations["scenario_info"]["route_id"].ravel().tolist() == routes
        assert observations in env.observation_space
        assert env.step(FAN)[0]["front_image"].shape == (3, 48, 64, 3)
    finally:
        env.close()
