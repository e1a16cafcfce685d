"""The plot of ``b2d fidelity``: three panels (position, speed, yaw), errors over ticks, one colour per tier. One dict in, one PNG out.

The upright axis counts powers of ten; what is nothing lies on its lowest line, marked 0. Drawn with OpenCV, as the demo's picture is.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, List, Mapping, NamedTuple, Sequence, Tuple

import cv2
import numpy as np

from .picture import BRANCHES, FAINT, INK, PAPER, Color, polyline, text_size, write
from .records import BASELINE, UNITS

LEAST, MOST = -4, 2  # powers of ten on the upright axis
WIDE, HIGH = 560, 460  # of a panel
LEFT, TOP, RIGHT, BOTTOM = 66, 44, 18, 54  # around its field
HEAD = 112
_BELOW = LEAST - 0.6  # where nothing is drawn
_GRID: Color = (222, 224, 224)


class Line(NamedTuple):
    """One run: its errors as [median, p95, worst] per tick, None where there are none."""

    name: str
    color: Color
    errors: Sequence[Sequence[float | None]]


def chart(found: Mapping[str, Any], path: Path) -> None:
    """Write the plot of what ``records.told`` gave."""
    panels = [_panel(f"ego {name}, {unit}", found["ticks"], _lines(found, name)) for name, unit in UNITS.items()]
    sheet = np.concatenate([_head(found, WIDE * len(panels)), np.concatenate(panels, axis=1)], axis=0)
    _, picture = cv2.imencode(".png", sheet[:, :, ::-1])
    path.write_bytes(picture.tobytes())


def color_of(index: int) -> Color:
    """Grey for the un-restored drives, which come first, then a colour for each tier."""
    return FAINT if index == 0 else BRANCHES[(index - 1) % len(BRANCHES)]


def _lines(found: Mapping[str, Any], name: str) -> List[Line]:
    return [Line(run, color_of(i), errors[name]) for i, (run, errors) in enumerate(found["errors"].items())]


def _head(found: Mapping[str, Any], wide: int) -> Any:
    band = np.full((HEAD, wide, 3), PAPER, np.uint8)
    about, routes = found["installation"], [route for route in found["routes"] if route["tiers"]]
    title = f"How far a restored drive is from the one that went on: {about.get('backend')} {about.get('carla', '')}".rstrip()
    write(band, title, (28, 42), 0.8)
    write(band, f"{len(routes)} routes; line: median, dashes: p95, dots: worst; over ticks of {about.get('dt')} s", (28, 68), 0.5, FAINT)
    x = 28
    for i, run in enumerate(found["errors"]):
        polyline(band, [(x, 92), (x + 30, 92)], color_of(i), 3)
        said = "a second drive, not restored" if run == BASELINE else run
        write(band, said, (x + 38, 97), 0.5)
        x += 38 + text_size(said, 0.5)[0] + 30
    return band


def _panel(title: str, ticks: Sequence[int], lines: Sequence[Line]) -> Any:
    canvas = np.full((HIGH, WIDE, 3), PAPER, np.uint8)
    write(canvas, title, (LEFT, 28), 0.58)
    _axes(canvas, ticks)
    for number, line in enumerate(lines):
        places = [_across(i, ticks) + 3.0 * (number - (len(lines) - 1) / 2) for i in range(len(ticks))]  # side by side where they agree
        median, p95, worst = ([(x, _up(one[k])) for x, one in zip(places, line.errors) if one[k] is not None] for k in range(3))
        if median:
            polyline(canvas, median, line.color, 3 + 2 * (len(lines) - 1 - number))  # the first ones widest, so that all are seen
        for one, other in zip(p95, p95[1:]):
            _dashes(canvas, one, other, line.color)
        for point in worst:
            cv2.circle(canvas, (round(point[0]), round(point[1])), 4, line.color, -1, cv2.LINE_AA)
    return canvas


def _axes(canvas: Any, ticks: Sequence[int]) -> None:
    for power in (None, *range(LEAST, MOST + 1)):
        y = round(_up(0.0 if power is None else 10.0**power))
        cv2.line(canvas, (LEFT, y), (WIDE - RIGHT, y), _GRID if power is not None else FAINT, 1)
        label = "0" if power is None else f"{10.0**power:g}"
        write(canvas, label, (LEFT - 8 - text_size(label, 0.42)[0], y + 5), 0.42, FAINT)
    for i, tick in enumerate(ticks):
        x = round(_across(i, ticks))
        cv2.line(canvas, (x, HIGH - BOTTOM), (x, HIGH - BOTTOM + 5), INK, 1)
        write(canvas, str(tick), (x - text_size(str(tick), 0.42)[0] // 2, HIGH - BOTTOM + 22), 0.42, INK)
    write(canvas, "ticks after the restore", (LEFT, HIGH - 10), 0.42, FAINT)


def _across(index: int, ticks: Sequence[int]) -> float:
    """The ticks stand evenly: they are chosen to grow."""
    return LEFT + 24 + index * (WIDE - LEFT - RIGHT - 48) / max(1, len(ticks) - 1)


def _up(error: float | None) -> float:
    power = _BELOW if not error or error < 10.0**LEAST else min(math.log10(error), MOST)
    return TOP + (MOST - power) / (MOST - _BELOW) * (HIGH - BOTTOM - TOP)


def _dashes(canvas: Any, one: Tuple[float, float], other: Tuple[float, float], color: Color) -> None:
    count = max(1, round(math.hypot(other[0] - one[0], other[1] - one[1]) / 10))
    points = np.linspace(one, other, 2 * count + 1)
    for k in range(0, 2 * count, 2):
        polyline(canvas, points[k : k + 2], color, 1)
