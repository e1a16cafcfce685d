"""Traffic, signals, collisions and the edge of the road."""

from __future__ import annotations

import math

import numpy as np
import pytest
from driving import drive
from roads import route_of

from b2d_zmq.follower import RouteFollower
from worker.routes import DEFAULT_FILE, Weather, find, read
from worker.world.actors import ActorKind
from worker.world.collision import touching
from worker.world.crowd import LANE
from worker.world.world import World

STRAIGHT = [(2.0 * n, 0.0) for n in range(68)]
LEFT = [(2.0 * n, 0.0) for n in range(14)] + [(42.0, -16.0 - 2.0 * n) for n in range(14)]


def world_of(points, kind="", traffic=0.0, seed=1, **scenario):
    return World(route_of(points, kind, town="Town03"), seed, Weather(), traffic, **scenario)


def overlaps_in_lanes(world):
    """Pairs of vehicles of one lane whose bodies overlap."""
    c = world.crowd
    rows = np.flatnonzero((c.mode == LANE) & (c.visible != 0) & (c.kind <= ActorKind.TRUCK))
    return [
        (a, b)
        for a in rows
        for b in rows
        if a < b and abs(c.s[a] - c.s[b]) < 0.5 * (c.length[a] + c.length[b]) and abs(c.d[a] - c.d[b]) < 0.5 * (c.width[a] + c.width[b])
    ]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_vehicles_of_a_lane_never_drive_into_each_other_nor_into_a_standing_ego(seed):
    world = world_of(STRAIGHT, traffic=1.5, seed=seed)
    for tick in range(2000):
        assert not world.step(0.0, 1.0, 0.0).collision
        if tick % 10 == 0:
            assert overlaps_in_lanes(world) == []
    assert len(world.actors) > 12


@pytest.mark.parametrize("seed", [1, 15, 35])  # in the last two somebody would come from close behind
def test_a_highways_traffic_can_brake_for_an_ego_that_starts_from_rest(seed):
    route = route_of([(2.0 * n, 0.0) for n in range(68)], "HighwayExit", town="Town12")
    world = World(route, seed, Weather(), 1.0)
    assert world.road.speed_limit > 20.0
    assert not any(world.step(0.0, 1.0, 0.0).collision for _ in range(200))


def alone_beside(world, behind, speed):
    """Leave one vehicle in the world: in the lane to the left of the ego's, that many metres behind it. Its row."""
    c = world.crowd
    row = int(np.flatnonzero((c.mode == LANE) & (c.kind == ActorKind.CAR) & (c.way > 0))[0])
    c.visible[1:], c.pause[1:] = 0, -1.0
    c.visible[row] = 1
    c.s[row] = c.p[row] = world.ego.s - behind
    c.d[row] = c.q[row] = c.goal[row] = -3.75
    c.v[row] = c.cruise[row] = speed
    return row


@pytest.mark.parametrize("steer, brakes", [(-0.08, True), (0.0, False)])
def test_the_next_lanes_driver_brakes_for_an_ego_that_drifts_over(steer, brakes):
    route = route_of([(2.0 * n, 0.0) for n in range(128)], "", town="Town13")
    world = World(route, 1, Weather(), 1.0)
    world.crowd.visible[1:], world.crowd.pause[1:] = 0, -1.0
    while world.ego.speed < 12.0:
        world.step(0.8, 0.0, 0.0)
    row = alone_beside(world, 12.0, world.ego.speed)
    slowest = 0.0
    for _ in range(16):
        world.step(0.2, 0.0, steer)
        slowest = min(slowest, float(world.crowd.acceleration[row]))
    assert abs(world.ego.d) < 0.8  # still well within its own lane
    assert (slowest < -1.0) is brakes


def test_density_scales_the_number_of_others():
    numbers = [len(world_of(STRAIGHT, traffic=density).actors) for density in (0.0, 0.5, 1.0, 2.0)]
    assert numbers[0] == 1 and numbers == sorted(numbers) and 12 <= numbers[2] <= 30


def test_traffic_waits_at_a_red_light_and_goes_on_at_green():
    route = find(read(DEFAULT_FILE), 102, None)  # its junction is far enough from the ego, which stands here, for others to come to it
    world = World(route, 1, route.weather, 1.5)
    junction, c = world.road.junctions[0], world.crowd
    before, lights, waited = c.s.copy(), [], 0
    for _ in range(900):
        world.step(0.0, 1.0, 0.0)
        red, nose = world.signals.light(0, 0, world.tick) == 0, c.s + 0.5 * c.length
        ours = (c.mode == LANE) & (c.way > 0) & (c.visible != 0) & (np.arange(len(c.s)) > 0)
        crossed = ours & (before + 0.5 * c.length < junction.enter) & (nose >= junction.enter)
        lights += [red] * int(crossed.sum())
        waited += bool(red and (ours & (nose < junction.enter) & (nose > junction.enter - 10.0) & (c.s == before)).any())
        before = c.s.copy()
    assert len(lights) > 3 and not any(lights)
    assert waited > 20


def run_through(world):
    """Drive straight on without looking; the events' names that came up."""
    found = set()
    for _ in range(200):
        events = world.step(0.5, 0.0, 0.0)
        found |= {name for name in events._fields if getattr(events, name)}
    return found


def test_running_a_red_light_and_a_stop_sign_is_seen():
    assert "ran_red" in run_through(world_of(LEFT, "VanillaSignalizedTurnEncounterRedLight"))
    assert "ran_stop" in run_through(world_of(LEFT, "VanillaNonSignalizedTurnEncounterStopsign"))
    assert not {"ran_red", "ran_stop"} & run_through(world_of(LEFT, "VanillaSignalizedTurnEncounterGreenLight"))


def test_a_stop_counts_only_when_it_is_a_stop():
    world = world_of(LEFT, "VanillaNonSignalizedTurnEncounterStopsign")
    assert world.hazard().stop < 40.0
    assert drive(world, RouteFollower(), 1200, lambda _, events: events.ran_stop)
    assert world.signals.served == [1]


def test_leaving_the_road_is_seen_once_the_last_strip_is_left():
    world = world_of(STRAIGHT)
    edge = world.road.lanes[-1].offset + world.road.lanes[-1].width / 2
    invaded = False
    for _ in range(150):
        events = world.step(0.4, 0.0, 0.1)
        invaded = invaded or events.lane_invasion
        assert events.off_road == (world.ego.d > edge)
    assert invaded and world.ego.d > edge


def test_grass_slows_down():
    def speed(steer):
        world = world_of(STRAIGHT)
        for tick in range(200):
            world.step(0.5, 0.0, steer if tick < 40 else 0.0)
        return world.ego.speed

    assert speed(0.3) < 0.75 * speed(0.0)


def box_at(x, y, yaw, kind=ActorKind.CAR):
    """A world whose row 1 is a box of 4.6 x 1.9 m there, seen from the ego at the origin, heading along x."""
    world = world_of(STRAIGHT, "ParkedObstacle")
    actors = world.actors
    actors.x[:2], actors.y[:2], actors.yaw[:2], actors.kind[1] = (0.0, x), (0.0, y), (0.0, yaw), kind
    return actors


@pytest.mark.parametrize(
    "x, y, yaw, hit",
    [
        (4.7, 0.0, 0.0, True),
        (4.8, 0.0, 0.0, False),
        (0.0, 1.95, 0.0, True),
        (0.0, 2.0, 0.0, False),
        (3.35, 0.0, math.pi / 2, True),
        (3.45, 0.0, math.pi / 2, False),
        (4.2, 2.4, math.pi / 4, True),
        (4.6, 2.9, -math.pi / 4, False),  # the boxes' bounding circles and squares overlap, the boxes do not
    ],
)
def test_boxes_touch_where_geometry_says(x, y, yaw, hit):
    assert (touching(box_at(x, y, yaw)) == [1]) is hit


def test_debris_and_the_invisible_are_not_hit_and_an_open_door_is():
    assert not touching(box_at(1.0, 0.0, 0.0, ActorKind.DEBRIS))
    actors = box_at(0.0, 2.6, 0.0)
    assert not touching(actors)
    actors.door[1] = 1.0
    assert touching(actors) == [1]
    actors.visible[1] = False
    assert not touching(actors)


def test_a_collision_is_told_once_per_contact_and_costs_speed():
    world = world_of(STRAIGHT, "ParkedObstacle")
    told = [events for events in (world.step(0.6, 0.0, 0.0) for _ in range(400)) if events.collision]
    assert [(event.collision, event.collision_with) for event in told] == [("vehicle", "car")]
    assert told[0].impulse > 1000.0 and world.ego.speed < 5.0


def test_the_command_tells_of_the_next_turn():
    world = world_of(LEFT, scenario=False)
    assert world.next_command_distance == pytest.approx(world.road.junctions[0].enter, abs=0.5)
    seen = set()
    assert drive(world, RouteFollower(), 2400, lambda w, _: seen.add(w.command()))
    assert seen == {0, 3}
