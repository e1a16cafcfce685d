"""The geometry of one route: a reference line with lanes beside it and junctions across it. Constant for an episode.

A place on the road is (s, d): metres along the route's own lane, and metres to the right of it. s runs from -margin (road before
the start) over 0 (first waypoint) and ``length`` (goal) to length + margin. All methods take and give arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Tuple

MARGIN = 120.0  # metres of road before the start and beyond the goal
SPACING = 0.5  # metres between two samples of the reference line


@dataclass(frozen=True)
class Lane:
    """A strip along the road. ``offset`` is its centre's d; the ego's lane has offset 0."""

    offset: float
    width: float
    direction: int  # +1 the ego's way, -1 oncoming, 0 nobody drives there
    kind: str  # "driving", "shoulder", "parking", "bike", "sidewalk"


@dataclass(frozen=True)
class Junction:
    """A place where another road crosses. ``control`` says what the ego meets there: "light", "stop", "yield" or "none"."""

    enter: float  # s of the ego's stop line
    leave: float  # s where the junction is behind
    x: float
    y: float
    yaw: float  # radians: the heading of traffic that comes from the ego's left
    control: str
    turn: str  # "left", "right", "straight": what the route does here
    half_width: float  # half the width of the crossing road


@dataclass(frozen=True)
class Road:
    """See the module's text. Arrays are float64 [M], sampled every SPACING metres from s = -MARGIN."""

    length: float
    s: Any
    x: Any
    y: Any
    z: Any
    yaw: Any  # radians, unwrapped
    curvature: Any  # 1/m, positive to the right
    lanes: Tuple[Lane, ...]  # ordered by offset, left to right
    junctions: Tuple[Junction, ...]  # ordered by enter
    town_kind: str  # "urban", "rural", "highway"
    speed_limit: float  # m/s
