"""Every real route, and every one of our own, can be driven to its end by the built-in follower when nobody is in the way."""

from __future__ import annotations

import pytest
from driving import drive
from roads import bench2drive, needs_bench2drive

from b2d_zmq.follower import RouteFollower
from worker import routes
from worker.world.world import World


def failures(there):
    """What went wrong, by route: not at the goal, more than 1.5 m off the line, off the road, against a signal."""
    found = {}

    def look(world, events):
        if abs(world.ego.d) > 1.5 or events.off_road or events.collision or events.ran_red or events.ran_stop:
            found[world.route.id] = (world.tick, world.ego, events)
        return world.route.id in found

    for route in there:
        world = World(route, 0, route.weather, traffic=0.0, scenario=False)
        if not drive(world, RouteFollower(), 2400, look):
            found.setdefault(route.id, (world.tick, world.ego, world.hazard()))
    return found


@needs_bench2drive
@pytest.mark.parametrize("part", range(5))  # each has a time limit of its own
def test_the_follower_drives_every_real_route_to_its_end(part):
    assert failures(bench2drive()[part::5]) == {}


def test_the_follower_drives_our_own_routes_to_their_end():
    assert failures(routes.read(routes.DEFAULT_FILE)) == {}
