"""Traffic lights and signs of the stand-in as a real client sees them, in a town that has them."""

from __future__ import annotations

import pytest
from standins import run_client, wheel

carla = wheel()


@pytest.fixture(scope="module")
def client(server):
    client = carla.Client("127.0.0.1", server.port)
    client.set_timeout(10.0)
    client.load_world("Town01")
    return client


@pytest.fixture
def lights(world):
    world.reset_all_traffic_lights()
    world.freeze_all_traffic_lights(False)
    world.tick()
    found = list(world.get_actors().filter("traffic.traffic_light"))
    assert len(found) > 3
    yield found
    for light in found:
        light.set_green_time(10.0)
        light.set_yellow_time(3.0)
        light.set_red_time(2.0)


def ticks(world, count):
    for _ in range(count):
        world.tick()


def group_of(light):
    return sorted(light.get_group_traffic_lights(), key=lambda each: each.id)


def test_groups_and_first_phase(lights):
    states = [each.get_state() for each in group_of(lights[0])]
    assert set(states) == {carla.TrafficLightState.Green, carla.TrafficLightState.Red}
    assert len(group_of(lights[0])) < len(lights)


def test_the_cycle(world, lights):
    group = group_of(lights[0])
    green = next(each for each in group if each.get_state() == carla.TrafficLightState.Green)
    other = next(each for each in group if each.get_state() == carla.TrafficLightState.Red)
    for light in (green, other):
        light.set_green_time(0.5)
        light.set_yellow_time(0.2)
        light.set_red_time(0.1)
    world.reset_all_traffic_lights()
    world.tick()
    assert (green.get_green_time(), green.get_yellow_time()) == (0.5, pytest.approx(0.2))
    assert green.get_elapsed_time() == pytest.approx(0.05)
    ticks(world, 9)
    assert green.get_state() == carla.TrafficLightState.Yellow
    ticks(world, 4)
    assert green.get_state() == other.get_state() == carla.TrafficLightState.Red
    ticks(world, 2)
    assert (green.get_state(), other.get_state()) == (carla.TrafficLightState.Red, carla.TrafficLightState.Green)
    green.reset_group()
    world.tick()
    assert (green.get_state(), other.get_state()) == (carla.TrafficLightState.Green, carla.TrafficLightState.Red)


def test_freezing_one_light_freezes_all(world, lights):
    """The wheel has no other call for it."""
    lights[0].freeze(True)
    world.tick()
    assert all(each.is_frozen() for each in lights)
    elapsed = [each.get_elapsed_time() for each in lights]
    ticks(world, 5)
    assert [each.get_elapsed_time() for each in lights] == elapsed
    world.freeze_all_traffic_lights(False)
    ticks(world, 2)
    assert not any(each.is_frozen() for each in lights)
    assert [each.get_elapsed_time() for each in lights] != elapsed


def test_a_state_can_be_set(world, lights):
    world.freeze_all_traffic_lights(True)
    lights[0].set_state(carla.TrafficLightState.Off)
    world.tick()
    assert lights[0].get_state() == carla.TrafficLightState.Off


def test_lights_and_the_map_know_each_other(world, lights):
    there = world.get_map()
    signs = {mark.id for mark in there.get_all_landmarks_of_type("1000001")}
    for light in lights:
        assert light.get_opendrive_id() in signs
        assert light.get_affected_lane_waypoints() and light.get_stop_waypoints()
        assert light.get_light_boxes()
        assert light.get_pole_index() >= 0
    mark = next(mark for mark in there.get_all_landmarks_of_type("1000001") if mark.id == lights[0].get_opendrive_id())
    assert world.get_traffic_light(mark).id == lights[0].id
    assert world.get_traffic_light_from_opendrive_id(lights[0].get_opendrive_id()).id == lights[0].id


def test_a_car_at_a_light_knows_it(world, lights):
    light = lights[0]
    stop = light.get_stop_waypoints()[0]
    light.set_state(carla.TrafficLightState.Red)
    light.freeze(True)
    place = stop.previous(3.0)[0].transform
    place.location.z += 0.3
    car = world.spawn_actor(world.get_blueprint_library().find("vehicle.audi.tt"), place)
    ticks(world, 12)
    assert car.is_at_traffic_light() and car.get_traffic_light().id == light.id
    assert car.get_traffic_light_state() == carla.TrafficLightState.Red
    far = stop.previous(40.0)[0].transform
    far.location.z += 0.3
    car.set_transform(far)
    ticks(world, 2)
    assert not car.is_at_traffic_light()
    assert car.get_traffic_light_state() == carla.TrafficLightState.Green  # CARLA's word for none


_STOPS = """
import sys, socket, carla
client = carla.Client("127.0.0.1", int(sys.argv[1]))
client.set_timeout(10.0)
world = client.load_world("Town01")
settings = world.get_settings()
settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.05
world.apply_settings(settings)
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
manager = client.get_trafficmanager(port)
manager.set_synchronous_mode(True)
manager.set_random_device_seed(1)
world.freeze_all_traffic_lights(True)
light = world.get_actors().filter("traffic.traffic_light")[0]
light.set_state(carla.TrafficLightState.Red)
stop = light.get_stop_waypoints()[0]
place = stop.previous(35.0)[0].transform
place.location.z += 0.3
car = world.spawn_actor(world.get_blueprint_library().find("vehicle.audi.tt"), place)
world.tick()
car.set_autopilot(True, port)
most = 0.0
for _ in range(300):
    world.tick()
    most = max(most, car.get_velocity().length())
print("fastest", round(most, 1), "stands", round(car.get_location().distance(stop.transform.location), 1), car.get_velocity().length())
assert most > 3.0 and car.get_velocity().length() < 0.1
assert car.is_at_traffic_light() and car.get_traffic_light().id == light.id
light.set_state(carla.TrafficLightState.Green)
for _ in range(100):
    world.tick()
print("then", car.get_velocity().length())
assert car.get_velocity().length() > 3.0
manager.shut_down()
car.destroy()
settings.synchronous_mode = False
world.apply_settings(settings)
print("done")
"""


def test_a_managers_car_stops_at_red_and_goes_at_green(server):
    assert "done" in run_client(server, _STOPS)
