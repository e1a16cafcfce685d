"""A corridor's traffic lights and stop signs as the painter wants them: its own posts, in the colours of the town's lamps.

The posts stand where the embedded world has them, so that both worlds look alike; a post shows what the nearest lamp shows.
"""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ...world.road import Road
from ...world.signals import LIGHT, OFF, Signals
from ..actors import Lamp
from ..world import World

_REACH = 40.0  # metres between a post and the lamp whose colour it shows


class Posts(NamedTuple):
    """Columns of what stands at the junctions, as the painter takes them."""

    x: Any
    y: Any
    yaw: Any
    kind: Any
    state: Any


def signals(road: Road, world: World) -> Posts:
    """The corridor's lights and signs in their present states."""
    posts = _posts(road)
    lamps = [actor for actor in world.actors.values() if isinstance(actor.body, Lamp) and actor.body.group >= 0]
    if not lamps or not len(posts.x):
        return posts
    x, y = (np.array([getattr(lamp.pose, axis) for lamp in lamps]) for axis in "xy")
    distance = np.hypot(posts.x[:, None] - x, posts.y[:, None] - y)
    nearest = distance.argmin(axis=1)
    state = np.array([lamp.body.state for lamp in lamps], np.int8)[nearest]
    near = (distance.min(axis=1) < _REACH) & (posts.kind == LIGHT)
    return posts._replace(state=np.where(near, state, posts.state))


@lru_cache(maxsize=64)
def _posts(road: Road) -> Posts:
    found = Signals(road, random.Random(0))
    return Posts(found.x, found.y, found.yaw, found.kind, np.full(len(found.x), OFF, np.int8))
