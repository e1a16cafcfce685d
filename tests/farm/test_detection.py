"""Whoever dies or hangs is found out, whatever it was at, and nobody else; how soon is measured by `make detection`."""

from __future__ import annotations

import os
import signal

import psutil
import pytest
import slowlink
from bench import ended, until
from orphans import VICTIMS, family, hanging_on, kill

from b2d_zmq.protocol import Kind

RESET = {"seed": 10, "options": {}}


def test_a_host_that_stands_still_between_two_jobs_is_ended(bench):
    worker = bench().grant()
    host = worker.do(Kind.RESET, RESET, 1)[1]["info"]["pid"]
    os.kill(host, signal.SIGSTOP)
    lost = worker.expect(Kind.LOST)[2]
    assert "a signal had made it stand still" in lost["reason"]
    assert ended(host) and worker.attached()["lease"] == ""


def test_a_host_that_stands_still_for_a_moment_goes_on(bench):
    worker = bench().grant()
    host = worker.do(Kind.RESET, RESET, 1)[1]["info"]["pid"]
    os.kill(host, signal.SIGSTOP)
    until(lambda: psutil.Process(host).status() == psutil.STATUS_STOPPED)
    worker.expect(Kind.HEARTBEAT)
    os.kill(host, signal.SIGCONT)
    assert worker.do(Kind.RESET, RESET, 2)[1]["info"]["pid"] == host


@pytest.mark.parametrize("victim", VICTIMS)
def test_nobody_outlives_whom_he_hangs_on(leaves_nothing, tmp_path, victim):
    with family(tmp_path) as pids:
        kill(pids, victim)
        assert [name for name in VICTIMS if ended(pids[name])] == [name for name in VICTIMS if name == victim or name in hanging_on(victim)]
    until(lambda: not leaves_nothing())


@pytest.mark.skipif(int(os.environ.get("B2D_KILLS", "0")) < 200, reason="it takes 10 s; make test has it on its default Python")
def test_observations_that_fill_a_slow_link_make_nobody_look_dead(leaves_nothing):
    if slowlink.permitted():
        pytest.skip(f"no network of its own is to be had here: {slowlink.permitted()}")
    told = slowlink.run(2, 0.25)
    assert len(told["seconds"]) == 2 and not told["lost"]
