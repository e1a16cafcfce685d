"""Sensor rigs: which cameras a worker carries. Built in: predecessor, bench2drive, state; or a JSON file of the same shape.

Places are metres in the vehicle's frame (x forward, y right, z up), angles degrees (yaw positive to the right), as in CARLA.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Tuple

from b2d_zmq.errors import InvalidRig, UnknownOption


@dataclass(frozen=True)
class Camera:
    """One camera; its picture stands in the observation under ``key``."""

    key: str
    x: float
    y: float
    z: float
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    width: int = 1024
    height: int = 512
    fov: float = 110.0


@dataclass(frozen=True)
class Rig:
    """The cameras of a worker, under a name that people know."""

    name: str
    cameras: Tuple[Camera, ...]

    @property
    def images(self) -> Dict[str, Tuple[int, int]]:
        """Observation key -> (height, width)."""
        return {camera.key: (camera.height, camera.width) for camera in self.cameras}


RIGS = {
    "predecessor": Rig(
        "predecessor",
        (
            Camera("center_image", -1.5, 0.0, 2.0),
            Camera("left_image", -1.5, -0.5, 2.0, yaw=-45.0),
            Camera("right_image", -1.5, 0.5, 2.0, yaw=45.0),
        ),
    ),
    "bench2drive": Rig(
        "bench2drive",
        (
            Camera("front_image", 0.80, 0.0, 1.60, 0.0, width=1600, height=900, fov=70.0),
            Camera("front_left_image", 0.27, -0.55, 1.60, -55.0, width=1600, height=900, fov=70.0),
            Camera("front_right_image", 0.27, 0.55, 1.60, 55.0, width=1600, height=900, fov=70.0),
            Camera("back_image", -2.0, 0.0, 1.60, 180.0, width=1600, height=900, fov=110.0),
            Camera("back_left_image", -0.32, -0.55, 1.60, -110.0, width=1600, height=900, fov=70.0),
            Camera("back_right_image", -0.32, 0.55, 1.60, 110.0, width=1600, height=900, fov=70.0),
        ),
    ),
    "state": Rig("state", ()),
}


def load(name: str) -> Rig:
    """The rig of that name, or of the JSON file at that path. Raises UnknownOption or InvalidRig."""
    if name in RIGS:
        return RIGS[name]
    path = Path(name)
    if not path.is_file():
        raise UnknownOption(f"no sensor rig {name!r}; there are {', '.join(RIGS)}, or give the path of a JSON file")
    try:
        cameras = json.loads(path.read_text(encoding="utf-8"))["cameras"]
        rig = Rig(path.stem, tuple(_camera(camera) for camera in cameras))
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise InvalidRig(f"{path}: not a sensor rig ({error}); {_SHAPE}") from None
    if len({camera.key for camera in rig.cameras}) != len(rig.cameras):
        raise InvalidRig(f"{path}: two cameras have one key")
    return rig


_SHAPE = 'wanted: {"cameras": [{"key": "front_image", "x": 1.5, "y": 0, "z": 1.7, "yaw": 0, "width": 640, "height": 360, "fov": 90}]}'
_LIMITS = {"width": (16, 4096), "height": (16, 4096), "fov": (10, 170), "x": (-50, 50), "y": (-50, 50), "z": (0, 100)}


def _camera(fields: Dict[str, Any]) -> Camera:
    camera = Camera(**fields)
    if not isinstance(camera.key, str) or not camera.key.isidentifier() or camera.key in ("vehicle_state", "scenario_info", "navigation"):
        raise ValueError(f"key {camera.key!r} must be a plain word that is not taken")
    for name in ("x", "y", "z", "yaw", "pitch", "roll", "width", "height", "fov"):
        value = getattr(camera, name)
        low, high = _LIMITS.get(name, (-360, 360))
        wanted = (int,) if name in ("width", "height") else (int, float)
        if type(value) not in wanted or not low <= value <= high:
            raise ValueError(f"{name} of {camera.key} must be a number from {low} to {high}")
    return camera
