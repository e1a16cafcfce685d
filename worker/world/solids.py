"""Solid things as faces before a camera: what looks at it is found first, and only that is put into place and lit.

Standing things are put into the world once; moving things are tested in their shapes' own unit boxes, where nothing ever changes.
All things of a picture go through the same few array operations, whatever their number.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Sequence

import numpy as np

from .air import Air
from .shapes import Shape
from .sight import Sight

HALO = 2


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
    """Standing things' faces in the world, columns of length F, those of one thing together: ``count`` [N] of them from ``first`` [N] on.

    ``tests`` are the normal (of length one), its product with a point of the face, and the range of distances in which it is drawn.
    ``places`` are x, y and radius; ``walls`` the four upper corners of each thing that fills its box, and so hides what is behind it.
    """

    corners: Any  # [F, 4, 3]
    tests: Any  # [F, 6]
    color: Any  # [F, 3]
    lit: Any  # [F, 3]: the colour in the light of sun and sky
    glow: Any  # uint8 [F]
    first: Any
    count: Any
    places: Any  # [N, 3]
    walls: Any  # [W, 4, 3]


class Seen(NamedTuple):
    """Faces that look at the camera, columns of length K."""

    corners: Any  # [K, 4, 3] in the camera's frame: right, down, depth
    lit: Any  # [K, 3]: the colour in the light of sun and sky
    color: Any  # [K, 3]: the colour in white light
    glow: Any  # uint8 [K]
    away: Any  # the order of painting, greatest first: metres, and millimetres between the parts of one thing
    facing: Any  # how much each looks along the ego's heading, -1..1


def put(things: Things, air: Air) -> Faces:
    """The faces of standing things, in their places in the world and in its light. There must be at least one thing."""
    count = np.array([len(shape.material) for shape in things.shapes])
    thing = np.repeat(np.arange(len(count)), count)
    corners = _stand(things, thing, np.concatenate([shape.corners for shape in things.shapes]))
    material, tests = (np.concatenate([getattr(shape, name) for shape in things.shapes]) for name in ("material", "tests"))
    cos, sin, flat = np.cos(things.yaw)[thing], np.sin(things.yaw)[thing], _unit(tests[:, :3] / things.half[thing])
    normal = np.stack([flat[:, 0] * cos - flat[:, 1] * sin, flat[:, 0] * sin + flat[:, 1] * cos, flat[:, 2]], axis=1)
    level = np.einsum("ij,ij->i", normal, corners[:, 0])
    color, glow = things.palette[thing, material], things.glow[thing, material]
    return Faces(
        corners,
        np.concatenate([normal, level[:, None], tests[:, 4:]], axis=1),
        color,
        _lit(air, color, glow, normal[:, 2], normal @ air.sun_direction),
        glow,
        np.cumsum(count) - count,
        count,
        np.stack([things.x, things.y, np.hypot(things.half[:, 0], things.half[:, 1]) + 0.2 * things.half[:, 2]], axis=1),
        _walls(things),
    )


def _stand(things: Things, thing: Any, corners: Any) -> Any:
    """Corners [F, 4, 3] of unit boxes put into the world; ``thing`` [F] is whose they are."""
    size = corners * things.half[thing][:, None, :]
    cos, sin = np.cos(things.yaw)[thing][:, None], np.sin(things.yaw)[thing][:, None]
    x = size[:, :, 0] * cos - size[:, :, 1] * sin + things.x[thing][:, None]
    y = size[:, :, 0] * sin + size[:, :, 1] * cos + things.y[thing][:, None]
    return np.stack([x, y, size[:, :, 2]], axis=2)


def _walls(things: Things) -> Any:
    """The upper corners [W, 4, 3] of the things that fill their boxes."""
    box = np.array([[[-1.0, -1.0, 1.0], [1.0, -1.0, 1.0], [1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]]])
    solid = np.flatnonzero([shape.solid for shape in things.shapes])
    return _stand(things, solid, np.repeat(box, len(solid), axis=0))


def _lit(air: Air, color: Any, glow: Any, up: Any, sunward: Any) -> Any:
    """Colours [F, 3] in the light of sun and sky, of faces that look up and towards the sun so much; what shines needs no light."""
    light = air.ambient * (0.84 + 0.2 * up[:, None]) + air.sun * np.maximum(sunward, 0.0)[:, None]
    return np.where(glow[:, None] > 0, color, color * light)


def _unit(vectors: Any) -> Any:
    """Vectors [F, 3] made of length one."""
    return vectors / np.maximum(np.sqrt(np.einsum("ij,ij->i", vectors, vectors)), 1e-12)[:, None]


def _directions(sight: Sight, cos: Any, sin: Any) -> Any:
    """Towards the sun, and along the ego's heading: [N, 2, 3] in the frames of things that are turned so."""
    world = np.array([sight.air.sun_direction, (sight.cos, sight.sin, 0.0)])
    x, y = world[None, :, 0], world[None, :, 1]
    cos, sin = cos[:, None], sin[:, None]
    return np.stack([x * cos + y * sin, y * cos - x * sin, np.broadcast_to(world[None, :, 2], (len(cos), 2))], axis=2)


def standing(sight: Sight, faces: Faces) -> Seen:
    """What the camera sees of standing things."""
    visible, distance = sight.sees(faces.places)
    things = np.flatnonzero(visible)
    count = faces.count[things]
    rows = np.arange(count.sum()) + np.repeat(faces.first[things] - (np.cumsum(count) - count), count)
    away, tests = np.repeat(distance[things], count), faces.tests[rows]
    looks = np.flatnonzero((tests[:, :3] @ sight.eye > tests[:, 3]) & (away >= tests[:, 4]) & (away < tests[:, 5]))
    rows, tests = rows[looks], tests[looks]
    corners = (faces.corners[rows] - sight.eye).reshape(-1, 3) @ sight.view
    facing = tests[:, 0] * sight.cos + tests[:, 1] * sight.sin
    return Seen(corners.reshape(-1, 4, 3), faces.lit[rows], faces.color[rows], faces.glow[rows], away[looks], facing)


def moving(sight: Sight, things: Things) -> Seen:
    """What the camera sees of moving things. There must be at least one."""
    cos, sin, off = np.cos(things.yaw), np.sin(things.yaw), sight.eye[:2] - np.stack([things.x, things.y], axis=1)
    turned = np.stack([off[:, 0] * cos + off[:, 1] * sin, off[:, 1] * cos - off[:, 0] * sin, np.full(len(cos), sight.eye[2])], axis=1)
    unit = turned / things.half
    thing = np.repeat(np.arange(len(cos)), [len(shape.material) for shape in things.shapes])
    distance = np.sqrt(np.einsum("ij,ij->i", off, off))
    tests, away = np.concatenate([shape.tests for shape in things.shapes]), distance[thing]
    looks = np.einsum("ij,ij->i", tests[:, :3], unit[thing]) > tests[:, 3]
    rows = np.flatnonzero(looks & (away >= tests[:, 4]) & (away < tests[:, 5]))
    thing = thing[rows]
    material, corners = (np.concatenate([getattr(s, name) for s in things.shapes])[rows] for name in ("material", "corners"))
    normal, ahead = _unit(tests[rows, :3] / things.half[thing]), _directions(sight, cos, sin)[thing]
    color, glow = things.palette[thing, material], things.glow[thing, material]
    lit = _lit(sight.air, color, glow, normal[:, 2], np.einsum("ij,ij->i", normal, ahead[:, 0]))
    before = np.sign(unit[:, 0] - [shape.split for shape in things.shapes])
    side = np.concatenate([shape.side for shape in things.shapes])[rows]
    # By millimetres: first what belongs to both parts, then the far part, then the one on the camera's side.
    order = away[rows] + np.where(side == 0, 0.002, -0.001 * side * before[thing])
    axes = np.zeros((len(cos), 3, 3))
    axes[:, 0, 0], axes[:, 0, 1], axes[:, 1, 0], axes[:, 1, 1], axes[:, 2, 2] = cos, sin, -sin, cos, 1.0
    turn = axes @ sight.view
    seen = corners @ (things.half[:, :, None] * turn)[thing] - (turned[:, None, :] @ turn)[thing]
    return Seen(seen, lit, color, glow, order, np.einsum("ij,ij->i", normal, ahead[:, 1]))
