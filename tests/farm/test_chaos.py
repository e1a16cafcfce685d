"""Real farms under kills: trainers drive episodes, groups and snapshots while whatever they stand on is killed or stopped.

Each call is compared with an undisturbed world: no step may be lost, none done twice, no episode end otherwise than it would have.
``B2D_KILLS`` and ``B2D_CHAOS_SEED`` say how many strikes and which: 20, `make test` has 200 on its default Python, `make chaos` 2,000.
"""

from __future__ import annotations

import os
import sys

import pytest
from chaosfarm import ChaosFarm
from chaosmonkey import LEASE_TTL, Monkey

KILLS = int(os.environ.get("B2D_KILLS", "20"))
SEED = int(os.environ.get("B2D_CHAOS_SEED", str(int.from_bytes(os.urandom(4), "little"))))
SECONDS_A_KILL = 1.5


@pytest.mark.timeout(120 + KILLS * SECONDS_A_KILL)
def test_nothing_is_lost_whoever_is_killed(leaves_nothing, tmp_path, record_property):
    with ChaosFarm(tmp_path, 8, lease_ttl=LEASE_TTL) as farm, Monkey(farm, KILLS, SEED) as monkey:
        ended = monkey.run(60 + KILLS * SECONDS_A_KILL)
        record_property("chaos", monkey.told())
        sys.stdout.write(f"B2D_CHAOS_SEED={SEED} B2D_KILLS={KILLS}: {monkey.told()}\n")
        assert not monkey.wrong, "\n".join(monkey.wrong)
        assert ended and monkey.struck == KILLS
        assert all(told["exact"] == told["resumed"] for told in monkey.finished)
