"""Branching on CARLA in numbers: are replayed branches equal, how far off are transferred ones, and does forking leak?

python benchmarks/carla_forks.py [--carla-root DIR] [--routes FILE.xml] [--routes-tried 10] [--forks 200] [--branches 4]

Without a CARLA root a stand-in of the version of this Python's wheel is laid out in a temporary folder: then these are the numbers of the
stand-in, and said to be. The exit code is 1 where a number misses what is asked of the stand-in.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List

import click
import numpy as np
import psutil
from carla_demos import in_turn

from b2d_zmq import CarlaEnv, LocalFarm, RouteFollower
from b2d_zmq.errors import B2DError
from worker import routes as route_files
from worker.carla_root import client_version
from worker.standin.install import install

POSITION, SPEED, YAW, LATER = 0.01, 0.05, 0.1, 0.10  # m, m/s and degrees at the branch, m after a second
AGES = (40, 110)  # ticks at which a route is branched
SECOND = 20  # ticks


def driven(env: CarlaEnv, ticks: int) -> bool:
    """Follow the route for so many ticks; False where the episode ended."""
    follower = RouteFollower()
    for _ in range(ticks):
        assert env.last_observation is not None
        _, _, terminated, truncated, _ = env.step(follower.act(env.last_observation, env.last_info))
        if terminated or truncated:
            return False
    return True


def tape(ticks: int, seed: int) -> np.ndarray[Any, Any]:
    """Actions that accelerate and weave a little, float32 [ticks, 3]."""
    stream = np.random.RandomState(seed)
    rows = [stream.uniform(0.2, 0.7, ticks), np.zeros(ticks), stream.uniform(-0.05, 0.05, ticks)]
    return np.stack(rows, axis=1).astype(np.float32)


def places(env: CarlaEnv, actions: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Where the ego is after each action, float64 [T, 3], as far as the episode goes on."""
    seen = []
    for action in actions:
        observation, _, terminated, truncated, _ = env.step(action)
        seen.append(observation["vehicle_state"]["position"])
        if terminated or truncated:
            break
    return np.array(seen, np.float64)


def branch(env: CarlaEnv, route: route_files.Route, age: int, branches: int) -> Dict[str, Any]:
    """One branch point: a group by replay, and a restore by transfer beside the drive that went on without one."""
    env.reset(seed=route.id, options={"route_id": route.id})
    if not driven(env, age):
        return {"failed": "the episode ended before"}
    with env.fork(branches, tier="replay") as group:
        equal, verdicts = group.identical, [told and told["verdict"] for told in group.fidelity]
    snapshot, actions = env.snapshot(), tape(SECOND, age)
    alone = places(env, actions)
    _, info = env.restore(snapshot, tier="transfer")
    again = places(env, actions)
    length = min(len(alone), len(again))
    off = np.linalg.norm(again[:length] - alone[:length], axis=1)
    return {
        "equal": equal,
        "verdicts": verdicts,
        "bytes": snapshot.nbytes,
        "fidelity": info["fidelity"],
        "later": float(off[-1]),
        "k": length,
    }


def tried(env: CarlaEnv, route: route_files.Route, age: int, branches: int) -> Dict[str, Any]:
    """The same, or what went wrong."""
    try:
        return branch(env, route, age, branches)
    except B2DError as error:
        return {"failed": str(error).splitlines()[0]}


def good(told: Dict[str, Any]) -> bool:
    """Whether a branch point is as true as is asked of the stand-in."""
    ego = told["fidelity"]["ego"]
    at_once = ego["position"] <= POSITION and ego["speed"] <= SPEED and ego["yaw"] <= YAW
    return bool(told["equal"] and at_once and told["later"] <= LATER)


def say(route: route_files.Route, age: int, told: Dict[str, Any]) -> None:
    """One line of the report."""
    if "failed" in told:
        print(f"  {route.id:>6} {route.town:<9} tick {age:>3}: FAILED: {told['failed']}", flush=True)
        return
    fidelity = told["fidelity"]
    ego, worst = ("{position:.4f} m {speed:.4f} m/s {yaw:.3f} deg".format(**fidelity[who]) for who in ("ego", "worst"))
    print(
        f"  {route.id:>6} {route.town:<9} tick {age:>3}: replay {'equal' if told['equal'] else 'DIFFERENT'} {set(told['verdicts'])}, "
        f"{told['bytes'] / 1024:.0f} KiB; transfer {fidelity['verdict']}, ego {ego}, worst other {worst}, "
        f"{fidelity['ticks']} ticks {fidelity['seconds']:.2f} s, lights off {fidelity['lights']}; "
        f"ego {told['later']:.4f} m after {told['k']} ticks",
        flush=True,
    )


def held(farm: LocalFarm) -> Dict[str, float]:
    """What the farm's processes hold together."""
    found: List[psutil.Process] = []
    for pid in farm.pids.values():
        keeper = psutil.Process(pid)
        found += [keeper, *keeper.children(recursive=True)]
    parts = {"MiB": 0.0, "files": 0.0, "threads": 0.0, "processes": float(len(found))}
    for process in found:
        parts["MiB"] += process.memory_info().rss / 2**20
        parts["files"] += process.num_fds()
        parts["threads"] += process.num_threads()
    return parts


def leaks(farm: LocalFarm, env: CarlaEnv, route: route_files.Route, forks: int, branches: int) -> bool:
    """Fork again and again, by replay and by transfer; True where nothing grew but noise. The first tenth is for warming up."""
    env.reset(seed=1, options={"route_id": route.id, "max_steps": 100_000})
    driven(env, 20)
    snapshot, first = env.snapshot(), {}
    for number in range(forks):
        if number == forks // 10:
            first = {**held(farm), **crowd(farm)}
        env.restore(snapshot, tier="transfer")
        with env.fork(branches, tier=("replay", "transfer")[number % 2]) as group:
            group.rollout(np.tile(tape(3, number), (branches, 1, 1)))
    last = {**held(farm), **crowd(farm)}
    print(f"  after {forks // 10} forks: {told(first)}\n  after {forks} forks: {told(last)}")
    return last["MiB"] - first["MiB"] < 8.0 * branches and all(last[name] <= first[name] for name in ("files", "threads", "actors"))


def told(parts: Dict[str, float]) -> str:
    """The parts in words."""
    return ", ".join(f"{value:.0f} {name}" for name, value in parts.items())


def crowd(farm: LocalFarm) -> Dict[str, float]:
    """How many actors are in the worlds of all its servers; a client that looks on tells."""
    carla, count = importlib.import_module("carla"), 0
    for port in ports(farm):
        client = carla.Client("127.0.0.1", port)
        client.set_timeout(20.0)
        world, until = client.get_world(), time.monotonic() + 20.0
        while not len(world.get_actors()):  # none is known before the first picture of the world has come; the spectator is always there
            if time.monotonic() > until:
                raise TimeoutError(f"the server at port {port} shows no actor to a client that looks on")
            time.sleep(0.05)
        count += len(world.get_actors())
    return {"actors": float(count)}


def ports(farm: LocalFarm) -> List[int]:
    """The RPC ports of its servers, as their command lines have them."""
    lines = [" ".join(child.cmdline()) for pid in farm.pids.values() for child in psutil.Process(pid).children(recursive=True)]
    return [int(found.group(1)) for found in (re.search(r"-carla-rpc-port=(\d+)", line) for line in lines) if found]


@contextlib.contextmanager
def root_of(carla_root: Path | None, file: Path) -> Iterator[Path]:
    """The CARLA to run: that one, or a stand-in that is laid out for the while."""
    if carla_root is not None:
        yield carla_root
        return
    with tempfile.TemporaryDirectory() as folder:
        version = client_version()
        install(Path(folder) / "carla", version, [f"--dialect={version}", f"--routes={file.absolute()}"])
        yield Path(folder) / "carla"


@click.command()
@click.option("--carla-root", type=click.Path(exists=True, path_type=Path), default=None, help="A CARLA; a stand-in where absent.")
@click.option("--routes", "file", type=click.Path(exists=True, path_type=Path), default=route_files.DEFAULT_FILE, show_default=True)
@click.option("--routes-tried", default=10, show_default=True, help="Each is branched at two ages.")
@click.option("--branches", default=4, show_default=True)
@click.option("--forks", default=200, show_default=True, help="For the search for leaks; 0 leaves it out.")
@click.option("--json", "out", type=click.Path(path_type=Path), default=None, help="All numbers, as JSON.")
def main(  # noqa: PLR0917 (the options)
    carla_root: Path | None, file: Path, routes_tried: int, branches: int, forks: int, out: Path | None
) -> None:
    """Measure branching on CARLA."""
    chosen, results, whole = in_turn(file, routes_tried), [], True
    with root_of(carla_root, file) as root:
        farm = LocalFarm(branches, backend="carla", carla_root=root, routes=file, sensors="state", worker_options=["--rendering", "null"])
        with farm, contextlib.closing(CarlaEnv(farm.endpoint, timeout=120.0)) as env:
            print(f"{'the stand-in' if carla_root is None else carla_root}, CARLA {env.description.get('carla')}, {branches} branches")
            for route in chosen:
                for age in AGES:
                    results.append({"route": route.id, "town": route.town, "age": age, **tried(env, route, age, branches)})
                    say(route, age, results[-1])
            if forks:
                whole = leaks(farm, env, chosen[0], forks, branches)
    there = [each for each in results if "failed" not in each]
    fine = sum(good(each) for each in there)
    print(f"replay: digests and observations equal in {sum(each['equal'] for each in there)} of {len(there)} groups")
    print(
        f"all limits kept at {fine} of {len(there)} branch points; {'no leak' if whole else 'A LEAK'}"
        if forks
        else f"limits: {fine}/{len(there)}"
    )
    if out is not None:
        out.write_text(json.dumps(results, indent=1), encoding="utf-8")
    sys.exit(0 if fine == len(there) == len(results) and whole else 1)


if __name__ == "__main__":
    main()
