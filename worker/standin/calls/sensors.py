"""Calls about sensors, beyond their streams: ROS, G-buffers and V2X, of which the stand-in has none."""

from __future__ import annotations

from typing import Any, Dict

from ..errors import Refusal
from ..layouts import Wire
from ..simulator import Simulator
from .table import Call


def is_sensor_enabled_for_ros(_sim: Simulator, _stream: int) -> Wire:
    """There is no ROS."""
    return False


def are_gbuffers_enabled(sim: Simulator, number: int) -> Wire:
    """There are no G-buffers."""
    sim.actor(number)
    return False


def _no_gbuffers(_sim: Simulator, number: int, *_arguments: Any) -> None:
    raise Refusal(f"sensor {number}: the stand-in has no G-buffers")


def _no_v2x(_sim: Simulator, number: int, *_arguments: Any) -> None:
    raise Refusal(f"sensor {number}: the stand-in has no V2X")


def set_ignored_vehicles(sim: Simulator, number: int, vehicles: Wire) -> None:
    """Kept with the sensor's attributes."""
    sim.actor(number).attributes["ignored_vehicles"] = ",".join(str(each) for each in vehicles)


def _nothing(_sim: Simulator, *_arguments: Any) -> None:
    """Taken and without effect."""


CALLS: Dict[str, Call] = {
    "is_sensor_enabled_for_ros": is_sensor_enabled_for_ros,
    "enable_sensor_for_ros": _nothing,
    "disable_sensor_for_ros": _nothing,
    "enable_gbuffers": _no_gbuffers,
    "are_gbuffers_enabled": are_gbuffers_enabled,
    "get_gbuffer_token": _no_gbuffers,
    "set_ignored_vehicles": set_ignored_vehicles,
    "send": _no_v2x,
}
