"""CarlaVectorEnv on a real farm of toy worlds: batches, the three autoreset modes, partial resets, snapshots across sub-environments."""

import contextlib

import gymnasium
import numpy as np
import pytest
import toyfarm
from gymnasium.vector import AutoresetMode
from toyfarm import FAN, FORWARD, LEFT

from b2d_zmq import CarlaEnv, CarlaVectorEnv, Client
from b2d_zmq.errors import InvalidAction, NoEpisode, NoFreeWorker, RequestError, UnknownOption, WorkerLost, WrongMode

GO = np.stack([FORWARD] * 3)


@pytest.fixture(scope="module")
def dies(tmp_path_factory):
    return tmp_path_factory.mktemp("toy") / "dies"


@pytest.fixture(scope="module")
def farm(dies):
    with toyfarm.running(3, TOY_DIES=str(dies)) as farm:
        yield farm


@pytest.fixture
def make(farm):
    """Make vector environments that are closed when the test is over."""
    with contextlib.ExitStack() as stack:

        def start(**options):
            env = CarlaVectorEnv(farm.endpoint, **{"num_envs": 3, "wait": 20.0, **options})
            return stack.enter_context(contextlib.closing(env))

        yield start


def test_a_batch_is_in_its_spaces(make):
    env = make()
    observations, infos = env.reset(seed=3)
    assert observations["center_image"].shape == (3, 16, 32, 3) and observations in env.observation_space
    assert len(set(infos["worker"])) == 3 and infos["_worker"].all()
    observations, rewards, terminated, truncated, infos = env.step(GO)
    assert observations in env.observation_space
    assert rewards.shape == (3,) and rewards.dtype == np.float64 and terminated.dtype == truncated.dtype == np.bool_
    assert infos["episode_steps"].tolist() == [1, 1, 1]
    np.testing.assert_array_equal(infos["episode_reward"], rewards)


def test_each_is_what_a_single_environment_would_be(make, farm):
    env = make(frame_skip=2)
    env.reset(seed=[5, 6, 7])
    batch = [env.step(FAN) for _ in range(3)][-1]
    env.close()
    for i in range(3):
        with CarlaEnv(farm.endpoint, frame_skip=2, wait=20.0) as single:
            single.reset(seed=5 + i)
            observation, reward, *_ = [single.step(FAN[i]) for _ in range(3)][-1]
        np.testing.assert_equal(batch[0]["center_image"][i], observation["center_image"])
        assert batch[1][i] == reward


def test_an_int_seed_counts_up_and_no_seed_goes_on_from_it(make):
    env = make()
    same = []
    for seed in (5, [5, 6, 7]):
        same.append([env.reset(seed=seed)[1]["digest"].tolist(), env.reset()[1]["digest"].tolist()])
    assert same[0] == same[1] and len(set(same[0][0] + same[0][1])) == 6


def test_disabled_keeps_the_finished_finished_until_they_are_reset(make):
    env = make()
    assert env.metadata["autoreset_mode"] is AutoresetMode.DISABLED
    env.reset(seed=1, options={"per_env": [{"max_steps": 2}, {}, {}]})
    env.step(GO)
    last = env.step(GO)
    assert last[3].tolist() == [True, False, False]
    after = env.step(GO)
    assert after[3].tolist() == [True, False, False] and after[1][0] == 0.0
    np.testing.assert_equal(after[0]["center_image"][0], last[0]["center_image"][0])
    observations, infos = env.reset(options={"reset_mask": np.array([True, False, False]), "max_steps": 9})
    assert infos["_tick"].tolist() == [True, False, False] and infos["tick"][0] == 0
    assert observations["scenario_info"]["step_count"].ravel().tolist() == [0, 3, 3]
    assert env.step(GO)[4]["episode_steps"].tolist() == [1, 4, 4]


def test_next_step(make):
    env = make(autoreset_mode="NextStep", max_steps=2)
    with pytest.raises(UnknownOption):
        env.reset(options={"wether": 1})  # refused, so no option of automatic resets either
    env.reset(seed=1)
    env.step(GO)
    assert env.step(GO)[3].all()
    observations, rewards, terminated, truncated, infos = env.step(GO)
    assert not rewards.any() and not terminated.any() and not truncated.any()
    assert infos["tick"].tolist() == [0, 0, 0] and not observations["scenario_info"]["step_count"].any()
    assert env.step(GO)[4]["tick"].tolist() == [1, 1, 1]


def test_same_step(make):
    env = make(autoreset_mode=AutoresetMode.SAME_STEP)
    env.reset(seed=1, options={"per_env": [{"max_steps": 2}, {}, {}]})
    env.step(GO)
    observations, rewards, _, truncated, infos = env.step(GO)
    assert truncated.tolist() == [True, False, False] and rewards.all()
    assert infos["_final_obs"].tolist() == [True, False, False] and infos["final_info"]["tick"][0] == 2
    assert infos["final_obs"][0]["scenario_info"]["step_count"] == 2
    assert observations["scenario_info"]["step_count"].ravel().tolist() == [0, 2, 2]
    assert env.step(GO)[4]["tick"].tolist() == [1, 3, 3]


def test_snapshots_save_restore_and_fork(make):
    env = make()
    env.reset(seed=1)
    env.step(FAN)
    ids = env.save_snapshots()
    assert env.snapshots == [[ids[0]], [ids[1]], [ids[2]]]
    onward = env.step(FAN)
    _, infos = env.restore_snapshots(ids)
    assert infos["episode_steps"].tolist() == [1, 1, 1]
    np.testing.assert_equal(env.step(FAN)[:4], onward[:4])
    _, infos = env.restore_snapshots([None, ids[0], None])
    assert infos["_digest"].tolist() == [False, True, False]
    _, infos = env.reset_from_snapshots()
    before = infos["digest"].tolist()
    observations, infos = env.fork_from_snapshot(0, [1, 2])
    assert infos["digest"].tolist() == [None, before[0], before[0]]
    np.testing.assert_equal(observations["center_image"][1:], observations["center_image"][:2])
    assert len(set(env.step([LEFT] * 3)[4]["digest"])) == 1
    statistics = env.get_statistics()
    assert statistics["num_envs"] == 3 and statistics["total_steps"] == 6 and statistics["snapshots_per_env"] == [1, 1, 1]
    assert statistics["average_reward"] == pytest.approx(statistics["total_reward"] / 3)


def test_render(make):
    env = make(render_mode="rgb_array")
    observations, _ = env.reset(seed=1)
    np.testing.assert_equal(np.stack(env.render()), observations["center_image"])
    env.close()
    assert make().render() is None


@pytest.mark.parametrize("mask", [np.zeros(3, bool), np.ones(2, bool), np.ones(3, int), [True, True, True], np.ones((3, 1), bool)])
def test_a_bad_mask_is_refused(make, mask):
    with pytest.raises(RequestError, match="reset_mask"):
        make().reset(options={"reset_mask": mask})


def test_bad_calls_say_what_is_wanted(make):
    env = make()
    with pytest.raises(NoEpisode):
        env.step(GO)
    with pytest.raises(NoEpisode, match="first reset"):
        env.reset(seed=1, options={"reset_mask": np.array([True, False, False])})
    env.reset(seed=1)
    for actions in (GO[:2], GO[0], GO + 1, GO * np.nan):
        with pytest.raises(InvalidAction):
            env.step(actions)
    for call in (
        lambda: env.reset(seed=[1, 2]),
        lambda: env.reset(seed=[1, 2.5, 3]),
        lambda: env.reset(seed=-1),
        lambda: env.reset(options={"per_env": [{}]}),
        lambda: env.reset(options={"per_env": 3}),
        lambda: env.restore_snapshots(["x", None, None]),
        lambda: env.restore_snapshots([]),
        lambda: env.fork_from_snapshot(3, [0]),
        lambda: env.fork_from_snapshot(0, [-1]),
    ):
        with pytest.raises(RequestError):
            call()
    with pytest.raises(NoEpisode, match="save_snapshots"):
        env.reset_from_snapshots()
    with pytest.raises(UnknownOption):
        env.reset(options={"wether": 1})
    assert env.step(GO)[4]["tick"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("bad", [{"num_envs": 0}, {"num_envs": 2.0}, {"render_mode": "human"}, {"autoreset_mode": "Never"}])
def test_a_bad_environment_is_refused_at_once(farm, bad):
    with pytest.raises(RequestError):
        CarlaVectorEnv(farm.endpoint, **bad)


def test_an_environment_may_be_closed_after_its_client(farm):
    with Client(farm.endpoint) as client:
        env = CarlaVectorEnv(client=client, num_envs=2, wait=20.0)
        single = CarlaEnv(client=client, wait=20.0)
        env.reset(seed=1)
        single.reset(seed=1)
    env.close()
    single.close()


def test_leases_are_taken_all_or_none(make, farm):
    env = make(num_envs=4, wait=0.0)
    with pytest.raises(NoFreeWorker):
        env.reset(seed=1)
    with CarlaEnv(farm.endpoint, wait=20.0) as single:
        single.reset(seed=1)


def test_a_lost_worker_is_an_error_and_a_reset_takes_another(make, dies):
    env = make(on_loss="raise")
    env.reset(seed=1)
    dies.touch()
    with pytest.raises(WorkerLost):
        env.step(GO * [[1], [2], [1]])
    with pytest.raises(WorkerLost):
        env.step(GO)
    _, infos = env.reset(seed=1, options={"reset_mask": np.array([False, True, False])})
    assert infos["_tick"].tolist() == [False, True, False]
    assert env.step(GO)[4]["tick"].tolist() == [2, 1, 2]


def test_an_interrupted_step_is_not_forgotten(make, monkeypatch):
    env = make()
    env.reset(seed=1)

    def interrupted(client, pendings):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Client, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            env.step(GO)
    with pytest.raises(WrongMode, match="interrupted"):
        env.step(GO)
    with pytest.raises(WrongMode, match="reset all"):
        env.reset(options={"reset_mask": np.array([False, True, False])})
    env.reset(seed=1)
    assert env.step(GO)[4]["tick"].tolist() == [1, 1, 1]


def test_gymnasium_makes_it(farm):
    env = gymnasium.make_vec("b2d_zmq/Carla-v0", num_envs=2, endpoint=farm.endpoint, wait=20.0)
    assert isinstance(env, CarlaVectorEnv) and env.num_envs == 2
    env.reset(seed=1)
    env.close()
