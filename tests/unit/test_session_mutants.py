"""The simulation of sessions has teeth: each of these defects of client, session, group or host is caught by it within a few histories."""

from __future__ import annotations

import farmrun
import numpy as np
import pytest
from farmwatch import Violation

from b2d_zmq import resume, session
from b2d_zmq.client import Client
from b2d_zmq.group import BranchGroup
from b2d_zmq.protocol import ANSWERS, Header
from b2d_zmq.session import Session
from worker.ledger import Ledger

ACCEPT, PIECES, RECEIVE, RELIVE, SEND_AGAIN = (
    Ledger.accept,
    session._pieces,
    Client._receive,
    Session._relive,
    Client._send_again,
)


@pytest.fixture
def simulation():
    with farmrun.simulation():
        yield


def without_fence(self, header):
    return ACCEPT(self, header._replace(lease=self.lease, epoch=self.epoch))


def without_memory(self, header):
    self.seq -= header.seq == self.seq
    return ACCEPT(self, header)


def without_order(self, header):
    if header.seq != self.seq:
        self.seq = header.seq - 1
    return ACCEPT(self, header)


def old_log(self, begin):
    self.begin, self._bare = begin, False
    self.digests.clear()


def first_told_is_forgotten(self, job):
    told, self._resumed = self._resumed, None
    try:
        return RELIVE(self, job)
    finally:
        self._resumed = told


def under_the_next_seq(self):
    for pending in [self._waiting[number] for number in self._swallowed if number in self._waiting]:
        header = Header.unpack(pending._frames[0])
        if header.seq:
            pending._frames[0] = header._replace(seq=header.seq + 1).pack()
    SEND_AGAIN(self)


def any_answer(self, frames):
    header = Header.unpack(frames[0])
    if header.kind in ANSWERS and header.request not in self._waiting and self._waiting:
        frames = [header._replace(request=max(self._waiting.keys())).pack(), *frames[1:]]
    RECEIVE(self, frames)


def going(branch):
    return branch.error is None


MUTANTS = {  # the kind of histories that shows it soonest, and the defect
    "what is lived again is not compared": ("drift", resume, "first_difference", lambda expected, found: -1),
    "a second resume forgets what the first has found": ("drift", Session, "_relive", first_told_is_forgotten),
    "nothing is lived again": ("deaths", session, "_pieces", lambda entries: iter(())),
    "the last action is not lived again": ("deaths", session, "_pieces", lambda entries: PIECES(entries[:-1])),
    "the awaited step is lived again as well": ("deaths", Session, "_relive", lambda self, job: RELIVE(self, job._replace(entry=None))),
    "the log outlives a snapshot": ("deaths", Session, "_begin", old_log),
    "a lost worker's lease is kept alive": ("deaths", Session, "_let_go", lambda self: None),
    "a resume is not told": ("deaths", Session, "_told", lambda self, outcome: outcome),
    "a job may end any number of hosts": ("calm", resume, "KILLS", 1000),
    "what went down with a connection is forgotten": ("deaths", Client, "_send_again", lambda self: self._swallowed.clear()),
    "it is sent again under the next seq": ("deaths", Client, "_send_again", under_the_next_seq),
    "a late answer is taken for the present one": ("repeats", Client, "_receive", any_answer),
    "a host takes jobs of any lease and epoch": ("chaos", Ledger, "accept", without_fence),
    "a host does a repeated job again": ("repeats", Ledger, "accept", without_memory),
    "a host does jobs in any order": ("chaos", Ledger, "accept", without_order),
    "a lost branch has a return": ("crowd", BranchGroup, "returns", property(lambda self: np.array([one.total for one in self._branches]))),
    "a lost branch is left out": (
        "crowd",
        BranchGroup,
        "valid",
        property(lambda self: np.array([True for _ in filter(going, self._branches)])),
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_defect_is_caught(name, simulation, monkeypatch):
    kind, *mutant = MUTANTS[name]
    monkeypatch.setattr(*mutant)
    with pytest.raises(farmrun.Broken) as caught:
        for seed in range(400):
            farmrun.history("sessions", kind, seed)
    cause = caught.value.__cause__
    assert isinstance(cause, Violation) or type(cause) is AssertionError, cause  # a promise was broken; the mutant did not just stumble
