"""The ego's sensors: the cameras of the rig and a collision sensor. They live as long as the ego does, over many episodes.

CARLA's streams call back from threads of the client. What comes is only put down here, under one lock; pictures are turned into arrays by
whoever asks, and only the last one of each camera is kept. Frames are matched by number: a late picture is waited for, an old one never
taken. CARLA sends BGRA; one pass makes RGB of it.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Dict, List, NamedTuple, Sequence

import cv2
import numpy as np

from b2d_zmq.errors import SimulatorError

from ...rig import Camera, Rig
from .link import Link, asking

_WAIT = 20.0  # seconds for a picture of the present frame
_WARM = 30  # ticks until every camera has sent something, at most


class Bump(NamedTuple):
    """A collision as its sensor tells it: the frame, and what the ego hit."""

    frame: int
    other: int  # id
    type_id: str
    impulse: float  # N s


class Sensors:
    """See the module's text. Made for one ego; ``close`` before that ego is gone."""

    def __init__(self, link: Link, ego: Any, rig: Rig) -> None:
        self._link, self._rig = link, rig
        self._news = threading.Condition()
        self._pictures: Dict[str, Any] = {}  # key -> the last carla.Image
        self._bumps: List[Bump] = []
        self._deaf = 0  # what was hit up to this frame is forgotten, however late its news come
        self._listens = False
        with asking("attaching the sensors"):
            self._cameras = {camera.key: self._camera(camera, ego) for camera in rig.cameras}
            feeler = link.blueprints.find("sensor.other.collision")
            self._collision = link.world.spawn_actor(feeler, link.carla.Transform(), attach_to=ego)
            self._collision.listen(self._bump)
        self.resume()

    def resume(self) -> None:
        """Have the cameras send; no-op while they do."""
        if not self._listens:
            for key, camera in self._cameras.items():
                camera.listen(lambda image, key=key: self._picture(key, image))
            self._listens = True

    def pause(self) -> None:
        """Have the cameras send nothing, so that nothing is rendered; the collision sensor goes on."""
        if self._listens:
            for camera in self._cameras.values():
                camera.stop()
            self._listens = False
            with self._news:
                self._pictures.clear()

    def warm(self) -> None:
        """Tick until every camera has sent a picture since it was last off: new streams take a moment. Raises SimulatorError."""
        if not self._missing(0, 0.0):
            return
        for _ in range(_WARM):
            frame = self._link.tick()
            if not self._missing(frame, 1.0):
                return
        missing = ", ".join(self._missing(0, 0.0)) or "a camera"
        raise SimulatorError(f"no picture of {missing} came within {_WARM} ticks; does this server render (it does not with -nullrhi)?")

    def observe(self, frame: int) -> Dict[str, np.ndarray[Any, Any]]:
        """The pictures of that frame, uint8 [height, width, 3] RGB. Raises SimulatorError where one does not come."""
        missing = self._missing(frame, _WAIT)
        if missing:
            raise SimulatorError(f"the picture of {', '.join(missing)} for frame {frame} did not come within {_WAIT:g} s")
        with self._news:
            images = dict(self._pictures)
        return {camera.key: _rgb(images[camera.key]) for camera in self._rig.cameras}

    def bumps(self, frame: int, patience: float) -> List[Bump]:
        """What the ego has hit since this was last asked, up to that frame; waits so many seconds for news of it. In a fixed order."""
        with self._news:
            if patience:
                self._news.wait_for(lambda: any(bump.frame == frame for bump in self._bumps), patience)
            told = sorted(bump for bump in self._bumps if self._deaf < bump.frame <= frame)
            self._bumps = [bump for bump in self._bumps if bump.frame > frame]
        return told

    def flush(self, frame: int) -> None:
        """Forget what was hit up to that frame, even where the news of it are still under way."""
        with self._news:
            self._deaf = frame
            self._bumps = [bump for bump in self._bumps if bump.frame > frame]

    def close(self) -> None:
        """Stop and destroy those that are still there."""
        known = self._link.world.get_snapshot()
        there = [sensor for sensor in (*self._cameras.values(), self._collision) if known.has_actor(sensor.id)]
        with asking("stopping the sensors"):
            for sensor in there:
                if self._listens or sensor is self._collision:
                    sensor.stop()
        self._listens = False
        self._link.remove(there, "removing the sensors")

    def _camera(self, camera: Camera, ego: Any) -> Any:
        carla = self._link.carla
        blueprint = self._link.blueprints.find("sensor.camera.rgb")
        for name, value in (("image_size_x", camera.width), ("image_size_y", camera.height), ("fov", camera.fov)):
            blueprint.set_attribute(name, str(value))
        mount = carla.Transform(
            carla.Location(x=camera.x, y=camera.y, z=camera.z), carla.Rotation(pitch=camera.pitch, yaw=camera.yaw, roll=camera.roll)
        )
        return self._link.world.spawn_actor(blueprint, mount, attach_to=ego)

    def _picture(self, key: str, image: Any) -> None:
        with self._news:
            self._pictures[key] = image
            self._news.notify_all()

    def _bump(self, event: Any) -> None:
        force, other = event.normal_impulse, event.other_actor
        bump = Bump(int(event.frame), int(other.id), str(other.type_id), (force.x**2 + force.y**2 + force.z**2) ** 0.5)
        with self._news:
            self._bumps.append(bump)
            self._news.notify_all()

    def _missing(self, frame: int, seconds: float) -> Sequence[str]:
        """The cameras whose picture of that frame has not come within so many seconds."""

        def late() -> List[str]:
            return [key for key in self._cameras if key not in self._pictures or self._pictures[key].frame < frame]

        deadline = time.monotonic() + seconds
        with self._news:
            while late() and (rest := deadline - time.monotonic()) > 0.0:
                self._news.wait(rest)
            return late()


def _rgb(image: Any) -> np.ndarray[Any, Any]:
    bgra = np.frombuffer(image.raw_data, np.uint8).reshape(image.height, image.width, 4)
    return np.asarray(cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGB))
