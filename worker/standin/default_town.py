"""A small town for names that have no routes: streets between crossings with lights, on which traffic goes round for ever.

Rule: they are routes like any others, so that nothing else needs to know of them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Tuple

import numpy as np

from ..routes import Route, Scenario, Weather

APART = 400.0  # metres between two streets
STEP = 2.0  # metres between two waypoints
LEG, GAP = 60.0, 26.0  # metres before and behind a crossing, and across it


@lru_cache(maxsize=64)  # a name has always the same routes, by which its town is known again
def routes_for(name: str) -> Tuple[Route, ...]:
    """Three streets: one turns to the left at its crossing, one goes straight on, one turns to the right; so they keep apart."""
    return tuple(_street(name, number, turn) for number, turn in enumerate((-1, 0, 1)))


def _street(name: str, number: int, turn: int) -> Route:
    """A street to the east, with one crossing where waypoints are missing."""
    y = APART * number
    before = [(x, y) for x in np.arange(0.0, LEG + 0.1, STEP).tolist()]
    steps = np.arange(0.0, LEG + 0.1, STEP).tolist()
    if turn == 0:
        behind = [(LEG + GAP + along, y) for along in steps]
    else:
        behind = [(LEG + GAP / 2.0, y + turn * (GAP / 2.0 + along)) for along in steps]
    points = np.array([(px, py, 0.0) for px, py in before + behind])
    points.flags.writeable = False
    kind = {0: "OppositeVehicleRunningRedLight", 1: "SignalizedJunctionRightTurn", -1: "SignalizedJunctionLeftTurn"}[turn]
    trigger = (float(points[10][0]), y, 0.0, 0.0)
    return Route(number, name, points, (Scenario(f"{kind}_1", kind, trigger, {}),), Weather())
