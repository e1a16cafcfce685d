"""The sensors' noise: drawn anew for each tick from the sensor's noise_seed and the episode's time, so that it needs no memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..actors import Actor
from ..world import World


def generator(sensor: Actor, world: World) -> Any:
    """The random numbers of this sensor in this tick; an episode that runs again draws them again, on any server."""
    seed = int(float(sensor.attributes.get("noise_seed") or 0))
    return np.random.RandomState([seed % 2**32, round(world.elapsed * 1000) % 2**32])


def has(sensor: Actor, word: str) -> bool:
    """Whether one of the sensor's attributes with that word in its name is not zero."""
    return any(float(value or 0.0) != 0.0 for name, value in sensor.attributes.items() if word in name)
