"""The present host as its keeper sees it: the child process, its progress page, its words. It can be asked, and ended."""

from __future__ import annotations

import logging
import math
import os
from typing import Any, Dict, NamedTuple

from b2d_zmq.protocol import Kind

from . import processes
from .briefing import Briefing
from .child import Child, python_command
from .output import Relay
from .plan import Plan
from .progress import Page, Progress

STOPPED_MOST = 1.0  # s that a host may stand still by a signal: no clock of ours watches it between jobs, and nobody would be told

log = logging.getLogger("worker.keeper")


class Death(NamedTuple):
    """How a host ended: its exit code, what it was doing, whether its backend had opened, how long it lived, its last words."""

    code: int
    during: str
    doing: str
    opened: bool
    lived: float
    tail: str


class Hosting:
    """A running host. ``name`` is its identity, WORKER/hN. Times are seconds of ``time.monotonic``."""

    def __init__(self, plan: Plan, number: int, options: Dict[str, Any], now: float) -> None:
        self.name, self._started = f"{plan.worker}/h{number}", now
        self._page, self.relay = Page.create(), Relay()
        self._page.write(Progress(0, 0, now, now + plan.start_budget, 0, "opening the backend"))
        told = (plan.worker, self.name, plan.endpoint, plan.backend, {**plan.options, **options})
        briefing = Briefing(*told, plan.message_bytes, plan.log_level, os.getpid(), self._page.fd, plan.curve_dir)
        try:
            self.child = Child(python_command("worker.host:main", [briefing.to_json()]), self.relay.write, [self._page.fd])
        except OSError:
            self.relay.started()
            self._let_go()
            raise
        self.relay.started()
        self._opened, self._stopped = False, math.inf  # since when it was seen to stand still
        log.info("host %s started, pid %d", self.name, self.child.pid)

    def progress(self) -> Progress:
        """What it says it is doing."""
        return self._page.read()

    @property
    def during(self) -> str:
        """What it is at, to go on from "it died"."""
        progress = self._page.read()
        return f"during {Kind(progress.kind).name}" if progress.kind else f"while {progress.doing}"

    @property
    def opened(self) -> bool:
        """Whether its backend has opened: then it has no deadline, or a job has one."""
        if not self._opened:
            progress = self._page.read()
            self._opened = progress.jobs > 0 or not progress.deadline
        return self._opened

    @property
    def deadline(self) -> float:
        """When its job must be over; inf while there is none."""
        return self._page.read().deadline or math.inf

    def overdue(self, now: float) -> str:
        """In words, that its job takes longer than it may, or that it was made to stand still, job or not; else the empty string."""
        self._stopped = min(self._stopped, now) if self.child.stopped() else math.inf
        if now - self._stopped >= STOPPED_MOST:
            return f"host {self.name} was ended: a signal had made it stand still for {now - self._stopped:.1f} s {self.during}"
        progress = self._page.read()
        if not progress.deadline or now < progress.deadline:
            return ""
        what = Kind(progress.kind).name if progress.kind else "opening the backend"
        where = f" of {progress.place}" if progress.place else ""
        allowed, took = progress.deadline - progress.started, now - progress.started
        return (
            f"host {self.name} was ended: {what} may take {allowed:.1f} s and had taken {took:.1f} s "
            f"(last seen: {progress.doing}, tick {progress.tick}{where}); give the request a larger budget if it needs it"
        )

    def told(self, now: float) -> Dict[str, Any]:
        """What the heartbeat tells about it; ``kind`` is empty and ``seconds`` 0 while no job runs."""
        progress = self._page.read()
        return {
            "doing": progress.doing,
            "jobs": progress.jobs,
            "kind": Kind(progress.kind).name if progress.kind else "",
            "seconds": now - progress.started if progress.kind else 0.0,
            "tick": progress.tick,
            "episodes": progress.episodes,
            "place": progress.place,
            "resident_bytes": processes.resident_bytes(self.child.pid),
        }

    def bury(self, now: float) -> Death:
        """It has ended: reap it, and say how it went."""
        doing, during, opened = self._page.read().doing, self.during, self.opened
        code = self.child.reap()
        self._let_go()
        return Death(code, during, doing, opened, now - self._started, self.relay.tail())

    def close(self) -> None:
        """End it now."""
        self.child.end()
        self._let_go()

    def _let_go(self) -> None:
        self.relay.close()
        self._page.close()
