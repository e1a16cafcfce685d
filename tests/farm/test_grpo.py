"""GRPOCarlaEnv on real farms: modes, errors, set-up in the background, and the predecessor's flaws as named tests."""

from __future__ import annotations

import contextlib

import numpy as np
import psutil
import pytest
from toyfarm import FORWARD, LEFT, RIGHT, running

from b2d_zmq import CarlaEnv, EnvStatus, ExecutionMode, GRPOCarlaEnv, StatusInfo
from b2d_zmq.errors import RequestError, WrongMode

FULL = np.array([1.0, 0.0, 0.0], np.float32)


@pytest.fixture(scope="module")
def toys():
    with running(3) as farm:
        yield farm


@pytest.fixture
def env(toys):
    with GRPOCarlaEnv(num_services=3, service_urls=[toys.endpoint], render_mode="rgb_array", timeout=30.0) as env:
        yield env


@pytest.fixture
def ready(env):
    """Five steps into an episode, with a snapshot."""
    env.reset(seed=1)
    for _ in range(5):
        env.single_step(FORWARD)
    env.save_snapshot()
    return env


@contextlib.contextmanager
def stopped(farm, but):
    """The host of a worker other than ``but``, stopped in its tracks."""
    keeper = next(pid for name, pid in farm.pids.items() if not but.startswith(name))
    (host,) = psutil.Process(keeper).children()
    host.suspend()
    try:
        yield host
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            host.resume()


def finish_setup(env):
    status = env.check_branching_status()
    while status.status is EnvStatus.BRANCHING_SETUP:
        status = env.check_branching_status()
    return status


class TestModes:
    def test_names_and_values_are_the_predecessors(self):
        assert [mode.value for mode in ExecutionMode] == ["single", "branching"]
        values = {"ready", "busy", "branching_setup", "branching_ready", "error", "terminated", "waiting_retry"}
        assert {status.value for status in EnvStatus} == values
        told = StatusInfo(EnvStatus.READY, "fine")
        assert (told.ready, told.retry_after, told.progress, told.details) == (True, None, None, None)

    def test_attributes_before_the_first_reset(self, env, toys):
        assert (env.max_branches, env.active_branches, env.primary_env_idx, env.episode_steps) == (3, 1, 0, 0)
        assert (env.service_urls, env.timeout, env.render_mode, env.max_steps, env.env_kwargs) == (
            [toys.endpoint],
            30.0,
            "rgb_array",
            1000,
            {},
        )
        assert (env.mode, env.current_mode, env.is_branching) == (ExecutionMode.SINGLE, "single", False)
        assert (env.current_snapshot, env.branch_start_step, env.cumulative_rewards) == (None, 0, [0.0] * 3)
        assert env.action_space.shape == (3,) and "center_image" in env.observation_space.spaces
        assert env.metadata["render_modes"] == ["human", "rgb_array"]

    def test_branch_calls_in_single_mode_raise(self, ready):
        for call in (lambda: ready.branch_step([FORWARD]), lambda: ready.select_branch(0)):
            with pytest.raises(RuntimeError, match="single mode"):
                call()
        ready.disable_branching()
        assert ready.current_mode == "single"

    def test_single_calls_in_branching_mode_raise(self, ready):
        assert ready.enable_branching(num_branches=2).ready
        for call in (lambda: ready.single_step(FORWARD), ready.save_snapshot, ready.enable_branching, ready.initialize_all_services):
            with pytest.raises(RuntimeError, match="branching mode"):
                call()
        ready.branch_step([LEFT, RIGHT])

    def test_reset_ends_a_group(self, ready):
        ready.enable_branching(num_branches=2)
        ready.reset(seed=2)
        assert (ready.current_mode, ready.active_branches, ready.current_snapshot, ready.episode_steps) == ("single", 1, None, 0)
        ready.single_step(FORWARD)

    def test_step_goes_by_the_mode(self, ready):
        assert ready.step(FORWARD)[4]["mode"] == "single"
        with pytest.raises(ValueError, match="one action"):
            ready.step([FORWARD])
        ready.enable_branching(num_branches=2)
        assert len(ready.step([LEFT, RIGHT])[0]) == 2
        assert len(ready.step(np.stack([LEFT, RIGHT]))[0]) == 2
        with pytest.raises(ValueError, match="list of actions"):
            ready.step(FORWARD)

    def test_no_snapshot_no_branches(self, env):
        env.reset(seed=1)
        with pytest.raises(ValueError, match="No snapshot available"):
            env.enable_branching()
        with pytest.raises(ValueError, match="no snapshot 'snap_7'"):
            env.enable_branching("snap_7")

    @pytest.mark.parametrize("wanted", [0, -1, 4, 2.0, True])
    def test_a_wrong_number_of_branches_is_refused(self, ready, wanted):
        with pytest.raises(ValueError, match="max_branches"):
            ready.enable_branching(num_branches=wanted)

    @pytest.mark.parametrize("actions", [[FORWARD], [FORWARD] * 3, FORWARD[0], [FORWARD, [2.0, 0.0, 0.0]], [FORWARD, [np.nan, 0, 0]]])
    def test_wrong_actions_are_refused_and_nothing_moves(self, ready, actions):
        ready.enable_branching(num_branches=2)
        with pytest.raises(ValueError):
            ready.branch_step(actions)
        infos = ready.branch_step([FORWARD, FORWARD])[4]
        assert [info["tick"] for info in infos] == [6, 6]

    @pytest.mark.parametrize("branch", [-1, 2, 0.0, None])
    def test_a_branch_that_is_none_cannot_be_selected(self, ready, branch):
        ready.enable_branching(num_branches=2)
        with pytest.raises(ValueError, match="no branch"):
            ready.select_branch(branch)
        assert ready.is_branching

    def test_disable_goes_back_to_the_snapshot(self, ready):
        ready.enable_branching(num_branches=2)
        ready.branch_step([LEFT, RIGHT])
        ready.disable_branching()
        info = ready.single_step(FORWARD)[4]
        assert (info["tick"], ready.episode_steps) == (6, 6)

    def test_what_the_constructor_refuses(self, toys):
        for wrong in ({"num_services": 0}, {"num_services": "four"}, {"service_urls": []}, {"service_urls": toys.endpoint}):
            with pytest.raises(RequestError):
                GRPOCarlaEnv(**{"service_urls": [toys.endpoint], **wrong})
        with pytest.raises(RequestError, match="endpoint"):
            GRPOCarlaEnv(service_urls=["http://localhost:8080"])

    def test_more_places_than_workers_are_not_promised(self, toys, caplog):
        with GRPOCarlaEnv(num_services=8, service_urls=[toys.endpoint]) as env:
            assert env.max_branches == 3
        assert "max_branches is 3, not 8" in caplog.text

    def test_the_endpoint_comes_from_the_environment(self, toys, monkeypatch):
        monkeypatch.setenv("B2D_ENDPOINT", toys.endpoint)
        with GRPOCarlaEnv(num_services=1) as env:
            assert env.service_urls == [toys.endpoint]

    def test_closing_gives_everything_back(self, toys):
        env = GRPOCarlaEnv(num_services=3, service_urls=[toys.endpoint])
        assert env.initialize_all_services().ready
        assert len(env._crew.clients[0].status()["leases"]) == 3
        env.close()
        env.close()
        with GRPOCarlaEnv(num_services=3, service_urls=[toys.endpoint], timeout=20.0) as other:
            assert other.initialize_all_services().ready


class TestAsync:
    def test_steps_wait_for_the_setup(self, toys, ready):
        """The predecessor's race: single_step and reset stayed legal while the branches were being restored."""
        with stopped(toys, but=ready.envs[0].last_info["worker"]) as host:
            status = ready.enable_branching(num_branches=3, async_setup=True)
            assert (status.status, status.ready, status.details["async"]) == (EnvStatus.BRANCHING_SETUP, False, True)
            assert status.retry_after > 0 and 0.0 <= status.progress < 1.0
            while ready.check_branching_status().progress < 2 / 3:
                assert ready.current_mode == "single"
            for call in (lambda: ready.single_step(FORWARD), ready.reset, ready.save_snapshot, lambda: ready.branch_step([FORWARD] * 3)):
                with pytest.raises(WrongMode, match="check_branching_status"):
                    call()
            assert ready.branching_setup_progress == pytest.approx(2 / 3)
            host.resume()
            status = finish_setup(ready)
        assert (status.status, status.progress, ready.active_branches) == (EnvStatus.BRANCHING_READY, 1.0, 3)
        assert len({info["digest"] for info in ready.branch_step([FORWARD] * 3)[4]}) == 1
        ready.select_branch(2)

    def test_a_setup_that_fails_says_so_once(self):
        with running(2) as farm, GRPOCarlaEnv(2, [farm.endpoint], on_loss="raise") as env:
            env.reset(seed=1)
            env.save_snapshot()
            with stopped(farm, but=env.envs[0].last_info["worker"]) as host:
                env.enable_branching(async_setup=True)
                host.kill()
                status = finish_setup(env)
            assert (status.status, status.ready, status.details["progress"]) == (EnvStatus.ERROR, False, -1.0)
            assert "Branching setup failed" in status.message and status.details["failed_branch"] == 1
            assert env.check_branching_status().message == "Single mode active"
            env.single_step(FORWARD)

    def test_a_setup_can_be_given_up(self, ready):
        ready.enable_branching(num_branches=3, async_setup=True)
        ready.disable_branching()
        assert ready.check_branching_status().message == "Single mode active"
        assert ready.single_step(FORWARD)[4]["tick"] == 6


class TestBranches:
    def test_statuses_and_counters_of_a_step(self, ready):
        before = ready.episode_rewards[0]
        status = ready.enable_branching(num_branches=2)
        assert status.message == "Successfully enabled 2 branches" and status.details["num_branches"] == 2
        assert ready.cumulative_rewards[:2] == [before, before]
        rewards, infos = ready.branch_step([FORWARD, FULL])[1::3]
        assert [info["branch_id"] for info in infos] == [0, 1] and all(info["valid"] for info in infos)
        assert {info["mode"] for info in infos} == {"branching"}
        assert [info["status"].message for info in infos] == ["Branch 0 step completed", "Branch 1 step completed"]
        assert [info["cumulative_reward"] for info in infos] == [before + reward for reward in rewards] == ready.cumulative_rewards[:2]
        assert [info["episode_steps"] for info in infos] == [6, 6]

    def test_statistics(self, ready):
        assert ready.get_branch_statistics() == {"mode": "single", "active_branches": 1, "primary_reward": ready.episode_rewards[0]}
        ready.enable_branching()
        for _ in range(3):
            ready.branch_step([FORWARD, FULL, FORWARD])
        told = ready.get_branch_statistics()
        assert (told["mode"], told["active_branches"], told["best_branch"], told["steps_since_branch"]) == ("branching", 3, 1, 3)
        assert told["branch_rewards"][1] == max(told["branch_rewards"])
        assert told["advantages"][1] > 0 and told["valid"] == [True] * 3
        best = ready.cumulative_rewards[1]
        ready.select_branch(1)
        assert ready.episode_rewards == [0.0, best, 0.0] and ready.primary_env_idx == 1

    def test_termination_of_a_branch_is_told(self, env):
        env.reset(seed=1, options={"max_steps": 7})
        for _ in range(5):
            env.single_step(FORWARD)
        env.save_snapshot()
        env.enable_branching(num_branches=2)
        assert env.branch_step([FORWARD, LEFT])[3] == [False, False]
        assert env.branch_step([FORWARD, LEFT])[3] == [True, True]

    def test_render_renders_in_both_modes(self, ready):
        """The predecessor's render gave None in every mode."""
        assert ready.render().shape == (16, 32, 3)
        ready.enable_branching(num_branches=3)
        start = ready.render()
        assert [picture.shape for picture in start] == [(16, 32, 3)] * 3
        ready.branch_step([LEFT, FORWARD, RIGHT])
        assert all((old != new).any() for old, new in zip(start, ready.render()))

    def test_groups_may_span_farms(self, toys):
        with running(2) as other, GRPOCarlaEnv(num_services=5, service_urls=[toys.endpoint, other.endpoint]) as env:
            assert env.max_branches == 5
            env.reset(seed=1)
            env.single_step(FORWARD)
            env.save_snapshot()
            assert env.enable_branching().ready
            infos = env.branch_step([FORWARD] * 5)[4]
            assert len({info["worker"] for info in infos}) == 5 and len({info["digest"] for info in infos}) == 1
            far = next(i for i, info in enumerate(infos) if env._group._branches[i].session.client is env._crew.clients[1])
            env.select_branch(far)
            assert env.single_step(FORWARD)[4]["worker"] == infos[far]["worker"]
            env.save_snapshot()
            assert env.enable_branching().ready

    def test_too_few_free_workers_is_to_be_tried_again(self, toys):
        with GRPOCarlaEnv(num_services=3, service_urls=[toys.endpoint], timeout=0.5) as env, CarlaEnv(toys.endpoint) as holder:
            env.reset(seed=1)
            env.save_snapshot()
            holder.reset()
            for status in (env.enable_branching(), env.initialize_all_services()):
                assert (status.status, status.ready) == (EnvStatus.WAITING_RETRY, False)
                assert status.retry_after > 0 and "free" in status.message
            assert env.enable_branching(num_branches=2).ready


class TestFlaws:
    """The predecessor's worst flaws, as far as they were the client's; by their numbers in docs/predecessor.md."""

    def test_1_the_snapshot_is_the_state(self, ready):
        drive = ready.envs[0]
        digests = []
        for _ in range(2):
            drive.restore_snapshot(ready.current_snapshot)
            digests.append([drive.step(LEFT)[4]["digest"] for _ in range(5)])
        assert digests[0] == digests[1]

    def test_2_no_branch_is_privileged(self, ready):
        """The primary was never restored: it kept what it had driven since the snapshot."""
        for _ in range(7):
            ready.single_step(RIGHT)
        assert ready.enable_branching(num_branches=3).ready
        assert ready.episode_steps == 5
        infos = ready.branch_step([FORWARD] * 3)[4]
        assert {info["tick"] for info in infos} == {6} and len({info["digest"] for info in infos}) == 1

    def test_2_a_selected_branch_beyond_the_next_group_is_no_trouble(self, ready):
        ready.enable_branching(num_branches=3)
        ready.branch_step([LEFT, FORWARD, RIGHT])
        ready.select_branch(2)
        ready.save_snapshot()
        assert ready.enable_branching(num_branches=2).ready
        assert len({info["digest"] for info in ready.branch_step([FORWARD] * 2)[4]}) == 1

    def test_4_rewards_tell_branches_apart(self, ready):
        ready.enable_branching(num_branches=2)
        rewards = ready.branch_step([FULL, np.array([0, 1, 0], np.float32)])[1]
        assert rewards[0] > rewards[1]

    def test_6_one_step_is_one_tick(self, ready):
        assert [ready.single_step(FORWARD)[4]["tick"] for _ in range(3)] == [6, 7, 8]

    def test_9_a_service_can_be_used_again_and_again(self, env):
        for seed in range(3):
            for _ in range(2):
                assert env.reset(seed=seed)[1]["episode_steps"] == 0
            assert env.initialize_all_services().ready
            env.save_snapshot()
            assert env.enable_branching().ready
            env.branch_step([FORWARD] * 3)
            env.select_branch(seed)
            env.single_step(FORWARD)

    def test_10_a_lost_branch_is_no_reward_and_no_end(self, tmp_path):
        """It used to be reward 0.0 and terminated True, with None for an observation."""
        die = tmp_path / "die"
        with running(3, TOY_DIES=str(die)) as farm, GRPOCarlaEnv(3, [farm.endpoint], render_mode="rgb_array", on_loss="raise") as env:
            env.reset(seed=1)
            env.save_snapshot()
            env.enable_branching()
            die.touch()
            observations, rewards, terminated, truncated, infos = env.branch_step([FORWARD, FULL, FORWARD])
            assert np.isnan(rewards[1]) and not np.isnan(rewards[0])
            assert (terminated, truncated) == ([False] * 3, [False] * 3)
            assert [info["valid"] for info in infos] == [True, False, True]
            assert infos[1]["status"].status is EnvStatus.ERROR and "WorkerLost" in infos[1]["error"]
            assert np.isnan(observations[1]["vehicle_state"]["position"]).all()
            assert [picture is None for picture in env.render()] == [False, True, False]
            told = env.get_branch_statistics()
            assert np.isnan(told["branch_rewards"][1]) and told["best_branch"] in (0, 2)
            with pytest.raises(ValueError, match="branch 1 was lost"):
                env.select_branch(1)
            env.select_branch(2)
            env.single_step(FORWARD)

    def test_10_a_lost_setup_is_an_error_status_and_single_mode(self, toys, ready, monkeypatch):
        """All or nothing: the predecessor went on with the services that it had already restored."""
        monkeypatch.setattr(ready._crew.drive, "on_loss", "raise")
        others = ready._crew.others
        ready._crew.others = lambda n, wait: [_lost(session) for session in others(n, wait)]
        status = ready.enable_branching(num_branches=2)
        assert (status.status, status.ready, ready.current_mode) == (EnvStatus.ERROR, False, "single")
        assert status.details["failed_branch"] == 1 and status.details["error"]
        assert ready.check_branching_status().status is EnvStatus.READY
        assert ready.single_step(FORWARD)[4]["tick"] == 6


def _lost(session):
    """A session whose lease is gone, as after its worker's death."""
    session.client.release([session.lease])
    return session
