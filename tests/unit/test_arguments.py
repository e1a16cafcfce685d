"""Numbers that a caller gives: what is wanted comes through as a plain number, everything else is refused by name."""

from __future__ import annotations

import math

import numpy as np
import pytest

from b2d_zmq import arguments
from b2d_zmq.client import Client
from b2d_zmq.errors import RequestError
from b2d_zmq.session import BUDGETS, budgets_with


@pytest.mark.parametrize("value", [1, 7, np.int64(7), np.uint8(1)])
def test_whole_numbers(value):
    assert arguments.whole("n", value) == value and type(arguments.whole("n", value)) is int


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "1", None, math.nan, np.float32(1), [1], 9])
def test_what_is_no_whole_number_within_its_bounds(value):
    with pytest.raises(RequestError, match="n must be a whole number from 1 to 8; got"):
        arguments.whole("n", value, 1, 8)


@pytest.mark.parametrize("value", [0, 0.0, 1, 2.5, np.float32(2.5), np.int32(3), 1e9])
def test_seconds(value):
    assert arguments.seconds("wait", value) == value and type(arguments.seconds("wait", value)) is float


@pytest.mark.parametrize("value", [-1, -0.1, math.nan, math.inf, 2e9, "1", None, True])
def test_what_are_no_seconds(value):
    with pytest.raises(RequestError, match="wait must be a number of seconds"):
        arguments.seconds("wait", value)
    with pytest.raises(RequestError, match="timeout must be a number of seconds"):
        Client(timeout=value)
    with pytest.raises(RequestError, match="budget 'step' must be a number of seconds"):
        budgets_with({"step": value})


def test_a_budget_is_never_nothing_since_that_would_mean_without_end():
    with pytest.raises(RequestError, match="more than 0"):
        budgets_with({"step": 0.0})
    assert budgets_with({"step": 3}) == {**BUDGETS, "step": 3.0}


@pytest.mark.parametrize("value", [-1, 2**63, 1.5, True, "1"])
def test_what_is_no_seed(value):
    with pytest.raises(RequestError, match="a seed must be"):
        arguments.seed(value)
