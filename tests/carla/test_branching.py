"""Branching on CARLA, before stand-ins with the real wheel: what each tier restores, how true, and what it refuses."""

from __future__ import annotations

import contextlib
import socket

import numpy as np
import pytest
from backend_contract import assert_same, drive, script
from faraway import FarBackend
from standins import StandIn, wheel

from b2d_zmq.errors import SnapshotCorrupt, SnapshotMismatch
from worker.backends.carla.fidelity import EGO
from worker.backends.carla.snapshot import read
from worker.backends.seal import seal, unseal

wheel()

QUIET, LIT = 101, 102  # routes of Town03 and Town12; the second has traffic lights and five actors of its scenario


def free_port():
    with contextlib.closing(socket.socket()) as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Opens backends, each with a server of its own."""
    with contextlib.ExitStack() as stack:

        def another():
            server = StandIn(tmp_path_factory.mktemp("carla"), flags=("-nosound", "-nullrhi"))
            stack.enter_context(contextlib.closing(server))
            options = {"sensors": "state", "carla_port": server.port, "tm_port": free_port(), "rendering": False}
            backend = FarBackend("worker.backends.carla.backend:CarlaBackend", options)
            stack.callback(backend.leave)
            return backend

        yield another


@pytest.fixture(scope="module")
def here(opened):
    return opened()


@pytest.fixture(scope="module")
def there(opened):
    """Another server with other actor ids: it has had episodes before."""
    backend = opened()
    backend.reset(8, {"route_id": LIT})
    backend.release()
    return backend


def under_way(backend, route=LIT, ticks=60, seed=3, **options):
    """An episode of that age; its last outcome and its snapshot."""
    backend.reset(seed, {"route_id": route, **options})
    outcome = drive(backend, script(ticks // 5, seed=1), ticks=5)[-1]
    assert outcome.tick == ticks
    return outcome, backend.snapshot()


def changed(taken, change):
    """The snapshot with something else in it."""
    tree = unseal(taken.data)
    change(tree)
    return seal(tree)


def apart(one, other):
    """Metres between two outcomes' egos."""
    places = [np.asarray(outcome.observation["vehicle_state"]["position"], np.float64) for outcome in (one, other)]
    return float(np.linalg.norm(places[0] - places[1]))


def within(fidelity, limits=EGO):
    ego = fidelity["ego"]
    return ego["position"] <= limits.position and ego["speed"] <= limits.speed and ego["yaw"] <= limits.yaw


@pytest.mark.parametrize("tier", ["replay", "hybrid"])
@pytest.mark.parametrize("route", [QUIET, LIT])
def test_what_is_lived_through_again_is_exact_on_another_server(here, there, tier, route):
    moment, taken = under_way(here, route)
    back = there.restore(taken.data, tier)
    assert back.digest == moment.digest == taken.digest
    fidelity = back.info["fidelity"]
    assert (fidelity["tier"], fidelity["verdict"], fidelity["diverged_at"]) == (tier, "exact", -1)
    assert_same(back.observation, moment.observation)
    assert there.snapshot() == taken
    assert [o.digest for o in drive(here, script(10), 5)] == [o.digest for o in drive(there, script(10), 5)]


@pytest.mark.parametrize("route, ticks", [(QUIET, 60), (LIT, 60), (LIT, 0), (LIT, 5), (QUIET, 140)])
def test_a_transfer_is_good_on_another_server_without_a_reset(here, there, route, ticks):
    moment = here.reset(3, {"route_id": route})
    if ticks:
        moment, _ = under_way(here, route, ticks)
    taken = here.snapshot()
    under_way(there, route, 20, seed=9)
    back = there.restore(taken.data, "transfer")
    fidelity = back.info["fidelity"]
    assert fidelity["verdict"] == "good" and within(fidelity), fidelity
    assert fidelity["ticks"] < 40 and not (fidelity["missing"] or fidelity["extra"] or fidelity["lights"])
    told, before = dict(back.info), dict(moment.info)
    for name in ("step_count", "cumulative_reward", "scenario", "route_id", "seed"):
        assert told[name] == before[name]
    assert back.tick == moment.tick == ticks and back.reward == 0.0
    for one, other in zip(drive(here, script(20, seed=2)), drive(there, script(20, seed=2))):
        assert apart(one, other) <= 0.10


def test_a_transfer_needs_no_episode_to_begin_with_and_loads_the_town_it_needs(here, there):
    moment, taken = under_way(here, LIT)
    there.reset(1, {"route_id": QUIET})
    there.release()
    back = there.restore(taken.data, "transfer")
    assert back.info["fidelity"]["verdict"] == "good" and back.info["town"] == "Town12" and apart(back, moment) <= EGO.position
    there.release()
    again = there.restore(taken.data, "transfer")
    assert again.info["fidelity"]["verdict"] == "good" and apart(again, moment) <= EGO.position


def test_the_source_is_restored_as_any_other(here, there):
    _, taken = under_way(here)
    mine, theirs = here.restore(taken.data, "transfer"), there.restore(taken.data, "transfer")
    for fidelity in (mine.info["fidelity"], theirs.info["fidelity"]):
        assert fidelity["verdict"] == "good" and within(fidelity), fidelity
    assert mine.info["fidelity"]["ticks"] > 10 and apart(mine, theirs) < 0.001


def test_transfers_leave_nobody_behind(here):
    _, taken = under_way(here)
    for number in range(6):
        drive(here, script(3, seed=number), ticks=5)
        fidelity = here.restore(taken.data, "transfer").info["fidelity"]
        assert (fidelity["extra"], fidelity["missing"], fidelity["verdict"]) == (0, 0, "good")


@pytest.mark.parametrize("scenario", [False, True])  # a scenario may want the light to be green or red on arrival
def test_lights_go_on_as_they_would_have_and_have_their_times_back_for_the_next(here, there, scenario):
    begun = [o.digest for o in (there.reset(5, {"route_id": LIT}), *drive(there, script(30, seed=4), ticks=4))]
    _, taken = under_way(here, ticks=75, scenario=scenario)
    there.restore(taken.data, "transfer")

    def shown(backend):
        lamps = []
        for _ in range(75):
            backend.step(np.array([0.0, 1.0, 0.0], np.float32), 12)
            lamps.append(read(backend.snapshot().data).lamps)
        return lamps

    mine, theirs = shown(here), shown(there)
    assert len(mine[0].state) and len({tuple(lamps.state.tolist()) for lamps in mine}) > 2
    for one, other in zip(mine, theirs):
        assert one.state.tolist() == other.state.tolist() and one.times.tolist() == other.times.tolist()
    assert begun == [o.digest for o in (there.reset(5, {"route_id": LIT}), *drive(there, script(30, seed=4), ticks=4))]


def test_a_transferred_state_can_be_branched_again(here, there):
    _, taken = under_way(here)
    there.restore(taken.data, "transfer")
    moment = drive(there, script(6, seed=6), ticks=5)[-1]
    second = there.snapshot()
    state = read(second.data)
    assert second.tier == "transfer" and state.origin == (("transfer", 60),) and state.tick == len(state.log) == 90 == second.tick
    assert len(state.digests) == 10
    back = here.restore(second.data, "transfer")
    assert back.info["fidelity"]["verdict"] == "good" and apart(back, moment) <= EGO.position
    assert read(here.snapshot().data).origin == (("transfer", 60), ("transfer", 90))
    assert [pedals.tolist() for pedals in read(here.snapshot().data).log] == [pedals.tolist() for pedals in state.log]


@pytest.mark.parametrize("tier", ["replay", "hybrid"])
def test_a_replay_of_what_came_by_transfer_says_where_it_parts(here, there, tier):
    _, taken = under_way(here)
    there.restore(taken.data, "transfer")
    moment = drive(there, script(20, seed=6), ticks=5)[-1]
    back = here.restore(there.snapshot().data, tier)
    fidelity = back.info["fidelity"]
    assert (fidelity["verdict"] == "exact") == (back.digest == moment.digest and fidelity["diverged_at"] == -1)
    assert fidelity["diverged_at"] == -1 or fidelity["diverged_at"] >= 60
    assert back.info["cumulative_reward"] == moment.info["cumulative_reward"] and back.tick == moment.tick


def test_hybrid_corrects_who_is_off_and_replay_only_says_so(here, there):
    _, taken = under_way(here)
    state = read(taken.data)
    row = next(row for row, role in enumerate(state.roles) if role.autopilot)

    def push(tree):
        motion = tree["lead_in"]["motion"].copy()
        motion[:, row, 0] += 0.4
        tree["lead_in"]["motion"] = motion

    data = changed(taken, push)
    replayed = there.restore(data, "replay").info["fidelity"]
    assert replayed["verdict"] == "degraded" and replayed["worst"]["actor"] == state.roles[row].key
    assert replayed["worst"]["position"] == pytest.approx(0.4, abs=0.01) and replayed["corrected"] == 0
    corrected = there.restore(data, "hybrid").info["fidelity"]
    assert corrected["corrected"] == 1 and corrected["worst"]["position"] < 0.1 and corrected["verdict"] == "good", corrected
    assert read(there.snapshot().data).origin == (("hybrid", 60),)


def test_where_another_cast_found_room_replay_says_so_and_hybrid_transfers(here, there):
    moment, taken = under_way(here)
    row = max(row for row, role in enumerate(read(taken.data).roles) if role.autopilot)

    def rename(tree):
        tree["actors"]["keys"][row] = "traffic/9999"

    data = changed(taken, rename)
    back = there.restore(data, "replay")
    fidelity = back.info["fidelity"]
    assert (fidelity["missing"], fidelity["extra"], fidelity["verdict"]) == (1, 1, "degraded"), fidelity
    assert back.tick == 60 and back.info["cumulative_reward"] == moment.info["cumulative_reward"]
    assert there.step(np.array([0.3, 0.0, 0.0], np.float32)).tick == 61
    fidelity = there.restore(data, "hybrid").info["fidelity"]
    assert (fidelity["missing"], fidelity["extra"], fidelity["verdict"], fidelity["tier"]) == (0, 0, "good", "hybrid"), fidelity
    assert read(there.snapshot().data).roles[row].key == "traffic/9999"


def test_who_is_gone_in_the_snapshot_is_gone_afterwards(here, there):
    _, taken = under_way(here)
    row = max(row for row, role in enumerate(read(taken.data).roles) if role.autopilot)

    def kill(tree):
        alive = tree["lead_in"]["alive"].copy()
        alive[:, row] = False
        tree["lead_in"]["alive"] = alive

    for before in (there.release, lambda: under_way(there, seed=3)):
        before()
        fidelity = there.restore(changed(taken, kill), "transfer").info["fidelity"]
        assert (fidelity["missing"], fidelity["extra"], fidelity["verdict"]) == (0, 0, "good"), fidelity
        assert not read(there.snapshot().data).now.alive[row]
        drive(there, script(3))


def test_an_ended_episode_is_ended_in_every_tier(here):
    here.reset(3, {"route_id": QUIET, "max_steps": 30})
    last = here.step(np.array([0.4, 0.0, 0.0], np.float32), 50)
    assert last.truncated and last.tick == 30
    data = here.snapshot().data
    for tier in here.traits.tiers:
        back = here.restore(data, tier)
        assert back.truncated and back.tick == 30 and back.info["fidelity"]["verdict"] in ("exact", "good")


@pytest.mark.parametrize(
    "error, words, change",
    [
        (SnapshotMismatch, "CARLA 0.9.10", lambda tree: tree.update(server="0.9.10")),
        (SnapshotMismatch, "OpenDRIVE texts differ", lambda tree: tree.update(opendrive="0" * 32)),
        (SnapshotMismatch, "version '7'", lambda tree: tree.update(version="7")),
        (SnapshotMismatch, "vehicle.of.another.server", lambda tree: tree["actors"]["types"].__setitem__(-1, "vehicle.of.another.server")),
        (SnapshotCorrupt, "its own route", lambda tree: tree.update(map="Town01")),
        (SnapshotCorrupt, "its own route", lambda tree: tree.update(dt=0.1)),
        (SnapshotCorrupt, "nobody tells a traffic manager", lambda tree: tree["traffic"].append(["shut_down", "", []])),
        (SnapshotCorrupt, "actors of its scenario", lambda tree: tree["actors"]["autopilot"].__setitem__(-1, False)),
        (SnapshotCorrupt, "task", lambda tree: tree["episode"].update(task=[1, 2])),
        (SnapshotCorrupt, "scenario", lambda tree: tree["episode"].update(play={})),
        (SnapshotCorrupt, "place on the road", lambda tree: tree["episode"].update(s="far")),
        (SnapshotCorrupt, "place on the road", lambda tree: tree["episode"].update(s=float("nan"))),
    ],
)
@pytest.mark.parametrize("tier", ["replay", "transfer"])
def test_what_does_not_fit_is_refused_and_the_episode_goes_on(here, tier, error, words, change):
    moment, taken = under_way(here, ticks=10)
    with pytest.raises(error, match=words):
        here.restore(changed(taken, change), tier)
    assert here.digest() == moment.digest
    assert here.step(np.array([0.3, 0.0, 0.0], np.float32)).tick == 11


def test_a_snapshot_names_no_server_and_is_small(here, there):
    moment, taken = under_way(here, ticks=200)
    other, twin = under_way(there, ticks=200)
    assert moment.digest == other.digest and taken == twin and len(taken.data) < 64 * 1024
