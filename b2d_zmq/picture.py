"""The pictures that the demo writes: a contact sheet of a group, and its paths seen from above. Plain arrays in, one array out.

Everything is RGB uint8 [H, W, 3]. World points are metres in CARLA's left-handed frame, so x to the right and y downward is already the
view from above; ``birds_eye`` only turns it until the vehicle's heading at the fork points to the right.
This file knows no farm, no environment and no files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, List, NamedTuple, Sequence, Tuple

import cv2
import numpy as np

Color = Tuple[int, int, int]

PAPER: Color = (250, 250, 247)
INK: Color = (34, 40, 49)
FAINT: Color = (120, 128, 138)
CHOSEN: Color = (22, 138, 82)
LIVE: Color = (17, 17, 17)
GROUND: Color = (214, 222, 204)
VERGE: Color = (188, 190, 186)
ASPHALT: Color = (132, 136, 142)
ONCOMING: Color = (156, 160, 165)
ROUTE: Color = (255, 236, 150)
BRANCHES: Tuple[Color, ...] = (
    (31, 105, 190),
    (214, 93, 14),
    (138, 73, 172),
    (0, 137, 137),
    (190, 30, 80),
    (112, 128, 20),
    (90, 70, 40),
    (70, 70, 220),
)
"""One colour per branch, used again from the ninth on."""

WIDTH = 1680
_EDGE = 28
_LABEL = 250
_GAP = 8
_FONT = cv2.FONT_HERSHEY_DUPLEX


class Caption(NamedTuple):
    """A line of text beside a row of frames."""

    text: str
    color: Color = INK
    size: float = 0.52


@dataclass
class Row:
    """One branch on the sheet: what is written beside it, and its frames with a time under each."""

    name: str
    color: Color
    captions: Sequence[Caption] = ()
    frames: Sequence[Any] = ()
    times: Sequence[str] = ()
    chosen: bool = False


@dataclass
class Track:
    """One path on the bird's-eye view, float [T, 2] in world metres; ``crash`` crosses out its end."""

    name: str
    color: Color
    points: Any
    crash: bool = False
    wide: bool = False


def color_of(branch: int) -> Color:
    """The colour of a branch."""
    return BRANCHES[branch % len(BRANCHES)]


def contact_sheet(title: str, subtitle: str, rows: Sequence[Row], below: Any | None = None, columns: int = 6) -> Any:
    """A sheet WIDTH wide: title, one row per branch, and below them a picture of the same width less the edges (see ``inner_width``)."""
    parts = [_heading(title, subtitle)]
    parts += [_row(row, columns) for row in rows]
    if below is not None:
        parts.append(_framed(below))
    parts.append(_blank(_EDGE // 2))
    return np.concatenate(parts, axis=0)


def inner_width() -> int:
    """The width in pixels that a picture below the rows should have."""
    return WIDTH - 2 * _EDGE


def birds_eye(route: Any, lanes: Any, tracks: Sequence[Track], origin: Sequence[float], heading: float, *, size: Tuple[int, int]) -> Any:
    """Paths over the road, ``size`` = (width, height), scaled so that every track fits; a bar tells the scale.

    ``route`` is the reference line [N, 2] in metres; ``lanes`` [L, 3] are the strips beside it from left to right: metres to the right of
    the line, width, direction (1 along, -1 against, 0 none). ``origin`` is the fork's place, ``heading`` its yaw in degrees.
    """
    dotted = [Track("route", ROUTE, route), *tracks]
    view = _View.fit([track.points for track in tracks], origin, heading, size, _legend_width(dotted))
    canvas = np.full((size[1], size[0], 3), GROUND, np.uint8)
    _road(canvas, view, np.asarray(route, np.float64), np.asarray(lanes, np.float64).reshape(-1, 3))
    for point in view.pixels(route):
        cv2.circle(canvas, _point(np.clip(point, -20000, 20000)), 3, ROUTE, -1, cv2.LINE_AA)
    for track in tracks:
        _track(canvas, view, track)
    start = view.pixels(np.asarray([origin], np.float64))[0]
    cv2.circle(canvas, _point(start), 9, (255, 255, 255), -1, cv2.LINE_AA)
    cv2.circle(canvas, _point(start), 9, INK, 2, cv2.LINE_AA)
    _legend(canvas, dotted)
    _scale_bar(canvas, view.scale)
    return canvas


@dataclass(frozen=True)
class _View:
    """World metres -> pixels: turn by the heading, scale, move."""

    origin: Tuple[float, float]
    turn: float
    scale: float
    middle: Tuple[float, float]  # of what is shown, turned but not scaled
    center: Tuple[float, float]  # of the room for it, in pixels

    @classmethod
    def fit(cls, paths: Sequence[Any], origin: Sequence[float], heading: float, size: Tuple[int, int], left: int) -> _View:
        """Everything in view, clear of the ``left`` pixels where the legend is."""
        raw = cls((float(origin[0]), float(origin[1])), math.radians(heading), 1.0, (0.0, 0.0), (0.0, 0.0))
        turned = np.concatenate([raw.pixels(path) for path in paths if len(path)] + [np.zeros((1, 2))])
        low, high = turned.min(axis=0), turned.max(axis=0)
        span = np.maximum(high - low, 1.0)
        room = np.array([size[0] - left - 110.0, size[1] - 110.0])
        scale = float(min(room[0] / span[0], room[1] / span[1], 40.0))
        middle = (low + high) / 2.0
        return cls(raw.origin, raw.turn, scale, (float(middle[0]), float(middle[1])), ((size[0] + left) / 2.0, size[1] / 2.0))

    def pixels(self, points: Any) -> Any:
        """[N, 2] world -> float [N, 2] pixels (x to the right, y down)."""
        moved = np.asarray(points, np.float64).reshape(-1, 2) - np.asarray(self.origin)
        cos, sin = math.cos(self.turn), math.sin(self.turn)
        turned = np.stack([moved[:, 0] * cos + moved[:, 1] * sin, moved[:, 1] * cos - moved[:, 0] * sin], axis=1)
        return (turned - np.asarray(self.middle)) * self.scale + np.asarray(self.center)


def _road(canvas: Any, view: _View, route: Any, lanes: Any) -> None:
    route = np.concatenate([_beyond(route[0], route[1])[::-1], route, _beyond(route[-1], route[-2])])  # the road goes on
    along = np.gradient(route, axis=0)
    right = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    for offset, width, direction in lanes:
        color = ASPHALT if direction > 0 else ONCOMING if direction < 0 else VERGE
        polyline(canvas, view.pixels(route + offset * right), color, max(1, round(width * view.scale) + 1))
    thick = max(1, round(0.15 * view.scale))
    for one, other in zip(lanes[:-1], lanes[1:]):
        edge = view.pixels(route + (one[0] + one[1] / 2) * right)
        if one[2] == other[2] != 0:
            for k in range(0, len(edge) - 2, 4):  # 4 m of paint, 4 m without
                polyline(canvas, edge[k : k + 3], (235, 235, 235), thick)
        elif one[2] or other[2]:
            polyline(canvas, edge, (236, 196, 60) if one[2] * other[2] < 0 else (235, 235, 235), thick)


def _beyond(end: Any, before: Any) -> Any:
    """Points that go on from ``end`` as straight as it came from ``before``, 100 steps."""
    return end + (end - before) * np.arange(1, 101)[:, None]


def _track(canvas: Any, view: _View, track: Track) -> None:
    pixels = view.pixels(track.points)
    if not len(pixels):
        return
    polyline(canvas, pixels, (255, 255, 255), 9 if track.wide else 7)
    polyline(canvas, pixels, track.color, 5 if track.wide else 3)
    for point in pixels[10::10]:
        cv2.circle(canvas, _point(point), 4, track.color, -1, cv2.LINE_AA)
    if track.crash:
        cv2.drawMarker(canvas, _point(pixels[-1]), (255, 255, 255), cv2.MARKER_TILTED_CROSS, 24, 8, cv2.LINE_AA)
        cv2.drawMarker(canvas, _point(pixels[-1]), (200, 20, 20), cv2.MARKER_TILTED_CROSS, 22, 4, cv2.LINE_AA)


def _legend(canvas: Any, tracks: Sequence[Track]) -> None:
    cv2.rectangle(canvas, (10, 10), (_legend_width(tracks), 24 + 24 * len(tracks)), PAPER, -1)
    for i, track in enumerate(tracks):
        y = 34 + 24 * i
        cv2.line(canvas, (20, y - 6), (48, y - 6), track.color, 5 if track.wide else 3, cv2.LINE_AA)
        write(canvas, track.name, (58, y), 0.5)


def _legend_width(tracks: Sequence[Track]) -> int:
    return max(text_size(track.name, 0.5)[0] for track in tracks) + 74


def _scale_bar(canvas: Any, scale: float) -> None:
    metres = next((m for m in (50, 20, 10, 5, 2, 1) if m * scale <= 220), 1)
    high, wide = canvas.shape[:2]
    right, y, long = wide - 24, high - 22, round(metres * scale)
    cv2.line(canvas, (right - long, y), (right, y), INK, 3, cv2.LINE_AA)
    for x in (right - long, right):
        cv2.line(canvas, (x, y - 6), (x, y + 6), INK, 2, cv2.LINE_AA)
    text = f"{metres} m"
    write(canvas, text, (right - long - text_size(text, 0.5)[0] - 12, y + 6), 0.5)


def _heading(title: str, subtitle: str) -> Any:
    band = _blank(98)
    write(band, title, (_EDGE, 46), 1.0)
    write(band, subtitle, (_EDGE, 78), 0.54, FAINT)
    return band


def _row(row: Row, columns: int) -> Any:
    wide = (inner_width() - _LABEL - _GAP * (columns - 1)) // columns
    tiles = [_fitted(frame, wide) for frame in row.frames[:columns]]
    high = max([tile.shape[0] + 22 for tile in tiles] + [58 + 22 * len(row.captions)])
    band = _blank(high + 14)
    if row.chosen:
        cv2.rectangle(band, (_EDGE - 14, 0), (WIDTH - _EDGE + 13, high + 6), (223, 243, 230), -1)
        cv2.rectangle(band, (_EDGE - 14, 0), (WIDTH - _EDGE + 13, high + 6), CHOSEN, 2)
    cv2.rectangle(band, (_EDGE - 4, 10), (_EDGE + 4, high - 10), row.color, -1)
    write(band, row.name, (_EDGE + 16, 34), 0.72)
    for i, caption in enumerate(row.captions):
        write(band, _clipped(caption.text, caption.size, _LABEL - 24), (_EDGE + 16, 62 + 22 * i), caption.size, caption.color)
    for i, tile in enumerate(tiles):
        x = _EDGE + _LABEL + i * (wide + _GAP)
        band[6 : 6 + tile.shape[0], x : x + wide] = tile
        if i < len(row.times):
            write(band, row.times[i], (x + 2, 6 + tile.shape[0] + 17), 0.42, FAINT)
    return band


def _framed(picture: Any) -> Any:
    band = _blank(picture.shape[0] + 10)
    wide = min(picture.shape[1], inner_width())
    band[6 : 6 + picture.shape[0], _EDGE : _EDGE + wide] = picture[:, :wide]
    cv2.rectangle(band, (_EDGE, 6), (_EDGE + wide - 1, 5 + picture.shape[0]), FAINT, 1)
    return band


def _fitted(frame: Any, wide: int) -> Any:
    high = max(1, round(frame.shape[0] * wide / frame.shape[1]))
    return cv2.resize(np.ascontiguousarray(frame, np.uint8), (wide, high), interpolation=cv2.INTER_AREA)


def _blank(high: int) -> Any:
    return np.full((high, WIDTH, 3), PAPER, np.uint8)


def _clipped(text: str, size: float, wide: int) -> str:
    """The text, cut with dots where it would run into the frames."""
    if text_size(text, size)[0] <= wide:
        return text
    while text and text_size(text + "...", size)[0] > wide:
        text = text[:-1]
    return text.rstrip() + "..."


def text_size(text: str, size: float) -> Tuple[int, int]:
    """Width and height in pixels of a line of text."""
    (wide, high), _ = cv2.getTextSize(text, _FONT, size, 1)
    return int(wide), int(high)


def write(canvas: Any, text: str, place: Tuple[int, int], size: float, color: Color = INK) -> None:
    """Draw a line of text; ``place`` is the left end of its base line."""
    cv2.putText(canvas, text, place, _FONT, size, color, 1, cv2.LINE_AA)


def polyline(canvas: Any, pixels: Any, color: Color, thickness: int) -> None:
    """Draw a line through float pixels [N, 2]."""
    # a route may run far off the canvas; fixed-point coordinates that overflow would draw nonsense
    near: List[Tuple[int, int]] = [_point(pixel) for pixel in np.clip(pixels, -20000, 20000)]
    cv2.polylines(canvas, [np.asarray(near, np.int32)], False, color, thickness, cv2.LINE_AA)


def _point(pixel: Any) -> Tuple[int, int]:
    return round(float(pixel[0])), round(float(pixel[1]))
