"""Calls about the episode: version, settings, maps, ticks, weather, files, and what lies in the map."""

from __future__ import annotations

from typing import Any, Dict, List

from .. import layouts
from ..errors import Refusal
from ..flags import LISTED_TOWNS
from ..layouts import Wire
from ..simulator import STATE_STREAM, Simulator
from ..town import build
from .table import Call

_FOLDER = "Carla/Maps/"


def version(sim: Simulator) -> Wire:
    """The version that the client compares with its own."""
    return sim.config.version


def get_episode_info(sim: Simulator) -> Wire:
    """The episode and its state stream."""
    return (sim.world.episode, [layouts.token(STATE_STREAM, sim.config.streaming_port)])


def get_sensor_token(sim: Simulator, stream: int) -> Wire:
    """Where a stream is; the client is about to join it."""
    where = layouts.token(stream, sim.config.streaming_port)
    sim.announced.append(stream)
    return [where]


def get_episode_settings(sim: Simulator) -> Wire:
    """The settings."""
    return layouts.settings(sim.world.settings)


def set_episode_settings(sim: Simulator, value: Wire) -> Wire:
    """New settings; the answer is the last complete frame."""
    settings = layouts.settings_of(value)
    if settings.delta is not None and not 0.0 <= settings.delta <= 10.0:
        raise Refusal(f"fixed_delta_seconds {settings.delta} is not possible")
    sim.set_settings(settings._replace(delta=settings.delta or None))
    return sim.world.frame


def tick_cue(sim: Simulator) -> Wire:
    """One tick."""
    return sim.tick()


def get_required_files(sim: Simulator, _folder: str) -> Wire:
    """There are none: no navigation mesh, no cache of the traffic manager."""
    return []


def request_file(sim: Simulator, name: str) -> Wire:
    """No file can be had."""
    raise Refusal(f"the stand-in has no file {name!r}")


def get_map_info(sim: Simulator) -> Wire:
    """The map's name and its spawn points."""
    town = sim.world.town
    return (_FOLDER + town.name, [layouts.transform(pose) for pose in town.spawn_points])


def get_map_data(sim: Simulator) -> Wire:
    """The OpenDRIVE text."""
    return sim.world.town.opendrive


def get_available_maps(sim: Simulator) -> Wire:
    """All towns that can be loaded."""
    return [f"/Game/{_FOLDER}{name}" for name in _towns(sim)]


def load_new_episode(sim: Simulator, name: str, reset_settings: bool, _layers: int) -> None:
    """Load a town, or with no name the present one again."""
    sim.faults.load()
    wanted = name.rsplit("/", 1)[-1] or sim.world.town.name
    if wanted not in _towns(sim):
        raise Refusal(f"map not found: {name}; there are {', '.join(_towns(sim))}")
    town = sim.world.town if wanted == sim.world.town.name else build(wanted, sim.config.routes)
    sim.load(town, reset_settings=reset_settings)


def copy_opendrive_to_file(sim: Simulator, _text: str, _parameters: Wire) -> None:
    """Worlds from foreign OpenDRIVE texts are not for the stand-in."""
    raise Refusal("the stand-in makes its own towns and loads no OpenDRIVE text")


def get_weather_parameters(sim: Simulator) -> Wire:
    """The weather."""
    return sim.world.weather


def set_weather_parameters(sim: Simulator, value: Wire) -> None:
    """Other weather, from now on."""
    if len(value) != len(sim.world.weather):
        raise Refusal(f"weather of {len(value)} numbers; wanted: {len(sim.world.weather)}")
    sim.world.weather = tuple(layouts.finite(each) for each in value)
    sim.world.weathered = sim.world.elapsed


def get_imui_gravity(sim: Simulator) -> Wire:
    """Gravity as IMUs see it."""
    return sim.world.gravity


def set_imui_gravity(sim: Simulator, gravity: float) -> None:
    """Other gravity for IMUs."""
    sim.world.gravity = float(gravity)


def project_point(sim: Simulator, start: Wire, direction: Wire, distance: float) -> Wire:
    """Where a ray meets the ground: the road's height is all the ground there is."""
    x, y, z = layouts.vector_of(start)
    dx, dy, dz = layouts.vector_of(direction)
    ground = sim.world.town.height(x, y)
    if dz >= 0.0 or z < ground or (z - ground) / -dz > distance:
        return (False, ((0.0, 0.0, 0.0), 0))
    reach = (z - ground) / -dz
    place = (x + dx * reach, y + dy * reach)
    return (True, ((place[0], place[1], sim.world.town.height(*place)), 1))


def cast_ray(sim: Simulator, start: Wire, end: Wire) -> Wire:
    """What a ray from start to end goes through: the ground."""
    a, b = layouts.vector_of(start), layouts.vector_of(end)
    (above, below) = (a[2] - sim.world.town.height(*a[:2]), b[2] - sim.world.town.height(*b[:2]))
    if above * below >= 0.0:
        return []
    part = above / (above - below)
    return [(tuple(p + part * (q - p) for p, q in zip(a, b)), 1)]


def _towns(sim: Simulator) -> List[str]:
    return sorted({*LISTED_TOWNS, *(route.town for route in sim.config.routes)})


def _nothing(sim: Simulator, *_arguments: Any) -> None:
    """Taken and without effect: the stand-in draws nothing of it."""


def _none(sim: Simulator, *_arguments: Any) -> Wire:
    """There are none."""
    return []


def _no_recorder(sim: Simulator, *_arguments: Any) -> Wire:
    raise Refusal("the stand-in has no recorder and replays nothing")


CALLS: Dict[str, Call] = {
    "version": version,
    "get_episode_info": get_episode_info,
    "get_sensor_token": get_sensor_token,
    "get_episode_settings": get_episode_settings,
    "set_episode_settings": set_episode_settings,
    "tick_cue": tick_cue,
    "get_required_files": get_required_files,
    "request_file": request_file,
    "get_map_info": get_map_info,
    "get_map_data": get_map_data,
    "get_available_maps": get_available_maps,
    "load_new_episode": load_new_episode,
    "copy_opendrive_to_file": copy_opendrive_to_file,
    "get_weather_parameters": get_weather_parameters,
    "set_weather_parameters": set_weather_parameters,
    "get_imui_gravity": get_imui_gravity,
    "set_imui_gravity": set_imui_gravity,
    "project_point": project_point,
    "cast_ray": cast_ray,
    "load_map_layer": _nothing,
    "unload_map_layer": _nothing,
    "enable_environment_objects": _nothing,
    "update_day_night_cycle": _nothing,
    "draw_debug_shape": _nothing,
    "clear_debug_shape": _nothing,
    "clear_debug_string": _nothing,
    "set_annotations_traverse_translucency": _nothing,
    "apply_color_texture_to_objects": _nothing,
    "apply_float_color_texture_to_objects": _nothing,
    "update_lights_state": _nothing,
    "query_lights_state": _none,
    "get_environment_objects": _none,
    "get_all_level_BBs": _none,
    "get_names_of_all_objects": _none,
    "start_recorder": _no_recorder,
    "stop_recorder": _nothing,
    "show_recorder_file_info": _no_recorder,
    "show_recorder_collisions": _no_recorder,
    "show_recorder_actors_blocked": _no_recorder,
    "replay_file": _no_recorder,
    "stop_replayer": _nothing,
    "set_replayer_time_factor": _nothing,
    "set_replayer_ignore_hero": _nothing,
    "set_replayer_ignore_spectator": _nothing,
}
