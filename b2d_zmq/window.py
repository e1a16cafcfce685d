"""What a person sees: the picture that ``render`` gives, and the window of ``render_mode="human"``.

The window is matplotlib's, which is an extra and is imported only when a window is wanted.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from gymnasium import spaces

from .errors import WrongMode

log = logging.getLogger(__name__)


class Window:
    """Shows one picture at a time. Raises ImportError that says what to install."""

    def __init__(self, title: str) -> None:
        try:
            from matplotlib import pyplot  # noqa: PLC0415 (an extra, needed here alone)
        except ImportError as error:
            raise ImportError("render_mode='human' needs matplotlib: pip install 'b2d-zmq[human]', or use 'rgb_array'") from error
        self._pyplot = pyplot
        self._figure = pyplot.figure(title)
        self._axes = self._figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self._axes.set_axis_off()
        self._image: Any = None
        self._seen = pyplot.get_backend().lower() != "agg"
        if not self._seen:
            log.warning("matplotlib has no display here (backend agg): pictures are drawn but not shown; use render_mode='rgb_array'")

    def show(self, picture: np.ndarray[Any, Any]) -> None:
        """Show a picture [H, W, 3] uint8 RGB and let the window react."""
        if self._image is None:
            self._image = self._axes.imshow(picture)
        else:
            self._image.set_data(picture)
        self._figure.canvas.draw_idle()
        if self._seen:
            self._pyplot.pause(0.001)

    def close(self) -> None:
        """Close the window."""
        self._pyplot.close(self._figure)


def first_picture(space: spaces.Space[Any], observation: Any) -> np.ndarray[Any, Any]:
    """A copy of the first camera's picture, uint8 [H, W, 3]; raises WrongMode when the sensor rig has no camera."""
    for key, part in getattr(space, "spaces", {}).items():
        if isinstance(part, spaces.Box) and len(part.shape) == 3:
            return np.array(observation[key], np.uint8)
    raise WrongMode("nothing to render: the farm's sensor rig has no camera; start its workers with --sensors predecessor")
