"""What every backend promises (worker/backends/base.py), whatever simulator is behind it."""

import gc
import os
import re

import numpy as np
import psutil
import pytest
from backend_contract import assert_same, assert_same_outcome, digests_elsewhere, digests_from, drive, script

from b2d_zmq import codec, spaces
from b2d_zmq.errors import NoEpisode, RequestError, SnapshotCorrupt, UnknownOption, UnknownRoute
from worker.backends.base import Backend, Traits

HEX = re.compile(r"[0-9a-f]{16}")
COAST = np.array([0.5, 0.0, 0.0], np.float32)


def under_way(backend, n=5, seed=3, **options):
    """An episode some steps of three ticks old; its last outcome."""
    backend.reset(seed, options)
    return drive(backend, script(n, seed=1), ticks=3)[-1]


def test_traits_describe_it_and_never_change(backend):
    traits = backend.traits
    assert isinstance(backend, Backend) and isinstance(traits, Traits)
    assert traits.backend and traits.version and traits.rig and traits.dt > 0 and traits.routes >= 1 and traits.tiers
    assert traits.action_space == spaces.action_space()
    under_way(backend)
    assert backend.traits == traits
    backend.release()
    assert backend.traits == traits
    assert spaces.from_wire(spaces.to_wire(traits.observation_space)) == traits.observation_space


def test_observations_are_in_the_space(backend):
    space = backend.traits.observation_space
    outcomes = [backend.reset(3, {}), *drive(backend, script(10)), backend.restore(backend.snapshot().data)]
    for outcome in outcomes:
        assert outcome.observation in space
        for key, part in space.spaces.items():
            value = outcome.observation[key]
            if isinstance(value, np.ndarray):
                assert value.dtype == part.dtype and value.flags.c_contiguous


def test_outcomes_are_plain_and_travel(backend):
    for outcome in [backend.reset(3, {}), *drive(backend, script(3))]:
        assert type(outcome.reward) is float and type(outcome.tick) is int
        assert type(outcome.terminated) is bool and type(outcome.truncated) is bool
        assert HEX.fullmatch(outcome.digest)
        told = {"observation": outcome.observation, "info": outcome.info}
        assert_same(codec.decode([bytes(frame) for frame in codec.encode(told)]), told)


def test_reset_begins_at_nothing(backend):
    outcome = backend.reset(3, {})
    assert outcome.reward == 0.0 and not outcome.terminated and not outcome.truncated
    assert outcome.info["step_count"] == 0 and outcome.info["cumulative_reward"] == 0.0 and outcome.info["seed"] == 3
    assert outcome.observation["scenario_info"]["step_count"][0] == 0.0


def test_the_navigation_is_live(backend):
    first = backend.reset(3, {}).observation["navigation"]
    last = backend.step(COAST, 60).observation["navigation"]
    assert last["distance_to_goal"][0] < first["distance_to_goal"][0]
    assert last["route_completion"][0] > first["route_completion"][0]


def test_step_moves_time_on(backend):
    start = backend.reset(3, {}).tick
    outcome = backend.step(COAST)
    assert outcome.tick == start + 1 and outcome.info["step_count"] == 1
    assert outcome.info["reward_terms"] and sum(outcome.info["reward_terms"].values()) == pytest.approx(outcome.reward)
    assert outcome.digest == backend.digest()


def test_same_seed_same_episode(backend, second):
    one = [backend.reset(11, {}), *drive(backend, script(12))]
    two = [second.reset(11, {}), *drive(second, script(12))]
    again = [backend.reset(11, {}), *drive(backend, script(12))]
    for a, b, c in zip(one, two, again):
        assert_same_outcome(a, b)
        assert_same_outcome(a, c)


def test_another_seed_another_episode(backend):
    assert backend.reset(1, {}).digest != backend.reset(2, {}).digest


@pytest.mark.parametrize("call", ["step", "snapshot", "digest"])
def test_nothing_goes_before_reset(backend, call):
    with pytest.raises(NoEpisode, match="reset or restore first"):
        backend.step(COAST) if call == "step" else getattr(backend, call)()


def test_nothing_goes_after_release(backend):
    under_way(backend)
    backend.release()
    backend.release()
    with pytest.raises(NoEpisode):
        backend.step(COAST)


def test_a_snapshot_changes_nothing(backend, second):
    moment = under_way(backend)
    under_way(second)
    taken = backend.snapshot()
    assert taken.digest == backend.digest() == moment.digest and taken.tick == moment.tick and taken.tier in backend.traits.tiers
    assert backend.snapshot() == taken
    for a, b in zip(drive(backend, script(10)), drive(second, script(10))):
        assert_same_outcome(a, b)


def test_restore_is_exact(backend):
    moment = under_way(backend)
    taken = backend.snapshot()
    future = drive(backend, script(15))
    back = backend.restore(taken.data)
    assert back.reward == 0.0 and back.digest == taken.digest == moment.digest and back.tick == moment.tick
    assert_same(back.observation, moment.observation)
    for a, b in zip(future, drive(backend, script(15))):
        assert_same_outcome(a, b)


def test_the_first_moment_is_restored_exactly_too(backend, second):
    moment = backend.reset(3, {})
    assert_same(second.restore(backend.snapshot().data).observation, moment.observation)


def test_a_snapshot_of_a_restored_state_is_the_same_snapshot(backend, second):
    under_way(backend)
    taken = backend.snapshot()
    second.restore(taken.data)
    assert second.snapshot() == taken


def test_restore_elsewhere_is_exact(backend, second):
    moment = under_way(backend)
    taken = backend.snapshot()
    second.release()
    assert_same(second.restore(taken.data).observation, moment.observation)
    for a, b in zip(drive(backend, script(15)), drive(second, script(15))):
        assert_same_outcome(a, b)


def test_restore_overwrites_whatever_was(backend, second):
    under_way(backend)
    taken = backend.snapshot()
    under_way(second, n=8, seed=99)
    assert_same_outcome(second.restore(taken.data), backend.restore(taken.data))


def test_restore_after_restore_is_exact(backend):
    """Each time from another state of the same episode, so that nothing of the one before shines through."""
    moment = under_way(backend)
    data = backend.snapshot().data
    future = drive(backend, script(10))
    for length in (10, 3, 7, 0):
        assert_same(backend.restore(data).observation, moment.observation)
        for a, b in zip(future, drive(backend, script(10)[:length])):
            assert_same_outcome(a, b)
        drive(backend, script(length, seed=length), ticks=4)
    backend.release()
    assert backend.restore(data).digest == moment.digest
    for a, b in zip(future, drive(backend, script(10))):
        assert_same_outcome(a, b)


def test_every_tier_restores_the_moment_and_no_other_is_known(backend):
    moment = under_way(backend)
    data = backend.snapshot().data
    with pytest.raises(UnknownOption, match=f"no tier 'wish'.* restores by {', '.join(backend.traits.tiers)}"):
        backend.restore(data, "wish")
    assert backend.digest() == moment.digest
    for tier in ("", *backend.traits.tiers):
        drive(backend, script(4, seed=2))
        back = backend.restore(data, tier)
        assert (back.tick, back.reward) == (moment.tick, 0.0)
        assert back.info["cumulative_reward"] == moment.info["cumulative_reward"]
        assert back.info.get("fidelity", {}).get("tier", "exact") == (tier or backend.traits.tiers[0])
    assert backend.restore(data).digest == moment.digest


def test_any_buffer_restores(backend):
    moment = under_way(backend)
    data = backend.snapshot().data
    for kind in (bytearray, memoryview, lambda b: np.frombuffer(b, np.uint8)):
        assert backend.restore(kind(data)).digest == moment.digest


def test_a_fresh_process_goes_on_exactly(backend, kind, tmp_path):
    moment = under_way(backend)
    (tmp_path / "snapshot").write_bytes(backend.snapshot().data)
    mine = [moment.digest, *digests_from(backend, script(10), 5)]
    assert digests_elsewhere(*kind, tmp_path / "snapshot", 10, 5) == mine


def test_another_python_goes_on_alike(backend, kind, tmp_path):
    pythons = [python for python in os.environ.get("B2D_OTHER_PYTHONS", "").split(os.pathsep) if python]
    if not pythons:
        pytest.skip("no other interpreters named in B2D_OTHER_PYTHONS")
    if kind[0] == "carla":
        pytest.skip("another Python has another CARLA's wheel, or none")
    moment = under_way(backend)
    (tmp_path / "snapshot").write_bytes(backend.snapshot().data)
    mine = [moment.digest, *digests_from(backend, script(10), 5)]
    for python in pythons:
        assert digests_elsewhere(*kind, tmp_path / "snapshot", 10, 5, python=python) == mine, python


def test_spoiled_snapshots_are_refused_and_the_episode_goes_on(backend, second):
    moment = under_way(backend)
    under_way(second)
    data = backend.snapshot().data
    places = sorted({*range(0, 64), *range(64, len(data), max(1, len(data) // 200)), len(data) - 1})
    for place in places:
        spoiled = bytearray(data)
        spoiled[place] ^= 0x41
        with pytest.raises(SnapshotCorrupt):
            backend.restore(bytes(spoiled))
    for wrong in (b"", b"\0", data[:-1], data + b"\0", data[: len(data) // 2], os.urandom(5000), data[::-1]):
        with pytest.raises(SnapshotCorrupt):
            backend.restore(wrong)
    assert backend.digest() == moment.digest
    for a, b in zip(drive(backend, script(10)), drive(second, script(10))):
        assert_same_outcome(a, b)


@pytest.mark.parametrize(
    "seed, options, error",
    [
        (1, {"no_such_option": 1}, UnknownOption),
        (1, {"route_id": -5}, UnknownRoute),
        (1, {"route_id": "first"}, RequestError),
        (1, {"town": "Atlantis"}, UnknownRoute),
        (1, {"weather": "Raining cats"}, UnknownOption),
        (1, {"weather": {"fog_density": float("nan")}}, RequestError),
        (1, {"max_steps": 0}, RequestError),
        (1, {"reward_type": "shaped"}, UnknownOption),
        (1, {"reward_weights": {"no_such_term": 1.0}}, UnknownOption),
        (-1, {}, RequestError),
        ("one", {}, RequestError),
    ],
)
def test_a_refused_reset_leaves_the_episode(backend, second, seed, options, error):
    under_way(backend)
    under_way(second)
    with pytest.raises(error):
        backend.reset(seed, options)
    for a, b in zip(drive(backend, script(5)), drive(second, script(5))):
        assert_same_outcome(a, b)


@pytest.mark.parametrize("ticks", [0, -1, 1.0, "2", None, True, 10**9])
def test_refused_ticks_leave_the_episode(backend, ticks):
    moment = under_way(backend)
    with pytest.raises(RequestError, match="ticks must be a whole number"):
        backend.step(COAST, ticks)
    assert backend.digest() == moment.digest


def test_n_ticks_are_n_steps(backend, second):
    backend.reset(3, {})
    second.reset(3, {})
    for action in script(8):
        together = backend.step(action, 5)
        single = drive(second, [action] * 5)
        assert together.digest == single[-1].digest and together.tick == single[-1].tick
        assert together.reward == pytest.approx(sum(outcome.reward for outcome in single), abs=1e-12)
        for name, value in together.info["reward_terms"].items():
            assert value == pytest.approx(sum(outcome.info["reward_terms"][name] for outcome in single), abs=1e-12)
        assert together.info["cumulative_reward"] == single[-1].info["cumulative_reward"]
        assert_same(together.observation, single[-1].observation)


def test_a_step_ends_where_the_episode_ends(backend):
    backend.reset(3, {"max_steps": 7})
    assert not backend.step(COAST, 5).truncated
    last = backend.step(COAST, 5)
    assert last.truncated and not last.terminated and last.info["step_count"] == 7 and last.info["max_steps_reached"] is True


def test_an_ended_episode_stays_ended_through_a_snapshot(backend):
    backend.reset(3, {"max_steps": 2})
    last = backend.step(COAST, 2)
    data = backend.snapshot().data
    for _ in range(2):
        with pytest.raises(NoEpisode, match="reset or restore first"):
            backend.step(COAST)
        back = backend.restore(data)
        assert back.truncated and back.digest == last.digest
    backend.reset(3, {})
    assert not backend.step(COAST).truncated


def test_resets_do_not_pile_up(backend):
    def round_():
        backend.reset(3, {})
        drive(backend, script(1))
        backend.restore(backend.snapshot().data)

    process = psutil.Process()
    for _ in range(5):
        round_()
    gc.collect()
    before = process.memory_info().rss
    for _ in range(25):  # with the 5 before: 30
        round_()
    gc.collect()
    assert process.memory_info().rss - before < 24 * 2**20


def test_the_progress_is_told(backend):
    told = []
    backend.progress = lambda doing, tick: told.append((doing, tick))
    try:
        under_way(backend, n=3)
        backend.restore(backend.snapshot().data)
    finally:
        del backend.progress
    assert all(isinstance(doing, str) and doing and isinstance(tick, int) for doing, tick in told)
    assert len({tick for _, tick in told}) >= 3


def test_close_is_final_and_repeatable(opener):
    backend = opener.open_spare()
    backend.reset(1, {})
    backend.close()
    backend.close()
    with pytest.raises(NoEpisode):
        backend.digest()
