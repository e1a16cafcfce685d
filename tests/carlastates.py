"""A state of an episode on CARLA, made up: for whoever tests its snapshot."""

from __future__ import annotations

import numpy as np

from worker import routes
from worker.backends.carla.moment import Lamps, moment
from worker.backends.carla.snapshot import Role, State
from worker.settings import Settings

ATTRIBUTES = {
    "role_name": "autopilot",
    "color": "12,34,56",
    "number_of_wheels": "4",
    "generation": "2",
    "base_type": "car",
    "has_lights": "true",
}


def state(actors=3, ticks=25, lead_in=11, lamps=4):
    stream = np.random.RandomState(1)

    def now():
        return moment([stream.uniform(-9e3, 9e3, 12) for _ in range(actors)], [stream.uniform(0, 1, 7) for _ in range(actors)])

    return State(
        server="0.9.16",
        map="Town12",
        opendrive="0" * 32,
        dt=0.05,
        settings=Settings.parse(3, {}, routes.read(routes.DEFAULT_FILE)),
        roles=tuple(
            Role("ego" if not n else f"traffic/{n}", "vehicle.lincoln.mkz_2020", ATTRIBUTES, "vehicle", bool(n)) for n in range(actors)
        ),
        lead_in=tuple(now() for _ in range(lead_in)),
        beams=np.zeros(actors, np.uint32),
        lamp_ids=tuple(str(n) for n in range(lamps)),
        lamps=Lamps(
            np.full(lamps, 2, np.uint8),
            np.ones(lamps, bool),
            np.ones(lamps, np.float32),
            np.ones((lamps, 3), np.float32),
            np.zeros(lamps, bool),
        ),
        weather=np.zeros(14, np.float32),
        log=stream.uniform(0, 1, (ticks, 3)).astype(np.float32),
        digests=tuple(f"{n:016x}" for n in range(ticks // 10 + 1)),
        origin=(("transfer", 7),),
        told=(("vehicle_percentage_speed_difference", "traffic/1", (0.5,)),),
        episode={"task": [1, 2.0, "x"], "crowd": np.zeros((3, 40))},
        digest="f" * 16,
    )
