"""Group advantages: the formulas, and what lost members do to them (nothing)."""

import numpy as np
import pytest

from b2d_zmq.advantages import advantages
from b2d_zmq.errors import RequestError

RETURNS = np.array([1.0, 2.0, 6.0])
ALL = np.ones(3, bool)


def test_grpo_has_mean_zero_and_deviation_one():
    result = advantages(RETURNS, ALL)
    assert result.mean() == pytest.approx(0.0, abs=1e-12)
    assert result.std() == pytest.approx(1.0, abs=1e-5)


def test_centered():
    assert advantages(RETURNS, ALL, "centered").tolist() == [-2.0, -1.0, 3.0]


def test_leave_one_out_compares_with_the_others():
    assert advantages(RETURNS, ALL, "leave_one_out").tolist() == pytest.approx([1 - 4.0, 2 - 3.5, 6 - 1.5])


@pytest.mark.parametrize("kind", ["grpo", "centered", "leave_one_out"])
def test_equal_returns_give_zeros(kind):
    assert advantages(np.full(7, 0.1), np.ones(7, bool), kind).tolist() == [0.0] * 7


@pytest.mark.parametrize("kind", ["grpo", "centered", "leave_one_out"])
def test_a_lost_member_is_nan_and_moves_nobody(kind):
    valid = np.array([True, True, False, True])
    result = advantages(np.array([1.0, 2.0, np.nan, 6.0]), valid, kind)
    assert np.isnan(result).tolist() == [False, False, True, False]
    assert result[valid].tolist() == advantages(RETURNS, ALL, kind).tolist()


@pytest.mark.parametrize("kind", ["grpo", "centered", "leave_one_out"])
def test_a_single_valid_member_has_zero_and_not_its_raw_return(kind):
    result = advantages(np.array([5.0, np.nan]), np.array([True, False]), kind)
    assert result[0] == 0.0 and np.isnan(result[1])


def test_no_valid_member_gives_nan_without_a_warning():
    assert np.isnan(advantages(np.array([np.nan]), np.array([False]))).all()


def test_an_unknown_kind_names_the_known_ones():
    with pytest.raises(RequestError, match="grpo, centered, leave_one_out"):
        advantages(RETURNS, ALL, "ppo")
