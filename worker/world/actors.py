"""The table of everything that stands or moves in the embedded world. Row 0 is the ego vehicle.

Columns are numpy arrays of one length, so that a tick is a few array operations whatever the number of actors.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any


class ActorKind(enum.IntEnum):
    """What an actor is: how it is drawn, what hitting it means, whether it can move."""

    CAR = 0
    VAN = 1
    TRUCK = 2
    EMERGENCY = 3
    BICYCLE = 4
    WALKER = 5
    CONE = 6
    BARRIER = 7  # construction barrier or warning sign
    DEBRIS = 8


class Lights(enum.IntFlag):
    """Which lights of a vehicle are on."""

    OFF = 0
    BRAKE = 1
    LEFT = 2
    RIGHT = 4
    HEAD = 8
    SIREN = 16
    REVERSE = 32
    HAZARD = 6  # left and right together


@dataclass
class Actors:
    """Columns, all of length N. Angles here are radians (yaw clockwise seen from above, as CARLA's), lengths metres."""

    kind: Any  # int8, an ActorKind
    x: Any  # float64, centre of the box on the ground
    y: Any
    z: Any  # height of the ground under it
    yaw: Any
    speed: Any  # m/s along yaw; negative in reverse
    length: Any
    width: Any
    height: Any
    color: Any  # uint8 [N, 3], RGB
    lights: Any  # uint8, Lights
    door: Any  # float64, 0 closed .. 1 open: the left door of a parked vehicle
    visible: Any  # bool: an actor that is not (yet) in the world is neither drawn nor hit

    def __len__(self) -> int:
        return len(self.kind)
