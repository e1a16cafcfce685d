"""The ego behaves like a car: how fast, how soon it stops, where it slides, and that it stands still when it stands."""

from __future__ import annotations

import math

import pytest

from worker.world.ego import DT, Car, drive


def ticks_until(car, speed, **pedals):
    ticks = 0
    while car.forward < speed:
        drive(car, 1.0, 0.0, 0.0, **pedals)
        ticks += 1
    return ticks


def braking_distance(speed, grip):
    car = Car(0.0, 0.0, 0.0, forward=speed)
    while car.forward > 0.0:
        drive(car, 0.0, 1.0, 0.0, grip=grip)
    return car.x


def test_nought_to_hundred_takes_about_eight_seconds_and_the_top_speed_is_about_fifty():
    car = Car(0.0, 0.0, 0.0)
    assert 7.0 < ticks_until(car, 100.0 / 3.6) * DT < 9.0
    for _ in range(3000):
        drive(car, 1.0, 0.0, 0.0)
    assert 46.0 < car.forward < 54.0


def test_braking_takes_longer_in_the_wet():
    dry, wet = braking_distance(27.8, 1.0), braking_distance(27.8, 0.6)
    assert 40.0 < dry < 50.0
    assert wet > 1.4 * dry


@pytest.mark.parametrize("steer", [-1.0, 0.0, 0.6])
def test_it_stands_still_without_creeping(steer):
    car = Car(3.0, 4.0, 1.0)
    for _ in range(200):
        drive(car, 0.0, 0.0, steer)
    assert (car.x, car.y, car.yaw, car.forward, car.sideways) == (3.0, 4.0, 1.0, 0.0, 0.0)


def test_the_brake_never_turns_the_motion_round():
    car = Car(0.0, 0.0, 0.0, forward=0.3)
    for _ in range(50):
        drive(car, 0.0, 1.0, 0.3)
        assert car.forward >= 0.0
    assert car.forward == 0.0


def test_at_walking_pace_it_turns_as_its_wheels_say():
    car = Car(0.0, 0.0, 0.0, forward=1.5)
    for _ in range(40):
        drive(car, 0.05, 0.0, 0.5)
    assert car.forward / car.yaw_rate == pytest.approx(2.85 / math.tan(math.radians(19.0)), rel=0.02)
    assert car.y > 0.0  # steer positive is to the right, which is y positive when it drives along x


def test_full_lock_at_speed_understeers():
    car = Car(0.0, 0.0, 0.0, forward=20.0)
    for _ in range(20):
        drive(car, 0.3, 0.0, 1.0)
    assert car.forward / car.yaw_rate > 25.0  # metres; the wheels ask for less than 4
    assert abs(car.forward * car.yaw_rate) < 9.81


def test_less_grip_means_a_wider_bend():
    def turned(grip):
        car = Car(0.0, 0.0, 0.0, forward=15.0)
        for _ in range(30):
            drive(car, 0.2, 0.0, 0.3, grip=grip)
        return car.yaw

    assert turned(0.3) < 0.6 * turned(1.0)


def test_reverse():
    car = Car(0.0, 0.0, 0.0)
    for _ in range(40):
        drive(car, 0.5, 0.0, 0.0, reverse=True)
    assert car.x < -0.5 and car.forward < 0.0


def test_left_and_right_are_mirrored():
    left, right = Car(0.0, 0.0, 0.0, forward=12.0), Car(0.0, 0.0, 0.0, forward=12.0)
    for _ in range(60):
        drive(left, 0.4, 0.0, -0.4)
        drive(right, 0.4, 0.0, 0.4)
    assert left.x == pytest.approx(right.x) and left.y == pytest.approx(-right.y)
