"""The sky of one weather as a panorama all around, and the part of it that a lens sees.

A panorama's columns are azimuths in the world, its rows elevations, so turning the car is a shift of columns. The lowest row is exactly
the haze into which the far ground fades: sky and ground meet without a seam.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Tuple

import cv2
import numpy as np

from .air import Air, mix
from .lens import Lens

AROUND = 2048  # columns of the panorama: 360 degrees
UP = 512  # rows: 90 degrees, the zenith first


class Sky:
    """The panorama and, for each lens, where its pixels are found in it."""

    def __init__(self, air: Air, town_kind: str, seed: int) -> None:
        sky = _panorama(air, seed)
        _skyline(sky, air, town_kind, seed)
        _horizon(sky, air)
        self._panorama = cv2.cvtColor(np.concatenate([sky, sky], axis=1), cv2.COLOR_RGB2RGBA)  # four channels are found faster than three

    def paint(self, glass: SkyLens, yaw: float, out: np.ndarray[Any, Any]) -> None:
        """Fill ``out``, the rows of a picture in which the lens sees sky; ``yaw`` is the ego's, in radians."""
        turn = round((yaw + glass.yaw) / (2 * math.pi) * AROUND - AROUND / 2) % AROUND
        part = self._panorama[:, turn : turn + AROUND]
        small = cv2.remap(part, glass.columns, glass.rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        small = cv2.cvtColor(small, cv2.COLOR_RGBA2RGB)
        cv2.resize(small, (out.shape[1], out.shape[0]), dst=out, interpolation=cv2.INTER_LINEAR)


class SkyLens:
    """Where the pixels of a lens lie in a panorama that is turned to the camera's yaw; at half size, as clouds are soft."""

    def __init__(self, glass: Lens) -> None:
        self.yaw = math.radians(glass.camera.yaw)
        look = glass.directions(glass.sky_rows, step=2)
        azimuth = np.arctan2(look[:, :, 1], look[:, :, 0]) - np.float32(self.yaw)
        azimuth = (azimuth + np.float32(math.pi)) % np.float32(2 * math.pi)
        elevation = np.arctan2(look[:, :, 2], np.hypot(look[:, :, 0], look[:, :, 1]))
        self.columns = (azimuth * np.float32(AROUND / (2 * math.pi))).astype(np.float32)
        self.rows = (np.float32(UP - 1) - elevation * np.float32(2 * (UP - 1) / math.pi)).astype(np.float32)


@lru_cache(maxsize=64)
def sky_lens(glass: Lens) -> SkyLens | None:
    """The sky's view through a lens, made once; None where the lens sees no sky."""
    return SkyLens(glass) if glass.sky_rows[1] > glass.sky_rows[0] else None


def _panorama(air: Air, seed: int) -> np.ndarray[Any, Any]:
    """uint8 [UP, AROUND, 3]: gradient, sun, stars and clouds, computed at half size."""
    elevation = np.linspace(math.pi / 2, 0.0, UP // 2, dtype=np.float32)[:, None]
    azimuth = np.linspace(0.0, 2 * math.pi, AROUND // 2, endpoint=False, dtype=np.float32)[None, :]
    height = (1.0 - np.exp(-elevation * 3.2)) / (1.0 - math.exp(-math.pi / 2 * 3.2))
    sky = np.repeat(mix(air.haze.astype(np.float32), air.zenith.astype(np.float32), height[:, :, None]), AROUND // 2, axis=1)
    sun = air.sun_direction.astype(np.float32)
    toward = np.cos(elevation) * (np.cos(azimuth) * sun[0] + np.sin(azimuth) * sun[1]) + np.sin(elevation) * sun[2]
    np.clip(toward, 0.0, 1.0, out=toward)
    tenth = np.square(np.square(np.square(toward))) * np.square(toward)
    glare = tenth * tenth * tenth
    glow = (np.float32(0.30) * tenth + np.float32(0.5) * np.square(np.square(glare))) * np.clip(elevation * 12, 0, 1)
    sky += glow[:, :, None] * (air.sun * (1.0 - 0.5 * air.dull)).astype(np.float32)
    if float(air.sun.max()) > 0.25:
        disc = np.nonzero(toward > 0.99955)
        sky[disc] += (1.0 - sky[disc]) * np.minimum((toward[disc] - np.float32(0.99955)) * 6000, 1)[:, None]
    _clouds(sky, air, (elevation, azimuth), glare, seed)
    fog = 1.0 - np.exp(-np.float32(air.fog * 60.0) / np.maximum(np.sin(elevation), np.float32(0.04)))  # fog lies in the lowest 60 m
    sky += (air.haze.astype(np.float32) - sky) * fog[:, :, None]
    sky = np.asarray(cv2.resize(np.clip(sky * 255.0 + 0.5, 0, 255).astype(np.uint8), (AROUND, UP), interpolation=cv2.INTER_LINEAR))
    if air.night > 0.5 and air.clouds < 0.7 and air.fog < 0.012:
        _stars(sky, seed)
    return sky


def _horizon(sky: np.ndarray[Any, Any], air: Air) -> None:
    """Let what stands at the horizon sink into the haze, so that it meets the ground's."""
    haze = np.clip(air.haze * 255.0 + 0.5, 0, 255)
    for up, weight in enumerate((1.0, 0.8, 0.55, 0.35, 0.2, 0.1)):
        row = sky[UP - 1 - up]
        row[:] = np.clip(mix(row.astype(np.float64), haze, weight) + 0.5, 0, 255).astype(np.uint8)


def _clouds(sky: Any, air: Air, angles: Tuple[Any, Any], glare: Any, seed: int) -> None:
    """Clouds on a flat layer above, thicker with cloudiness, dissolved in haze towards the horizon; ``glare`` lights up their rims."""
    elevation, azimuth = angles
    flat = 34.0 / (np.tan(np.maximum(elevation, 0.02)) + 0.16)
    places = (np.mod(np.cos(azimuth) * flat, 256), np.mod(np.sin(azimuth) * flat, 256))
    there: Any = cv2.remap(_noise(seed), places[0], places[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    there -= np.float32(mix(0.72, 0.12, air.clouds))
    cover = np.clip(there / np.float32(mix(0.30, 0.42, air.clouds)), 0.0, 1.0)
    cover *= np.clip((elevation - 0.015) * 7.0, 0.0, 1.0) * np.float32(min(1.0, air.clouds * 9.0))
    lit = np.minimum(1.0, air.ambient * 1.18 + air.sun * 0.42) * mix(1.0, 0.86, air.dull)
    dark = mix(lit, air.zenith, 0.35) * (1.0 - 0.22 * air.rain)
    body = np.clip(there * np.float32(1.5), 0, 1)[:, :, None] * (dark - lit).astype(np.float32)
    body += lit.astype(np.float32)
    body += (glare * (1 - cover))[:, :, None] * (air.sun * 0.5).astype(np.float32)
    np.clip(body, 0, 1, out=body)
    body -= sky
    body *= (cover * np.float32(0.92 - 0.5 * air.night))[:, :, None]
    sky += body


def _noise(seed: int) -> np.ndarray[Any, Any]:
    """float32 [256, 256], 0..1, wrapping around: sums of ever finer random fields."""
    random = np.random.RandomState(seed % 2**32)
    total = np.zeros((256, 256), np.float32)
    for octave, size in enumerate((8, 16, 32, 64, 128)):
        field = np.pad(random.random_sample((size, size)).astype(np.float32), 2, mode="wrap")
        scale = 256 // size
        fine = cv2.resize(field, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        total += fine[2 * scale : 2 * scale + 256, 2 * scale : 2 * scale + 256] * 0.55**octave
    low, high = total.min(), total.max()
    out: np.ndarray[Any, Any] = (total - low) / (high - low)
    return out


def _stars(sky: np.ndarray[Any, Any], seed: int) -> None:
    random = np.random.RandomState(seed % 2**32)
    rows, columns = random.randint(0, UP - 40, 900), random.randint(0, AROUND, 900)
    sky[rows, columns] = np.maximum(sky[rows, columns], random.randint(60, 200, (900, 1)).astype(np.uint8))


def _skyline(sky: np.ndarray[Any, Any], air: Air, town_kind: str, seed: int) -> None:
    """What stands at the end of sight, almost haze: hills, woods, or the roofs of a town."""
    random = np.random.RandomState((seed + 1) % 2**32)
    clear = float(np.exp(-air.fog * 420.0))
    if town_kind == "urban":
        for _ in range(260):
            x, wide, high = random.randint(AROUND), random.randint(5, 26), random.randint(4, 22)
            shade = mix(air.haze, air.ambient * 0.55, clear * random.uniform(0.25, 0.6))
            cv2.rectangle(sky, (x, UP - 1 - high), (x + wide, UP - 2), _color(shade), -1)
        return
    for tall, weight in ((15.0, 0.28), (8.0, 0.5)):
        phase = random.uniform(0, 6.28, 4)
        around = np.arange(AROUND) / AROUND * 2 * math.pi
        waves: Any = np.sum([np.sin(around * k + p) / n for n, (k, p) in enumerate(zip((3, 7, 17, 41), phase), start=1)], axis=0)
        ridge = UP - 2 - np.clip(tall * (0.55 + 0.3 * waves), 1.0, None)
        outline = np.concatenate([np.stack([np.arange(AROUND), ridge], 1), [[AROUND - 1, UP - 2], [0, UP - 2]]])
        shade = mix(air.haze, air.ambient * np.array([0.42, 0.5, 0.36]), clear * weight)
        cv2.fillPoly(sky, [np.round(outline * 8).astype(np.int32)], _color(shade), cv2.LINE_AA, 3)


def _color(value: Any) -> Tuple[int, int, int]:
    r, g, b = (int(min(255, max(0, c * 255 + 0.5))) for c in value)
    return r, g, b
