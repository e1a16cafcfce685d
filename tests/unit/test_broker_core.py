"""What the broker core decides, case by case, with a clock that the test holds."""

from __future__ import annotations

import pytest
from brokerbench import Bench, leases_of, refusal

from b2d_zmq.codec import encode
from b2d_zmq.errors import ErrorCode, ProtocolError
from b2d_zmq.protocol import Header, Kind, Message


@pytest.fixture
def bench():
    return Bench()


def test_a_worker_is_free_once_keeper_and_host_have_spoken_in_any_order(bench):
    bench.say(b"w/h1", Kind.ATTACH, {"worker": "w", "description": {"profile": "p"}, "epoch": 0, "seq": 0, "lease": ""})
    assert bench.answer(b"w")[0] is Kind.WHO
    bench.say(b"w", Kind.READY, {"worker": "w", "host": "w/h1", "heartbeat": 1.0, "name": "w", "pid": 1, "version": "1"})
    assert bench.answer(b"w/h1")[0] is Kind.WHO
    assert bench.status()["workers"][0]["state"] == "starting"
    bench.worker(b"w")
    assert bench.status()["workers"][0]["state"] == "free"


def test_grant_jobs_release_and_the_next_grant(bench):
    bench.worker(b"w")
    (lease,) = leases_of(bench.acquire())
    assert bench.answer(b"w/h1")[1] == Header(Kind.GRANT, lease=lease["lease"], epoch=lease["epoch"])
    bench.job(lease, 2, action=[1])
    kind, header, body = bench.answer(b"w/h1")
    assert (kind, header.request, header.seq, header.budget, body) == (Kind.STEP, 2, 1, 1.0, {"action": [1]})
    bench.say(b"w/h1", Kind.REPLY, {"reward": 1.5}, request=2, lease=lease["lease"], epoch=lease["epoch"], seq=1)
    assert bench.answer(b"c")[1:] == (Header(Kind.REPLY, 2, lease["lease"], lease["epoch"], 1), {"reward": 1.5})
    bench.say(b"c", Kind.RELEASE, {"leases": [lease["lease"], "nonsense"], "client": "tc"}, request=3)
    assert bench.answer(b"c")[2] == {"released": [lease["lease"]]}
    assert bench.answer(b"w/h1")[0] is Kind.REVOKE
    assert bench.acquire(request=4)[0] is None  # not before the host has let go
    bench.say(b"w/h1", Kind.RELEASED, lease=lease["lease"], epoch=lease["epoch"])
    (second,) = leases_of(bench.answer(b"c"))
    assert second["epoch"] > lease["epoch"] and second["lease"] != lease["lease"]


def test_who_will_not_wait_waits_a_moment_for_workers_that_are_being_released_and_for_no_others(bench):
    bench.worker(b"w")
    (lease,) = leases_of(bench.acquire())
    bench.say(b"c", Kind.RELEASE, {"leases": [lease["lease"]], "client": "tc"}, request=2)
    assert refusal(bench.acquire(b"large", n=2))[0] == ErrorCode.NO_FREE_WORKER
    assert refusal(bench.acquire(b"other", profile="q"))[0] == ErrorCode.NO_FREE_WORKER
    assert bench.acquire(b"d")[0] is None
    bench.wait(1, [b"w"])
    assert bench.answer(b"d")[0] is None
    bench.wait(1, [b"w"])
    code, text = refusal(bench.answer(b"d"))
    assert code == ErrorCode.NO_FREE_WORKER and "1 releasing" in text and "waited 2.0 s" in text


def test_bodies_and_headers_of_jobs_pass_through_untouched(bench):
    bench.worker(b"w")
    (lease,) = leases_of(bench.acquire())
    frames = [b"\xc1 no msgpack", b"anything"]
    header = Header(Kind.RESTORE, 7, lease["lease"], lease["epoch"], 1, 2.0)
    ((to, there),) = bench.broker.receive(b"c", Message(header, frames), bench.now)
    assert to == b"w/h1" and there.body is frames and there.header is header
    answer = Message(header._replace(kind=Kind.REPLY), frames)
    assert bench.broker.receive(b"w/h1", answer, bench.now) == [(b"c", answer)]


def test_jobs_of_a_lease_go_one_at_a_time_and_the_sixth_is_busy(bench):
    bench.worker(b"w")
    (lease,) = leases_of(bench.acquire())
    bench.told.clear()
    for number in range(6):
        bench.job(lease, 10 + number, seq=number + 1)
    assert refusal(bench.answer(b"c"))[0] == ErrorCode.BUSY
    for number in range(5):
        ((_, header, _),) = bench.told.pop(b"w/h1")
        assert header.request == 10 + number
        bench.say(b"w/h1", Kind.REPLY, request=header.request, lease=header.lease, epoch=header.epoch, seq=header.seq)
    assert b"w/h1" not in bench.told and [header.request for _, header, _ in bench.told[b"c"]] == [10, 11, 12, 13, 14]


def test_a_request_number_that_comes_again_is_ignored_while_it_runs_or_waits(bench):
    bench.worker(b"w")
    (lease,) = leases_of(bench.acquire())
    bench.told.clear()
    for request, seq in ((2, 1), (2, 1), (3, 2), (3, 2)):
        bench.job(lease, request, seq=seq)
    assert len(bench.told[b"w/h1"]) == 1 and b"c" not in bench.told
    assert bench.status()["leases"][0]["queued"] == 1


def test_an_acquire_that_comes_again_gets_the_same_leases(bench):
    bench.worker(b"w")
    first = bench.acquire(request=9)
    bench.worker(b"v")
    assert leases_of(bench.acquire(request=9)) == leases_of(first)
    assert len(bench.status()["leases"]) == 1


def test_groups_are_all_or_none_and_first_come_first_served(bench):
    for name in (b"w1", b"w2"):
        bench.worker(name)
    (one,) = leases_of(bench.acquire(b"a"))
    assert bench.acquire(b"big", n=2, wait=50.0)[0] is None
    assert bench.acquire(b"late", n=1, wait=50.0)[0] is None  # one is free, but the group came first
    assert refusal(bench.acquire(b"hasty"))[0] == ErrorCode.NO_FREE_WORKER
    bench.say(b"a", Kind.RELEASE, {"leases": [one["lease"]], "client": "ta"}, request=2)
    bench.say(b"w1/h1", Kind.RELEASED, lease=one["lease"], epoch=one["epoch"])
    assert {lease["worker"] for lease in leases_of(bench.answer(b"big"))} == {"w1", "w2"}
    assert bench.answer(b"late")[0] is None


def test_who_lost_a_worker_goes_before_those_who_want_more(bench):
    for name in (b"w1", b"w2"):
        bench.worker(name)
    bench.acquire(b"a", n=2)
    assert bench.acquire(b"big", n=2, wait=50.0)[0] is None
    bench.say(b"w1", Kind.LOST, {"worker": "w1", "host": "w1/h1", "reason": "killed", "code": 13, "log": ""})
    assert bench.acquire(b"a", request=2, wait=50.0, instead=True)[0] is None
    bench.worker(b"w3")
    assert {lease["label"] for lease in bench.status()["leases"] if lease["worker"] == "w3"} == {"who a"}
    assert [one["label"] for one in bench.status()["waiting"]] == ["who big"]


def test_one_that_waits_for_a_profile_does_not_hold_up_the_others(bench):
    bench.worker(b"w", profile="small")
    assert bench.acquire(b"a", wait=50.0, profile="large")[0] is None
    assert len(leases_of(bench.acquire(b"b", profile="small"))) == 1
    bench.worker(b"v", profile="large")
    bench.now += 1.0
    assert bench.status()["waiting"] == [] and len(bench.status()["leases"]) == 2


def test_any_profile_means_one_profile_with_enough_free(bench):
    for name, profile in ((b"a1", "a"), (b"b1", "b"), (b"b2", "b")):
        bench.worker(name, profile=profile)
    assert {lease["worker"] for lease in leases_of(bench.acquire(n=2))} == {"b1", "b2"}
    code, text = refusal(bench.acquire(b"d", n=2))
    assert code == ErrorCode.NO_FREE_WORKER and "at most 2 share one profile" not in text


def test_no_free_worker_says_how_many_there_are_and_who_holds_them(bench):
    code, text = refusal(bench.acquire())
    assert code == ErrorCode.NO_FREE_WORKER and "b2d-worker" in text
    bench.worker(b"w")
    bench.acquire(b"alice")
    bench.now += 2.0
    code, text = refusal(bench.acquire(b"bob"))
    for part in ("knows 1", "0 free, 1 leased", "'who alice'", "w", "idle 2.0 s", "lapses after 30 s"):
        assert part in text
    assert "start more workers" in refusal(bench.acquire(b"bob", request=2, n=5))[1]


def test_waiting_ends_with_an_error_or_with_a_worker(bench):
    assert bench.acquire(wait=3.0)[0] is None
    bench.wait(2)
    assert bench.answer(b"c")[0] is None
    bench.wait(1)
    assert refusal(bench.answer(b"c"))[0] == ErrorCode.NO_FREE_WORKER
    assert bench.acquire(request=2, wait=30.0)[0] is None
    bench.say(b"w", Kind.READY, {"worker": "w", "host": "w/h1", "heartbeat": 1.0})
    bench.say(b"w/h1", Kind.ATTACH, {"worker": "w", "description": {"profile": "p"}, "epoch": 4, "seq": 0, "lease": ""})
    assert leases_of(bench.answer(b"c"))[0]["epoch"] == 5


def test_one_who_waits_and_dies_leaves_the_queue(bench):
    bench.acquire(b"gone", n=3, wait=1000.0)
    bench.wait(5)
    (probe,) = [header for kind, header, _ in bench.told[b"gone"] if kind is Kind.HEARTBEAT]
    bench.take(bench.broker.unreachable(b"gone", Message(probe), bench.now))
    assert bench.status()["waiting"] == []


def test_leases_that_the_client_never_heard_of_are_taken_back(bench):
    bench.worker(b"w")
    body = encode({"n": 1, "client": "t", "wait": 0.0})
    sends = bench.broker.receive(b"gone", Message(Header(Kind.ACQUIRE, 1), body), bench.now)
    (answer,) = [message for to, message in sends if to == b"gone"]
    bench.take(bench.broker.unreachable(b"gone", answer, bench.now))
    assert bench.answer(b"w/h1")[0] is Kind.REVOKE and bench.status()["leases"] == []


def test_too_many_who_wait_are_sent_away():
    bench = Bench(waiting=2)
    for request in (1, 2):
        bench.acquire(request=request, wait=10.0)
    assert refusal(bench.acquire(request=3, wait=10.0))[0] == ErrorCode.BUSY


def test_describe_waits_for_a_worker_and_takes_none(bench):
    bench.say(b"c", Kind.DESCRIBE, {"wait": 10.0}, request=1)
    bench.say(b"d", Kind.DESCRIBE, {"wait": 0.0}, request=1)
    assert refusal(bench.answer(b"d"))[0] == ErrorCode.NO_FREE_WORKER
    bench.say(b"w", Kind.READY, {"worker": "w", "host": "w/h1", "heartbeat": 1.0})
    bench.say(b"w/h1", Kind.ATTACH, {"worker": "w", "description": {"profile": "p", "rig": "state"}, "epoch": 0, "seq": 0, "lease": ""})
    assert bench.answer(b"c")[2] == {"description": {"profile": "p", "rig": "state"}}
    bench.acquire()
    bench.say(b"d", Kind.DESCRIBE, {"profile": "p"}, request=2)  # a leased worker is a ready one
    assert bench.answer(b"d")[0] is Kind.REPLY


BAD = [
    (Kind.ACQUIRE, {"n": 0, "client": "t"}),
    (Kind.ACQUIRE, {"n": True, "client": "t"}),
    (Kind.ACQUIRE, {"n": 1}),
    (Kind.ACQUIRE, {"n": 1, "client": "t", "wait": float("nan")}),
    (Kind.ACQUIRE, {"n": 1, "client": "t", "wait": -1}),
    (Kind.ACQUIRE, {"n": 1, "client": "t", "label": "x" * 1000}),
    (Kind.RELEASE, {"leases": "L1"}),
    (Kind.RELEASE, {"leases": [["L1"]]}),
    (Kind.DESCRIBE, {"wait": "long"}),
    (Kind.ACQUIRE, [1]),
]


@pytest.mark.parametrize(("kind", "body"), BAD)
def test_a_wrong_field_is_named_and_refused(bench, kind, body):
    bench.say(b"c", kind, body, request=1)
    code, text = refusal(bench.answer(b"c"))
    assert code == ErrorCode.REQUEST and kind.name in text


@pytest.mark.parametrize("body", [[b"\xc1"], [b"\x81\xa1n"], [encode({})[0], b"surplus frame"], [b"\xdd\xff\xff\xff\xff"], [b"\x90" * 3]])
def test_a_body_that_is_none_is_refused_as_codec(bench, body):
    bench.take(bench.broker.receive(b"c", Message(Header(Kind.ACQUIRE, 1), body), bench.now))
    assert refusal(bench.answer(b"c"))[0] == ErrorCode.CODEC


def test_a_huge_body_is_not_even_unpacked(bench):
    bench.take(bench.broker.receive(b"c", Message(Header(Kind.STATUS, 1), [b"\x90" * (1 << 21)]), bench.now))
    assert bench.answer(b"c")[0] is Kind.REPLY  # STATUS reads no body
    bench.take(bench.broker.receive(b"c", Message(Header(Kind.RELEASE, 2), [b"\x90" * (1 << 21)]), bench.now))
    assert refusal(bench.answer(b"c"))[0] == ErrorCode.FRAME_TOO_LARGE


@pytest.mark.parametrize("kind", [Kind.WHO, Kind.GRANT, Kind.REVOKE])
def test_what_only_a_broker_says_is_refused(bench, kind):
    bench.say(b"c", kind)
    assert refusal(bench.answer(b"c"))[0] == ErrorCode.PROTOCOL


def test_bytes_that_are_no_message_are_answered_with_their_error(bench):
    bench.take(bench.broker.refuse(b"x", ProtocolError("junk"), 3))
    kind, header, body = bench.answer(b"x")
    assert (kind, header.request, body["code"], body["message"]) == (Kind.ERROR, 3, ErrorCode.PROTOCOL, "junk")


def test_every_kind_from_a_stranger_with_an_empty_body_is_survived(bench):
    bench.worker(b"w")
    for kind in Kind:
        bench.take(bench.broker.receive(b"stranger", Message(Header(kind, 1), ()), bench.now))
        bench.take(bench.broker.receive(b"w/h1", Message(Header(kind, 1), ()), bench.now))
    bench.say(b"impostor", Kind.READY, {"worker": "w", "host": "impostor/h1"})
    assert refusal(bench.answer(b"impostor"))[0] == ErrorCode.PROTOCOL
    assert len(leases_of(bench.acquire())) == 1


def test_the_broker_wakes_no_more_often_with_many_idle_leases():
    bench = Bench()
    for number in range(100):
        bench.worker(b"w%d" % number)
    leases = leases_of(bench.acquire(n=100))
    before = len(bench.broker.table.alarms)
    for request in range(1000):
        bench.job(leases[request % 100], 10 + request)
    assert len(bench.broker.table.alarms) == before


def test_the_memory_of_what_is_over_is_bounded(bench):
    bench.worker(b"w")
    for request in range(1, 1500):
        (lease,) = leases_of(bench.acquire(request=request))
        bench.say(b"c", Kind.RELEASE, {"leases": [lease["lease"]], "client": "tc"}, request=10000 + request)
        bench.say(b"w/h1", Kind.RELEASED, lease=lease["lease"], epoch=lease["epoch"])
        bench.told.clear()
    broker = bench.broker
    assert len(broker.table.ended) <= 1024 and len(broker.clients.answered) <= 1024
    bench.wait(60, beat=(b"w",))
    assert len(broker.table.alarms) <= 1
