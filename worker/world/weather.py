"""Weather: CARLA's presets by name, and what a weather does to grip, light and sight.

The presets' figures are CARLA's own, so a policy meets the words it knows. What the embedded world makes of them (grip, daylight,
fog) is this file's; nothing else reads single parameters for that.
"""

from __future__ import annotations

import difflib
from typing import Any, Dict, Mapping

from b2d_zmq.errors import RequestError, UnknownOption

from ..routes import WEATHER_RANGE, Weather, weather_of

# sky -> cloudiness, precipitation, deposits, wetness, wind, fog
_SKIES = {
    "Clear": (5.0, 0.0, 0.0, 0.0, 10.0, 2.0),
    "Cloudy": (60.0, 0.0, 0.0, 0.0, 10.0, 3.0),
    "Wet": (5.0, 0.0, 50.0, 0.0, 10.0, 3.0),
    "WetCloudy": (60.0, 0.0, 50.0, 0.0, 10.0, 3.0),
    "SoftRain": (20.0, 30.0, 50.0, 0.0, 30.0, 3.0),
    "MidRainy": (60.0, 60.0, 60.0, 0.0, 60.0, 3.0),
    "HardRain": (100.0, 100.0, 90.0, 0.0, 100.0, 7.0),
}
_NIGHT = {
    "Clear": (5.0, 0.0, 0.0, 0.0, 10.0, 60.0),
    "Cloudy": (60.0, 0.0, 0.0, 0.0, 10.0, 60.0),
    "Wet": (5.0, 0.0, 50.0, 60.0, 10.0, 60.0),
    "WetCloudy": (60.0, 0.0, 50.0, 60.0, 10.0, 60.0),
    "SoftRain": (60.0, 30.0, 50.0, 60.0, 30.0, 60.0),
    "MidRainy": (80.0, 60.0, 60.0, 80.0, 60.0, 60.0),
    "HardRain": (100.0, 100.0, 90.0, 100.0, 100.0, 100.0),
}


def _preset(sky: tuple[float, ...], altitude: float) -> Weather:
    cloudiness, precipitation, deposits, wetness, wind, fog = sky
    return Weather(cloudiness, precipitation, deposits, wetness, wind, -1.0, altitude, fog)


def _presets() -> Dict[str, Weather]:
    presets = {f"{name}Noon": _preset(sky, 45.0) for name, sky in _SKIES.items()}
    presets.update({f"{name}Sunset": _preset(sky, 15.0) for name, sky in _SKIES.items()})
    presets.update({f"{name}Night": _preset(sky, -90.0) for name, sky in _NIGHT.items()})
    presets["MidRainSunset"] = presets["MidRainySunset"]  # CARLA spells this one so
    return presets


PRESETS = _presets()
"""Name -> Weather: seven skies, each at Noon, Sunset and Night."""


def parse(option: Any) -> Weather:
    """The weather of a preset's name or of a mapping of CARLA's parameters. Raises UnknownOption or RequestError."""
    if isinstance(option, str):
        if option not in PRESETS:
            near = difflib.get_close_matches(option, PRESETS, n=1, cutoff=0.0)[0]
            raise UnknownOption(f"no weather {option[:40]!r}; did you mean {near}? There are {', '.join(PRESETS)}")
        return PRESETS[option]
    if not isinstance(option, Mapping):
        raise RequestError(f"weather is a preset's name or a mapping of parameters, not {type(option).__name__}")
    unknown = sorted(str(key)[:40] for key in option if key not in WEATHER_RANGE)
    if unknown:
        raise UnknownOption(f"no weather parameter {unknown[0]!r}; there are {', '.join(WEATHER_RANGE)}")
    try:
        return weather_of(option)
    except ValueError as error:
        raise RequestError(f"weather: {error}") from None


_NAMES = {preset: name for name, preset in reversed(list(PRESETS.items()))}  # the first name, where two presets are alike


def name_of(weather: Weather) -> str:
    """The preset's name, or "custom"."""
    return _NAMES.get(weather, "custom")


def wet(weather: Weather) -> float:
    """How wet the road is, 0 (dry) to 1 (standing water)."""
    deposits, wetness, rain = (
        weather.precipitation_deposits / 100.0,
        weather.wetness / 100.0,
        weather.precipitation / 100.0,
    )
    return min(1.0, 0.6 * deposits + 0.2 * wetness + 0.3 * rain)


def grip(weather: Weather) -> float:
    """The friction coefficient's factor: 1.0 on a dry road, 0.45 in heavy rain with standing water."""
    return 1.0 - 0.55 * wet(weather)


def daylight(weather: Weather) -> float:
    """How bright it is, 0 (night) to 1 (clear noon)."""
    height = min(1.0, max(0.0, (weather.sun_altitude_angle + 8.0) / 38.0))  # civil dusk to a sun at 30 degrees
    return height * (1.0 - 0.35 * weather.cloudiness / 100.0)


def fog(weather: Weather) -> float:
    """Extinction per metre of what is seen: 0.0005 in clear air (km away), 0.05 in the densest fog (60 m)."""
    density = weather.fog_density / 100.0
    rain = weather.precipitation / 100.0
    extinction: float = 0.0005 + 0.05 * density**1.7 + 0.004 * rain
    return extinction
