"""What is told of the embedded world: the observation without its pictures, and info. Angles leave here in degrees.

The layout is ``spaces.observation_space``'s; the same world state gives the same bits. Nothing here changes the world or the task.
"""

from __future__ import annotations

import math
from typing import Any, Dict, Tuple

import numpy as np

from ..settings import Settings
from ..task import Task
from ..world import weather as weathers
from ..world.road import Road
from ..world.world import World

AHEAD_POINTS = 16
AHEAD_SPACING = 2.0  # metres


def observation(world: World, task: Task, settings: Settings) -> Dict[str, Any]:
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


def info(world: World, task: Task, settings: Settings, reward_terms: Dict[str, float]) -> Dict[str, Any]:
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


def beginning(world: World, settings: Settings) -> Dict[str, Any]:
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


def edges(road: Road) -> Tuple[float, float]:
    """The d of the road's left and right edge, its outermost strips included."""
    return min(lane.offset - lane.width / 2 for lane in road.lanes), max(lane.offset + lane.width / 2 for lane in road.lanes)


def _rotation(world: World) -> Tuple[float, float, float]:
    """Pitch, yaw and roll in degrees, from -180 to 180."""
    ego = world.ego
    return _degrees(ego.pitch), _degrees(ego.yaw), _degrees(ego.roll)


def _degrees(angle: float) -> float:
    return math.remainder(math.degrees(angle), 360.0)


def _floats(*values: float) -> np.ndarray[Any, Any]:
    return np.array(values, np.float32)
