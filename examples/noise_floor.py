"""A fork by tier, and how much of the difference between its branches is noise. Give it a farm's endpoint, or it starts an embedded one.

    python examples/noise_floor.py [ENDPOINT [TIER]]

On the embedded world the answer is "nothing": its restores are exact. On CARLA it is the number to look at before learning from a group.
"""

from __future__ import annotations

import contextlib
import sys

import numpy as np

from b2d_zmq import BranchGroup, CarlaEnv, LocalFarm, NoiseFloor, RouteFollower

BRANCHES, TICKS = 3, 40


def main(endpoint: str, tier: str | None) -> None:
    """Drive, fork, measure."""
    driver = RouteFollower()
    with contextlib.closing(CarlaEnv(endpoint, tier=tier)) as env:
        observation, info = env.reset(seed=0)
        for _ in range(60):
            observation, _, terminated, truncated, info = env.step(driver.act(observation, info))
            if terminated or truncated:
                raise SystemExit("the drive ended before the fork; take another route")
        with env.fork(BRANCHES, wait=60.0) as group:
            tell(group, group.noise_floor([0.5, 0.0, 0.0], TICKS, against=plans()))


def plans() -> np.ndarray:
    """One plan per branch, f32 [G, H, 3]: to the left, straight, to the right."""
    steering = np.linspace(-0.1, 0.1, BRANCHES)[:, None].repeat(TICKS, axis=1)
    steering[:, 10:] = 0.0
    return np.stack([np.full_like(steering, 0.5), np.zeros_like(steering), steering], axis=2).astype(np.float32)


def tell(group: BranchGroup, floor: NoiseFloor) -> None:
    """What the group's restores are worth."""
    for i, told in enumerate(group.fidelity):
        if told is not None:
            print(f"branch {i}: {told['tier']}, {told['verdict']}; ego off by {told['ego']['position']:.3f} m; {told['ticks']} ticks")
    print(f"same actions:      returns differ by {floor.std:.4f}, egos by {floor.drift.position[-1]:.3f} m after {floor.ticks[-1]} ticks")
    print(f"different actions: returns differ by {floor.signal:.4f}")
    print(f"noise in the difference between branches: {floor.ratio:.1%}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
    else:
        with LocalFarm(workers=BRANCHES, sensors="state") as farm:
            main(farm.endpoint, None)
