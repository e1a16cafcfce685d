"""A backend that needs a server, for the tests of its ownership: ``--backend attached:Attached`` with a folder of ``fakecarla``.

Steps go to the server as lines. Seeds that make step FAULT_AT go wrong: see WISHES.
"""

from __future__ import annotations

import signal
import socket
import threading

from faulty import Counts

from worker.backends.base import SimulatorLost

WISHES = {2001: "die", 2002: "hang", 2004: "patience"}


class Attached(Counts):
    """A world that counts its ticks in step with a server."""

    def __init__(self, *, carla_host, carla_port, tm_port, rendering, server, **options):
        super().__init__(**options)
        self.told = {"host": carla_host, "port": carla_port, "tm_port": tm_port, "rendering": rendering, "server": server}
        self.wish = "tick"
        self.connection = self._connect(carla_host, carla_port)
        self.lines = self.connection.makefile("rw")
        self.server_pid = self.ask("hello")

    @property
    def place(self):
        return "Town00"

    def _connect(self, host, port):
        self.progress(f"waiting for CARLA's port {port}", 0)
        while True:
            try:
                return socket.create_connection((host, port), 1.0)
            except OSError:
                threading.Event().wait(0.02)

    def ask(self, words):
        self.connection.settimeout(1.0 if words == "patience" else None)
        self.lines.write(("hang" if words == "patience" else words) + "\n")
        self.lines.flush()
        try:
            answer = self.lines.readline()
        except socket.timeout:
            raise SimulatorLost("time-out of 1000ms while waiting for the simulator") from None
        if not answer:
            signal.pause()  # as CARLA's client does: it does not notice that nobody is there any more
        return int(answer)

    def reset(self, seed, options):
        self.wish = WISHES.get(seed, "tick")
        return super().reset(seed, options)

    def step(self, action, ticks=1):
        if self.wish == "tick":
            self.ask("tick")
        return super().step(action, ticks)

    def fault(self):
        if self.wish != "tick":
            self.ask(self.wish)

    def _outcome(self, reward):
        outcome = super()._outcome(reward)
        outcome.info.update(server_pid=self.server_pid, **self.told)
        return outcome
