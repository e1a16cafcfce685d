"""Tiers, fidelity and the noise floor of a group, on a farm of toys that restore exactly or a little beside the state."""

import contextlib

import numpy as np
import pytest
import toyfarm
from toyfarm import FAN, FORWARD, fork

from b2d_zmq import CarlaEnv, CarlaVectorEnv, GRPOCarlaEnv
from b2d_zmq import fidelity as measure
from b2d_zmq.errors import InvalidAction, RequestError, UnknownOption, WorkerLost, WrongMode
from b2d_zmq.stage import Stage

PLANS = np.repeat(FAN[:, None], 20, axis=1)


@pytest.fixture(scope="module")
def dies(tmp_path_factory):
    return tmp_path_factory.mktemp("toy") / "dies"


@pytest.fixture(scope="module")
def farm(dies):
    with toyfarm.running(3, "Loose", TOY_DIES=str(dies)) as farm:
        yield farm


@pytest.fixture
def env(farm):
    with toyfarm.driven(farm) as env:
        yield env


def test_a_restore_goes_by_the_tier_that_was_asked_for(env):
    snapshot = env.snapshot()
    assert env.description["tiers"] == ["replay", "transfer"]
    assert env.restore(snapshot)[1]["fidelity"]["tier"] == "replay"
    assert env.last_info["digest"] == snapshot.digest
    info = env.restore(snapshot, tier="transfer")[1]
    assert info["fidelity"]["tier"] == "transfer" and info["digest"] != snapshot.digest
    assert env.step(FORWARD)[4]["episode_steps"] == 6


def test_a_tier_that_is_not_offered_is_refused_before_anything_happens(env, farm):
    snapshot, seq = env.snapshot(), env._session.seq
    for tier in ("exact", 3, ""):
        for call in (lambda tier=tier: env.restore(snapshot, tier=tier), lambda tier=tier: env.fork(2, tier=tier)):
            with pytest.raises(UnknownOption, match="replay, transfer"):
                call()
    assert env._session.seq == seq
    for kind in (CarlaEnv, CarlaVectorEnv):
        with pytest.raises(UnknownOption, match="replay, transfer"):
            kind(farm.endpoint, wait=20.0, tier="exact")
    assert env.step(FORWARD)[4]["tick"] == 6


def test_the_environments_own_tier_is_the_default(farm):
    with CarlaEnv(farm.endpoint, wait=20.0, tier="transfer") as env:
        env.reset(seed=1)
        assert env.restore(env.snapshot())[1]["fidelity"]["tier"] == "transfer"
        assert env.restore(env.snapshot(), tier="replay")[1]["fidelity"]["tier"] == "replay"
        with fork(env, 2) as group:
            assert [told["tier"] for told in group.fidelity] == ["transfer"] * 2
    with contextlib.closing(CarlaVectorEnv(farm.endpoint, 2, wait=20.0, tier="transfer")) as vector:
        vector.reset(seed=1)
        vector.save_snapshots()
        assert vector.fork_from_snapshot(0, [0, 1])[1]["fidelity"]["tier"].tolist() == ["transfer"] * 2
    with GRPOCarlaEnv(2, [farm.endpoint], tier="transfer") as grpo:
        grpo.reset(seed=1)
        grpo.save_snapshot()
        assert grpo.enable_branching(num_branches=2).ready
        assert [told["tier"] for told in grpo.get_branch_statistics()["fidelity"]] == ["transfer"] * 2


def test_a_group_tells_how_true_each_branch_is(env):
    with fork(env) as group:
        assert group.tier == env.tier == "replay" and group.identical
        assert [told["verdict"] for told in group.fidelity] == ["exact"] * 3
    with fork(env, tier="transfer") as group:
        assert group.tier == "transfer" and not group.identical
        assert all(told["verdict"] == "degraded" and 0.0 < told["ego"]["position"] <= 0.1 for told in group.fidelity)
        assert len({round(told["ego"]["position"], 9) for told in group.fidelity}) == 3
        apart = [told["ego"]["position"] for told in group.fidelity]
        y = group.observations["vehicle_state"]["position"][:, 1]
        np.testing.assert_allclose(y - y[0], np.subtract(apart, apart[0]), atol=1e-6)


def test_waves_restore_by_the_tier_as_well_and_the_worst_counts(env):
    with fork(env, 2, workers=1) as group:
        group.step(FAN[:2])
        assert [told["verdict"] for told in group.fidelity] == ["exact"] * 2
    with fork(env, 2, workers=1, tier="transfer") as group:
        out = group.step(FAN[:2])
        assert [told["tier"] for told in group.fidelity] == ["transfer"] * 2
        group.select(0)
    assert env.last_info["digest"] != out.digests[0], "the environment is where its worker is, beside where the branch had been"
    off = env.last_observation["vehicle_state"]["position"][1] - out.observations["vehicle_state"]["position"][0, 1]
    assert off == pytest.approx(env.last_info["fidelity"]["ego"]["position"], abs=1e-6)


def test_restart_brings_all_branches_back_to_their_start(env):
    with fork(env) as group:
        start = group.observations
        once = [group.step(FAN) for _ in range(3)]
        group.restart()
        np.testing.assert_equal(group.observations, start)
        assert group.identical and group.returns.tolist() == [0.0] * 3
        for out in once:
            again = group.step(FAN)
            assert (again.digests, again.returns.tolist()) == (out.digests, out.returns.tolist())
        assert again.infos[0]["episode_steps"] == 8


def test_a_lost_branch_stays_lost_after_a_restart(env, dies, monkeypatch):
    monkeypatch.setattr(env, "on_loss", "raise")
    with fork(env) as group:
        dies.touch()
        deadly = FAN.copy()
        deadly[1, 0] = 1.0
        group.step(deadly)
        group.restart()
        assert group.valid.tolist() == [True, False, True]
        assert group.fidelity[1] is None and group.digests[1] == ""
        assert group.step(FAN).valid.tolist() == [True, False, True]


def test_the_noise_floor_of_exact_restores_is_none(env):
    with fork(env) as group:
        floor = group.noise_floor(PLANS[0], against=PLANS)
        assert floor.identical and floor.std == floor.spread == floor.ratio == 0.0 and floor.signal > 0.0
        assert floor.ticks.tolist() == list(range(21)) and floor.tracks.position.shape == (3, 21, 3)
        assert all((part == 0.0).all() and part.shape == (21,) for part in floor.drift)
        assert group.identical and group.returns.tolist() == [0.0] * 3
        assert group.step(FAN).infos[0]["episode_steps"] == 6


def test_the_noise_floor_of_inexact_restores_is_what_they_differ_by(env):
    with fork(env, tier="transfer") as group:
        apart = [told["ego"]["position"] for told in group.fidelity]
        floor = group.noise_floor([0.5, 0.0, 0.0], 20, against=PLANS)
        assert not floor.identical and floor.against.shape == (3,)
        np.testing.assert_allclose(floor.drift.position, np.ptp(apart), atol=1e-5)
        assert (floor.drift.speed == 0.0).all() and (floor.drift.yaw == 0.0).all()
        assert floor.spread == pytest.approx(20 * 0.1 * np.ptp(apart), rel=1e-4)
        assert floor.std == pytest.approx(np.std(floor.returns)) and floor.ratio == floor.std / floor.signal
        assert [told["ego"]["position"] for told in group.fidelity] == pytest.approx(apart)


def test_the_noise_floor_counts_ticks_as_the_environment_does(farm):
    with CarlaEnv(farm.endpoint, wait=20.0, frame_skip=5) as env:
        env.reset(seed=1)
        with fork(env, 2) as group:
            assert group.noise_floor(FORWARD, 20).ticks.tolist() == [0, 5, 10, 15, 20]
            assert group.noise_floor(PLANS[0], 10).ticks.tolist() == [0, 5, 10]
            with pytest.raises(RequestError, match="multiple of frame_skip"):
                group.noise_floor(FORWARD, 7)


def test_a_noise_floor_is_refused_where_it_would_mean_nothing(env):
    with fork(env) as group:
        for arguments in ((FORWARD,), (PLANS[0], 21), (np.zeros((0, 3), np.float32),), (FORWARD, 0)):
            with pytest.raises(RequestError):
                group.noise_floor(*arguments)
        for actions, against in ((PLANS, None), ("abc", None), (PLANS[0], PLANS[:2]), (PLANS[0], PLANS[:, :7])):
            with pytest.raises(InvalidAction):
                group.noise_floor(actions, against=against)
        group.step(FAN)
        with pytest.raises(WrongMode, match="restart"):
            group.noise_floor(PLANS[0])
        group.restart()
        group.noise_floor(PLANS[0])
    with fork(env, 1) as group, pytest.raises(WrongMode, match="two branches"):
        group.noise_floor(PLANS[0])


def test_a_branch_that_is_lost_meanwhile_is_not_counted(env, dies, monkeypatch):
    monkeypatch.setattr(env, "on_loss", "raise")
    deadly = PLANS.copy()
    deadly[0, 3, 0] = 1.0
    with fork(env) as group:
        dies.touch()
        floor = group.noise_floor(PLANS[0], against=deadly)
        assert len(floor.returns) == 3 and len(floor.against) == 2
        assert group.valid.tolist() == [False, True, True]
    with fork(env, 2) as group:
        dies.touch()
        deadly[1] = deadly[0]
        with pytest.raises((RequestError, WorkerLost)):
            group.noise_floor(deadly[0])


def test_fidelity_wants_a_worker_for_each_branch_before_it_drives(farm, tmp_path):
    plan = measure.Plan(out=tmp_path, stage=Stage(farm.endpoint), ticks=(0, 5), workers=4)
    with pytest.raises(RequestError, match="has 3"):
        measure.run(plan, print)
    assert not list(tmp_path.iterdir())
