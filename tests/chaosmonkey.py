"""The one that strikes: who is killed or stopped, when, and when a stopped one may go on. Drawn from a seed; it waits for nobody.

It spares an episode that was struck twice within two calls, so that each comes to its end; and its trainers bear more losses in one job
than the three after which it is Poisoned, which has tests of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

from b2d_zmq.errors import B2DError

TRAINER = str(Path(__file__).parent / "chaostrainer.py")
SHARES = {  # of all strikes, in percent
    "kill host": 32,
    "kill keeper": 20,
    "kill broker": 8,
    "kill client": 3,
    "stop keeper a moment": 6,
    "stop keeper until it is replaced": 6,
    "stop host a moment": 8,
    "stop host for good": 4,
    "stop both until they are replaced": 5,
    "stop broker a moment": 5,
    "stop client until its lease lapsed": 3,
}
MOMENT = (0.05, 0.5)  # s
REPLACED = (1.2, 3.0)  # s: at a heartbeat of 0.25 s a keeper is lost after 0.9
LAPSED = (4.5, 6.0)  # s: the leases of a chaos farm live 3 s (LEASE_TTL)
LEASE_TTL = 3.0
PACE = 0.1  # s between two strikes at the least
MOST_HITS = 2  # of one episode within two calls


class Act:
    """A trainer's process as the monkey sees it."""

    def __init__(self, endpoint, label, seed, calls, log):
        self.label, self.seed, self.call, self.done, self.wrong = label, seed, -1, None, []
        self.hits = []  # at which call its worker was struck
        command = [sys.executable, TRAINER, endpoint, label, str(seed), str(calls)]
        with open(log, "ab") as stderr:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True)
        os.set_blocking(self.process.stdout.fileno(), False)
        self._rest = b""

    def read(self):
        with contextlib.suppress(BlockingIOError):
            *lines, self._rest = (self._rest + (self.process.stdout.read() or b"")).split(b"\n")
            for line in lines:
                told = json.loads(line)
                self.call = told.get("call", self.call)
                self.wrong += [told["wrong"]] if "wrong" in told else []
                self.done = told if "done" in told else self.done

    @property
    def spared(self):
        return sum(call >= self.call - 1 for call in self.hits) >= MOST_HITS

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Monkey:
    """``strikes`` strikes at a farm (chaosfarm.py) and at ``trainers`` trainers of its own; ``counts`` says of which kind."""

    def __init__(self, farm, strikes, seed, trainers=3, calls=40):
        self.farm, self.strikes, self.rng, self.calls = farm, strikes, np.random.RandomState(seed % 2**32), calls
        self.counts, self.wrong, self.seed = Counter(), [], seed % 2**31
        self.finished = []  # what trainers said at their end
        self.began, self.seconds = 0, 0.0
        self._log = farm.folder / "trainers.log"
        self._client = farm.client(label="monkey", timeout=20.0)
        self.acts = [self._act(i) for i in range(trainers)]
        self._later = []  # (when, what to do then, whom it is about)
        self._deck = _deck(strikes)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for act in self.acts:
            act.end()
        self._client.close()

    def run(self, seconds):
        """All strikes, and then what the trainers had begun to its end, undisturbed; whether all this came to pass in time."""
        began, next_strike = time.monotonic(), 0.0
        deadline = began + seconds
        while self.struck < self.strikes and not self.wrong and time.monotonic() < deadline:
            self._listen(PACE / 4)
            now = time.monotonic()
            if now >= next_strike and all(act.call >= 0 for act in self.acts):
                next_strike = now + float(self.rng.uniform(PACE, 2 * PACE))
                self._strike(now)
        ended = self._finish(deadline)
        self.seconds = time.monotonic() - began
        return ended

    def told(self):
        """What was done and what came of it, in a line."""
        seconds = sorted(second for done in self.finished for second in done["seconds"])
        resumed, exact = (sum(done[name] for done in self.finished) for name in ("resumed", "exact"))
        calls, middle = sum(done["done"] for done in self.finished), seconds[len(seconds) // 2] if seconds else 0.0
        struck = ", ".join(f"{kind} {count}" for kind, count in sorted(self.counts.items()))
        took = f"{resumed} episodes resumed, {exact} exactly, in {middle:.2f} s (median) and {max(seconds, default=0.0):.2f} s (most)"
        return f"{self.struck} strikes in {self.seconds:.0f} s ({struck}); {calls} calls as undisturbed; {took}"

    @property
    def struck(self):
        return sum(self.counts.values())

    def _act(self, index):
        self.began += 1
        return Act(self.farm.endpoint, f"trainer {index}", (self.seed + 1000 * self.began) % 2**31, self.calls, self._log)

    def _finish(self, deadline):
        """Let all go on that were stopped, and wait for the trainers."""
        self._due(float("inf"))
        for act in self.acts:
            act.process.stdin.close()
        while time.monotonic() < deadline and not self.wrong and any(act.done is None for act in self.acts):
            self._listen(0.05)
        self.finished = [act.done for act in self.acts if act.done]
        return len(self.finished) == len(self.acts) and not self.wrong

    def _listen(self, seconds):
        select.select([act.process.stdout for act in self.acts if act.process.poll() is None], [], [], seconds)
        for act in self.acts:
            act.read()
            self.wrong += act.wrong
            if act.process.poll() is not None and act.done is None and not act.wrong:
                self.wrong.append(f"{act.label} left with {act.process.poll()}")
        self._due(time.monotonic())

    def _due(self, now):
        for entry in [entry for entry in self._later if entry[0] <= now]:
            self._later.remove(entry)
            with contextlib.suppress(ProcessLookupError):
                entry[1]()

    def _strike(self, now):
        """One of the strikes that are left, unless it cannot be done just now."""
        kind = self._deck[int(self.rng.randint(len(self._deck)))]
        do = self._broker if "broker" in kind else self._trainer if "client" in kind else self._worker
        if do(kind, now):
            self._deck.remove(kind)
            self.counts[kind] += 1

    def _broker(self, kind, now):
        if self._stopped("broker"):
            return False
        self._send("broker", kind, now, lambda number: self.farm.strike("broker", number))
        return True

    def _trainer(self, kind, now):
        i = int(self.rng.randint(len(self.acts)))
        act = self.acts[i]
        if self._stopped(act):
            return False
        if kind == "kill client":
            act.end()
            self.acts[i] = self._act(i)
        else:
            self._send(act, kind, now, act.process.send_signal)
        return True

    def _stopped(self, what):
        return any(one == what for _, _, one in self._later)

    def _worker(self, kind, now):
        """Strike one that is held, or one that is free; never one that is just starting, or the farm would do nothing else."""
        if self._stopped("broker"):
            return False
        try:
            table = {one["name"]: one for one in self._client.status()["workers"] if one["state"] in ("free", "leased")}
        except B2DError:
            return False
        holders = {name: [act for act in self.acts if act.label == one["label"]] for name, one in table.items()}
        names = sorted(name for name in table if not self._stopped(name) and not any(act.spared for act in holders[name]))
        if len(table) <= len(self.acts) or not names:
            return False
        held = [name for name in names if holders[name]]
        name = str(self.rng.choice(held if held and self.rng.uniform() < 0.8 else names))
        host = self.farm.host(name)
        if not host:
            return False
        for act in holders[name] or [act for act in self.acts if act.hits and act.hits[-1] >= act.call - 1]:
            act.hits.append(act.call)
        if "both" in kind:
            self._send(name, kind, now, lambda number: self._both(name, host, number))
        elif "keeper" in kind:
            self._send(name, kind, now, lambda number: self.farm.strike(name, number))
        else:
            self._send(name, kind, now, lambda number: os.kill(host, number))
        return True

    def _both(self, name, host, number):
        self.farm.strike(name, number)
        with contextlib.suppress(ProcessLookupError):
            os.kill(host, number)

    def _send(self, what, kind, now, send):
        with contextlib.suppress(ProcessLookupError):
            send(signal.SIGKILL if kind.startswith("kill") else signal.SIGSTOP)
        if kind.startswith("stop") and "good" not in kind:
            span = MOMENT if "moment" in kind else LAPSED if "lapsed" in kind else REPLACED
            self._later.append((now + float(self.rng.uniform(*span)), lambda: send(signal.SIGCONT), what))


def _deck(strikes):
    """So many kinds, in their shares."""
    kinds = list(SHARES)
    bounds = np.cumsum([SHARES[kind] for kind in kinds])
    return [kinds[int(np.searchsorted(bounds, (i + 0.5) * 100.0 / strikes))] for i in range(strikes)]
