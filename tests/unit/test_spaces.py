"""Spaces cross the wire whole, a bad one is refused by name, and an action is checked before it travels."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from b2d_zmq.codec import decode, encode
from b2d_zmq.errors import InvalidAction, ProtocolError
from b2d_zmq.spaces import action_space, check_action, check_actions, from_wire, observation_space, profile, to_wire

RIG = {"center_image": (12, 24), "left_image": (6, 8)}


def test_spaces_come_back_as_they_were():
    for space in (action_space(), observation_space({}), observation_space(RIG)):
        assert from_wire(decode(encode(to_wire(space)))) == space


def test_the_observation_has_the_layout_that_trainers_know():
    space = observation_space(RIG)
    assert set(space.spaces) == {*RIG, "vehicle_state", "scenario_info", "navigation"}
    assert space["center_image"].shape == (12, 24, 3) and space["center_image"].dtype == np.uint8
    assert set(space["vehicle_state"].spaces) == {"position", "rotation", "velocity", "speed"}
    assert space["navigation"]["command"].n == 6


@pytest.mark.parametrize(
    "wire",
    [
        {},
        None,
        [],
        {"type": "dict"},
        {"type": "dict", "keys": [["a"]]},
        {"type": "dict", "keys": [["a", {"type": "box"}]]},
        {"type": "discrete"},
        {"type": "discrete", "n": 0},
        {"type": "discrete", "n": "many"},
        {"type": "text", "low": 0, "high": 1, "shape": [1], "dtype": "<f4"},
        {"type": "box", "low": 0, "high": 1, "shape": [1], "dtype": "|O"},
        {"type": "box", "low": 0, "high": 1, "shape": [1], "dtype": "nonsense"},
        {"type": "box", "low": 0, "high": 1, "shape": [1], "dtype": ",f4"},  # numpy parses what is before the comma as Python
        {"type": "dict", "keys": [[str(n), {"type": "box", "low": 0, "high": 1, "shape": [2**23], "dtype": "<f8"}] for n in range(9)]},
        {"type": "box", "low": [0, 0], "high": 1, "shape": [3], "dtype": "<f4"},
        {"type": "box", "low": 0, "high": 1, "shape": [10**12], "dtype": "<f4"},
        {"type": "box", "low": 0, "high": 2**70, "shape": [1], "dtype": "|u1"},
        {"type": "box", "low": 0, "high": 1, "shape": [-1], "dtype": "<f4"},
        {"type": "box", "low": "a", "high": 1, "shape": [3], "dtype": "<f4"},
    ],
    ids=str,
)
def test_a_space_that_cannot_be_read_is_a_protocol_error(wire):
    with pytest.raises(ProtocolError):
        from_wire(wire)


def test_only_some_kinds_of_space_travel():
    with pytest.raises(TypeError, match="MultiBinary"):
        to_wire(gymnasium.spaces.MultiBinary(3))


def test_the_profile_tells_apart_what_must_not_be_mixed():
    base = ("embedded", "1", observation_space(RIG), action_space())
    others = [
        ("carla", *base[1:]),
        ("embedded", "2", *base[2:]),
        ("embedded", "1", observation_space({"center_image": (12, 25)}), base[3]),
        (*base[:3], gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)),
    ]
    assert profile(*base) == profile("embedded", "1", observation_space(dict(RIG)), action_space())
    assert len({profile(*base), *(profile(*other) for other in others)}) == 5


@pytest.mark.parametrize("action", [[0.5, 0, -1], (1, 0, 1), np.array([0.0, 1.0, 0.0]), np.array([1, 0, 0]), np.zeros(3, np.float16)])
def test_a_good_action_becomes_float32(action):
    checked = check_action(action, action_space())
    assert checked.dtype == np.float32 and checked.shape == (3,)


@pytest.mark.parametrize(
    ("action", "word"),
    [
        ([0.5, 0.0], "shape"),
        ([[0.5, 0.0, 0.0]], "shape"),
        (0.5, "shape"),
        ([0.5, [0.0], 0.0], "ragged"),
        (["a", "b", "c"], "numbers"),
        ([True, False, True], "numbers"),
        (None, "numbers"),
        ([0.5, None, 0.0], "numbers"),
        ([1j, 0, 0], "numbers"),
        ([np.nan, 0, 0], "NaN"),
        ([0, np.inf, 0], "NaN"),
        ([1.5, 0, 0], "range"),
        ([0, -0.1, 0], "range"),
        ([0, 0, -1.01], "range"),
        ([1e300, 0, 0], "NaN"),
    ],
    ids=str,
)
def test_a_bad_action_is_refused_with_what_is_wanted(action, word):
    with np.errstate(over="ignore"), pytest.raises(InvalidAction, match=word):
        check_action(action, action_space())


def test_leading_dimensions_are_checked_too():
    space = action_space()
    assert check_actions(np.zeros((4, 3)), space, [4]).shape == (4, 3)
    assert check_actions(np.zeros((4, 7, 3)), space, [4, -1]).shape == (4, 7, 3)
    for wrong in (np.zeros((3, 3)), np.zeros(3), np.zeros((4, 1, 3))):
        with pytest.raises(InvalidAction, match=r"\[4, 3\]"):
            check_actions(wrong, space, [4])
