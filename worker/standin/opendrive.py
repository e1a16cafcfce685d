"""Roads and junctions as plain values, and their OpenDRIVE text. Where they lie and how they are linked is decided elsewhere.

Lane ids are OpenDRIVE's: negative to the right of lane 0, which traffic there follows in the direction of the reference line.
Rule: the same values give the same text, byte for byte.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Iterable, List, NamedTuple, Sequence, Tuple
from xml.sax.saxutils import quoteattr

from .opendrive_plan import Curve, plan, rises

LATITUDE, LONGITUDE = 42.0, 2.0  # degrees, of x = y = 0
ROAD, JUNCTION = "road", "junction"
START, END = "start", "end"


class Join(NamedTuple):
    """What a road's start or end is joined to; ``contact`` is the other road's end."""

    kind: str
    id: int
    contact: str = ""


class Mark(NamedTuple):
    """A painted line at a lane's outer edge."""

    type: str = "none"
    color: str = "white"
    change: str = "none"  # who may cross it: "none", "both"


class Strip(NamedTuple):
    """One lane of one section; ``before`` and ``behind`` are the lanes it goes on as, None where it ends."""

    id: int
    kind: str
    width: float
    mark: Mark = Mark()
    before: int | None = None
    behind: int | None = None


class Section(NamedTuple):
    """Lanes from s on, by id, highest first, without lane 0; ``middle`` is lane 0's own mark."""

    s: float
    strips: Tuple[Strip, ...]
    middle: Mark = Mark()


class Sign(NamedTuple):
    """A signal: a light, a stop or a yield sign. ``lanes`` (lowest, highest id) are those it is for."""

    id: str
    type: str
    name: str
    s: float
    t: float  # metres to the left
    way: str  # "+" for traffic along the road, "-" against it
    lanes: Tuple[int, int]
    dynamic: bool = False
    turn: float = 0.0  # radians, to the left


@dataclass
class Piece:
    """One OpenDRIVE road. ``centre`` is the d (metres to the right of the curve) of lane 0; ``owner`` the corridor that it belongs to."""

    id: int
    curve: Curve
    sections: List[Section]
    centre: float = 0.0
    junction: int = -1
    before: Join | None = None
    behind: Join | None = None
    limit: float = 50.0  # km/h
    kind: str = "town"
    owner: int = -1
    signs: List[Sign] = field(default_factory=list)

    @property
    def strips(self) -> Tuple[Strip, ...]:
        """The lanes at the start."""
        return self.sections[0].strips

    def middles(self) -> List[Tuple[int, float]]:
        """The id and the middle's d of each driving lane at the start."""
        found = []
        for side in (1, -1):
            edge = self.centre
            for strip in sorted((strip for strip in self.strips if strip.id * side > 0), key=lambda strip: abs(strip.id)):
                if strip.kind == "driving":
                    found.append((strip.id, edge - side * strip.width / 2.0))
                edge -= side * strip.width
        return found


class Connection(NamedTuple):
    """A way into a junction: from a road's lanes to those of a connecting road."""

    incoming: int
    connecting: int
    contact: str
    lanes: Tuple[Tuple[int, int], ...]


@dataclass
class Crossroads:
    """One OpenDRIVE junction; ``controllers`` are ids of those that rule it, in their order."""

    id: int
    connections: List[Connection] = field(default_factory=list)
    controllers: List[int] = field(default_factory=list)


class Controller(NamedTuple):
    """One phase of a junction's lights: the ids of the signals that are green together."""

    id: int
    signs: Tuple[str, ...]


def text(name: str, pieces: Iterable[Piece], junctions: Iterable[Crossroads] = (), controllers: Iterable[Controller] = ()) -> str:
    """The whole OpenDRIVE text."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<OpenDRIVE>", *_header(name)]
    for piece in pieces:
        lines += _road(piece)
    for controller in controllers:
        lines.append(f'<controller name="phase{controller.id}" id="{controller.id}" sequence="0">')
        lines += [f'<control signalId="{sign}" type="0"/>' for sign in controller.signs]
        lines.append("</controller>")
    for junction in junctions:
        lines += _junction(junction)
    lines.append("</OpenDRIVE>")
    return "\n".join(lines) + "\n"


def _header(name: str) -> List[str]:
    place = f"+proj=tmerc +lat_0={LATITUDE} +lon_0={LONGITUDE} +k=1 +x_0=0 +y_0=0 +datum=WGS84 +units=m +no_defs"
    return [
        f'<header revMajor="1" revMinor="4" name={quoteattr(name)} version="1" north="0" south="0" east="0" west="0">',
        f"<geoReference><![CDATA[{place}]]></geoReference>",
        "</header>",
    ]


def _n(value: float, digits: int = 4) -> str:
    """A number without needless noughts."""
    written = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return "0" if written == "-0" else written


def _road(piece: Piece) -> List[str]:
    stretches = plan(piece.curve)
    length = sum(stretch.length for stretch in stretches)
    scale = length / piece.curve.length  # the samples' s to the cubics'
    lines = [f'<road name="" length="{_n(length, 6)}" id="{piece.id}" junction="{piece.junction}">']
    joins = [("predecessor", piece.before), ("successor", piece.behind)]
    lines.append("<link>" + "".join(_join(tag, join) for tag, join in joins if join) + "</link>")
    lines.append(f'<type s="0" type="{piece.kind}"><speed max="{_n(piece.limit)}" unit="km/h"/></type>')
    lines.append("<planView>")
    for g in stretches:
        place = f's="{_n(g.s, 6)}" x="{_n(g.x)}" y="{_n(g.y)}" hdg="{_n(g.heading, 6)}" length="{_n(g.length, 6)}"'
        lines.append(f"<geometry {place}>{_shape(g.u, g.v)}</geometry>")
    lines.append("</planView><elevationProfile>")
    for rise in rises(piece.curve):
        a, b, c, d = (_n(value, digits) for value, digits in zip(rise.coefficients, (3, 5, 7, 9)))
        lines.append(f'<elevation s="{_n(rise.s * scale)}" a="{a}" b="{b}" c="{c}" d="{d}"/>')
    lines.append(f'</elevationProfile><lateralProfile/><lanes><laneOffset s="0" a="{_n(-piece.centre)}" b="0" c="0" d="0"/>')
    for section in piece.sections:
        lines += _section(section, scale)
    lines.append("</lanes>")
    if piece.signs:
        lines += ["<signals>", *(_sign(sign, scale, length) for sign in piece.signs), "</signals>"]
    lines.append("</road>")
    return lines


def _join(tag: str, join: Join) -> str:
    contact = f' contactPoint="{join.contact}"' if join.contact else ""
    return f'<{tag} elementType="{join.kind}" elementId="{join.id}"{contact}/>'


def _shape(u: Sequence[float], v: Sequence[float]) -> str:
    if not u:
        return "<line/>"
    parts = "".join(f' {letter}U="{_n(a, 5)}" {letter}V="{_n(b, 5)}"' for letter, a, b in zip("abcd", u, v))
    return f'<paramPoly3{parts} pRange="normalized"/>'


def _section(section: Section, scale: float) -> List[str]:
    left = [strip for strip in section.strips if strip.id > 0]
    right = [strip for strip in section.strips if strip.id < 0]
    lines = [f'<laneSection s="{_n(section.s * scale)}">']
    if left:
        lines += ["<left>", *map(_strip, left), "</left>"]
    lines.append(f'<center><lane id="0" type="none" level="false">{_mark(section.middle)}</lane></center>')
    if right:
        lines += ["<right>", *map(_strip, right), "</right>"]
    lines.append("</laneSection>")
    return lines


def _strip(strip: Strip) -> str:
    links = [("predecessor", strip.before), ("successor", strip.behind)]
    link = "".join(f'<{tag} id="{other}"/>' for tag, other in links if other is not None)
    width = f'<width sOffset="0" a="{_n(strip.width)}" b="0" c="0" d="0"/>'
    return f'<lane id="{strip.id}" type="{strip.kind}" level="false"><link>{link}</link>{width}{_mark(strip.mark)}</lane>'


def _mark(mark: Mark) -> str:
    width = "0" if mark.type == "none" else "0.15"
    look = f'type="{mark.type}" material="standard" color="{mark.color}" width="{width}" laneChange="{mark.change}"'
    return f'<roadMark sOffset="0" {look}/>'


def _sign(sign: Sign, scale: float, length: float) -> str:
    s = min(max(sign.s * scale, 0.0), length)
    dynamic, height = ("yes", "4.5") if sign.dynamic else ("no", "2.0")
    turn = math.remainder(sign.turn, math.tau)
    where = f's="{_n(s)}" t="{_n(sign.t)}" zOffset="{height}" hOffset="{_n(turn)}" roll="0" pitch="0" orientation="{sign.way}"'
    what = f'id="{sign.id}" name="{sign.name}" dynamic="{dynamic}" country="OpenDRIVE" type="{sign.type}" subtype="-1" value="-1"'
    low, high = sign.lanes
    return f'<signal {what} {where} text="" height="1" width="0.5"><validity fromLane="{low}" toLane="{high}"/></signal>'


def _junction(junction: Crossroads) -> List[str]:
    lines = [f'<junction id="{junction.id}" name="junction{junction.id}">']
    for number, connection in enumerate(junction.connections):
        roads = f'incomingRoad="{connection.incoming}" connectingRoad="{connection.connecting}"'
        links = "".join(f'<laneLink from="{a}" to="{b}"/>' for a, b in connection.lanes)
        lines.append(f'<connection id="{number}" {roads} contactPoint="{connection.contact}">{links}</connection>')
    lines += [f'<controller id="{id_}" type="0" sequence="{n}"/>' for n, id_ in enumerate(junction.controllers)]
    lines.append("</junction>")
    return lines
