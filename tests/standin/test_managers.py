"""The traffic manager of a real client over the stand-in: it registers, its cars drive, keep to the road and stop at red."""

from __future__ import annotations

from standins import run_client, wheel

carla = wheel()

_START = """
import sys, socket, subprocess, carla
client = carla.Client("127.0.0.1", int(sys.argv[1]))
client.set_timeout(10.0)
world = client.get_world()
settings = world.get_settings()
settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.05
world.apply_settings(settings)
there = world.get_map()
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
manager = client.get_trafficmanager(port)
manager.set_synchronous_mode(True)
manager.set_random_device_seed(1)
library, points = world.get_blueprint_library(), there.get_spawn_points()

def ticks(count):
    for _ in range(count):
        world.tick()

def end():
    manager.shut_down()
    for actor in world.get_actors().filter("vehicle.*"):
        actor.destroy()
    settings.synchronous_mode = False
    world.apply_settings(settings)
    print("done")
"""

_DRIVES = (
    _START
    + """
cars = [world.try_spawn_actor(library.find("vehicle.audi.tt"), point) for point in points[:12:3]]
cars = [car for car in cars if car]
ticks(1)
for car in cars:
    car.set_autopilot(True, port)
start = {car.id: car.get_location() for car in cars}
ticks(160)
gone = 0
for car in cars:
    if car.id not in {actor.id for actor in world.get_actors()}:
        gone += 1  # at the end of its road the traffic manager takes a car out
        continue
    moved = car.get_location().distance(start[car.id])
    there_now = there.get_waypoint(car.get_location())
    away = there_now.transform.location.distance(car.get_location())
    print("moved", round(moved, 1), "away", round(away, 2), "speed", round(car.get_velocity().length(), 2))
    assert moved > 15.0 and away < 1.5 and 3.6 * car.get_velocity().length() < car.get_speed_limit() + 5.0
assert gone < len(cars)
end()
"""
)

_FOLLOWS = (
    _START
    + """
start = there.get_waypoint(points[0].location)
place = start.next(30.0)[0].transform
place.location.z += 0.3
front = world.spawn_actor(library.find("vehicle.audi.tt"), place)
front.apply_control(carla.VehicleControl(brake=1.0))
back = world.spawn_actor(library.find("vehicle.audi.tt"), points[0])
ticks(1)
back.set_autopilot(True, port)
most = 0.0
for _ in range(240):
    world.tick()
    most = max(most, back.get_velocity().length())
gap = back.get_location().distance(front.get_location())
print("fastest", round(most, 1), "gap", round(gap, 1), "stands", back.get_velocity().length())
assert most > 3.0 and back.get_velocity().length() < 0.1 and 4.2 < gap < 15.0
assert front.get_location().distance(place.location) < 0.5  # nobody pushed it
front.set_autopilot(True, port)
ticks(80)
print("then", front.get_velocity().length(), back.get_velocity().length())
assert min(front.get_velocity().length(), back.get_velocity().length()) > 2.0
end()
"""
)

_BATCH = (
    _START
    + """
spawn, future = carla.command.SpawnActor, carla.command.FutureActor
command = spawn(library.find("vehicle.audi.tt"), points[0]).then(carla.command.SetAutopilot(future, True, port))
(answer,) = client.apply_batch_sync([command], True)
assert not answer.error
car = world.get_actor(answer.actor_id)
start = car.get_location()
ticks(60)
assert car.get_location().distance(start) > 5.0
again = client.get_trafficmanager(port)
assert again.get_port() == port
there = "client = __import__('carla').Client('127.0.0.1', {}); print('there', client.get_trafficmanager({}).get_port())"
other = subprocess.run([sys.executable, "-c", there.format(sys.argv[1], port)], capture_output=True, text=True, timeout=20.0)
assert f"there {port}" in other.stdout, other.stderr
ticks(1)
end()
"""
)


def test_cars_of_a_manager_drive_on_the_road(server):
    assert "done" in run_client(server, _DRIVES)


def test_a_car_of_a_manager_follows_the_one_ahead(server):
    assert "done" in run_client(server, _FOLLOWS)


def test_a_car_spawned_with_autopilot_drives(server):
    assert "done" in run_client(server, _BATCH)
