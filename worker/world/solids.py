"""Draws solid things into a picture: faces put into place, lit, veiled by haze, and painted from far to near.

All things of a picture go through the same few array operations; only the filling of what is seen at last is a loop.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, List, NamedTuple, Sequence, Tuple

import cv2
import numpy as np

from .air import Air
from .lens import NEAR, Lens
from .shapes import Shape

SHIFT = 3  # fractional bits of pixels
HALO = 2
_LIMIT = 1 << 20  # pixels in fixed-point are kept within this, far outside any picture


class Things(NamedTuple):
    """Things to draw: one shape each, and columns. Places are world metres, ``half`` half lengths and widths and whole heights."""

    shapes: Sequence[Shape]
    x: Any  # [N]
    y: Any
    yaw: Any
    half: Any  # [N, 3]
    palette: Any  # [N, M, 3], RGB 0..255 by material
    glow: Any  # uint8 [N, M]: 1 for a material that shines by itself, 2 for one that also lights up the air around it at night


class Faces(NamedTuple):
    """Faces in the world, columns of length F; ``thing`` is the row in ``places`` and ``ahead`` of what a face belongs to.

    ``places`` are x, y and radius; ``ahead`` is the plane between a thing's two parts (see Shape): its normal's x and y, and its distance.
    """

    corners: Any  # [F, 4, 3]
    normal: Any  # [F, 3], of length one
    color: Any  # [F, 3]
    lit: Any  # [F, 3]: the colour in the light of sun and sky
    glow: Any  # uint8 [F]
    nearest: Any
    farthest: Any
    thing: Any
    side: Any
    places: Any  # [N, 3]
    ahead: Any  # [N, 3]


def put(things: Things, air: Air) -> Faces:
    """The faces of things, in their places in the world and in its light. There must be at least one thing."""
    counts = [len(shape.material) for shape in things.shapes]
    thing = np.repeat(np.arange(len(counts)), counts)
    corners = np.concatenate([shape.corners for shape in things.shapes]) * things.half[thing][:, None, :]
    cos, sin = np.cos(things.yaw)[thing][:, None], np.sin(things.yaw)[thing][:, None]
    x, y = corners[:, :, 0].copy(), corners[:, :, 1]
    corners[:, :, 0] = x * cos - y * sin + things.x[thing][:, None]
    corners[:, :, 1] = x * sin + y * cos + things.y[thing][:, None]
    material = np.concatenate([shape.material for shape in things.shapes])
    normal, color, glow = _normals(corners), things.palette[thing, material], things.glow[thing, material]
    light = air.ambient * (0.84 + 0.2 * normal[:, 2:3]) + air.sun * np.maximum(normal @ air.sun_direction, 0.0)[:, None]
    return Faces(
        corners,
        normal,
        color,
        np.where(glow[:, None] > 0, color, color * light),
        glow,
        np.concatenate([shape.nearest for shape in things.shapes]),
        np.concatenate([shape.farthest for shape in things.shapes]),
        thing,
        np.concatenate([shape.side for shape in things.shapes]),
        np.stack([things.x, things.y, np.hypot(things.half[:, 0], things.half[:, 1]) + 0.2 * things.half[:, 2]], axis=1),
        np.stack([np.cos(things.yaw), np.sin(things.yaw), _split(things)], axis=1),
    )


def _normals(corners: Any) -> Any:
    """Unit vectors [F, 3] that point out of the faces."""
    a, b = corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0]
    across = np.empty_like(a)
    for axis, (i, j) in enumerate(((1, 2), (2, 0), (0, 1))):
        across[:, axis] = a[:, i] * b[:, j] - a[:, j] * b[:, i]
    return across / np.maximum(np.sqrt((across * across).sum(axis=1)), 1e-12)[:, None]


def _split(things: Things) -> Any:
    """How far along each thing's heading, from the world's origin, the plane between its two parts lies."""
    splits = np.array([shape.split for shape in things.shapes]) * things.half[:, 0]
    return splits + things.x * np.cos(things.yaw) + things.y * np.sin(things.yaw)


class Sight(NamedTuple):
    """Where one picture is taken from: a lens on the ego at a place of the world, in some air."""

    glass: Lens
    air: Air
    x: float
    y: float
    yaw: float

    def local(self, points: Any) -> Any:
        """World points [..., 3] (heights above the ground) in the vehicle's frame."""
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        return (points - (self.x, self.y, 0.0)) @ turn

    def camera(self) -> Any:
        """The camera's place [3] in the world; its height is that above the ground."""
        cos, sin = float(np.cos(self.yaw)), float(np.sin(self.yaw))
        x, y, z = self.glass.place.tolist()
        return np.array([self.x + x * cos - y * sin, self.y + x * sin + y * cos, z])

    def view(self) -> Any:
        """The matrix [3, 3] that turns world directions (rows) into the camera's: right, down, depth."""
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]]) @ self.glass.view.T

    def sees(self, places: Any) -> Tuple[Any, Any]:
        """(which of the places [N, 3] (x, y, radius) may be in the picture, their distances from the camera)."""
        off = places[:, :2] - self.camera()[:2]
        seen = off @ self.view()[:2]
        radius = places[:, 2]
        distance = np.sqrt(off[:, 0] * off[:, 0] + off[:, 1] * off[:, 1])
        slope = self.glass.width / 2 / self.glass.focal
        wide = np.abs(seen[:, 0]) < np.maximum(seen[:, 2], 0.0) * slope + radius * np.sqrt(1 + slope * slope)
        if abs(self.glass.view[2, 2]) > 0.3:  # a camera that looks down: what is behind its foot may still be seen
            wide |= distance < 60.0
        ahead = (seen[:, 2] > -radius) | (abs(self.glass.view[2, 2]) > 0.3)
        return wide & ahead & (distance - radius < self.air.sees), distance


def draw(image: Any, sight: Sight, groups: Sequence[Faces]) -> None:
    """Paint the groups' faces into an RGB picture, farthest thing first."""
    corners, lit, glow, away = (np.concatenate(columns) for columns in zip(*[_pick(sight, faces) for faces in groups]))
    seen = ((corners - sight.camera()).reshape(-1, 3) @ sight.view()).reshape(-1, 4, 3)
    cut = seen[:, :, 2].min(axis=1) < NEAR
    flat = pixels(sight.glass, np.where(cut[:, None, None], 1.0, seen)) if cut.any() else pixels(sight.glass, seen)
    order = np.argsort(-away, kind="stable")
    order = order[_shows(sight.glass, seen, flat, cut, glow > 0)[order]]
    seen, flat, glow, cut = seen[order], flat[order], glow[order], cut[order]
    colors = _veiled(sight.air, seen, lit[order], glow)
    halo = (glow == HALO) & (sight.air.night > 0.3)
    for polygon, color, clipped, shines, whole in zip(flat, colors.tolist(), cut.tolist(), halo.tolist(), seen):
        if clipped:
            polygon = pixels(sight.glass, clip(whole))  # noqa: PLW2901 - the same face, cut at the near plane
        cv2.fillConvexPoly(image, polygon, color, cv2.LINE_AA, SHIFT)
        if shines:
            _halo(image, sight.glass, whole, color)


def _pick(sight: Sight, faces: Faces) -> Tuple[Any, Any, Any, Any]:
    """(corners, light, glow, order from far to near) of the faces that look at the camera from within its view."""
    visible, distance = sight.sees(faces.places)
    away, camera = distance[faces.thing], sight.camera()
    rows = np.flatnonzero(visible[faces.thing] & (away >= faces.nearest) & (away < faces.farthest))
    rows = rows[((camera - faces.corners[rows, 0]) * faces.normal[rows]).sum(axis=1) > 0.0]
    before = np.sign(faces.ahead[:, 0] * camera[0] + faces.ahead[:, 1] * camera[1] - faces.ahead[:, 2])
    # By millimetres: first what belongs to both parts, then the far part, then the one on the camera's side.
    behind = np.where(faces.side[rows] == 0, 0.002, -0.001 * faces.side[rows] * before[faces.thing[rows]])
    lit = faces.lit[rows]
    if sight.air.night > 0.0:
        lit = lit + faces.color[rows] * _beam(sight, faces.corners[rows], faces.normal[rows], faces.glow[rows])[:, None]
    return faces.corners[rows], lit, faces.glow[rows], away[rows] + behind


def _beam(sight: Sight, corners: Any, normal: Any, glow: Any) -> Any:
    """How much of the ego's own light falls on faces; none on what shines by itself."""
    cos, sin = float(np.cos(sight.yaw)), float(np.sin(sight.yaw))
    middle = corners.mean(axis=1)
    x, y = middle[:, 0] - sight.x, middle[:, 1] - sight.y
    facing = np.clip(0.25 - 0.9 * (normal[:, 0] * cos + normal[:, 1] * sin), 0.1, 1.0)
    low = np.clip(1.5 - 0.35 * middle[:, 2], 0.15, 1.0)
    return np.where(glow > 0, 0.0, sight.air.headlights(x * cos + y * sin, y * cos - x * sin) * facing * low)


def _shows(glass: Lens, seen: Any, flat: Any, cut: Any, glow: Any) -> Any:
    """Which faces reach into the picture and are large enough there to be seen; what shines is seen however small."""
    x, y = flat[:, :, 0], flat[:, :, 1]
    left, right, top, bottom = _least(x), -_least(-x), _least(y), -_least(-y)
    inside = (right > 0) & (left < glass.width << SHIFT) & (bottom > 0) & (top < glass.height << SHIFT)
    wide, high = right - left, bottom - top
    large = (np.maximum(wide, high) > 2 << SHIFT) & (np.minimum(wide, high) > (1 << SHIFT) // 2)
    return np.where(cut, seen[:, :, 2].max(axis=1) > NEAR, inside & (large | glow))


def _least(values: Any) -> Any:
    """The least of each row [F, 4]; by columns, which is faster than a reduction over so short an axis."""
    return np.minimum(np.minimum(values[:, 0], values[:, 1]), np.minimum(values[:, 2], values[:, 3]))


def _veiled(air: Air, seen: Any, lit: Any, glow: Any) -> Any:
    """Colours [F, 3] (0..255) of faces as seen through the haze; lamps pierce it better."""
    middle = (seen[:, 0] + seen[:, 2]) * 0.5
    veil = air.veil(np.sqrt((middle * middle).sum(axis=1))) * np.where(glow > 0, 0.75, 1.0)
    return np.clip(lit * (1.0 - veil)[:, None] + air.haze * 255.0 * veil[:, None] + 0.5, 0, 255)


def pixels(glass: Lens, seen: Any) -> Any:
    """Camera points [..., 3] (right, down, depth) as fixed-point pixels int32 [..., 2]; a pixel's middle is a whole number."""
    flat = seen[..., :2] * (glass.focal / seen[..., 2:3]) + (glass.width / 2 - 0.5, glass.height / 2 - 0.5)
    return np.clip(np.rint(flat * (1 << SHIFT)), -_LIMIT, _LIMIT).astype(np.int32)


def clip(polygon: Any) -> Any:
    """The part [m, 3] of a camera-frame polygon [n, 3] that lies beyond the near plane."""
    kept: List[Any] = []
    for here, there in zip(polygon, np.roll(polygon, -1, axis=0)):
        inside = here[2] >= NEAR
        if inside:
            kept.append(here)
        if inside != (there[2] >= NEAR):
            kept.append(here + (there - here) * ((NEAR - here[2]) / (there[2] - here[2])))
    return np.array(kept).reshape(-1, 3)


def _halo(image: Any, glass: Lens, seen: Any, color: Sequence[float]) -> None:
    """Add the glow of a lamp to what is around it."""
    (x0, y0, depth), (x1, y1, _) = seen[0].tolist(), seen[2].tolist()
    if depth < 1.0:
        return
    radius = int(min(56.0, 2.0 + 0.7 * glass.focal / depth))
    scale = glass.focal / depth / 2
    left, top = int((x0 + x1) * scale + glass.width / 2) - radius, int((y0 + y1) * scale + glass.height / 2) - radius
    cut_left, cut_top = max(0, -left), max(0, -top)
    part = image[top + cut_top : max(0, top + 2 * radius + 1), left + cut_left : max(0, left + 2 * radius + 1)]
    if part.size:
        r, g, b = (int(value) // 16 * 16 for value in color)
        shine = shining(radius, (r, g, b))
        cv2.add(part, shine[cut_top : cut_top + part.shape[0], cut_left : cut_left + part.shape[1]], dst=part)


@lru_cache(maxsize=256)
def shining(radius: int, color: Tuple[int, int, int]) -> Any:
    """A round glow uint8 [2 radius + 1, 2 radius + 1, 3] that fades outwards."""
    along = np.square(np.arange(-radius, radius + 1) / radius)
    strength = np.clip(1.0 - along[None, :] - along[:, None], 0.0, 1.0) ** 3
    return (strength[:, :, None] * np.array(color) * 0.5).astype(np.uint8)
