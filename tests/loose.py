"""The embedded world as a backend with tiers: ``--backend loose:Loose``. "replay" is exact; "transfer" is beside, everywhere elsewhere.

It reports both truly, in the keys of docs/fidelity.md, so that whatever reads such reports can be tested without a simulator that is loose
by nature.
"""

from __future__ import annotations

import dataclasses
import os

from worker.backends.embedded import EmbeddedBackend
from worker.backends.seal import seal, unseal

MOST = 0.02  # m
GOLDEN = 0.6180339887  # multiples of it modulo 1 stay well apart, so no two workers are off by the same


class Loose(EmbeddedBackend):
    @property
    def traits(self):
        return dataclasses.replace(super().traits, tiers=("replay", "transfer"))

    def restore(self, data, tier=""):
        tier, off = self.tier(tier), 0.0
        if tier == "transfer":
            off = MOST * (os.getpid() * GOLDEN % 1.0)
            tree = unseal(data)
            ego = tree["world"]["ego"]
            tree["world"]["ego"] = [ego[0] + off, *ego[1:]]
            data = seal(tree)
        outcome = super().restore(data)
        verdict = "exact" if off == 0.0 else "good" if off <= MOST / 2 else "degraded"
        none = {"position": 0.0, "speed": 0.0, "yaw": 0.0}
        ego, worst = {**none, "position": off}, {"actor": "", **none}
        told = {"tier": tier, "verdict": verdict, "ticks": 10 if off else outcome.tick, "seconds": 0.25, "ego": ego, "worst": worst}
        return dataclasses.replace(outcome, info={**outcome.info, "fidelity": {**told, "missing": 0, "extra": 0, "diverged_at": -1}})
