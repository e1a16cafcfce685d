"""The route follower on the world's own car and road, without a world around them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from roads import bend, route_of

from b2d_zmq.follower import RouteFollower
from worker import routes
from worker.world import ego
from worker.world import road as roads

FREE = {"gap": math.inf, "gap_speed": 0.0, "stop": math.inf}


class Drive:
    """A car on a road under a follower; ``hazard(s, speed)`` says what is in the way."""

    def __init__(self, road, follower, hazard=lambda s, speed: FREE, start=(0.0, 0.0, 0.0)):
        s, d, turned = start
        x, y, _, yaw = (float(part) for part in road.pose(s, d))
        self.road, self.follower, self.hazard = road, follower, hazard
        self.car = ego.Car(x, y, yaw + turned)
        self.s, self.d = s, d

    def step(self):
        ahead = np.stack(self.road.pose(self.s + 2.0 * np.arange(16), np.zeros(16))[:2], axis=1).astype(np.float32)
        vehicle = {
            "position": np.array([self.car.x, self.car.y, 0.0], np.float32),
            "rotation": np.array([0.0, math.degrees(self.car.yaw), 0.0], np.float32),
            "speed": np.array([abs(self.car.forward)], np.float32),
        }
        hazard = {"speed_limit": self.road.speed_limit, **self.hazard(self.s, self.car.forward)}
        action = self.follower.act({"vehicle_state": vehicle}, {"route_ahead": ahead, "hazard": hazard})
        assert action.dtype == np.float32 and action.shape == (3,) and np.isfinite(action).all()
        assert (action >= [0, 0, -1]).all() and (action <= 1).all()
        ego.drive(self.car, *(float(part) for part in action))
        s, d = self.road.project(self.car.x, self.car.y, self.s)
        self.s, self.d = float(s), float(d)
        return action


def road_of(points, kind=""):
    return roads.build(route_of(points, kind, "Town01"), 0)


ROADS = [bend(11.0, 90.0), bend(9.0, -90.0), bend(14.0, 170.0), bend(60.0, -80.0), bend(25.0, 45.0)]


@pytest.mark.parametrize("points", ROADS, ids=["right", "left", "hairpin", "sweep", "kink"])
@pytest.mark.parametrize("offset", [0.0, 1.5, -1.5])
def test_it_keeps_to_the_line(points, offset):
    road = road_of(points)
    drive = Drive(road, RouteFollower(offset), start=(0.0, offset, 0.0))
    fastest = 0.0
    for _ in range(1500):
        drive.step()
        fastest = max(fastest, drive.car.forward)
        assert abs(drive.d - offset) < 0.8
        if drive.s >= road.length - 2.0:
            break
    else:
        pytest.fail(f"stuck at {drive.s:.0f} of {road.length:.0f} m")
    assert 5.0 < fastest <= road.speed_limit + 0.5


@pytest.mark.parametrize("start", [(5.0, 3.0, 0.0), (5.0, -3.0, -0.6), (5.0, 0.0, 1.2), (5.0, 6.0, 1.5)])
def test_it_comes_back_to_the_line(start):
    road = road_of(bend(200.0, 10.0, 60.0, 80.0))
    drive = Drive(road, RouteFollower(), start=start)
    for _ in range(400):
        drive.step()
    assert abs(drive.d) < 0.3 and drive.s > 40.0


def test_it_stops_at_a_line_and_goes_on_when_it_may():
    road = road_of(bend(300.0, 10.0))
    open_ = []
    drive = Drive(road, RouteFollower(), lambda s, speed: {**FREE, "stop": math.inf if open_ or s > 50.0 else 50.0 - s})
    for _ in range(400):
        drive.step()
    assert drive.car.forward == 0.0 and 47.5 < drive.s < 50.0
    open_.append(True)
    for _ in range(200):
        drive.step()
    assert drive.s > 60.0


def test_it_stops_behind_something_that_stands():
    road = road_of(bend(300.0, 10.0))
    drive = Drive(road, RouteFollower(), lambda s, speed: {**FREE, "gap": 60.0 - s, "gap_speed": 0.0})
    for _ in range(500):
        drive.step()
        assert drive.s < 59.0
    assert drive.car.forward < 0.05 and drive.s > 53.0


def test_it_follows_at_a_distance():
    road = road_of(bend(500.0, 20.0, 100.0, 100.0))
    lead = [20.0]

    def hazard(s, speed):
        lead[0] += 5.0 * ego.DT
        return {**FREE, "gap": lead[0] - s, "gap_speed": 5.0}

    drive = Drive(road, RouteFollower(), hazard)
    gaps = []
    for _ in range(500):
        drive.step()
        gaps.append(lead[0] - drive.s)
    assert min(gaps) > 4.0 and drive.car.forward == pytest.approx(5.0, abs=0.3) and gaps[-1] < 16.0


def test_an_emergency_is_met_with_the_whole_brake():
    road = road_of(bend(300.0, 10.0))
    drive = Drive(road, RouteFollower(), lambda s, speed: {**FREE, "gap": 2.0, "gap_speed": 0.0})
    drive.car.forward = 8.0
    throttle, brake, _ = drive.step()
    assert throttle == 0.0 and brake == 1.0


def test_the_same_situation_gets_the_same_action():
    road = roads.build(routes.read(routes.DEFAULT_FILE)[0], 0)
    shared = RouteFollower()
    drives = [Drive(road, shared), Drive(road, RouteFollower())]
    for _ in range(60):
        one, two = (drive.step() for drive in drives)
        assert (one == two).all()
