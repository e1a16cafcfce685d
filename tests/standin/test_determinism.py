"""The same calls give the same states, bit for bit: two servers, two loads, whatever the wall clock does."""

from __future__ import annotations

import struct

import pytest

from worker import routes
from worker.standin.actors import Control, Pose, Stride
from worker.standin.dialect import DIALECTS
from worker.standin.faults import Faults
from worker.standin.rpc import Request, answer
from worker.standin.simulator import STATE_STREAM, Config, Simulator
from worker.standin.streams import Streams
from worker.standin.town import build

FILE = routes.read(routes.DEFAULT_FILE)
TOWN = FILE[0].town
_CLOCK = slice(4 + 48 + 8, 4 + 48 + 16)  # the platform's time


class Ear:
    """Hears the state stream as a socket would."""

    waiting = ()
    bytes_waiting = 0

    def __init__(self):
        self.states = []

    def send(self, parts):
        state = bytearray(b"".join(parts))
        state[_CLOCK] = bytes(8)
        self.states.append(bytes(state))


@pytest.fixture
def started():
    """A factory of synchronous simulators, each with the ear that hears its states."""

    def start(dialect="0.9.16"):
        streams, ear = Streams(), Ear()
        streams.listeners[STATE_STREAM] = [ear]
        sim = Simulator(Config(DIALECTS[dialect], dialect, FILE), streams, Faults(), TOWN)
        sim.set_settings(sim.world.settings._replace(synchronous=True, delta=0.05))
        return sim, ear

    return start


def drive(sim):
    """A few cars, a walker and a cone, driven with some vigour for ten seconds."""
    points = sim.world.town.spawn_points
    cars = [sim.spawn("vehicle.lincoln.mkz_2020", {}, points[k]) for k in (0, 4, 8)]
    walker = sim.spawn("walker.pedestrian.0001", {}, points[3])
    sim.spawn("sensor.other.imu", {}, Pose(1.0, 0.2, 2.0, 3.0, 40.0, 1.0), cars[0].id)
    sim.spawn("static.prop.trafficcone01", {}, Pose(points[0].x + 15.0, points[0].y, points[0].z))
    walker.body.stride = Stride((0.3, 1.0, 0.0), 1.3)
    for tick in range(200):
        for k, car in enumerate(cars):
            car.body.control = Control(throttle=0.3 + 0.2 * k, steer=0.1 * ((tick // 20) % 3 - 1), brake=float(tick % 50 > 45))
        sim.tick()
    for actor in [*cars, walker]:
        sim.destroy(actor.id)


def test_two_servers_agree_bit_for_bit(started):
    first, second = started(), started()
    drive(first[0])
    drive(second[0])
    assert len(first[1].states) > 200 and first[1].states == second[1].states


def test_an_episode_after_a_load_goes_as_the_first(started):
    """Only frames, ids and the episode's number have grown."""
    sim, ear = started()
    drive(sim)
    before, count = ear.states[-200:], len(sim.world.actors)
    sim.load(sim.world.town, reset_settings=False)
    assert sim.world.elapsed == pytest.approx(0.05) and sim.world.settings.synchronous
    drive(sim)
    head, record, own = 4 + 48 + 36, 119, 4
    for old, new in zip(before, ear.states[-200:]):
        assert len(old) == len(new)
        for start in range(head, len(old), record):
            place = slice(start + own, start + 65)
            assert old[place] == new[place]
    assert count <= len(sim.world.actors) + 2


def test_frames_grow_and_ids_are_never_used_again(started):
    sim, _ = started()
    number = sim.spawn("vehicle.audi.tt", {}, sim.world.town.spawn_points[0]).id
    frame = sim.tick()
    sim.load(sim.world.town, reset_settings=True)
    assert sim.world.frame == frame + 1 and not sim.world.settings.synchronous
    assert min(sim.world.actors) > number


@pytest.mark.parametrize("dialect, index", [("0.9.15", 16), ("0.9.16", 17)])
def test_the_state_has_its_dialects_index(started, dialect, index):
    _, ear = started(dialect)
    assert struct.unpack_from("<IQ", ear.states[0]) == (len(ear.states[0]) - 4, index)


def test_an_old_dialect_has_no_new_calls(started):
    for dialect, missing in (("0.9.15", True), ("0.9.16", False)):
        sim, _ = started(dialect)
        assert (b"unknown function" in answer(sim, Request(1, "get_imui_gravity", ((False,),)))) is missing


def test_a_group_can_be_frozen_alone(started):
    """CARLA has a call for it that no wheel makes."""
    sim, _ = started()
    sim.load(build("Town01", FILE), reset_settings=False)
    lamp, *_ = [actor for actor in sim.world.actors.values() if actor.type_id == "traffic.traffic_light"]
    answer(sim, Request(1, "freeze_traffic_light", ((True,), lamp.id, True)))
    frozen = {actor.body.group for actor in sim.world.actors.values() if getattr(actor.body, "frozen", False)}
    assert frozen == {lamp.body.group}
