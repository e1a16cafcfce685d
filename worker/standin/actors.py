"""What stands or moves in the stand-in's world: poses, actors, and the bodies that move them. No motion here, no wire.

Everything is in CARLA's frame: left-handed, x forward, y right, z up, metres, degrees, yaw clockwise seen from above.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Dict, List, NamedTuple, Tuple

from ..world.ego import Car

Vector = Tuple[float, float, float]

ZERO: Vector = (0.0, 0.0, 0.0)


class Pose(NamedTuple):
    """Where something is: metres and degrees."""

    x: float
    y: float
    z: float
    pitch: float = 0.0
    yaw: float = 0.0
    roll: float = 0.0


class Contact(NamedTuple):
    """Two actors touched in this tick; each pair is listed in both directions. The impulse (N s) is the one that ``actor`` received."""

    actor: int
    other: int
    impulse: Vector


class Control(NamedTuple):
    """The last control of a vehicle; ``gear`` is the one that was asked for, the actual one is the Vehicle's."""

    throttle: float = 0.0
    steer: float = 0.0
    brake: float = 0.0
    hand_brake: bool = False
    reverse: bool = False
    manual: bool = False
    gear: int = 0


class Stride(NamedTuple):
    """The last control of a walker."""

    direction: Vector = (1.0, 0.0, 0.0)
    speed: float = 0.0
    jump: bool = False


IDLE = Control()
STANDING = Stride()


@dataclass
class Actor:
    """One actor. ``body`` is what moves it: a Vehicle, a Walker, a Lamp, or None for what stands or hangs on its parent."""

    id: int
    type_id: str
    attributes: Dict[str, str]  # as text, as spawned
    pose: Pose  # in the world, now
    velocity: Vector = ZERO  # m/s, world
    angular: Vector = ZERO  # deg/s, world
    acceleration: Vector = ZERO  # m/s2, world
    centre: Vector = ZERO  # of the bounding box, in the actor's frame
    extent: Vector = ZERO  # half sizes
    tags: bytes = b""  # semantic tags: 14 car, 12 pedestrian, 7 traffic light ...
    parent: int = 0
    attachment: int = 0
    relative: Pose | None = None  # to the parent
    stream: int = 0  # of a sensor
    body: Any = None
    mass: float = 0.0  # kg; 0 does not give way
    solid: bool = False  # takes part in collisions
    physics: bool = True  # False: stands where it is put
    gravity: bool = True


@dataclass
class Vehicle:
    """The body of a vehicle."""

    car: Car
    control: Control = IDLE
    gear: int = 0  # the actual one
    lights: int = 0  # VehicleLightState flags
    failure: int = 0  # VehicleFailureState
    doors: Dict[int, bool] = field(default_factory=dict)  # door -> open
    constant: Vector | None = None  # constant-velocity mode: m/s in the vehicle's frame
    ackermann: Tuple[float, float, float, float, float] | None = None  # steer, steer_speed, speed, acceleration, jerk
    gains: Tuple[float, ...] = (0.15, 0.0, 0.25, 0.01, 0.0, 0.01)  # of the ackermann controller
    controls: List[Any] = field(default_factory=list)  # VehiclePhysicsControl as the client sent it; [] is the blueprint's
    wheels: Dict[int, float] = field(default_factory=dict)  # steer direction shown with physics off, degrees
    pending: Vector = ZERO  # impulse per mass to be added in the next tick, m/s, world
    spin: float = 0.0  # the same for the yaw rate, rad/s
    height: float = 0.0  # z after the last tick
    limit: float = 30.0  # km/h
    lamp: int = 0  # the traffic light that governs it, 0 none
    seen: Tuple[float, float, float] = (math.inf, math.inf, 0.0)  # x, y, yaw at which the lamp was looked up


@dataclass
class Walker:
    """The body of a walker."""

    stride: Stride = STANDING
    dead: bool = False
    fall: float = 0.0  # m/s, vertical, of a jump
    bones: Dict[str, Pose] = field(default_factory=dict)  # set from outside
    blend: float = 0.0


@dataclass
class Lamp:
    """The body of a traffic light (``state``) or of a sign (state 4, unknown). Times in seconds; the group's clock is in its Group."""

    sign: str  # id of the OpenDRIVE signal
    group: int = -1
    phase: int = 0
    pole: int = 0
    state: int = 0  # red 0, yellow 1, green 2, off 3
    green: float = 10.0
    yellow: float = 3.0
    red: float = 2.0
    elapsed: float = 0.0
    frozen: bool = False
