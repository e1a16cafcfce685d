"""Residuals of a restored CARLA state and the verdict on them."""

import numpy as np
import pytest

from worker.backends.carla.fidelity import Account, lamps_off, report, residuals
from worker.backends.carla.moment import Lamps, moment

ROW = [10.0, -20.0, 0.5, 0.0, 179.95, 0.0, 3.0, 0.0, 0.0, 0.0, 0.0, 1.0]
KEYS = ["ego", "traffic/0", "traffic/1"]


def moved(**by):
    columns = {"x": 0, "y": 1, "yaw": 4, "vx": 6, "vy": 7}
    row = list(ROW)
    for name, amount in by.items():
        row[columns[name]] += amount
    return row


def told(ego=ROW, one=ROW, two=ROW, lamps=0, **account):
    off = residuals(moment([ego, one, two], [[]] * 3), moment([ROW] * 3, [[]] * 3))
    return report(Account("transfer", **account), off, lamps, KEYS, 0.25)


def test_residuals_are_distances_and_the_yaw_goes_round():
    off = residuals(moment([moved(x=3.0, y=4.0, yaw=0.1, vx=-3.0, vy=4.0)], [[]]), moment([ROW], [[]]))
    assert off.position == pytest.approx([5.0]) and off.speed == pytest.approx([5.0]) and off.yaw == pytest.approx([0.1], abs=1e-4)
    wrapped = list(ROW)
    wrapped[4] = -179.95
    assert residuals(moment([wrapped], [[]]), moment([ROW], [[]])).yaw == pytest.approx([0.1], abs=1e-4)


def test_the_report_has_plain_numbers_and_names_the_worst():
    plain = told(ego=moved(x=0.005), one=moved(x=0.05), two=moved(yaw=-0.9), ticks=12)
    assert plain["ego"]["position"] == pytest.approx(0.005, abs=1e-5)
    assert plain["worst"]["actor"] == "traffic/1" and plain["worst"]["yaw"] == pytest.approx(0.9, abs=1e-4)
    assert (plain["tier"], plain["verdict"], plain["ticks"], plain["seconds"]) == ("transfer", "good", 12, 0.25)
    assert all(type(value) in (int, float, str, dict) for value in plain.values())


@pytest.mark.parametrize(
    "verdict, options",
    [
        ("exact", {"same": True}),
        ("good", {"same": False}),
        ("good", {"same": True, "diverged_at": 10}),
        ("good", {"same": True, "corrected": 1}),
        ("good", {"ego": moved(x=0.009, vx=0.04, yaw=0.09)}),
        ("degraded", {"ego": moved(x=0.02)}),
        ("degraded", {"ego": moved(vy=0.06)}),
        ("degraded", {"ego": moved(yaw=0.2)}),
        ("degraded", {"one": moved(x=0.2)}),
        ("degraded", {"same": True, "missing": 1}),
        ("degraded", {"same": True, "extra": 1}),
        ("degraded", {"same": True, "lamps": 1}),
        ("degraded", {"two": moved(x=float("nan"))}),
    ],
)
def test_verdicts(verdict, options):
    assert told(**options)["verdict"] == verdict


def test_an_ego_alone_has_no_worst_other():
    off = residuals(moment([ROW], [[]]), moment([ROW], [[]]))
    assert report(Account("replay", same=True), off, 0, ["ego"], 0.0)["worst"]["actor"] == ""


def test_who_is_gone_has_no_residual():
    off = residuals(moment([ROW, None], [[], []]), moment([ROW, ROW], [[], []]))
    assert off.position.tolist() == [0.0, 0.0] and not off.over().any()


def test_lights_differ_in_state_turn_time_or_freeze():
    def lamps(state=2, turn=True, left=5.0, frozen=False):
        return Lamps(np.array([state], np.uint8), np.array([turn]), np.float32([left]), np.float32([[10, 3, 2]]), np.array([frozen]))

    assert lamps_off(lamps(), lamps(), 0.05) == lamps_off(lamps(left=5.05), lamps(), 0.05) == 0
    for other in (lamps(state=1), lamps(turn=False), lamps(left=5.2), lamps(frozen=True)):
        assert lamps_off(other, lamps(), 0.05) == 1
