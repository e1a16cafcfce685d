"""The keeper: the worker's parent process. It says "alive" to the broker and owns the host and the simulator's server; it does no job.

One thread, one poll loop over: the control socket, signals (the end of a child is one), the lifeline of its own parent, the host's words.
Host and server live and die together: when one ends, the other is ended, the broker is told at once, and both start again with back-off.
A host that is over the budget of its job is ended; TERM and INT drain (the host finishes its job, then GOODBYE), a second one does not
wait. Times are seconds of ``time.monotonic``.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import time
from typing import Any, Dict

import zmq

from b2d_zmq.errors import ErrorCode, FarmError, RequestError
from b2d_zmq.protocol import Kind
from b2d_zmq.version import VERSION
from b2d_zmq.wakeup import Wakeup

from .backoff import Backoff
from .briefing import EXIT_CONFIGURATION, EXIT_SIMULATOR, EXIT_WORN
from .child import describe_exit
from .control import Control
from .hosting import Death, Hosting
from .plan import Plan
from .server import Server

WATCH = 0.5  # s between two looks at what the host is at, however slow the heartbeats: a job begins without a word to the keeper
RETRY = 1.0  # s after a start that this machine could not do just now
LAST_WORDS = 1950  # characters of each log that are quoted; the broker passes on 4096

log = logging.getLogger("worker.keeper")


class Keeper:
    """Keeps one host, and the server that it needs, running until it is told to leave; ``run`` gives the process's exit code.

    ``wakeup`` must wake for SIGCHLD besides the signals that drain.
    """

    def __init__(self, plan: Plan, control: Control, wakeup: Wakeup, server: Server) -> None:
        self._plan, self._control, self._wakeup, self._server = plan, control, wakeup, server
        self._host: Hosting | None = None
        self._hosts = 0  # started so far
        self._next_start = self._next_beat = 0.0
        self._give_up: float | None = None  # while draining: when the grace is over
        self._announced = False
        self._fault = ""  # why the host was killed
        self._code = ErrorCode.WORKER_LOST
        self._worn = ""  # why both are to be replaced where an episode ends
        self._backoff = Backoff()

    def run(self) -> int:
        """Serve until drained (0), or until it is plain that the configuration is wrong (78)."""
        while True:
            try:
                code = self._act(time.monotonic())
                if code is None:
                    events = self._wait(time.monotonic())
                    code = self._react(events, time.monotonic())
            except RequestError as error:
                log.error("b2d-worker: %s", error)
                return self._leave(f"its configuration is wrong: {error}", EXIT_CONFIGURATION)
            if code is not None:
                return code

    def close(self) -> None:
        """End host and server, whatever they do; what a crash of the keeper itself needs as well. Calling it again does nothing."""
        if self._host is not None:
            self._host.close()
            self._host = None
        self._server.close()

    def _react(self, events: Dict[Any, int], now: float) -> int | None:
        """Take in what came; an exit code when that is the end."""
        if self._plan.lifeline in events:
            return self._leave("what started it is gone")
        for number in self._wakeup.read():
            if number != signal.SIGCHLD:
                self._drain(now)
        if events.get(self._control.socket, 0) & zmq.POLLIN and self._control.receive(now):
            self._control.send(Kind.READY, self._introduction())
        if self._host is not None and self._host.relay.fd in events:
            self._host.relay.read()
        return self._notice_ends(now)

    def _notice_ends(self, now: float) -> int | None:
        """The server's end first: it is the cause where both have ended."""
        host = self._host
        ended = host is not None and host.child.ended()  # looked at first: a server that took its host along was dead before it
        died = self._server.died(now)
        if host is None:
            return None
        if died:
            self._kill_host(f"{died} {host.during}")
        return self._bury(host, now) if ended or host.child.ended() else None

    def _act(self, now: float) -> int | None:
        """Do what is due at this moment; an exit code when there is nothing left to do."""
        self._server.act(now)
        over = self._host is None and self._server.gone
        if self._give_up is not None and (over or now >= self._give_up):
            return self._leave("drained" if over else "told to leave; the running job was cut off")
        if self._host is None and self._give_up is None and now >= self._next_start and self._server_ready(now):
            self._launch(now)
        if self._host is not None:
            self._look_after(self._host, now)
        if not self._announced:
            self._announced = self._control.send(Kind.READY, self._introduction())
        if now >= self._next_beat:
            self._next_beat = now + self._plan.heartbeat
            self._beat(now)
        return None

    def _server_ready(self, now: float) -> bool:
        try:
            return self._server.ready(now)
        except (FarmError, OSError) as error:
            log.warning("worker %s cannot start now: %s", self._plan.worker, error)
            self._next_start = now + RETRY
            return False

    def _wait(self, now: float) -> Dict[Any, int]:
        poller = zmq.Poller()
        poller.register(self._control.socket, zmq.POLLIN if self._announced else zmq.POLLIN | zmq.POLLOUT)
        fds = [self._wakeup.fd, self._plan.lifeline]
        until = [self._next_beat, self._server.wake()]
        if self._host is not None and not self._fault:
            until += [self._host.deadline, now + WATCH]
        if self._host is not None and self._host.relay.open:
            fds.append(self._host.relay.fd)
        if self._host is None and self._give_up is None and self._next_start > now:  # else the server is not ready yet, and wakes
            until.append(self._next_start)
        if self._give_up is not None:
            until.append(self._give_up)
        for fd in fds:
            if fd >= 0:
                poller.register(fd, zmq.POLLIN)
        return dict(poller.poll(max(0, math.ceil((min(until) - now) * 1000.0))))

    def _launch(self, now: float) -> None:
        self._hosts += 1
        self._fault, self._worn, self._code = "", "", ErrorCode.WORKER_LOST
        try:
            self._host = Hosting(self._plan, self._hosts, self._server.options(), now)
        except OSError as error:  # no process or file is to be had just now: so many may be allowed
            self._next_start = now + max(RETRY, self._backoff.after(0.0))
            log.warning("worker %s cannot start a host now: %s", self._plan.worker, error)
            self._server.end(now, at_once=True)

    def _look_after(self, host: Hosting, now: float) -> None:
        """Whether it is over its budget, and whether its server is worn."""
        overdue = "" if self._fault else host.overdue(now)
        if overdue:
            self._code = ErrorCode.BUDGET_EXCEEDED
            self._kill_host(overdue)
        elif host.opened and not self._worn:
            self._worn = self._server.look(now, host.progress())
            if self._worn:
                log.info("worker %s replaces its server where an episode ends: %s", self._plan.worker, self._worn)
                host.child.send(signal.SIGUSR1)

    def _kill_host(self, why: str) -> None:
        if self._host is not None and not self._fault:
            self._fault = why
            self._host.child.kill()

    def _bury(self, host: Hosting, now: float) -> int | None:
        """The host has ended: its server goes with it, the broker is told, and the next start is planned; an exit code if there is none."""
        names, death = self._names(), host.bury(now)
        self._host = None
        self._server.end(now, at_once=bool(self._fault) or death.code == EXIT_SIMULATOR)
        if self._give_up is not None:
            return None
        if death.code == EXIT_CONFIGURATION:
            log.error("worker %s: the configuration is wrong, as said above", self._plan.worker)
            return self._leave("its configuration is wrong", EXIT_CONFIGURATION)
        reason, delay = self._judge(host, death, now)
        code = ErrorCode.WORKER_LEFT if death.code == EXIT_WORN else self._code
        self._control.send(Kind.LOST, {**names, "reason": reason, "code": int(code), "log": self._last_words(death)})
        self._next_start = now + delay
        log.warning("%s; another starts in %.1f s", reason, delay)
        return None

    def _judge(self, host: Hosting, death: Death, now: float) -> tuple[str, float]:
        """In words why the host ended, and how long to wait before the next."""
        if death.code == EXIT_WORN:
            return f"the server of worker {self._plan.worker} was replaced where an episode ended: {self._worn}", 0.0
        reason = self._fault or f"host {host.name} died ({describe_exit(death.code)}) {death.during}"
        if death.code == EXIT_SIMULATOR and not self._fault:
            reason = f"the simulator of {host.name} was given up {death.during}: {death.doing}"
        return reason, max(self._backoff.after(death.lived), self._server.failed(now, death.opened))

    def _last_words(self, death: Death) -> str:
        theirs = self._server.tail()[-LAST_WORDS:]
        return f"{death.tail[-LAST_WORDS:]}\n--- the CARLA server's log:\n{theirs}" if theirs else death.tail

    def _drain(self, now: float) -> None:
        """The first signal lets the running job finish; the second does not."""
        if self._give_up is not None:
            self._give_up = now
            return
        self._give_up = now + self._plan.grace
        self._next_beat = now  # so that nobody is given this worker any more
        log.info("worker %s drains; %.0f s for the running job", self._plan.worker, self._plan.grace)
        if self._host is not None:
            self._host.child.terminate()
        else:
            self._server.end(now, at_once=False)

    def _leave(self, reason: str, code: int = 0) -> int:
        self.close()
        self._control.send(Kind.GOODBYE, {"worker": self._plan.worker, "reason": reason})
        log.info("worker %s left: %s", self._plan.worker, reason)
        return code

    def _beat(self, now: float) -> None:
        if self._announced:
            self._control.send(Kind.HEARTBEAT, {**self._names(), "progress": self._progress(now), "draining": self._give_up is not None})
        self._control.listen(now)

    def _progress(self, now: float) -> Dict[str, Any]:
        """What the heartbeat tells about host and server."""
        told = {"hosts": self._hosts, **self._server.progress()}
        if self._host is not None:
            return {**told, **self._host.told(now)}
        return {**told, "doing": self._server.doing or "waiting to start a host", "seconds": max(0.0, self._next_start - now)}

    def _introduction(self) -> Dict[str, Any]:
        plan, draining = self._plan, self._give_up is not None
        told = {"heartbeat": plan.heartbeat, "name": plan.name, "pid": os.getpid(), "version": VERSION}
        return {**self._names(), "draining": draining, **told}

    def _names(self) -> Dict[str, str]:
        return {"worker": self._plan.worker, "host": self._host.name if self._host is not None else ""}
