"""The embedded world, that strikes at a chosen moment: ``--backend moments:Moments``.

``$MOMENT`` names a file. While it exists, the first host to come to what it says (JSON: ``method``, the ``count``-th call of it, ``when``:
"before" or "after" the work) takes it away and sends ``signal`` to each of ``victims``: "host", "keeper", or a pid.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal

from worker.backends.embedded import EmbeddedBackend


class Moments(EmbeddedBackend):
    def reset(self, seed, options):
        with self._moment("reset"):
            return super().reset(seed, options)

    def step(self, action, ticks=1):
        with self._moment("step"):
            return super().step(action, ticks)

    def snapshot(self):
        with self._moment("snapshot"):
            return super().snapshot()

    def restore(self, data, tier=""):
        with self._moment("restore"):
            return super().restore(data, tier)

    @contextlib.contextmanager
    def _moment(self, method):
        self._strike(method, "before")
        yield
        self._strike(method, "after")

    def _strike(self, method, when):
        path = os.environ.get("MOMENT", "")
        try:
            with open(path, encoding="utf-8") as file:
                plan = json.load(file)
            if (plan["method"], plan["when"]) != (method, when):
                return
            if plan["count"] > 1:
                plan["count"] -= 1
                set_moment(path, **plan)
                return
            os.unlink(path)
        except FileNotFoundError:
            return
        pids = {"host": os.getpid(), "keeper": os.getppid()}
        for victim in plan["victims"]:
            os.kill(pids.get(victim, victim), plan["signal"])
        if plan["signal"] == signal.SIGKILL and "keeper" in plan["victims"]:
            signal.pause()  # until the end comes from the kernel


def set_moment(path, **plan):
    """Have it come to pass; no host ever reads half of it."""
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        json.dump(plan, file)
    os.replace(f"{path}.new", path)
