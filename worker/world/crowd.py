"""Everything but the ego's body that stands or moves: two packed matrices, one of floats and one of ints, a column per actor.

An actor's place is (p, q) in its frame: on the route's road (s, d), or on a crossing path (metres along it, metres to the right of it).
``S`` and ``D`` are its place on the route's road in either case. What never changes lies beside the matrices. Row 0 is the ego.
"""

from __future__ import annotations

import math
import random
from typing import Any, Dict, List, NamedTuple, Tuple

import numpy as np

from .actors import ActorKind, Actors

P, Q, V, ACCELERATION, SLIDE, GOAL, TIMER, S, D, DOOR = range(10)  # rows of the float matrix; SLIDE is dq/dt, GOAL the q it steers for
MODE, PATH, WAY, VISIBLE, CONTACT = range(5)  # rows of the int matrix; WAY is +1 or -1 along s

STILL, LANE, CROSS, WALK = range(4)  # modes: stands; follows a lane; follows a crossing path; walks sideways to its GOAL


class Look(NamedTuple):
    """Kind and size (metres) of an actor."""

    kind: ActorKind
    length: float
    width: float
    height: float


CAR = Look(ActorKind.CAR, 4.6, 1.9, 1.5)
VAN = Look(ActorKind.VAN, 5.4, 2.05, 2.2)
TRUCK = Look(ActorKind.TRUCK, 8.2, 2.5, 3.2)
EMERGENCY = Look(ActorKind.EMERGENCY, 6.0, 2.2, 2.6)
BICYCLE = Look(ActorKind.BICYCLE, 1.8, 0.6, 1.7)
WALKER = Look(ActorKind.WALKER, 0.5, 0.5, 1.75)
CONE = Look(ActorKind.CONE, 0.4, 0.4, 0.75)
BARRIER = Look(ActorKind.BARRIER, 0.5, 2.2, 1.2)
DEBRIS = Look(ActorKind.DEBRIS, 2.2, 1.6, 0.08)

_PAINTS = ((200, 30, 34), (36, 64, 150), (235, 235, 235), (24, 24, 28), (120, 124, 130), (40, 110, 70), (210, 170, 60), (90, 40, 50))
_FIXED = {
    ActorKind.EMERGENCY: (230, 230, 235),
    ActorKind.CONE: (240, 110, 20),
    ActorKind.BARRIER: (230, 80, 30),
    ActorKind.DEBRIS: (60, 52, 44),
}


class Member(NamedTuple):
    """One actor as it is cast: where it starts, and what stays."""

    look: Look
    mode: int
    p: float
    q: float
    v: float
    way: int
    path: int
    cruise: float  # the speed it wants, m/s
    turn: float  # radians added to its frame's heading
    visible: bool
    pause: float  # seconds out of sight before it comes again; negative: it never comes again
    heedless: bool  # heeds neither lights nor right of way
    blind: bool  # does not even see the ego
    lights: int  # Lights that are always on
    color: Tuple[int, int, int]


class Cast:
    """Collects the actors of a world before it starts."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.members: List[Member] = [Member(CAR, STILL, 0, 0, 0, 1, -1, 0, 0, True, -1, False, False, 0, (150, 20, 25))]

    def add(
        self,
        look: Look,
        mode: int,
        p: float,
        q: float,
        v: float = 0.0,
        *,
        way: int = 1,
        path: int = -1,
        cruise: float = 0.0,
        turn: float = 0.0,
        visible: bool = True,
        pause: float = -1.0,
        heedless: bool = False,
        blind: bool = False,
        lights: int = 0,
    ) -> int:
        """Put one actor on the stage and tell its row."""
        color = _FIXED.get(look.kind) or self.rng.choice(_PAINTS)
        self.members.append(Member(look, mode, p, q, v, way, path, cruise, turn, visible, pause, heedless, blind, int(lights), color))
        return len(self.members) - 1


class Crowd:
    """The cast as columns. ``f`` and ``i`` are all that a tick changes; the named columns are views into them."""

    def __init__(self, cast: Cast, ego_size: Tuple[float, float, float]) -> None:
        members = cast.members
        self.members = members
        self.f = np.zeros((10, len(members)))
        self.i = np.zeros((5, len(members)), np.int32)
        self._constants(members, ego_size)
        self.f[[P, S]] = [m.p for m in members]
        self.f[[Q, D, GOAL]] = [m.q for m in members]
        self.f[V] = [m.v for m in members]
        self.i[[MODE, PATH, WAY, VISIBLE]] = [[int(v) for v in row] for row in zip(*((m.mode, m.path, m.way, m.visible) for m in members))]
        self.p, self.q, self.v, self.acceleration, self.slide, self.goal, self.timer, self.s, self.d, self.door = self.f
        self.mode, self.path, self.way, self.visible, self.contact = self.i

    def _constants(self, members: List[Member], ego_size: Tuple[float, float, float]) -> None:
        sizes = [ego_size, *(m.look[1:] for m in members[1:])]
        self.kind = np.array([m.look.kind for m in members], np.int8)
        self.length, self.width, self.height = (np.array(column, float) for column in zip(*sizes))
        self.color = np.array([m.color for m in members], np.uint8)
        self.cruise = np.array([m.cruise for m in members], float)
        self.turn = np.array([m.turn for m in members], float)
        self.heedless = np.array([m.heedless for m in members])
        self.blind = np.array([m.blind for m in members])
        self.base_lights = np.array([m.lights for m in members], np.uint8)
        self.pause = np.array([m.pause for m in members], float)
        self.solid = self.kind != ActorKind.DEBRIS
        turned = [(abs(math.cos(m.turn)), abs(math.sin(m.turn))) for m in members]
        cos, sin = (np.array(column) for column in zip(*turned))
        self.half_s = 0.5 * (self.length * cos + self.width * sin)  # half the extent along and across the road, metres
        self.half_d = 0.5 * (self.length * sin + self.width * cos)

    def __len__(self) -> int:
        return len(self.members)

    def actors(self) -> Actors:
        """The table that pictures and collisions are made from; its places are filled at the end of each tick."""
        n = len(self)
        columns: Dict[str, Any] = {name: np.zeros(n) for name in ("x", "y", "z", "yaw")}
        return Actors(
            kind=self.kind,
            speed=self.v,
            length=self.length,
            width=self.width,
            height=self.height,
            color=self.color,
            lights=np.zeros(n, np.uint8),
            door=self.door,
            visible=np.zeros(n, bool),
            **columns,
        )
