"""Draws solid things into a picture: faces put into place, lit, veiled by haze, and painted from far to near.

All things of a picture go through the same few array operations; only the filling of what is seen at last is a loop.
"""

from __future__ import annotations

from typing import Any, List, NamedTuple, Sequence, Tuple

import cv2
import numpy as np

from .air import Air
from .lens import NEAR, Lens
from .shapes import Shape

SHIFT = 3  # fractional bits of pixels
_LIMIT = 1 << 20  # pixels in fixed-point are kept within this, far outside any picture


class Things(NamedTuple):
    """Things to draw: one shape each, and columns. Places are world metres, ``half`` half lengths and widths and whole heights."""

    shapes: Sequence[Shape]
    x: Any  # [N]
    y: Any
    yaw: Any
    half: Any  # [N, 3]
    palette: Any  # [N, M, 3], RGB 0..255 by material
    glow: Any  # bool [N, M]: a material that shines by itself


class Faces(NamedTuple):
    """Faces in the world, columns of length F; ``thing`` is the row in ``places`` and ``ahead`` of what a face belongs to.

    ``places`` are x, y and radius; ``ahead`` is the plane between a thing's two parts (see Shape): its normal's x and y, and its distance.
    """

    corners: Any  # [F, 4, 3]
    color: Any  # [F, 3]
    glow: Any  # bool [F]
    nearest: Any
    farthest: Any
    thing: Any
    side: Any
    places: Any  # [N, 3]
    ahead: Any  # [N, 3]


def put(things: Things) -> Faces:
    """The faces of things, in their places in the world. There must be at least one thing."""
    counts = [len(shape.material) for shape in things.shapes]
    thing = np.repeat(np.arange(len(counts)), counts)
    corners = np.concatenate([shape.corners for shape in things.shapes]) * things.half[thing][:, None, :]
    cos, sin = np.cos(things.yaw)[thing][:, None], np.sin(things.yaw)[thing][:, None]
    x, y = corners[:, :, 0].copy(), corners[:, :, 1]
    corners[:, :, 0] = x * cos - y * sin + things.x[thing][:, None]
    corners[:, :, 1] = x * sin + y * cos + things.y[thing][:, None]
    material = np.concatenate([shape.material for shape in things.shapes])
    return Faces(
        corners,
        things.palette[thing, material],
        things.glow[thing, material],
        np.concatenate([shape.nearest for shape in things.shapes]),
        np.concatenate([shape.farthest for shape in things.shapes]),
        thing,
        np.concatenate([shape.side for shape in things.shapes]),
        np.stack([things.x, things.y, np.hypot(things.half[:, 0], things.half[:, 1]) + 0.2 * things.half[:, 2]], axis=1),
        np.stack([np.cos(things.yaw), np.sin(things.yaw), _split(things)], axis=1),
    )


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

    def camera(self) -> Tuple[float, float]:
        """The camera's x and y in the world."""
        cos, sin = float(np.cos(self.yaw)), float(np.sin(self.yaw))
        x, y = float(self.glass.place[0]), float(self.glass.place[1])
        return self.x + x * cos - y * sin, self.y + x * sin + y * cos

    def sees(self, places: Any) -> Tuple[Any, Any]:
        """(which of the places [N, 3] (x, y, radius) may be in the picture, their distances from the camera)."""
        local = self.local(np.column_stack([places[:, :2], np.full(len(places), self.glass.place[2])])) - self.glass.place
        seen = local @ self.glass.view.T
        radius = places[:, 2]
        distance = np.sqrt((local * local).sum(axis=1))
        slope = self.glass.width / 2 / self.glass.focal
        wide = np.abs(seen[:, 0]) < np.maximum(seen[:, 2], 0.0) * slope + radius * np.sqrt(1 + slope * slope)
        if abs(self.glass.view[2, 2]) > 0.3:  # a camera that looks down: what is behind its foot may still be seen
            wide |= distance < 60.0
        ahead = (seen[:, 2] > -radius) | (abs(self.glass.view[2, 2]) > 0.3)
        return wide & ahead & (distance - radius < self.air.sees), distance


def draw(image: Any, sight: Sight, groups: Sequence[Faces]) -> None:
    """Paint the groups' faces into an RGB picture, farthest thing first."""
    picked = [_pick(sight, faces) for faces in groups if len(faces.thing)]
    parts = [np.concatenate(columns) for columns in zip(*picked)]
    if not parts or not len(parts[3]):
        return
    corners, base, glow, away = parts
    local = sight.local(corners)
    normal = np.cross(local[:, 1] - local[:, 0], local[:, 3] - local[:, 0])
    toward = ((sight.glass.place - local[:, 0]) * normal).sum(axis=1) > 0
    seen = (local - sight.glass.place) @ sight.glass.view.T
    order = np.argsort(-away, kind="stable")
    order = order[(toward & (seen[:, :, 2] > NEAR).any(axis=1))[order]]
    local, seen, base, glow, normal = local[order], seen[order], base[order], glow[order], normal[order]
    colors = _lit(sight, local.mean(axis=1), normal, base, glow)
    halo = glow & (sight.air.night > 0.3)
    _fill(image, sight.glass, seen, colors, halo)


def _pick(sight: Sight, faces: Faces) -> Tuple[Any, Any, Any, Any]:
    visible, distance = sight.sees(faces.places)
    away = distance[faces.thing]
    rows = np.flatnonzero(visible[faces.thing] & (away >= faces.nearest) & (away < faces.farthest))
    x, y = sight.camera()
    before = np.sign(faces.ahead[:, 0] * x + faces.ahead[:, 1] * y - faces.ahead[:, 2])
    # By millimetres: first what belongs to both parts, then the far part, then the one on the camera's side.
    behind = np.where(faces.side[rows] == 0, 0.002, -0.001 * faces.side[rows] * before[faces.thing[rows]])
    return faces.corners[rows], faces.color[rows], faces.glow[rows], away[rows] + behind


def _lit(sight: Sight, middle: Any, normal: Any, base: Any, glow: Any) -> Any:
    """The colours of faces [F, 3] (0..255) under the sun, the sky and the ego's lamps, through the haze."""
    air = sight.air
    normal = normal / np.maximum(np.sqrt((normal * normal).sum(axis=1)), 1e-9)[:, None]
    sun = sight.local(air.sun_direction + (sight.x, sight.y, 0.0))
    direct = np.maximum(normal @ sun, 0.0)[:, None] * air.sun
    ambient = air.ambient * (0.84 + 0.2 * normal[:, 2:3])
    beam = (
        air.headlights(middle[:, 0], middle[:, 1])
        * np.clip(0.25 - 0.9 * normal[:, 0], 0.1, 1.0)
        * np.clip(1.5 - 0.35 * middle[:, 2], 0.15, 1.0)
    )
    light = np.where(glow[:, None], 1.0, ambient + direct + beam[:, None])
    off = middle - sight.glass.place
    veil = air.veil(np.sqrt((off * off).sum(axis=1)))[:, None]
    veil = np.where(glow[:, None], veil * 0.75, veil)
    return np.clip(base * light * (1.0 - veil) + air.haze * 255.0 * veil + 0.5, 0, 255)


def _fill(image: Any, glass: Lens, seen: Any, colors: Any, halo: Any) -> None:
    behind = (seen[:, :, 2] < NEAR).any(axis=1)
    flat = pixels(glass, np.where(behind[:, None, None], 1.0, seen))
    for polygon, color, clipped, shines, whole in zip(flat, colors.tolist(), behind.tolist(), halo.tolist(), seen):
        if clipped:
            polygon = pixels(glass, clip(whole))  # noqa: PLW2901 - the same face, cut at the near plane
        cv2.fillConvexPoly(image, polygon, color, cv2.LINE_AA, SHIFT)
        if shines:
            _halo(image, glass, whole, color)


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
    x, y, depth = seen.mean(axis=0).tolist()
    if depth < 1.0:
        return
    radius = int(min(56.0, 2.0 + 0.7 * glass.focal / depth))
    column, row = int(x * glass.focal / depth + glass.width / 2), int(y * glass.focal / depth + glass.height / 2)
    left, top = max(0, column - radius), max(0, row - radius)
    part = image[top : max(0, row + radius + 1), left : max(0, column + radius + 1)]
    if not part.size:
        return
    across = (np.arange(left, left + part.shape[1]) - column) / radius
    down = (np.arange(top, top + part.shape[0]) - row) / radius
    strength = np.clip(1.0 - across[None, :] ** 2 - down[:, None] ** 2, 0.0, 1.0) ** 3
    shine = (strength[:, :, None] * np.array(color) * 0.5).astype(np.uint8)
    cv2.add(part, shine, dst=part)
