"""What the broker core decides when somebody dies, falls silent, comes back or says nonsense about it."""

from __future__ import annotations

import pytest
from brokerbench import Bench, leases_of, refusal

from b2d_zmq.errors import ErrorCode
from b2d_zmq.protocol import Header, Kind, Message


@pytest.fixture
def bench():
    return Bench()


@pytest.mark.parametrize("how", ["lost", "goodbye", "silence", "unreachable", "another host"])
def test_a_loss_answers_every_job_and_voids_the_lease_with_its_reason(bench, how):
    bench.worker(b"w")
    (lease,) = leases_of(bench.acquire())
    for request in (2, 3):
        bench.job(lease, request, seq=request - 1)
    bench.told.clear()
    named = {"worker": "w", "host": "w/h1"}
    code = ErrorCode.WORKER_LOST
    if how == "lost":
        code = ErrorCode.BUDGET_EXCEEDED
        bench.say(b"w", Kind.LOST, {**named, "reason": "killed by 9", "code": int(code), "log": "last words"})
    elif how == "goodbye":
        code = ErrorCode.WORKER_LEFT
        bench.say(b"w", Kind.GOODBYE, {**named, "reason": "drained"})
    elif how == "silence":
        bench.wait(4)
    elif how == "unreachable":
        bench.take(bench.broker.unreachable(b"w/h1", Message(Header(Kind.STEP)), bench.now))
    else:
        bench.say(b"w", Kind.HEARTBEAT, {"worker": "w", "host": "w/h2"})
    errors = [(header.request, body["code"]) for kind, header, body in bench.told[b"c"] if kind is Kind.ERROR]
    assert errors == [(2, code), (3, code)]
    reason = {
        "lost": "killed by 9",
        "goodbye": "drained",
        "silence": "silent for 4.0 s",
        "unreachable": "reached",
        "another host": "replaced",
    }
    assert reason[how] in bench.told[b"c"][0][2]["message"]
    if how == "lost":
        assert "last words" in bench.told[b"c"][0][2]["message"]
    bench.job(lease, 4, seq=3)
    code, text = refusal(bench.answer(b"c"))
    assert code == ErrorCode.LEASE_VOID and reason[how] in text


def test_news_of_a_former_host_changes_nothing(bench):
    bench.worker(b"w")
    (lease,) = leases_of(bench.acquire())
    bench.say(b"w", Kind.LOST, {"worker": "w", "host": "w/h0", "reason": "old", "code": 13, "log": ""})
    bench.say(b"w/h0", Kind.ATTACH, {"worker": "w", "description": {}, "epoch": 0, "seq": 0, "lease": ""})
    bench.say(b"other", Kind.LOST, {"worker": "w", "host": "w/h1", "reason": "a lie", "code": 13, "log": ""})
    bench.say(b"w/h0", Kind.RELEASED, lease=lease["lease"], epoch=lease["epoch"])
    assert bench.status()["workers"][0]["state"] == "leased"


def test_a_silent_client_loses_its_leases_and_one_that_keeps_alive_does_not(bench):
    for name in (b"w1", b"w2", b"w3"):
        bench.worker(name)
    (silent,) = leases_of(bench.acquire(b"a"))
    kept, unheard = leases_of(bench.acquire(b"b", n=2))
    for _ in range(4):
        bench.wait(10, beat=(b"w1", b"w2", b"w3"))
        bench.say(b"keepalive", Kind.KEEPALIVE, {"client": "tb", "leases": [kept["lease"]]})
    assert [lease["lease"] for lease in bench.status()["leases"]] == [kept["lease"]]
    for lease in (silent, unheard):
        bench.job(lease, 9)
        assert "silent" in refusal(bench.answer(b"c"))[1]
    bench.say(b"keepalive", Kind.KEEPALIVE, {"client": "tb"})
    bench.wait(29, beat=(b"w1", b"w2", b"w3"))
    assert len(bench.status()["leases"]) == 1


def test_a_broker_that_overslept_blames_nobody(bench):
    bench.worker(b"w")
    bench.acquire()
    bench.now += 100.0
    bench.broker.overslept(100.0)
    bench.take(bench.broker.tick(bench.now))
    assert len(bench.status()["leases"]) == 1


def test_old_epochs_and_foreign_answers_are_refused(bench):
    bench.worker(b"w")
    (lease,) = leases_of(bench.acquire())
    bench.told.clear()
    bench.job({**lease, "epoch": lease["epoch"] + 1}, 2)
    assert refusal(bench.answer(b"c"))[0] == ErrorCode.LEASE_VOID
    bench.job(lease, 3)
    for sender, fields in (
        (b"x", {}),
        (b"w/h1", {"request": 4}),
        (b"w/h1", {"epoch": 0}),
        (b"w/h1", {"seq": 2}),
        (b"w/h1", {"lease": "L9"}),
    ):
        right = {"request": 3, "lease": lease["lease"], "epoch": lease["epoch"], "seq": 1}
        bench.say(sender, Kind.REPLY, {}, **{**right, **fields})
    assert bench.answer(b"c")[0] is None
    assert bench.status()["counters"]["late answers dropped"] == 5


def test_a_restarted_broker_asks_who_and_takes_up_what_hosts_hold(bench):
    lease = {"lease": "L7-before", "epoch": 12}
    bench.job(lease, 5)  # the client is faster than the worker: its job is held, not refused
    assert bench.answer(b"c")[0] is None
    bench.say(b"w", Kind.HEARTBEAT, {"worker": "w", "host": "w/h1"})
    assert bench.answer(b"w")[0] is Kind.WHO
    bench.say(b"w", Kind.READY, {"worker": "w", "host": "w/h1", "heartbeat": 1.0})
    assert bench.answer(b"w/h1")[0] is Kind.WHO
    attach = {"worker": "w", "description": {"profile": "p"}, "epoch": 12, "seq": 0, "lease": "L7-before", "client": "tc", "label": "me"}
    bench.say(b"w/h1", Kind.ATTACH, attach)
    assert bench.answer(b"w/h1")[1].request == 5
    assert bench.status()["leases"][0]["label"] == "me"
    bench.say(b"c", Kind.RELEASE, {"leases": ["L7-before"], "client": "tc"}, request=6)
    bench.say(b"w/h1", Kind.RELEASED, lease="L7-before", epoch=12)
    assert leases_of(bench.acquire(request=7))[0]["epoch"] == 13


def test_a_job_of_an_unknown_lease_is_refused_once_announcements_are_over(bench):
    bench.job({"lease": "L7-before", "epoch": 12}, 5)
    bench.wait(5)
    assert refusal(bench.answer(b"c"))[0] == ErrorCode.LEASE_VOID
    bench.job({"lease": "L7-before", "epoch": 12}, 6)
    assert refusal(bench.answer(b"c"))[0] == ErrorCode.LEASE_VOID


def test_a_host_that_announces_a_void_lease_is_told_so(bench):
    bench.worker(b"w")
    (lease,) = leases_of(bench.acquire())
    bench.wait(4)
    assert bench.status()["workers"] == []
    bench.worker(b"w", lease=lease["lease"], epoch=lease["epoch"], client="tc")
    assert bench.status()["workers"][0]["state"] == "releasing"
    bench.say(b"w/h1", Kind.RELEASED, lease=lease["lease"], epoch=lease["epoch"])
    assert bench.status()["workers"][0]["state"] == "free"


def test_of_two_hosts_that_announce_one_lease_the_higher_epoch_wins(bench):
    announced = {"lease": "L7-before", "client": "tc", "label": "me"}
    bench.worker(b"w1", epoch=5, **announced)
    bench.worker(b"w2", epoch=4, **announced)
    assert {w["worker"]: w["state"] for w in bench.status()["workers"]} == {"w1": "leased", "w2": "releasing"}
    bench.worker(b"w3", epoch=6, **announced)
    assert {w["worker"]: w["state"] for w in bench.status()["workers"]} == {"w1": "releasing", "w2": "releasing", "w3": "leased"}


def test_a_host_that_attaches_again_gets_its_running_job_again(bench):
    bench.worker(b"w")
    (lease,) = leases_of(bench.acquire())
    bench.job(lease, 2)
    bench.worker(b"w")  # before it saw the GRANT
    again = {"worker": "w", "description": {"profile": "p"}, "epoch": 0, "seq": 0, "lease": ""}
    bench.say(b"w/h1", Kind.ATTACH, again)
    assert [kind for kind, _, _ in bench.told[b"w/h1"]] == [Kind.GRANT, Kind.STEP]
    bench.told.clear()
    bench.say(b"w/h1", Kind.ATTACH, {**again, "lease": lease["lease"], "epoch": lease["epoch"]})
    assert [kind for kind, _, _ in bench.told[b"w/h1"]] == [Kind.STEP]


def test_a_worker_that_drains_hands_the_episode_over_to_whoever_asked_last(bench):
    bench.worker(b"w")
    (lease,) = leases_of(bench.acquire())
    named = {"lease": lease["lease"], "epoch": lease["epoch"]}
    bench.job(lease, 2)
    bench.job(lease, 3, seq=2)
    bench.say(b"w/h1", Kind.REPLY, {"done": 1}, request=2, seq=1, **named)
    bench.told.clear()
    bench.say(b"w/h1", Kind.HANDOVER, {"digest": "d"}, seq=1, **named)
    (handed, _, state), (answer, header, body) = bench.told[b"c"]
    assert (handed, state) == (Kind.HANDOVER, {"digest": "d"})
    assert (answer, header.request, body["code"]) == (Kind.ERROR, 3, ErrorCode.WORKER_LEFT)
    assert bench.answer(b"w/h1")[0] is Kind.REVOKE
    bench.say(b"w/h1", Kind.HANDOVER, {"digest": "d"}, seq=1, **named)
    assert bench.answer(b"w/h1")[0] is None  # once is enough
    bench.say(b"w/h1", Kind.RELEASED, **named)
    assert bench.status()["workers"][0]["state"] == "draining"
    assert refusal(bench.acquire(request=4))[0] == ErrorCode.NO_FREE_WORKER
    bench.job(lease, 5, seq=2)
    code, text = refusal(bench.answer(b"c"))
    assert code == ErrorCode.LEASE_VOID and "told to leave" in text


def test_a_worker_is_not_granted_from_the_moment_it_drains(bench):
    bench.worker(b"w")
    bench.say(b"w", Kind.HEARTBEAT, {"worker": "w", "host": "w/h1", "draining": True})
    assert "1 draining" in refusal(bench.acquire())[1]
    bench.say(b"w", Kind.GOODBYE, {"worker": "w", "reason": "drained"})
    assert bench.status()["workers"] == []


def test_what_a_stranger_hands_over_is_passed_to_nobody(bench):
    bench.worker(b"w")
    (lease,) = leases_of(bench.acquire())
    bench.job(lease, 2)
    bench.told.clear()
    for sender, epoch in ((b"x/h1", lease["epoch"]), (b"w/h1", lease["epoch"] + 1)):
        bench.say(sender, Kind.HANDOVER, {}, lease=lease["lease"], epoch=epoch, seq=1)
    assert bench.answer(b"c")[0] is None
    assert len(bench.status()["leases"]) == 1


def test_a_silent_keepers_host_is_looked_for_before_its_time_is_over(bench):
    bench.worker(b"w")
    (lease,) = leases_of(bench.acquire())
    bench.job(lease, 2)
    bench.told.clear()
    bench.now += 1.6
    bench.take(bench.broker.tick(bench.now))
    kind, header, _ = bench.answer(b"w/h1")
    assert (kind, header.lease, header.epoch) == (Kind.GRANT, lease["lease"], lease["epoch"])
    bench.take(bench.broker.unreachable(b"w/h1", Message(header), bench.now))
    assert refusal(bench.answer(b"c"))[0] == ErrorCode.WORKER_LOST
