"""One moment of a CARLA world as plain arrays: a row for each of the cast (the ego first), and the traffic lights near the route.

Plain data only: who reads it from a server is ``capture``, who puts it back is ``transfer``. Numbers are float32, as they travel on
CARLA's wire, so nothing is lost. CARLA's frame and units: metres, degrees, m/s, degrees/s; rotation is pitch, yaw, roll.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Sequence, Tuple

import numpy as np

MOTION, CONTROL = 12, 7  # columns
PLACE, ROTATION, VELOCITY, SPIN = slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 12)  # of the motion
YAW = 4
RED, YELLOW, GREEN = 0, 1, 2  # CARLA's numbers
TIME_OF = {GREEN: 0, YELLOW: 1, RED: 2}  # state -> column of ``Lamps.times``


class Moment(NamedTuple):
    """Where everybody is and how they move. A row that is not ``alive`` is zero: that actor is gone."""

    motion: Any  # float32 [N, 12]: location, rotation, velocity, angular velocity
    control: Any  # float32 [N, 7]: of a vehicle as VehicleControl has it; of a walker direction, speed, jump; else zero
    alive: Any  # bool [N]


class Lamps(NamedTuple):
    """Traffic lights, a row for each; which one a row is says its OpenDRIVE id elsewhere. A group's clock runs for one phase at a time."""

    state: Any  # uint8 [M]: red 0, yellow 1, green 2, off 3
    turn: Any  # bool [M]: the group's clock runs for this one
    left: Any  # float32 [M]: seconds until the clock changes the state; 0 for those whose turn it is not
    times: Any  # float32 [M, 3]: seconds of green, yellow and red
    frozen: Any  # bool [M]


def moment(rows: Sequence[Sequence[float] | None], controls: Sequence[Sequence[float]]) -> Moment:
    """A moment of these rows; None is an actor that is gone."""
    alive = np.array([row is not None for row in rows], np.bool_)
    motion, control = np.zeros((len(rows), MOTION), np.float32), np.zeros((len(rows), CONTROL), np.float32)
    for index, row in enumerate(rows):
        if row is not None:
            motion[index] = row
            control[index, : len(controls[index])] = controls[index]
    return Moment(motion, control, alive)


def aligned(found: Moment, keys: Sequence[str], wanted: Sequence[str]) -> Tuple[Moment, int]:
    """The rows of a moment in the order of other keys, and how many it has besides; a key that it has not is nobody alive."""
    rows = {key: row for row, key in enumerate(keys)}
    picked = np.array([rows.get(key, -1) for key in wanted])
    there = picked >= 0
    them = Moment(found.motion[picked], found.control[picked], found.alive[picked] & there)
    extra = sum(bool(found.alive[row]) for key, row in rows.items() if key not in set(wanted))
    return them, extra
