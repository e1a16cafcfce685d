"""Traffic lights brought to a wanted phase and remaining time, against the clocks of the stand-in and against a stricter one."""

import numpy as np
import pytest

from worker.backends.carla import lights
from worker.backends.carla.moment import GREEN, RED, YELLOW, Lamps
from worker.standin.actors import Actor, Lamp, Pose
from worker.standin.lights import Group

DT = 0.05


class Strict(Group):
    """A clock that changes only when its time is over, not when it is reached, as CARLA's own does."""

    def _span(self, lamp):
        return super()._span(lamp) + 2e-6


class Town:
    """Groups of phases on clocks; does what orders say, and sees what a client would see."""

    def __init__(self, phases=(2, 1, 1), groups=2, clock=Group):
        self.rows, self.groups, self.lamps = [], [], []
        for number in range(groups):
            count = sum(phases)
            lamps = [Actor(len(self.lamps) + n, "traffic.traffic_light", {}, Pose(0, 0, 0), body=Lamp(f"{n}")) for n in range(count)]
            for n, phase in enumerate(p for p, count in enumerate(phases) for _ in range(count)):
                lamps[n].body.phase, lamps[n].body.group = phase, number
            self.rows.append(list(range(len(self.lamps), len(self.lamps) + len(lamps))))
            self.lamps += lamps
            self.groups.append(clock(lamps))
        self.turn = lights.turns(self.state, np.zeros(len(self.lamps), bool), self.rows)
        self.late, self.true = {}, self.times

    @property
    def state(self):
        return np.array([lamp.body.state for lamp in self.lamps], np.uint8)

    @property
    def elapsed(self):
        return np.float32([lamp.body.elapsed for lamp in self.lamps])

    @property
    def times(self):
        rows = [[lamp.body.green, lamp.body.yellow, lamp.body.red] for lamp in self.lamps]
        return np.array(rows, np.float32).reshape(-1, 3)

    def tick(self, count=1):
        for _ in range(count):
            for group in self.groups:
                group.advance(DT, set())
            self.turn = lights.turns(self.state, self.turn, self.rows)
            orders, self.late = lights.back(self.late, self.state, self.true)
            self.do(orders)
        return self

    def do(self, orders):
        for order in orders:
            lamp = self.lamps[order.row].body
            group = self.groups[lamp.group]
            if order.what == lights.RESET:
                group.reset()
            elif order.what == lights.TIMES:
                lamp.green, lamp.yellow, lamp.red = order.times
            elif order.what == lights.SHOW:
                lamp.state = order.state
            else:
                group.freeze(order.what == lights.FREEZE)

    def seen(self):
        column = [{GREEN: 0, YELLOW: 1, RED: 2}[int(state)] for state in self.state]
        left = np.where(self.turn, self.times[np.arange(len(column)), np.array(column, int)] - self.elapsed, 0.0).astype(np.float32)
        return Lamps(self.state, self.turn.copy(), left, self.times, np.array([lamp.body.frozen for lamp in self.lamps]))

    def become(self, wanted, ahead=0):
        alignment = lights.Alignment(wanted, self.rows, DT)
        self.do(alignment.begin(self.seen()))
        ticks = 0
        while not alignment.done:
            self.tick()
            ticks += 1
            self.do(alignment.look(self.state))
        self.true = wanted.times.copy()
        orders, self.late = lights.clocks(wanted, self.elapsed, self.rows, DT, ahead)
        self.do(orders)
        self.tick(ahead)
        return ticks, alignment.stuck


def future(town, ticks):
    shown = []
    for _ in range(ticks):
        shown.append(town.tick().state.tolist())
    return shown


@pytest.mark.parametrize("age", [0, 1, 57, 199, 200, 201, 230, 259, 260, 261, 262, 299, 300, 301, 400, 777])
@pytest.mark.parametrize("ahead", [0, 1])
def test_lights_go_on_as_they_would_have(age, ahead):
    town, other = Town(), Town().tick(333)
    wanted = town.tick(age).seen()
    ticks, stuck = other.become(wanted, ahead)
    assert not stuck and ticks <= 3 * 4 + 2
    assert other.state.tolist() == wanted.state.tolist() and other.turn.tolist() == wanted.turn.tolist()
    assert future(other, 1000) == future(town, 1000)
    assert other.times.tolist() == town.times.tolist() and not other.late


@pytest.mark.parametrize("age", [0, 57, 199, 201, 202, 262, 303, 777])
def test_a_clock_of_another_reading_is_off_by_a_tick_at_most(age):
    """From outside nobody can tell whether a state ends when its time is reached or when it is over."""
    town, other = Town(clock=Strict), Town(clock=Strict).tick(333)
    _, stuck = other.become(town.tick(age).seen())
    assert not stuck
    right = future(town, 1000)
    assert future(other, 999) in (right[:-1], right[1:])


def test_other_times_given_under_a_false_one_change_when_they_would_have():
    town, other = Town(), Town().tick(333)
    other.become(town.tick(120).seen())
    for each in (town, other):
        each.tick(20)
        each.true = each.true.copy()
        for row in each.rows[0]:
            each.true[row] = (8.0, 1.0, 4.0)
            each.do([lights.Order(row, lights.TIMES, lights.given(row, each.true, each.late))])
    right = future(town, 1000)
    assert future(other, 999) in (right[:-1], right[1:])  # right to a tick


def test_a_light_that_is_right_is_not_reset():
    town, other = Town(), Town().tick(100)
    wanted = town.tick(101).seen()
    assert other.become(wanted) == (0, [])
    assert future(other, 700) == future(town, 700)


def test_groups_of_one_phase_and_frozen_groups_align_too():
    town, other = Town(phases=(3,)), Town(phases=(3,)).tick(5)
    town.tick(230)
    town.groups[0].freeze(True)
    other.groups[1].freeze(True)
    wanted = town.seen()
    _, stuck = other.become(wanted)
    assert not stuck and other.seen().frozen.tolist() == wanted.frozen.tolist()
    assert future(other, 500) == future(town, 500)


def test_what_no_clock_can_show_is_shown_all_the_same():
    town, other = Town(), Town().tick(40)
    for lamp in town.lamps[:4]:
        lamp.body.state = GREEN
    town.groups[0].freeze(True)
    ticks, stuck = other.become(town.seen())
    assert stuck == town.rows[0] and ticks <= 3 * 4 + 2 and other.state.tolist() == town.state.tolist()


def test_without_lights_there_is_nothing_to_do():
    town = Town(groups=0)
    assert town.become(town.seen()) == (0, [])
