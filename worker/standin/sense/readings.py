"""Which sensor sends what: a table from type ids to the functions that read them.

The same state of the world gives the same bytes: noise comes from the sensor's noise_seed and the frame. Payloads are without the
48-byte header that all sensors share.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List

from ..actors import Actor
from ..world import World
from . import events, inertial, lidar, pictures, radar, screens

INDEX: Dict[str, int] = {
    "sensor.other.collision": 0,
    "sensor.camera.depth": 1,
    "sensor.camera.normals": 2,
    "sensor.camera.dvs": 3,
    "sensor.other.gnss": 4,
    "sensor.other.imu": 5,
    "sensor.other.lane_invasion": 6,
    "sensor.other.obstacle": 7,
    "sensor.camera.optical_flow": 8,
    "sensor.other.radar": 9,
    "sensor.lidar.ray_cast_semantic": 10,
    "sensor.lidar.ray_cast": 11,
    "sensor.camera.rgb": 13,
    "sensor.camera.semantic_segmentation": 14,
    "sensor.camera.instance_segmentation": 15,
}
"""Type id -> the number that tells the client how to decode; the same in both dialects."""

Told = Callable[[Actor], Any]
"""An actor as the wire has it, which is the server's dialect."""

_CAMERAS: Dict[str, Callable[[Actor, World], bytes]] = {
    "sensor.camera.rgb": pictures.rgb,
    "sensor.camera.depth": screens.depth,
    "sensor.camera.semantic_segmentation": screens.semantic,
    "sensor.camera.instance_segmentation": screens.instance,
    "sensor.camera.normals": screens.normal,
    "sensor.camera.optical_flow": screens.flow,
    "sensor.camera.dvs": events.dvs,
}
_OTHERS: Dict[str, Callable[[Actor, World], bytes]] = {
    "sensor.lidar.ray_cast": lidar.plain,
    "sensor.lidar.ray_cast_semantic": lidar.semantic,
    "sensor.other.radar": radar.radar,
    "sensor.other.imu": inertial.imu,
    "sensor.other.gnss": inertial.gnss,
}
_EVENTS: Dict[str, Callable[[Actor, World, Told], List[bytes]]] = {
    "sensor.other.collision": inertial.collisions,
    "sensor.other.obstacle": radar.obstacles,
}


def readings(sensor: Actor, world: World, told: Told) -> List[bytes]:
    """The payloads that a sensor sends in this tick; cameras send none where nothing is rendered, lane invasion is the client's affair."""
    kind = sensor.type_id
    if kind in _CAMERAS:
        return [_CAMERAS[kind](sensor, world)] if world.rendering else []
    if kind in _OTHERS:
        return [_OTHERS[kind](sensor, world)]
    return _EVENTS[kind](sensor, world, told) if kind in _EVENTS else []
