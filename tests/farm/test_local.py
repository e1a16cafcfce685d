"""LocalFarm: a real broker and real workers; what is lost is told at once; nothing stays behind, whoever dies."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
from bench import ended, until

from b2d_zmq.client import Client
from b2d_zmq.errors import BudgetExceeded, FarmError, WorkerLost
from b2d_zmq.local import LocalFarm
from b2d_zmq.protocol import Kind

STEP = {"action": np.array([0.5, 0.0, 0.0], np.float32), "ticks": 1}
RESET = {"seed": 10, "options": {}}


def job(client, lease, seq, kind=Kind.STEP, tree=STEP, *, budget=20.0):
    return client.send(kind, tree, budget=budget, lease=lease, seq=seq)


def free(client):
    return [worker for worker in client.status()["workers"] if worker["state"] == "free"]


def test_two_workers_work_side_by_side(farm):
    told = []
    started = farm(workers=2, backend="faulty:Counts", on_progress=lambda ready, total: told.append((ready, total)))
    assert told[-1] == (2, 2)
    assert sorted(started.pids) == ["w-0", "w-1"]
    with Client(started.endpoint) as client:
        leases = client.acquire(2)
        resets = client.gather([job(client, lease, 1, Kind.RESET, {"seed": 10 + i, "options": {}}) for i, lease in enumerate(leases)])
        assert [reset["tick"] for reset in resets] == [10, 11]
        steps = client.gather([job(client, lease, 2) for lease in leases])
        assert [step["tick"] for step in steps] == [11, 12]
        assert steps[0]["info"]["pid"] != steps[1]["info"]["pid"]


def test_a_lost_host_is_told_at_once_and_its_worker_comes_back(farm):
    started = farm(backend="faulty:Killed")
    with Client(started.endpoint) as client:
        (lease,) = client.acquire(1)
        job(client, lease, 1, Kind.RESET, RESET).result()
        job(client, lease, 2).result()
        job(client, lease, 3).result()
        with pytest.raises(WorkerLost, match=r"SIGKILL.* during STEP"):
            job(client, lease, 4).result()
        assert client.acquire(1, wait=20)


def test_a_hanging_host_is_ended_and_its_worker_comes_back(farm):
    started = farm(backend="faulty:Hangs")
    with Client(started.endpoint) as client:
        (lease,) = client.acquire(1)
        job(client, lease, 1, Kind.RESET, RESET).result()
        pending = [job(client, lease, seq, budget=1.0) for seq in (2, 3, 4)]
        with pytest.raises(BudgetExceeded, match=r"STEP may take 1\.0 s"):
            client.gather(pending)
        assert client.acquire(1, wait=20)


def test_a_lost_keeper_expires(farm):
    started = farm(workers=2, backend="faulty:Slow")
    with Client(started.endpoint) as client:
        (lease,) = client.acquire(1)
        host = job(client, lease, 1, Kind.RESET, RESET).result()["info"]["pid"]
        pending = job(client, lease, 2)
        keeper = next(pid for name, pid in started.pids.items() if lease.worker.startswith(name))
        psutil.Process(keeper).kill()
        with pytest.raises(WorkerLost, match=lease.worker):
            pending.result()
        until(lambda: ended(host))
        assert len(free(client)) == 1


def test_a_drained_worker_says_goodbye_before_it_expires(farm):
    started = farm(backend="faulty:Counts", heartbeat=30.0)
    with Client(started.endpoint) as client:
        psutil.Process(started.pids["w-0"]).terminate()
        until(lambda: not client.status()["workers"])  # long before the 105 s of an expiry


def test_a_broker_that_restarts_takes_up_the_leases_of_its_workers(farm, tmp_path):
    started = farm(workers=2, backend="faulty:Slow")
    command = [str(Path(sys.executable).parent / "b2d-broker"), "--bind", started.endpoint]
    with Client(started.endpoint) as client:
        (lease,) = client.acquire(1)
        job(client, lease, 1, Kind.RESET, RESET).result()
        running = job(client, lease, 2)
        until(lambda: client.status()["leases"][0]["running"] == "STEP")
        psutil.Process(started.broker_pid).kill()
        with open(tmp_path / "second.log", "ab") as log, subprocess.Popen(command, stdout=log, stderr=log) as second:
            try:
                assert running.result()["tick"] == 11  # done once, by the host that still holds the lease
                until(lambda: {"free", "leased"} == {worker["state"] for worker in client.status()["workers"]}, seconds=20)
                assert job(client, lease, 3).result()["tick"] == 12
                client.release([lease])
                until(lambda: len(free(client)) == 2)
            finally:
                second.terminate()


def test_nothing_is_left_when_the_parent_is_killed(leaves_nothing, tmp_path):
    code = (
        "import sys, threading; from b2d_zmq.local import LocalFarm;"
        f"farm = LocalFarm(workers=2, backend='faulty:Counts', sensors='state', log_dir={str(tmp_path)!r});"
        "print('up', flush=True); threading.Event().wait(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout.readline() == b"up\n"
        assert len(leaves_nothing()) == 6  # this parent, a broker, two keepers, two hosts
        parent.kill()
    until(lambda: not leaves_nothing())


def test_a_farm_that_cannot_start_says_why_and_leaves_nothing(leaves_nothing, tmp_path):
    with pytest.raises(FarmError, match=r"(?s)w-0 left with exit code 78.*routes\.xml: no <routes> in it"):
        LocalFarm(workers=1, backend="faulty:Misconfigured", log_dir=tmp_path / "logs")
    with pytest.raises(FarmError, match=r"cannot start /no/such/broker"):
        LocalFarm(workers=1, broker_command=["/no/such/broker"])
    with pytest.raises(FarmError, match=r"(?s)0 of 1 workers ready in time; not w-0"):
        LocalFarm(workers=1, backend="faulty:NeverOpens", start_timeout=2.0)
    assert not leaves_nothing()


def test_a_farm_can_be_started_from_any_thread(farm):
    made = []
    thread = threading.Thread(target=lambda: made.append(farm(workers=1, backend="faulty:Counts")))
    thread.start()
    thread.join(60)
    with Client(made[0].endpoint) as client:
        assert len(free(client)) == 1
    made[0].close()
    made[0].close()
    assert made[0].pids == {}


def test_options_for_workers_reach_them_and_what_they_do_is_told(farm):
    told = []
    started = farm(heartbeat=0.05, worker_options=["--log-level", "debug"], on_doing=lambda worker, words: told.append((worker, words)))
    assert ("w-0", "opening the backend") in told
    with Client(started.endpoint) as client:
        (lease,) = client.acquire(1)
        job(client, lease, 1, Kind.STEP).done()
        client.release([lease])
    until(lambda: " DEBUG " in started.log("w-0"))


def test_a_worker_that_refuses_its_options_is_told_in_its_own_words(farm):
    with pytest.raises(FarmError, match=r"exit code 2(.|\n)*No such option(.|\n)*--fly"):
        farm(worker_options=["--fly"])


def test_a_carla_that_is_not_there_is_one_clear_error(farm, tmp_path):
    with pytest.raises(FarmError, match="exit code 78") as refused:
        farm(backend="carla", carla_root=tmp_path / "nowhere")
    assert "nowhere does not exist" in str(refused.value) and "Traceback" not in str(refused.value)
