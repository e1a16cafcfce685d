"""The digest of a CARLA state: what it feels, what it forgives, and where two rolling logs part."""

import numpy as np
import pytest

from worker.backends.carla.digest import digest, diverged
from worker.backends.carla.moment import moment

ROW = [10.0, -20.0, 0.5, 0.0, 90.0, 0.0, 3.0, 0.0, 0.0, 0.0, 0.0, 1.0]

DARK = (np.zeros(0, np.uint8), np.zeros(0, bool))


def state(row=ROW, other=ROW, told=("task", 1)):
    return digest(list(told), moment([row, other], [[], []]), *DARK)


def changed(column, by):
    row = list(ROW)
    row[column] += by
    return row


def test_equal_states_have_equal_digests_and_16_hex_digits():
    assert state() == state() and len(state()) == 16 and int(state(), 16)


@pytest.mark.parametrize("column, by", [(0, 0.01), (2, -0.01), (4, 0.1), (3, 0.2), (6, 0.05), (8, -0.05)])
def test_a_step_of_the_grid_is_felt(column, by):
    assert state() != state(changed(column, by)) and state() != state(other=changed(column, by))


@pytest.mark.parametrize("column, by", [(0, 0.004), (4, 0.04), (6, 0.02), (11, 50.0), (4, 360.0), (4, -360.0)])
def test_less_than_that_a_whole_turn_and_the_spin_are_forgiven(column, by):
    assert state() == state(changed(column, by))


def test_who_is_gone_counts_and_the_order_of_the_cast_counts():
    far = changed(0, 1.0)
    assert state(other=None) != state() and state(ROW, far) != state(far, ROW)


def test_what_is_told_and_the_lights_count():
    assert state(told=("task", 2)) != state()

    def lit(shown, turn):
        return digest(0, moment([ROW], [[]]), np.array([shown], np.uint8), np.array([turn]))

    assert len({lit(0, False), lit(2, True), lit(0, True)}) == 3


def test_where_two_logs_part():
    assert diverged(["a", "b", "c"], ["a", "b", "c"]) == diverged(["a", "b"], ["a"]) == -1
    assert diverged(["a", "b", "c"], ["a", "x", "c"]) == 10 and diverged(["a"], ["x"]) == 0
