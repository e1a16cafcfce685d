"""The keeper: the worker's parent process. It says "alive" to the broker and owns the host; it holds no simulator and does no job.

One thread, one poll loop over: the control socket, signals, the lifeline of its own parent, the host's death and the host's output.
A host that dies is reported at once and started again with back-off; one that is over the budget of its job is ended; TERM and INT
drain (the host finishes its job, then GOODBYE), a second one does not wait. Times are seconds of ``time.monotonic``.
"""

from __future__ import annotations

import logging
import math
import os
import time
from typing import Any, Dict, List, NamedTuple

import zmq

from b2d_zmq import codec, protocol
from b2d_zmq.errors import B2DError, ErrorCode
from b2d_zmq.protocol import Header, Kind, Message
from b2d_zmq.version import VERSION
from b2d_zmq.wakeup import Wakeup

from .backoff import Backoff
from .child import Child, describe_exit, python_command
from .handover import EXIT_CONFIGURATION, Handover
from .progress import Page, Progress

START_BUDGET = 300.0  # s for a backend to open: a simulator loads a map
SILENCE = 3.5  # heartbeats without an echo, then the broker counts as silent
CONTROL_BYTES = 1024 * 1024  # of one control message

log = logging.getLogger("worker.keeper")


class Plan(NamedTuple):
    """How this worker was asked to be."""

    name: str
    worker: str  # the id, NAME-xxxxxxxx
    endpoint: str
    backend: str
    options: Dict[str, Any]
    heartbeat: float = 1.0
    grace: float = 10.0
    message_bytes: int = protocol.MESSAGE_BYTES
    log_level: str = "info"
    lifeline: int = -1


class _Host(NamedTuple):
    """The present host."""

    child: Child
    page: Page
    name: str  # its identity, WORKER/hN
    started: float


class Keeper:
    """Keeps one host running until it is told to leave; ``run`` gives the process's exit code."""

    def __init__(self, plan: Plan, socket: zmq.Socket[bytes], wakeup: Wakeup) -> None:
        self._plan, self._socket, self._wakeup = plan, socket, wakeup
        self._host: _Host | None = None
        self._hosts = 0  # started so far
        self._next_start = self._next_beat = 0.0
        self._give_up: float | None = None  # while draining: when the grace is over
        self._announced = False
        self._heard: float | None = time.monotonic()  # when the broker was last heard; None: it is silent, and that was said
        self._over_budget = ""
        self._backoff = Backoff()

    def run(self) -> int:
        """Serve until drained (0), or until the host says that its configuration is wrong (78)."""
        while True:
            code = self._act(time.monotonic())
            if code is None:
                events = self._wait(time.monotonic())
                code = self._react(events, time.monotonic())
            if code is not None:
                return code

    def close(self) -> None:
        """End the host, if there is one; what a crash of the keeper itself needs as well."""
        if self._host is not None:
            self._host.child.kill()
            self._host.child.reap()
            self._host.page.close()
            self._host = None

    def _react(self, events: Dict[Any, int], now: float) -> int | None:
        """Take in what came; an exit code when that is the end."""
        if self._plan.lifeline in events:
            return self._leave("what started it is gone")
        for _ in self._wakeup.read():
            self._drain(now)
        if events.get(self._socket, 0) & zmq.POLLIN:
            self._receive(now)
        host = self._host
        if host is not None and host.child.output in events:
            host.child.read_output()
        if host is not None and host.child.death in events:
            return self._bury(host, now)
        return None

    def _act(self, now: float) -> int | None:
        """Do what is due at this moment; an exit code when there is nothing left to do."""
        if self._give_up is not None and (self._host is None or now >= self._give_up):
            return self._leave("drained" if self._host is None else "told to leave; the running job was cut off")
        if self._host is None and self._give_up is None and now >= self._next_start:
            self._launch(now)
        self._check_budget(now)
        if not self._announced:
            self._announced = self._send(Kind.READY, self._introduction())
        if now >= self._next_beat:
            self._next_beat = now + self._plan.heartbeat
            self._beat(now)
        return None

    def _wait(self, now: float) -> Dict[Any, int]:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN if self._announced else zmq.POLLIN | zmq.POLLOUT)
        fds = [self._wakeup.fd, self._plan.lifeline]
        until = [self._next_beat]
        if self._host is not None:
            child = self._host.child
            fds += [child.death, child.output if child.output_open else -1]
        elif self._give_up is None:
            until.append(self._next_start)
        if self._give_up is not None:
            until.append(self._give_up)
        for fd in fds:
            if fd >= 0:
                poller.register(fd, zmq.POLLIN)
        return dict(poller.poll(max(0, math.ceil((min(until) - now) * 1000.0))))

    def _launch(self, now: float) -> None:
        plan = self._plan
        self._hosts += 1
        self._over_budget = ""
        name, page = f"{plan.worker}/h{self._hosts}", Page.create()
        page.write(Progress(0, 0, now, now + START_BUDGET, 0, "opening the backend"))
        told = (plan.worker, name, plan.endpoint, plan.backend, plan.options, plan.message_bytes, plan.log_level, os.getpid(), page.fd)
        child = Child(python_command("worker.host:main", [Handover(*told).to_json(), "{death}"]), [page.fd])
        self._host = _Host(child, page, name, now)
        log.info("host %s started, pid %d", name, child.pid)

    def _bury(self, host: _Host, now: float) -> int | None:
        """The host is dead: reap it, tell the broker, and plan the next start; an exit code when there must not be one."""
        progress, names = host.page.read(), self._names()
        code = host.child.reap()
        host.page.close()
        self._host = None
        if self._give_up is not None:
            return None
        if code == EXIT_CONFIGURATION:
            log.error("worker %s: the configuration is wrong, as said above", self._plan.worker)
            return self._leave("its configuration is wrong", EXIT_CONFIGURATION)
        during = f"during {Kind(progress.kind).name}" if progress.kind else f"while {progress.doing}"
        reason = self._over_budget or f"host {host.name} died ({describe_exit(code)}) {during}"
        lost = ErrorCode.BUDGET_EXCEEDED if self._over_budget else ErrorCode.WORKER_LOST
        self._send(Kind.LOST, {**names, "reason": reason, "code": int(lost), "log": host.child.tail()})
        delay = self._backoff.after(now - host.started)
        self._next_start = now + delay
        log.warning("%s; another starts in %.1f s", reason, delay)
        return None

    def _check_budget(self, now: float) -> None:
        host = self._host
        if host is None or self._over_budget:
            return
        progress = host.page.read()
        if not progress.deadline or now < progress.deadline:
            return
        what = Kind(progress.kind).name if progress.kind else "opening the backend"
        allowed, took = progress.deadline - progress.started, now - progress.started
        self._over_budget = (
            f"host {host.name} was ended: {what} may take {allowed:.1f} s and had taken {took:.1f} s "
            f"(last seen: {progress.doing}, tick {progress.tick}); give the request a larger budget if it needs it"
        )
        host.child.kill()

    def _drain(self, now: float) -> None:
        """The first signal lets the running job finish; the second does not."""
        if self._give_up is not None:
            self._give_up = now
            return
        self._give_up = now + self._plan.grace
        log.info("worker %s drains; %.0f s for the running job", self._plan.worker, self._plan.grace)
        if self._host is not None:
            self._host.child.terminate()

    def _leave(self, reason: str, code: int = 0) -> int:
        self.close()
        self._send(Kind.GOODBYE, {"worker": self._plan.worker, "reason": reason})
        log.info("worker %s left: %s", self._plan.worker, reason)
        return code

    def _receive(self, now: float) -> None:
        try:
            kind = protocol.unpack(self._socket.recv_multipart(zmq.NOBLOCK), CONTROL_BYTES).header.kind
        except B2DError as error:
            log.warning("worker %s dropped a message that it cannot read: %s", self._plan.worker, error)
            return
        if self._heard is None:
            log.info("worker %s hears the broker at %s again", self._plan.worker, self._plan.endpoint)
        self._heard = now
        if kind is Kind.WHO:
            self._send(Kind.READY, self._introduction())
        elif kind is not Kind.HEARTBEAT:
            log.warning("worker %s dropped a %s, which no keeper can use", self._plan.worker, kind.name)

    def _beat(self, now: float) -> None:
        if self._announced:
            self._send(Kind.HEARTBEAT, {**self._names(), "progress": self._progress(now)})
        # at least a second: with quick heartbeats a broker that is busy for a moment is not away
        if self._heard is not None and now - self._heard > max(SILENCE * self._plan.heartbeat, 1.0):
            self._heard = None
            log.warning("worker %s does not hear a broker at %s; it goes on trying", self._plan.worker, self._plan.endpoint)

    def _progress(self, now: float) -> Dict[str, Any]:
        """What the heartbeat tells about the host; ``kind`` is empty and ``seconds`` 0 while no job runs."""
        if self._host is None:
            return {"hosts": self._hosts, "doing": "waiting to start a host"}
        progress = self._host.page.read()
        return {
            "hosts": self._hosts,
            "doing": progress.doing,
            "jobs": progress.jobs,
            "kind": Kind(progress.kind).name if progress.kind else "",
            "seconds": now - progress.started if progress.kind else 0.0,
            "tick": progress.tick,
            "resident_bytes": self._host.child.resident_bytes(),
        }

    def _introduction(self) -> Dict[str, Any]:
        plan = self._plan
        return {**self._names(), "heartbeat": plan.heartbeat, "name": plan.name, "pid": os.getpid(), "version": VERSION}

    def _names(self) -> Dict[str, str]:
        return {"worker": self._plan.worker, "host": self._host.name if self._host is not None else ""}

    def _send(self, kind: Kind, body: Dict[str, Any]) -> bool:
        frames: List[Any] = protocol.pack(Message(Header(kind), codec.encode(body)), CONTROL_BYTES)
        try:
            self._socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            log.debug("no broker to send %s to", kind.name)  # a broker that comes later asks WHO
            return False
        return True
