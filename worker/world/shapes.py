"""The solid shapes of everything that stands on the ground, as faces in a unit box: x and y from -1 to 1, z from 0 to 1.

A face is four corners, a material, and the range of distances in which it is drawn. A shape's faces are listed from the inside out: drawn
in that order, those that look at the camera show the shape rightly. Materials take their colour from the actor or from a table.
"""

from __future__ import annotations

import enum
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from .actors import ActorKind

OCTAGON = (
    ((-1.0, -0.414), (1.0, -0.414), (1.0, 0.414), (-1.0, 0.414)),
    ((-1.0, 0.4), (1.0, 0.4), (0.414, 1.0), (-0.414, 1.0)),
    ((-0.414, -1.0), (0.414, -1.0), (1.0, -0.4), (-1.0, -0.4)),
)
"""A round thing as three plates that overlap a little: (right, up) in its radius."""

Corner = Tuple[float, float, float]
Rect = Tuple[float, float, float, float]  # x from, x to, y from, y to
FAR = 1e9


class Material(enum.IntEnum):
    """What a face is made of; BODY and SHADE are the actor's own colour, the lamps depend on its lights."""

    BODY = 0
    SHADE = 1  # the actor's colour, darker
    GLASS = 2
    DARK = 3
    METAL = 4
    WHITE = 5
    ORANGE = 6
    RED = 7
    SKIN = 8
    CLOTH = 9
    CARGO = 10
    SOIL = 11
    HEAD = 12
    TAIL = 13
    LEFT = 14
    RIGHT = 15
    BLUE_LAMP = 16
    RED_LAMP = 17
    REVERSE = 18
    HAIR = 19
    LIT = 20  # a window at night


COLORS = np.array(
    [
        (0, 0, 0),
        (0, 0, 0),
        (52, 64, 76),
        (30, 30, 33),
        (142, 144, 148),
        (232, 232, 230),
        (240, 104, 24),
        (200, 28, 28),
        (214, 168, 138),
        (46, 52, 74),
        (206, 206, 202),
        (112, 88, 64),
        (205, 208, 205),
        (126, 16, 16),
        (168, 92, 20),
        (168, 92, 20),
        (40, 60, 150),
        (150, 30, 30),
        (190, 190, 190),
        (62, 44, 34),
        (255, 208, 128),
    ],
    np.float64,
)


class Shape(NamedTuple):
    """Columns of one shape's faces: corners [F, 4, 3], material [F] and tests [F, 6], and whether it is as solid as its box.

    The tests are the face's normal, its product with a point of the face, and the nearest and farthest distance at which it is drawn.
    A shape of two parts one before the other has a plane between them at x = ``split``; ``side`` [F] is +1 for the faces before it, -1 for
    those behind and 0 for what lies under both, so that the part that is nearer to the camera can be drawn last.
    """

    corners: Any
    material: Any
    tests: Any
    side: Any
    split: float
    solid: bool


class Builder:
    """Collects faces into a Shape; ``part`` is the side (see Shape) of the faces to come, ``solid`` as in Shape."""

    def __init__(self) -> None:
        self._corners: List[Sequence[Corner]] = []
        self._rest: List[Tuple[int, float, float, int]] = []
        self.split = 0.0
        self.part = 0
        self.solid = False

    def face(self, corners: Sequence[Corner], material: int, farthest: float = FAR, nearest: float = 0.0) -> None:
        """Add one face; seen from outside its corners run so that (second - first) x (last - first) points outwards."""
        self._corners.append(corners)
        self._rest.append((int(material), nearest, farthest, self.part))

    def prism(
        self,
        bottom: Rect,
        top: Rect,
        z: Tuple[float, float],
        material: int,
        lid: int | None = None,
        *,
        farthest: float = FAR,
        nearest: float = 0.0,
        covered: bool = False,
    ) -> None:
        """Add a box whose top may be smaller than its bottom: four sides and, unless something covers it, a lid."""
        low = [(x, y, z[0]) for x, y in _ring(bottom)]
        high = [(x, y, z[1]) for x, y in _ring(top)]
        for a, b in ((0, 1), (1, 2), (2, 3), (3, 0)):
            self.face((low[a], low[b], high[b], high[a]), material, farthest, nearest)
        if not covered:
            self.face(high, material if lid is None else lid, farthest, nearest)

    def box(self, rect: Rect, z: Tuple[float, float], material: int, farthest: float = FAR, nearest: float = 0.0) -> None:
        """Add a plain box."""
        self.prism(rect, rect, z, material, farthest=farthest, nearest=nearest)

    def front(self, x: float, y: Tuple[float, float], z: Tuple[float, float], material: int, farthest: float = FAR) -> None:
        """Add a plate that looks forward (x above 0) or backward (x below 0)."""
        a, b = (y[0], y[1]) if x > 0 else (y[1], y[0])
        self.face(((x, a, z[0]), (x, b, z[0]), (x, b, z[1]), (x, a, z[1])), material, farthest)

    def side(
        self, y: float, x: Tuple[float, float], z: Tuple[float, float], material: int, farthest: float = FAR, *, nearest: float = 0.0
    ) -> None:
        """Add a plate that looks to the right (y above 0) or to the left (y below 0)."""
        a, b = (x[1], x[0]) if y > 0 else (x[0], x[1])
        self.face(((a, y, z[0]), (b, y, z[0]), (b, y, z[1]), (a, y, z[1])), material, farthest, nearest)

    def disc(self, y: float, middle: Tuple[float, float], radius: Tuple[float, float], material: int, farthest: float = FAR) -> None:
        """Add an octagon that looks to the side, as three plates; middle and radius are along x and z."""
        turn = -1.0 if y > 0 else 1.0
        for part in OCTAGON:
            corners = [(middle[0] + turn * a * radius[0], y, middle[1] + up * radius[1]) for a, up in part]
            self.face(corners, material, farthest)

    def wheels(self, places: Sequence[float], half: float, radius: float, farthest: float = 60.0) -> None:
        """Add wheels on both sides, plain plates when far; ``half`` is the radius along x, ``radius`` that along z."""
        near = min(28.0, farthest)
        for y in (-1.012, 1.012):
            for x in places:
                self.disc(y, (x, radius), (half, radius), Material.DARK, near)
                self.side(y, (x - 0.86 * half, x + 0.86 * half), (0.14 * radius, 1.86 * radius), Material.DARK, farthest, nearest=near)
                self.disc(y * 1.004, (x, radius), (half * 0.55, radius * 0.55), Material.METAL, 16.0)

    def shape(self) -> Shape:
        """The faces so far as arrays."""
        rest, corners = np.array(self._rest, np.float64), np.array(self._corners, np.float64)
        normal = _normals(corners)
        level = np.einsum("ij,ij->i", normal, corners[:, 0])
        tests = np.concatenate([normal, level[:, None], rest[:, 1:3]], axis=1)
        return Shape(corners, rest[:, 0].astype(np.int64), tests, rest[:, 3], self.split, self.solid)


def _normals(corners: Any) -> Any:
    """Vectors [F, 3] that point out of faces [F, 4, 3]."""
    a, b = corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0]
    across = np.empty_like(a)
    for axis, (i, j) in enumerate(((1, 2), (2, 0), (0, 1))):
        across[:, axis] = a[:, i] * b[:, j] - a[:, j] * b[:, i]
    return across


def _ring(rect: Rect) -> Tuple[Tuple[float, float], ...]:
    x0, x1, y0, y1 = rect
    return (x0, y0), (x1, y0), (x1, y1), (x0, y1)


M = Material
FULL: Rect = (-1.0, 1.0, -1.0, 1.0)


def _lamps(b: Builder, z: Tuple[float, float], inner: float = 0.52) -> None:
    """Head, tail, brake and indicator lamps, on both ends."""
    apart = 1 if b.split else 0
    middle = (z[0] + z[1]) / 2
    for sign, turn in ((-1, M.LEFT), (1, M.RIGHT)):
        a, c = sorted((sign * inner, sign * 0.92))
        b.part = apart
        b.front(1.012, (a, c), z, M.HEAD, 120.0)
        b.part = -apart
        b.front(-1.012, (a, c), z, M.TAIL, 160.0)
        a, c = sorted((sign * 0.76, sign * 0.98))
        b.part = apart
        b.front(1.016, (a, c), (z[0] - 0.05, middle - 0.03), turn, 70.0)
        b.part = -apart
        b.front(-1.016, (a, c), (z[0], middle), turn, 90.0)
    b.front(-1.014, (-0.44, -0.3), z, M.REVERSE, 25.0)


def _car() -> Shape:
    b = Builder()
    b.prism((-0.95, 0.95, -0.9, 0.9), (-0.95, 0.95, -0.9, 0.9), (0.07, 0.3), M.DARK, covered=True)
    b.prism(FULL, (-0.985, 0.97, -0.95, 0.95), (0.17, 0.56), M.BODY)
    b.prism((-0.84, 0.46, -0.93, 0.93), (-0.62, 0.14, -0.72, 0.72), (0.56, 0.97), M.GLASS, covered=True)
    b.prism((-0.62, 0.14, -0.72, 0.72), (-0.58, 0.1, -0.68, 0.68), (0.97, 1.0), M.BODY)
    for y in (-1, 1):
        b.face(_pillar(y), M.BODY, 30.0)
    b.wheels((-0.6, 0.62), 0.15, 0.22)
    b.front(1.01, (-0.42, 0.42), (0.24, 0.38), M.DARK, 40.0)
    b.front(-1.01, (-0.2, 0.2), (0.3, 0.38), M.WHITE, 25.0)
    _lamps(b, (0.38, 0.5))
    return b.shape()


def _pillar(y: int) -> List[Corner]:
    """The post between a car's side windows."""
    low, high = [(-0.2, 0.94 * y, 0.56), (-0.12, 0.94 * y, 0.56)], [(-0.15, 0.735 * y, 0.97), (-0.21, 0.735 * y, 0.97)]
    corners = low + high
    return corners if y < 0 else [corners[1], corners[0], corners[3], corners[2]]


def _van(emergency: bool = False) -> Shape:
    b = Builder()
    b.box((-0.96, 0.94, -0.9, 0.9), (0.05, 0.2), M.DARK)
    b.split, b.part = 0.4, 1
    b.prism((0.4, 1.0, -1, 1), (0.4, 0.96, -0.97, 0.97), (0.12, 0.5), M.BODY)
    b.prism((0.4, 0.94, -0.98, 0.98), (0.4, 0.62, -0.9, 0.9), (0.5, 0.95), M.GLASS, M.BODY)
    b.part = -1
    b.prism((-1.0, 0.4, -1, 1), (-1.0, 0.4, -0.94, 0.94), (0.12, 0.97), M.WHITE if emergency else M.BODY)
    for y in (-1.006, 1.006):
        if emergency:
            b.side(y, (-0.98, 0.4), (0.38, 0.5), M.RED)
            b.side(y, (-0.55, -0.15), (0.62, 0.82), M.BLUE_LAMP, 60.0)
        else:
            b.side(y, (-0.9, 0.0), (0.55, 0.84), M.SHADE, 60.0)
        b.side(y, (0.05, 0.38), (0.52, 0.84), M.GLASS, 80.0)
    b.front(-1.006, (-0.8, 0.8), (0.56, 0.86), M.GLASS, 80.0)
    b.wheels((-0.62,), 0.13, 0.16)
    b.front(-1.012, (-0.2, 0.2), (0.2, 0.27), M.WHITE, 25.0)
    b.part = 1
    b.wheels((0.66,), 0.13, 0.16)
    b.front(1.01, (-0.5, 0.5), (0.2, 0.3), M.DARK, 40.0)
    _lamps(b, (0.3, 0.42), 0.6)
    if emergency:
        b.part = -1
        b.box((0.12, 0.32, -0.8, -0.05), (0.96, 1.05), M.BLUE_LAMP)
        b.box((0.12, 0.32, 0.05, 0.8), (0.96, 1.05), M.RED_LAMP)
    return b.shape()


def _truck() -> Shape:
    b = Builder()
    b.box((-0.97, 0.97, -0.85, 0.85), (0.06, 0.2), M.DARK)
    b.split, b.part = 0.59, 1
    b.prism((0.62, 1.0, -0.97, 0.97), (0.62, 0.95, -0.92, 0.92), (0.1, 0.82), M.BODY)
    b.front(1.004, (-0.86, 0.86), (0.46, 0.72), M.GLASS)
    b.front(1.01, (-0.6, 0.6), (0.2, 0.36), M.DARK, 50.0)
    for y in (-1.004, 1.004):
        b.side(y * 0.97, (0.72, 0.9), (0.46, 0.72), M.GLASS, 90.0)
    b.wheels((0.76,), 0.075, 0.13, 80.0)
    b.part = -1
    b.box((-1.0, 0.56, -1.0, 1.0), (0.2, 1.0), M.CARGO)
    for y in (-1.004, 1.004):
        b.side(y, (-0.98, 0.54), (0.26, 0.33), M.BODY, 90.0)
        for x in (-0.62, -0.24, 0.16):
            b.side(y, (x, x + 0.014), (0.34, 0.98), M.METAL, 35.0)
    b.front(-1.004, (-0.01, 0.01), (0.24, 0.96), M.DARK, 60.0)
    b.wheels((-0.8, -0.58), 0.075, 0.13, 80.0)
    _lamps(b, (0.2, 0.28), 0.6)
    return b.shape()


def _bicycle() -> Shape:
    b = Builder()
    for y in (-0.12, 0.12):
        for x in (-0.62, 0.62):
            b.disc(y, (x, 0.19), (0.34, 0.19), M.DARK)
            b.disc(y * 1.1, (x, 0.19), (0.27, 0.15), M.METAL, 25.0)
        b.side(y, (-0.5, 0.55), (0.3, 0.36), M.RED)
    b.box((0.48, 0.54, -0.7, 0.7), (0.5, 0.54), M.DARK, 40.0)
    b.prism((-0.3, 0.1, -0.5, -0.2), (-0.34, -0.1, -0.5, -0.2), (0.18, 0.55), M.CLOTH)
    b.prism((-0.1, 0.25, 0.2, 0.5), (-0.34, -0.1, 0.2, 0.5), (0.24, 0.55), M.CLOTH)
    b.prism((-0.38, -0.06, -0.6, 0.6), (-0.1, 0.22, -0.7, 0.7), (0.52, 0.82), M.BODY)
    b.prism((0.0, 0.44, -0.7, -0.5), (0.3, 0.5, -0.7, -0.5), (0.55, 0.7), M.BODY, farthest=25.0)
    b.box((-0.02, 0.22, -0.28, 0.28), (0.84, 0.96), M.SKIN)
    b.prism((-0.05, 0.23, -0.32, 0.32), (0.0, 0.18, -0.2, 0.2), (0.93, 1.0), M.WHITE)
    b.front(-0.97, (-0.2, 0.2), (0.34, 0.4), M.TAIL, 60.0)
    return b.shape()


def walker(stride: float) -> Shape:
    """A walking person; ``stride`` from -1 to 1 is how far the legs are apart, left leg ahead when positive."""
    b = Builder()
    for y, reach in ((-0.3, stride), (0.3, -stride)):
        x = 0.8 * reach
        b.prism((x - 0.25, x + 0.35, y - 0.22, y + 0.22), (-0.28, 0.28, y - 0.26, y + 0.26), (0.0, 0.48), M.CLOTH)
        hand = -0.55 * reach
        arm = 0.88 if y > 0 else -0.88
        b.prism(
            (hand - 0.15, hand + 0.2, arm - 0.12, arm + 0.12),
            (-0.2, 0.2, arm * 0.92 - 0.12, arm * 0.92 + 0.12),
            (0.44, 0.8),
            M.SHADE,
            farthest=40.0,
        )
    b.prism((-0.38, 0.38, -0.62, 0.62), (-0.42, 0.42, -0.8, 0.8), (0.44, 0.82), M.BODY)
    b.box((-0.14, 0.14, -0.2, 0.2), (0.82, 0.86), M.SKIN, 30.0)
    b.box((-0.34, 0.36, -0.38, 0.38), (0.86, 0.97), M.SKIN)
    b.prism((-0.4, 0.2, -0.42, 0.42), (-0.3, 0.2, -0.3, 0.3), (0.94, 1.0), M.HAIR)
    return b.shape()


def _cone() -> Shape:
    b = Builder()
    b.box(FULL, (0.0, 0.06), M.DARK)
    b.prism((-0.7, 0.7, -0.7, 0.7), (-0.46, 0.46, -0.46, 0.46), (0.06, 0.42), M.ORANGE)
    b.prism((-0.46, 0.46, -0.46, 0.46), (-0.32, 0.32, -0.32, 0.32), (0.42, 0.66), M.WHITE)
    b.prism((-0.32, 0.32, -0.32, 0.32), (-0.12, 0.12, -0.12, 0.12), (0.66, 1.0), M.ORANGE)
    return b.shape()


def _barrier() -> Shape:
    b = Builder()
    b.box((-0.8, 0.8, -0.86, -0.8), (0.0, 0.55), M.METAL)
    b.box((-0.8, 0.8, 0.8, 0.86), (0.0, 0.55), M.METAL)
    b.box((-0.5, 0.5, -1.0, 1.0), (0.5, 1.0), M.WHITE)
    for x in (-0.52, 0.52):
        for y in np.arange(-1.0, 0.9, 0.5):
            corners = [(x, y, 0.5), (x, y + 0.25, 0.5), (x, y + 0.4, 1.0), (x, y + 0.15, 1.0)]
            b.face(corners if x > 0 else [corners[1], corners[0], corners[3], corners[2]], M.RED)
    b.box((-0.2, 0.2, -0.12, 0.12), (1.0, 1.15), M.ORANGE, 60.0)
    return b.shape()


def _debris() -> Shape:
    b = Builder()
    b.prism((-1, 0.6, -0.9, 0.4), (-0.7, 0.2, -0.7, 0.1), (0.0, 0.7), M.SOIL)
    b.prism((-0.2, 1.0, -0.3, 1.0), (0.1, 0.7, 0.0, 0.8), (0.0, 1.0), M.METAL)
    b.box((-0.9, -0.3, 0.4, 0.9), (0.0, 0.35), M.ORANGE)
    return b.shape()


SHAPES: Dict[int, Shape] = {
    ActorKind.CAR: _car(),
    ActorKind.VAN: _van(),
    ActorKind.TRUCK: _truck(),
    ActorKind.EMERGENCY: _van(emergency=True),
    ActorKind.BICYCLE: _bicycle(),
    ActorKind.WALKER: walker(0.0),
    ActorKind.CONE: _cone(),
    ActorKind.BARRIER: _barrier(),
    ActorKind.DEBRIS: _debris(),
}
"""One shape for each ActorKind."""

STRIDES = tuple(walker(stride) for stride in (-0.9, -0.45, 0.0, 0.45, 0.9, 0.45, 0.0, -0.45))
"""A walker's shapes through one double step."""
