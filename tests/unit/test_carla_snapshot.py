"""The format carla-snapshot/1: there and back bit for bit, small, and every field checked on the way in."""

import dataclasses

import numpy as np
import pytest
from carlastates import state

from b2d_zmq.errors import SnapshotCorrupt, SnapshotMismatch
from worker.backends.carla.snapshot import read
from worker.backends.seal import seal, unseal


def spoiled(change):
    tree = unseal(state().data())
    change(tree)
    return seal(tree)


def test_there_and_back_to_the_same_bytes():
    data = state().data()
    back = read(data)
    assert back.data() == data == state().data()
    assert back.tick == 25 and back.roles == state().roles and back.settings.seed == 3
    assert (back.now.motion == state().now.motion).all() and back.origin == (("transfer", 7),)


def test_a_state_of_40_actors_after_400_ticks_takes_some_tens_of_kilobytes():
    assert len(state(actors=40, ticks=400, lamps=60).data()) < 64 * 1024


def test_another_backends_and_another_versions_are_a_mismatch():
    for part, value in (("backend", "embedded"), ("version", "9")):
        with pytest.raises(SnapshotMismatch, match="this worker has backend 'carla' version '1'"):
            read(spoiled(lambda tree, part=part, value=value: tree.update({part: value})))


def nan(array):
    return np.full_like(array, np.nan)


@pytest.mark.parametrize(
    "change",
    [
        *(lambda tree, part=part: tree.pop(part) for part in sorted(unseal(state().data()))),
        lambda tree: tree.update(schema="carla-snapshot/2"),
        lambda tree: tree.update(dt=0),
        lambda tree: tree.update(dt=float("nan")),
        lambda tree: tree.update(tick=24),
        lambda tree: tree.update(server=7),
        lambda tree: tree.update(map="x" * 1000),
        lambda tree: tree.update(opendrive="cafe"),
        lambda tree: tree.update(digest="no digest"),
        lambda tree: tree.update(digests=["f" * 16]),
        lambda tree: tree.update(log=tree["log"].astype(np.float64)),
        lambda tree: tree.update(log=nan(tree["log"])),
        lambda tree: tree.update(log=[1.0]),
        lambda tree: tree.update(weather=tree["weather"][:13]),
        lambda tree: tree.update(origin=[["transfer", 26]]),
        lambda tree: tree.update(origin=[[1, 2, 3]]),
        lambda tree: tree.update(traffic={}),
        *(
            lambda tree, told=told: tree["traffic"].append(list(told))
            for told in (
                ("shut_down", "", []),
                ("set_random_device_seed", "", [1.5]),
                ("set_random_device_seed", "", []),
                ("set_random_device_seed", "", [2**40]),
                ("set_random_device_seed", "traffic/1", [1]),
                ("vehicle_percentage_speed_difference", "traffic/1", [float("nan")]),
                ("vehicle_percentage_speed_difference", "", [1.0]),
                ("auto_lane_change", "traffic/1", [True, True]),
            )
        ),
        lambda tree: tree.update(settings={}),
        lambda tree: tree["actors"].update(keys=["ego", "traffic/1", "traffic/1"]),
        lambda tree: tree["actors"].update(keys=["ego"]),
        lambda tree: tree["actors"].update(kinds=["prop", "vehicle", "vehicle"]),
        lambda tree: tree["actors"].update(kinds=["vehicle", "ghost", "vehicle"]),
        lambda tree: tree["actors"].update(attributes=[{}, {}, {"color": 3}]),
        lambda tree: tree["actors"].update(autopilot=[0, 1, 1]),
        lambda tree: tree["actors"].update(beams=np.zeros(2, np.uint32)),
        lambda tree: tree["lead_in"].update(motion=tree["lead_in"]["motion"][:, :2]),
        lambda tree: tree["lead_in"].update(motion=nan(tree["lead_in"]["motion"])),
        lambda tree: tree["lead_in"].update(control=tree["lead_in"]["control"][:5]),
        lambda tree: tree["lead_in"].update(alive=~tree["lead_in"]["alive"]),
        lambda tree: tree["lamps"].update(ids=["1", "1", "2", "3"]),
        lambda tree: tree["lamps"].update(state=np.full(4, 9, np.uint8)),
        lambda tree: tree["lamps"].update(left=-tree["lamps"]["left"]),
        lambda tree: tree["lamps"].update(times=tree["lamps"]["times"][:, :2]),
    ],
)
def test_every_field_is_checked(change):
    with pytest.raises(SnapshotCorrupt):
        read(spoiled(change))


@pytest.mark.parametrize("data", [b"", b"b2dsnap\n", seal([1]), seal({"backend": "carla"}), 7])
def test_what_is_no_snapshot_is_refused(data):
    with pytest.raises(SnapshotCorrupt):
        read(data)


def test_equal_states_have_equal_bytes_whatever_order_their_attributes_came_in():
    one = state()
    turned = [dataclasses.replace(role, attributes=dict(reversed(list(role.attributes.items())))) for role in one.roles]
    assert dataclasses.replace(one, roles=tuple(turned)).data() == one.data()
