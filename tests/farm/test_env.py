"""CarlaEnv on a real farm of toy worlds: episodes, snapshots, wrong calls, and what becomes of it when things break."""

import contextlib
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
import toyfarm
from bench import until
from toyfarm import FORWARD, LEFT, RIGHT

from b2d_zmq import CarlaEnv, Client, Snapshot
from b2d_zmq.errors import (
    InvalidAction,
    NoBroker,
    NoEpisode,
    NoFreeWorker,
    RequestError,
    SnapshotCorrupt,
    SnapshotMismatch,
    UnknownOption,
    WorkerLost,
    WrongMode,
)
from b2d_zmq.session import Session
from b2d_zmq.spaces import observation_space
from b2d_zmq.window import first_picture


@pytest.fixture(scope="module")
def dies(tmp_path_factory):
    """A file that, while it exists, kills the next host that steps at full throttle."""
    return tmp_path_factory.mktemp("toy") / "dies"


@pytest.fixture(scope="module")
def farm(dies):
    with toyfarm.running(2, TOY_DIES=str(dies)) as farm:
        yield farm


@pytest.fixture
def env(farm):
    with CarlaEnv(farm.endpoint, wait=20.0) as env:
        yield env


def steps(env, actions):
    return [env.step(action) for action in actions]


def same(one, other):
    """Outcomes of steps, compared in every bit."""
    np.testing.assert_equal(one, other)


def test_an_episode(env):
    observation, info = env.reset(seed=3, options={"route_id": 1})
    assert observation in env.observation_space
    assert (info["episode_steps"], info["episode_reward"], info["tick"]) == (0, 0.0, 0)
    observation, reward, terminated, truncated, info = env.step(FORWARD)
    assert observation in env.observation_space
    assert (type(reward), type(terminated), type(truncated)) == (float, bool, bool)
    assert (info["episode_steps"], info["episode_reward"], info["tick"]) == (1, reward, 1)
    assert info["worker"].startswith("w-") and len(info["digest"]) == 16 and 0 < info["simulator_seconds"] < 5
    assert env.last_observation is observation is env.get_current_observation()


def test_the_same_seed_is_the_same_episode_and_another_is_another(env):
    first = env.reset(seed=5), steps(env, [LEFT] * 3)
    same((env.reset(seed=5), steps(env, [LEFT] * 3)), first)
    assert env.reset(seed=6)[1]["digest"] != first[0][1]["digest"]


def test_without_a_seed_the_next_episode_follows_from_the_last_seed(env):
    drawn = []
    for _ in range(2):
        env.reset(seed=5)
        drawn.append([env.reset()[1]["digest"] for _ in range(3)])
    assert drawn[0] == drawn[1] and len(set(drawn[0])) == 3


def test_frame_skip_holds_the_action_in_one_request(farm, env):
    env.reset(seed=1)
    singly = steps(env, [LEFT] * 4)
    with CarlaEnv(farm.endpoint, frame_skip=4) as skipping:
        skipping.reset(seed=1)
        observation, reward, _, _, info = skipping.step(LEFT)
    assert info["episode_steps"] == 1 and info["tick"] == 4
    assert reward == pytest.approx(sum(step[1] for step in singly))
    same(observation, singly[-1][0])


def test_max_steps_truncates_and_the_end_is_the_end(farm):
    with CarlaEnv(farm.endpoint, max_steps=3) as env:
        env.reset(seed=1)
        assert [step[2:4] for step in steps(env, [FORWARD] * 3)] == [(False, False), (False, False), (False, True)]
        with pytest.raises(NoEpisode):
            env.step(FORWARD)
        env.reset(seed=1, options={"max_steps": 1})
        assert env.step(FORWARD)[3]


WRONG_SHAPES = [[0.5, 0.0], [[0.5, 0.0, 0.0]], 0.5, [[1], [2, 3]]]
WRONG_TYPES = [None, "go", [True, False, True], [1j, 0, 0]]
WRONG_VALUES = [[np.nan, 0, 0], [0, np.inf, 0], [1.5, 0, 0], [0, 0, -1.01]]


@pytest.mark.parametrize("action", WRONG_SHAPES + WRONG_TYPES + WRONG_VALUES)
def test_a_bad_action_is_refused_and_the_episode_goes_on(env, action):
    env.reset(seed=1)
    before = env.step(FORWARD)[4]["tick"]
    with pytest.raises(InvalidAction):
        env.step(action)
    assert env.step([0.5, 0, 0])[4]["tick"] == before + 1


def test_an_unknown_option_names_the_known_ones_and_the_episode_goes_on(env):
    env.reset(seed=1)
    env.step(FORWARD)
    with pytest.raises(UnknownOption, match=r"wether.*route_id"):
        env.reset(options={"wether": "ClearNoon"})
    with pytest.raises(RequestError):
        env.reset(options={"route_id": 77})
    assert env.step(FORWARD)[4]["tick"] == 2


@pytest.mark.parametrize("bad", [{"options": [1]}, {"seed": -1}, {"seed": 1.5}, {"seed": "7"}, {"seed": 2**63}])
def test_a_bad_reset_says_what_is_wanted(env, bad):
    with pytest.raises(RequestError):
        env.reset(**bad)


@pytest.mark.parametrize(
    "bad",
    [
        {"frame_skip": 0},
        {"max_steps": -1},
        {"render_mode": "ansi"},
        {"budgets": {"stepp": 1}},
        {"frame_skip": 2.0},
        {"budgets": {"step": 0}},
        {"wait": float("nan")},
        {"timeout": -1},
        {"endpoint": "http://x:8080"},
    ],
)
def test_a_bad_environment_is_refused_at_once(farm, bad):
    with pytest.raises(RequestError):
        CarlaEnv(**{"endpoint": farm.endpoint, **bad})


def test_calls_before_reset_say_so(env):
    for call in (lambda: env.step(FORWARD), env.snapshot, env.get_current_observation, env.reset_from_snapshot, lambda: env.fork(2)):
        with pytest.raises(NoEpisode):
            call()


def test_calls_after_close_say_so(farm):
    env = CarlaEnv(farm.endpoint)
    env.reset(seed=1)
    env.close()
    env.close()
    with pytest.raises(NoEpisode):
        env.step(FORWARD)
    with pytest.raises(WrongMode, match="closed"):
        env.reset()


def test_a_snapshot_goes_on_exactly_here_and_elsewhere(farm, env, tmp_path):
    env.reset(seed=2)
    steps(env, [RIGHT] * 5)
    snapshot = env.snapshot()
    assert (snapshot.tick, snapshot.tier, snapshot.backend, snapshot.episode_steps) == (5, "exact", "toy", 5)
    onward = steps(env, [LEFT] * 5)
    again = Snapshot.load(snapshot.save(tmp_path / "here.snapshot"))
    observation, info = env.restore(again)
    assert info["digest"] == snapshot.digest and info["episode_steps"] == 5
    same(steps(env, [LEFT] * 5), onward)
    with CarlaEnv(farm.endpoint) as other:
        seen, told = other.restore(snapshot)
        same(seen, observation)
        assert told["worker"] != info["worker"]
        for mine, theirs in zip(steps(other, [LEFT] * 5), onward):
            same(mine[:4], theirs[:4])
            assert mine[4]["episode_reward"] == theirs[4]["episode_reward"]


@pytest.mark.parametrize("what", ["ab12", None, b"bytes"])
def test_only_a_snapshot_is_restored(env, what):
    with pytest.raises(RequestError, match="Snapshot"):
        env.restore(what)


def test_snapshots_that_do_not_fit_are_refused_and_the_episode_goes_on(env):
    env.reset(seed=1)
    good = env.snapshot()
    fields = {name: getattr(good, name) for name in good.__dataclass_fields__}
    for change in ({"backend": "carla"}, {"version": "2"}):
        with pytest.raises(SnapshotMismatch, match="does not fit"):
            env.restore(Snapshot(**{**fields, **change}))
    with pytest.raises(SnapshotCorrupt, match="not a toy"):
        env.restore(Snapshot(**{**fields, "data": b"garbage"}))
    assert env.step(FORWARD)[4]["tick"] == 1


def test_the_predecessors_names(env):
    env.reset(seed=1)
    steps(env, [FORWARD] * 2)
    first = env.save_snapshot()
    assert env.current_snapshot == first and env.list_snapshots() == [first]
    steps(env, [LEFT] * 3)
    second = env.save_snapshot()
    env.restore_snapshot(first)
    assert env.episode_steps == 2 and env.last_observation["scenario_info"]["step_count"] == 2
    _observation, info = env.reset_from_snapshot()
    assert info["from_snapshot"] and info["episode_steps"] == 2
    env.delete_snapshot(first)
    assert env.list_snapshots() == [second] and env.current_snapshot is None
    for call in (env.restore_snapshot, env.delete_snapshot):
        with pytest.raises(RequestError, match=second):
            call(first)


def test_render(farm):
    with CarlaEnv(farm.endpoint, render_mode="rgb_array") as env:
        observation, _ = env.reset(seed=1)
        picture = env.render()
        same(picture, observation["center_image"])
        picture[:] = 0  # a copy of one's own
    with CarlaEnv(farm.endpoint) as env:
        env.reset(seed=1)
        assert env.render() is None


def test_human_rendering_draws_each_step(farm, monkeypatch):
    pytest.importorskip("matplotlib").use("agg")
    with CarlaEnv(farm.endpoint, render_mode="human") as env:
        observation, _ = env.reset(seed=1)
        observation, *_ = env.step(FORWARD)
        same(np.asarray(env._window._image.get_array()), observation["center_image"])
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    with CarlaEnv(farm.endpoint, render_mode="human") as env, pytest.raises(ImportError, match=r"b2d-zmq\[human\]"):
        env.reset(seed=1)


def test_a_rig_without_cameras_has_nothing_to_render():
    with pytest.raises(WrongMode, match="--sensors predecessor"):
        first_picture(observation_space({}), observation_space({}).sample())


def test_no_free_worker_says_who_holds_them(farm):
    with contextlib.ExitStack() as stack:
        one, two, three = (stack.enter_context(CarlaEnv(farm.endpoint, label=who, wait=0.0)) for who in ("ann", "bob", "eve"))
        until(lambda: {worker["state"] for worker in three.client.status()["workers"]} == {"free"})
        one.reset(seed=1)
        two.reset(seed=1)
        with pytest.raises(NoFreeWorker, match="ann") as caught:
            three.reset(seed=1)
        assert "bob" in str(caught.value)
        one.close()
        three.wait = 20.0
        three.reset(seed=1)


def test_a_shared_client_serves_several_and_stays_open(farm):
    with Client(farm.endpoint) as client:
        with CarlaEnv(client=client) as one, CarlaEnv(client=client) as two:
            assert one.reset(seed=1)[1]["worker"] != two.reset(seed=1)[1]["worker"]
        until(lambda: {worker["state"] for worker in client.status()["workers"]} == {"free"})


def test_a_lost_worker_is_an_error_and_the_next_reset_takes_another(farm, dies):
    with CarlaEnv(farm.endpoint, wait=20.0, on_loss="raise") as env:
        env.reset(seed=1)
        env.step(FORWARD)
        dies.touch()
        with pytest.raises(WorkerLost, match="exit"):
            env.step([1.0, 0.0, 0.0])
        with pytest.raises(WorkerLost):
            env.step(FORWARD)
        with pytest.raises(WorkerLost):
            env.snapshot()
        env.reset(seed=1)
        assert env.step([1.0, 0.0, 0.0])[4]["tick"] == 1


def test_an_interrupted_step_is_not_forgotten(env, monkeypatch):
    env.reset(seed=1)

    def interrupted(client, pendings):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Client, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            env.step(FORWARD)
    with pytest.raises(WrongMode, match="interrupted"):
        env.step(FORWARD)
    with pytest.raises(UnknownOption):
        env.reset(options={"wether": 1})
    with pytest.raises(WrongMode, match="interrupted"):
        env.step(FORWARD)
    env.reset(seed=1)
    assert env.step(FORWARD)[4]["tick"] == 1


def test_a_session_keeps_what_it_takes_to_live_the_episode_again(farm):
    with Client(farm.endpoint) as client:
        session = Session(client, client.acquire(1, wait=20.0)[0])
        digests = [session.finish(session.send_reset(4, {})).digest]
        digests += [session.finish(session.send_step(action, 2)).digest for action in (LEFT, RIGHT)]
        with pytest.raises(InvalidAction):
            session.finish(session.send_step(np.full(3, 9, np.float32)))
        with pytest.raises(UnknownOption):
            session.finish(session.send_reset(5, {"x": 1}))
        assert session.begin.seed == 4 and session.digests == digests
        again = [session.finish(session.send_reset(session.begin.seed, session.begin.options)).digest]
        log = [("step", LEFT, 2), ("step", RIGHT, 2)]
        again += [session.finish(session.send_step(action, ticks)).digest for _, action, ticks in log]
        assert again == digests and session.log == log
        state = session.finish_snapshot(session.send_snapshot())
        assert session.begin.data == state.data and session.log == [] and session.digests == digests[-1:]


def test_gymnasium_makes_it_bare(farm):
    env = gymnasium.make("b2d_zmq/Carla-v0", endpoint=farm.endpoint, max_steps=7)
    assert isinstance(env, CarlaEnv) and env.max_steps == 7
    env.close()


def test_importing_the_package_loads_the_wire_alone():
    told = "import sys, b2d_zmq, gymnasium; assert 'b2d_zmq/Carla-v0' in gymnasium.registry; assert 'zmq' not in sys.modules"
    subprocess.run([sys.executable, "-W", "error", "-c", told], check=True, timeout=60)


def test_no_broker_at_all():
    with pytest.raises(NoBroker, match="b2d up"):
        CarlaEnv("tcp://127.0.0.1:9", timeout=0.1)
