"""One route's corridor as OpenDRIVE has it: its lanes by id, their paint, and the curve from one s to another.

Rule: a lane's id is the same all along a corridor, so that pieces of it always fit together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Dict, List, Set, Tuple

import numpy as np

from ..world.lanes import Lane
from ..world.road import MARGIN, SPACING, Road
from .opendrive import Mark, Section, Strip
from .opendrive_plan import Curve

KINDS: Dict[str, str] = {"driving": "driving", "shoulder": "shoulder", "parking": "parking", "bike": "biking", "sidewalk": "sidewalk"}
TOWN_KINDS: Dict[str, str] = {"urban": "town", "rural": "rural", "highway": "motorway"}
SOLID, BROKEN, NONE = Mark("solid"), Mark("broken", "white", "both"), Mark()
YELLOW, YELLOW_BROKEN, YELLOW_DOUBLE = Mark("solid", "yellow"), Mark("broken", "yellow", "both"), Mark("solid solid", "yellow")

Span = Tuple[float, float]
Box = Tuple[Span, Span]  # the least and most x and y
_NO_LANES: Set[int] = set()


def box_of(x: Any, y: Any) -> Box:
    """The box of some points."""
    return (float(x.min()), float(x.max())), (float(y.min()), float(y.max()))


@dataclass(frozen=True, eq=False)
class Corridor:
    """A road with the ids of its lanes. ``index`` is its place among the town's roads; ``stretch`` widens its lanes."""

    index: int
    road: Road
    stretch: float = 1.0

    @cached_property
    def centre(self) -> float:
        """The d of lane 0: between oncoming traffic and the route's own, or the left edge of a carriageway of one way."""
        own = [lane for lane in self._lanes if lane.kind == "driving" and lane.direction > 0]
        return min(lane.offset - lane.width / 2.0 for lane in own)

    @cached_property
    def _lanes(self) -> List[Lane]:
        return [replace(lane, offset=lane.offset * self.stretch, width=lane.width * self.stretch) for lane in self.road.lanes]

    @cached_property
    def lanes(self) -> Dict[int, Lane]:
        """Lane by id, from left to right."""
        left = [lane for lane in self._lanes if lane.offset < self.centre]
        right = [lane for lane in self._lanes if lane.offset > self.centre]
        ids = [*range(len(left), 0, -1), *range(-1, -len(right) - 1, -1)]
        return dict(zip(ids, left + right))

    @cached_property
    def driving(self) -> Dict[int, Lane]:
        """The driving lanes by id."""
        return {id_: lane for id_, lane in self.lanes.items() if lane.kind == "driving"}

    @cached_property
    def own(self) -> int:
        """The id of the route's own lane."""
        return min(self.driving, key=lambda id_: abs(self.driving[id_].offset))

    @property
    def ends(self) -> Span:
        """The s of the first and last sample."""
        return -MARGIN, float(self.road.s[-1])

    @cached_property
    def bounds(self) -> Box:
        """The box of the reference line."""
        return box_of(self.road.x, self.road.y)

    def place(self, s: float, d: float = 0.0) -> Tuple[float, float, float, float]:
        """World x, y, z and yaw (radians)."""
        x, y, z, yaw = self.road.pose(np.array(s), np.array(d))
        return float(x), float(y), float(z), float(yaw)

    def curve(self, span: Span) -> Curve:
        """The reference line between two s."""
        count = max(2, round((span[1] - span[0]) / SPACING) + 1)
        s = np.linspace(span[0], span[1], count)
        x, y, z, yaw = self.road.pose(s, np.zeros(count))
        return Curve(s - s[0], x, y, z, yaw)

    def mark(self, id_: int) -> Mark:
        """The paint on the outer edge of a lane; 0: on the middle line."""
        if id_ == 0:
            return self._middle
        lane, outer = self.lanes[id_], self.lanes.get(id_ + (1 if id_ > 0 else -1))
        if lane.kind != "driving":
            return NONE if outer is None else SOLID
        return BROKEN if outer is not None and outer.kind == "driving" else SOLID

    @property
    def _middle(self) -> Mark:
        if not any(lane.direction < 0 for lane in self.driving.values()):
            return YELLOW if self.road.town_kind == "highway" else SOLID
        return YELLOW_DOUBLE if len(self.driving) > 2 else YELLOW_BROKEN

    def section(self, s: float, hidden: Set[int] = _NO_LANES, before: Set[int] = _NO_LANES, behind: Set[int] = _NO_LANES) -> Section:
        """All lanes from s (metres from the piece's start) on. Hidden ones keep their place but are of no kind: nobody drives there.

        ``before`` and ``behind`` are those hidden in the sections around: no lane leads to them, or the traffic manager would die.
        """
        strips: List[Strip] = []
        for id_, lane in self.lanes.items():
            gone = id_ in hidden
            links = (None if gone or id_ in before else id_, None if gone or id_ in behind else id_)
            strips.append(Strip(id_, "none" if gone else KINDS[lane.kind], lane.width, NONE if gone else self.mark(id_), *links))
        return Section(s, tuple(strips), self.mark(0))
