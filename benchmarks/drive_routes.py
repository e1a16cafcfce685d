"""How many routes the built-in follower gets through, with traffic and scenarios; what stopped it on the others.

python benchmarks/drive_routes.py FILE.xml [--traffic 1.0] [--no-scenario] [--seed 0] [--route ID ...]
"""

from __future__ import annotations

import argparse
import collections
import math
import time
from pathlib import Path

import numpy as np

from b2d_zmq.follower import RouteFollower
from worker import routes
from worker.world.world import World

PATIENCE = 2400  # ticks: two minutes
FAULTS = ("ran_red", "ran_stop", "lane_invasion", "off_road", "yield_violation")


def act(follower, world):
    """The follower's action for what it may see of the world."""
    ego = world.ego
    vehicle = {
        "position": np.array([ego.x, ego.y, ego.z]),
        "rotation": np.array([0.0, math.degrees(ego.yaw), 0.0]),
        "speed": [abs(ego.speed)],
    }
    info = {"route_ahead": world.ahead(16, 2.0), "hazard": world.hazard()._asdict()}
    return follower.act({"vehicle_state": vehicle}, info).tolist()


def drive(world):
    """(what became of it, faults on the way)."""
    follower, faults = RouteFollower(), set()
    for _ in range(PATIENCE):
        events = world.step(*act(follower, world))
        faults.update(name for name in FAULTS if getattr(events, name))
        if events.collision:
            return f"collision with {events.collision_with}", faults
        if world.ego.s >= world.road.length - 2.0:
            return "completed", faults
    return "stuck", faults


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=routes.DEFAULT_FILE)
    parser.add_argument("--traffic", type=float, default=1.0)
    parser.add_argument("--no-scenario", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--route", type=int, nargs="*", default=[])
    options = parser.parse_args()
    ends, ticks, began = collections.Counter(), 0, time.perf_counter()
    for route in routes.read(options.file):
        if options.route and route.id not in options.route:
            continue
        world = World(route, options.seed, route.weather, options.traffic, not options.no_scenario)
        end, faults = drive(world)
        ends[end.split()[0] if not faults else f"{end.split()[0]} with faults"] += 1
        ticks += world.tick
        if end != "completed" or faults:
            kind = route.scenarios[0].type if route.scenarios else "no scenario"
            where = f"{world.ego.s:.0f} of {world.road.length:.0f} m, tick {world.tick}"
            print(f"{route.id:6} {kind}: {end} at {where}; faults: {', '.join(sorted(faults)) or 'none'}; {world.hazard()}")
    print(f"{dict(ends)}; {ticks} ticks in {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
