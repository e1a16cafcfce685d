"""The task: what a tick is worth, what ends an episode, and what its options refuse."""

import math
from types import SimpleNamespace

import pytest

from b2d_zmq.errors import NoEpisode, RequestError, SnapshotCorrupt, UnknownOption
from worker.task import DENSE, TERMS, Place, Task, Terms

DT = 0.05


def events(**happened):
    quiet = {"collision": "", "ran_red": False, "ran_stop": False, "lane_invasion": False, "off_road": False, "yield_violation": False}
    return SimpleNamespace(**{**quiet, **happened})


def at(s, d=0.0, beyond=0.0, speed=10.0):
    return Place(s, d, beyond, speed)


def task(length=100.0, **terms):
    return Task(length, DT, Terms(**terms))


def test_a_quiet_tick_is_worth_life_speed_and_progress():
    verdict = task().update(at(0.5, speed=15.0), events())
    expected = {"alive": 0.1, "speed": 0.25, "progress": 0.1}
    assert {name: value for name, value in verdict.terms.items() if value} == pytest.approx(expected)
    assert verdict.reward == pytest.approx(0.45)
    assert tuple(verdict.terms) == TERMS
    assert not (verdict.terminated or verdict.truncated or verdict.reason or verdict.infractions)


def test_the_speed_term_saturates_and_reverse_earns_nothing():
    assert task().update(at(0.0, speed=45.0), events()).terms["speed"] == 0.5
    assert task().update(at(0.0, speed=-5.0), events()).terms["speed"] == 0.0


def test_progress_counts_new_ground_only():
    drive = task()
    gained = [drive.update(at(s), events()).terms["progress"] for s in (5.0, 3.0, 5.0, 6.0, 1.0, 6.0)]
    assert gained == pytest.approx([1.0, 0.0, 0.0, 0.2, 0.0, 0.0])
    assert drive.completion == 0.06


@pytest.mark.parametrize(
    "happened, term, weight, infraction",
    [
        ({"ran_red": True}, "red_light_violation", -5.0, "red_light"),
        ({"ran_stop": True}, "stop_violation", -3.0, "stop_sign"),
        ({"lane_invasion": True}, "lane_violation", -1.0, "lane_invasion"),
        ({"off_road": True}, "lane_violation", -1.0, "off_road"),
        ({"yield_violation": True}, "yield_violation", -1.0, "yield_emergency_vehicle"),
    ],
)
def test_a_violation_costs_and_the_episode_goes_on(happened, term, weight, infraction):
    drive = task()
    verdict = drive.update(at(0.0, speed=0.0), events(**happened))
    assert verdict.terms[term] == weight
    assert verdict.reward == pytest.approx(0.1 + weight)
    assert verdict.infractions == (infraction,)
    assert not verdict.terminated
    drive.update(at(0.0), events())


def test_leaving_the_road_costs_once_until_the_road_is_regained():
    drive = task()
    outside = [drive.update(at(0.0), events(off_road=off)).terms["lane_violation"] for off in (True, True, False, True)]
    assert outside == [-1.0, 0.0, 0.0, -1.0]


def test_a_collision_ends_it():
    drive = task()
    verdict = drive.update(at(0.0, speed=0.0), events(collision="walker"))
    assert verdict.terminated and not verdict.truncated
    assert verdict.reason == "collision" and verdict.infractions == ("collision_walker",)
    assert verdict.reward == pytest.approx(0.1 - 10.0)


def test_arriving_ends_it_with_a_hundred():
    drive = task(length=100.0)
    assert not drive.update(at(97.9), events()).terminated
    verdict = drive.update(at(98.0), events())
    assert verdict.terminated and verdict.reason == "completed"
    assert verdict.terms["route_completed"] == 100.0
    assert drive.completion == 1.0


def test_a_collision_at_the_goal_is_a_collision():
    verdict = task(length=100.0).update(at(99.0), events(collision="vehicle"))
    assert verdict.reason == "collision" and verdict.terms["route_completed"] == 0.0


@pytest.mark.parametrize("place", [at(5.0, beyond=10.1), at(5.0, d=-30.1), at(-15.1)])
def test_off_the_route_ends_it(place):
    verdict = task().update(place, events())
    assert verdict.terminated and verdict.reason == "off_route"


def test_driving_back_is_off_route_fifteen_metres_behind_the_farthest_place():
    drive = task()
    drive.update(at(40.0), events())
    assert not drive.update(at(25.0), events()).terminated
    assert drive.update(at(24.9), events()).reason == "off_route"


def test_standing_for_a_minute_is_blocked():
    drive = task(max_steps=5000)
    for _ in range(600):
        drive.update(at(1.0, speed=0.0), events())
    drive.update(at(1.0, speed=1.0), events())
    verdicts = [drive.update(at(1.0, speed=0.05), events()) for _ in range(1200)]
    assert not verdicts[-2].terminated
    assert verdicts[-1].terminated and verdicts[-1].reason == "blocked"


def test_time_truncates():
    drive = task(max_steps=3)
    verdicts = [drive.update(at(0.0), events()) for _ in range(3)]
    assert [verdict.truncated for verdict in verdicts] == [False, False, True]
    assert not verdicts[-1].terminated and verdicts[-1].reason == ""


def test_an_ended_episode_takes_no_more_steps():
    drive = task(max_steps=1)
    drive.update(at(0.0), events())
    with pytest.raises(NoEpisode, match="reset or restore first"):
        drive.update(at(0.0), events())


def test_sparse_pays_for_the_end_only():
    drive = Task(100.0, DT, Terms.parse(1000, "sparse", {}))
    assert drive.update(at(50.0), events(ran_red=True, lane_invasion=True)).reward == 0.0
    assert drive.update(at(98.0), events()).reward == 100.0
    crash = Task(100.0, DT, Terms.parse(1000, "sparse", {}))
    assert crash.update(at(50.0), events(collision="static")).reward == -10.0


def test_weights_are_set_by_name():
    drive = Task(100.0, DT, Terms.parse(1000, "sparse", {"progress": 2, "collision": -50.0}))
    assert drive.update(at(3.0), events()).reward == pytest.approx(6.0)
    assert drive.update(at(3.0), events(collision="static")).reward == -50.0


def test_options_name_what_there_is():
    with pytest.raises(UnknownOption, match="dense, sparse"):
        Terms.parse(1000, "shaped", {})
    with pytest.raises(UnknownOption, match=r"no reward term 'comfort'.*alive, speed"):
        Terms.parse(1000, "dense", {"comfort": 1.0})


@pytest.mark.parametrize("max_steps", [0, -1, 1.5, "10", None, True, 10**9])
def test_bad_durations_are_refused(max_steps):
    with pytest.raises(RequestError, match="max_steps must be a whole number"):
        Terms.parse(max_steps, "dense", {})


@pytest.mark.parametrize("value", [math.nan, math.inf, "1", None, True, [1.0], 1e7])
def test_bad_weights_are_refused(value):
    with pytest.raises(RequestError, match="the weight of alive must be a finite number"):
        Terms.parse(1000, "dense", {"alive": value})
    with pytest.raises(RequestError, match="must be a mapping"):
        Terms.parse(1000, "dense", [1.0])


def test_the_state_goes_on_exactly():
    first = task(max_steps=50)
    for n in range(20):
        first.update(at(n * 0.3, speed=n * 0.7), events(off_road=n > 15))
    second = task(max_steps=50)
    second.load(first.state())
    assert second.state() == first.state()
    for n in range(20, 40):
        step = (at(n * 0.31, speed=0.0), events(off_road=n % 3 == 0))
        assert first.update(*step) == second.update(*step)
    assert second.state() == first.state() and second.cumulative_reward == first.cumulative_reward


@pytest.mark.parametrize(
    "state",
    [None, [], {}, [0] * 6, [0, 0.0, 0.0, "bored", 0, False], [-1, 0.0, 0.0, "", 0, False], [0, 1e9, 0.0, "", 0, False],
     [2**64 - 1, 0.0, 0.0, "", 0, False], [0, 0.0, math.nan, "", 0, False], [True, 0.0, 0.0, "", 0, False]],
)  # fmt: skip
def test_a_state_that_is_none_is_refused_and_changes_nothing(state):
    drive = task()
    drive.update(at(4.0), events())
    before = drive.state()
    with pytest.raises(SnapshotCorrupt):
        drive.load(state)
    assert drive.state() == before


def test_the_predecessors_weights_are_kept():
    assert {k: DENSE[k] for k in ("alive", "speed", "collision", "lane_violation", "red_light_violation", "route_completed")} == {
        "alive": 0.1, "speed": 0.5, "collision": -10.0, "lane_violation": -1.0, "red_light_violation": -5.0, "route_completed": 100.0,
    }  # fmt: skip
