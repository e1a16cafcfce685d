"""Each archetype begins, is solved by a careful driver, and punishes one who looks at nothing. The table knows all 44 types."""

from __future__ import annotations

import math

import numpy as np
import pytest
from driving import drive
from roads import bench2drive, needs_bench2drive, route_of

from b2d_zmq.follower import RouteFollower
from worker.routes import DEFAULT_FILE, Weather, read
from worker.world.scenarios import TABLE
from worker.world.world import World

STRAIGHT = [(2.0 * n, 0.0) for n in range(68)]
LEFT = [(2.0 * n, 0.0) for n in range(14)] + [(42.0, -16.0 - 2.0 * n) for n in range(14)]
RIGHT = [(2.0 * n, 0.0) for n in range(14)] + [(38.0, 12.0 + 2.0 * n) for n in range(14)]
AHEAD = [(2.0 * n, 0.0) for n in range(14)] + [(54.0 + 2.0 * n, 0.0) for n in range(14)]


class Careless(RouteFollower):
    """Keeps to the route and to its own pace, and looks at nobody."""

    def act(self, observation, info):
        blind = {"gap": math.inf, "gap_speed": 0.0, "stop": math.inf, "speed_limit": info["hazard"]["speed_limit"]}
        return super().act(observation, {**info, "hazard": blind})


def world_of(kind, points, traffic=0.0, seed=1):
    return World(route_of(points, kind, town="Town03"), seed, Weather(), traffic)


def played(world, follower, ticks=2400):
    """(reached the goal, the states of the scenario seen, what went wrong)."""
    states, wrong = {world.scenario_state[2]}, []

    def look(world, events):
        states.add(world.scenario_state[2])
        wrong.extend(
            name for name in ("collision", "ran_red", "ran_stop", "yield_violation") if getattr(events, name) and name not in wrong
        )
        return bool(events.collision)

    return drive(world, follower, ticks, look), states, wrong


CASES = [
    ("Accident", "obstacle", STRAIGHT),
    ("ParkedObstacleTwoWays", "obstacle", STRAIGHT),
    ("ConstructionObstacle", "obstacle", STRAIGHT),
    ("HazardAtSideLane", "slow_cyclists", STRAIGHT),
    ("VehicleOpensDoorTwoWays", "door", STRAIGHT),
    ("ParkingCutIn", "cut_in", STRAIGHT),
    ("DynamicObjectCrossing", "crossing", STRAIGHT),
    ("VehicleTurningRoute", "crossing", LEFT),
    ("InvadingTurn", "oncoming_invader", STRAIGHT),
    ("OppositeVehicleTakingPriority", "runner", AHEAD),
    ("HardBreakRoute", "hard_brake", STRAIGHT),
    ("NonSignalizedJunctionLeftTurn", "crossing_flow", LEFT),
    ("NonSignalizedJunctionRightTurn", "merging_flow", RIGHT),
    ("MergerIntoSlowTraffic", "merging_flow", STRAIGHT),
    ("BlockedIntersection", "blocked_junction", LEFT),
    ("VanillaSignalizedTurnEncounterRedLight", "light", LEFT),
    ("VanillaNonSignalizedTurnEncounterStopsign", "stop_sign", LEFT),
    ("YieldToEmergencyVehicle", "yield_to_emergency", STRAIGHT),
    ("ControlLoss", "loss_of_grip", STRAIGHT),
    ("ParkingExit", "parking_exit", STRAIGHT),
]


@pytest.mark.parametrize("kind, archetype, points", CASES, ids=[case[0] for case in CASES])
def test_a_careful_driver_gets_through(kind, archetype, points):
    world = world_of(kind, points)
    reached, states, wrong = played(world, RouteFollower())
    assert world.scenario_state[:2] == (kind, archetype)
    assert reached and not wrong
    assert "running" in states


PUNISHED = [
    ("Accident", STRAIGHT, "collision"),
    ("ParkedObstacleTwoWays", STRAIGHT, "collision"),
    ("ConstructionObstacle", STRAIGHT, "collision"),
    ("HazardAtSideLane", STRAIGHT, "collision"),
    ("VehicleOpensDoorTwoWays", STRAIGHT, "collision"),
    ("ParkingCutIn", STRAIGHT, "collision"),
    ("DynamicObjectCrossing", STRAIGHT, "collision"),
    ("InvadingTurn", STRAIGHT, "collision"),
    ("HardBreakRoute", STRAIGHT, "collision"),
    ("OppositeVehicleTakingPriority", AHEAD, "collision"),
    ("NonSignalizedJunctionLeftTurn", LEFT, "collision"),
    ("BlockedIntersection", LEFT, "collision"),
    ("MergerIntoSlowTraffic", STRAIGHT, "collision"),
    ("VanillaSignalizedTurnEncounterRedLight", LEFT, "ran_red"),
    ("VanillaNonSignalizedTurnEncounterStopsign", LEFT, "ran_stop"),
]


class Straight(Careless):
    """Careless, and keeps to the middle of its lane whatever the expert's line does."""

    def __init__(self, world):
        super().__init__()
        self.world = world

    def act(self, observation, info):
        s = self.world.ego.s + 2.0 * np.arange(16)
        x, y = self.world.road.pose(s, np.zeros(16))[:2]
        return super().act(observation, {**info, "route_ahead": np.stack([x, y], axis=1)})


@pytest.mark.parametrize("kind, points, fault", PUNISHED, ids=[case[0] for case in PUNISHED])
def test_a_careless_driver_is_caught(kind, points, fault):
    world = world_of(kind, points)
    assert fault in played(world, Straight(world))[2]


def test_who_stays_in_front_of_an_emergency_vehicle_is_told_once():
    world = world_of("YieldToEmergencyVehicle", STRAIGHT)
    blocked = sum(world.step(0.25 if world.ego.speed < 4.0 else 0.0, 0.0, 0.0).yield_violation for _ in range(400))
    assert blocked == 1


def test_without_scenario_nothing_is_cast_and_unknown_types_are_none():
    assert World(route_of(STRAIGHT, "Accident"), 1, Weather(), 0.0, scenario=False).scenario_state == ("", "none", "done")
    world = World(route_of(STRAIGHT, "NobodyKnowsThis"), 1, Weather(), 0.0)
    assert world.scenario_state[1] == "none" and len(world.actors) == 1


def test_every_type_of_the_table_plays_on_every_kind_of_route():
    for kind in TABLE:
        for points in (STRAIGHT, LEFT, RIGHT, AHEAD):
            world = World(route_of(points, kind), 2, Weather(), 1.0)
            for _ in range(5):
                world.step(0.5, 0.0, 0.0)


def test_the_table_has_44_types():
    assert len(TABLE) == 44


@needs_bench2drive
def test_the_table_knows_all_types_of_bench2drive():
    assert {scenario.type for route in bench2drive() for scenario in route.scenarios} == set(TABLE)


def lanes_invaded(follower):
    """How often a lane was entered unasked on our first route, where something stands in the lane; and the farthest to the left."""
    world = World(read(DEFAULT_FILE)[0], 0, Weather(), 0.0)
    invaded, left = 0, 0.0

    def look(world, events):
        nonlocal invaded, left
        invaded, left = invaded + events.lane_invasion, min(left, world.ego.d)
        return bool(events.collision) or world.ego.s > 130.0

    drive(world, follower, 400, look)
    return invaded, left


def test_going_round_an_obstacle_is_no_invasion_but_the_oncoming_lane_is():
    careful, left = lanes_invaded(RouteFollower())
    assert careful == 0 and left < -2.0, "it went round, through the next lane"

    class Wild(Careless):
        def act(self, observation, info):
            return np.array([0.5, 0.0, -0.12 if observation["vehicle_state"]["speed"][0] > 6.0 else 0.0], np.float32)

    wild, left = lanes_invaded(Wild())
    assert wild >= 1 and left < -5.0
