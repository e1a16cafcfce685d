"""What a step of the carla backend costs beside CARLA's own: python benchmarks/carla_step.py [--sensors predecessor] [--steps 300].

A step is timed whole, and within it what anybody pays who calls the client by hand: ``world.tick`` and the wait for the pictures of that
frame. The rest is ours: the control, reading the world, scenario, hazards, reward, digest, the ring of states, BGRA into RGB. Medians of
one run. Without --carla-port a stand-in serves, whose tick is no measure of CARLA's; what is ours is.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import click
import numpy as np

from b2d_zmq import RouteFollower
from worker import routes as route_files
from worker.backends.carla.backend import CarlaBackend
from worker.backends.carla.link import Link
from worker.backends.carla.sensors import Sensors
from worker.carla_root import BINARY, client_version
from worker.standin.install import install

TICK = 0.05  # seconds of simulated time, of which ours should be less than a tenth


class Stopwatch:
    """Adds up what the wrapped calls take."""

    def __init__(self) -> None:
        self.seconds: Dict[str, float] = {}

    def wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

        return timed


@contextlib.contextmanager
def server(port: int | None) -> Iterator[int]:
    """The RPC port of a server that runs already, or of a stand-in for the while."""
    if port is not None:
        yield port
        return
    with tempfile.TemporaryDirectory() as folder:
        install(Path(folder) / "carla", client_version(), [f"--dialect={client_version()}"])
        command = [str(Path(folder) / "carla" / BINARY), "CarlaUE4", "-carla-rpc-port=0", "-RenderOffScreen"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        try:
            yield next(
                int(found[1]) for found in (re.search(r"serves \S+ at port (\d+)$", line.rstrip()) for line in process.stderr) if found
            )
        finally:
            process.kill()
            process.wait()
            process.stderr.close()


def steps(backend: CarlaBackend, route: int, count: int, watch: Stopwatch) -> List[Dict[str, float]]:
    """The parts of each step, in seconds, along a route; the first 40 are for warming up."""
    driver, rows = RouteFollower(), []
    outcome = backend.reset(0, {"route_id": route, "max_steps": 100_000})
    for number in range(40 + count):
        action = driver.act(outcome.observation, outcome.info)
        watch.seconds = {}
        began = time.perf_counter()
        outcome = backend.step(action)
        whole = time.perf_counter() - began
        if number >= 40:
            rows.append({"whole": whole, "tick": watch.seconds["tick"], "pictures": watch.seconds.get("pictures", 0.0)})
        if outcome.terminated or outcome.truncated:
            outcome = backend.reset(0, {"route_id": route, "max_steps": 100_000})
    return rows


@click.command()
@click.option("--sensors", default="predecessor", show_default=True, help="The rig.")
@click.option("--steps", "count", default=300, show_default=True, help="Steps of each route.")
@click.option("--routes", "file", type=click.Path(exists=True, path_type=Path), default=route_files.DEFAULT_FILE, show_default=True)
@click.option("--most", default=4, show_default=True, help="How many of its routes.")
@click.option("--carla-port", type=int, default=None, help="A server that runs already; a stand-in where absent.")
@click.option("--tm-port", default=8000, show_default=True)
def main(*, sensors: str, count: int, file: Path, most: int, carla_port: int | None, tm_port: int) -> None:
    """Print a line for each route, then the medians of all."""
    watch, everything = Stopwatch(), []
    Link.tick = watch.wrap("tick", Link.tick)  # type: ignore[method-assign]
    Sensors._missing = watch.wrap("pictures", Sensors._missing)  # type: ignore[method-assign]
    with server(carla_port) as port:
        backend = CarlaBackend(str(file), sensors, carla_port=port, tm_port=tm_port)
        with contextlib.closing(backend):
            for route in route_files.read(file)[:most]:
                rows = steps(backend, route.id, count, watch)
                everything += rows
                print(f"route {route.id:6d} {route.town:9s}: {told(rows)}", flush=True)
    ours = ours_of(everything)
    share = float(np.median(ours)) / TICK
    print(f"all: {told(everything)}; ours is {100 * share:.1f} % of a tick of {TICK * 1e3:.0f} ms; wanted is under 10 %")
    sys.exit(share >= 0.1)


def ours_of(rows: List[Dict[str, float]]) -> Any:
    """What of each step is neither tick nor waiting for pictures."""
    return np.array([row["whole"] - row["tick"] - row["pictures"] for row in rows])


def told(rows: List[Dict[str, float]]) -> str:
    """Medians in words, and the 99th percentile of our own."""
    parts = ", ".join(f"{name} {1e3 * float(np.median([row[name] for row in rows])):.2f}" for name in ("whole", "tick", "pictures"))
    ours = ours_of(rows)
    return f"{parts}, ours {1e3 * float(np.median(ours)):.2f} ms (p99 {1e3 * float(np.percentile(ours, 99)):.2f})"


if __name__ == "__main__":
    main()
