"""What one 1024x512 camera costs, beside one cv2.warpPerspective of that size: python benchmarks/camera.py [--rounds N].

Both are timed in turn, so that whatever else the machine does slows both alike; the figures are medians, and "cpu" is the ratio of the
processor seconds that both take on a single thread. The roads are the package's own
routes, driven a little way along by standing traffic; each in daylight, in rain and at night.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Callable, List, Tuple

import click
import cv2
import numpy as np

import worker.data
from worker import routes
from worker.rig import RIGS
from worker.world.camera import Painter
from worker.world.weather import PRESETS
from worker.world.world import World

CAMERA = RIGS["predecessor"].cameras[0]
WEATHERS = ("ClearNoon", "HardRainNoon", "ClearNight")
FILE = Path(worker.data.__file__).with_name("routes.xml")


def warp() -> Callable[[], Any]:
    """One warp of a road-like picture to the camera's size."""
    source = np.random.RandomState(0).randint(0, 256, (1400, 1400, 3)).astype(np.uint8)
    matrix = np.array([[1.2, 0.3, 10.0], [0.1, 2.0, 20.0], [0.0, 0.002, 1.0]])
    out = np.empty((CAMERA.height, CAMERA.width, 3), np.uint8)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return lambda: cv2.warpPerspective(source, matrix, (CAMERA.width, CAMERA.height), dst=out, flags=flags)


def scene(route: routes.Route, weather: str) -> Tuple[Callable[[], Any], float, int]:
    """(what renders one picture, the seconds that its painter took to build, actors within 80 m)."""
    world = World(route, 1, PRESETS[weather])
    for _ in range(40):
        world.step(0.5, 0.0, 0.0)
    began = time.perf_counter()
    painter = Painter(world.road, PRESETS[weather], 1)
    built = time.perf_counter() - began
    out = np.empty((CAMERA.height, CAMERA.width, 3), np.uint8)
    near = np.hypot(world.actors.x - world.ego.x, world.actors.y - world.ego.y) < 80.0
    return (lambda: painter.render(world, CAMERA, out)), built, int((near & world.actors.visible).sum()) - 1


def compare(render: Callable[[], Any], rounds: int, clock: Callable[[], float] = time.perf_counter) -> Tuple[float, float]:
    """Median seconds of a warp and of a picture, taken in turn."""
    seconds: List[List[float]] = [[], []]
    both = (warp(), render)
    for _ in range(rounds):
        for measured, run in zip(seconds, both):
            began = clock()
            run()
            measured.append(clock() - began)
    return float(np.median(seconds[0])), float(np.median(seconds[1]))


def processor(render: Callable[[], Any], rounds: int) -> float:
    """How many times a warp's processor seconds a picture takes, both on one thread."""
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        warped, rendered = compare(render, rounds, time.thread_time)
    finally:
        cv2.setNumThreads(threads)
    return rendered / warped


@click.command()
@click.option("--rounds", default=100, show_default=True, help="Pictures and warps of each scene.")
@click.option(
    "--routes", "file", type=click.Path(exists=True, path_type=Path), default=FILE, help="Route file; the package's own if absent."
)
@click.option("--most", default=4, show_default=True, help="How many of its routes.")
def main(rounds: int, file: Path, most: int) -> None:
    """Print a line for each scene, and the median and worst of their ratios."""
    ratios: List[Tuple[float, float]] = []
    print(f"OpenCV {cv2.__version__}, NumPy {np.__version__}, {cv2.getNumThreads()} threads; {CAMERA.width}x{CAMERA.height}")
    for route in routes.read(file)[:most]:
        for weather in WEATHERS:
            render, built, near = scene(route, weather)
            began = time.perf_counter()
            render()
            first = time.perf_counter() - began
            warped, rendered = compare(render, rounds)
            ratios.append((rendered / warped, processor(render, rounds)))
            print(
                f"route {route.id:6d} {weather:13s} {near:2d} actors near: build {built * 1e3:4.0f} ms, first {first * 1e3:4.0f} ms, "
                f"warp {warped * 1e3:5.2f} ms, picture {rendered * 1e3:5.2f} ms, ratio {ratios[-1][0]:4.2f}, cpu {ratios[-1][1]:4.2f}"
            )
    for name, figures in zip(("ratio", "cpu"), zip(*ratios)):
        print(f"{name}: median {np.median(figures):.2f}, worst {max(figures):.2f}")


if __name__ == "__main__":
    main()
