"""The digest of an episode's state on CARLA: 16 hex digits, equal where states are equal to 1 cm, a tenth of a degree and 0.05 m/s.

Actors count in the order of the cast and lights in the order of their OpenDRIVE ids, never by actor id: ids differ between servers.
What is quantised may fall on two sides of a step, so different digests alone do not say by how much; ``fidelity`` does.
"""

from __future__ import annotations

import hashlib
from typing import Any, Sequence

import numpy as np

from b2d_zmq import codec

from .moment import PLACE, ROTATION, VELOCITY, Moment

EVERY = 10  # ticks between two digests that the action log keeps

_CENTIMETRE, _TENTH, _SLOW = 100.0, 10.0, 20.0  # steps per metre, degree and m/s
_ROUND = 3600  # tenths of a degree


def digest(told: Any, moment: Moment, shown: Any, turn: Any) -> str:
    """The digest of ``told`` (plain values: task, scenario, tick), of the actors, and of what the lights show and whose turn it is."""
    hashed = hashlib.blake2b(codec.encode(told)[0], digest_size=8)
    motion = np.where(moment.alive[:, None], moment.motion, 0.0).astype(np.float64)
    hashed.update(np.rint(motion[:, PLACE] * _CENTIMETRE).astype("<i8").tobytes())
    hashed.update((np.rint(motion[:, ROTATION] * _TENTH).astype("<i8") % _ROUND).tobytes())
    hashed.update(np.rint(motion[:, VELOCITY] * _SLOW).astype("<i8").tobytes())
    for array in (moment.alive, shown, turn):
        hashed.update(np.ascontiguousarray(array, "|u1").tobytes())
    return hashed.hexdigest()


def diverged(kept: Sequence[str], seen: Sequence[str]) -> int:
    """The first tick at which two rolling logs (one digest every EVERY ticks, the first at tick 0) differ; -1 where they do not."""
    for index, (one, other) in enumerate(zip(kept, seen)):
        if one != other:
            return index * EVERY
    return -1
