"""A farm with keys: who may say what, whose a lease and a worker are, and what becomes of them when a key is taken away. The core alone."""

from __future__ import annotations

import contextlib

import pytest
from brokerbench import Bench, leases_of

from b2d_zmq.codec import encode
from b2d_zmq.errors import ErrorCode
from b2d_zmq.protocol import ANSWERS, REQUESTS, TO_HOST, Header, Kind, Message
from b2d_zmq.roles import FROM_CLIENT, FROM_WORKER, Holder, Role
from broker.rights import Rights
from broker.table import Lease

HOLDERS = {
    "W": Holder("worker", Role.WORKER),
    "W2": Holder("worker-2", Role.WORKER),
    "C": Holder("client", Role.CLIENT),
    "C2": Holder("client-2", Role.CLIENT),
    "A": Holder("admin", Role.ADMIN),
}
TAKEN = FROM_WORKER | FROM_CLIENT


class Keyed(Bench):
    """A bench whose peers have keys: ``keys[identity]``."""

    def __init__(self, **options):
        super().__init__(holders=HOLDERS, **options)
        self.keys = {b"w": "W", b"w/h1": "W", b"c": "C"}

    def say(self, sender, kind, body=None, **fields):
        message = Message(Header(kind, **fields), encode(body if body is not None else {}), self.keys.get(sender, ""))
        self.take(self.broker.receive(sender, message, self.now))

    def code(self, identity):
        """The code of the ERROR that this one was told last, its text in ``words``; None where it was no error."""
        kind, _, body = self.answer(identity)
        self.words = body["message"] if kind is Kind.ERROR else ""
        return ErrorCode(body["code"]) if kind is Kind.ERROR else None

    def step(self, sender, lease, request):
        self.say(sender, Kind.STEP, {"n": 1}, request=request, lease=lease["lease"], epoch=lease["epoch"], seq=1)


@pytest.fixture
def bench():
    return Keyed()


@pytest.fixture
def held(bench):
    """A worker of key W, leased under key C."""
    bench.worker(b"w")
    (lease,) = leases_of(bench.acquire())
    return lease


def test_every_kind_that_a_broker_takes_is_for_one_side_and_no_kind_for_both():
    assert not FROM_WORKER & FROM_CLIENT
    assert TAKEN >= REQUESTS | ANSWERS
    assert {kind for kind in Kind if kind not in TAKEN} == {Kind.GRANT, Kind.REVOKE, Kind.WHO}


@pytest.mark.parametrize("kind", sorted(TAKEN), ids=lambda kind: kind.name)
@pytest.mark.parametrize("key", ["W", "C", "A", "unknown"])
def test_what_is_not_for_a_role_is_forbidden_and_changes_nothing(bench, kind, key):
    bench.worker(b"w")
    before = repr(bench.broker.table.workers), dict(bench.broker.table.leases)
    bench.keys[b"x"] = key
    bench.say(b"x", kind, {"worker": "w", "client": "t", "n": 1, "leases": []}, request=7)
    allowed = kind in {"W": FROM_WORKER, "C": FROM_CLIENT, "A": FROM_CLIENT}.get(key, ())
    if not allowed:
        assert bench.code(b"x") is ErrorCode.FORBIDDEN
        assert (repr(bench.broker.table.workers), dict(bench.broker.table.leases)) == before
    elif bench.told.get(b"x"):
        assert bench.code(b"x") is not ErrorCode.FORBIDDEN


def test_a_lease_is_of_the_key_it_was_acquired_under(bench, held):
    bench.keys.update({b"thief": "C2", b"again": "C", b"boss": "A"})
    for thief in (b"thief", b"boss"):
        bench.step(thief, held, 5)
        assert bench.code(thief) is ErrorCode.FORBIDDEN
    bench.step(b"again", held, 6)  # the same client over another connection
    assert bench.told[b"w/h1"][-1][0] is Kind.STEP
    bench.wait(29, beat=[b"w"])
    bench.say(b"thief", Kind.KEEPALIVE, {"client": "tc"})
    bench.wait(2, beat=[b"w"])
    assert not bench.broker.table.leases, "another key keeps nothing alive"


@pytest.mark.parametrize(("sender", "token"), [(b"thief", "tc"), (b"c", "t-other"), (b"c", "")])
def test_only_who_holds_a_lease_can_release_it(bench, held, sender, token):
    bench.keys[b"thief"] = "C2"
    bench.say(sender, Kind.RELEASE, {"leases": ["L9-gone", held["lease"]], "client": token}, request=8)
    assert bench.code(sender) is ErrorCode.FORBIDDEN and "b2d release" in bench.words
    assert held["lease"] in bench.broker.table.leases


def test_without_keys_too_a_lease_is_released_by_its_own_client_alone():
    bench = Bench()
    bench.worker(b"w")
    (lease,) = leases_of(bench.acquire())
    for token in ("t-other", ""):
        bench.say(b"thief", Kind.RELEASE, {"leases": [lease["lease"]], "client": token}, request=8)
        assert bench.answer(b"thief")[2]["code"] == ErrorCode.FORBIDDEN
    bench.say(b"another connection", Kind.RELEASE, {"leases": [lease["lease"]], "client": "tc"}, request=9)
    assert bench.answer(b"another connection")[2] == {"released": [lease["lease"]]}


def test_an_admin_releases_whatever_is_held(bench, held):
    bench.keys[b"boss"] = "A"
    bench.say(b"boss", Kind.RELEASE, {"leases": [held["lease"]], "client": "boss"}, request=8)
    assert bench.answer(b"boss")[2] == {"released": [held["lease"]]}
    assert bench.told[b"w/h1"][-1][0] is Kind.REVOKE


def test_nobody_learns_the_token_of_another(bench, held):
    bench.say(b"c", Kind.STATUS, request=9)
    (told,) = bench.answer(b"c")[2]["leases"]
    assert told["client"] and "tc" not in repr(told)


def test_a_worker_is_of_the_key_it_came_with(bench, held):
    bench.step(b"c", held, 5)
    reply = {"request": 5, "lease": held["lease"], "epoch": held["epoch"], "seq": 1}
    bench.keys.update({b"w": "W2", b"w/h1": "W2"})
    for sender, kind, body, fields in (
        (b"w/h1", Kind.REPLY, {"reward": 9.0}, reply),
        (b"w/h1", Kind.ATTACH, {"worker": "w", "epoch": 99, "lease": "L1-other"}, {}),
        (b"w/h1", Kind.RELEASED, {}, {"lease": held["lease"], "epoch": held["epoch"]}),
        (b"w", Kind.READY, {"worker": "w", "host": "w/h9"}, {}),
        (b"w", Kind.HEARTBEAT, {"worker": "w", "host": ""}, {}),
        (b"w", Kind.LOST, {"worker": "w", "host": "w/h1", "reason": "so they say"}, {}),
        (b"w", Kind.GOODBYE, {"worker": "w"}, {}),
    ):
        bench.say(sender, kind, body, **fields)
        assert bench.code(sender) is ErrorCode.FORBIDDEN
    assert bench.broker.table.leases[held["lease"]].running, "none of that answered or ended anything"
    bench.keys.update({b"w": "W", b"w/h1": "W"})
    bench.say(b"w/h1", Kind.REPLY, {"reward": 1.0}, **reply)
    assert bench.answer(b"c")[2] == {"reward": 1.0}


def test_a_key_outlives_the_broker_with_its_lease(bench, held):
    grant = bench.told[b"w/h1"][-1][2]
    assert grant == {"client": "tc", "label": "who c", "key": "C"}
    later = Keyed()
    later.keys[b"thief"] = "C2"
    later.broker.table.boot = "later"
    for sender, request in ((b"thief", 5), (b"c", 6)):  # before the host was heard of: both are held
        later.step(sender, held, request)
    later.worker(b"w", epoch=held["epoch"], lease=held["lease"], **grant)
    assert later.broker.table.leases[held["lease"]].key == "C"
    later.step(b"thief", held, 7)
    assert later.code(b"thief") is ErrorCode.FORBIDDEN
    assert later.broker.table.leases[held["lease"]].running.sender == b"c"


def test_a_key_that_is_taken_away_takes_leases_and_workers_along(bench):
    bench.keys.update({b"v": "W2", b"v/h1": "W2", b"d": "C2", b"e": "C2"})
    bench.worker(b"w")
    bench.worker(b"v")
    (one,), (two,) = (leases_of(bench.acquire(sender)) for sender in (b"c", b"d"))
    bench.acquire(b"e", wait=60.0)
    bench.step(b"d", two, 5)
    left = {key: holder for key, holder in HOLDERS.items() if key not in ("C2", "W2")}
    bench.told.clear()
    bench.take(bench.broker.allow(left, bench.now))
    assert bench.code(b"d") is ErrorCode.LEASE_VOID and "not allowed any more" in bench.words
    assert list(bench.broker.table.leases) == ([one["lease"]] if one["worker"] == "w" else [])
    assert list(bench.broker.table.workers) == ["w"] and not bench.broker.clients.waiting
    for sender, kind in ((b"d", Kind.STATUS), (b"v", Kind.HEARTBEAT)):
        bench.say(sender, kind, {"worker": "v", "host": ""}, request=9)
        assert bench.code(sender) is ErrorCode.FORBIDDEN


def test_a_key_that_comes_or_goes_disturbs_nobody_else(bench, held):
    bench.step(b"c", held, 5)
    bench.take(bench.broker.allow({**HOLDERS, "N": Holder("client-new", Role.CLIENT)}, bench.now))
    bench.keys[b"new"] = "N"
    bench.say(b"new", Kind.STATUS, request=1)
    assert bench.answer(b"new")[0] is Kind.REPLY
    bench.take(bench.broker.allow(HOLDERS, bench.now))
    assert bench.broker.table.leases[held["lease"]].running


@pytest.mark.parametrize("kind", sorted(TO_HOST), ids=lambda kind: kind.name)
def test_no_job_of_another_key_reaches_a_host(bench, held, kind):
    bench.keys[b"thief"] = "C2"
    before = len(bench.told[b"w/h1"])
    bench.say(b"thief", kind, {}, request=4, lease=held["lease"], epoch=held["epoch"], seq=1)
    assert bench.code(b"thief") is ErrorCode.FORBIDDEN and len(bench.told[b"w/h1"]) == before


def released_by_a_thief(bench, held):
    test_only_who_holds_a_lease_can_release_it(bench, held, b"thief", "tc")


def attached_by_a_client(bench, held):
    test_what_is_not_for_a_role_is_forbidden_and_changes_nothing(bench, Kind.ATTACH, "C")


def taken_away(bench, held):
    test_a_key_that_is_taken_away_takes_leases_and_workers_along(Keyed())


def kept(bench, held):
    fresh = Keyed()
    fresh.worker(b"w")
    (lease,) = leases_of(fresh.acquire())
    test_a_key_outlives_the_broker_with_its_lease(fresh, lease)


check = Rights.check
MUTANTS = {
    "whoever knows a lease may use it": (Rights, "check_use", lambda *_: None, test_a_lease_is_of_the_key_it_was_acquired_under),
    "whoever knows a lease may release it": (Rights, "check_end", lambda *_: None, released_by_a_thief),
    "every client is an admin": (Rights, "_admin", lambda *_: True, released_by_a_thief),
    "no admin is one": (Rights, "_admin", lambda *_: False, test_an_admin_releases_whatever_is_held),
    "a key is for all roles": (Rights, "check", lambda *_: None, attached_by_a_client),
    "a worker may speak for another": (
        Rights,
        "check",
        lambda self, message, _: check(self, message, None),
        test_a_worker_is_of_the_key_it_came_with,
    ),
    "what a key held stays when it goes": (Rights, "keeps", lambda *_: True, taken_away),
    "a host is not told of the key": (Lease, "granted", lambda lease: {"client": lease.client, "label": lease.label, "key": ""}, kept),
}


@pytest.mark.parametrize("broken", [True, False], ids=["broken", "sound"])
@pytest.mark.parametrize("name", MUTANTS)
def test_each_rule_that_is_left_out_is_noticed(monkeypatch, name, broken):
    owner, attribute, mutant, test = MUTANTS[name]
    bench = Keyed()
    bench.worker(b"w")
    (held,) = leases_of(bench.acquire())
    if broken:
        monkeypatch.setattr(owner, attribute, mutant)
    with pytest.raises(AssertionError) if broken else contextlib.nullcontext():
        test(bench, held)
