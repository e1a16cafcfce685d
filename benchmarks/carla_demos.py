"""The demo on CARLA, route after route, as a user runs it: python benchmarks/carla_demos.py --carla-root DIR --routes FILE.xml.

Takes routes of all towns of the file in turn, runs ``b2d demo --backend carla`` for each and reads its demo.json. A line per route: how
many branches began in the snapshot's state, the verdicts, the returns; the exit code is 1 if a
demo failed, or a branch was degraded or lost.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, Dict, List

import click

from worker import routes as route_files


def in_turn(file: Path, count: int) -> List[route_files.Route]:
    """``count`` routes, one town after the other."""
    by_town: Dict[str, List[route_files.Route]] = defaultdict(list)
    for route in route_files.read(file):
        by_town[route.town].append(route)
    chosen: List[route_files.Route] = []
    while len(chosen) < count and any(by_town.values()):
        chosen += [waiting.pop(0) for waiting in by_town.values() if waiting]
    return chosen[:count]


def demo(route: route_files.Route, file: Path, root: Path, rest: List[str]) -> Dict[str, Any]:
    """One demo; its demo.json, or {"error": the end of what it said}."""
    with tempfile.TemporaryDirectory() as out:
        command = [str(Path(sys.executable).with_name("b2d")), "demo", "--backend", "carla", "--carla-root", str(root), "--out", out]
        command += ["--routes", str(file), "--route", str(route.id), *rest]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            return {"error": done.stdout[-600:]}
        told: Dict[str, Any] = json.loads((Path(out) / "demo.json").read_text(encoding="utf-8"))
        return told


@click.command()
@click.option("--carla-root", type=click.Path(exists=True, path_type=Path), required=True, help="The CARLA installation.")
@click.option("--routes", "file", type=click.Path(exists=True, path_type=Path), default=route_files.DEFAULT_FILE, show_default=True)
@click.option("--count", default=20, show_default=True, help="How many routes.")
@click.argument("rest", nargs=-1)
def main(carla_root: Path, file: Path, count: int, rest: List[str]) -> None:
    """REST goes to b2d demo: --tier transfer, -- --rendering offscreen ..."""
    failed, towns = 0, set()
    for route in in_turn(file, count):
        began = time.monotonic()
        told = demo(route, file, carla_root, list(rest))
        seconds = time.monotonic() - began
        if "error" in told:
            failed += 1
            print(f"{route.id} {route.town}: FAILED after {seconds:.0f} s\n{told['error']}", flush=True)
            continue
        towns.add(route.town)
        digests = told["start"]["digests"]
        same = sum(digest == told["snapshot"]["digest"] for digest in digests)
        verdicts = ["lost" if fidelity is None else fidelity["verdict"] for fidelity in told["start"]["fidelity"]]
        earned = ["lost" if branch["return"] is None else f"{branch['return']:+.2f}" for branch in told["branches"]]
        failed += "degraded" in verdicts or "lost" in earned
        kind = route.scenarios[0].type if route.scenarios else "-"
        line = f"{same} of {len(digests)} alike, {verdicts}, returns {' '.join(earned)}; {seconds:.0f} s"
        print(f"{route.id} {route.town} {kind}: {line}", flush=True)
    print(f"{count} routes over {len(towns)} towns: {count - failed} well, {failed} not")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
