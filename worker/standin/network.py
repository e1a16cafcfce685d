"""How the corridors of a town become one network: which stretches are kept, where they meet, and which lanes give way.

Several routes of a town use the same roads, each with a corridor of its own that was made up for it alone. Laid over one another, two
lanes would claim every place: a query would find now the one, now the other, no way would lead from one to the other, and the traffic
manager would not see cars on the twin lane. So every place belongs to one lane:

* Where a route's own lane runs along a lane of a corridor laid before it, it is not laid again. The remainder is joined to that corridor
  by a node: a junction that holds the ways from one to the other.
* Other lanes are hidden where they come upon a lane of higher rank. A route's own lane between start and goal has the highest rank, then
  other lanes there, then the made-up road before the start and beyond the goal, which ends where it would come upon anything.
* Junctions of several routes at the same place are one node.

Rule: the own lane of every route is on the map from start to goal, as its own corridor's lane or as another's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, NamedTuple, Sequence, Set, Tuple

import numpy as np

from ..world.road import Junction, Road
from .corridor import Box, Corridor, Span

SAME_LANE = 0.55  # metres between the middles of two lanes that are taken for one
STRETCH = 1.2  # how much wider or narrower than made up a lane may be
SAME_WAY = 0.96  # cosine of the angle between them
APART = 2.6  # metres between the middles of two lanes that can both be there
STOREY = 3.0  # metres: what is that far above is on a bridge
ROOM = 30.0  # metres: of a turning place
RIM = 15.0  # metres before the start and beyond the goal that count as the route
SHORTEST = 12.0  # metres of a remainder
SHORTEST_COVER = 40.0  # metres of a lane shared on the way: routes that only meet and part again keep their own
SHORTEST_END = 3.0  # metres of a lane shared at a route's start or goal
CLOSE = 6.0  # metres: nodes closer than this are one
ONE_PLACE = 25.0  # metres between the middles of two routes' junctions that are taken for one
LONGEST_FORK = 50.0  # metres


class Cover(NamedTuple):
    """A stretch of a corridor that is laid already, as lanes of the host."""

    span: Span
    host: int


class Link(NamedTuple):
    """Where a corridor goes over into its host (``leaving`` False) or comes out of it (True)."""

    corridor: int
    host: int
    leaving: bool
    way: int  # +1: both run the same way there


@dataclass(eq=False)
class Node:
    """One OpenDRIVE junction to be: the spans of the corridors that pass it, the routes' junctions there, and the links."""

    spans: Dict[int, Span]
    junctions: List[Tuple[int, Junction]] = field(default_factory=list)
    links: List[Link] = field(default_factory=list)

    def take(self, other: Node) -> None:
        """Become both."""
        for index, span in other.spans.items():
            mine = self.spans.get(index, span)
            self.spans[index] = min(mine[0], span[0]), max(mine[1], span[1])
        self.junctions += other.junctions
        self.links += other.links


@dataclass(eq=False)
class Layout:
    """What is laid: per corridor the kept spans, without the nodes; and the nodes."""

    corridors: Sequence[Corridor]
    order: List[int]  # of rank: the earlier corridor stays where two others would meet
    kept: Dict[int, List[Span]]
    nodes: List[Node]

    def open_spans(self, index: int) -> List[Span]:
        """What is kept of a corridor, without its nodes."""
        taken = sorted(node.spans[index] for node in self.nodes if index in node.spans)
        spans = []
        for start, end in self.kept[index]:
            at = start
            for a, b in taken:
                if b > start and a < end:
                    spans.append((at, a))
                    at = max(at, b)
            spans.append((at, end))
        return [span for span in spans if span[1] > span[0]]

    def hidden(self, index: int, id_: int, s: Any) -> Any:
        """Whether a lane of a corridor gives way to others at each s."""
        corridor = self.corridors[index]
        taken = np.zeros(len(s), bool)
        if id_ == corridor.own:
            return taken
        lane = corridor.lanes[id_]
        points = corridor.road.pose(s, np.full(len(s), lane.offset))
        for other in self.order:
            host = self.corridors[other]
            if other == index or not self.kept[other] or not near(corridor.bounds, host.bounds):
                continue
            all_lanes = lane.kind != "driving" or self.order.index(other) < self.order.index(index)
            taken |= _upon(host, self.open_spans(other), points, all_lanes, set(host.driving) if all_lanes else {host.own})
        return taken


def arrange(roads: Sequence[Road]) -> Layout:
    """The layout of a town."""
    corridors = _stretched([Corridor(index, road) for index, road in enumerate(roads)])
    order = sorted(range(len(corridors)), key=lambda k: _importance(corridors[k]))
    kept: Dict[int, List[Span]] = {}
    nodes: List[Node] = []
    for place, index in enumerate(order):
        covers = _covers(corridors, kept, index, order[:place])
        kept[index] = _remainder(corridors[index], covers)
        nodes += _links(corridors, kept, index, covers)
    for index in order:
        _cut_margins(corridors, kept, order, index)
    for index in order:
        nodes += [_crossing(index, junction) for junction in corridors[index].road.junctions if _within(kept[index], junction)]
    return Layout(corridors, order, kept, _merged(nodes))


def _stretched(corridors: List[Corridor]) -> List[Corridor]:
    """The corridors with their lanes as wide as other routes on them show, which drive in the middles of real lanes."""
    order = sorted(range(len(corridors)), key=lambda k: _importance(corridors[k]))
    factors: Dict[int, float] = {}
    for place, index in enumerate(order):
        corridor = corridors[index]
        s = np.arange(0.0, corridor.road.length + 0.5, 1.0)
        points = corridor.road.pose(s, np.zeros(len(s)))
        for host in order[:place]:
            if host not in factors and near(corridor.bounds, corridors[host].bounds):
                factor = _factor(corridors[host], *points)
                if factor:
                    factors[host] = factor
    return [replace(corridor, stretch=factors.get(corridor.index, 1.0)) for corridor in corridors]


def _factor(host: Corridor, *points: Any) -> float | None:
    """How much wider the lanes of a host would have to be for one of them, not its own, to lie under these points."""
    s, d, way, level = beside(host, *points)
    here = level & (np.abs(way) > SAME_WAY) & inside(s, [(0.0, host.road.length)])
    for lane in host.driving.values():
        if lane.offset == 0.0:
            continue
        ratio = d / lane.offset
        fits = here & (way * lane.direction > 0) & (ratio > 1.0 / STRETCH) & (ratio < STRETCH)
        if fits.sum() > SHORTEST:
            return float(np.median(ratio[fits]))
    return None


def _importance(corridor: Corridor) -> Tuple[int, int, float, int]:
    road = corridor.road
    return -len(road.junctions), -len(corridor.driving), -road.length, corridor.index


def near(a: Box, b: Box, reach: float = 40.0) -> bool:
    """Whether what is in two boxes may touch."""
    return all(mine[0] - reach < other[1] and other[0] - reach < mine[1] for mine, other in zip(a, b))


def _within(spans: List[Span], junction: Junction) -> bool:
    middle = (junction.enter + junction.leave) / 2.0
    return any(a <= middle <= b for a, b in spans)


def _crossing(index: int, junction: Junction) -> Node:
    return Node({index: (junction.enter, junction.leave)}, [(index, junction)])


def beside(corridor: Corridor, x: Any, y: Any, z: Any, yaw: Any) -> Tuple[Any, Any, Any, Any]:
    """s and d of points on a corridor, the cosine between the headings, and whether they are on its storey."""
    s, d = corridor.road.project(x, y)
    _, _, height, heading = corridor.road.pose(s, np.zeros(len(s)))
    return s, d, np.cos(yaw - heading), np.abs(z - height) < STOREY


def inside(s: Any, spans: Sequence[Span]) -> Any:
    """Whether each s is in one of the spans."""
    found = np.zeros(len(s), bool)
    for a, b in spans:
        found |= (s >= a) & (s <= b)
    return found


def _covers(corridors: Sequence[Corridor], kept: Dict[int, List[Span]], index: int, hosts: Sequence[int]) -> List[Cover]:
    """The stretches of a route's own lane that are laid already, in order."""
    corridor = corridors[index]
    s = np.arange(0.0, corridor.road.length + 0.5, 1.0)
    points = corridor.road.pose(s, np.zeros(len(s)))
    whose, over = np.full(len(s), -1), np.full(len(s), -1)
    for host in hosts:
        other = corridors[host]
        if not near(corridor.bounds, other.bounds):
            continue
        at, d, way, level = beside(other, *points)
        core = [(max(a, -RIM), min(b, other.road.length + RIM)) for a, b in kept[host]]
        here = level & (np.abs(way) > SAME_WAY) & inside(at, core) & (whose < 0)
        for direction in (-1, 1):
            lanes = [lane.offset for lane in other.driving.values() if lane.direction == direction]
            if lanes:
                off = np.abs(d[:, None] - np.array(lanes)).min(axis=1)
                ways = here & (way * direction > 0)
                whose[ways & (off < SAME_LANE)] = host
                over[ways & (over < 0) & (d > min(lanes)) & (d < max(lanes))] = host  # between two lanes: the route changes lanes there
    return _runs(s, whose, over)


def _runs(s: Any, whose: Any, over: Any) -> List[Cover]:
    """Runs of equal hosts, without short ones; gaps within one host are closed where they are short or a change of its lanes."""
    found: List[Cover] = []
    edges = [0, *(np.flatnonzero(np.diff(whose)) + 1).tolist(), len(whose)]
    for a, b in zip(edges, edges[1:]):
        host, span = int(whose[a]), (float(s[a]), float(s[b - 1]))
        if host < 0:
            continue
        gap = int(found[-1].span[1]) + 1 if found else a
        if found and found[-1].host == host and (a - gap < SHORTEST or bool((over[gap:a] == host).all())):
            found[-1] = Cover((found[-1].span[0], span[1]), host)
        else:
            found.append(Cover(span, host))
    first, last = float(s[0]) + SHORTEST, float(s[-1]) - SHORTEST
    return [cover for cover in found if _long_enough(cover.span, cover.span[0] < first or cover.span[1] > last)]


def _long_enough(span: Span, at_end: bool) -> bool:
    return span[1] - span[0] >= (SHORTEST_END if at_end else SHORTEST_COVER)


def _remainder(corridor: Corridor, covers: Sequence[Cover]) -> List[Span]:
    """What is left of a corridor. A remainder too short to matter goes to the cover beside it."""
    start, end = corridor.ends
    spans: List[Span] = []
    at = start
    for cover in covers:
        first = cover.span[0] if cover.span[0] > SHORTEST else start
        if first - at >= SHORTEST:
            spans.append((at, first))
        at = cover.span[1]
    if not covers or at < corridor.road.length - SHORTEST:
        spans.append((at, end))
    return spans


def _links(corridors: Sequence[Corridor], kept: Dict[int, List[Span]], index: int, covers: Sequence[Cover]) -> List[Node]:
    """A node wherever a kept stretch begins or ends at a cover."""
    nodes = []
    for cover in covers:
        for at, leaving in ((cover.span[1], True), (cover.span[0], False)):
            if any(abs((a if leaving else b) - at) < 0.1 for a, b in kept[index]):
                nodes.append(_fork(corridors, index, cover.host, at, leaving))
    return nodes


def _fork(corridors: Sequence[Corridor], index: int, host: int, at: float, leaving: bool) -> Node:
    """The node where a corridor leaves its host, or joins it: as long as their lanes are too near to one another."""
    corridor, other = corridors[index], corridors[host]
    onward = 1.0 if leaving else -1.0
    steps = np.arange(CLOSE, LONGEST_FORK, 1.0)
    s = at + onward * steps
    where, d, _, level = beside(other, *corridor.road.pose(s, np.zeros(len(s))))
    offsets = np.array([lane.offset for lane in other.driving.values()])
    clear = (np.abs(d[:, None] - offsets).min(axis=1) > APART + 0.5) | ~level | ~inside(where, [(-RIM, other.road.length + RIM)])
    far = float(steps[int(np.argmax(clear))]) if clear.any() else LONGEST_FORK
    back, front = _inward(corridor, at, onward), at + onward * far
    place = corridor.place(back)
    direction = 1 if float(beside(other, *(np.array([part]) for part in place))[2][0]) > 0 else -1
    a = float(other.road.project(np.array([place[0]]), np.array([place[1]]))[0][0])
    reach = min(far + abs(at - back), LONGEST_FORK)
    b = a + onward * direction * reach
    node = Node({index: (min(back, front), max(back, front)), host: (min(a, b), max(a, b))})
    node.links.append(Link(index, host, leaving, direction))
    return node


def _inward(corridor: Corridor, at: float, onward: float) -> float:
    """The s where a fork begins, some metres within the shared stretch; a junction's edge if one is there, as waypoints lie before it."""
    inward = at - onward * 4.0
    for junction in corridor.road.junctions:
        edge = junction.enter if onward > 0 else junction.leave
        if junction.enter - 4.0 < at < junction.leave + 4.0:
            return onward * min(onward * at, max(onward * inward, onward * edge))
    return inward


def _cut_margins(corridors: Sequence[Corridor], kept: Dict[int, List[Span]], order: Sequence[int], index: int) -> None:
    """End the road before the start and beyond the goal where it would come upon another corridor."""
    corridor = corridors[index]
    spans = kept[index]
    length = corridor.road.length
    for number, (a, b) in enumerate(spans):
        low, high = a, b
        if a < -RIM:
            steps = np.arange(RIM, -a + 0.1, 2.0)
            low = -_free(steps, _margin_taken(corridors, kept, order, index, -steps))
        if b > length + RIM:
            steps = np.arange(RIM, b - length + 0.1, 2.0)
            high = length + _free(steps, _margin_taken(corridors, kept, order, index, length + steps))
        spans[number] = (low, high)


def _free(steps: Any, taken: Any) -> float:
    """How many metres of a margin are free, with room to turn round before an obstacle; ``steps`` are metres from the route's end."""
    if not taken.any():
        return float(steps[-1])
    return max(float(steps[int(np.argmax(taken))]) - ROOM, RIM)


def _margin_taken(corridors: Sequence[Corridor], kept: Dict[int, List[Span]], order: Sequence[int], index: int, s: Any) -> Any:
    """Whether a margin comes upon another corridor at each s."""
    corridor = corridors[index]
    taken = np.zeros(len(s), bool)
    for other in order:
        if other != index and near(corridor.bounds, corridors[other].bounds):
            full = order.index(other) < order.index(index)
            for lane in corridor.driving.values():
                points = corridor.road.pose(s, np.full(len(s), lane.offset))
                taken |= _upon(corridors[other], kept[other], points, full, set(corridors[other].driving))
    return taken


def _upon(other: Corridor, spans: List[Span], points: Tuple[Any, ...], full: bool, lanes: Set[int]) -> Any:
    """Whether points are on one of these lanes of a corridor; ``full``: its margins count too."""
    s, d, _, _ = beside(other, *points)  # on any storey: whoever drives on a bridge must not fall on the road below
    length = other.road.length
    core = spans if full else [(max(a, -RIM), min(b, length + RIM)) for a, b in spans]
    offsets = np.array([other.driving[id_].offset for id_ in lanes])
    return inside(s, core) & (np.abs(d[:, None] - offsets).min(axis=1) < APART)


def _merged(nodes: List[Node]) -> List[Node]:
    """Nodes that touch on some corridor, or whose junctions are at one place, become one."""
    merged: List[Node] = []
    for node in nodes:
        while True:
            other = next((each for each in merged if each is not node and _touch(each, node)), None)
            if other is None:
                break
            merged.remove(other)
            node.take(other)
        merged.append(node)
    return merged


def _touch(a: Node, b: Node) -> bool:
    for index in set(a.spans) & set(b.spans):
        if a.spans[index][0] - CLOSE < b.spans[index][1] and b.spans[index][0] - CLOSE < a.spans[index][1]:
            return True
    return any(math.hypot(p.x - q.x, p.y - q.y) < ONE_PLACE for _, p in a.junctions for _, q in b.junctions)
