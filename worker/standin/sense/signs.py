"""A corridor's traffic lights and stop signs as the painter wants them: its own posts, in the colours of the town's lamps.

The posts stand where the embedded world has them, so that both worlds look alike. A post looks at those who wait for it, and shows what the
lamp shows whose trigger box lies there, or that of the opposite way where nobody comes from there.
"""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Any, NamedTuple, Tuple

import numpy as np

from ...world.road import Road
from ...world.signals import LIGHT, OFF, Signals
from ..actors import Lamp
from ..geometry import placed
from ..town import Town
from ..world import World

_WAITING = 6.0  # metres before a junction's edge: about the middle of those who wait
_REACH = 45.0  # metres between there and a lamp's trigger box; what is farther is another junction's
_ASLANT = 0.7  # sine between the way that a post looks and the heading of those whom a lamp is for, beyond which it is another road's


class Posts(NamedTuple):
    """Columns of what stands at the junctions, as the painter takes them."""

    x: Any
    y: Any
    yaw: Any
    kind: Any
    state: Any


def signals(road: Road, world: World) -> Posts:
    """The corridor's lights and signs in their present states."""
    found, signs = posts(road), _signs(road, world.town)
    if not any(signs):
        return found
    states = {actor.body.sign: actor.body.state for actor in world.actors.values() if isinstance(actor.body, Lamp)}
    return found._replace(state=np.array([states.get(sign, OFF) for sign in signs], np.int8))


@lru_cache(maxsize=64)
def posts(road: Road) -> Posts:
    """The corridor's lights and signs, all lights off."""
    found = Signals(road, random.Random(0))
    return Posts(found.x, found.y, found.yaw, found.kind, np.full(len(found.x), OFF, np.int8))


@lru_cache(maxsize=64)
def _signs(road: Road, town: Town) -> Tuple[str, ...]:
    """The sign of each post's lamp, or ""."""
    triggers = np.array([placed(light.trigger_centre, light.pose)[:2] for light in town.lights]).reshape(-1, 2)
    headings = np.radians([light.pose.yaw - 90.0 for light in town.lights])  # a light's x axis runs across the lanes it is for
    found, signs = posts(road), []
    for x, y, yaw, kind in zip(*(column.tolist() for column in found[:4])):
        junction = min(road.junctions, key=lambda each: float(np.hypot(each.x - x, each.y - y)))
        out = max(junction.half_width, abs((junction.leave - junction.enter) / 2.0)) + _WAITING
        away = np.hypot(triggers[:, 0] - junction.x - out * np.cos(yaw), triggers[:, 1] - junction.y - out * np.sin(yaw))
        away[np.abs(np.sin(headings - yaw)) > _ASLANT] = np.inf
        known = kind == LIGHT and len(triggers) > 0 and float(away.min()) < _REACH
        signs.append(town.lights[int(away.argmin())].sign if known else "")
    return tuple(signs)
