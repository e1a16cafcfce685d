"""Nothing grows without bound: what is full is BUSY with a time to come back, and what is over leaves nothing behind."""

from __future__ import annotations

import msgpack
import numpy as np
import pytest
from brokerbench import Bench, leases_of, refusal

from b2d_zmq import codec
from b2d_zmq.codec import decode, encode
from b2d_zmq.errors import CodecError, ErrorCode
from b2d_zmq.protocol import Header, Kind, Message
from broker import clients, core, workers
from broker.bodies import BOUND, BOUNDS

SNAPSHOT = encode({"data": np.zeros(400_000, np.uint8)})


@pytest.fixture
def bench():
    return Bench(held_bytes=2_000_000)


def several(bench, n, sender):
    """Leases of ``n`` new workers for this client."""
    for i in range(n):
        bench.worker(b"%s%d" % (sender, i))
    leases = leases_of(bench.acquire(sender, n=n))
    bench.told.clear()
    return leases


def restore(bench, lease, request, sender=b"c", *, seq=1, body=SNAPSHOT):
    header = Header(Kind.RESTORE, request, lease["lease"], lease["epoch"], seq, 1.0)
    bench.take(bench.broker.receive(sender, Message(header, body), bench.now))


def done(bench, lease, request, seq=1):
    bench.say(lease["worker"].encode() + b"/h1", Kind.REPLY, request=request, lease=lease["lease"], epoch=lease["epoch"], seq=seq)


def busy(bench, sender):
    """The requests of this one that were BUSY just now."""
    told = [(header.request, body) for kind, header, body in bench.told.pop(sender, []) if kind is Kind.ERROR]
    assert all(body["code"] == ErrorCode.BUSY and body["retry_after"] > 0 for _, body in told), told
    return [request for request, _ in told]


def test_the_jobs_of_a_peer_weigh_at_most_half_and_all_jobs_the_whole(bench):
    mine, others, third = several(bench, 3, b"c"), several(bench, 2, b"d"), several(bench, 1, b"e")
    for number, lease in enumerate(mine):
        restore(bench, lease, 10 + number)
    assert busy(bench, b"c") == [12]
    for number, lease in enumerate(others):
        restore(bench, lease, 20 + number, b"d")
    restore(bench, third[0], 30, b"e")
    assert busy(bench, b"d") == [] and busy(bench, b"e") == [30]
    done(bench, mine[0], 10)
    restore(bench, mine[2], 12)  # the same request, under the same number
    assert busy(bench, b"c") == [] and bench.told[mine[2]["worker"].encode() + b"/h1"][-1][1].request == 12


def test_a_job_larger_than_the_bound_passes_when_nothing_else_is_kept(bench):
    one, other = several(bench, 2, b"c")
    restore(bench, one, 10, body=encode({"data": np.zeros(9_000_000, np.uint8)}))
    restore(bench, other, 11)
    assert busy(bench, b"c") == [11]


@pytest.mark.parametrize("end", ["answered", "released", "lapsed", "lost", "worker silent"])
def test_however_a_job_ends_its_weight_is_let_go_of(bench, end):
    (lease,) = several(bench, 1, b"c")
    restore(bench, lease, 10)
    restore(bench, lease, 11, seq=2)
    assert bench.broker.table.held.total > 800_000
    if end == "answered":
        done(bench, lease, 10)
        done(bench, lease, 11, seq=2)
    elif end == "released":
        bench.say(b"c", Kind.RELEASE, {"leases": [lease["lease"]], "client": "tc"}, request=12)
    elif end == "lapsed":
        bench.wait(40, beat=[b"c0"])
    elif end == "lost":
        bench.say(b"c0", Kind.LOST, {"worker": "c0", "host": "c0/h1", "reason": "gone"})
    else:
        bench.wait(5)
    assert bench.broker.table.held.total == 0 and not bench.broker.table.held.by_sender


def test_jobs_that_wait_for_their_lease_to_be_announced_weigh_as_well(bench):
    unknown = {"lease": "L1-before", "epoch": 1}
    for seq in range(1, 5):
        restore(bench, unknown, seq, seq=seq)
    assert busy(bench, b"c") == [3, 4]
    bench.worker(b"w", lease="L1-before", epoch=1, client="tc")
    assert [header.request for kind, header, _ in bench.told.get(b"c", []) if kind is Kind.ERROR] == []
    assert bench.broker.table.held.total > 800_000
    restore(bench, {"lease": "L2-before", "epoch": 1}, 9, b"d")
    bench.wait(6, beat=[b"w"])
    assert b"d" not in bench.broker.table.held.by_sender


def test_one_peer_cannot_fill_the_queue_of_those_who_wait():
    bench = Bench()
    for request in range(1, clients.WAITING_OF_ONE + 2):
        bench.acquire(b"greedy", request=request, wait=100.0)
        bench.take(bench.broker.tick(bench.now))
    assert len(bench.broker.clients.waiting) == clients.WAITING_OF_ONE
    bench.acquire(b"c", wait=100.0)
    assert (b"c", 1) in bench.broker.clients.waiting


def test_an_acquire_that_was_busy_may_be_sent_again_under_its_number():
    bench = Bench(waiting=1)
    bench.acquire(b"first", wait=10.0)
    assert refusal(bench.acquire(b"c", wait=10.0))[0] == ErrorCode.BUSY
    bench.wait(11)
    assert bench.acquire(b"c", wait=10.0)[0] is None
    bench.worker(b"w")
    bench.take(bench.broker.tick(bench.now))
    assert [lease["label"] for lease in bench.status()["leases"]] == ["who c"]


def test_a_broker_knows_so_many_workers_and_no_more(monkeypatch):
    monkeypatch.setattr(workers, "MOST_WORKERS", 2)
    bench = Bench()
    for name in (b"a", b"b", b"a"):
        bench.worker(name)
    bench.say(b"c", Kind.READY, {"worker": "c", "host": "c/h1", "heartbeat": 1.0})
    assert refusal(bench.answer(b"c"))[0] == ErrorCode.BUSY
    bench.say(b"a", Kind.GOODBYE, {"worker": "a", "reason": "enough"})
    bench.worker(b"c")
    assert {worker["worker"] for worker in bench.status()["workers"]} == {"b", "c"}


def test_workers_that_come_and_go_leave_no_alarms():
    bench = Bench()
    for _ in range(5000):
        bench.say(b"w", Kind.READY, {"worker": "w", "host": "", "heartbeat": 600.0})
        bench.take(bench.broker.tick(bench.now))
        bench.say(b"w", Kind.GOODBYE, {"worker": "w", "reason": ""})
    bench.worker(b"w")
    bench.take(bench.broker.tick(bench.now))
    assert len(bench.broker.table.alarms) < 1100


def test_leases_that_come_and_go_leave_no_alarms():
    bench = Bench(lease_ttl=86400.0)
    bench.worker(b"w")
    for request in range(5000):
        (lease,) = leases_of(bench.acquire(request=request))
        bench.say(b"c", Kind.RELEASE, {"leases": [lease["lease"]], "client": "tc"}, request=request)
        bench.say(b"w/h1", Kind.RELEASED, lease=lease["lease"], epoch=lease["epoch"])
        bench.take(bench.broker.tick(bench.now))
        bench.told.clear()
    assert len(bench.broker.table.alarms) < 1100
    assert len(bench.broker.clients.answered) == clients.ANSWERS_KEPT


def test_answers_that_are_kept_are_few_when_they_are_heavy(monkeypatch):
    monkeypatch.setattr(clients, "ANSWER_BYTES_KEPT", 50_000)
    bench = Bench()
    bench.worker(b"w", description={"profile": "p", "rig": "x" * 10_000})
    for request in range(20):
        leases = leases_of(bench.acquire(request=request))
        bench.say(b"c", Kind.RELEASE, {"leases": [leases[0]["lease"]], "client": "tc"}, request=100 + request)
        bench.say(b"w/h1", Kind.RELEASED, lease=leases[0]["lease"], epoch=leases[0]["epoch"])
    assert [request for _, request in bench.broker.clients.answered] == [16, 17, 18, 19]


def test_who_sends_only_nonsense_is_not_answered_for_ever():
    bench = Bench()
    fault = CodecError("no")
    answers = [len(bench.broker.refuse(b"noisy", fault)) for _ in range(core.REFUSALS + 5)]
    assert answers == [1] * core.REFUSALS + [0] * 5
    assert bench.broker.refuse(b"noisy", fault, 7) and bench.broker.refuse(b"other", fault)
    for number in range(2 * core.REFUSED_KEPT):
        bench.broker.refuse(b"%d" % number, fault)
    assert len(bench.broker._refused) == core.REFUSED_KEPT


@pytest.mark.parametrize(("kind", "field"), [(Kind.HEARTBEAT, "progress"), (Kind.ATTACH, "description"), (Kind.LOST, "log")])
def test_a_body_for_the_broker_is_bounded_by_bytes_and_by_values(kind, field):
    bench, bound = Bench(), BOUNDS.get(kind, BOUND)
    bench.worker(b"w")
    nested = msgpack.packb({"worker": "w", field: [[[]] * (bound.values // 3)] * 2})
    for body, code in (([nested], ErrorCode.CODEC), (encode({field: "x" * bound.bytes}), ErrorCode.FRAME_TOO_LARGE)):
        bench.take(bench.broker.receive(b"w", Message(Header(kind), body), bench.now))
        assert refusal(bench.answer(b"w"))[0] == code


@pytest.mark.parametrize(
    "body",
    [
        b"\xdc\x20\x01" + b"\xc0" * 8193,
        b"\xde\x20\x01" + b"".join(b"\xa2%c%c\xc0" % (i >> 8, i & 255) for i in range(8193)),
        msgpack.packb([[[]] * 8000] * 70),
        msgpack.packb([[0] * 8000] * 70),
        msgpack.packb([[{}] * 8000] * 70),
        msgpack.packb([{"a": [1]}] * 7000 + [[{"a": 1}] * 8000] * 35),
        b"\xc6" + (codec.BODY_BYTES).to_bytes(4, "big") + bytes(codec.BODY_BYTES),
    ],
    ids=["long list", "long map", "empty lists", "numbers", "empty maps", "maps", "bytes"],
)
def test_a_body_that_would_grow_when_it_is_unpacked_is_refused(body):
    with pytest.raises(CodecError):
        decode([body])


@pytest.mark.parametrize(
    "tree", [[0] * 8193, dict.fromkeys(map(str, range(8193))), [[0] * 8000] * 70, [[np.zeros(1)] * 8000] * 5, "x" * 5_000_000]
)
def test_what_would_be_refused_there_is_not_sent(tree):
    with pytest.raises(CodecError, match=r"at most|the most"):
        encode(tree)


def test_what_is_sent_is_read_there_up_to_the_bounds():
    for tree in ([0] * 8192, [[0] * 8000] * 60, [[np.zeros(1)] * 8000] * 4, "x" * 4_000_000):
        assert len(decode([bytes(frame) for frame in encode(tree)])) == len(tree)
