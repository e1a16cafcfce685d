"""What is painted on the ground: a road's surfaces, kerbs, lane markings, crossing roads, stop lines and zebras, as flat polygons.

The order of the patches is the order of painting. Colours are what the surface shows in full white light; light is the air's affair.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np

from .lanes import Junction, Lane
from .road import Road

RGB = Tuple[int, int, int]
Span = Tuple[float, float]

ASPHALT: RGB = (88, 88, 91)
WHITE: RGB = (232, 232, 228)
YELLOW: RGB = (232, 178, 42)
KERB: RGB = (186, 183, 176)
SURFACES: Dict[str, RGB] = {
    "driving": ASPHALT,
    "shoulder": (104, 103, 102),
    "parking": (98, 98, 101),
    "bike": (118, 78, 72),
    "sidewalk": (160, 156, 149),
}
ROADWAY = ("driving", "shoulder", "parking", "bike")
ARM = 140.0  # metres of crossing road on each side of a junction
PIECE = 8.0  # metres of strip in one polygon: short enough to be culled by window


@dataclass
class Patches:
    """Polygons float64 [n, 2] in world metres with colour and width; ``width`` 0 is a surface, else a line that fades when far."""

    polygons: List[np.ndarray[Any, Any]] = field(default_factory=list)
    colors: List[RGB] = field(default_factory=list)
    widths: List[float] = field(default_factory=list)

    def add(self, polygon: Any, color: RGB, width: float = 0.0) -> None:
        """Append one polygon."""
        self.polygons.append(polygon)
        self.colors.append(color)
        self.widths.append(width)


@dataclass(frozen=True)
class Spine:
    """A centre line that strips are laid beside: arrays of length M, s rising."""

    s: Any
    x: Any
    y: Any
    yaw: Any

    def points(self, s: Any, d: Any) -> np.ndarray[Any, Any]:
        """World points [..., 2] at s and d metres to the right."""
        yaw = np.interp(s, self.s, self.yaw)
        x, y = np.interp(s, self.s, self.x), np.interp(s, self.s, self.y)
        return np.stack([x - d * np.sin(yaw), y + d * np.cos(yaw)], axis=-1)


@dataclass(frozen=True)
class Arm:
    """A road that leaves a junction, as a line from the junction's middle outwards; ``start`` is where its markings begin."""

    line: Spine
    half_width: float
    start: float


def lay(road: Road) -> Patches:
    """All patches of a road, ready to paint."""
    patches, main = Patches(), Spine(road.s, road.x, road.y, road.yaw)
    arms = [arm for junction in road.junctions for arm in junction_arms(road, junction)]
    ends = (float(road.s[0]), float(road.s[-1]))
    open_road = gaps(ends, [(j.enter, j.leave) for j in road.junctions])
    paved = road.town_kind == "urban"
    for arm in arms:
        verge = SURFACES["sidewalk"] if paved else (122, 112, 88)
        _strip(patches, arm.line, (0.0, ARM), (-arm.half_width - 2.5, arm.half_width + 2.5), verge)
        if paved:
            _strip(patches, arm.line, (0.0, ARM), (-arm.half_width - 0.2, arm.half_width + 0.2), KERB)
    _verges(patches, main, road, ends)
    for arm in arms:
        _strip(patches, arm.line, (0.0, ARM), (-arm.half_width, arm.half_width), ASPHALT)
    for junction in road.junctions:
        patches.add(_disc(junction, 0.8 * (edges(road)[1] - edges(road)[0])), ASPHALT)
    for lane in road.lanes:
        if lane.kind in ROADWAY:
            for span in open_road if lane.kind != "driving" else [ends]:
                _strip(patches, main, span, (lane.offset - lane.width / 2, lane.offset + lane.width / 2), SURFACES[lane.kind])
    for arm in arms:
        _arm_markings(patches, arm)
    for span in open_road:
        _markings(patches, main, road, span)
    for junction in road.junctions:
        _crossing(patches, main, road, junction)
    return patches


def junction_arms(road: Road, junction: Junction) -> List[Arm]:
    """The roads that meet the route at a junction, without those that the route itself takes."""
    left, right = edges(road)
    main_half = (right - left) / 2
    into = float(np.interp(junction.enter, road.s, road.yaw))
    headings = {"right": junction.yaw, "left": junction.yaw + math.pi}
    if junction.turn != "straight":
        headings["straight"] = into
    arms = []
    for name, yaw in headings.items():
        if name == junction.turn:
            continue
        half = junction.half_width if name != "straight" else main_half
        start = (main_half if name != "straight" else junction.half_width) + 3.0
        s = np.arange(0.0, ARM + 1.0, 2.0)
        line = Spine(s, junction.x + s * math.cos(yaw), junction.y + s * math.sin(yaw), np.full(len(s), yaw))
        arms.append(Arm(line, half, start))
    return arms


def _disc(junction: Junction, most: float) -> np.ndarray[Any, Any]:
    """The middle of a junction, which the strips of its roads may leave open where they meet at a slant."""
    turn, radius = np.linspace(0.0, 2 * math.pi, 17)[:-1], min(most, 1.6 * junction.half_width)
    return np.stack([junction.x + radius * np.cos(turn), junction.y + radius * np.sin(turn)], axis=1)


def edges(road: Road) -> Span:
    """The d of the roadway's left and right edge, kerb to kerb."""
    way = [lane for lane in road.lanes if lane.kind in ROADWAY]
    return min(lane.offset - lane.width / 2 for lane in way), max(lane.offset + lane.width / 2 for lane in way)


def gaps(ends: Span, taken: Sequence[Span]) -> List[Span]:
    """What is left of a span when the taken spans are cut out."""
    spans, at = [], ends[0]
    for enter, leave in sorted(taken):
        if enter > at:
            spans.append((at, enter))
        at = max(at, leave)
    if at < ends[1]:
        spans.append((at, ends[1]))
    return spans


def _strip(patches: Patches, line: Spine, span: Span, band: Span, color: RGB, *, width: float = 0.0) -> None:
    """A band beside a line, in pieces that overlap a little so that their smoothed ends leave no seam."""
    count = max(1, math.ceil((span[1] - span[0]) / PIECE))
    bounds = np.linspace(span[0], span[1], count + 1)
    s = bounds[:-1, None] + (np.minimum(bounds[1:] + 0.4, span[1]) - bounds[:-1])[:, None] * np.linspace(0.0, 1.0, 9)
    _bands(patches, line, s, band, color=color, width=width)


def _bands(patches: Patches, line: Spine, s: Any, band: Span, *, color: RGB, width: float) -> None:
    """A polygon for each row of ``s`` [N, m], rising, between the two sides of a band."""
    for polygon in np.concatenate([line.points(s, band[0]), line.points(s, band[1])[:, ::-1]], axis=1):
        patches.add(polygon, color, width)


def _dashes(patches: Patches, line: Spine, span: Span, d: float, *, color: RGB, on: float, period: float) -> None:
    width = 0.15
    starts = np.arange(math.ceil(span[0] / period) * period, span[1] - on, period)
    _bands(patches, line, starts[:, None] + np.array([0.0, on]), (d - width / 2, d + width / 2), color=color, width=width)


def _verges(patches: Patches, main: Spine, road: Road, span: Span) -> None:
    """Sidewalks with their kerbs, or a strip of bare soil where there is no sidewalk; crossing roads are painted over them."""
    left, right = edges(road)
    walks = [lane for lane in road.lanes if lane.kind == "sidewalk"]
    if not walks:
        _strip(patches, main, span, (left - 1.6, right + 1.6), (126, 114, 88))
    for lane in walks:
        _strip(patches, main, span, (lane.offset - lane.width / 2, lane.offset + lane.width / 2), SURFACES["sidewalk"])
    if walks:
        _strip(patches, main, span, (left - 0.22, right + 0.22), KERB)
    _strip(patches, main, span, (left, right), ASPHALT)


def _markings(patches: Patches, main: Spine, road: Road, span: Span) -> None:
    """Lines between the lanes and along the edges of one stretch without junctions."""
    way = [lane for lane in road.lanes if lane.kind in ROADWAY]
    two_way = sum(lane.kind == "driving" for lane in way) > 2
    for a, b in zip(way[:-1], way[1:]):
        d = (a.offset + a.width / 2 + b.offset - b.width / 2) / 2
        if a.kind == b.kind == "driving" and a.direction != b.direction:
            _centre(patches, main, span, d, two_way)
        elif a.kind == b.kind == "driving":
            _dashes(patches, main, span, d, color=WHITE, on=3.0, period=12.0 if road.town_kind == "highway" else 8.0)
        elif "driving" in (a.kind, b.kind):
            color = YELLOW if a.kind != "driving" and b.direction > 0 and road.town_kind == "highway" else WHITE
            _strip(patches, main, span, (d - 0.075, d + 0.075), color, width=0.15)
        if "parking" in (a.kind, b.kind):
            _bays(patches, main, span, a if a.kind == "parking" else b)
    for edge, lane, inward in ((edges(road)[0], way[0], 0.3), (edges(road)[1], way[-1], -0.3)):
        if lane.kind == "driving":
            color = YELLOW if road.town_kind == "highway" and inward > 0 else WHITE
            _strip(patches, main, span, (edge + inward - 0.06, edge + inward + 0.06), color, width=0.12)


def _centre(patches: Patches, line: Spine, span: Span, d: float, double: bool) -> None:
    if double:
        for side in (d - 0.14, d + 0.14):
            _strip(patches, line, span, (side - 0.06, side + 0.06), YELLOW, width=0.12)
    else:
        _dashes(patches, line, span, d, color=YELLOW, on=4.0, period=7.0)


def _bays(patches: Patches, main: Spine, span: Span, lane: Lane) -> None:
    """Cross lines of parking bays, every six metres."""
    for s in np.arange(math.ceil(span[0] / 6.0) * 6.0, span[1] - 0.2, 6.0):
        _strip(patches, main, (s, s + 0.12), (lane.offset - lane.width / 2, lane.offset + lane.width / 2), WHITE, width=0.12)


def _arm_markings(patches: Patches, arm: Arm) -> None:
    """A crossing road's centre line, edges and stop line."""
    span = (arm.start, ARM)
    _centre(patches, arm.line, span, 0.0, arm.half_width > 4.5)
    for d in (-arm.half_width + 0.3, arm.half_width - 0.3):
        _strip(patches, arm.line, span, (d - 0.06, d + 0.06), WHITE, width=0.12)
    _strip(patches, arm.line, (arm.start, arm.start + 0.45), (-arm.half_width + 0.3, -0.2), WHITE, width=0.45)


def _crossing(patches: Patches, main: Spine, road: Road, junction: Junction) -> None:
    """Stop lines and, in town, zebras where the route enters and leaves a junction."""
    for s, direction, inward in ((junction.enter, 1, 1.0), (junction.leave, -1, -1.0)):
        lanes = [lane for lane in road.lanes if lane.kind == "driving" and lane.direction == direction]
        if lanes and junction.control in ("light", "stop", "yield"):
            left = min(lane.offset - lane.width / 2 for lane in lanes) + 0.2
            right = max(lane.offset + lane.width / 2 for lane in lanes) - 0.2
            _strip(patches, main, (min(s, s - 0.45 * inward), max(s, s - 0.45 * inward)), (left, right), WHITE, width=0.45)
        if road.town_kind == "urban" and junction.control in ("light", "stop"):
            _zebra(patches, main, s + 0.7 * inward, s + 3.2 * inward, edges(road))


def _zebra(patches: Patches, main: Spine, s0: float, s1: float, across: Span) -> None:
    ends = np.array([min(s0, s1), max(s0, s1)])
    for d in np.arange(across[0] + 0.5, across[1] - 0.5, 1.0):
        patches.add(np.concatenate([main.points(ends, d), main.points(ends[::-1], d + 0.5)]), WHITE, 0.5)
