"""The host over its data socket: it attaches, does jobs once, refuses what is stale, answers what is wrong, and lives on."""

from __future__ import annotations

import numpy as np

from b2d_zmq.errors import ErrorCode
from b2d_zmq.protocol import Kind

GAS = np.array([0.5, 0.0, 0.0], np.float32)
STEP = {"action": GAS, "ticks": 1}
RESET = {"seed": 10, "options": {}}


def test_a_worker_announces_itself(bench):
    worker = bench()
    keeper, _, ready = worker.expect(Kind.READY)
    told = worker.attached()
    assert keeper == ready["worker"].encode() == worker.keeper
    assert (ready["name"], ready["heartbeat"], ready["pid"]) == ("b", 0.1, worker.process.pid)
    assert worker.host == worker.keeper + b"/h1"
    assert (told["lease"], told["epoch"], told["seq"]) == ("", 0, 0)
    assert {"backend", "version", "build", "profile", "rig", "tiers", "dt", "observation_space", "action_space", "routes"} <= set(
        told["description"]
    )
    progress = worker.expect(Kind.HEARTBEAT)[2]["progress"]
    assert progress["hosts"] == 1


def test_who_tells_what_is_held(bench):
    worker = bench().grant("L7", 4)
    worker.do(Kind.RESET, RESET, 1, lease="L7", epoch=4)
    worker.send(worker.host, Kind.WHO)
    worker.send(worker.keeper, Kind.WHO)
    told = worker.attached()
    assert (told["lease"], told["epoch"], told["seq"], told["client"], told["label"], told["key"]) == ("L7", 4, 1, "c", "a test", "k")
    assert worker.expect(Kind.READY)[2]["host"].encode() == worker.host


def test_a_job_is_done_once(bench):
    worker = bench().grant()
    assert worker.do(Kind.RESET, RESET, 1)[1]["tick"] == 10
    first = worker.do(Kind.STEP, STEP, 2)[1]
    again = worker.do(Kind.STEP, STEP, 2, request=99)[1]
    assert first["tick"] == again["tick"] == 11
    assert first["simulator_seconds"] == again["simulator_seconds"] > 0
    assert worker.do(Kind.STEP, STEP, 5)[1]["code"] == ErrorCode.OUT_OF_ORDER
    assert worker.do(Kind.STEP, STEP, 1, request=98)[1]["code"] == ErrorCode.OUT_OF_ORDER
    assert worker.do(Kind.STEP, STEP, 3)[1]["tick"] == 12


def test_what_is_stale_is_refused(bench):
    worker = bench().grant("L2", 5)
    for lease, epoch in (("L2", 4), ("L1", 5), ("", 0), ("L2", 6)):
        kind, body = worker.do(Kind.RESET, RESET, 1, lease=lease, epoch=epoch)
        assert (kind, body["code"]) == (Kind.ERROR, ErrorCode.LEASE_VOID)
    worker.send(worker.host, Kind.GRANT, {"client": "d", "label": "late"}, lease="L1", epoch=4)
    assert worker.do(Kind.RESET, RESET, 1, lease="L2", epoch=5)[0] is Kind.REPLY


def test_a_lease_is_given_up(bench):
    worker = bench().grant()
    worker.do(Kind.RESET, RESET, 1)
    worker.send(worker.host, Kind.REVOKE, lease="L1", epoch=1)
    header = worker.expect(Kind.RELEASED)[1]
    assert (header.lease, header.epoch) == ("L1", 1)
    assert worker.do(Kind.STEP, STEP, 2)[1]["code"] == ErrorCode.LEASE_VOID
    worker.send(worker.host, Kind.REVOKE, lease="L1", epoch=1)
    assert worker.expect(Kind.RELEASED)[1].epoch == 1  # a broker that asks twice hears it twice
    worker.send(worker.host, Kind.GRANT, {"client": "d", "label": ""}, lease="L2", epoch=2)
    kind, body = worker.do(Kind.STEP, STEP, 1, lease="L2", epoch=2)
    assert (kind, body["code"]) == (Kind.ERROR, ErrorCode.NO_EPISODE)  # the episode went with the lease


WRONG = [
    (Kind.STEP, {"action": np.array([2.0, 0.0, 0.0])}, ErrorCode.INVALID_ACTION),
    (Kind.STEP, {"action": np.array([np.nan, 0.0, 0.0])}, ErrorCode.INVALID_ACTION),
    (Kind.STEP, {"action": GAS, "ticks": 0}, ErrorCode.REQUEST),
    (Kind.STEP, [1, 2, 3], ErrorCode.REQUEST),
    (Kind.RESET, {"seed": -1, "options": {}}, ErrorCode.REQUEST),
    (Kind.RESET, {"seed": 1, "options": {b"x": 4}}, ErrorCode.REQUEST),
    (Kind.ROLLOUT, {"actions": np.zeros((0, 3))}, ErrorCode.REQUEST),
    (Kind.ROLLOUT, {"actions": np.zeros((2, 3)), "observations": "some"}, ErrorCode.REQUEST),
    (Kind.RESTORE, {"data": b"12"}, ErrorCode.REQUEST),
    (Kind.RESTORE, {"data": np.frombuffer(b"junk", np.uint8)}, ErrorCode.SNAPSHOT_CORRUPT),
]


def test_a_wrong_request_is_answered_and_nothing_is_done(bench):
    worker = bench().grant()
    worker.do(Kind.RESET, RESET, 1)
    for seq, (kind, body, code) in enumerate(WRONG, start=2):
        answer, told = worker.do(kind, body, seq)
        assert (answer, told["code"]) == (Kind.ERROR, code), told
    assert worker.do(Kind.STEP, STEP, len(WRONG) + 2)[1]["tick"] == 11  # the numbers are used up, the world is as it was


def test_what_the_backend_raises_travels_with_its_traceback(bench):
    worker = bench("faulty:Raises").grant()
    worker.do(Kind.RESET, RESET, 1)
    answers = [worker.do(Kind.STEP, STEP, seq) for seq in (2, 3, 4, 5)]
    kind, told = answers[2]
    assert (kind, told["code"]) == (Kind.ERROR, ErrorCode.SIMULATOR)
    assert "ZeroDivisionError: the wheels came off" in told["message"]
    assert "in fault" in told["traceback"]
    kind, told = worker.do(Kind.STEP, STEP, 4, request=99)
    assert (kind, told["code"]) == (Kind.ERROR, ErrorCode.OUT_OF_ORDER)
    assert (answers[3][0], answers[3][1]["tick"]) == (Kind.REPLY, 13)  # the host lives on


def test_a_reply_that_does_not_fit_is_an_error_not_silence(bench):
    worker = bench("faulty:Big", "--message-bytes", "1000000").grant()
    kind, told = worker.do(Kind.RESET, RESET, 1)
    assert (kind, told["code"]) == (Kind.ERROR, ErrorCode.FRAME_TOO_LARGE)
    assert "--message-bytes" in told["message"]
    assert worker.do(Kind.SNAPSHOT, {}, 2)[0] is Kind.REPLY


def test_a_reply_that_cannot_travel_is_an_error(bench):
    worker = bench("faulty:Untellable").grant()
    worker.do(Kind.RESET, RESET, 1)
    kind, told = worker.do(Kind.STEP, STEP, 2)
    assert (kind, told["code"]) == (Kind.ERROR, ErrorCode.CODEC)
    assert "set cannot travel" in told["message"]


def test_junk_is_dropped_and_an_unreadable_body_is_answered(bench):
    worker = bench().grant()
    worker.do(Kind.RESET, RESET, 1)
    for peer in (worker.host, worker.keeper):
        worker.raw(peer, b"")
        worker.raw(peer, b"\x93\xa3b2d\x63\x01", b"from a later version")
        worker.raw(peer, b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 1000)
        worker.raw(peer, *[b"x"] * 200)
        worker.send(peer, Kind.STATUS, {})
    worker.send(worker.host, Kind.GRANT, [1], lease="L9", epoch=9)
    worker.raw(worker.host, *_header(worker, 2), b"\xc1 no msgpack")
    kind, told = worker.answer(2)
    assert (kind, told["code"]) == (Kind.ERROR, ErrorCode.CODEC)
    assert worker.do(Kind.STEP, STEP, 3)[1]["tick"] == 11
    assert worker.expect(Kind.HEARTBEAT)


def _header(worker, seq):
    from b2d_zmq.protocol import Header

    return [Header(Kind.STEP, seq, "L1", 1, seq, 5.0).pack()]


def test_snapshot_restore_and_rollout(bench):
    worker = bench().grant()
    worker.do(Kind.RESET, RESET, 1)
    taken = worker.do(Kind.SNAPSHOT, {}, 2)[1]
    assert (taken["tick"], taken["tier"], taken["backend"], taken["version"]) == (10, "exact", "counts", "1")
    rolled = worker.do(Kind.ROLLOUT, {"actions": np.full((3, 3), 0.5), "ticks": 2, "observations": "all"}, 3)[1]
    assert len(rolled["observations"]) == len(rolled["digests"]) == 3
    assert rolled["rewards"].tolist() == [0.5] * 3
    assert rolled["tick"] == 16
    restored = worker.do(Kind.RESTORE, {"data": taken["data"]}, 4)[1]
    assert (restored["digest"], restored["tick"]) == (taken["digest"], 10)


def test_a_rollout_ends_where_its_episode_ends(bench):
    worker = bench().grant()
    worker.do(Kind.RESET, {"seed": 998, "options": {}}, 1)
    rolled = worker.do(Kind.ROLLOUT, {"actions": np.full((9, 3), 0.5), "ticks": 1, "observations": "last"}, 2)[1]
    assert rolled["terminated"].tolist() == [False, True]
    assert len(rolled["rewards"]) == 2
    assert rolled["observation"]["vehicle_state"]["speed"].tolist() == [1000.0]
