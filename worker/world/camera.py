"""Pictures of the embedded world: what a camera on the ego sees, as a function of the world's state, bit for bit.

A picture is laid in five coats: ground, the light, haze and shadows on it, sky, solid things from far to near, rain.
Heights are counted from the ground under each thing; the ground is the plane under the ego (see lens.py). The ego itself is not drawn.
"""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Tuple

import cv2
import numpy as np

from ..rig import Camera
from ..routes import Weather
from . import air as light
from . import drawing, ground, layout, scenery, sky, solids
from .casts import signals_of, vehicles_of
from .lens import Lens, lens, project
from .road import Road
from .shade import cast
from .sight import Sight

__all__ = ["Painter", "project"]

MOST_VIEWS = 24  # kept by a painter: more than any rig has cameras, but a camera that moves by itself needs another one in each picture


class _View(NamedTuple):
    """What is constant for one camera in one episode."""

    glass: Lens
    sky: sky.SkyLens | None
    bands: Any
    gain: Any
    added: Any
    sky_only: Any  # where ground and sky share rows: the mask of the sky's pixels


class Painter:
    """Paints pictures of one episode's world: one road, one weather, one seed."""

    def __init__(self, road: Road, weather: Weather, seed: int) -> None:
        self._air = light.Air(weather, road.town_kind)
        patches = layout.lay(road)
        self.scenery = scenery.stand(road, patches, self._air, seed)
        fallen = scenery.shadows(self.scenery, self._air)
        self._ground = ground.Ground(patches, fallen, self._air.shadow, road.town_kind, seed)
        self._sky = sky.Sky(self._air, road.town_kind, seed)
        self._views: Dict[Camera, _View] = {}
        self._shown: Tuple[bytes, Any] = (b"none yet", None)
        self._seed = seed
        self._rain: Dict[Tuple[int, int], Any] = {}

    def render(self, world: Any, camera: Camera, out: np.ndarray[Any, Any] | None = None) -> np.ndarray[Any, Any]:
        """The picture uint8 [H, W, 3], RGB, of a camera on the world's ego; into ``out`` where given.

        ``world`` has ``actors``, ``signals``, ``ego`` and ``tick``. Raises ValueError for an ``out`` of another shape or type.
        """
        image = _canvas(camera, out)
        view = self._view(camera)
        ego = world.ego
        actors, tick = world.actors, int(world.tick)
        sight = Sight(view.glass, self._air, float(ego.x), float(ego.y), float(ego.yaw))
        things, signs = vehicles_of(actors, sight, tick), self._signs(world.signals)
        seen = [solids.standing(sight, faces) for faces in (self.scenery, signs) if faces is not None]
        if things is not None:
            seen.append(solids.moving(sight, things))
        self._background(image, view, sight, actors)
        drawing.draw(image, sight, seen, self.scenery.walls)
        if self._air.rain > 0.02:
            self._drizzle(image, tick, camera)
        return image

    def _background(self, image: Any, view: _View, sight: Sight, actors: Any) -> None:
        """Sky, ground, light, haze and shadows."""
        top, bottom = view.glass.ground_rows
        land = image[top:bottom]
        if bottom > top:
            self._ground.paint(view.bands, sight, land)
            gain = cast(view.gain, sight, actors, top)
            cv2.multiply(land, gain, dst=land, scale=1 / light.UNIT)
            cv2.add(land, view.added, dst=land)
        top, bottom = view.glass.sky_rows
        if view.sky is None:
            return
        if view.sky_only is None:
            self._sky.paint(view.sky, sight.yaw, image[top:bottom])
        else:
            heaven = np.empty((bottom - top, image.shape[1], 3), np.uint8)
            self._sky.paint(view.sky, sight.yaw, heaven)
            cv2.copyTo(heaven, view.sky_only, image[top:bottom])

    def _signs(self, signals: Any) -> Any:
        """The faces of the signals; they move never and change seldom, so the last ones are kept."""
        key = b"/".join(np.asarray(column).tobytes() for column in (signals.x, signals.y, signals.yaw, signals.kind, signals.state))
        if self._shown[0] != key:
            self._shown = (key, signals_of(signals, self._air))
        return self._shown[1]

    def _view(self, camera: Camera) -> _View:
        if camera not in self._views:
            if len(self._views) >= MOST_VIEWS:
                del self._views[next(iter(self._views))]
            glass = lens(camera)
            top, bottom = glass.sky_rows
            above = sky.sky_lens(glass)
            mixed = above is not None and top < glass.ground_rows[1] and glass.ground_rows[0] < bottom
            mask = (glass.directions(glass.sky_rows)[:, :, 2] >= 0).astype(np.uint8) * 255 if mixed else None
            gain, added = light.ground_gain(self._air, glass)
            self._views[camera] = _View(glass, above, ground.bands(glass), gain, added, mask)
        return self._views[camera]

    def _drizzle(self, image: Any, tick: int, camera: Camera) -> None:
        """Add the rain of that tick: a window of one sheet of streaks, at a place that the tick decides."""
        size = (camera.width, camera.height)
        if size not in self._rain:
            self._rain[size] = light.streaks(self._air, camera.width + 256, camera.height + 256, (self._seed + 3) % 2**32)
        x, y = tick * 149 % 251, tick * 97 % 239
        cv2.add(image, self._rain[size][y : y + camera.height, x : x + camera.width], dst=image)


def _canvas(camera: Camera, out: np.ndarray[Any, Any] | None) -> np.ndarray[Any, Any]:
    shape = (camera.height, camera.width, 3)
    if out is None:
        return np.empty(shape, np.uint8)
    if out.shape != shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
        raise ValueError(f"out must be a C-contiguous uint8 array of shape {list(shape)}; got {out.dtype} {list(out.shape)}")
    return out
