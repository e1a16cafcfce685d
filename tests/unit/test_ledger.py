"""The ledger: jobs are done once, in order, for the present lease only, whatever arrives in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from b2d_zmq.errors import LeaseVoid, OutOfOrder
from b2d_zmq.protocol import Header, Kind
from worker.ledger import Answer, Ledger


def step(seq, lease="L1", epoch=1):
    return Header(Kind.STEP, 1, lease, epoch, seq, 1.0)


def granted():
    ledger = Ledger("w")
    assert ledger.grant(Header(Kind.GRANT, lease="L1", epoch=1), "client", "label")
    return ledger


def test_the_next_is_done_and_the_last_is_answered_again():
    ledger, answer = granted(), Answer(Kind.REPLY, [b"body"])
    assert ledger.accept(step(1)) is None
    ledger.done(answer)
    assert ledger.accept(step(1)) is answer
    assert ledger.accept(step(2)) is None


@pytest.mark.parametrize("seq", [0, 2, 3])
def test_anything_else_is_out_of_order(seq):
    with pytest.raises(OutOfOrder, match="wanted is 1"):
        granted().accept(step(seq))


@pytest.mark.parametrize("kind", [Kind.RESET, Kind.RESTORE])
def test_who_begins_anew_may_skip_jobs_that_got_lost_and_they_come_too_late_then(kind):
    ledger, answer = granted(), Answer(Kind.REPLY, [b"body"])
    begin = step(5)._replace(kind=kind)
    assert ledger.accept(begin) is None
    ledger.done(answer)
    assert ledger.accept(begin) is answer
    for late in (4, 3):
        with pytest.raises(OutOfOrder, match="the last was 5"):
            ledger.accept(step(late)._replace(kind=kind))
    assert ledger.accept(step(6)) is None


def test_a_job_under_way_is_not_begun_again():
    ledger = granted()
    ledger.accept(step(1))
    with pytest.raises(OutOfOrder):
        ledger.accept(step(1))


@pytest.mark.parametrize("lease, epoch", [("L1", 2), ("L2", 1), ("", 0)])
def test_a_foreign_lease_or_epoch_is_void(lease, epoch):
    with pytest.raises(LeaseVoid, match="holds lease L1 of epoch 1"):
        granted().accept(step(1, lease, epoch))


def test_an_old_grant_changes_nothing():
    ledger = granted()
    assert not ledger.grant(Header(Kind.GRANT, lease="L0", epoch=1), "other", "other")
    assert (ledger.lease, ledger.client) == ("L1", "client")


def test_after_revoke_nothing_is_held_but_the_epoch_stays():
    ledger = granted()
    assert not ledger.revoke(Header(Kind.REVOKE, lease="L1", epoch=7))
    assert ledger.revoke(Header(Kind.REVOKE, lease="L1", epoch=1))
    assert not ledger.revoke(Header(Kind.REVOKE, lease="L1", epoch=1))
    assert (ledger.lease, ledger.client, ledger.label, ledger.epoch) == ("", "", "", 1)
    with pytest.raises(LeaseVoid, match="holds no lease"):
        ledger.accept(step(1))


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("grant"), st.integers(0, 4), st.integers(0, 2)),
        st.tuples(st.just("revoke"), st.integers(0, 4), st.integers(0, 2)),
        st.tuples(st.just("job"), st.integers(0, 4), st.integers(0, 5)),
        st.tuples(st.just("next"), st.integers(0, 1), st.just(0)),
    ),
    max_size=60,
)


@settings(max_examples=400, deadline=None)
@given(EVENTS)
def test_no_job_is_done_twice_in_an_epoch(events):
    ledger, done, top = Ledger("w"), [], 0
    for what, epoch, other in events:
        if what == "grant":
            ledger.grant(Header(Kind.GRANT, lease=f"L{other}", epoch=epoch), "c", "l")
        elif what == "revoke":
            ledger.revoke(Header(Kind.REVOKE, lease=f"L{other}", epoch=epoch))
        else:
            seq = ledger.seq + 1 - epoch if what == "next" else other
            header = step(seq, ledger.lease, ledger.epoch if what == "next" else epoch)
            try:
                cached = ledger.accept(header)
            except (LeaseVoid, OutOfOrder):
                continue
            job = (header.lease, header.epoch, header.seq)
            if cached is None:
                done.append(job)
                ledger.done(Answer(Kind.REPLY, [job]))
            else:
                assert cached.body == [job] == [done[-1]]
        assert ledger.epoch >= top
        top = ledger.epoch
    assert len(done) == len(set(done))
    assert done == sorted(done, key=lambda job: job[1:])
    for epoch in {job[1] for job in done}:
        numbers = [job[2] for job in done if job[1] == epoch]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len({job[0] for job in done if job[1] == epoch}) == 1
