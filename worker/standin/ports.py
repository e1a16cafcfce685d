"""The ends of roads at nodes, lane by lane: where traffic enters a node and leaves it.

Rule: a mouth's place has the heading of its traffic, whichever way the road's reference line runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import List, NamedTuple, Sequence, Set, Tuple

import numpy as np

from .corridor import Corridor
from .curves import Place
from .opendrive import END, START, Join, Piece

LEG_LANE = 3.5  # metres


class Mouth(NamedTuple):
    """The end of a lane at a node; the place has the heading of its traffic."""

    lane: int
    place: Place
    width: float


@dataclass(eq=False)
class Port:
    """The end of a road at a node. Mouths are ordered from the middle of the road outwards."""

    piece: Piece
    contact: str
    entries: List[Mouth]  # traffic into the node
    exits: List[Mouth]
    corridor: int = -1  # -1: a leg; its piece knows whose
    s: float = 0.0  # on the corridor

    @property
    def heading(self) -> float:
        """Radians: the way into the node."""
        return self.entries[0].place[3] if self.entries else self.exits[0].place[3] + math.pi


def join(port: Port, join: Join, lanes: Set[int] | None = None) -> None:
    """Join a road's end to what follows; ``lanes``: only these go on there. (A link to a lane that is not there kills the client.)"""
    piece = port.piece
    at = 0 if port.contact == START else -1
    strips = piece.sections[at].strips
    if lanes is not None:
        loose = [strip._replace(before=None) if port.contact == START else strip._replace(behind=None) for strip in strips]
        strips = tuple(strip if strip.id in lanes else other for strip, other in zip(strips, loose))
    piece.sections[at] = piece.sections[at]._replace(strips=strips)
    if port.contact == START:
        piece.before = join
    else:
        piece.behind = join


def port_of(corridor: Corridor, piece: Piece, contact: str, s: float, gone: Set[int]) -> Port:
    """The port at one end of a corridor's piece."""
    port = Port(piece, contact, [], [], corridor.index, s)
    for id_, lane in sorted(corridor.driving.items(), key=lambda item: abs(item[0])):
        if id_ in gone:
            continue
        x, y, z, yaw = corridor.place(s, lane.offset)
        mouth = Mouth(id_, (x, y, z, yaw if lane.direction > 0 else yaw + math.pi), lane.width)
        into = (lane.direction > 0) == (contact == END)
        (port.entries if into else port.exits).append(mouth)
    return port


def leg_port(piece: Piece, contact: str) -> Port:
    """The port at one end of a leg, which runs outwards: lane 1 leads to the junction."""
    s, half = (0.0 if contact == START else piece.curve.length), LEG_LANE / 2.0
    x, y, z, yaw = piece.curve.at(s, -half)
    inward = Mouth(1, (x, y, z, yaw + math.pi), LEG_LANE)
    outward = Mouth(-1, piece.curve.at(s, half), LEG_LANE)
    entries, exits = ([inward], [outward]) if contact == START else ([outward], [inward])
    return Port(piece, contact, entries, exits)


def nearest(corridor: Corridor, mouths: Sequence[Mouth], offset: float) -> Tuple[Mouth, float, float] | None:
    """The mouth that lies on a lane of a corridor, with its s and d there."""
    found = None
    for mouth in mouths:
        s, d = corridor.road.project(np.array([mouth.place[0]]), np.array([mouth.place[1]]))
        off = abs(float(d[0]) - offset)
        if off < 1.2 and (found is None or off < abs(found[2] - offset)):
            found = mouth, float(s[0]), float(d[0])
    return found


def facing(entries: Sequence[Mouth], exits: Sequence[Mouth]) -> List[Tuple[Mouth, Mouth]]:
    """Lanes that lie in one line: each exit with the entry that is least aside of it."""
    pairs = []
    for exit_ in exits:
        aside = {}
        for entry in entries:
            x, y, _, yaw = entry.place
            aside[entry] = abs((exit_.place[1] - y) * math.cos(yaw) - (exit_.place[0] - x) * math.sin(yaw))
        entry = min(aside, key=lambda mouth: aside[mouth])
        if aside[entry] < 3.5:
            pairs.append((entry, exit_))
    return pairs
