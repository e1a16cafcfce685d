"""What one state-only tick of the embedded world costs, over the routes of a file: medians, with the number of actors.

python benchmarks/world_tick.py [ROUTES.xml]
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

from worker import routes
from worker.world.world import World

TICKS = 300


def main() -> None:
    """Print a line per route (eight of them at most) and the median of all."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else routes.DEFAULT_FILE
    there = routes.read(path)
    medians = []
    print(f"{'route':>6} {'scenario':32} {'actors':>6} {'build ms':>9} {'tick us':>8} {'hazard us':>9} {'state us':>8} {'digest us':>9}")
    for route in there[:: max(1, len(there) // 8)]:
        started = time.perf_counter()
        world = World(route, 1, route.weather, 1.0)
        build = time.perf_counter() - started
        tick = timed(lambda world=world: world.step(0.35, 0.0, 0.0))
        rest = [timed(call) for call in (world.hazard, world.state, world.digest)]
        medians.append(tick)
        print(f"{route.id:>6} {world.scenario_state[0]:32} {len(world.actors):>6} {1e3 * build:9.1f} {tick:8.0f} ", end="")
        print(f"{rest[0]:9.0f} {rest[1]:8.0f} {rest[2]:9.0f}")
    print(f"median tick: {statistics.median(medians):.0f} us")


def timed(call) -> float:
    """The median of TICKS calls in microseconds."""
    times = []
    for _ in range(TICKS):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return 1e6 * statistics.median(times)


if __name__ == "__main__":
    main()
