"""LocalFarm: a broker and N workers as child processes, for one machine; a context manager that leaves nothing behind.

Each child writes its stderr to a log file of its own. All of them hold the read end of one lifeline, so they leave also when this process
is killed. LocalFarm starts and ends; it does not restart a worker that left (a worker restarts its own simulator; supervisord, see
bin/supervisord.conf, restarts workers).
"""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
import weakref
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple, Type

from . import arguments
from .client import Client
from .errors import FarmError, NoBroker
from .lifeline import Lifeline

START_SECONDS = {"carla": (600.0, 60.0)}  # until all are ready, and more for each: CARLA servers start two at a time, in a minute or more
GRACE = 5.0  # s for a process to leave after TERM; a second TERM cuts its job off, and after LAST_GRACE more comes KILL
LAST_GRACE = 3.0
POLL = 0.05  # s between two looks at the broker's table
TAIL_LINES = 20


class LocalFarm:
    """A running farm: ``endpoint`` to connect to, ``pids`` of the workers' keepers, ``log_dir`` with one log per process.

    Starting waits until every worker is free and raises FarmError, with the tail of the log that says why, when one leaves or
    ``start_timeout`` seconds are over; nothing is left running then. ``routes`` is a Bench2Drive file (None: the one shipped),
    ``sensors`` a rig, ``heartbeat`` and ``lease_ttl`` seconds, ``endpoint`` where to listen (None: a free port on loopback),
    ``message_bytes`` the largest message (a Client of such a farm must be told the same), ``curve_dir`` a folder with the keys of broker,
    worker and client (without: ``$B2D_CURVE_DIR``, then no keys; environments and Clients of such a farm must be given one too).
    ``backend`` "carla" wants ``carla_root``, the folder with CarlaUE4.sh, or ``worker_options`` that say where a server is; these are
    given to each worker as they are, such as ["--gpu", "0"] (see b2d-worker --help). ``broker_command`` and ``worker_command`` replace
    the commands of this environment. ``on_progress(ready, total)`` is told of each worker that becomes ready, ``on_doing(worker, words)``
    of what a worker does until then.
    """

    def __init__(
        self,
        workers: int = 4,
        *,
        routes: str | os.PathLike[str] | None = None,
        sensors: str = "predecessor",
        heartbeat: float = 1.0,
        backend: str = "embedded",
        carla_root: str | os.PathLike[str] | None = None,
        worker_options: Sequence[str] = (),
        endpoint: str | None = None,
        lease_ttl: float = 30.0,
        message_bytes: int | None = None,
        curve_dir: str | os.PathLike[str] | None = None,
        log_dir: str | os.PathLike[str] | None = None,
        start_timeout: float | None = None,
        broker_command: Sequence[str] | None = None,
        worker_command: Sequence[str] | None = None,
        on_progress: Callable[[int, int], None] | None = None,
        on_doing: Callable[[str, str], None] | None = None,
    ) -> None:
        workers, (least, each) = arguments.whole("workers", workers), START_SECONDS.get(backend, (60.0, 1.0))
        patience = least + each * workers if start_timeout is None else arguments.seconds("start_timeout", start_timeout)
        deadline = time.monotonic() + patience
        broker = list(broker_command or [_command("b2d-broker")])
        worker = list(worker_command or [_command("b2d-worker")])
        self._curve_dir = curve_dir
        self._prepare(log_dir)
        try:
            size = _words(message_bytes=message_bytes, curve_dir=curve_dir)
            listening = _words(bind=endpoint or "tcp://127.0.0.1:*", lease_ttl=lease_ttl)
            self.endpoint = self._start_broker([*broker, *listening, *size], deadline)
            carla = _words(carla_root=carla_root, server_log_dir=self.log_dir if backend == "carla" else None)
            rest = [*_words(backend=backend, sensors=sensors, heartbeat=heartbeat, routes=routes), *carla, *size, *worker_options]
            for index in range(workers):
                self._start(f"w-{index}", [*worker, "--endpoint", self.endpoint, "--name", "w", "--index", str(index), *rest])
            self._await_free(deadline, on_progress, on_doing)
        except BaseException:
            self.close()
            raise

    def _prepare(self, log_dir: str | os.PathLike[str] | None) -> None:
        self._own_logs = log_dir is None
        self.log_dir = Path(tempfile.mkdtemp(prefix="b2d-farm-") if log_dir is None else log_dir).absolute()
        self.log_dir.mkdir(parents=True, exist_ok=True)
        self._lifeline = Lifeline()
        weakref.finalize(self, self._lifeline.close)  # a farm that is forgotten ends as one whose parent died
        self._broker: subprocess.Popen[bytes] | None = None
        self._workers: Dict[str, subprocess.Popen[bytes]] = {}

    @property
    def pids(self) -> Dict[str, int]:
        """Worker name -> process id of its keeper."""
        return {name: process.pid for name, process in self._workers.items()}

    @property
    def broker_pid(self) -> int:
        """Process id of the broker; 0 after close."""
        return self._broker.pid if self._broker is not None else 0

    def left(self) -> Dict[str, int]:
        """The processes that are gone, ``broker`` or a worker's name -> exit code (negative: the signal); empty while all run."""
        running = {**({} if self._broker is None else {"broker": self._broker}), **self._workers}
        codes = {name: process.poll() for name, process in running.items()}
        return {name: code for name, code in codes.items() if code is not None}

    def log(self, name: str) -> str:
        """The log so far of ``broker`` or of a worker such as ``w-0``."""
        return (self.log_dir / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        """End all processes, workers first: TERM, TERM once more after GRACE seconds, then KILL. Calling it again does nothing."""
        _end(list(self._workers.values()))
        if self._broker is not None:
            _end([self._broker])
            assert self._broker.stdout is not None
            self._broker.stdout.close()
        self._workers, self._broker = {}, None
        self._lifeline.close()
        if self._own_logs:
            shutil.rmtree(self.log_dir, ignore_errors=True)

    def __enter__(self) -> LocalFarm:
        return self

    def __exit__(self, kind: Type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _launch(self, name: str, command: Sequence[str], **streams: Any) -> subprocess.Popen[bytes]:
        with open(self.log_dir / f"{name}.log", "ab") as log:
            try:
                return subprocess.Popen(
                    [*command, "--lifeline", str(self._lifeline.fd)],
                    stdin=subprocess.DEVNULL,
                    stderr=log,
                    pass_fds=(self._lifeline.fd,),
                    start_new_session=True,  # ctrl-C in a terminal is for us: we end the farm in order
                    **{"stdout": log, **streams},
                )
            except OSError as error:
                raise FarmError(f"cannot start {command[0]}: {error}") from None

    def _start(self, name: str, command: Sequence[str]) -> None:
        self._workers[name] = self._launch(name, command)

    def _start_broker(self, command: Sequence[str], deadline: float) -> str:
        """Start the broker; the endpoint, which it says in its first line."""
        self._broker = self._launch("broker", command, stdout=subprocess.PIPE)
        assert self._broker.stdout is not None
        line, fd = b"", self._broker.stdout.fileno()
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
            more = os.read(fd, 1024) if ready else b""
            if not more:
                self._broker.poll()
                raise FarmError(self._told("broker", "the broker left" if ready else "the broker did not say in time where it listens"))
            line += more
        found = re.match(rb"listening on (\S+)\n", line)
        if found is None:
            raise FarmError(f"the broker's first line is {line[:200]!r}, wanted is 'listening on ENDPOINT'")
        return found.group(1).decode()

    def _await_free(
        self, deadline: float, on_progress: Callable[[int, int], None] | None, on_doing: Callable[[str, str], None] | None
    ) -> None:
        told, doing = -1, dict.fromkeys(self._workers, "")
        with Client(self.endpoint, label="LocalFarm", timeout=5.0, curve_dir=self._curve_dir) as client:
            while True:
                table = self._table(client)
                ready = sum(worker["state"] == "free" for worker in table)
                if ready != told and on_progress is not None:
                    on_progress(ready, len(self._workers))
                told = ready
                if on_doing is not None:
                    for name, words in _news(table, doing):
                        on_doing(name, words)
                if ready >= len(self._workers):
                    return
                self._check_alive()
                if time.monotonic() > deadline:
                    missing = ", ".join(self._missing(client))
                    raise FarmError(
                        self._told(missing.split(", ")[0], f"{ready} of {len(self._workers)} workers ready in time; not {missing}")
                    )
                time.sleep(POLL)

    def _table(self, client: Client) -> List[Dict[str, Any]]:
        try:
            workers: List[Dict[str, Any]] = client.status()["workers"]
        except NoBroker as error:
            raise FarmError(self._told("broker", f"the broker is not to be reached ({error})")) from None
        return [worker for worker in workers if worker["name"] in self._workers]

    def _missing(self, client: Client) -> List[str]:
        free = {worker["name"] for worker in self._table(client) if worker["state"] == "free"}
        return sorted(set(self._workers) - free)

    def _check_alive(self) -> None:
        for name, code in self.left().items():
            raise FarmError(self._told(name, f"{name} left with exit code {code}"))

    def _told(self, name: str, what: str) -> str:
        tail = "\n".join(self.log(name).splitlines()[-TAIL_LINES:])
        return f"the farm did not start: {what}. The end of {name}'s log:\n{tail}"


def _command(name: str) -> str:
    """The command of the environment that this Python is of."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise FarmError(
            f"the command {name} is not installed beside {sys.executable}, nor on the PATH; pip install b2d-zmq in this environment"
        )
    return found


def _words(**options: Any) -> List[str]:
    """Options of a command as its words, without those that are None."""
    given = {name: value for name, value in options.items() if value is not None}
    return [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def _news(table: Sequence[Mapping[str, Any]], doing: Dict[str, str]) -> List[Tuple[str, str]]:
    """The workers that start and do something else than ``doing`` says, with the new words; ``doing`` is brought up to date."""
    words = {worker["name"]: str((worker.get("progress") or {}).get("doing", "")) for worker in table if worker["state"] == "starting"}
    news = [(name, said) for name, said in words.items() if said and said != doing[name]]
    doing.update(news)
    return news


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """TERM to all, one grace for all, TERM again, KILL to the rest; every one is waited for."""
    for grace in (GRACE, LAST_GRACE):
        for process in processes:
            process.terminate()  # nothing, where it has left already
        deadline = time.monotonic() + grace
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
    for process in processes:
        process.kill()
        process.wait()
