"""The traffic lights and stop signs of a CARLA map that a route meets, behind the embedded world's rules for stop lines.

A light belongs to a junction of the road if one of its stop waypoints lies in the route's lane at the junction's entry. What a light
shows is read from the world's snapshot, without a call. Lights are in the order of their OpenDRIVE ids, which all servers share.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, List, NamedTuple, Sequence, Tuple

import numpy as np

from ...world.road import Junction, Road
from ...world.signals import GREEN, OFF, RED, YELLOW, Signals

_BEFORE, _BEHIND = 25.0, 4.0  # metres from a stop line to the entry of its junction, at most
_BESIDE = 1.9  # metres from the middle of the route's lane
_NEAR = 60.0  # metres from the route beyond which a light cannot be its own


class Governed(NamedTuple):
    """A road whose junctions know their controls, and for each junction the carla.TrafficLight that the ego meets there, or None."""

    road: Road
    lights: Tuple[Any, ...]


def govern(road: Road, world: Any) -> Governed:
    """Find the lights and stop signs of the road's junctions; their lines become the junctions' entries."""
    actors = world.get_actors()
    lights = sorted(actors.filter("traffic.traffic_light*"), key=_sign_of)
    lines = [(s, light) for light in lights for s in _stop_lines(road, light)]
    signs = [s for sign in actors.filter("traffic.stop*") for s in _stop_signs(road, sign)]
    junctions: List[Junction] = []
    found: List[Any] = []
    for junction in road.junctions:
        fits = [(abs(junction.enter - s), number, s) for number, (s, _) in enumerate(lines) if _belongs(s, junction)]
        stops = [s for s in signs if _belongs(s, junction)]
        if fits:
            _, number, s = min(fits)
            junctions.append(replace(junction, control="light", enter=_entry(s, junction)))
            found.append(lines[number][1])
        else:
            line = _entry(max(stops), junction) if stops else junction.enter
            junctions.append(replace(junction, control="stop" if stops else "yield", enter=line))
            found.append(None)
    return Governed(replace(road, junctions=tuple(junctions)), tuple(found))


class TownSignals(Signals):
    """The lights of the road's junctions as they show now, and what the ego did at its stop lines (``served``)."""

    def __init__(self, governed: Governed) -> None:
        self.junctions = governed.road.junctions
        self.served = [0] * len(self.junctions)
        self._lights = governed.lights
        self._shown = [OFF] * len(self.junctions)

    def read(self) -> None:
        """Take over what the lights show in the present snapshot."""
        for index, light in enumerate(self._lights):
            if light is not None:
                self._shown[index] = _COLOURS.get(str(light.state), OFF)

    def light(self, junction: int, group: int, tick: int) -> int:
        """What the light shows to the route (group 0) or, as far as can be told from that, to crossing traffic (1)."""
        shown = self._shown[junction]
        if group == 0 or shown == OFF:
            return shown
        return GREEN if shown == RED else RED


_COLOURS = {"Red": RED, "Yellow": YELLOW, "Green": GREEN}


def _sign_of(light: Any) -> str:
    return str(light.get_opendrive_id())


def _stop_lines(road: Road, light: Any) -> List[float]:
    """The s of its stop lines in the route's own lane."""
    if not _near(road, light.get_transform().location):
        return []
    return _on_route(road, [waypoint.transform for waypoint in light.get_stop_waypoints()])


def _near(road: Road, location: Any) -> bool:
    return bool(((road.x - location.x) ** 2 + (road.y - location.y) ** 2).min() < _NEAR * _NEAR)


def _stop_signs(road: Road, sign: Any) -> List[float]:
    """The s of the box in which a stop sign holds, where that lies in the route's lane; which way a sign faces differs from map to map."""
    middle = sign.get_transform().transform(sign.trigger_volume.location)
    if not _near(road, middle):
        return []
    s, d = _project(road, middle)
    return [s] if abs(d) < _BESIDE else []


def _on_route(road: Road, transforms: Sequence[Any]) -> List[float]:
    """The s of those of these places that lie in the route's lane and face its way."""
    found = []
    for transform in transforms:
        s, d = _project(road, transform.location)
        if abs(d) < _BESIDE and math.cos(math.radians(transform.rotation.yaw) - road.level(s)[1]) > 0.5:
            found.append(s)
    return found


def _project(road: Road, place: Any) -> Tuple[float, float]:
    s, d = road.project(np.array([place.x]), np.array([place.y]))
    return float(s[0]), float(d[0])


def _belongs(s: float, junction: Junction) -> bool:
    return junction.enter - _BEFORE < s < junction.enter + _BEHIND


def _entry(s: float, junction: Junction) -> float:
    """The stop line, but never within the junction itself."""
    return min(s, junction.enter)
