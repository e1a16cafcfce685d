"""OpenEnv 1000 in the broker core: whoever takes a worker and is never heard again, hundreds of times over, costs the farm nothing."""

from __future__ import annotations

from brokerbench import Bench, leases_of

from b2d_zmq.protocol import Kind

WORKERS = (b"w1", b"w2", b"w3")


def let_go(bench):
    """The hosts do as they are told: REVOKE is answered."""
    for worker in WORKERS:
        for kind, header, _ in bench.told.pop(worker + b"/h1", []):
            if kind is Kind.REVOKE:
                bench.say(worker + b"/h1", Kind.RELEASED, lease=header.lease, epoch=header.epoch)


def test_silent_clients_use_no_slot_up():
    bench = Bench(lease_ttl=5.0)
    for worker in WORKERS:
        bench.worker(worker)
    for day in range(300):
        leases_of(bench.acquire(b"silent%d" % day, request=1, n=3))  # and its connection stays open, half or whole
        bench.wait(5, beat=WORKERS)
        let_go(bench)
    assert [worker["state"] for worker in bench.status()["workers"]] == ["free"] * 3
    table, clients = bench.broker.table, bench.broker.clients
    assert not table.leases and not table.of_client and not clients.waiting
    assert len(table.ended) <= 1024 and len(clients.answered) <= 1024 and len(table.alarms) < 20
