"""What has gone wrong for others, and must not go wrong here: each test bears the name of a report on somebody else's tracker.

The simulators are toys that crash, hang or dawdle when told to (moody.py); processes and sockets are real, and workers that die are
started again, as a supervisor would. docs/reliability.md lists the reports, with those whose test is elsewhere.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import closing
from subprocess import PIPE, Popen

import moody
import numpy as np
import psutil
import pytest
from bench import ended, until
from chaosfarm import ChaosFarm
from toyfarm import FAN, FORWARD, LEFT, RIGHT

from b2d_zmq import CarlaEnv, CarlaVectorEnv, Client
from b2d_zmq.errors import NoFreeWorker, Poisoned, WorkerLost

ACTIONS = [LEFT, FORWARD, RIGHT] * 4
SHORT = {"step": 2.5, "reset": 2.5, "restore": 20.0, "snapshot": 20.0}  # s; a step of a toy takes less than a thousandth
WORKERS = 3
HEARTBEAT, TTL = 0.5, 3.0  # s
TIRED = 3  # deaths of a host, after which a worker waits for seconds before it starts the next


@pytest.fixture(scope="module")
def farm(tmp_path_factory):
    """Three moody toys; whoever dies is started again."""
    folder = tmp_path_factory.mktemp("incidents")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOODS", str(folder))
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [os.path.dirname(moody.__file__), os.environ.get("PYTHONPATH", "")])))
        with ChaosFarm(folder, WORKERS, backend="moody:Moody", heartbeat=HEARTBEAT, lease_ttl=TTL) as farm:
            yield farm


@pytest.fixture
def mood(farm):
    """A function that has the next host that comes across it crash, hang, ...; nothing of it outlives the test."""
    yield lambda name: (moody.moods() / name).touch()
    for kind in ("reset", "restore", "step"):
        for left in farm.folder.glob(f"{kind}-*"):
            left.unlink()
    (farm.folder / "cursed").unlink(missing_ok=True)


@pytest.fixture(autouse=True)
def whole(farm, monkeypatch):
    """Each test finds all workers free, and none that rests after too many deaths."""
    monkeypatch.setenv("MOODS", str(farm.folder))
    with farm.client() as client:
        for row in client.status()["workers"]:
            if (row["progress"] or {}).get("hosts", 0) > TIRED:
                farm.strike(row["name"], signal.SIGTERM)
                until(lambda worker=row["worker"]: worker not in [one["worker"] for one in client.status()["workers"]])
        until(lambda: [row["state"] for row in client.status()["workers"]] == ["free"] * WORKERS, seconds=60)


@pytest.fixture
def env(farm):
    with CarlaEnv(farm.endpoint, budgets=SHORT) as env:
        yield env


def drive(env, seed=1, actions=ACTIONS, at=None):
    """An episode: its digests, and what was resumed. ``at``: {step: what to do before it}."""
    infos = [env.reset(seed=seed)[1]]
    for i, action in enumerate(actions):
        (at or {}).get(i, lambda: None)()
        infos.append(env.step(action)[4])
    return [info["digest"] for info in infos], [info["resumed"] for info in infos if "resumed" in info]


def test_carla_2158_a_simulator_that_freezes_costs_time_and_nothing_else(farm, env, mood):
    """Also carla 2809 (tick hangs for ever), 642, 1994, 5573, 1777 (of two simulators one hangs), Bench2Drive 72: nobody has to kill
    anything by hand, and while nobody has noticed yet, the others are served (CaRL 5)."""
    undisturbed, _ = drive(env)
    with CarlaEnv(farm.endpoint, label="the other") as other:
        once, _ = drive(other, seed=7)
        seen, _ = drive(env, actions=ACTIONS[:5])
        mood("step-hang")
        pending = env._session.send_step(ACTIONS[5], 1)
        until(lambda: not list(farm.folder.glob("step-*")))
        assert drive(other, seed=7) == (once, [])  # meanwhile
        outcome = env._session.finish(pending)
    assert outcome.info["resumed"]["verdict"] == "exact" and "STEP may take 2.5 s" in outcome.info["resumed"]["lost"][0]
    assert [*seen, outcome.digest, *(env.step(action)[4]["digest"] for action in ACTIONS[6:])] == undisturbed


def test_carl_11_a_death_restarts_what_died_and_nothing_else(farm, env, mood):
    with Client(farm.endpoint) as client:
        before = {row["worker"]: row["host"] for row in client.status()["workers"]}
        _, resumed = drive(env, at={3: lambda: mood("step-crash")})
        assert len(resumed) == 1
        until(lambda: [row["state"] for row in client.status()["workers"]].count("free") == WORKERS - 1)
        after = {row["worker"]: row["host"] for row in client.status()["workers"]}
        assert set(after) == set(before) and sum(after[worker] != before[worker] for worker in before) == 1


def test_bench2drive_146_a_crash_at_the_same_frame_every_time_does_not_eat_the_farm(farm, env, mood):
    """Also RIFT 25 (300 s x 40 retries): the third worker that dies of one step is the last, and the error has the logs."""
    mood("cursed")
    with pytest.raises(Poisoned, match=r"(?s)ended 3 workers.*1\. .*2\. .*3\. ") as caught:
        drive(env)
    assert str(caught.value).count("assertion failed at frame 7") == 3
    (farm.folder / "cursed").unlink()
    assert drive(env, seed=2)[1] == []  # the environment and the farm are there for the next episode


def test_bench2drive_230_signal_11_while_a_world_is_loaded(env, mood):
    mood("reset-segfault")
    _, info = env.reset(seed=1)
    assert info["resumed"]["verdict"] == "exact" and "SIGSEGV" in info["resumed"]["lost"][0]


def test_carla_garage_62_many_routes_with_a_crash_now_and_then_need_no_outer_loop(env, mood):
    """Also ChatScene 12 and 22, carla 1: 45 episodes, in some of which a simulator dies, end as if nothing had been."""
    actions, crash = ACTIONS[:6], {2: lambda: mood("step-crash")}
    undisturbed = [drive(env, seed, actions)[0] for seed in range(15)]
    again = [drive(env, route % 15, actions, crash if route in (9, 22, 41) else None) for route in range(45)]
    assert [digests for digests, _ in again] == undisturbed * 3
    assert [route for route, (_, resumed) in enumerate(again) if resumed] == [9, 22, 41]


def test_cardreamer_35_a_simulator_that_reboots_slowly_is_waited_for(farm, env, mood):
    """And carla 9067: where no other worker is to be had, the episode goes on as soon as its own has started again."""
    undisturbed, _ = drive(env)
    with Client(farm.endpoint) as other:
        held = other.acquire(WORKERS - 1, wait=20.0)
        seen, resumed = drive(env, at={4: lambda: mood("step-crash")})
        assert seen == undisturbed
        assert resumed[0]["worker"] not in [lease.worker for lease in held]
        other.release(held)


def test_di_drive_7_a_reset_that_never_answers_is_asked_elsewhere(env, mood):
    """Also ray 16605 (kill and start anew on an unresponsive reset) and carla-roach 35 (an EOFError ends the training)."""
    undisturbed, _ = drive(env)
    mood("reset-hang")
    seen, resumed = drive(env)
    assert seen == undisturbed
    assert "RESET may take 2.5 s" in resumed[0]["lost"][0]


def test_verifiers_2571_a_dead_worker_is_noticed_and_not_waited_for(farm, env):
    """Keeper and host at once, as where a machine goes down: only the silence tells."""
    undisturbed, _ = drive(env)

    def strike():
        name = env.last_info["worker"].rpartition("-")[0]
        host = farm.host(name)
        farm.strike(name, signal.SIGKILL)
        until(lambda: ended(host))

    seen, resumed = drive(env, at={6: strike})
    assert seen == undisturbed
    assert "silent" in resumed[0]["lost"][0] or "could not be reached" in resumed[0]["lost"][0]


def test_prime_rl_3139_nothing_is_left_of_a_trainer_that_dies_abruptly(farm):
    """Of its own processes test_local.py tells; here: the workers that it held are free again, and so are those of its group."""
    held = f"e = CarlaEnv({farm.endpoint!r}); e.reset(seed=1); g = e.fork({WORKERS}); print('held', flush=True); input()"
    command = [sys.executable, "-c", f"from b2d_zmq import CarlaEnv; {held}"]
    with Popen(command, stdin=PIPE, stdout=PIPE) as trainer, Client(farm.endpoint) as client:
        assert trainer.stdout.readline() == b"held\n"
        trainer.kill()
        client.release(client.acquire(WORKERS, wait=20.0))


def test_verifiers_942_a_busy_simulator_is_not_taken_for_dead(farm, mood):
    """Also verifiers 1599: health does not share a loop, nor an interpreter, with the work."""
    assert moody.BUSY > 3.5 * HEARTBEAT
    with CarlaEnv(farm.endpoint) as env:
        env.reset(seed=1)
        mood("step-busy")
        info = env.step(FORWARD)[4]
        assert "resumed" not in info and info["tick"] == 1


def test_verifiers_927_who_was_given_up_and_comes_back_changes_nothing(farm, env):
    """A zombie: the whole worker stands still, is replaced, and wakes up in the middle of the episode that it had."""
    undisturbed, _ = drive(env)
    asleep = []

    def stop():
        name = env.last_info["worker"].rpartition("-")[0]
        asleep.extend([psutil.Process(farm.pid(name)), psutil.Process(farm.host(name))])
        for process in asleep:
            process.suspend()

    def wake():
        for process in reversed(asleep):
            process.resume()

    seen, resumed = drive(env, at={3: stop, 8: wake})
    assert seen == undisturbed and len(resumed) == 1


def test_openenv_1000_clients_that_are_never_heard_again_do_not_use_the_slots_up(farm):
    """Their connections stay open, half or whole, and nobody closes them: the leases lapse all the same."""
    silent = [Client(farm.endpoint, label=f"silent {i}") for i in range(WORKERS)]
    try:
        for client in silent:
            client._line.hold = lambda names, ttl: None  # it is granted leases and never says another word
        for client in silent:
            client.acquire(1, wait=30.0)
        with Client(farm.endpoint) as other:
            other.release(other.acquire(WORKERS, wait=20.0))
    finally:
        for client in silent:
            client.close()


def test_trl_6420_a_branch_that_fails_while_it_is_made_does_not_make_the_group_smaller(env, mood):
    env.reset(seed=1)
    mood("restore-crash")
    with env.fork(2, wait=20.0) as group:
        assert len(group) == 2 and group.valid.all() and group.identical
        assert group.step(FAN[:2]).rewards.shape == (2,)


def test_trl_6420_a_group_for_which_there_is_no_room_is_refused_and_not_smaller(env):
    env.reset(seed=1)
    with pytest.raises(NoFreeWorker, match="3 more were wanted for 4 branches"):
        env.fork(4)


def test_trl_6349_branches_share_nothing(env):
    """And trl 6067: what each of them saw at its start is there."""
    env.reset(seed=1)
    snapshot = env.snapshot()
    alone = []
    for action in FAN:
        env.restore(snapshot)
        alone.append([env.step(action)[4]["digest"] for _ in range(3)])
    env.restore(snapshot)
    with env.fork(3, wait=20.0) as group:
        np.testing.assert_array_equal(group.observations["center_image"][0], group.observations["center_image"][2])
        together = [[info["digest"] for info in group.step(FAN).infos] for _ in range(3)]
    assert [list(branch) for branch in zip(*together)] == alone


def test_a_lost_branch_that_nobody_can_run_biases_no_advantage(farm, mood):
    with CarlaEnv(farm.endpoint, on_loss="raise") as env:
        env.reset(seed=1)
        with env.fork(3, wait=20.0) as group:
            mood("step-crash")
            out = group.step(FAN)
            assert out.valid.sum() == 2 and np.isnan(out.rewards).sum() == np.isnan(group.advantages()).sum() == 1
            assert abs(np.nansum(group.advantages("centered"))) < 1e-9


def test_gym_1602_one_sub_environment_fails_and_the_others_need_no_reset(farm, mood):
    """Also gym 1544 and 3281: a vector environment hangs, or ends with an EOFError, because one of its processes did."""
    batch = np.stack([FORWARD] * WORKERS)
    with closing(CarlaVectorEnv(farm.endpoint, num_envs=WORKERS, wait=60.0, budgets=SHORT)) as env:

        def run(before=lambda: None):
            env.reset(seed=5)
            env.step(batch)
            before()
            told = [env.step(batch) for _ in range(3)]
            return [step[4]["digest"].tolist() for step in told], [step[1].tolist() for step in told], "resumed" in told[0][4]

        digests, rewards, _ = run()
        assert run(lambda: mood("step-hang")) == (digests, rewards, True)


def test_gymnasium_1673_more_environments_than_there_is_room_for_are_refused_with_the_reason(farm):
    with closing(CarlaVectorEnv(farm.endpoint, num_envs=WORKERS, wait=20.0)) as env:
        env.reset(seed=1)
        with CarlaEnv(farm.endpoint, wait=0.0) as other, pytest.raises(NoFreeWorker, match=r"0 free, 3 leased.*held by"):
            other.reset(seed=1)


def test_who_does_not_want_an_episode_resumed_hears_of_the_loss_at_once(farm, mood):
    with CarlaEnv(farm.endpoint, on_loss="raise") as env:
        env.reset(seed=1)
        mood("step-crash")
        with pytest.raises(WorkerLost, match="exit code 3"):
            env.step(FORWARD)
