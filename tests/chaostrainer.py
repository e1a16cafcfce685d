"""A trainer of the chaos tests, as a process of its own: ``python chaostrainer.py ENDPOINT LABEL SEED CALLS``.

It does one script after another (chaosscript.py) and compares whatever comes of it with the undisturbed world. It tells on stdout, a JSON
line each: ``call`` before each call, its number; ``wrong`` where a call came to another end; ``done`` at the end, with what was resumed.
It ends, with a script done, when its stdin is closed.
"""

from __future__ import annotations

import json
import select
import sys
import traceback

import numpy as np
from chaosscript import Actor, script

from b2d_zmq import CarlaEnv, resume
from worker.backends.embedded import EmbeddedBackend

BUDGETS = {"reset": 10.0, "restore": 10.0, "snapshot": 3.0, "step": 3.0, "rollout": 5.0, "rollout_step": 0.1}
KILLS = 8  # of one job until it is Poisoned: a worker that was struck while it was free is a trap for whoever is given it next
THOUGHT = 0.02  # s that a trainer thinks between two calls, on average


class Trainer:
    def __init__(self, endpoint, label, seed, calls):
        self.seed, self.most, self.calls, self.scripts, self.resumed = seed, calls, 0, 0, []
        self.world = EmbeddedBackend(sensors="state")
        self.env = CarlaEnv(endpoint, label=label, wait=120.0, timeout=60.0, budgets=BUDGETS)
        self.thoughts = np.random.RandomState(seed)

    def run(self):
        while not self.told_to_stop(0.0):
            actor = Actor(self.env)
            for call in script(self.world, self.seed, self.most):
                self.tell(call=self.calls)
                self.calls += 1
                came = actor.act(call)
                if came != call.expected:
                    self.tell(wrong=f"call {self.calls} of seed {self.seed}, {call.name}: {came} instead of {call.expected}")
                    return 1
                self.told_to_stop(float(self.thoughts.uniform(0.0, 2 * THOUGHT)))  # or not: the script is done to its end
            self.resumed += actor.resumed
            self.scripts, self.seed = self.scripts + 1, self.seed + 1
        verdicts = [told["verdict"] for told in self.resumed]
        seconds = [round(float(told["seconds"]), 4) for told in self.resumed]
        self.tell(done=self.calls, scripts=self.scripts, exact=verdicts.count("exact"), resumed=len(verdicts), seconds=seconds)
        return 0

    @staticmethod
    def told_to_stop(seconds):
        return bool(select.select([sys.stdin], [], [], seconds)[0])

    @staticmethod
    def tell(**words):
        sys.stdout.write(json.dumps(words) + "\n")
        sys.stdout.flush()


def main():
    endpoint, label, seed, calls = sys.argv[1:]
    resume.KILLS = KILLS
    try:
        trainer = Trainer(endpoint, label, int(seed), int(calls))
        with trainer.env:
            code = trainer.run()
    except Exception:  # noqa: BLE001 - whatever it is, the test must hear of it
        Trainer.tell(wrong=traceback.format_exc())
        code = 1
    sys.exit(code)


if __name__ == "__main__":
    main()
