"""The stand-in's streams with real clients: nothing lost, late joiners served, dead streams silent, large images whole."""

from __future__ import annotations

import queue
import socket
import struct

import msgpack
import psutil
import pytest
from standins import client_of, wheel

from worker.standin.streams import MOST_WAITING, Listener, Streams

carla = wheel()


def settled(world, spawn):
    """A car that stands still."""
    car = spawn("vehicle.lincoln.mkz_2020")
    for _ in range(15):
        world.tick()
    return car


def camera(world, parent, width=64, height=48, **attributes):
    blueprint = world.get_blueprint_library().find("sensor.camera.rgb")
    for name, value in {"image_size_x": width, "image_size_y": height, **attributes}.items():
        blueprint.set_attribute(name, str(value))
    place = carla.Transform(carla.Location(x=1.5, z=2.0))
    return world.spawn_actor(blueprint, place, attach_to=parent)


def links(server):
    """The clients' ends of all connections to a server."""
    return {link.raddr for link in psutil.Process(server.process.pid).net_connections() if link.raddr}


def test_no_image_is_lost_to_the_tick_after_listen(world, spawn):
    car = spawn("vehicle.lincoln.mkz_2020")
    for _ in range(40):
        sensor, images = camera(world, car), queue.Queue()
        sensor.listen(images.put)
        frame = world.tick()
        image = images.get(timeout=5.0)
        assert image.frame == frame
        sensor.stop()
        sensor.destroy()


def test_images_of_all_ticks_in_order(world, spawn):
    car = spawn("vehicle.lincoln.mkz_2020")
    sensor, images = camera(world, car), queue.Queue()
    sensor.listen(images.put)
    frames = [world.tick() for _ in range(20)]
    found = [images.get(timeout=5.0) for _ in frames]
    assert [image.frame for image in found] == frames
    assert (found[0].width, found[0].height, len(found[0].raw_data)) == (64, 48, 64 * 48 * 4)
    expected = car.get_transform().transform(carla.Location(1.5, 0.0, 2.0))
    assert found[-1].transform.location.distance(expected) < 0.01
    sensor.destroy()


def test_sensor_tick_thins_out(world, spawn):
    car = spawn("vehicle.lincoln.mkz_2020")
    sensor, images = camera(world, car, sensor_tick=0.2), queue.Queue()
    sensor.listen(images.put)
    frames = [world.tick() for _ in range(20)]
    found = [images.get(timeout=5.0).frame for _ in range(5)]
    assert found == frames[::4]
    assert images.empty()
    sensor.destroy()


def test_large_images_are_whole(world, spawn):
    sensor, images = camera(world, settled(world, spawn), 1920, 1080), queue.Queue()
    sensor.listen(images.put)
    frames = [world.tick() for _ in range(5)]
    found = [images.get(timeout=20.0) for _ in frames]
    assert [image.frame for image in found] == frames
    assert bytes(found[0].raw_data) == bytes(found[1].raw_data)  # nothing moves
    sensor.destroy()


def test_two_who_listen_get_the_same(server, world, spawn):
    car = spawn("vehicle.lincoln.mkz_2020")
    sensor, first, second = camera(world, car), queue.Queue(), queue.Queue()
    other = client_of(server).get_world().get_actor(sensor.id)
    sensor.listen(first.put)
    other.listen(second.put)
    frame = world.tick()
    a, b = first.get(timeout=5.0), second.get(timeout=5.0)
    assert a.frame == b.frame == frame and bytes(a.raw_data) == bytes(b.raw_data)
    other.stop()
    sensor.destroy()


def test_a_late_joiner_sees_who_is_there(server, world, spawn):
    car = spawn("vehicle.lincoln.mkz_2020")
    late = client_of(server).get_world()
    late.apply_settings(late.get_settings())
    assert car.id in {actor.id for actor in late.get_actors()}


def test_all_sensors_that_there_are_can_be_heard(world, spawn):
    car = spawn("vehicle.lincoln.mkz_2020")
    heard, sensors = queue.Queue(), []
    names = [blueprint.id for blueprint in world.get_blueprint_library().filter("sensor.*")]
    steady = ["sensor.other.imu", "sensor.other.gnss", "sensor.lidar.ray_cast", "sensor.other.radar", "sensor.camera.rgb"]
    assert set(steady) <= set(names)
    for name in names:
        blueprint = world.get_blueprint_library().find(name)
        sensor = world.spawn_actor(blueprint, carla.Transform(carla.Location(z=2.5)), attach_to=car)
        sensor.listen(lambda data, name=name: heard.put((name, data.frame)))
        sensors.append(sensor)
    frame = world.tick()
    waiting = set(steady)
    while waiting:
        name, of = heard.get(timeout=20.0)
        assert of == frame
        waiting.discard(name)
    for sensor in sensors:
        sensor.stop()


def test_collisions_are_told(world, spawn):
    car = spawn("vehicle.lincoln.mkz_2020")
    events = queue.Queue()
    sensor = world.spawn_actor(world.get_blueprint_library().find("sensor.other.collision"), carla.Transform(), attach_to=car)
    sensor.listen(events.put)
    for _ in range(15):
        world.tick()
    here = car.get_transform()
    forward = here.get_forward_vector()
    place = carla.Transform(here.location + 6.0 * forward, here.rotation)
    barrier = world.spawn_actor(world.get_blueprint_library().find("static.prop.streetbarrier"), place)
    car.set_target_velocity(10.0 * forward)
    for _ in range(20):
        world.tick()
    event = events.get(timeout=5.0)
    assert (event.actor.id, event.other_actor.id) == (car.id, barrier.id)
    assert event.normal_impulse.length() > 1000.0
    sensor.destroy()


def test_a_gone_sensors_listener_is_left_in_peace(server, world, spawn):
    """A closed stream would be asked for again thousands of times a second."""
    car = spawn("vehicle.lincoln.mkz_2020")
    sensor, images = camera(world, car), queue.Queue()
    sensor.listen(images.put)
    other = client_of(server)
    other.get_world()
    world.tick()  # all have joined their streams
    images.get(timeout=5.0)
    before = links(server)
    assert not other.apply_batch_sync([carla.command.DestroyActor(sensor.id)], False)[0].error
    ticked = [world.tick() for _ in range(50)]
    assert ticked[-1] - ticked[0] == 49 and images.empty()
    assert links(server) <= before  # who is sent away comes back by another port


def test_a_stream_that_nobody_knows_stays_open(server):
    with socket.create_connection(("127.0.0.1", server.port)) as link:
        link.sendall(msgpack.packb([0, 1, "get_sensor_token", [[False], 7]]))
        token = msgpack.unpackb(link.recv(4096))[3][0][1][0]
    with socket.create_connection(("127.0.0.1", struct.unpack_from("<IH", token)[1]), timeout=0.3) as stranger:
        stranger.sendall((4_000_000_000).to_bytes(4, "little"))
        with pytest.raises(socket.timeout):
            stranger.recv(1)


def test_a_slow_listener_of_an_asynchronous_world_loses_messages_and_a_synchronous_one_holds_time_up():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        streams, listener = Streams(), Listener(ours)
        listener.stream = 9
        streams.join(listener)
        big = bytes(MOST_WAITING // 2)
        for _ in range(5):
            streams.send(9, big)
        assert listener.bytes_waiting < 2 * MOST_WAITING and streams.choked()  # lossy: the last ones were dropped
        streams.lossy = False
        before = listener.bytes_waiting
        streams.send(9, b"kept")
        assert listener.bytes_waiting == before + 8


def test_parts_arrive_in_order_whatever_the_socket_takes():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        streams, listener = Streams(), Listener(ours)
        listener.stream = 9
        streams.join(listener)
        reused = bytearray(b"x" * 100_000)
        sent = b""
        for number in range(40):
            reused[:4] = number.to_bytes(4, "little")
            streams.send(9, b"head", reused)
            sent += (100_004).to_bytes(4, "little") + b"head" + bytes(reused)
        got = b""
        while len(got) < len(sent):
            got += theirs.recv(1 << 16)
            if listener.waiting:
                listener.flush()
        assert got == sent
