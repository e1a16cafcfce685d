"""An episode whose worker is lost goes on elsewhere: the same digests, the same rewards, and ``info["resumed"]`` says what happened."""

from __future__ import annotations

import contextlib

import numpy as np
import psutil
import pytest
from bench import until
from toyfarm import FAN, FORWARD, LEFT, RIGHT, running

from b2d_zmq import CarlaEnv, CarlaVectorEnv
from b2d_zmq.errors import NoFreeWorker, Poisoned, RequestError, UnknownOption
from b2d_zmq.session import LOSSES

FULL = np.array([1.0, 0.0, 0.0], np.float32)  # deadly while the file that TOY_DIES names exists


@pytest.fixture(scope="module")
def die(tmp_path_factory):
    return tmp_path_factory.mktemp("toys") / "die"


@pytest.fixture(scope="module")
def farm(die):
    with running(4, TOY_DIES=str(die)) as farm:
        yield farm


@pytest.fixture
def env(farm):
    with CarlaEnv(farm.endpoint, wait=30.0) as env:
        yield env


def kill_host(env, worker=None):
    """End the process that holds the simulator of this environment, or of this worker."""
    (keeper,) = (one["pid"] for one in env.client.status()["workers"] if one["worker"] == (worker or env.last_info["worker"]))
    (child,) = psutil.Process(keeper).children()
    child.kill()
    child.wait(30)


def drive(env, actions, seed=5):
    """Reset and step; the digests and rewards of an undisturbed drive."""
    digests, rewards = [env.reset(seed=seed)[1]["digest"]], []
    for action in actions:
        _, reward, _, _, info = env.step(action)
        digests.append(info["digest"])
        rewards.append(reward)
    return digests, rewards


def test_an_episode_goes_on_where_it_was(env):
    actions = [FORWARD, LEFT, RIGHT, FORWARD, LEFT]
    digests, rewards = drive(env, actions)
    env.reset(seed=5)
    for action in actions[:3]:
        env.step(action)
    before = env.last_info["worker"]
    kill_host(env)
    _, reward, _, _, info = env.step(actions[3])
    told = info["resumed"]
    assert (info["digest"], reward, info["tick"], info["episode_steps"]) == (digests[4], rewards[3], 4, 4)
    assert (told["verdict"], told["steps"], told["diverged_at"], told["worker"]) == ("exact", 3, -1, info["worker"])
    assert told["drift"] == {"position": 0.0, "speed": 0.0, "yaw": 0.0}
    assert len(told["lost"]) == 1 and before in told["lost"][0]
    assert env.episode_reward == sum(rewards[:4])
    _, _, _, _, after = env.step(actions[4])
    assert after["digest"] == digests[5] and "resumed" not in after


def test_a_step_in_which_the_simulator_dies_is_done_once(env, die):
    digests, _ = drive(env, [FORWARD, FULL])
    env.reset(seed=5)
    env.step(FORWARD)
    die.touch()
    info = env.step(FULL)[4]
    assert info["digest"] == digests[2] and info["resumed"]["verdict"] == "exact"


def test_a_reset_a_restore_and_a_snapshot_survive_too(env):
    digests, _ = drive(env, [FORWARD, LEFT])
    kill_host(env)
    info = env.reset(seed=5)[1]
    assert info["digest"] == digests[0] and info["resumed"]["steps"] == 0
    env.step(FORWARD)
    kill_host(env)
    snapshot = env.snapshot()
    assert snapshot.digest == digests[1]
    assert env.step(LEFT)[4]["resumed"]["steps"] == 1  # told with the first outcome that can tell it
    kill_host(env)
    info = env.restore(snapshot)[1]
    assert info["digest"] == digests[1] and info["resumed"]["verdict"] == "exact"


def test_it_is_lived_again_from_the_last_snapshot(env):
    drive(env, [FORWARD] * 6)
    env.snapshot()
    env.step(LEFT)
    kill_host(env)
    assert env.step(LEFT)[4]["resumed"]["steps"] == 1


def test_long_episodes_take_snapshots_of_their_own(farm):
    with CarlaEnv(farm.endpoint, wait=30.0, max_steps=10_000) as env:
        env.reset(seed=5)
        for _ in range(30):
            _, _, terminated, truncated, _ = env.step([0.0, 0.1, 0.0])
            assert not (terminated or truncated)
        session = env._session
        assert len(session.log) == 30
        env.frame_skip = 100
        for _ in range(4):
            env.step([0.0, 0.1, 0.0])
        assert len(session.log) < 5 and session.begin.data
        kill_host(env)
        assert env.step([0.0, 0.1, 0.0])[4]["resumed"]["verdict"] == "exact"


def test_who_wants_the_error_gets_it(farm):
    with CarlaEnv(farm.endpoint, wait=30.0, on_loss="raise") as env:
        env.reset(seed=5)
        kill_host(env)
        with pytest.raises(LOSSES):
            env.step(FORWARD)
        env.reset(seed=5)
    with pytest.raises(UnknownOption, match="'resume' or 'raise'"):
        CarlaEnv(farm.endpoint, on_loss="ignore")


def test_a_branch_is_run_again_elsewhere(env, die):
    env.reset(seed=5)
    plan = np.repeat(FAN[:, None], 4, axis=1)
    plan[1, 2, 0] = 1.0
    with env.fork(3, wait=30.0) as group:
        undisturbed = group.rollout(plan)
    with env.fork(3, wait=30.0) as group:
        for step in range(2):
            group.step(plan[:, step])
        die.touch()
        out = group.step(plan[:, 2])
        assert out.valid.all() and out.infos[1]["resumed"]["verdict"] == "exact" and out.infos[1]["resumed"]["steps"] == 2
        out = group.step(plan[:, 3])
        assert out.digests == undisturbed.digests and out.returns.tolist() == undisturbed.returns.tolist()


def test_a_branch_of_a_wave_is_run_again_too(env, die):
    env.reset(seed=5)
    plan = np.repeat(FAN[:, None], 3, axis=1)
    plan[2, 1, 0] = 1.0
    with env.fork(3, workers=2, wait=30.0) as group:
        undisturbed = [group.step(plan[:, step]).digests for step in range(3)]
    with env.fork(3, workers=2, wait=30.0) as group:
        assert group.step(plan[:, 0]).digests == undisturbed[0]
        die.touch()
        out = group.step(plan[:, 1])
        assert out.valid.all() and out.digests == undisturbed[1]
        assert group.step(plan[:, 2]).digests == undisturbed[2]


def test_without_another_worker_a_branch_is_not_valid_and_a_spare_is_one(farm, die):
    deadly = FAN.copy()
    deadly[1, 0] = 1.0
    with CarlaEnv(farm.endpoint, wait=30.0) as env, CarlaEnv(farm.endpoint, wait=30.0) as other:
        env.reset(seed=5)
        other.reset(seed=5)
        with env.fork(2, wait=30.0, spares=1, patience=0.0) as group:
            die.touch()
            out = group.step(deadly[:2])
            assert out.valid.all() and out.infos[1]["resumed"]["verdict"] == "exact"
        with env.fork(3, wait=30.0, patience=0.0) as group:
            die.touch()
            out = group.step(deadly)
            assert out.valid.tolist() == [True, False, True] and np.isnan(out.rewards[1])
            assert "could not be resumed" in out.infos[1]["error"]
        with pytest.raises(NoFreeWorker):
            env.fork(3, spares=3)
        with CarlaEnv(farm.endpoint, wait=30.0, on_loss="raise") as strict, pytest.raises(RequestError, match="spares"):
            strict.fork(2, spares=1)


def test_a_vector_environment_goes_on(farm):
    with contextlib.closing(CarlaVectorEnv(farm.endpoint, 2, wait=30.0)) as env:
        env.reset(seed=5)
        actions = np.stack([FORWARD, LEFT])
        env.step(actions)
        tick, digest = env.step(actions)[4]["tick"], env._subs[1].info["digest"]
        env.reset(seed=5)
        env.step(actions)
        kill_host(env, env._subs[1].info["worker"])
        infos = env.step(actions)[4]
        assert infos["tick"].tolist() == tick.tolist() and env._subs[1].info["digest"] == digest
        assert env._subs[1].info["resumed"]["verdict"] == "exact" and "resumed" not in env._subs[0].info


def test_where_all_others_are_taken_its_own_worker_is_waited_for(env, farm):
    with contextlib.closing(CarlaVectorEnv(farm.endpoint, 3, wait=30.0)) as others:
        others.reset(seed=1)
        env.reset(seed=5)
        before = env.last_info["worker"]
        kill_host(env)
        told = env.step(FORWARD)[4]["resumed"]
        assert told["verdict"] == "exact" and told["worker"] == before


def test_an_episode_that_no_worker_outlives_is_given_up(tmp_path):
    die = tmp_path / "die"
    with running(1, TOY_DIES=str(die)) as farm, CarlaEnv(farm.endpoint, wait=30.0) as env:
        env.reset(seed=5)
        env.step(FORWARD)
        die.mkdir()  # stays where it is, unlike a file
        with pytest.raises(Poisoned, match=r"(?s)STEP .*ended 3 workers.*1\. .*2\. .*3\. "):
            env.step(FULL)
        with pytest.raises(Poisoned):
            env.step(FORWARD)
        until(lambda: {one["state"] for one in env.client.status()["workers"]} == {"free"})
        die.rmdir()
        env.reset(seed=5)
        assert env.step(FULL)[4]["tick"] == 1
