"""Bench2Drive's route XML -> routes: town, waypoints, scenarios, weather. Refuses what is malformed or hostile.

Coordinates are CARLA's: left-handed, x and y in metres on the ground, z up, yaw in degrees clockwise seen from above.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Tuple

import numpy as np


@dataclass(frozen=True)
class Scenario:
    """One scenario of a route: one of Bench2Drive's 44 types, where it triggers, and its other elements as text."""

    name: str
    type: str
    trigger: Tuple[float, float, float, float]  # x, y, z in metres, yaw in degrees
    parameters: Dict[str, Dict[str, str]]  # element -> its attributes, such as {"direction": {"value": "left"}}


@dataclass(frozen=True)
class Weather:
    """CARLA's weather parameters that matter here; percentages from 0 to 100, angles in degrees."""

    cloudiness: float = 5.0
    precipitation: float = 0.0
    precipitation_deposits: float = 0.0
    wetness: float = 0.0
    wind_intensity: float = 10.0
    sun_azimuth_angle: float = -1.0
    sun_altitude_angle: float = 45.0
    fog_density: float = 2.0


@dataclass(frozen=True)
class Route:
    """One route of a file."""

    id: int
    town: str
    waypoints: np.ndarray[Any, Any]  # float64 [N, 3], N >= 2
    scenarios: Tuple[Scenario, ...]
    weather: Weather  # the one at route_percentage 0
