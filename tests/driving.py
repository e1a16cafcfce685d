"""The built-in follower at the wheel of the embedded world, without a backend between them."""

from __future__ import annotations

import math

import numpy as np

from worker.world.world import World


def seen(world):
    """The observation and info that a follower uses."""
    ego = world.ego
    vehicle = {
        "position": np.array([ego.x, ego.y, ego.z], np.float32),
        "rotation": np.array([0.0, math.degrees(ego.yaw), 0.0], np.float32),
        "speed": np.array([abs(ego.speed)], np.float32),
    }
    return {"vehicle_state": vehicle}, {"route_ahead": world.ahead(16, 2.0).astype(np.float32), "hazard": world.hazard()._asdict()}


def drive(world: World, follower, ticks, look=lambda world, events: False):
    """Drive, ten decisions a second, to within 2 m of the goal; True when it was reached in so many ticks and before ``look`` said so."""
    for tick in range(ticks):
        if tick % 2 == 0:
            action = follower.act(*seen(world)).tolist()
        if look(world, world.step(*action)):
            return False
        if world.ego.s >= world.road.length - 2.0:
            return True
    return False
