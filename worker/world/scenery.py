"""What stands beside the road and never moves: houses and street lamps in town, trees and poles in the country, rails on a motorway.

Drawn at random from the seed, once; nothing stands on a road, a sidewalk or a crossing road.
"""

from __future__ import annotations

import math
import random
from typing import Any, List, NamedTuple, Sequence, Tuple

import cv2
import numpy as np

from .air import Air
from .layout import ARM, Patches, Span, Spine, edges, junction_arms
from .road import Road
from .shapes import COLORS, FAR, FULL, Builder, Shape
from .shapes import Material as M
from .solids import HALO, Faces, Things, put

RGB = Tuple[int, int, int]
WALLS: Tuple[RGB, ...] = (
    (176, 152, 128),
    (150, 92, 74),
    (188, 182, 170),
    (132, 138, 146),
    (204, 188, 150),
    (120, 104, 94),
    (164, 170, 176),
)
LEAVES: Tuple[RGB, ...] = ((64, 96, 44), (82, 110, 50), (54, 82, 48), (104, 112, 52), (72, 92, 60))
STEP = 4.0  # metres between the places at which something may stand


class Item(NamedTuple):
    """One thing beside the road: its shape, place, half length, half width and height in metres, and its colour."""

    shape: Shape
    x: float
    y: float
    yaw: float
    size: Tuple[float, float, float]
    color: RGB


class Free:
    """Where nothing is built: a map of a metre to the pixel of all that is paved."""

    def __init__(self, patches: Patches) -> None:
        points = np.concatenate(patches.polygons)
        self._corner = points.min(axis=0) - 45.0
        size = np.ceil(points.max(axis=0) + 45.0 - self._corner).astype(int)
        self._map = np.zeros((int(size[1]), int(size[0])), np.uint8)
        for polygon, width in zip(patches.polygons, patches.widths):
            if not width:
                cv2.fillPoly(self._map, [np.round(polygon - self._corner).astype(np.int32)], 1)

    def take(self, circles: Sequence[Tuple[float, float, float]]) -> bool:
        """Whether all circles (x, y, radius) are free; if so they are taken."""
        parts = []
        for x, y, radius in circles:
            column, row, r = round(x - self._corner[0]), round(y - self._corner[1]), math.ceil(radius)
            part = self._map[max(0, row - r) : max(0, row + r + 1), max(0, column - r) : max(0, column + r + 1)]
            if not part.size or part.any():
                return False
            parts.append(part)
        for part in parts:
            part[:] = 1
        return True


def stand(road: Road, patches: Patches, air: Air, seed: int) -> Faces:
    """The faces of all scenery of a road and of the roads that cross it."""
    planter = Planter(road.town_kind, Free(patches), random.Random(f"scenery/{seed}"), air.night > 0.4)
    main = Spine(road.s, road.x, road.y, road.yaw)
    lanes = [(lane.offset - lane.width / 2, lane.offset + lane.width / 2) for lane in road.lanes]
    if road.town_kind == "highway":
        planter.rails(main, edges(road))
    planter.along(Roadside(main, min(lane[0] for lane in lanes), max(lane[1] for lane in lanes)), (road.s[0], road.s[-1]))
    for junction in road.junctions:
        for arm in junction_arms(road, junction):
            planter.along(Roadside(arm.line, -arm.half_width - 2.5, arm.half_width + 2.5), (arm.start + 8.0, 0.8 * ARM))
    return put(_things(planter.items, air), air)


def _things(items: List[Item], air: Air) -> Things:
    palette = np.repeat(COLORS[None], len(items), axis=0)
    palette[:, M.BODY] = [item.color for item in items]
    palette[:, M.SHADE] = palette[:, M.BODY] * 0.78
    glow = np.zeros(palette.shape[:2], np.uint8)
    if air.night > 0.4:
        palette[:, M.HEAD] = COLORS[M.LIT]
        glow[:, M.LIT], glow[:, M.HEAD] = 1, HALO
    return Things(
        [item.shape for item in items],
        np.array([item.x for item in items]),
        np.array([item.y for item in items]),
        np.array([item.yaw for item in items]),
        np.array([item.size for item in items]),
        palette,
        glow,
    )


class Roadside(NamedTuple):
    """A road to plant beside: its line, and the d of its left and right edge."""

    line: Spine
    left: float
    right: float

    def at(self, s: float, side: int, out: float) -> Tuple[float, float, float]:
        """x, y and the road's yaw at ``out`` metres beyond the edge on one side (-1 left, 1 right)."""
        x, y = self.line.points(s, self.right + out if side > 0 else self.left - out).tolist()
        return x, y, float(np.interp(s, self.line.s, self.line.yaw))


class Planter:
    """Chooses what stands where; ``items`` is what it has chosen so far."""

    def __init__(self, kind: str, free: Free, chance: random.Random, night: bool) -> None:
        self.items: List[Item] = []
        self._kind, self._free, self._chance, self._night = kind, free, chance, night

    def along(self, way: Roadside, span: Span) -> None:
        """Plant both sides of a stretch of road."""
        for s in np.arange(span[0], span[1], STEP).tolist():
            for side in (-1, 1):
                self._beside(way, s, side)

    def rails(self, line: Spine, way: Span) -> None:
        """Guard rails along both edges, in pieces."""
        long = 2 * STEP
        for s in np.arange(line.s[0] + STEP, line.s[-1] - STEP, long).tolist():
            for d in (way[0] - 0.6, way[1] + 0.6):
                x, y = line.points(s, d).tolist()
                yaw = float(np.interp(s, line.s, line.yaw))
                self.items.append(Item(_RAIL, x, y, yaw, (long / 2 + 0.1, 0.12, 0.8), (168, 172, 176)))

    def _beside(self, way: Roadside, s: float, side: int) -> None:
        chance, place = self._chance.random(), round(s / STEP)
        if self._kind == "urban":
            if place % 8 == (0 if side > 0 else 4):
                x, y, yaw = way.at(s, side, -0.5)
                self.items.append(Item(_LAMP, x, y, yaw - side * math.pi / 2, (1.9, 0.16, 7.5), (96, 100, 104)))
            if chance < 0.9:
                self._house(way, s, side)
            else:
                self._tree(way.at(s, side, 1.2), 5.5)
            return
        if chance < (0.34 if self._kind == "rural" else 0.16):
            self._tree(way.at(s, side, self._chance.uniform(3.5, 9.0)), 8.0)
        elif chance < 0.6:
            self._tree(way.at(s, side, self._chance.uniform(9.0, 36.0)), 10.0)
        x, y, yaw = way.at(s, side, 3.2)
        if self._kind == "rural" and side > 0 and place % 10 == 0 and self._free.take([(x, y, 0.4)]):
            self.items.append(Item(_POLE, x, y, yaw, (0.14, 0.9, 8.0), (104, 84, 64)))

    def _tree(self, place: Tuple[float, float, float], about: float) -> None:
        tall = about * self._chance.uniform(0.7, 1.4)
        wide = tall * self._chance.uniform(0.26, 0.4)
        if self._free.take([(place[0], place[1], 1.2)]):
            shape, turn = self._chance.choice((_TREE, _TREE, _FIR)), self._chance.uniform(0.0, 6.3)
            self.items.append(Item(shape, place[0], place[1], turn, (wide, wide, tall), self._chance.choice(LEAVES)))

    def _house(self, way: Roadside, s: float, side: int) -> None:
        """A house that looks at the road, where there is room for one."""
        half, depth = self._chance.uniform(5.5, 10.0), self._chance.uniform(4.0, 5.5)
        x, y, yaw = way.at(s, side, self._chance.uniform(1.5, 3.0) + depth)
        reach = half - depth
        circles = [(x + k * reach * math.cos(yaw), y + k * reach * math.sin(yaw), depth + 0.4) for k in (-1, 0, 1)]
        if self._free.take(circles):
            tall = self._chance.choice((7.0, 10.0, 13.0, 16.0, 22.0)) * self._chance.uniform(0.9, 1.1)
            shape = house((half, depth, tall), self._chance, self._night)
            self.items.append(Item(shape, x, y, yaw, (half, depth, tall), self._chance.choice(WALLS)))


def house(size: Tuple[float, float, float], chance: random.Random, night: bool) -> Shape:
    """A house with rows of windows on all sides, some of them lit at night; sizes are half lengths and a height in metres."""
    length, depth, tall = size
    b = Builder()
    b.solid = True
    b.box(FULL, (0.0, 1.0), M.BODY)
    floors = max(2, round(tall / 3.1))
    b.box((-1.03, 1.03, -1.04, 1.04), (1.0, 1.0 + 0.4 / tall), M.SHADE, 140.0)
    for floor in range(floors):
        z = ((floor + 0.32) / floors, (floor + 0.8) / floors)
        for sign in (-1.006, 1.006):
            b.side(sign, (-0.9, 0.9), z, M.GLASS, 110.0)
            b.front(sign, (-0.86, 0.86), z, M.GLASS, 110.0)
    for sign in (-1.01, 1.01):
        for across, half in ((False, length), (True, depth)):
            add, bays = (b.front if across else b.side), max(2, round(half / 1.4))
            for bay in range(1, bays):
                at = -0.9 + 1.8 * bay / bays
                add(sign, (at - 0.32 / bays, at + 0.32 / bays), (0.0, 1.0), M.BODY, 30.0)
            for floor in range(floors):
                bay = chance.randrange(bays)
                at, low = -0.9 + 1.8 * (bay + 0.5) / bays, (floor + 0.32) / floors
                if chance.random() < 0.55 and night:  # by day the draw is made all the same: a town has one look
                    add(sign * 1.003, (at - 0.58 / bays, at + 0.58 / bays), (low, low + 0.48 / floors), M.LIT, 75.0)
    return b.shape()


def _tree() -> Shape:
    """A broad crown on a trunk; from afar a simpler one."""
    b = Builder()
    b.box((-0.09, 0.09, -0.09, 0.09), (0.0, 0.4), M.SOIL, 90.0)
    rings = ((0.28, 0.5), (0.52, 1.0), (0.8, 0.8), (1.0, 0.12))
    _crown(b, rings, 5, (0.0, 45.0))
    _crown(b, ((0.28, 0.5), (0.58, 0.95), (1.0, 0.3)), 4, (45.0, FAR))
    return b.shape()


def _fir() -> Shape:
    b = Builder()
    b.box((-0.09, 0.09, -0.09, 0.09), (0.0, 0.2), M.SOIL, 90.0)
    for low, high, wide in ((0.14, 0.58, 0.8), (0.4, 0.8, 0.6), (0.64, 1.0, 0.42)):
        _crown(b, ((low, wide), (high, 0.06)), 5, (0.0, 45.0))
    _crown(b, ((0.14, 0.75), (1.0, 0.03)), 4, (45.0, FAR))
    return b.shape()


def _crown(b: Builder, rings: Tuple[Tuple[float, float], ...], sides: int, sight: Span) -> None:
    """Stacked rings (height, radius) of a crown; each ring is turned a little against the one below."""
    angles = [2 * math.pi * k / sides for k in range(sides + 1)]
    for (z0, r0), (z1, r1) in zip(rings[:-1], rings[1:]):
        for a, c in zip(angles[:-1], angles[1:]):
            low = [(r0 * math.cos(t), r0 * math.sin(t), z0) for t in (a, c)]
            high = [(r1 * math.cos(t), r1 * math.sin(t), z1) for t in (c, a)]
            b.face(low + high, M.BODY, sight[1], sight[0])


def _lamp() -> Shape:
    """A street lamp whose arm reaches along +x."""
    b = Builder()
    b.box((-0.05, 0.0, -0.5, 0.5), (0.0, 1.0), M.BODY, 110.0)
    b.box((-0.05, 1.0, -0.4, 0.4), (0.985, 1.0), M.BODY, 70.0)
    b.box((0.7, 1.0, -1.0, 1.0), (0.965, 0.985), M.BODY, 90.0)
    under = [(0.7, -1.0, 0.965), (0.7, 1.0, 0.965), (1.0, 1.0, 0.965), (1.0, -1.0, 0.965)]
    b.face(under, M.HEAD, 160.0)
    return b.shape()


def _pole() -> Shape:
    b = Builder()
    b.box((-1, 1, -0.15, 0.15), (0.0, 1.0), M.BODY, 160.0)
    b.box((-0.6, 0.6, -1, 1), (0.9, 0.92), M.BODY, 90.0)
    return b.shape()


def _rail() -> Shape:
    b = Builder()
    b.box((-0.06, 0.06, -0.6, 0.6), (0.0, 0.7), M.METAL, 50.0)
    b.box((-1, 1, -1, 1), (0.5, 1.0), M.BODY, 160.0)
    for y in (-1.05, 1.05):
        b.side(y, (-1, 1), (0.68, 0.8), M.SHADE, 30.0)
    return b.shape()


_TREE, _FIR, _LAMP, _POLE, _RAIL = _tree(), _fir(), _lamp(), _pole(), _rail()


def shadows(faces: Faces, air: Air) -> List[Any]:
    """The outlines [n, 2] on the ground of the scenery's shadows; none where the sun is too weak to cast any."""
    if float(air.sun.max()) < 0.12:
        return []
    reach = -air.sun_direction[:2] / max(0.12, float(air.sun_direction[2]))
    outlines = []
    for first, count in zip(faces.first.tolist(), faces.count.tolist()):
        points = faces.corners[first : first + count].reshape(-1, 3)
        fallen = (points[:, :2] + reach * np.minimum(points[:, 2:3], 30.0)).astype(np.float32)
        outlines.append(cv2.convexHull(fallen)[:, 0].astype(np.float64))
    return outlines
