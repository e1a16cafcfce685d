"""Every call that the stand-in serves, as bytes: right arguments give the result's shape, wrong ones an error text."""

from __future__ import annotations

import msgpack
import pytest

from worker import routes
from worker.standin import rpc
from worker.standin.actors import Pose
from worker.standin.calls import batch
from worker.standin.dialect import DIALECTS
from worker.standin.faults import Faults
from worker.standin.rpc import CALLS, Malformed, Request, Requests, answer
from worker.standin.simulator import Config, Simulator
from worker.standin.streams import Streams

FILE = routes.read(routes.DEFAULT_FILE)
CAR, WALKER, LAMP, SENSOR = "car", "walker", "lamp", "sensor"  # stand for their ids
PLACE = ((1.0, 2.0, 3.0), (0.0, 90.0, 0.0))
VECTOR = (1.0, 2.0, 3.0)
CONTROL = (0.5, 0.1, 0.0, False, False, False, 0)

ARGUMENTS = {
    "version": (),
    "get_episode_info": (),
    "get_sensor_token": (1,),
    "get_episode_settings": (),
    "set_episode_settings": ([True, False, [True, 0.05], True, 0.01, 10, 0.0, True, 650.0, 650.0, False],),
    "tick_cue": (),
    "get_required_files": ("Nav",),
    "get_map_info": (),
    "get_map_data": (),
    "get_available_maps": (),
    "get_weather_parameters": (),
    "get_imui_gravity": (),
    "project_point": (VECTOR, (0.0, 0.0, -1.0), 100.0),
    "cast_ray": (VECTOR, VECTOR),
    "query_lights_state": ("127.0.0.1:1",),
    "get_environment_objects": (255,),
    "get_all_level_BBs": (255,),
    "get_names_of_all_objects": (),
    "get_actor_definitions": (),
    "get_actors_by_id": ([1, 0, 99999],),
    "get_spectator": (),
    "spawn_actor": ([1, "static.prop.mesh", []], PLACE),
    "spawn_actor_with_parent": ([1, "sensor.other.imu", [["sensor_tick", 3, "0.1"]]], PLACE, CAR, 0, ""),
    "destroy_actor": (99999,),
    "get_actor_bounding_box": (CAR,),
    "get_actor_component_names": (CAR,),
    "get_actor_bone_names": (CAR,),
    "get_actor_socket_names": (CAR,),
    "get_actor_component_world_transform": (CAR, "tt"),
    "get_actor_component_relative_transform": (CAR, "tt"),
    "get_actor_bone_world_transforms": (CAR,),
    "get_actor_bone_relative_transforms": (CAR,),
    "get_vehicle_bone_world_transforms": (CAR,),
    "get_actor_socket_world_transforms": (CAR,),
    "get_actor_socket_relative_transforms": (CAR,),
    "get_ackermann_controller_settings": (CAR,),
    "get_physics_control": (CAR,),
    "get_telemetry_data": (CAR,),
    "get_vehicle_light_state": (CAR,),
    "get_vehicle_light_states": (),
    "get_wheel_steer_angle": (CAR, 0),
    "get_wheel_pitch_angle": (CAR, 0),
    "get_bones_transform": (WALKER,),
    "get_group_traffic_lights": (LAMP,),
    "get_light_boxes": (LAMP,),
    "is_sensor_enabled_for_ros": (5,),
    "are_gbuffers_enabled": (SENSOR,),
    "is_traffic_manager_running": (8000,),
    "add_traffic_manager_running": (["127.0.0.1", 8000],),
}
"""Calls with a result."""

SILENT = {
    "load_new_episode": ("", True, 65535),
    "set_weather_parameters": ([1.0] * 14,),
    "set_imui_gravity": (9.0,),
    "load_map_layer": (1,),
    "unload_map_layer": (1,),
    "enable_environment_objects": ([1], True),
    "update_day_night_cycle": ("127.0.0.1:1", True),
    "draw_debug_shape": ([[0, [VECTOR, 0.1]], [255, 0, 0], 1.0, False],),
    "clear_debug_shape": (),
    "clear_debug_string": (),
    "set_annotations_traverse_translucency": (True,),
    "apply_color_texture_to_objects": (["a"], 2, [1, 1, [[0, 0, 0, 0]]]),
    "apply_float_color_texture_to_objects": (["a"], 2, [1, 1, [[0.0, 0.0, 0.0, 0.0]]]),
    "update_lights_state": ("127.0.0.1:1", [], False),
    "stop_recorder": (),
    "stop_replayer": (True,),
    "set_replayer_time_factor": (1.0,),
    "set_replayer_ignore_hero": (True,),
    "set_replayer_ignore_spectator": (True,),
    "set_actor_transform": (CAR, PLACE),
    "set_actor_location": (CAR, VECTOR),
    "set_actor_target_velocity": (CAR, VECTOR),
    "set_actor_target_angular_velocity": (CAR, VECTOR),
    "enable_actor_constant_velocity": (CAR, VECTOR),
    "disable_actor_constant_velocity": (CAR,),
    "add_actor_impulse": (CAR, VECTOR),
    "add_actor_force": (CAR, VECTOR),
    "add_actor_impulse_at_location": (CAR, VECTOR, VECTOR),
    "add_actor_force_at_location": (CAR, VECTOR, VECTOR),
    "add_actor_angular_impulse": (CAR, VECTOR),
    "add_actor_torque": (CAR, VECTOR),
    "set_actor_simulate_physics": (CAR, False),
    "set_actor_collisions": (CAR, True),
    "set_actor_enable_gravity": (CAR, False),
    "set_actor_dead": (WALKER,),
    "apply_control_to_vehicle": (CAR, CONTROL),
    "apply_ackermann_control_to_vehicle": (CAR, [0.1, 0.0, 5.0, 1.0, 0.0]),
    "apply_ackermann_controller_settings": (CAR, [1.0] * 6),
    "set_vehicle_light_state": (CAR, [8]),
    "open_vehicle_door": (CAR, 6),
    "close_vehicle_door": (CAR, 0),
    "set_wheel_steer_direction": (CAR, 0, 5.0),
    "set_wheel_pitch_angle": (CAR, 0, 5.0),
    "show_vehicle_debug_telemetry": (CAR, True),
    "set_actor_autopilot": (CAR, True),
    "use_carsim_road": (CAR, True),
    "restore_physx_physics": (CAR,),
    "apply_control_to_walker": (WALKER, [[1.0, 0.0, 0.0], 1.0, False]),
    "set_bones_transform": (WALKER, [[["crl_root", PLACE]]]),
    "blend_pose": (WALKER, 0.5),
    "get_pose_from_animation": (WALKER,),
    "set_traffic_light_state": (LAMP, 1),
    "set_traffic_light_green_time": (LAMP, 4.0),
    "set_traffic_light_yellow_time": (LAMP, 4.0),
    "set_traffic_light_red_time": (LAMP, 4.0),
    "freeze_traffic_light": (LAMP, True),
    "freeze_all_traffic_lights": (True,),
    "reset_traffic_light_group": (LAMP,),
    "reset_all_traffic_lights": (),
    "enable_sensor_for_ros": (5,),
    "disable_sensor_for_ros": (5,),
    "set_ignored_vehicles": (SENSOR, [1, 2]),
    "destroy_traffic_manager": (8000,),
}
"""Calls without a result."""

REFUSED = {
    "request_file": ("a.bin",),
    "copy_opendrive_to_file": ("<OpenDRIVE/>", [2.0, 50.0, 1.0, 0.6, True, True, True]),
    "start_recorder": ("a.log", True),
    "show_recorder_file_info": ("a.log", True),
    "show_recorder_collisions": ("a.log", 118, 118),
    "show_recorder_actors_blocked": ("a.log", 1.0, 1.0),
    "replay_file": ("a.log", 0.0, 0.0, 0, False, PLACE),
    "enable_carsim": (CAR, ""),
    "enable_chrono_physics": (CAR, 1, 0.1, "", "", "", ""),
    "enable_gbuffers": (SENSOR, True),
    "get_gbuffer_token": (SENSOR, 1),
    "send": (SENSOR, "hello"),
    "get_traffic_manager_running": (8001,),
}
"""Calls that the stand-in cannot do, and says so."""

APART = {"apply_batch", "apply_physics_control"}  # have tests of their own


@pytest.fixture
def sim():
    sim = Simulator(Config(DIALECTS["0.9.16"], "0.9.16", FILE), Streams(), Faults(), "Town01")
    first, second, *_ = sim.world.town.spawn_points
    sim.car = sim.spawn("vehicle.audi.tt", {}, first).id
    sim.walker = sim.spawn("walker.pedestrian.0001", {}, second).id
    sim.sensor = sim.spawn("sensor.other.imu", {}, Pose(0.0, 0.0, 2.0), sim.car).id
    sim.lamp = min(sim.world.actors)
    return sim


def called(sim, method, arguments, metadata=(False,)):
    """The error and the result, over the wire and back."""
    ids = {CAR: sim.car, WALKER: sim.walker, LAMP: sim.lamp, SENSOR: sim.sensor}
    given = [ids.get(each, each) if isinstance(each, str) else each for each in arguments]
    requests = Requests()
    requests.feed(msgpack.packb([0, 7, method, [metadata, *given]]))
    (request,) = requests
    kind, number, error, result = msgpack.unpackb(answer(sim, request), strict_map_key=False)
    assert (kind, number) == (1, 7)
    return error, result


def test_all_calls_are_here():
    assert set(CALLS) == {*ARGUMENTS, *SILENT, *REFUSED, *APART}


@pytest.mark.parametrize("method", sorted(ARGUMENTS))
def test_with_a_result(sim, method):
    error, ((one, value),) = called(sim, method, ARGUMENTS[method])
    assert (error, one) == (None, 1) and value is not None
    sim.tick()


@pytest.mark.parametrize("method", sorted(SILENT))
def test_without_a_result(sim, method):
    assert called(sim, method, SILENT[method], (True,)) == (None, [[False]])
    sim.tick()


@pytest.mark.parametrize("method", sorted(REFUSED))
def test_refused_in_words(sim, method):
    error, ((one, (text,)),) = called(sim, method, REFUSED[method])
    assert (error, one) == (None, 0) and ("stand-in" in text or "no traffic manager" in text)


def test_arguments_that_do_not_fit_are_an_error_text_or_passed_over(sim):
    for method in sorted(CALLS):
        for arguments in ([None] * 11, [sim.car], [sim.car, None], [None], [None, None], [None] * 3):
            error, result = called(sim, method, arguments)
            assert error is None and (method in batch.UNWRAPPED or result[0][0] in (0, 1)), method
    sim.tick()


def test_wrong_arguments_are_told_of(sim):
    _, ((one, (text,)),) = called(sim, "set_actor_transform", (CAR, 5))
    assert one == 0 and text.startswith("set_actor_transform: ")


@pytest.mark.parametrize(
    "method, arguments",
    [
        ("set_actor_transform", (CAR, ((float("nan"), 0.0, 0.0), (0.0, 0.0, 0.0)))),
        ("set_actor_location", (CAR, (0.0, float("inf"), 0.0))),
        ("set_actor_target_velocity", (CAR, (float("inf"), 0.0, 0.0))),
        ("apply_control_to_walker", (WALKER, [[1.0, 0.0, 0.0], float("inf"), False])),
        ("apply_control_to_vehicle", (CAR, (*CONTROL[:6], float("inf")))),
        ("set_weather_parameters", ([float("nan")] * 14,)),
    ],
)
def test_numbers_that_the_world_would_never_be_rid_of_are_refused(sim, method, arguments):
    _, ((one, _),) = called(sim, method, arguments)
    assert one == 0
    sim.tick()


def test_a_vehicle_has_a_mass(sim):
    _, ((_, control),) = called(sim, "get_physics_control", (CAR,))
    for mass in (0.0, float("nan")):
        control[11] = mass
        _, ((one, (text,)),) = called(sim, "apply_physics_control", (CAR, control))
        assert one == 0 and "a mass of" in text
    called(sim, "add_actor_impulse", (CAR, VECTOR))
    sim.tick()


def test_what_belongs_to_the_town_stays(sim):
    assert called(sim, "destroy_actor", (LAMP,)) == (None, [[1, False]])
    sim.tick()
    assert sim.lamp in sim.world.actors


def test_what_hangs_is_placed_though_others_have_gone(sim):
    other = sim.spawn("vehicle.audi.tt", {}, sim.world.town.spawn_points[4])
    eye = sim.spawn("sensor.other.imu", {}, Pose(0.0, 0.0, 2.0), other.id)
    sim.tick()
    sim.destroy(sim.car)
    assert called(sim, "set_actor_location", (eye.id, (0.0, 0.0, 5.0))) == (None, [[False]])
    assert eye.pose.z == pytest.approx(other.pose.z + 5.0, abs=0.01)


def test_a_method_that_there_is_not(sim):
    error, result = called(sim, "make_coffee", ())
    assert "make_coffee" in error and result is None


def test_physics_control_as_it_came(sim):
    _, ((_, control),) = called(sim, "get_physics_control", (CAR,))
    control[11] = 3000.0
    assert called(sim, "apply_physics_control", (CAR, control)) == (None, [[False]])
    assert called(sim, "get_physics_control", (CAR,)) == (None, [[1, control]])


def test_the_registry_of_traffic_managers_outlives_a_load(sim):
    called(sim, "add_traffic_manager_running", (["10.0.0.1", 8000],))
    assert called(sim, "add_traffic_manager_running", (["10.0.0.2", 8000],)) == (None, [[1, False]])
    called(sim, "load_new_episode", ("", True, 0))
    assert called(sim, "get_traffic_manager_running", (8000,)) == (None, [[1, ["10.0.0.1", 8000]]])
    called(sim, "destroy_traffic_manager", (8000,))
    assert called(sim, "is_traffic_manager_running", (8000,)) == (None, [[1, False]])


def test_an_unknown_blueprint_and_an_unknown_parent(sim):
    _, ((one, (text,)),) = called(sim, "spawn_actor", ([1, "vehicle.trabant", []], PLACE))
    assert one == 0 and "vehicle.trabant" in text
    _, ((one, (text,)),) = called(sim, "spawn_actor_with_parent", ([1, "sensor.other.imu", []], PLACE, 99999, 0, ""))
    assert one == 0 and "99999" in text


def test_batches_answer_each_command(sim):
    spawn = [0, [[1, "sensor.other.imu", []], PLACE, [True, sim.car], 216, "", [[[16, [0, True]]]]]]
    commands = [[spawn], [[1, [99999]]], [[99, [1]]], [[2, [sim.car]]], [[18, [sim.car, 40]]], [[20, ["stat fps"]]]]
    error, result = called(sim, "apply_batch", (commands, True))
    assert error is None and [answered[0][0] for answered in result] == [1, 0, 0, 0, 1, 1]
    made = result[0][0][1]
    assert sim.world.actors[made].parent == sim.car and sim.world.actors[made].attachment == 0
    assert sim.world.actors[sim.car].body.lights == 40
    assert batch.UNWRAPPED == ("apply_batch",)


def test_a_spawn_in_a_batch_is_answered_whatever_becomes_of_what_follows_it(sim):
    inner = [0, [[1, "sensor.other.gnss", []], PLACE, [True, sim.car], 0, "", []]]
    spawn = [0, [[1, "sensor.other.imu", []], PLACE, [True, sim.car], 0, "", [[[2, [0, CONTROL]]], [inner]]]]
    _, result = called(sim, "apply_batch", ([[spawn]], False))
    ((one, number),) = result[0]
    assert one == 1 and sim.world.actors[number].type_id == "sensor.other.imu"
    assert sim.world.actors[number + 1].type_id == "sensor.other.gnss"


def test_a_command_with_a_number_that_does_not_fit_spoils_no_other(sim):
    spoilt = [2, [sim.car, [*CONTROL[:6], float("inf")]]]
    _, result = called(sim, "apply_batch", ([[spoilt], [[18, [sim.car, 40]]]], False))
    assert [answered[0][0] for answered in result] == [0, 1]


def test_batches_of_the_old_dialect_have_short_spawns(sim):
    sim.config = sim.config._replace(dialect=DIALECTS["0.9.15"])
    command = [[0, [[1, "sensor.other.imu", []], PLACE, [False], [[[16, [0, True]]]]]]]
    error, result = called(sim, "apply_batch", ([command], False))
    assert error is None and result[0][0][0] == 1


@pytest.mark.parametrize(
    "data", [b"\xc1", *map(msgpack.packb, ([1, 2, 3], "hello", [0, 1, "version", 5], [0, 1, {"version": 1}, []], [1, 1, "version", []]))]
)
def test_what_is_no_request(data):
    requests = Requests()
    requests.feed(data)
    with pytest.raises(Malformed):
        next(requests)


def test_a_request_that_is_too_large(monkeypatch):
    monkeypatch.setattr(rpc, "MOST_BYTES", 100)
    with pytest.raises(Malformed):
        Requests().feed(bytes(101))


def test_a_batch_without_arguments_is_an_error_text(sim):
    request = Request(1, "apply_batch", ())
    assert not request.ticks() and b"apply_batch" in answer(sim, request)


def test_a_request_in_pieces():
    data, requests = msgpack.packb([0, 1, "version", [[False]]]), Requests()
    requests.feed(data[:5])
    assert list(requests) == []
    requests.feed(data[5:] + data)
    assert list(requests) == [Request(1, "version", ((False,),))] * 2
