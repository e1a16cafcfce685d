"""A client whose request finds something full: it asks again by itself, under the same number, and gives up when its patience is over."""

from __future__ import annotations

import pytest
from fakebroker import playing

from b2d_zmq import codec
from b2d_zmq.client import Client
from b2d_zmq.errors import Busy, NoFreeWorker
from b2d_zmq.protocol import Kind, Message, pack, unpack
from broker.clients import WAITING_OF_ONE

BUSY = {"code": 11, "message": "full", "traceback": "", "retry_after": 0.01}


class Full:
    """Answers BUSY so many times, then as it should; ``numbers`` are those of the requests that came."""

    def __init__(self, times, refusal=BUSY):
        self.left, self.refusal, self.numbers = times, refusal, []

    def __call__(self, frames):
        header = unpack(frames).header
        self.numbers.append(header.request)
        self.left -= 1
        kind, tree = (Kind.ERROR, self.refusal) if self.left >= 0 else (Kind.REPLY, {"workers": []})
        return [pack(Message(header._replace(kind=kind), codec.encode(tree)))]


def test_what_was_busy_is_asked_again_under_the_same_number():
    full = Full(3)
    with playing(full) as broker, Client(broker.endpoint) as client:
        assert client.status() == {"workers": []}
    assert full.numbers == [1, 1, 1, 1]


def test_a_client_that_only_looks_now_and_then_asks_again_too():
    full = Full(2)
    with playing(full) as broker, Client(broker.endpoint) as client:
        pending = client.send(Kind.STATUS, {}, budget=30.0)
        while not pending.done():
            pass
        assert pending.result() == {"workers": []}


def test_when_its_patience_is_over_the_caller_is_told():
    full = Full(10**6)
    with playing(full) as broker, Client(broker.endpoint, timeout=1.0) as client:
        with pytest.raises(Busy, match="full"):
            client.status()
        assert len(full.numbers) > 1
        full.left = 0
        assert client.status() == {"workers": []}


@pytest.mark.parametrize("after", [None, -1.0, float("nan"), 1e9, "soon", True])
def test_a_time_to_come_back_that_is_none_is_the_usual_one(after):
    with playing(Full(10**6, {**BUSY, "retry_after": after})) as broker, Client(broker.endpoint, timeout=0.2) as client:
        with pytest.raises(Busy) as caught:
            client.status()
        assert caught.value.retry_after == Busy.retry_after


def test_others_are_answered_while_one_waits_to_ask_again():
    def answer(frames):
        header = unpack(frames).header
        kind, tree = (Kind.ERROR, {**BUSY, "retry_after": 10.0}) if header.kind is Kind.DESCRIBE else (Kind.REPLY, {"workers": []})
        return [pack(Message(header._replace(kind=kind), codec.encode(tree)))]

    with playing(answer) as broker, Client(broker.endpoint, timeout=100.0) as client:
        late = client.send(Kind.DESCRIBE, {}, budget=30.0)
        for _ in range(3):
            assert client.status() == {"workers": []}
        assert not late.done()


def test_a_farm_with_a_full_queue_answers_everybody_in_the_end(farm):
    """More requests than may wait for a worker that there is not: none of them ends as BUSY, for each finds room in its turn."""
    with Client(farm(backend="faulty:Counts").endpoint) as client:
        asked = {"profile": "nobody's", "wait": 0.5}
        pendings = [client.send(Kind.DESCRIBE, asked, budget=30.0) for _ in range(WAITING_OF_ONE + 2)]
        for pending in pendings:
            with pytest.raises(NoFreeWorker):
                pending.result()
        assert client.status()["counters"]["errors sent"] >= 2  # the BUSY ones; those that waited in vain are not counted there
