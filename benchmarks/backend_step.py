"""What the embedded backend costs by itself: reset, step, snapshot and restore, without sockets. Medians and 95th percentiles in ms.

python benchmarks/backend_step.py [--sensors state --sensors predecessor] [--routes FILE.xml] [--rounds 200]
"""

from __future__ import annotations

import statistics
import time
from typing import Any, Callable, List

import click
import numpy as np

from b2d_zmq.follower import RouteFollower
from worker.backends.embedded import EmbeddedBackend


def timed(rounds: int, act: Callable[[], Any]) -> List[float]:
    """The milliseconds of each of ``rounds`` calls."""
    spent = []
    for _ in range(rounds):
        start = time.perf_counter()
        act()
        spent.append(1000.0 * (time.perf_counter() - start))
    return spent


def say(name: str, spent: List[float]) -> None:
    """One line of the report."""
    high = sorted(spent)[int(0.95 * (len(spent) - 1))]
    click.echo(f"  {name:<28} {statistics.median(spent):8.3f} ms   p95 {high:8.3f}")


def measure(backend: EmbeddedBackend, rounds: int) -> None:
    """Every method of the backend, on its first route."""
    options = {"max_steps": 10_000_000, "reward_weights": {}}
    seeds = iter(range(10**6))
    say("reset, another seed", timed(max(3, rounds // 20), lambda: backend.reset(next(seeds), options)))
    outcome = backend.reset(1, options)
    say("reset, the same", timed(max(3, rounds // 20), lambda: backend.reset(1, options)))
    follower, steps = RouteFollower(), []
    for _ in range(rounds):
        action = follower.act(outcome.observation, outcome.info)
        start = time.perf_counter()
        outcome = backend.step(action)
        steps.append(1000.0 * (time.perf_counter() - start))
        if outcome.terminated:
            outcome = backend.reset(1, options)
    say("step", steps)
    outcome = backend.reset(1, options)
    say("step of 10 ticks, standing", timed(rounds // 10, lambda: backend.step(np.array([0, 1, 0], np.float32), 10)))
    data = backend.snapshot().data
    say(f"snapshot ({len(data)} bytes)", timed(rounds, backend.snapshot))
    say("restore", timed(max(10, rounds // 4), lambda: backend.restore(data)))


@click.command()
@click.option("--sensors", multiple=True, default=("state", "predecessor"), show_default=True, help="Sensor rigs to measure.")
@click.option("--routes", default=None, help="A Bench2Drive route file; the package's own when absent.")
@click.option("--rounds", default=200, show_default=True)
def main(sensors: List[str], routes: str | None, rounds: int) -> None:
    """Measure the embedded backend for each sensor rig."""
    for rig in sensors:
        backend = EmbeddedBackend(routes, rig)
        click.echo(f"sensors {rig}, numpy {np.__version__}")
        measure(backend, rounds)
        backend.close()


if __name__ == "__main__":
    main()
