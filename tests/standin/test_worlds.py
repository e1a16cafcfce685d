"""The stand-in's world as a real client sees it: settings, ticks, map, weather, loads."""

from __future__ import annotations

import pytest
from standins import dialect, run_client, wheel

carla = wheel()


def test_version(client):
    assert client.get_server_version() == dialect() == client.get_client_version()


def test_settings_come_back(world):
    settings = world.get_settings()
    assert (settings.synchronous_mode, settings.fixed_delta_seconds) == (True, 0.05)
    assert settings.deterministic_ragdolls
    settings.tile_stream_distance = settings.actor_active_distance = 650.0
    settings.spectator_as_ego = False
    world.apply_settings(settings)
    again = world.get_settings()
    assert (again.tile_stream_distance, again.actor_active_distance, again.spectator_as_ego) == (650.0, 650.0, False)


def test_a_tick_is_one_frame(world):
    first = world.tick()
    stamp = world.get_snapshot().timestamp
    assert (world.tick(), world.get_snapshot().frame) == (first + 1, first + 1)
    later = world.get_snapshot().timestamp
    assert later.elapsed_seconds - stamp.elapsed_seconds == pytest.approx(0.05, abs=1e-9)
    assert later.delta_seconds == pytest.approx(0.05)


def test_an_asynchronous_world_ticks_by_itself(world):
    settings = world.get_settings()
    settings.synchronous_mode = False
    world.apply_settings(settings)
    first = world.wait_for_tick(5.0).frame
    assert world.wait_for_tick(5.0).frame > first
    settings.synchronous_mode = True
    world.apply_settings(settings)


def test_map(world):
    there = world.get_map()
    assert there.name.startswith("Carla/Maps/Town")
    assert there.get_spawn_points() and there.get_topology()
    point = there.get_spawn_points()[0].location
    assert there.get_waypoint(point).transform.location.distance(point) < 1.0


def test_available_maps(client):
    names = {name.rsplit("/", 1)[-1] for name in client.get_available_maps()}
    assert {"Town01", "Town12", "Town10HD_Opt", "Town15"} <= names


def test_weather_comes_back(world):
    weather = world.get_weather()
    weather.cloudiness, weather.dust_storm, weather.sun_altitude_angle = 70.0, 3.0, -10.0
    world.set_weather(weather)
    again = world.get_weather()
    assert (again.cloudiness, again.dust_storm, again.sun_altitude_angle) == (70.0, 3.0, -10.0)


def test_spectator(world):
    spectator = world.get_spectator()
    spectator.set_transform(carla.Transform(carla.Location(1.0, 2.0, 30.0), carla.Rotation(pitch=-90.0)))
    world.tick()
    assert spectator.get_location().z == 30.0
    assert spectator.id in {actor.id for actor in world.get_actors()}


def test_ground(world):
    point = world.get_map().get_spawn_points()[0].location
    hit = world.ground_projection(carla.Location(point.x, point.y, point.z + 5.0), 20.0)
    assert hit.location.z == pytest.approx(point.z, abs=1.0)
    assert world.ground_projection(carla.Location(point.x, point.y, point.z + 50.0), 20.0) is None
    down = carla.Location(point.x, point.y, point.z - 50.0)
    assert len(world.cast_ray(carla.Location(point.x, point.y, point.z + 50.0), down)) == 1
    assert world.project_point(point, carla.Vector3D(0.0, 0.0, 1.0), 100.0) is None


def test_what_lies_in_the_map_is_an_honest_nothing(world):
    assert list(world.get_environment_objects(carla.CityObjectLabel.Any)) == []
    assert list(world.get_level_bbs(carla.CityObjectLabel.Buildings)) == []
    assert list(world.get_names_of_all_objects()) == []
    assert list(world.get_lightmanager().get_all_lights()) == []
    world.enable_environment_objects({1, 2}, False)
    world.load_map_layer(carla.MapLayer.Buildings)
    world.unload_map_layer(carla.MapLayer.Buildings)
    world.get_lightmanager().set_day_night_cycle(False)
    world.apply_color_texture_to_object("a wall", carla.MaterialParameter.Diffuse, carla.TextureColor(1, 1))
    world.apply_float_color_texture_to_object("a wall", carla.MaterialParameter.Normal, carla.TextureFloatColor(1, 1))
    world.tick()


def test_debug_shapes_are_taken(world):
    here = carla.Location(0.0, 0.0, 1.0)
    world.debug.draw_point(here)
    world.debug.draw_line(here, carla.Location(5.0, 0.0, 1.0))
    world.debug.draw_arrow(here, carla.Location(5.0, 0.0, 1.0))
    world.debug.draw_box(carla.BoundingBox(here, carla.Vector3D(1.0, 1.0, 1.0)), carla.Rotation())
    world.debug.draw_string(here, "here")
    if dialect() != "0.9.15":
        world.debug.draw_hud_point(here)
        world.debug.clear_debug_shape()
        world.debug.clear_debug_string()
    world.tick()


def test_recorder_is_refused_in_words(client):
    with pytest.raises(RuntimeError, match="no recorder"):
        client.start_recorder("a.log")
    with pytest.raises(RuntimeError, match="no recorder"):
        client.replay_file("a.log", 0.0, 0.0, 0)
    with pytest.raises(RuntimeError, match="no recorder"):
        client.show_recorder_file_info("a.log", False)
    with pytest.raises(RuntimeError, match="no recorder"):
        client.show_recorder_collisions("a.log", "v", "v")
    with pytest.raises(RuntimeError, match="no recorder"):
        client.show_recorder_actors_blocked("a.log", 1.0, 1.0)
    client.stop_recorder()
    client.stop_replayer(False)
    client.set_replayer_time_factor(1.0)
    client.set_replayer_ignore_hero(True)
    client.set_replayer_ignore_spectator(True)


def test_files_are_refused_in_words(client):
    assert list(client.get_required_files("", False)) == []
    with pytest.raises(RuntimeError, match="no file"):
        client.request_file("Town01.bin")


def test_an_opendrive_world_is_refused_in_words(client):
    with pytest.raises(RuntimeError, match="makes its own towns"):
        client.generate_opendrive_world("<OpenDRIVE/>", carla.OpendriveGenerationParameters())


def test_an_unknown_map_is_refused_in_words(client):
    with pytest.raises(RuntimeError, match="map not found: Town99"):
        client.load_world("Town99")


@pytest.mark.skipif(dialect() == "0.9.15", reason="not in 0.9.15")
def test_gravity_of_imus_comes_back(world):
    world.set_imui_sensor_gravity(3.0)
    assert world.get_imui_sensor_gravity() == 3.0
    world.set_imui_sensor_gravity(9.81)
    world.set_annotations_traverse_translucency(True)


_LOADS = """
import sys, carla
client = carla.Client("127.0.0.1", int(sys.argv[1]))
client.set_timeout(10.0)
world = client.get_world()
settings = world.get_settings()
settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.05
world.apply_settings(settings)
old, frame = world.id, world.tick()
vehicle = world.spawn_actor(world.get_blueprint_library().find("vehicle.audi.tt"), world.get_map().get_spawn_points()[0])
world = client.reload_world(False)
assert world.id != old and world.get_settings().synchronous_mode
assert not world.get_actors().filter("vehicle.*") and world.tick() > frame
world = client.load_world("Town05", False)
assert world.get_map().name.endswith("Town05") and world.get_settings().synchronous_mode
assert vehicle.id not in {actor.id for actor in world.get_actors()}
after = world.spawn_actor(world.get_blueprint_library().find("vehicle.audi.tt"), world.get_map().get_spawn_points()[0])
assert after.id > vehicle.id
world = client.load_world("Town04", True)
assert world.get_map().name.endswith("Town04") and not world.get_settings().synchronous_mode
world.wait_for_tick(5.0)
client.load_world_if_different("Town04") if hasattr(client, "load_world_if_different") else None
print("done")
"""


def test_loads(server):
    assert "done" in run_client(server, _LOADS)
