"""Weather: the presets, what options are taken, and that worse weather is worse."""

from __future__ import annotations

import pytest

from b2d_zmq.errors import RequestError, UnknownOption
from worker.routes import Weather
from worker.world import weather

CARLA_NAMES = [
    *("ClearNoon", "CloudyNoon", "WetNoon", "WetCloudyNoon", "MidRainyNoon", "HardRainNoon", "SoftRainNoon"),
    *("ClearSunset", "CloudySunset", "WetSunset", "WetCloudySunset", "MidRainSunset", "HardRainSunset", "SoftRainSunset"),
    *("ClearNight", "CloudyNight", "WetNight", "WetCloudyNight", "MidRainyNight", "HardRainNight", "SoftRainNight"),
]


@pytest.mark.parametrize("name", CARLA_NAMES)
def test_presets_have_carlas_names(name):
    known = weather.parse(name)
    assert weather.parse(weather.name_of(known)) == known
    assert 0.449 <= weather.grip(known) <= 1.0 and 0.0 <= weather.daylight(known) <= 1.0 and 0.0005 <= weather.fog(known) < 0.06


def test_a_mapping_is_taken_and_named():
    assert weather.parse({"wetness": 40, "fog_density": 80.0}) == Weather(wetness=40.0, fog_density=80.0)
    assert weather.name_of(weather.parse({"wetness": 40})) == "custom"
    assert weather.name_of(weather.parse({})) == "ClearNoon"


def test_a_wrong_name_gets_advice():
    with pytest.raises(UnknownOption, match="did you mean HardRainNoon"):
        weather.parse("hardrainnoon")
    with pytest.raises(UnknownOption, match="no weather parameter 'snow'; there are cloudiness"):
        weather.parse({"snow": 1})


@pytest.mark.parametrize(
    "wrong", [5, None, ["ClearNoon"], {"wetness": "wet"}, {"wetness": 101}, {"fog_density": float("nan")}, {"wetness": True}]
)
def test_a_wrong_value_is_refused(wrong):
    with pytest.raises(RequestError):
        weather.parse(wrong)


def test_worse_weather_is_worse():
    clear, soft, hard = (weather.parse(name) for name in ("ClearNoon", "SoftRainNoon", "HardRainNoon"))
    assert weather.grip(clear) == 1.0 > weather.grip(soft) > weather.grip(hard)
    assert weather.fog(clear) < weather.fog(hard) < weather.fog(weather.parse("HardRainNight"))
    bright = [weather.daylight(weather.parse(name)) for name in ("ClearNoon", "CloudyNoon", "CloudySunset", "ClearNight")]
    assert bright == sorted(bright, reverse=True) and bright[-1] == 0.0
    assert weather.fog(Weather(fog_density=100.0)) > 0.04
