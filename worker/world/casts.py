"""The moving cast of a picture as things to draw: every actor but the ego in its colours and lights, every signal in its state."""

from __future__ import annotations

import math
from typing import Any, Tuple

import numpy as np

from .actors import ActorKind, Lights
from .air import Air
from .shapes import COLORS, OCTAGON, SHAPES, STRIDES, Builder, Shape
from .shapes import Material as M
from .sight import Sight
from .solids import HALO, Faces, Things, put

_LAMPS = (
    # flag, material, colour when on
    (Lights.BRAKE, M.TAIL, (255, 42, 32)),
    (Lights.LEFT, M.LEFT, (255, 170, 30)),
    (Lights.RIGHT, M.RIGHT, (255, 170, 30)),
    (Lights.REVERSE, M.REVERSE, (255, 255, 248)),
    (Lights.HEAD, M.HEAD, (255, 250, 228)),
)
_LIT = {0: (M.RED_LAMP, (255, 40, 30)), 1: (M.ORANGE, (255, 196, 40)), 2: (M.LEFT, (60, 255, 130))}


def vehicles_of(actors: Any, sight: Sight, tick: int) -> Things | None:
    """The actors that may be in the picture, or None; row 0 is the ego and is never drawn."""
    places = np.stack([actors.x, actors.y, np.hypot(actors.length, actors.width) / 2 + 1.2], axis=1)
    near = sight.sees(places)[0] & actors.visible
    near[0] = False
    rows = np.flatnonzero(near)
    if not rows.size:
        return None
    shapes = [_shape(kind, actors, row, tick) for kind, row in zip(actors.kind[rows].tolist(), rows.tolist())]
    palette = np.repeat(COLORS[None], len(rows), axis=0)
    palette[:, M.BODY] = actors.color[rows]
    palette[:, M.SHADE] = palette[:, M.BODY] * 0.72
    glow = np.zeros(palette.shape[:2], np.uint8)
    _switch(palette, glow, actors.lights[rows], tick)
    half = np.stack([actors.length[rows] / 2, actors.width[rows] / 2, actors.height[rows]], axis=1)
    return Things(shapes, actors.x[rows], actors.y[rows], actors.yaw[rows], half, palette, glow)


def _shape(kind: int, actors: Any, row: int, tick: int) -> Shape:
    if kind == ActorKind.WALKER and abs(actors.speed[row]) > 0.1:
        return STRIDES[(tick // 3 + row) % len(STRIDES)]
    shape = SHAPES[kind]
    return _opened(shape, float(actors.door[row])) if actors.door[row] > 0.01 and kind <= ActorKind.EMERGENCY else shape


def _opened(shape: Shape, opening: float) -> Shape:
    """A vehicle with its left front door open: a panel on a hinge, seen from both sides."""
    b, turn = Builder(), opening * 1.2
    b.part = -1 if shape.split else 0
    x, y = 0.3 - 0.42 * math.cos(turn), -1.0 - 0.95 * math.sin(turn)
    panel = [(x, y, 0.18), (0.3, -1.0, 0.18), (0.3, -1.0, 0.55), (x, y, 0.55)]
    glass = [(x, y, 0.55), (0.3, -1.0, 0.55), (0.26, -0.9, 0.9), (x + 0.05, y + 0.05, 0.9)]
    for corners, material in ((panel, M.BODY), (glass, M.GLASS)):
        b.face(corners, material)
        b.face(corners[::-1], material)
    hole = [(-0.12, -1.008, 0.2), (0.3, -1.008, 0.2), (0.3, -1.008, 0.55), (-0.12, -1.008, 0.55)]
    b.face(hole, M.DARK)
    door = b.shape()
    columns = [np.concatenate([getattr(part, column) for part in (shape, door)]) for column in ("corners", "material", "tests", "side")]
    return Shape._make([*columns, shape.split, shape.solid])


def _switch(palette: Any, glow: Any, lights: Any, tick: int) -> None:
    """Turn on the lamps; indicators blink and sirens alternate with the tick."""
    blink = tick // 7 % 2 == 0
    at_night = (lights & Lights.HEAD) > 0
    palette[at_night, M.TAIL] = (196, 26, 22)
    glow[at_night, M.TAIL] = HALO
    for flag, material, color in _LAMPS:
        on = (lights & flag) > 0
        if material in (M.LEFT, M.RIGHT) and not blink:
            continue
        palette[on, material] = color
        glow[on, material] = HALO
    siren = (lights & Lights.SIREN) > 0
    material, color = (M.BLUE_LAMP, (90, 130, 255)) if tick // 4 % 2 == 0 else (M.RED_LAMP, (255, 50, 50))
    palette[siren, material] = color
    glow[siren, material] = HALO


def signals_of(signals: Any, air: Air) -> Faces | None:
    """The faces of traffic lights and stop signs, or None where the route has none."""
    count = len(signals.x)
    if not count:
        return None
    states = np.asarray(signals.state).tolist()
    kinds = np.asarray(signals.kind).tolist()
    palette = np.repeat(COLORS[None], count, axis=0)
    palette[:, M.BODY] = (70, 74, 76)
    palette[:, (M.RED_LAMP, M.ORANGE, M.LEFT)] = ((58, 16, 16), (62, 48, 12), (12, 52, 28))
    glow = np.zeros(palette.shape[:2], np.uint8)
    for row, (state, kind) in enumerate(zip(states, kinds)):
        if kind == 0 and state in _LIT:
            material, color = _LIT[state]
            palette[row, material] = color
            glow[row, material] = HALO
    shapes = [_LIGHT if kind == 0 else _STOP for kind in kinds]
    half = np.ones((count, 3))
    return put(Things(shapes, np.asarray(signals.x), np.asarray(signals.y), np.asarray(signals.yaw), half, palette, glow), air)


def _traffic_light() -> Shape:
    """In metres: a pole, and a head with three lamps that looks along +x, once low and once high above the road on an arm."""
    b = Builder()
    b.box((-0.09, 0.09, -0.09, 0.09), (0.0, 5.6), M.BODY, 150.0)
    b.box((-0.05, 0.05, 0.0, 3.0), (5.45, 5.58), M.BODY, 110.0)
    for y, z in ((0.0, 2.3), (2.9, 4.7)):
        b.box((-0.02, 0.22, y - 0.2, y + 0.2), (z, z + 1.1), M.DARK, 220.0)
        for up, material in ((0.9, M.RED_LAMP), (0.55, M.ORANGE), (0.2, M.LEFT)):
            _octagon(b, (0.225, y, z + up), 0.14, material, 260.0)
    return b.shape()


def _stop_sign() -> Shape:
    """In metres: a red octagon with a white rim and bar on a pole, looking along +x."""
    b = Builder()
    b.box((-0.04, 0.04, -0.04, 0.04), (0.0, 2.2), M.METAL, 120.0)
    _octagon(b, (-0.05, 0.0, 2.45), -0.42, M.METAL, 160.0)
    _octagon(b, (0.05, 0.0, 2.45), 0.42, M.WHITE, 200.0)
    _octagon(b, (0.055, 0.0, 2.45), 0.385, M.RED, 200.0)
    for k, y in enumerate((-0.24, -0.08, 0.08, 0.24)):  # four strokes for four letters
        b.front(0.06, (y - 0.05, y + 0.05), (2.37 + 0.02 * (k % 2), 2.53), M.WHITE, 30.0)
    return b.shape()


def _octagon(b: Builder, middle: Tuple[float, float, float], radius: float, material: int, farthest: float) -> None:
    """An octagon that looks forward, or backward for a negative radius."""
    x, y, z = middle
    for part in OCTAGON:
        corners = [(x, y + across * abs(radius), z + up * abs(radius)) for across, up in part]
        b.face(corners if radius > 0 else corners[::-1], material, farthest)


_LIGHT, _STOP = _traffic_light(), _stop_sign()
