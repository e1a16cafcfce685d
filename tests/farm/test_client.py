"""The client against a broker that the test plays, and against none at all: every wait ends, with the right name on it."""

import logging
import multiprocessing
import os
import threading

import msgpack
import numpy as np
import pytest
from fakebroker import playing

from b2d_zmq import codec
from b2d_zmq.client import Client, Lease
from b2d_zmq.errors import (
    BudgetExceeded,
    CodecError,
    FrameTooLarge,
    NoBroker,
    NoFreeWorker,
    ProtocolError,
    RequestError,
    VersionMismatch,
    WrongMode,
)
from b2d_zmq.protocol import Header, Kind, Message, pack, unpack

LEASE = Lease("L1", 1, "w-0-abcd", 30.0)


def reply(frames, tree, kind=Kind.REPLY, request=None):
    header = unpack(frames).header
    return pack(Message(header._replace(kind=kind, request=header.request if request is None else request), codec.encode(tree)))


def silent(frames):
    return []


@pytest.fixture
def played():
    """Start a broker that answers so, and a client of it."""
    opened = []

    def start(answer, **options):
        context = playing(answer)
        broker = context.__enter__()
        client = Client(broker.endpoint, **options)
        opened.append((context, client))
        return broker, client

    yield start
    for context, client in opened:
        client.close()
        context.__exit__(None, None, None)


def test_no_broker_says_where_and_what_to_start():
    with Client("tcp://127.0.0.1:9", timeout=0.1) as client, pytest.raises(NoBroker, match=r"tcp://127.0.0.1:9 .*b2d up -n 4"):
        client.status()


@pytest.mark.parametrize(
    "endpoint", ["http://localhost:8080", "127.0.0.1:5570", "tcp://127.0.0.1", "tcp://127.0.0.1:99999", "", 5570, b"tcp://127.0.0.1:5570"]
)
def test_what_is_no_endpoint_is_told_what_one_is(endpoint):
    with pytest.raises(RequestError, match=r"such as tcp://127\.0\.0\.1:5570"):
        Client(endpoint)


def test_a_name_that_zeromq_refuses_is_a_request_error():
    with pytest.raises(RequestError, match="cannot be connected"):
        Client("ipc:///tmp/" + "x" * 300)


def test_a_silent_broker_is_named_in_time(played):
    _broker, client = played(silent, timeout=0.1)
    client.margin = 0.0
    with pytest.raises(NoBroker, match="connected but did not answer STATUS"):
        client.status()


def test_a_silent_worker_is_named_with_its_request(played, monkeypatch):
    _broker, client = played(silent)
    client.margin = 0.0
    pending = client.send(Kind.STEP, {}, budget=0.1, lease=LEASE, seq=1)
    monkeypatch.setattr("b2d_zmq.client.MOMENT", 0.1)
    with pytest.raises(BudgetExceeded, match=r"STEP on worker w-0-abcd \(lease L1\).*nor did the broker say where"):
        pending.result()
    assert pending.done()


def test_a_silent_worker_is_told_with_where_it_was_in_what(played):
    progress = {"kind": "STEP", "seconds": 3.0, "tick": 12, "place": "Town10", "doing": "braking"}
    row = {"worker": LEASE.worker, "state": "leased", "age": 0.2, "progress": progress}
    _broker, client = played(lambda frames: [reply(frames, {"workers": [row]})] if unpack(frames).header.kind is Kind.STATUS else [])
    client.margin = 0.0
    with pytest.raises(BudgetExceeded, match=r"w-0-abcd is leased, in STEP for 3\.0 s, at tick 12 of Town10 \(braking\)"):
        client.send(Kind.STEP, {}, budget=0.1, lease=LEASE, seq=1).result()


def test_polling_ends_by_the_deadline_too(played):
    _broker, client = played(silent)
    client.margin = 0.0
    pending = client.send(Kind.STEP, {}, budget=0.05, lease=LEASE, seq=1)
    while not pending.done():
        pass
    with pytest.raises(BudgetExceeded):
        pending.result()


def test_answers_are_matched_by_number_and_others_dropped(played):
    held = []

    def backwards(frames):
        held.append(frames)
        if len(held) < 3:
            return [reply(frames, {"foreign": True}, request=999), reply(frames, {"notice": 1}, kind=Kind.WHO)]
        return [reply(one, {"n": unpack(one).header.request}) for one in reversed(held)]

    _broker, client = played(backwards)
    pendings = [client.send(Kind.STATUS, {}, budget=5.0) for _ in range(3)]
    assert [body["n"] for body in client.gather(pendings)] == [pending.number for pending in pendings]


def test_a_late_answer_disturbs_nobody(played):
    held = []

    def late(frames):
        held.append(frames)
        return [reply(one, {"n": unpack(one).header.request}) for one in held] if len(held) > 1 else []

    _broker, client = played(late)
    client.margin = 0.0
    with pytest.raises(NoBroker):
        client.send(Kind.STATUS, {}, budget=0.05).result()
    assert client.send(Kind.STATUS, {}, budget=5.0).result() == {"n": 2}


def test_gather_waits_for_all_before_it_raises(played):
    def answer(frames):
        n = unpack(frames).header.request
        refusal = {"code": 10, "message": "no free worker: 2 workers, both held by ann", "traceback": ""}
        return [reply(frames, refusal, kind=Kind.ERROR)] if n == 1 else [reply(frames, {"n": n})]

    _broker, client = played(answer)
    pendings = [client.send(Kind.STATUS, {}, budget=5.0) for _ in range(2)]
    with pytest.raises(NoFreeWorker, match="held by ann"):
        client.gather(pendings)
    assert pendings[1].result() == {"n": 2}


def test_a_remote_traceback_travels(played):
    told = {"code": 50, "message": "ZeroDivisionError: x", "traceback": "Traceback: line 7"}
    _broker, client = played(lambda frames: [reply(frames, told, kind=Kind.ERROR)])
    with pytest.raises(Exception, match="ZeroDivisionError") as caught:
        client.status()
    assert caught.value.remote_traceback == "Traceback: line 7"


@pytest.mark.parametrize("body", [5, {"code": "x"}, {}])
def test_an_error_without_a_code_is_a_protocol_error(played, body):
    _broker, client = played(lambda frames: [reply(frames, body, kind=Kind.ERROR)])
    with pytest.raises(ProtocolError, match="without a code"):
        client.status()


def test_junk_is_dropped_and_the_answer_still_found(played):
    junk = [[b""], [b"GET / HTTP/1.1"], [msgpack.packb(["b2d", 1, 21])], [os.urandom(50)] * 3, [b"x"] * 65]
    _broker, client = played(lambda frames: [*junk, reply(frames, {"fine": True})])
    assert client.status() == {"fine": True}


def test_a_broker_of_another_version_is_named(played):
    _broker, client = played(lambda frames: [[msgpack.packb(["b2d", 7, 21, 1, "", 0, 0, 0.0])]])
    with pytest.raises(VersionMismatch, match="protocol 7, this side speaks 1"):
        client.status()


def test_an_object_array_in_an_answer_is_refused(played):
    hostile = msgpack.packb({"x": {b"nd": True, b"type": "|O", b"kind": b"O", b"shape": [1], b"data": b"cos\nsystem\n(S'true'\ntR."}})

    def answer(frames):
        return [[unpack(frames).header._replace(kind=Kind.REPLY).pack(), hostile]]

    _broker, client = played(answer)
    with pytest.raises(CodecError):
        client.status()


@pytest.mark.parametrize("body", [{"leases": [{"lease": "L1"}]}, {"leases": 5}, {}, [1]])
def test_an_acquisition_that_cannot_be_read_is_a_protocol_error(played, body):
    _broker, client = played(lambda frames: [reply(frames, body)])
    with pytest.raises(ProtocolError, match="ACQUIRE"):
        client.acquire(1)


def test_what_must_not_travel_is_refused_before_it_is_sent(played):
    broker, client = played(silent, message_bytes=10_000)
    with pytest.raises(FrameTooLarge, match="--message-bytes"):
        client.send(Kind.RESTORE, {"data": np.zeros(20_000, np.uint8)}, budget=1.0, lease=LEASE, seq=1)
    with pytest.raises(CodecError):
        client.send(Kind.RESET, {"options": {"x": object()}}, budget=1.0, lease=LEASE, seq=1)
    with pytest.raises(CodecError):
        client.send(Kind.STEP, {"action": np.array([{}], object)}, budget=1.0, lease=LEASE, seq=1)
    assert broker.heard == []


def test_an_answer_over_the_limit_is_told_to_who_asked(played):
    _broker, client = played(lambda frames: [reply(frames, {"data": np.zeros(20_000, np.uint8)})], message_bytes=10_000)
    with pytest.raises(FrameTooLarge, match="--message-bytes"):
        client.status()


def test_a_broker_that_goes_away_and_does_not_come_back_is_told():
    with playing(silent) as broker:
        client = Client(broker.endpoint, timeout=0.3)
        pending = client.send(Kind.STEP, {}, budget=60.0, lease=LEASE, seq=1)
    with pytest.raises(NoBroker, match="went away while STEP on worker w-0-abcd"):
        pending.result()
    client.close()


def test_keep_alives_go_out_while_the_trainer_computes(played):
    heard = threading.Event()

    def answer(frames):
        header = unpack(frames).header
        if header.kind is Kind.KEEPALIVE:
            heard.set()
            return []
        leases = [{"lease": "L1", "epoch": 1, "worker": "w", "ttl": 0.1}]
        return [reply(frames, {"leases": leases, "released": ["L1"]})]

    broker, client = played(answer)
    leases = client.acquire(1)
    assert heard.wait(10.0)
    (notice,) = [frames for frames in broker.heard if unpack(frames).header.kind is Kind.KEEPALIVE][:1]
    assert codec.decode(unpack(notice).body) == {"client": client.token, "leases": ["L1"]}
    client.release(leases)
    assert client._line._keepalive.held == ()


def test_close_says_goodbye_for_what_is_held(played):
    released = threading.Event()

    def answer(frames):
        if unpack(frames).header.kind is Kind.RELEASE:
            released.set()
            return []
        return [reply(frames, {"leases": [{"lease": "L7", "epoch": 1, "worker": "w", "ttl": 30.0}]})]

    _broker, client = played(answer)
    client.acquire(1)
    threads = threading.active_count()
    client.close()
    assert released.wait(10.0)
    assert threading.active_count() == threads - 1
    client.close()
    with pytest.raises(WrongMode, match="closed"):
        client.status()


def test_a_client_that_is_forgotten_lets_go(played):
    broker, _ = played(silent)
    client = Client(broker.endpoint)
    line = client._line
    del client
    assert line.socket.closed


def test_two_threads_at_once_are_refused(played):
    _broker, client = played(silent)
    inside, done = threading.Event(), threading.Event()

    def hold():
        with client._alone():
            inside.set()
            done.wait(10.0)

    other = threading.Thread(target=hold)
    other.start()
    inside.wait(10.0)
    try:
        for call in (client.status, client.close):
            with pytest.raises(WrongMode, match="another thread"):
                call()
    finally:
        done.set()
        other.join()
    client.close()
    client.close()


def _in_child(client, queue):
    try:
        client.status()
    except WrongMode as error:
        queue.put(str(error))
    client.close()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_is_refused_and_harms_nobody(played):
    _broker, client = played(lambda frames: [reply(frames, {"fine": True})])
    assert client.status() == {"fine": True}
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_in_child, args=(client, queue))
    child.start()
    child.join(30.0)
    assert child.exitcode == 0
    assert "another process" in queue.get()
    assert client.status() == {"fine": True}


def test_waiting_for_a_broker_is_told_in_the_log(caplog, monkeypatch):
    monkeypatch.setattr("b2d_zmq.client.PATIENCE", 0.05)
    with caplog.at_level(logging.WARNING), Client("tcp://127.0.0.1:9", timeout=0.2) as client, pytest.raises(NoBroker):
        client.status()
    assert "no broker answers at tcp://127.0.0.1:9 yet" in caplog.text


def test_the_label_says_who():
    with Client() as client:
        assert f":{os.getpid()} " in client.label
    with Client(label="ann") as client:
        assert client.label == "ann"


def test_header_of_a_job(played):
    broker, client = played(lambda frames: [reply(frames, {})])
    client.send(Kind.STEP, {"ticks": 2}, budget=7.0, lease=LEASE, seq=3).result()
    assert unpack(broker.heard[0]).header == Header(Kind.STEP, 1, "L1", 1, 3, 7.0)
