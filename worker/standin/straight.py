"""Roads of routes that change lanes: straight on, with the lanes that the route changes to.

The embedded world bends such a road with its route, which is then always in one lane. On a map the lanes go straight on and the route
crosses over, as Bench2Drive's waypoints do.
Rule: only routes that change lanes are touched.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import List, Sequence, Tuple

import numpy as np

from ..routes import Route
from ..world import road as roads
from ..world.lanes import Lane
from ..world.road import LaneChange, Road


def road_of(route: Route) -> Road:
    """The road of a route."""
    bent = roads.build(route, 0)
    if not bent.lane_changes:
        return bent
    points = np.array(_back(route, bent))
    points.flags.writeable = False
    straight = roads.build(replace(route, waypoints=points), 0)
    sides = np.cumsum([change.lateral for change in bent.lane_changes]).tolist()
    return replace(straight, lanes=_widened(bent.lanes, min(0.0, *sides), max(0.0, *sides)), lane_changes=())


def _back(route: Route, road: Road) -> List[Tuple[float, float, float]]:
    """The waypoints moved back into the first lane, without those on the way from lane to lane."""
    s, _ = road.project(route.waypoints[:, 0], route.waypoints[:, 1])
    points = []
    for (x, y, z), at in zip(route.waypoints.tolist(), s.tolist()):
        if any(change.enter + 0.5 < at < change.leave - 0.5 for change in road.lane_changes):
            continue
        aside = sum(change.lateral for change in road.lane_changes if _behind(change, at))
        yaw = road.level(at)[1]
        points.append((x + aside * math.sin(yaw), y - aside * math.cos(yaw), z))
    return points


def _behind(change: LaneChange, s: float) -> bool:
    return s > (change.enter + change.leave) / 2.0


def _widened(lanes: Sequence[Lane], left: float, right: float) -> Tuple[Lane, ...]:
    """The lanes with as many more of the route's way as reach from d = ``left`` to ``right``."""
    own = [lane for lane in lanes if lane.kind == "driving" and lane.direction > 0]
    width = own[0].width
    before = max(0, round(-left / width) - sum(lane.offset < -0.1 for lane in own))
    behind = max(0, round(right / width) - sum(lane.offset > 0.1 for lane in own))
    first, last = own[0].offset, own[-1].offset
    outer = [replace(lane, offset=lane.offset - before * width) for lane in lanes if lane.offset < first]
    added = [replace(own[0], offset=first - k * width) for k in range(before, 0, -1)]
    more = [replace(own[0], offset=last + k * width) for k in range(1, behind + 1)]
    far = [replace(lane, offset=lane.offset + behind * width) for lane in lanes if lane.offset > last]
    return (*outer, *added, *own, *more, *far)
