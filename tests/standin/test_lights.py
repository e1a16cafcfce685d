"""The clocks of the stand-in's traffic lights."""

from __future__ import annotations

import pytest

from worker.standin.actors import Actor, Lamp, Pose
from worker.standin.lights import GREEN, RED, YELLOW, Group, groups_of


def lamp(number, phase, group=0):
    body = Lamp(f"s{number}", group, phase, green=1.0, yellow=0.5, red=0.5)
    return Actor(number, "traffic.traffic_light", {}, Pose(0.0, 0.0, 0.0), body=body)


@pytest.fixture
def lamps():
    """Two lamps of one phase and one of another."""
    return [lamp(1, 0), lamp(2, 0), lamp(3, 1)]


def states(lamps):
    return [each.body.state for each in lamps]


def pass_time(group, seconds, touched=None):
    for _ in range(round(seconds / 0.05)):
        group.advance(0.05, set() if touched is None else touched)


def test_phases_take_turns(lamps):
    group = Group(lamps)
    assert states(lamps) == [GREEN, GREEN, RED]
    pass_time(group, 0.95)
    assert states(lamps) == [GREEN, GREEN, RED] and lamps[0].body.elapsed == pytest.approx(0.95)
    pass_time(group, 0.05)
    assert states(lamps) == [YELLOW, YELLOW, RED] and lamps[0].body.elapsed == 0.0
    pass_time(group, 0.5)
    assert states(lamps) == [RED, RED, RED]
    pass_time(group, 0.5)
    assert states(lamps) == [RED, RED, GREEN]
    pass_time(group, 2.0)
    assert states(lamps) == [GREEN, GREEN, RED]


def test_a_colour_from_outside_lasts_until_the_next_transition(lamps):
    group = Group(lamps)
    lamps[0].body.state = RED
    pass_time(group, 0.9)
    assert states(lamps) == [RED, GREEN, RED]
    pass_time(group, 0.1)
    assert states(lamps) == [YELLOW, YELLOW, RED]


def test_frozen_clocks_stand(lamps):
    group = Group(lamps)
    group.freeze(True)
    pass_time(group, 5.0)
    assert states(lamps) == [GREEN, GREEN, RED] and lamps[2].body.frozen
    group.freeze(False)
    pass_time(group, 1.0)
    assert states(lamps) == [YELLOW, YELLOW, RED]


def test_a_reset_begins_anew(lamps):
    group = Group(lamps)
    pass_time(group, 2.3)
    group.reset()
    assert states(lamps) == [GREEN, GREEN, RED] and lamps[2].body.elapsed == 0.0
    pass_time(group, 1.0)
    assert states(lamps) == [YELLOW, YELLOW, RED]


def test_other_times_hold_at_once(lamps):
    group = Group(lamps)
    pass_time(group, 0.5)
    for each in lamps[:2]:
        each.body.green = 0.5
    pass_time(group, 0.05)
    assert states(lamps) == [YELLOW, YELLOW, RED]


def test_only_the_lamps_whose_turn_it_is_are_touched(lamps):
    touched = set()
    pass_time(Group(lamps), 0.5, touched)
    assert touched == {1, 2}


def test_groups_are_found_by_number():
    found = groups_of([lamp(1, 0, 4), lamp(2, 0, 3), lamp(3, 1, 4), Actor(4, "traffic.stop", {}, Pose(0.0, 0.0, 0.0), body=Lamp("x"))])
    assert {key: [each.id for each in group.lamps()] for key, group in found.items()} == {3: [2], 4: [1, 3]}
