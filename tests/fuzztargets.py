"""Everything that reads bytes of others, each as a function of bytes, with valid inputs to start from and the errors that it may raise.

``TARGETS`` maps names to makers; a maker gives a Target. Any other exception than its ``errors`` is a finding, and so is a crash.
tests/unit/test_fuzz.py feeds each a little in every run of the suite, tests/fuzz.py very much, guided by coverage.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import random
import struct
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable, NamedTuple, Sequence, Tuple

import msgpack
import numpy as np
from bending import bent, spoiled
from toy import Toy

from b2d_zmq import answers, codec, errors, outcomes, protocol, snapshot, spaces
from b2d_zmq.errors import B2DError
from b2d_zmq.protocol import Header, Kind
from worker import rig, routes
from worker.backends import seal
from worker.briefing import Briefing
from worker.host import Host
from worker.jobs import describe
from worker.progress import Page, Progress

CUT, JOINT = b"\xfd\xfe\xfd", b"\xfe\xfd\xfe"  # between the frames of one message; between messages


class Target(NamedTuple):
    """``feed(data)`` reads ``data``. ``trees`` are what valid inputs say, ``pack`` makes bytes of one; the two are absent for texts."""

    feed: Callable[[bytes], Any]
    errors: Tuple[type, ...]
    seeds: Sequence[bytes]
    trees: Sequence[Any] = ()
    pack: Callable[[Any], bytes] | None = None

    def read(self, data: bytes) -> bool:
        """Feed it, and tell whether it was taken; raises what is a finding."""
        try:
            self.feed(data)
        except self.errors:
            return False
        return True

    def input(self, rng: random.Random) -> bytes:
        """A valid input, spoiled."""
        if self.trees and rng.random() < 0.7:
            try:
                data = self.pack(spoiled(rng, rng.choice(self.trees)))
            except errors.CodecError:  # it cannot even be written
                data = rng.choice(self.seeds)
            return data if rng.random() < 0.8 else bent(rng, data, self.seeds)
        return bent(rng, rng.choice(self.seeds), self.seeds)


def of_trees(feed, errors_, trees, pack):
    """A target whose valid inputs are these trees."""
    return Target(feed, errors_, [pack(tree) for tree in trees], trees, pack)


def joined(frames):
    return CUT.join(bytes(frame) for frame in frames)


def packed(tree):
    """A body as one input."""
    return joined(codec.encode(tree))


def parsed(data):
    return codec.decode(data.split(CUT))


def looked_at(tree):
    """Touch every value: an array over memory that is not there would end the process."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            hash(key)
            looked_at(value)
    elif isinstance(tree, list):
        for value in tree:
            looked_at(value)
    elif isinstance(tree, np.ndarray):
        tree.tobytes()
        assert not tree.flags.writeable and tree.dtype.str in codec.ALLOWED
    return tree


# what valid messages say

ACTION = np.array([0.5, 0.0, -0.25], np.float32)
OUTCOME = {
    "observation": {"center_image": np.zeros((16, 32, 3), np.uint8), "vehicle_state": {"speed": np.ones(1, np.float32)}},
    **{"reward": 1.5, "terminated": False, "truncated": False, "info": {"route_id": 3}, "digest": "00ff" * 4, "tick": 7},
    "simulator_seconds": 0.25,
}
ROLLOUT = {
    **{"observations": [{"speed": np.ones(1, np.float32)}] * 2, "rewards": np.zeros(2), "terminated": np.zeros(2, bool)},
    **{"truncated": np.zeros(2, bool), "digests": ["00ff" * 4] * 2, "info": {}, "tick": 9, "simulator_seconds": 0.5},
}
STATE = {
    **{"id": "ab", "data": np.arange(100, dtype=np.uint8), "tick": 7, "tier": "exact", "digest": "00ff" * 4},
    **{"backend": "toy", "version": "1"},
}
REFUSED = {"code": 11, "message": "full", "traceback": "", "retry_after": 0.25}
GRANTED = {"leases": [{"lease": "L1-b", "epoch": 1, "worker": "w-1", "ttl": 30.0}], "description": {"profile": "p"}}


def description():
    return describe(Toy())


def conversation():
    """(who, message) as a broker hears them: a worker, a client, jobs, an end."""
    lease, host = {"lease": "L1-b", "epoch": 1}, b"w-1/h1"
    ready = {"worker": "w-1", "host": "w-1/h1", "heartbeat": 1.0, "name": "w", "pid": 5, "version": "1"}
    attach = {"worker": "w-1", "description": {"profile": "p"}, "epoch": 0, "seq": 0, "lease": "", "client": "", "label": ""}
    told = [
        (b"w-1", Header(Kind.READY), ready),
        (host, Header(Kind.ATTACH), attach),
        (b"c", Header(Kind.ACQUIRE, 1, budget=2.0), {"n": 1, "wait": 1.0, "client": "t", "label": "me", "profile": ""}),
        (b"c", Header(Kind.STEP, 2, seq=1, budget=2.0, **lease), {"action": ACTION, "ticks": 1}),
        (host, Header(Kind.REPLY, 2, seq=1, **lease), OUTCOME),
        (b"c", Header(Kind.KEEPALIVE), {"client": "t", "leases": ["L1-b"]}),
        (b"w-1", Header(Kind.HEARTBEAT), {"worker": "w-1", "host": "w-1/h1", "progress": {"hosts": 1, "doing": "idle"}}),
        (b"d", Header(Kind.DESCRIBE, 1), {"profile": "", "wait": 3.0}),
        (b"d", Header(Kind.ACQUIRE, 2, budget=9.0), {"n": 2, "wait": 9.0, "client": "u", "label": "you", "profile": "p"}),
        (b"d", Header(Kind.STATUS, 3), {}),
        (host, Header(Kind.HANDOVER, seq=1, **lease), STATE),
        (b"c", Header(Kind.RELEASE, 3), {"leases": ["L1-b"]}),
        (host, Header(Kind.RELEASED, **lease), None),
        (b"w-1", Header(Kind.LOST), {"worker": "w-1", "host": "w-1/h1", "reason": "gone", "code": 13, "log": "words"}),
        (b"w-1", Header(Kind.GOODBYE), {"worker": "w-1", "reason": "enough"}),
    ]
    return [[who.decode(), list(header._replace(kind=int(header.kind))), body] for who, header, body in told]


def message_of(header, body):
    """The frames of a message of which nobody says that it is right."""
    head = msgpack.packb([protocol.MAGIC, protocol.MAJOR, *header] if isinstance(header, (list, tuple)) else header, default=lambda _: 0)
    return [head, *(codec.encode(body) if body is not None else [])]


def spoken(lines):
    """A conversation as one input."""
    said = []
    for line in lines if isinstance(lines, list) else []:
        who, header, body = line if isinstance(line, list) and len(line) == 3 else ("c", line, None)
        said.append(CUT.join([str(who)[:100].encode("utf-8", "replace"), *map(bytes, message_of(header, body))]))
    return JOINT.join(said)


# the targets


def header():
    return of_trees(
        Header.unpack, (errors.ProtocolError,), [[*Header(Kind.STEP, 5, "L1-b", 1, 2, 3.5)]], lambda tree: message_of(tree, None)[0]
    )


def message():
    def feed(data):
        frames = data.split(CUT)
        assert 0 <= protocol.request_of(frames) < 2**63
        protocol.pack(protocol.unpack(frames, 1 << 20), 1 << 20)

    trees = [line[1:] for line in conversation()]

    def pack(tree):
        return joined(message_of(*tree)) if isinstance(tree, list) and len(tree) == 2 else repr(tree).encode()

    return of_trees(feed, (errors.ProtocolError,), trees, pack)


def body():
    return of_trees(lambda data: looked_at(parsed(data)), (errors.CodecError,), [OUTCOME, ROLLOUT, STATE, GRANTED, description()], packed)


def broker():
    from broker.core import Broker

    def feed(data):
        core, now = Broker("b", waiting=8, held_bytes=1 << 20, now=0.0), 0.0
        for said in data.split(JOINT)[:200]:
            sender, *frames = said.split(CUT)
            now += 0.75
            try:
                heard = protocol.unpack(frames, 1 << 20)
            except errors.ProtocolError as error:
                sends = core.refuse(sender, error, protocol.request_of(frames))
            else:
                sends = core.receive(sender, heard, now)
            for to, reply in sends + core.tick(now):
                protocol.pack(reply, 1 << 22)
                core.unreachable(to, reply, now) if to == b"gone" else None
        for wait in (1.0, 10.0, 100.0, 1e4):
            core.tick(now + wait)
        assert not core.table.leases and core.table.held.total == 0, "something outlived everybody"
        assert not core.table.workers or all(worker.heartbeat > 100 for worker in core.table.workers.values())

    return of_trees(feed, (), [conversation(), conversation()[:6] * 2, conversation() * 2], spoken)


class _Wire:
    """A socket that hands out one message and takes every answer."""

    def __init__(self):
        self.frames = []

    def recv_multipart(self, *_, **__):
        return self.frames

    def send_multipart(self, frames, *_, **__):
        protocol.check_size(frames, 1 << 20)


def host():
    page, wire = Page.create(), _Wire()
    briefing = Briefing("w-1", "w-1/h1", "", "toy", {}, 1 << 20, "error", 0, -1)
    lease = {"lease": "L1-b", "epoch": 1}
    taken = Toy()
    taken.reset(1, {})
    state = np.frombuffer(taken.snapshot().data, np.uint8)
    jobs = [
        (Kind.RESET, {"seed": 1, "options": {"route_id": 1, "max_steps": 50}}),
        (Kind.STEP, {"action": ACTION, "ticks": 2}),
        (Kind.ROLLOUT, {"actions": np.stack([ACTION] * 3), "ticks": 1, "observations": "all"}),
        (Kind.SNAPSHOT, {}),
        (Kind.RESTORE, {"data": state, "tier": "exact"}),
        (Kind.STEP, {"action": ACTION.astype(np.float64).tolist(), "ticks": 1}),
    ]
    lines = [["", list(Header(Kind.GRANT, **lease)), {"client": "t", "label": "me"}]]
    lines += [["", list(Header(kind, seq, seq=seq, budget=1.0, **lease)), tree] for seq, (kind, tree) in enumerate(jobs, 1)]
    lines += [["", list(Header(Kind.WHO)), None], ["", list(Header(Kind.REVOKE, **lease)), None]]
    lines = [[who, [int(head[0]), *head[1:]], tree] for who, head, tree in lines]

    def feed(data):
        served = Host(briefing, Toy(), page, SimpleNamespace(socket=wire), None)
        for said in data.split(JOINT)[:50]:
            wire.frames = said.split(CUT)[1:] or [b""]
            served._receive()

    return of_trees(feed, (), [lines, lines[:3] * 2], spoken)


def answer():
    def feed(data):
        told, fault = answers.unpack_answer(data.split(CUT), 1 << 20)
        if fault is not None:
            raise fault
        tree = codec.decode(told.body) if told.body else {}
        assert isinstance(answers.refusal(tree), B2DError)
        for read in (outcomes.read_outcome, outcomes.read_trajectory, outcomes.read_state):
            with contextlib.suppress(errors.ProtocolError):
                read(tree)

    trees = [[[int(Kind.REPLY), 5, "L1-b", 1, 2, 0.0], tree] for tree in (OUTCOME, ROLLOUT, STATE, GRANTED, REFUSED)]
    return of_trees(feed, (errors.ProtocolError,), trees, lambda tree: joined(message_of(*tree)) if _pair(tree) else repr(tree).encode())


def _pair(tree):
    return isinstance(tree, list) and len(tree) == 2


def space():
    box = {"type": "box", "low": 0.0, "high": [1.0, 2.0, 3.0], "shape": [3], "dtype": "<f4"}
    trees = [description()["observation_space"], description()["action_space"], box, {"type": "discrete", "n": 6}]
    return of_trees(lambda data: spaces.from_wire(parsed(data)), (errors.ProtocolError,), trees, packed)


def action():
    wanted = spaces.action_space()

    def feed(data):
        given = parsed(data)
        for leading in ((), (-1,), (2, -1)):
            try:
                taken = spaces.check_actions(given, wanted, leading)
            except errors.InvalidAction:
                continue
            assert taken.dtype == np.float32 and np.isfinite(taken).all()

    return of_trees(feed, (errors.ProtocolError,), [ACTION, ACTION.tolist(), np.stack([[ACTION] * 3] * 2), [0, 1, -1]], packed)


def snapshot_file():
    path = Path(tempfile.mkdtemp(prefix="b2d-fuzz-")) / "a.snapshot"
    told = {"id": "ab", "tick": 4, "tier": "exact", "digest": "00ff", "backend": "toy", "version": "1", "episode_steps": 4}
    front = struct.Struct("<8sHI")

    def pack(tree):
        head = msgpack.packb(tree, default=lambda _: 0)
        return b"\1" + front.pack(snapshot.MAGIC, snapshot.FORMAT, len(head)) + head + b"the state" * 20

    def feed(data):
        content = data[1:]
        if data[:1] != b"\0":  # else not even the hash fits
            content += hashlib.blake2b(content, digest_size=32).digest()
        path.write_bytes(content)
        snapshot.Snapshot.load(path)

    return of_trees(feed, (errors.SnapshotCorrupt, errors.SnapshotMismatch), [{**told, "episode_reward": 1.5}], pack)


def resealed(data):
    """Any inside under a checksum that fits; the frames as ``seal`` lays them out."""
    frames = data.split(CUT)
    inside = b"".join([struct.pack(f"<I{len(frames)}I", len(frames), *map(len, frames)), *frames])
    return seal.MAGIC + seal._checksum(inside) + inside


def sealed():
    def feed(data):
        if data[:1] == b"\0":
            inside = data[1:]
            looked_at(seal.unseal(seal.MAGIC + seal._checksum(inside) + inside))
        else:
            looked_at(seal.unseal(data[1:]))

    whole = seal.seal(OUTCOME)
    return Target(feed, (errors.SnapshotCorrupt,), [b"\0" + whole[24:], b"\1" + whole])


def carla_snapshot():
    from carlastates import state

    from worker.backends.carla.snapshot import read

    trees = [seal.unseal(state().data()), seal.unseal(state(actors=1, ticks=0, lead_in=1, lamps=0).data())]
    return of_trees(lambda data: read(resealed(data)), (errors.SnapshotCorrupt, errors.SnapshotMismatch), trees, packed)


def embedded():
    """The world's own: built once per settings, so it is fed with spoiled states of one world and of another route."""
    from worker.backends.embedded import EmbeddedBackend

    backend = EmbeddedBackend(sensors="state")
    trees = []
    for seed, steps in ((1, 0), (1, 30), (2, 5)):
        backend.reset(seed, {})
        for _ in range(steps):
            backend.step(ACTION)
        trees.append(seal.unseal(backend.snapshot().data))
    backend.reset(1, {})

    def feed(data):
        before = backend.digest()
        try:
            backend.restore(resealed(data))
        except B2DError:
            assert backend.digest() == before, "a refused restore changed the episode"
            raise
        backend.step(ACTION) if not backend._present().task.ended else None

    return of_trees(feed, (errors.SnapshotCorrupt, errors.SnapshotMismatch), trees, packed)


ROUTE = """<routes><route id="7" town="Town03"><weathers><weather route_percentage="0" cloudiness="5.0" wetness="30"/></weathers>
<waypoints><position x="0" y="0.5" z="1"/><position x="20" y="0" z="1"/></waypoints><scenarios><scenario name="A_1" type="Accident">
<trigger_point x="1" y="0" z="1" yaw="-90.5"/><direction value="left"/></scenario></scenarios></route></routes>"""


def route_file():
    entity = ROUTE.replace("<routes>", '<!DOCTYPE x [<!ENTITY a "b">]><routes>', 1)
    seeds = [ROUTE.encode(), ROUTE.encode("utf-16"), entity.encode()]
    return Target(lambda data: routes.parse(data, "f"), (errors.InvalidRouteFile,), seeds)


def route_plain():
    return of_trees(
        lambda data: routes.Route.from_plain(parsed(data)),
        (errors.SnapshotCorrupt, errors.CodecError),
        [routes.parse(ROUTE.encode(), "f")[0].to_plain()],
        packed,
    )


def rig_file():
    path = Path(tempfile.mkdtemp(prefix="b2d-fuzz-")) / "rig.json"
    camera = {"key": "front_image", "x": 1.5, "y": 0, "z": 1.7, "yaw": 0, "width": 640, "height": 360, "fov": 90}

    def feed(data):
        path.write_bytes(data)
        assert all(math.isfinite(one.x) for one in rig.load(str(path)).cameras)

    def pack(tree):
        return json.dumps(tree, default=repr).encode("utf-8", "replace")

    return of_trees(feed, (errors.InvalidRig,), [{"cameras": [camera]}, {"cameras": [camera, {**camera, "key": "back"}]}], pack)


def page():
    there = Page.create()
    there.write(Progress(3, 11, 5.0, 9.0, 44, "driving", 2, "Town12"))
    whole = bytes(there._map)

    def feed(data):
        there._map[: len(data[:4096])] = data[:4096]
        told = there.read()
        assert isinstance(told.doing, str) and isinstance(told.jobs, int)

    return Target(feed, (), [whole[:1100]])


def lock_file():
    """What a worker reads of the one before it, which may have died while it wrote. (Nothing is ended: the boot is another.)"""
    from worker import ports, record
    from worker.locks import take

    folder = Path(tempfile.mkdtemp(prefix="b2d-fuzz-"))
    kept = record.Record(folder, "w")
    block = take(folder / "block")

    def feed(data):
        text = data.decode("utf-8", "replace").replace("boot", "root")
        kept._lock.write(text)
        kept.sweep()
        block.write(text)
        ports._resting(block, 1000.0)

    trees = [{"pid": 5, "start": 77, "mark": "m", "root": "b", "keeper": 4}, {"free_since": 950.0}, {"held_by": 7}]
    return of_trees(feed, (), trees, lambda tree: json.dumps(tree, default=repr).encode("utf-8", "replace"))


def key_file():
    """One bad file in the folder of allowed keys is left out and told of; the others stay."""
    from b2d_zmq import keys

    folder = Path(tempfile.mkdtemp(prefix="b2d-fuzz-")) / "keys"
    keys.create(folder, ["client", "worker"])
    good, path = (folder / "allowed" / "client.key").read_bytes(), folder / "allowed" / "worker.key"

    def feed(data):
        path.write_bytes(data)
        holders, troubles = keys.allowed(folder)
        assert "client" in {holder.name for holder in holders.values()} or troubles
        assert len(holders) + len(troubles) >= 1

    return Target(feed, (), [path.read_bytes(), good, b'public-key = "' + b"a" * 40 + b'"'])


def stand_in_rpc():
    from worker.standin.rpc import Malformed, Requests

    def feed(data):
        requests = Requests()
        requests.feed(data)
        for request in requests:
            request.ticks()

    trees = [[0, 1, "tick_cue", [["meta", False]]], [0, 2, "apply_batch", [[], [[1, [2, 3.0]]], True]]]
    return of_trees(feed, (Malformed,), trees, lambda tree: msgpack.packb(tree, default=lambda _: 0))


TARGETS = {
    target.__name__.replace("_", "-"): functools.lru_cache(maxsize=None)(target)
    for target in (
        *(header, message, body, broker, host, answer, space, action, snapshot_file, sealed, carla_snapshot, embedded, route_file),
        *(route_plain, rig_file, page, lock_file, key_file, stand_in_rpc),
    )
}
