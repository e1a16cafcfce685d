"""Records of egos, their distances, and the plans that a noise floor is measured with."""

import numpy as np
import pytest

from b2d_zmq.errors import InvalidAction, RequestError
from b2d_zmq.noise import NoiseFloor, Run, floor, plan
from b2d_zmq.spaces import action_space
from b2d_zmq.tracks import Tracks

SPACE = action_space()


def egos(*rows):
    """[G] egos from (x, y, speed, yaw)."""
    numbers = np.array(rows, float)
    return Tracks(np.stack([numbers[:, 0], numbers[:, 1], np.zeros(len(rows))], 1), numbers[:, 2], numbers[:, 3])


def test_what_an_observation_says_of_the_ego():
    vehicle = {"position": np.array([1, 2, 3], np.float32), "rotation": np.array([4, 5, 6], np.float32), "speed": np.array([7], np.float32)}
    seen = Tracks.seen({"vehicle_state": vehicle})
    assert (seen.position.tolist(), seen.speed.item(), seen.yaw.item()) == ([1, 2, 3], 7, 5)


def test_gaps_are_distances_and_turns_go_the_short_way():
    gaps = egos((0, 0, 5, 179), (1, 1, 0, 90)).gaps(egos((3, 4, 3, -179), (1, 1, 2, 90)))
    assert gaps.position.tolist() == [5, 0] and gaps.speed.tolist() == [2, 2] and gaps.yaw.tolist() == [2, 0]
    assert gaps.worst() == (5, 2, 2)


def test_drift_is_the_farthest_two_apart_at_each_moment():
    record = Tracks.over_time([egos((0, 0, 5, 0)), egos((0, 0, 5, 0))])
    assert record.drift().position.tolist() == [0, 0]
    record = Tracks.over_time([egos((0, 0, 1, 0), (0, 0, 1, 0), (0, 0, 1, 0)), egos((0, 0, 1, 0), (3, 0, 2, 350), (-3, 0, 1, 10))])
    assert record.position.shape == (3, 2, 3)
    drift = record.drift()
    assert (drift.position.tolist(), drift.speed.tolist(), drift.yaw.tolist()) == ([0, 6], [0, 1], [0, 20])


def test_a_record_that_ended_early_stays_where_it_ended():
    record = Tracks.over_time([egos((0, 0, 1, 0)), egos((2, 0, 1, 0))]).until(4)
    assert record.position[0, :, 0].tolist() == [0, 2, 2, 2] and record.until(1).speed.shape == (1, 1)


def test_a_plan_is_one_action_held_or_a_list():
    assert plan([0.5, 0, 0], 6, 2, SPACE).tolist() == [[0.5, 0, 0]] * 3
    listed = np.linspace(0, 1, 4)[:, None] * [1.0, 0, 0]
    assert plan(listed, None, 2, SPACE).shape == (4, 3) and plan(listed, 4, 2, SPACE).shape == (2, 3)
    for actions, ticks in (([0.5, 0, 0], None), ([0.5, 0, 0], 3), ([0.5, 0, 0], 0), ([0.5, 0, 0], True), (listed, 10), (listed[:0], None)):
        with pytest.raises(RequestError):
            plan(actions, ticks, 2, SPACE)
    with pytest.raises(InvalidAction):
        plan([2.0, 0, 0], 2, 2, SPACE)


def run(returns, valid=None):
    tracks = Tracks.over_time([egos(*[(0, 0, 0, 0)] * len(returns))])
    return Run(np.array([0]), tracks, np.array(returns, float), np.array(valid or [True] * len(returns)), True)


def test_the_floor_is_the_spread_of_returns_beside_that_of_other_actions():
    found = floor(run([1.0, 1.2, 1.1]), run([0.0, 2.0, 1.0]))
    assert isinstance(found, NoiseFloor)
    assert found.spread == pytest.approx(0.2) and found.std == pytest.approx(np.std([1.0, 1.2, 1.1]))
    assert found.signal == pytest.approx(np.std([0, 2, 1])) and found.ratio == pytest.approx(0.1)
    assert np.isnan(floor(run([1.0, 1.2])).signal) and np.isnan(floor(run([1.0, 1.2])).ratio)
    assert floor(run([0.1, 0.1, 0.1]), run([0.0, 1.0, 2.0])).ratio == 0.0
    assert floor(run([0.1, 0.2]), run([0.5, 0.5])).ratio == float("inf")


def test_lost_branches_are_left_out():
    assert len(floor(run([1.0, np.nan, 1.0], [True, False, True])).returns) == 2
    with pytest.raises(RequestError, match="two branches"):
        floor(run([1.0, np.nan], [True, False]))
