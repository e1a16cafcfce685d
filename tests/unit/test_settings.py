"""The options of reset: what they default to, what they refuse, and that a snapshot carries them whole."""

import math

import numpy as np
import pytest

from b2d_zmq import codec
from b2d_zmq.errors import RequestError, SnapshotCorrupt, UnknownOption, UnknownRoute
from worker import routes as route_files
from worker.routes import Route, Weather
from worker.settings import OPTIONS, Settings


def route(number, town="Town01"):
    return Route(number, town, np.array([[float(x), 0.0, 0.0] for x in range(0, 100, 2)]), (), Weather(cloudiness=33.0))


ROUTES = (route(7), route(9, "Town02"), route(12))


def parse(seed=1, **options):
    return Settings.parse(seed, options, ROUTES)


def test_defaults():
    got = parse()
    assert (got.route.id, got.seed, got.weather.cloudiness, got.traffic_density, got.scenario) == (7, 1, 33.0, 1.0, True)
    assert got.terms.max_steps == 1000 and got.terms.weights["route_completed"] == 100.0


def test_none_is_the_default():
    assert parse(**dict.fromkeys(OPTIONS)) == parse()


def test_every_option_is_taken():
    got = parse(
        route_id=9, town="Town02", weather="HardRainNoon", traffic_density=0, scenario=False, max_steps=50,
        reward_type="sparse", reward_weights={"alive": 1},
    )  # fmt: skip
    assert (got.route.id, got.weather.precipitation, got.traffic_density, got.scenario) == (9, 100.0, 0.0, False)
    assert got.terms.max_steps == 50 and got.terms.weights["alive"] == 1.0 and got.terms.weights["speed"] == 0.0


def test_weather_as_parameters():
    assert parse(weather={"fog_density": 40}).weather.fog_density == 40.0


def test_a_town_gives_its_first_route():
    assert parse(town="Town02").route.id == 9


def test_unknown_names_are_told_what_there_is():
    with pytest.raises(UnknownOption, match="no option rain; it has route_id, town, weather"):
        parse(rain=1)
    with pytest.raises(UnknownRoute, match="no route 8"):
        parse(route_id=8)
    with pytest.raises(UnknownRoute, match="Town99"):
        parse(town="Town99")
    with pytest.raises(UnknownRoute):
        parse(route_id=7, town="Town02")
    with pytest.raises(UnknownOption, match="HardRainNoon"):
        parse(weather="HardRain")


@pytest.mark.parametrize(
    "name, value",
    [
        ("route_id", "7"), ("route_id", 7.0), ("route_id", True), ("town", 5), ("weather", 5), ("weather", {"fog_density": math.nan}),
        ("weather", {"fog_density": 500}), ("weather", {"fog_density": "much"}), ("traffic_density", -0.1), ("traffic_density", 2.1),
        ("traffic_density", math.nan), ("traffic_density", "1"), ("traffic_density", True), ("scenario", 1), ("scenario", "yes"),
        ("max_steps", 0), ("max_steps", 1.0), ("reward_type", 3), ("reward_type", "shaped"), ("reward_weights", 3),
        ("reward_weights", {"comfort": 1}), ("reward_weights", {"alive": math.nan}),
    ],
)  # fmt: skip
def test_bad_values_are_refused(name, value):
    with pytest.raises(RequestError):
        parse(**{name: value})


@pytest.mark.parametrize("seed", [-1, 2**63, 1.0, "1", None, True])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(RequestError, match="a seed is a whole number"):
        parse(seed=seed)


def test_options_must_be_a_mapping():
    with pytest.raises(RequestError, match="must be a mapping"):
        Settings.parse(1, ["route_id"], ROUTES)


def plain():
    return codec.decode(codec.encode(parse(weather="ClearNight", reward_type="sparse", traffic_density=0.5).to_plain()))


def test_plain_values_and_back():
    back = Settings.from_plain(plain())
    wanted = parse(weather="ClearNight", reward_type="sparse", traffic_density=0.5)
    assert (back.seed, back.weather, back.traffic_density, back.scenario, back.terms) == (
        wanted.seed, wanted.weather, wanted.traffic_density, wanted.scenario, wanted.terms,
    )  # fmt: skip
    np.testing.assert_array_equal(back.route.waypoints, wanted.route.waypoints)
    assert codec.encode(back.to_plain()) == codec.encode(wanted.to_plain())


def test_every_route_of_ours_comes_back():
    for each in route_files.read(route_files.DEFAULT_FILE):
        wanted = Settings.parse(1, {"route_id": each.id}, [each])
        assert codec.encode(Settings.from_plain(codec.decode(codec.encode(wanted.to_plain()))).to_plain()) == codec.encode(
            wanted.to_plain()
        )


@pytest.mark.parametrize("name", ["route", "seed", "weather", "traffic_density", "scenario", "max_steps", "weights"])
@pytest.mark.parametrize("value", [None, -1, "x", [], {"x": 1}, math.nan])
def test_spoiled_plain_values_are_a_corrupt_snapshot(name, value):
    with pytest.raises(SnapshotCorrupt):
        Settings.from_plain({**plain(), name: value})


@pytest.mark.parametrize("value", [None, 5, [], {}])
def test_no_settings_at_all_are_a_corrupt_snapshot(value):
    with pytest.raises(SnapshotCorrupt):
        Settings.from_plain(value)
