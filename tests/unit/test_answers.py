"""What a client reads in answers: in STATUS, which worker was where in what."""

from __future__ import annotations

import pytest

from b2d_zmq.answers import whereabouts

BUSY = {"kind": "STEP", "seconds": 41.25, "tick": 812, "place": "Town12", "doing": "waiting for the tick"}


def status(**progress):
    return {"workers": [{"worker": "w-0-aa"}, {"worker": "w-3-ab", "state": "leased", "age": 0.26, "progress": progress}]}


def test_a_worker_in_a_job_is_told_with_its_place():
    told = whereabouts(status(**BUSY), "w-3-ab")
    assert told == (
        "worker w-3-ab is leased, in STEP for 41.2 s, at tick 812 of Town12 (waiting for the tick); its keeper was heard 0.3 s ago"
    )
    assert "at tick 812 (" in whereabouts(status(**{**BUSY, "place": ""}), "w-3-ab")


def test_a_worker_without_a_job_or_a_word_is_told_too():
    assert "with no job running (idle)" in whereabouts(status(kind="", doing="idle"), "w-3-ab")
    assert "has said nothing yet" in whereabouts(status(), "w-3-ab")


def test_a_worker_that_is_gone_is_said_to_be():
    assert whereabouts(status(), "w-9") == "the broker does not know worker w-9 any more"


@pytest.mark.parametrize(
    "answer", [None, [], {}, {"workers": 5}, {"workers": [{}]}, status(kind="STEP"), status(**{**BUSY, "seconds": None})]
)
def test_what_cannot_be_read_is_no_error(answer):
    assert whereabouts(answer, "w-3-ab") == ""
