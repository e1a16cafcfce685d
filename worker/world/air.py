"""Light and sight of one weather: sun, ambient light, haze, and what they make of the ground under a lens.

Ground and fog are rigid to the camera, so what happens to the ground's colours between surface and lens is two constant pictures for each
lens: one to multiply with (light, headlights, haze) and one to add (haze, wet shine). Colours are float RGB, 1.0 = white in full light.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Tuple

import cv2
import numpy as np

from ..routes import Weather
from . import weather as weathers
from .lens import Lens

UNIT = 64  # the gain picture's value for "as painted"; 255 is then four times as bright
GROUND_ENDS = 380.0  # metres: all ground has become haze there


def mix(a: Any, b: Any, weight: Any) -> Any:
    """From a (weight 0) to b (weight 1)."""
    return a + (b - a) * weight


def smooth(value: float, low: float, high: float) -> float:
    """0 below low, 1 above high, smooth between."""
    t = min(1.0, max(0.0, (value - low) / (high - low)))
    return t * t * (3 - 2 * t)


def _rgb(*values: float) -> np.ndarray[Any, Any]:
    return np.array(values, np.float64) / 255.0


class Air:
    """The light of one weather. ``night`` 0..1, ``rain`` 0..1, ``wet`` 0..1, ``fog`` per metre, colours float64 [3]."""

    def __init__(self, weather: Weather, town_kind: str) -> None:
        altitude, clouds = weather.sun_altitude_angle, weather.cloudiness / 100.0
        self.clouds, self.rain = clouds, weather.precipitation / 100.0
        self.wet, self.fog = weathers.wet(weather), weathers.fog(weather)
        day = smooth(altitude, -9.0, 14.0)
        self.night = 1.0 - smooth(altitude, -7.0, 4.0)
        self.dull = min(1.0, 0.75 * clouds + 0.5 * self.rain + 18.0 * min(0.1, max(0.0, self.fog - 0.005)))
        self.low_sun = smooth(altitude, -8.0, 1.0) * (1.0 - smooth(altitude, 8.0, 32.0)) * (1.0 - 0.85 * self.dull)
        self.sun_direction = _direction(weather.sun_azimuth_angle, altitude)
        warmth = mix(_rgb(255, 148, 70), _rgb(255, 246, 228), smooth(altitude, 2.0, 35.0))
        self.sun = warmth * smooth(altitude, -2.0, 9.0) * (1.0 - 0.93 * self.dull) * (1.0 - 0.42 * smooth(altitude, 20.0, 80.0))
        dark = _rgb(52, 50, 50) if town_kind == "urban" else _rgb(34, 37, 46)
        light = mix(_rgb(122, 131, 146), _rgb(178, 182, 186) * (1.0 - 0.25 * self.rain), self.dull)
        self.ambient = mix(dark, mix(light, _rgb(128, 112, 122), 0.6 * self.low_sun), day)
        gray = mix(_rgb(196, 212, 230), _rgb(188, 191, 194) * (1.0 - 0.3 * self.rain), self.dull)
        dusk = mix(gray, _rgb(244, 186, 128), 0.85 * self.low_sun)
        self.haze = mix(_rgb(22, 24, 31) if town_kind != "urban" else _rgb(34, 32, 33), dusk, day)
        blue = mix(_rgb(72, 122, 198), _rgb(146, 152, 160) * (1.0 - 0.3 * self.rain), self.dull)
        self.zenith = mix(_rgb(5, 7, 15), mix(blue, _rgb(82, 98, 148), 0.7 * self.low_sun), day)
        self.sees = min(GROUND_ENDS, 4.5 / self.fog)  # metres beyond which nothing is worth drawing

    @property
    def shadow(self) -> np.ndarray[Any, Any]:
        """What is left of the ground's light in a shadow, per colour."""
        out: np.ndarray[Any, Any] = self.ambient / self.ground_light
        return out

    @property
    def ground_light(self) -> np.ndarray[Any, Any]:
        """The light on level ground."""
        out: np.ndarray[Any, Any] = self.ambient + self.sun * max(0.12, float(self.sun_direction[2]))
        return out

    def veil(self, distance: Any) -> Any:
        """How much of a thing at that distance is haze, 0..1; at GROUND_ENDS it is all."""
        far = np.clip((np.asarray(distance) - 0.45 * GROUND_ENDS) / (0.5 * GROUND_ENDS), 0.0, 1.0)
        return 1.0 - np.exp(-self.fog * np.asarray(distance)) * (1.0 - far * far)

    def headlights(self, x: Any, y: Any) -> Any:
        """The light of the ego's own lamps at places of its frame: x metres ahead, y to the right."""
        ahead = np.clip((x - 1.5) / 5.0, 0.0, 1.0) * np.exp(-np.clip(x - 6.0, 0.0, None) / 17.0)
        return self.night * 1.15 * ahead * np.exp(-np.square(y / (1.7 + 0.27 * np.clip(x, 0.0, None))))


def _direction(azimuth: float, altitude: float) -> np.ndarray[Any, Any]:
    """Towards the sun, in the world. CARLA's azimuth counts from x, clockwise; a sun below the horizon lights nothing."""
    a, e = math.radians(azimuth), math.radians(max(altitude, 1.0))
    return np.array([math.cos(a) * math.cos(e), math.sin(a) * math.cos(e), math.sin(e)])


def ground_gain(air: Air, glass: Lens) -> Tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """(to multiply by / UNIT, to add): uint8 [rows, W, 3] for the ground's rows of a lens."""
    points, distance = _ground(glass)
    clear = (1.0 - air.veil(distance)).astype(np.float32)[:, :, None]
    beam = air.headlights(points[:, :, 0], points[:, :, 1]).astype(np.float32)[:, :, None]
    tail = np.exp(-np.square((points[:, :, 0] + 4.5) / 2.5) - np.square(points[:, :, 1] / 1.6)).astype(np.float32)[:, :, None]
    light = air.ground_light.astype(np.float32) * np.float32(1.0 - 0.38 * air.wet)
    lamps = beam * np.array([1.0, 0.96, 0.86], np.float32) + tail * np.float32(0.25 * air.night) * np.array([1.0, 0.1, 0.08], np.float32)
    gain = (light + lamps) * clear
    sine = np.float32(glass.place[2]) / np.maximum(distance, np.float32(1e-3))
    shine = (0.5 * air.wet * np.power(1.0 - np.clip(sine, 0.0, 1.0), 4)).astype(np.float32)[:, :, None] * clear
    added = air.haze.astype(np.float32) * (1.0 - clear) + mix(air.haze, air.zenith, 0.35).astype(np.float32) * shine
    size = (glass.width, glass.ground_rows[1] - glass.ground_rows[0])
    return _bytes(gain * (1.0 - shine), UNIT, size), _bytes(added, 255, size)


@lru_cache(maxsize=64)
def _ground(glass: Lens) -> Tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The ground's points and distances for every second pixel of a lens, made once."""
    return glass.ground_points(glass.ground_rows, step=2)


def _bytes(values: Any, unit: float, size: Tuple[int, int]) -> np.ndarray[Any, Any]:
    """Float colours at half size as bytes at full size (width, height)."""
    if not values.size:
        return np.zeros((size[1], size[0], 3), np.uint8)
    full = cv2.resize(np.clip(values * unit, 0, 255).astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(np.rint(full).astype(np.uint8))


def streaks(air: Air, width: int, height: int, seed: int) -> np.ndarray[Any, Any]:
    """Rain to add to a picture: uint8 [height, width, 3]; a window of it moves with the tick."""
    random = np.random.RandomState(seed)
    sheet = np.zeros((height, width), np.uint8)
    for _ in range(int(air.rain * width * height / 2600)):
        x, y, long = random.randint(width), random.randint(height), random.randint(10, 46)
        cv2.line(sheet, (x, y), (x - long // 7, y + long), int(random.randint(12, 52)), 1, cv2.LINE_AA)
    tint = np.clip(0.35 + air.haze * 0.8, 0, 1)
    return cv2.merge([cv2.LUT(sheet, (np.arange(256) * part).astype(np.uint8)) for part in tint])
