"""What is told of an episode, whatever simulator is behind it: the observation without its pictures, and info. Angles leave in degrees.

The layout is ``spaces.observation_space``'s; the same state gives the same bits. Nothing here changes the world or the task.
"""

from __future__ import annotations

import math
from typing import Any, Dict, Protocol, Sequence, Tuple

import numpy as np

from ..settings import Settings
from ..task import Task, Verdict
from ..world import weather as weathers
from ..world.ego import Ego
from ..world.expert import Hazard
from ..world.road import Road
from ..world.world import Events

AHEAD_POINTS = 16
AHEAD_SPACING = 2.0  # metres


class Seen(Protocol):
    """What the present moment of a world must offer, to be told of."""

    @property
    def ego(self) -> Ego: ...
    @property
    def road(self) -> Road: ...
    @property
    def scenario_state(self) -> Tuple[str, str, str]: ...  # type, archetype, "waiting" | "running" | "done"
    @property
    def lane_offset(self) -> float: ...  # metres that the ego is to the right of the route's line
    @property
    def heading_error(self) -> float: ...  # radians that it points to the right of the route's heading
    def command(self) -> int: ...  # an index into spaces.COMMANDS
    def hazard(self) -> Hazard: ...
    def ahead(self, n: int, spacing: float) -> Any: ...  # float64 [n, 2]: a wise driver's line from the ego on


def observation(world: Seen, task: Task, settings: Settings) -> Dict[str, Any]:
    """``vehicle_state``, ``scenario_info`` and ``navigation``, float32 arrays as the space wants them."""
    ego = world.ego
    return {
        "vehicle_state": {
            "position": _floats(ego.x, ego.y, ego.z),
            "rotation": _floats(*_rotation(world)),
            "velocity": _floats(ego.vx, ego.vy, 0.0),
            "speed": _floats(math.hypot(ego.vx, ego.vy)),
        },
        "scenario_info": {
            "route_id": _floats(settings.route.id),
            "step_count": _floats(task.ticks),
            "max_steps": _floats(settings.terms.max_steps),
        },
        "navigation": {
            "command": int(world.command()),
            "distance_to_goal": _floats(max(0.0, task.length - ego.s)),
            "route_completion": _floats(task.completion),
        },
    }


def info(world: Seen, task: Task, settings: Settings, reward_terms: Dict[str, float]) -> Dict[str, Any]:
    """What every outcome tells people, logs and the route follower."""
    ego, hazard = world.ego, world.hazard()
    pitch, yaw, roll = _rotation(world)
    kind, archetype, state = world.scenario_state
    return {
        "route_id": settings.route.id,
        "town": settings.route.town,
        "seed": settings.seed,
        "step_count": task.ticks,
        "cumulative_reward": task.cumulative_reward,
        "reward_terms": reward_terms,
        "vehicle_state": {
            "position": {"x": float(ego.x), "y": float(ego.y), "z": float(ego.z)},
            "rotation": {"pitch": pitch, "yaw": yaw, "roll": roll},
            "velocity": {"x": float(ego.vx), "y": float(ego.vy), "z": 0.0},
            "speed": math.hypot(ego.vx, ego.vy),
        },
        "scenario": {"type": kind, "archetype": archetype, "state": state},
        "weather": weathers.name_of(settings.weather),
        "speed_limit": float(hazard.speed_limit),
        "route_ahead": np.asarray(world.ahead(AHEAD_POINTS, AHEAD_SPACING), np.float32),
        "hazard": {name: float(value) for name, value in hazard._asdict().items()},
        "lane_offset": float(world.lane_offset),
        "heading_error": float(world.heading_error),
    }


def beginning(world: Seen, settings: Settings) -> Dict[str, Any]:
    """What info tells at reset and restore only.

    ``route``: the whole reference line, float32 [N, 2], every 2 m. ``lanes``: the strips of the road from left to right, float32 [L, 3],
    each its middle's metres to the right of the line, its width, and its direction (1 the ego's way, -1 oncoming, 0 nobody drives there).
    ``traffic_density``.
    """
    length = world.road.length
    s = np.append(np.arange(0.0, length, AHEAD_SPACING), length)
    x, y = world.road.pose(s, np.zeros_like(s))[:2]
    lanes = [(lane.offset, lane.width, lane.direction) for lane in world.road.lanes]
    route = np.stack([x, y], axis=1).astype(np.float32)
    return {"route": route, "lanes": np.array(lanes, np.float32), "traffic_density": settings.traffic_density}


def happenings(verdicts: Sequence[Verdict], happened: Sequence[Events]) -> Dict[str, Any]:
    """What info tells of a step only when it happened: the collision and the infractions, each as often as it did."""
    infractions = [name for verdict in verdicts for name in verdict.infractions]
    collisions = [events.collision_with or events.collision for events in happened if events.collision]
    told: Dict[str, Any] = {}
    if collisions:
        told["collision"] = collisions[-1]
    if infractions:
        told["infractions"] = infractions
    return told


def ending(task: Task) -> Dict[str, Any]:
    """What info tells of an episode that has ended."""
    told: Dict[str, Any] = {}
    if task.terminated:
        told["termination"] = task.ended
    if task.truncated:
        told["max_steps_reached"] = True
    if task.ended == "completed":
        told["route_completed"] = True
    return told


def edges(road: Road) -> Tuple[float, float]:
    """The d of the road's left and right edge, its outermost strips included."""
    return min(lane.offset - lane.width / 2 for lane in road.lanes), max(lane.offset + lane.width / 2 for lane in road.lanes)


def _rotation(world: Seen) -> Tuple[float, float, float]:
    """Pitch, yaw and roll in degrees, from -180 to 180."""
    ego = world.ego
    return _degrees(ego.pitch), _degrees(ego.yaw), _degrees(ego.roll)


def _degrees(angle: float) -> float:
    return math.remainder(math.degrees(angle), 360.0)


def _floats(*values: float) -> np.ndarray[Any, Any]:
    return np.array(values, np.float32)
