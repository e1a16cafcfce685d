"""The straight paths of traffic that crosses the route at its junctions, or comes towards it there, and where they conflict with it.

A place on a path is u, metres along it, 0 beside the middle of the junction. A path that runs into one of the route's own legs ends
there: its traffic goes on as traffic of that leg.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, List, Tuple

import numpy as np

from .ego import snap
from .road import Junction, Road

START, END, RASTER = -90.0, 70.0, 0.5  # metres: where paths begin and end, and how finely their projection is tabled
_LANE = 1.75  # metres from the middle of the crossing road to its lane
_EGO_STRIP = 2.6  # |d| within which a crossing vehicle is in the ego's way
_HORIZON = 30.0  # metres either side of the junction within which a path can meet the route


@dataclass(frozen=True)
class Path:
    """One straight path. ``origin`` is one of "left", "right" (as the ego sees it) or "ahead"."""

    junction: int  # its index in the road's junctions
    origin: str
    x: float
    y: float
    cos: float
    sin: float
    yaw: float
    stop: float  # u of its own stop line
    zone: Tuple[float, float]  # u between which it meets the ego's lane
    road_zone: Tuple[float, float]  # s of the ego's lane between which that happens
    merge: float  # u where its traffic becomes the route's own; inf: never
    way: int  # +1 or -1: the way it then goes
    lane: float  # and the offset of the lane that it takes
    s: Any  # projection onto the route, by u in steps of RASTER from START
    d: Any


def paths_of(road: Road) -> Tuple[Path, ...]:
    """All paths of a road's junctions; one that never comes near the ego's lane is left out."""
    found: List[Path] = []
    for index, junction in enumerate(road.junctions):
        for line in _lines(road, junction):
            path = _path(road, index, line)
            if path is not None:
                found.append(path)
    return tuple(found)


def _lines(road: Road, junction: Junction) -> List[Tuple[str, float, float, float]]:
    """Origin, heading and a point (beside the middle of the junction) of each path that makes sense there."""
    lines = []
    wanted = {"left": ("right",), "right": ("left",), "straight": ("left", "right")}[junction.turn]
    for origin in wanted:
        yaw = junction.yaw if origin == "left" else junction.yaw + math.pi
        lines.append((origin, yaw, junction.x - _LANE * math.sin(yaw), junction.y + _LANE * math.cos(yaw)))
    oncoming = [lane.offset for lane in road.lanes if lane.direction < 0 and lane.kind == "driving"]
    if junction.turn != "straight" and oncoming:
        x, y, _, yaw = (float(part) for part in road.pose(junction.enter, max(oncoming)))
        back = yaw + math.pi
        along = (junction.x - x) * math.cos(back) + (junction.y - y) * math.sin(back)
        lines.append(("ahead", back, x + along * math.cos(back), y + along * math.sin(back)))
    return lines


def _path(road: Road, index: int, line: Tuple[str, float, float, float]) -> Path | None:
    origin, yaw, x, y = line
    junction = road.junctions[index]
    cos, sin = math.cos(yaw), math.sin(yaw)
    u = np.arange(START, END + 0.1, RASTER)
    s, d = road.project(x + u * cos, y + u * sin)
    near = np.abs(u) < _HORIZON
    inside = near & (np.abs(d) < _EGO_STRIP) & (s > junction.enter - 3.0) & (s < junction.leave + 8.0)
    if not inside.any():
        return None
    merge, way, lane = _merge(road, junction, line, (u, s, d))
    outer = np.flatnonzero(near & (np.abs(d) < _edge(road)) & (s > junction.enter) & (s < junction.leave))
    hits = np.flatnonzero(inside)
    last = float(u[hits[-1]]) if merge == math.inf or way < 0 else merge
    stop = (float(u[outer[0]]) if len(outer) else float(u[hits[0]])) - 2.0
    road_zone = (float(s[hits].min()), float(s[hits].max()))
    far = np.abs(u) > _HORIZON + 15.0
    # Away from the junction a path is not the route's business, whatever bend of the route it may run across.
    return Path(
        index, origin, x, y, cos, sin, yaw, stop, (float(u[hits[0]]), last), road_zone, merge, way, lane, s, np.where(far, 1000.0, d)
    )


def _edge(road: Road) -> float:
    """Metres from the ego's lane to the outer edge of the farthest driving lane."""
    return max(abs(lane.offset) + 0.5 * lane.width for lane in road.lanes if lane.kind == "driving")


def _merge(road: Road, junction: Junction, line: Tuple[str, float, float, float], table: Tuple[Any, Any, Any]) -> Tuple[float, int, float]:
    """Where a path runs along one of the route's legs: (u, way, lane's offset), or (inf, 1, 0)."""
    (origin, yaw, _, _), (u, s, d) = line, table
    if junction.turn == "straight":
        return math.inf, 1, 0.0
    way = -1 if origin == "ahead" else 1
    beyond = (s < junction.enter - 1.0) if way < 0 else (s > junction.leave + 1.0)
    for at in np.flatnonzero(beyond & (np.abs(u) < _HORIZON) & (np.abs(d) < 12.0)):
        heading = float(road.pose(float(s[at]), 0.0)[3])
        if way * math.cos(heading - yaw) > 0.9:
            lanes = [snap(lane.offset) for lane in road.lanes if lane.direction == way and lane.kind == "driving"]
            if not lanes:
                break
            return float(u[at]), way, min(lanes, key=lambda offset: abs(offset - float(d[at])))
    return math.inf, 1, 0.0


def place(path: Path, u: float) -> Tuple[float, float]:
    """The projection (s, d) of a place on the path."""
    index = min(max(int((u - START) / RASTER), 0), len(path.s) - 1)
    return float(path.s[index]), float(path.d[index])
