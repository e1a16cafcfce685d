"""Who stays, who goes and who is spawned when a cast is turned into another: on a server of a few lines."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from b2d_zmq.errors import SimulatorError
from worker.backends.carla.moment import moment
from worker.backends.carla.reconcile import reconcile
from worker.backends.carla.snapshot import Role

ROW = [0.0] * 12


class Actor(SimpleNamespace):
    is_alive = True

    def set_simulate_physics(self, on):
        self.physics = on


class Server:
    """Link, world and batch commands in one; ``full`` places have no room."""

    def __init__(self, first=100):
        self.next, self.actors, self.full, self.moved = first, {}, set(), []
        self.world = self.client = self
        self.carla = SimpleNamespace(
            command=SimpleNamespace(ApplyTransform=lambda actor, place: (actor, place)),
            Transform=lambda location, rotation: SimpleNamespace(location=location, rotation=rotation),
            Location=lambda x=0.0, y=0.0, z=0.0: SimpleNamespace(x=x, y=y, z=z),
            Rotation=lambda *angles: angles,
            Vector3D=lambda *numbers: numbers,
            BoundingBox=lambda *parts: parts,
        )
        self.blueprints = SimpleNamespace(find=lambda type_id: SimpleNamespace(id=type_id, has_attribute=lambda name: False))

    def try_spawn_actor(self, blueprint, place):
        if (blueprint.id, round(place.location.z, 1)) in self.full:
            return None
        actor = Actor(id=self.next, type_id=blueprint.id, attributes={})
        self.next += 1
        self.actors[actor.id] = actor
        return actor

    def get_snapshot(self):
        return SimpleNamespace(has_actor=lambda number: number in self.actors)

    def tell(self, commands, doing):
        self.moved += [actor for actor, _ in commands]

    def remove(self, actors, doing):
        for actor in actors:
            del self.actors[actor.id]

    def populate(self, roles):
        return {
            role.key: self.try_spawn_actor(SimpleNamespace(id=role.type_id), self.carla.Transform(self.carla.Location(), ()))
            for role in roles
        }


def cast(*autopilot):
    kinds = [("ego", False), *((f"{'traffic' if flag else 'scenario'}/{n}", flag) for n, flag in enumerate(autopilot))]
    return [Role(key, f"vehicle.{key}", {}, "vehicle", flag) for key, flag in kinds]


def at(roles, gone=()):
    return moment([None if role.key in gone else ROW for role in roles], [[]] * len(roles))


ROLES = cast(False, True, True, True)


def ids(actors):
    return [actor.id for actor in actors]


def test_a_cast_that_fits_stays_and_is_placed():
    server = Server()
    live = server.populate(ROLES)
    actors = reconcile(server, ROLES, at(ROLES), live)
    assert ids(actors) == [100, 101, 102, 103, 104] == server.moved


def test_who_is_too_many_goes_and_another_type_under_the_same_key_too():
    server = Server()
    live = server.populate([*ROLES, Role("traffic/9", "vehicle.x", {}, "vehicle", True)])
    live["scenario/0"].type_id = "walker.other"
    actors = reconcile(server, ROLES, at(ROLES), live)
    assert sorted(server.actors) == sorted(ids(actors)) and 105 not in server.actors and 101 not in server.actors


def test_the_traffic_after_a_missing_one_is_spawned_anew_so_that_ids_ascend_in_the_snapshots_order():
    server = Server()
    live = server.populate(ROLES)
    server.remove([live["traffic/2"]], "")
    actors = reconcile(server, ROLES, at(ROLES), live)
    traffic = ids(actors)[2:]
    assert traffic == sorted(traffic) and ids(actors)[:3] == [100, 101, 102]
    assert len(server.actors) == len(ROLES)


def test_on_an_empty_server_everybody_is_spawned_in_order_and_the_scenarios_own_have_no_physics():
    server = Server(first=7)
    actors = reconcile(server, ROLES, at(ROLES), server.populate(ROLES[:1]))
    assert ids(actors) == [7, 8, 9, 10, 11]
    assert actors[1].physics is False and not hasattr(actors[2], "physics")


def test_who_is_gone_in_the_snapshot_is_removed_and_played_by_nobody():
    server = Server()
    live = server.populate(ROLES)
    actors = reconcile(server, ROLES, at(ROLES, gone=("traffic/1",)), live)
    assert actors[2].id == 0 and not actors[2].is_alive and actors[2].type_id == "vehicle.traffic/1"
    assert ids(actors)[3:] == [103, 104] and 102 not in server.actors


def test_where_something_stands_in_the_way_an_actor_is_spawned_higher():
    server = Server()
    server.full = {("vehicle.traffic/1", 0.2)}
    live = server.populate([role for role in ROLES if role.key != "traffic/1"])
    assert reconcile(server, ROLES, at(ROLES), live)[2].is_alive


def test_traffic_without_room_is_missing_and_a_scenarios_own_is_an_error():
    server = Server()
    server.full = {(f"vehicle.{key}", lift) for key in ("traffic/1", "scenario/0") for lift in (0.2, 1.5, 6.0)}
    live = server.populate([role for role in ROLES if role.key != "traffic/1"])
    assert not reconcile(server, ROLES, at(ROLES), live)[2].is_alive
    del live["scenario/0"]
    with pytest.raises(SimulatorError, match=r"scenario/0.* cannot be spawned"):
        reconcile(server, ROLES, at(ROLES), live)


def test_the_places_are_the_rows_own():
    server = Server()
    places = at(ROLES)
    places.motion[:, 0] = np.arange(len(ROLES))
    seen = []
    server.try_spawn_actor = lambda blueprint, place: seen.append(place.location.x) or Actor(id=1, type_id=blueprint.id, attributes={})
    reconcile(server, ROLES, places, {})
    assert seen == [0.0, 1.0, 2.0, 3.0, 4.0]
