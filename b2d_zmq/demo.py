"""``b2d demo``: one decision of a drive, branched. The smallest complete use of a farm.

It starts a farm (or uses a running one), drives a route to a decision point, forks, lets every branch make its own manoeuvre, compares,
selects the best and drives on. What it saw is told by sheet.py: a table, ``demo.png`` and ``demo.json``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Tuple

import gymnasium
import numpy as np
import zmq
from tqdm import tqdm

from .batch import member
from .env import CarlaEnv
from .errors import RequestError
from .follower import RouteFollower
from .group import BranchGroup
from .sheet import Drive, Moment, Story, draw, reason, record, restored, shown_steps, table
from .stage import Say, Stage
from .version import VERSION

LIVE_STEPS = 30  # after the selection
PULSE_STEPS = 8  # for which a branch holds its steering
COUNTER_STEPS, COUNTER_SHARE = 6, 0.8  # and then steers back, by so much of it, as a driver does who changes lanes
MANOEUVRE_STEPS = 42  # for which it holds its throttle, the wheels straight after that; then the follower takes over
THROTTLE = 0.8
MOST_STEER = 0.25
APPROACH = (40, 240)  # the fewest and the most steps to the decision point
MOVING = 5.0  # m/s from which steering decides something
NEAR = 25.0  # metres to a thing or a stop line ahead, from which it matters


@dataclass(frozen=True)
class Plan:
    """What the command's options say; see ``b2d demo --help``."""

    out: Path
    stage: Stage
    route: int | None = None
    workers: int | None = None
    branches: int = 3
    steps: int = 50
    seed: int = 0
    tier: str | None = None


def run(plan: Plan, say: Say) -> Dict[str, Any]:
    """Do all of it; gives what ``demo.json`` holds."""
    plan.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=plan.out):
        pass  # what cannot be written there is said now, not after the drive
    began = time.monotonic()
    with plan.stage.farm(plan.workers or plan.branches, say) as endpoint:
        started = time.monotonic() - began
        with contextlib.closing(CarlaEnv(endpoint, tier=plan.tier, curve_dir=plan.stage.curve_dir)) as env:
            story = _tell(env, plan, say)
    story.timings["farm_start"] = started
    return _write(plan, story, say)


def manoeuvres(branches: int) -> List[float]:
    """The steering of each branch: straight, then pairs to the left and right, the sharpest first."""
    pairs = branches // 2
    sides = [side * MOST_STEER * (pairs - k) / pairs for k in range(pairs) for side in (-1.0, 1.0)]
    return [0.0, *sides][:branches]


def _share(step: int) -> float:
    """How much of its steering a branch applies in a step, counted from 1."""
    if step <= PULSE_STEPS:
        return 1.0
    return -COUNTER_SHARE if step <= PULSE_STEPS + COUNTER_STEPS else 0.0


def _write(plan: Plan, story: Story, say: Say) -> Dict[str, Any]:
    picture, numbers = plan.out / "demo.png", plan.out / "demo.json"
    draw(story, picture)
    versions = {"b2d_zmq": VERSION, "python": platform.python_version(), "numpy": np.__version__}
    versions.update({"gymnasium": gymnasium.__version__, "pyzmq": zmq.pyzmq_version(), "libzmq": zmq.zmq_version()})
    told = {**record(story), "versions": versions}
    numbers.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    say(f"\nwrote {picture} and {numbers}")
    return told


def _tell(env: CarlaEnv, plan: Plan, say: Say) -> Story:
    timings: Dict[str, float] = {}
    with _timed(timings, "reset"):
        observation, info = env.reset(seed=plan.seed, options={} if plan.route is None else {"route_id": plan.route})
    road = np.array(info["route"], np.float64), np.array(info["lanes"], np.float64)
    say(f"route {info['route_id']} in {info['town']}, scenario {info['scenario']['type']}, seed {plan.seed}")
    with _timed(timings, "approach"):
        observation, info, approach = _approach(env, observation, info)
    say(f"decision point after {len(approach) - 1} steps, at {_speed(observation):.1f} m/s")
    dt = float(env.description["dt"])
    workers = None if plan.workers is None or plan.workers >= plan.branches else plan.workers
    with _timed(timings, "fork"):
        group = env.fork(plan.branches, workers=workers, block=False)
        group.begin()  # not in fork, which would restore the environment for whoever presses ctrl-C
    start = _start(group, say)
    with _timed(timings, "group_steps"):
        branches = _step(group, plan, info, dt)
    kept = {name: getattr(group.snapshot, name) for name in ("id", "tick", "tier", "digest", "nbytes")}
    returns, advantages, chosen = group.returns.tolist(), group.advantages().tolist(), int(np.nanargmax(group.returns))
    live = Drive("live", branches[chosen].moments[-1:])
    story = Story(info, plan.seed, *road, approach, kept, start, branches, returns, advantages, chosen, live, timings)
    say("\n" + table(story))
    with _timed(timings, "select"):
        group.select(chosen)
    with _timed(timings, "live_steps"):
        _go_on(env, story, dt, say)
    return story


def _approach(env: CarlaEnv, observation: Any, info: Dict[str, Any]) -> Tuple[Any, Dict[str, Any], List[Tuple[float, float]]]:
    """Drive with the follower until something ahead matters, or to the last step of APPROACH."""
    follower, (fewest, most) = RouteFollower(), APPROACH
    path = [_place(observation)]
    for step in tqdm(range(most), desc="driving", unit="step", leave=False, disable=None):
        if step >= fewest and _speed(observation) > MOVING and min(info["hazard"]["gap"], info["hazard"]["stop"]) < NEAR:
            break
        observation, _, terminated, truncated, info = env.step(follower.act(observation, info))
        if terminated or truncated:
            raise RequestError(f"the drive ended ({reason(info)}) after {step + 1} steps, before a decision point; take another --route")
        path.append(_place(observation))
    return observation, info, path


def _start(group: BranchGroup, say: Say) -> Dict[str, Any]:
    """How alike all branches begin: by the simulators' own digests, by a hash over every observed bit, and by what each restore reports."""
    digests, fidelity = [str(digest) for digest in group.digests], group.fidelity
    hashes = [_hash(member(group.observations, i)) for i in range(len(digests))]
    for i, (digest, seen, told) in enumerate(zip(digests, hashes, fidelity)):
        say(f"  branch {i} starts at state {digest}, observation {seen}")
        if told is not None and told["tier"] != "exact":
            say(f"           restored by {restored(told)}")
    tier = next((str(told["tier"]) for told in fidelity if told is not None), "")
    if tier == "exact":
        say(f"  bit-identical: {'yes' if group.identical else 'NO'}")
    else:
        say(f"  the snapshot's state, by digest: {digests.count(group.snapshot.digest)} of {group.n} branches")
    return {"identical": group.identical, "tier": tier, "fidelity": fidelity, "digests": digests, "observation_hashes": hashes}


def _step(group: BranchGroup, plan: Plan, info: Mapping[str, Any], dt: float) -> List[Drive]:
    """The group's steps: first each branch's manoeuvre, then a follower in every branch for itself."""
    steers = manoeuvres(plan.branches)
    drives, followers = [Drive(_name(steer)) for steer in steers], [RouteFollower() for _ in steers]
    seen, infos = [member(group.observations, i) for i in range(len(steers))], [dict(info) for _ in steers]
    for drive, first in zip(drives, seen):
        drive.moments.append(_moment(first, 0.0, True))
    shown = shown_steps(plan.steps)
    for step in tqdm(range(1, plan.steps + 1), desc=f"{len(steers)} branches", unit="step", disable=None):
        if step <= MANOEUVRE_STEPS:
            actions: List[Any] = [[THROTTLE, 0.0, steer * _share(step)] for steer in steers]
        else:
            actions = [follower.act(o, i) for follower, o, i in zip(followers, seen, infos)]
        out = group.step(np.asarray(actions, np.float32))
        seen, infos = [member(out.observations, i) for i in range(len(steers))], list(out.infos)
        for i, drive in enumerate(drives):
            if out.valid[i] and not drive.ended:
                over = bool(out.terminated[i] or out.truncated[i])
                drive.note(out.rewards[i], infos[i], _moment(seen[i], step * dt, over or step in shown), over)
    return drives


def _go_on(env: CarlaEnv, story: Story, dt: float, say: Say) -> None:
    """Drive on from the selected branch, for LIVE_STEPS or to the end of the episode."""
    drive, chosen = story.live, story.branches[story.chosen]
    if chosen.ended:
        drive.ended = chosen.ended
        say(f"the best branch had ended ({chosen.ended}): nothing is left to drive")
        return
    follower, observation, info = RouteFollower(), env.get_current_observation(), chosen.info
    began, shown = drive.moments[0].seconds, shown_steps(LIVE_STEPS)
    for step in tqdm(range(1, LIVE_STEPS + 1), desc="live", unit="step", disable=None):
        observation, reward, terminated, truncated, info = env.step(follower.act(observation, info))
        over = terminated or truncated
        drive.note(reward, info, _moment(observation, began + step * dt, over or step in shown), over)
        if over:
            return


@contextlib.contextmanager
def _timed(timings: Dict[str, float], name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    timings[name] = time.monotonic() - began


def _moment(observation: Mapping[str, Any], seconds: float, shown: bool) -> Moment:
    return Moment(seconds, _place(observation), _speed(observation), _picture(observation) if shown else None)


def _picture(observation: Mapping[str, Any]) -> Any:
    """The first camera's picture, or None for a rig without one."""
    for value in observation.values():
        if isinstance(value, np.ndarray) and value.ndim == 3 and value.dtype == np.uint8:
            return value.copy()
    return None


def _place(observation: Mapping[str, Any]) -> Tuple[float, float]:
    x, y = observation["vehicle_state"]["position"][:2]
    return float(x), float(y)


def _speed(observation: Mapping[str, Any]) -> float:
    return float(observation["vehicle_state"]["speed"][0])


def _hash(tree: Any) -> str:
    """A short hash over every bit of an observation."""
    digest = hashlib.blake2b(digest_size=8)

    def take(part: Any) -> None:
        if isinstance(part, Mapping):
            for key in sorted(part):
                digest.update(key.encode())
                take(part[key])
        else:
            array = np.ascontiguousarray(part)
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(array.tobytes())

    take(tree)
    return digest.hexdigest()


def _name(steer: float) -> str:
    if steer == 0.0:
        return "straight"
    side = "left" if steer < 0 else "right"
    return side if abs(steer) == MOST_STEER else f"{side} {abs(steer):.3g}"
