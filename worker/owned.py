"""The CARLA server of one worker: launched, watched, ended and replaced by the keeper. See ``server.py`` for what the keeper asks of it.

The binary runs directly under the keeper (no shell), in a group of its own, and dies with the keeper. Each start has a new block of ports.
"""

from __future__ import annotations

import logging
import math
import os
import secrets
import signal
from pathlib import Path
from typing import Any, Dict

from b2d_zmq.errors import FarmError, RequestError

from . import launch, processes
from .backoff import FAILED_STARTS, Quarantine
from .child import Child, describe_exit, tied
from .finder import Finder
from .locks import run_folder
from .output import LogFile
from .plan import ServerPlan
from .ports import Ports
from .progress import Progress
from .record import Record
from .server import Server
from .starts import Starts
from .wear import Wear

GRACE = 3.0  # s between TERM and KILL
RETRY = 1.0  # s after a start that this machine could not do just now

log = logging.getLogger("worker.server")


class OwnedServer(Server):
    """One server at a time, and what is needed for the next one."""

    def __init__(self, plan: ServerPlan, name: str) -> None:
        """Raises RequestError for what makes every start futile. Ends what an earlier worker of that name left behind."""
        launch.check_flags(plan.flags)
        folder = run_folder(plan.run_dir)
        self._plan, self._record = plan, Record(folder, name)
        self._record.sweep()
        self._log = LogFile(Path(plan.log_dir or folder).absolute() / f"carla-{self._record.name}.log", plan.log_bytes)
        self._ports, self._finder = Ports(folder), Finder(plan, Starts(folder))
        self._quarantine = Quarantine()
        self._child: Child | None = None
        self._drawing = launch.Drawing(False)
        self._wear = Wear(plan.limits)
        self._count = 0  # servers started so far
        self._began = 0.0
        self._retry = math.inf  # when to try again; inf: at once
        self._up = self._ending = False
        self._kill_at = math.inf
        self._why = self._said = self._worn = ""

    def ready(self, now: float) -> bool:
        """Start one as soon as there is a GPU, a place to start on it, and a block of ports."""
        if self._child is not None or now < self._retry < math.inf:
            return False
        self._retry = math.inf
        try:
            drawing = self._finder.find(now)
            if drawing is None:
                self._why = self._finder.why
                return False
            self._launch(drawing, now)
        except (RequestError, FarmError, OSError) as error:
            if isinstance(error, RequestError) and not self._count:  # later the machine has changed, a GPU has gone: that may pass
                raise
            self._finder.release()
            self._ports.release(now)
            self._why, self._retry = f"a server cannot be started now: {error}", now + RETRY
            if self._why != self._said:  # a disk that is full for a day is not told once a second
                self._said = self._why
                log.warning("%s; it is tried again every %.0f s", self._why, RETRY)
            return False
        return True

    def options(self) -> Dict[str, Any]:
        """Where the backend finds the server."""
        block = self._ports.block
        assert block is not None and self._child is not None
        words = f"the worker's own CARLA server, pid {self._child.pid}"
        ports = {"carla_host": "127.0.0.1", "carla_port": block.rpc, "tm_port": block.tm}
        return {**ports, "rendering": self._drawing.rendering, "server": words}

    def act(self, now: float) -> None:
        """Go on with an end that was begun; keep the log short; take in what was found about the GPUs."""
        self._finder.act(now)
        child = self._child
        if child is None:
            return
        self._log.rotate()
        if not self._ending:
            return
        if child.ended():
            log.info("server %d ended: %s", child.pid, describe_exit(self._bury(now)))
        elif now >= self._kill_at:
            log.warning("server %d did not end within %.0f s of TERM; it is killed", child.pid, GRACE)
            child.kill()
            self._kill_at = math.inf

    def wake(self) -> float:
        """The moment to kill, or to try again."""
        return min(self._kill_at, self._finder.wake(), self._retry)

    def died(self, now: float) -> str:
        """The server's unbidden end, once."""
        child = self._child
        if child is None or self._ending or not child.ended():
            return ""
        return f"the CARLA server died ({describe_exit(self._bury(now))})"

    def look(self, now: float, progress: Progress) -> str:
        """The host is open, so the server is up; between jobs, whether it is worn."""
        child = self._child
        if child is None or self._ending:
            return ""
        if not self._up:
            self._up = True
            self._quarantine.succeeded()
            log.info("server %d is up after %.1f s, map %s", child.pid, now - self._began, progress.place or "unknown")
            self._finder.look(now, [process.pid for process in processes.members(child.pid)])
        if not progress.kind and not self._worn:
            self._worn = self._wear.seen(progress.place, processes.resident_bytes(child.pid), progress.episodes)
        return self._worn

    def end(self, now: float, at_once: bool) -> None:
        """TERM and three seconds, or KILL."""
        self._finder.release()
        child = self._child
        if child is None or (self._ending and not at_once):
            return
        self._ending = True
        child.kill(signal.SIGKILL if at_once else signal.SIGTERM)
        self._kill_at = math.inf if at_once else now + GRACE

    @property
    def gone(self) -> bool:
        """Whether it was reaped."""
        return self._child is None

    def failed(self, now: float, opened: bool) -> float:
        """Nothing after a server that was up; long where none comes up."""
        aside = 0.0 if opened else self._quarantine.failed(now)
        self._why = f"put aside for {aside:.0f} s, because {FAILED_STARTS} starts failed; see {self._log.path}" if aside else ""
        if aside:
            log.error("the server is %s", self._why)
        return aside

    @property
    def doing(self) -> str:
        """Why there is no host."""
        return "ending the server" if self._child is not None else self._why

    def progress(self) -> Dict[str, Any]:
        """What people want to know of it."""
        told: Dict[str, Any] = {"starts": self._count, "log": str(self._log.path), "version": self._plan.root.version}
        child, block, gpu = self._child, self._ports.block, self._finder.gpu
        if child is None or block is None:
            return {"server": {**told, "state": "none", "pid": 0}}
        told.update(state="ending" if self._ending else "up" if self._up else "starting", pid=child.pid, port=block.rpc, tm_port=block.tm)
        told.update(gpu=gpu.words if gpu else "", gpu_seen=self._finder.seen, rendering="offscreen" if self._drawing.rendering else "null")
        told.update(resident_bytes=processes.resident_bytes(child.pid), worn=self._worn)
        return {"server": told}

    def tail(self) -> str:
        """The last lines that the present server, or the last one, printed."""
        return self._log.tail()

    def close(self) -> None:
        """End it now."""
        self._finder.release()
        if self._child is not None:
            self._child.end()
        self._ports.close()
        self._record.close()
        self._log.close()

    def _launch(self, drawing: launch.Drawing, now: float) -> None:
        plan, mark = self._plan, secrets.token_hex(8)
        block = self._ports.take(now)
        words = launch.command(str(plan.root.binary), block, drawing, plan.flags)
        self._log.begin(f"server {self._count + 1} of worker {self._record.name}: {' '.join(words)}")
        surroundings = launch.environment(os.environ, mark, self._finder.gpu is not None)
        self._child = Child(tied(words), self._log.fd, environment=surroundings)
        self._record.note(self._child.pid, mark)
        self._count += 1
        self._drawing, self._began, self._wear = drawing, now, Wear(plan.limits)
        self._up = self._ending = False
        self._kill_at, self._why, self._said, self._worn = math.inf, "", "", ""
        log.info("server %d started at port %d, traffic manager at %d; its log: %s", self._child.pid, block.rpc, block.tm, self._log.path)

    def _bury(self, now: float) -> int:
        """Reap it; its exit code."""
        child = self._child
        assert child is not None
        code = child.reap()
        self._record.clear()
        self._ports.release(now)
        self._finder.release()
        self._child, self._ending, self._kill_at = None, False, math.inf
        return code
