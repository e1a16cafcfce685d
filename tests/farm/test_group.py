"""Groups of branches on a real farm of toy worlds."""

import itertools

import numpy as np
import pytest
import toyfarm
from toyfarm import FAN, FORWARD, LEFT, fork

from b2d_zmq import CarlaEnv
from b2d_zmq.errors import InvalidAction, NoEpisode, NoFreeWorker, RequestError, WorkerLost, WrongMode


@pytest.fixture(scope="module")
def dies(tmp_path_factory):
    return tmp_path_factory.mktemp("toy") / "dies"


@pytest.fixture(scope="module")
def farm(dies):
    with toyfarm.running(3, TOY_DIES=str(dies)) as farm:
        yield farm


@pytest.fixture
def env(farm):
    with toyfarm.driven(farm) as env:
        yield env


def same(one, other):
    np.testing.assert_equal(one, other)


def told(out):
    """What a step says of the worlds, without which worker and how long."""
    infos = [{key: value for key, value in info.items() if key != "worker"} for info in out.infos]
    return out.observations, out.rewards, out.terminated, out.truncated, out.valid, out.returns, out.digests, infos


def test_branches_begin_identical_and_none_is_privileged(env):
    env.step(LEFT)
    snapshot_tick = env.last_info["tick"]
    with fork(env) as group:
        assert group.identical and group.waves == 1 and len(group) == 3
        assert group.digests == [group.snapshot.digest] * 3
        assert group.observations["center_image"].shape == (3, 16, 32, 3)
        assert [info["tick"] for info in group.infos] == [snapshot_tick] * 3
        assert len({info["worker"] for info in group.infos}) == 3


def test_same_actions_same_results_and_others_diverge(env):
    with fork(env) as group:
        for _ in range(5):
            out = group.step([LEFT] * 3)
        assert len(set(out.digests)) == 1 and len(set(out.returns)) == 1
        for part in out.observations["vehicle_state"].values():
            same(part[1:], part[:-1])
        for _ in range(5):
            out = group.step(FAN)
        assert len(set(out.digests)) == 3 and len(set(out.returns)) == 3


def test_a_step_has_a_leading_g_everywhere(env):
    with fork(env) as group:
        out = group.step(FAN)
        assert out.observations["vehicle_state"]["position"].shape == (3, 3)
        assert out.observations["navigation"]["command"].tolist() == [3, 3, 3]
        assert all(part.flags.c_contiguous for part in out.observations["vehicle_state"].values())
        for part in (out.rewards, out.terminated, out.truncated, out.valid, out.returns):
            assert part.shape == (3,)
        assert out.valid.all() and not out.terminated.any() and not out.truncated.any()
        assert [info["branch"] for info in out.infos] == [0, 1, 2]
        assert [info["episode_steps"] for info in out.infos] == [6, 6, 6]
        second = group.step(FAN)
        same(second.returns, out.rewards + second.rewards)
        same(group.returns, second.returns)
        same(group.advantages("centered"), second.returns - second.returns.mean())


def test_a_group_does_what_the_environment_alone_would(env):
    snapshot = env.snapshot()
    alone = [env.step(action) for action in [FAN[0]] * 4]
    env.restore(snapshot)
    with fork(env) as group:
        outs = [group.step(FAN) for _ in range(4)]
    for (seen, reward, *_), out in zip(alone, outs):
        assert reward == out.rewards[0]
        same(seen["center_image"], out.observations["center_image"][0])


@pytest.mark.parametrize("workers", [1, 2])
def test_waves_give_the_same_bit_for_bit(env, workers):
    fan = np.concatenate([FAN, FAN[:2] * 0.5])[:3]
    snapshot = env.snapshot()
    with fork(env) as group:
        whole = [group.step(fan) for _ in range(6)]
        more = group.rollout(np.repeat(fan[:, None], 4, axis=1), observations="all")
    env.restore(snapshot)
    with fork(env, workers=workers) as group:
        assert group.waves == -(-3 // workers) and group.identical
        waved = [group.step(fan) for _ in range(6)]
        same(told(group.rollout(np.repeat(fan[:, None], 4, axis=1), observations="all")), told(more))
    for one, other in zip(whole, waved):
        same(told(one), told(other))


def test_many_branches_on_few_workers(env):
    with fork(env, 7, workers=2) as group:
        assert group.waves == 4
        steer = np.linspace(-1, 1, 7)
        out = group.rollout(np.tile(np.stack([np.full(7, 0.5), np.zeros(7), steer], 1)[:, None], (1, 10, 1)).astype(np.float32))
        assert len(set(out.digests)) == 7
        group.select(5)
    assert env.last_info["digest"] == out.digests[5]
    assert env.step(FORWARD)[4]["tick"] == 16


@pytest.mark.parametrize("workers", [3, 2, 1])
@pytest.mark.parametrize("chosen", [0, 2])
def test_select_goes_on_exactly_as_the_branch_did(env, workers, chosen):
    snapshot = env.snapshot()
    for action in [FAN[chosen]] * 3:
        env.step(action)
    alone = [env.step(LEFT)[:4] for _ in range(3)]
    steps, reward = env.episode_steps, env.episode_reward
    env.restore(snapshot)
    with fork(env, workers=workers) as group:
        for _ in range(3):
            out = group.step(FAN)
        group.select(chosen)
        assert env.episode_steps == 8
        same(env.last_observation["center_image"], out.observations["center_image"][chosen])
        with pytest.raises(WrongMode, match="closed"):
            group.step(FAN)
    same([env.step(LEFT)[:4] for _ in range(3)], alone)
    assert (env.episode_steps, env.episode_reward) == (steps, pytest.approx(reward))


def test_losers_are_released_and_can_be_had_again(env, farm):
    for chosen in (1, 2, 0):
        with fork(env) as group:
            group.step(FAN)
            group.select(chosen)
    with CarlaEnv(farm.endpoint, wait=20.0) as one, CarlaEnv(farm.endpoint, wait=20.0) as two:
        one.reset(seed=1)
        two.reset(seed=1)


def test_a_group_after_the_other_never_lacks_the_workers_just_released(env):
    env.reset(seed=1)
    for i in range(40):
        with env.fork(3) as group:  # without a wait
            group.select(i % 3)


def test_close_without_a_choice_returns_to_the_snapshot(env):
    before = env.last_info
    group = fork(env)
    group.step(FAN)
    group.close()
    group.close()
    assert env.last_info["digest"] == before["digest"] and env.episode_steps == before["episode_steps"]
    assert env.step(FORWARD)[4]["tick"] == before["tick"] + 1


def test_an_exception_in_the_group_gives_the_workers_back(env):
    with pytest.raises(ZeroDivisionError), fork(env) as group:
        group.step(FAN)
        raise ZeroDivisionError
    assert env.step(FORWARD)[4]["tick"] == 6
    fork(env).close()


def test_rollout_is_the_same_as_steps(env):
    actions = np.stack([np.roll(FAN, i, axis=0) for i in range(4)], axis=1)
    snapshot = env.snapshot()
    with fork(env) as group:
        steps = [group.step(actions[:, h]) for h in range(4)]
    env.restore(snapshot)
    with fork(env) as group:
        out = group.rollout(actions, observations="all")
        same(out.rewards, np.stack([step.rewards for step in steps], axis=1))
        assert out.lengths.tolist() == [4, 4, 4]
        same(out.observations["center_image"], np.stack([step.observations["center_image"] for step in steps], axis=1))
        assert out.digests == steps[-1].digests
        same(out.returns, group.returns)
        np.testing.assert_allclose(out.returns, steps[-1].returns)
        assert [info["episode_steps"] for info in out.infos] == [9] * 3


def finishing(env):
    """A group in which branches 0 and 2 leave the strip soon and branch 1 never does."""
    env.reset(seed=1, options={"limit": 1.2})
    return fork(env)


def test_a_finished_branch_stays_finished(env):
    actions = np.array([[1, 0, -1], [1, 0, 0], [1, 0, 1]], np.float32)
    with finishing(env) as group:
        outs = list(itertools.islice((group.step(actions) for _ in itertools.count()), 60))
        ended = [next(i for i, out in enumerate(outs) if out.terminated[k]) for k in (0, 2)]
        for k, at in zip((0, 2), ended):
            after = outs[at + 1]
            assert after.terminated[k] and after.rewards[k] == 0.0 and after.valid[k]
            assert after.returns[k] == outs[at].returns[k] and after.digests[k] == outs[at].digests[k]
            same(after.observations["center_image"][k], outs[at].observations["center_image"][k])
        assert not outs[-1].terminated[1] and outs[-1].rewards[1] != 0.0
        assert not np.isnan(outs[-1].returns).any()
        group.select(0)
    with pytest.raises(NoEpisode):
        env.step(FORWARD)


def test_a_rollout_ends_where_its_episode_ends(env):
    actions = np.repeat(np.array([[1, 0, -1], [1, 0, 0], [1, 0, 1]], np.float32)[:, None], 60, axis=1)
    with finishing(env) as group:
        out = group.rollout(actions, observations="all")
        assert out.terminated.tolist() == [True, False, True] and out.lengths[1] == 60 and (out.lengths[[0, 2]] < 60).all()
        at = out.lengths[0]
        assert (out.rewards[0, at:] == 0.0).all() and (out.rewards[0, :at] != 0.0).all()
        pictures = out.observations["center_image"][0]
        assert all((picture == pictures[at - 1]).all() for picture in pictures[at:])
        further = group.rollout(actions)
        assert further.lengths.tolist() == [0, 60, 0] and further.rewards[0].sum() == 0.0 and further.returns[0] == out.returns[0]


def test_a_finished_branch_in_waves(env):
    actions = np.array([[1, 0, -1], [1, 0, 0], [1, 0, 1]], np.float32)
    env.reset(seed=1, options={"limit": 1.2})
    with fork(env, workers=1) as group:
        for _ in range(60):
            out = group.step(actions)
        assert out.terminated.tolist() == [True, False, True]
        group.select(2)
    assert env.last_info["digest"] == out.digests[2]


def test_too_few_workers_is_all_or_none_and_says_what_to_do(env, farm):
    with pytest.raises(NoFreeWorker, match=r"fork\(5, workers=k\)"):
        env.fork(5)
    assert env.step(FORWARD)[4]["tick"] == 6
    with CarlaEnv(farm.endpoint, wait=20.0) as one, CarlaEnv(farm.endpoint, wait=20.0) as two:
        one.reset(seed=1)
        two.reset(seed=1)


def test_while_a_group_is_open_the_environment_stands_still(env):
    with fork(env) as group:
        snapshot = group.snapshot
        for call in (
            lambda: env.step(FORWARD),
            env.reset,
            env.snapshot,
            lambda: env.restore(snapshot),
            env.save_snapshot,
        ):
            with pytest.raises(WrongMode, match=r"group.select\(i\) or group.close\(\)"):
                call()
        with pytest.raises(WrongMode, match=r"^fork while"):
            env.fork(2)
        assert group.step(FAN).valid.all()


def test_letting_go_of_the_worker_ends_the_group_and_frees_all(env):
    group = fork(env)
    seq = [branch.session.seq for branch in group._branches]
    env.drop_lease()
    assert [branch.session.seq for branch in group._branches] == seq, "nothing was restored for it"
    with pytest.raises(WrongMode, match="closed"):
        group.step(FAN)
    env.reset(seed=1)
    fork(env).close()


@pytest.mark.parametrize("actions", [FAN[:2], FAN[0], FAN[:, :2], FAN * np.nan, FAN + 2, [[1], [2, 3]], "abc", None])
def test_bad_actions_of_a_group_are_refused_and_it_goes_on(env, actions):
    with fork(env) as group:
        with pytest.raises(InvalidAction):
            group.step(actions)
        with pytest.raises(InvalidAction):
            group.rollout(actions)
        assert group.step(FAN).infos[0]["episode_steps"] == 6


def test_bad_calls_of_a_group_say_what_is_wanted(env):
    for n, workers in ((0, None), (-1, None), (2.0, None), (3, 0), (2, 3)):
        with pytest.raises(RequestError):
            env.fork(n, workers=workers)
    with fork(env, 2) as group:
        for i in (2, -1, 1.0, None, "0"):
            with pytest.raises(RequestError, match="branches 0 to 1"):
                group.select(i)
        with pytest.raises(RequestError, match="no steps"):
            group.rollout(np.zeros((2, 0, 3), np.float32))
        with pytest.raises(RequestError, match="'last' or 'all'"):
            group.rollout(np.zeros((2, 1, 3), np.float32), observations="some")
        with pytest.raises(RequestError, match="leave_one_out"):
            group.advantages("ppo")


def test_a_lost_branch_is_masked_and_never_a_reward(env, dies, monkeypatch):
    monkeypatch.setattr(env, "on_loss", "raise")
    with fork(env) as group:
        group.step(FAN)
        dies.touch()
        deadly = FAN.copy()
        deadly[1, 0] = 1.0
        out = group.step(deadly)
        assert out.valid.tolist() == [True, False, True]
        assert np.isnan(out.rewards).tolist() == np.isnan(out.returns).tolist() == [False, True, False]
        assert not out.terminated[1] and not out.truncated[1]
        assert np.isnan(out.observations["vehicle_state"]["position"][1]).all() and not out.observations["center_image"][1].any()
        assert out.infos[1]["error"].startswith("WorkerLost: ") and isinstance(group.errors[1], WorkerLost)
        assert np.isnan(group.advantages()).tolist() == [False, True, False]
        again = group.step(FAN)
        assert again.valid.tolist() == [True, False, True] and again.infos[2]["episode_steps"] == 8
        rolled = group.rollout(np.repeat(FAN[:, None], 2, axis=1), observations="all")
        assert np.isnan(rolled.rewards[1]).all() and rolled.lengths.tolist() == [2, 0, 2]
        with pytest.raises(RequestError, match=r"branch 1 was lost .*\[0, 2\]"):
            group.select(1)
        group.select(2)
    assert env.step(FORWARD)[4]["episode_steps"] == 11


def test_the_environments_own_worker_may_be_the_lost_one(env, dies, monkeypatch):
    monkeypatch.setattr(env, "on_loss", "raise")
    with fork(env) as group:
        dies.touch()
        deadly = FAN.copy()
        deadly[0, 0] = 1.0
        assert group.step(deadly).valid.tolist() == [False, True, True]
        tick = group.snapshot.tick
    assert env.step(FORWARD)[4]["tick"] == tick + 1


def test_all_lost_is_an_error_and_the_environment_wants_a_reset(env, dies, monkeypatch):
    monkeypatch.setattr(env, "on_loss", "raise")
    env.fork(1).close()
    with fork(env, 1) as group:
        dies.touch()
        with pytest.raises(WorkerLost, match="all 1 branches were lost"):
            group.step([[1.0, 0.0, 0.0]])
    with pytest.raises(NoEpisode):
        env.step(FORWARD)
    env.reset(seed=1)


def test_an_interrupted_step_is_not_forgotten(env, monkeypatch):
    group = fork(env)

    def interrupted(client, pendings):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(env.client), "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            group.step(FAN)
    with pytest.raises(WrongMode, match="interrupted"):
        group.step(FAN)
    group.close()
    assert env.step(FORWARD)[4]["tick"] == 6


@pytest.mark.parametrize("workers", [3, 1])
def test_a_group_can_be_set_up_without_waiting(env, workers):
    group = fork(env, workers=workers, block=False)
    shares = [group.poll()]
    while shares[-1] < 1.0:
        if shares[-1] != shares[0]:
            with pytest.raises(WrongMode, match="still being set up"):
                group.step(FAN)
        shares.append(group.poll())
    assert shares == sorted(shares) and group.identical
    group.step(FAN)
    group.close()


def test_a_group_that_is_not_set_up_yet_can_be_closed(env):
    group = fork(env, workers=1, block=False)
    group.close()
    assert env.step(FORWARD)[4]["tick"] == 6


def test_closing_the_environment_ends_its_group(farm):
    for _ in range(2):
        env = CarlaEnv(farm.endpoint, wait=20.0)
        env.reset(seed=1)
        group = fork(env)
        env.close()
        with pytest.raises(WrongMode):
            group.step(FAN)
