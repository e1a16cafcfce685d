"""The roads of a town's layout: pieces of corridors, the legs of crossing roads, and the ways through every node.

Traffic can go on wherever a road meets a node: along the corridor, over into another one, across, and round the corner where a car can.
Roads that lead nowhere end in a turning place; where traffic has one way only, a junction and a road that leads back to the start follow.
Rule: every junction that this makes is linked on both sides, lane by lane.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Dict, List, Set, Tuple

import numpy as np

from ..world.layout import Arm, junction_arms
from ..world.road import Junction
from .corridor import BROKEN, KINDS, NONE, SOLID, TOWN_KINDS, YELLOW_BROKEN, Corridor, Span, box_of
from .curves import bend, beside, measured, shifted, turning_place, way_back
from .network import APART, Layout, Link, Node, inside, near
from .opendrive import END, JUNCTION, ROAD, START, Connection, Crossroads, Join, Piece, Section, Strip
from .opendrive_plan import Curve
from .ports import LEG_LANE, Mouth, Port, facing, join, leg_port, nearest, port_of

KMH = 3.6
LEG = 70.0  # metres of crossing road
LEG_WALK = 2.0  # metres
SHORTEST_LEG, SHORTEST_PIECE, SHORTEST_PART = 20.0, 2.0, 6.0  # metres
TURNING_SPEED, RETURN_SPEED = 20.0, 50.0  # km/h
THIN = 4  # of so many samples of a curve one is looked at where it may come upon something
STRAIGHT_ON, ABOUT = math.radians(35.0), math.radians(150.0)
STUB = (20.0, 10.0)  # metres before the end of a road of one way: a junction, and behind it the stub


@dataclass(eq=False)
class Crossing:
    """A node as it is laid."""

    node: Node
    junction: Crossroads
    ports: List[Port] = field(default_factory=list)


class Works:
    """All roads of a town while they are being laid."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.pieces: List[Piece] = []
        self.legs: List[Curve] = []
        self._last = 0
        self._ends: Dict[Tuple[int, str], Port] = {}  # of corridors of one way
        layout.nodes += [node for index in layout.order for node in _stubs(layout, index)]
        self.crossings = [Crossing(node, Crossroads(self._id())) for node in layout.nodes]
        for index in layout.order:
            self._corridor(layout.corridors[index])
        for crossing in self.crossings:
            for index, junction in crossing.node.junctions:
                for arm in junction_arms(layout.corridors[index].road, junction):
                    self._leg(crossing, layout.corridors[index], junction, arm)
        for index in layout.order:
            self._way_back(layout.corridors[index])
        for crossing in list(self.crossings):
            self._connect(crossing)
        self._hide_islands()

    def _id(self) -> int:
        """A new id. Roads and junctions share them, since a road's successor may be either."""
        self._last += 1
        return self._last

    def _corridor(self, corridor: Corridor) -> None:
        """Lay the pieces of a corridor, with their ports."""
        own = [crossing for crossing in self.crossings if corridor.index in crossing.node.spans]
        own.sort(key=lambda crossing: crossing.node.spans[corridor.index])
        for kept in self.layout.kept[corridor.index]:
            at, before = kept[0], None
            for crossing in own:
                a, b = crossing.node.spans[corridor.index]
                if b > kept[0] and a < kept[1]:
                    self._piece(corridor, (at, a), before, crossing)
                    at, before = max(at, b), crossing
            self._piece(corridor, (at, kept[1]), before, None)

    def _piece(self, corridor: Corridor, span: Span, before: Crossing | None, behind: Crossing | None) -> None:
        """Lay a stretch of a corridor: a road of its own wherever other lanes are there than before."""
        if span[1] - span[0] < SHORTEST_PIECE:
            return
        limit, kind = corridor.road.speed_limit * KMH, TOWN_KINDS[corridor.road.town_kind]
        parts = _parts(span, _gone(self.layout, corridor, span))
        if before is None and behind is None and len(parts) == 1:  # a lane that is linked to nothing kills the client's traffic manager
            (a, b), gone = parts[0]
            parts = [((a, (a + b) / 2.0), gone), (((a + b) / 2.0, b), gone)]
        laid: List[Piece] = []
        for number, (part, gone) in enumerate(parts):
            around = [parts[k][1] if 0 <= k < len(parts) else set() for k in (number - 1, number + 1)]
            sections = [corridor.section(0.0, gone, *around)]
            piece = Piece(self._id(), corridor.curve(part), sections, corridor.centre, limit=limit, kind=kind, owner=corridor.index)
            if laid:
                laid[-1].behind, piece.before = Join(ROAD, piece.id, START), Join(ROAD, laid[-1].id, END)
            laid.append(piece)
        self.pieces += laid
        self._attach(port_of(corridor, laid[0], START, span[0], parts[0][1]), before)
        self._attach(port_of(corridor, laid[-1], END, span[1], parts[-1][1]), behind)

    def _hide_islands(self) -> None:
        """Hide lanes that nothing leads to or from: the client's traffic manager dies of them."""
        linked = {(each.incoming, lane) for crossing in self.crossings for each in crossing.junction.connections for lane, _ in each.lanes}
        for piece in self.pieces:
            ends = ((piece.before, [strip.before for strip in piece.strips]), (piece.behind, [strip.behind for strip in piece.strips]))
            for join_, others in ends:
                if join_ and join_.kind == ROAD:
                    for strip, other in zip(piece.strips, others):
                        if other is not None:
                            linked |= {(piece.id, strip.id), (join_.id, other)}
        for piece in self.pieces:
            alone = [strip for strip in piece.strips if strip.kind == "driving" and (piece.id, strip.id) not in linked]
            if alone:
                strips = tuple(strip._replace(kind="none", mark=NONE) if strip in alone else strip for strip in piece.strips)
                piece.sections[0] = piece.sections[0]._replace(strips=strips)

    def _attach(self, port: Port, crossing: Crossing | None) -> None:
        """Give a port to its node; one at a dead end gets a turning place, if there is room."""
        if crossing is None:
            if port.entries and port.exits:
                self._turn_round(port)
            elif port.entries or port.exits:
                self._ends[port.corridor, port.contact] = port
            return
        join(port, Join(JUNCTION, crossing.junction.id), set())
        crossing.ports.append(port)

    def _turn_round(self, port: Port) -> None:
        pairs = list(zip(port.entries, port.exits))
        curves = [turning_place(entry.place, exit_.place) for entry, exit_ in pairs]
        if not curves or any(self._taken(curve, port.corridor) for curve in curves):
            return
        crossing = Crossing(Node({}), Crossroads(self._id()))
        self._attach(port, crossing)
        self.crossings.append(crossing)
        for (entry, exit_), curve in zip(pairs, curves):
            self._way(crossing, (port, entry), (port, exit_), curve, TURNING_SPEED)

    def _way_back(self, corridor: Corridor) -> None:
        """Lead traffic of one way from the end of its road back to the start, on whichever side there is room."""
        first, last = self._ends.get((corridor.index, START)), self._ends.get((corridor.index, END))
        if first is None or last is None:
            return
        lanes = {mouth.lane for mouth in first.exits} & {mouth.lane for mouth in last.entries}
        offsets = [corridor.lanes[id_].offset for id_ in lanes]
        for side in (1.0, -1.0):
            curve = way_back(corridor, (first.s, last.s), side)
            if curve is None or not lanes:
                continue
            edges = [shifted(curve, d) for d in {min(offsets), 0.0, max(offsets)}]
            if not any(self._taken(edge, corridor.index) for edge in edges):
                strips = corridor.section(0.0, set(corridor.driving) - lanes).strips
                section = Section(0.0, tuple(strip for strip in strips if strip.id in corridor.driving))
                piece = Piece(self._id(), curve, [section], corridor.centre, limit=RETURN_SPEED, kind=last.piece.kind, owner=corridor.index)
                piece.before, piece.behind = Join(ROAD, last.piece.id, END), Join(ROAD, first.piece.id, START)
                join(last, Join(ROAD, piece.id, START), lanes)
                join(first, Join(ROAD, piece.id, END), lanes)
                self.pieces.append(piece)
                self.legs += edges
                return

    def _taken(self, curve: Curve, index: int) -> bool:
        """Whether a curve comes upon any road but the corridor it belongs to."""
        return bool(self._upon(curve.x[::THIN], curve.y[::THIN], index).any())

    def _upon(self, x: Any, y: Any, but: int = -1) -> Any:
        taken = np.zeros(len(x), bool)
        box = box_of(x, y)
        for corridor in self.layout.corridors:
            kept = self.layout.kept[corridor.index]
            if corridor.index == but or not kept or not near(corridor.bounds, box):
                continue
            s, d = corridor.road.project(x, y)
            offsets = np.array([lane.offset for lane in corridor.driving.values()])
            taken |= inside(s, kept) & (np.abs(d[:, None] - offsets).min(axis=1) < APART + 1.0)
        for leg in self.legs:
            if near(box_of(leg.x, leg.y), box):
                gap = (x[:, None] - leg.x) ** 2 + (y[:, None] - leg.y) ** 2
                taken |= gap.min(axis=1) < (LEG_LANE + APART) ** 2
        return taken

    def _leg(self, crossing: Crossing, corridor: Corridor, junction: Junction, arm: Arm) -> None:
        """Lay one arm of the crossing road, as far as it is free."""
        if not any(port.corridor == corridor.index for port in crossing.ports):
            return
        s = np.arange(arm.start, arm.start + LEG + 0.1, 2.0)
        points = arm.line.points(s, 0.0)
        x, y, yaw = points[:, 0], points[:, 1], np.full(len(s), float(arm.line.yaw[0]))
        z = np.full(len(s), corridor.place((junction.enter + junction.leave) / 2.0)[2])
        taken = self._upon(x, y)
        count = int(np.argmax(taken)) if taken.any() else len(s)
        if count < SHORTEST_LEG / 2.0:
            return
        curve = measured(x[:count], y[:count], z[:count], yaw[:count])
        piece = Piece(self._id(), curve, [_leg_section(corridor)], limit=corridor.road.speed_limit * KMH)
        piece.kind, piece.owner = TOWN_KINDS[corridor.road.town_kind], corridor.index
        self.pieces.append(piece)
        self.legs.append(curve)
        self._attach(leg_port(piece, START), crossing)
        end = leg_port(piece, END)
        around = turning_place(end.entries[0].place, end.exits[0].place)
        self.legs.remove(curve)
        if not self._taken(around, -1):
            self._turn_round(end)
        self.legs.append(curve)

    def _connect(self, crossing: Crossing) -> None:
        """All ways through a node."""
        done: Set[Tuple[int, int]] = set()
        for index in crossing.node.spans:
            self._through(crossing, self.layout.corridors[index], done)
        for link in crossing.node.links:
            self._over(crossing, link, done)
        if crossing.node.junctions:
            for a in crossing.ports:
                for b in crossing.ports:
                    if a is not b and (id(a), id(b)) not in done:
                        self._turns(crossing, a, b)

    def _through(self, crossing: Crossing, corridor: Corridor, done: Set[Tuple[int, int]]) -> None:
        """The corridor's own way through, with all lanes that are there on both sides: a road for each way.

        With one road for both, the client has every lane before it lead into it twice, and its traffic manager dies of that.
        """
        ports = {port.contact: port for port in crossing.ports if port.corridor == corridor.index}
        if len(ports) < 2:
            return
        for a, b in ((ports[END], ports[START]), (ports[START], ports[END])):
            there = {mouth.lane: mouth for mouth in a.entries if mouth.lane in {other.lane for other in b.exits}}
            if not there:
                continue
            onward = a.contact == END
            curve = corridor.curve((a.s, b.s)) if onward else beside(corridor, (a.s, b.s), 0.0, 0.0)
            innermost = min(there, key=abs)
            lane = corridor.lanes[innermost]
            inner = (lane.offset if onward else -lane.offset) - lane.width / 2.0
            strips = tuple(Strip(-k, "driving", there[id_].width, NONE, id_, id_) for k, id_ in enumerate(sorted(there, key=abs), 1))
            strips = tuple(strip._replace(mark=BROKEN) if strip is not strips[-1] else strip for strip in strips)
            piece = Piece(self._id(), curve, [Section(0.0, strips)], inner, crossing.junction.id, limit=a.piece.limit, kind=a.piece.kind)
            piece.before, piece.behind, piece.owner = Join(ROAD, a.piece.id, a.contact), Join(ROAD, b.piece.id, b.contact), corridor.index
            self.pieces.append(piece)
            pairs = tuple((id_, -k) for k, id_ in enumerate(sorted(there, key=abs), 1))
            crossing.junction.connections.append(Connection(a.piece.id, piece.id, START, pairs))
        done |= {(id(ports[START]), id(ports[END])), (id(ports[END]), id(ports[START]))}

    def _over(self, crossing: Crossing, link: Link, done: Set[Tuple[int, int]]) -> None:
        """The ways from a corridor into its host, or out of it, and back where traffic goes both ways."""
        corridor = self.layout.corridors[link.corridor]
        mine = START if link.leaving else END
        theirs = END if (link.way > 0) == link.leaving else START
        span = crossing.node.spans[link.corridor]
        own = next(
            (p for p in crossing.ports if (p.corridor, p.contact) == (link.corridor, mine) and span[0] - 1 < p.s < span[1] + 1), None
        )
        host = next((p for p in crossing.ports if (p.corridor, p.contact) == (link.host, theirs)), None)
        if own is None or host is None:
            return
        for entries, exits in ((host.entries, own.exits), (own.entries, host.exits)):
            inward = exits is own.exits
            for mouth in exits if inward else entries:
                offset = corridor.lanes[mouth.lane].offset
                other = nearest(corridor, entries if inward else exits, offset)
                if other is None:
                    continue
                found, s, d = other
                if inward:
                    self._way(
                        crossing, (host, found), (own, mouth), beside(corridor, (s, own.s), d, offset), corridor.road.speed_limit * KMH
                    )
                else:
                    self._way(
                        crossing, (own, mouth), (host, found), beside(corridor, (own.s, s), offset, d), corridor.road.speed_limit * KMH
                    )
        done |= {(id(own), id(host)), (id(host), id(own))}

    def _turns(self, crossing: Crossing, a: Port, b: Port) -> None:
        """The ways from one road into another, straight on or round the corner."""
        if not a.entries or not b.exits:
            return
        turn = math.remainder(b.exits[0].place[3] - a.entries[0].place[3], math.tau)
        if abs(turn) > ABOUT:
            return
        if abs(turn) < STRAIGHT_ON:
            pairs = facing(a.entries, b.exits)
        else:
            outer = -1 if turn > 0.0 else 0
            pairs = [(a.entries[outer], b.exits[outer])]
        limit = max(TURNING_SPEED, min(a.piece.limit, 50.0 - 20.0 * abs(turn)))
        for entry, exit_ in pairs:
            curve = bend(entry.place, exit_.place)
            if curve is not None:
                self._way(crossing, (a, entry), (b, exit_), curve, limit)

    def _way(self, crossing: Crossing, source: Tuple[Port, Mouth], target: Tuple[Port, Mouth], curve: Curve, limit: float) -> None:
        """A connecting road of one lane."""
        (a, entry), (b, exit_) = source, target
        width = min(entry.width, exit_.width)
        section = Section(0.0, (Strip(-1, "driving", width, NONE, entry.lane, exit_.lane),))
        piece = Piece(self._id(), curve, [section], -width / 2.0, crossing.junction.id, limit=limit, kind=a.piece.kind)
        piece.owner = a.piece.owner
        piece.before, piece.behind = Join(ROAD, a.piece.id, a.contact), Join(ROAD, b.piece.id, b.contact)
        self.pieces.append(piece)
        crossing.junction.connections.append(Connection(a.piece.id, piece.id, START, ((entry.lane, -1),)))


def _stubs(layout: Layout, index: int) -> List[Node]:
    """Where a road of one way ends: a junction to pass through, so that whoever looks for the next junction finds one."""
    corridor, spans = layout.corridors[index], layout.kept[index]
    if not spans or any(lane.direction < 0 for lane in corridor.driving.values()):
        return []
    end = spans[-1][1]
    free = end - corridor.road.length > 2.0 * STUB[0] and abs(end - corridor.ends[1]) < 2.0
    return [Node({index: (end - STUB[0], end - STUB[1])})] if free else []


def _gone(layout: Layout, corridor: Corridor, span: Span) -> Dict[int, List[Span]]:
    """Where each lane of a piece is hidden, with some metres around; short openings are closed."""
    s = np.arange(span[0], span[1] + 0.1, 2.0)
    found: Dict[int, List[Span]] = {}
    for id_ in corridor.lanes:
        runs: List[Span] = []
        for at in s[layout.hidden(corridor.index, id_, s)].tolist():
            if runs and at - runs[-1][1] < 15.0:
                runs[-1] = (runs[-1][0], at + 3.0)
            else:
                runs.append((at - 3.0, at + 3.0))
        if runs:
            found[id_] = [(a if a > span[0] + 6.0 else span[0] - 1.0, b if b < span[1] - 6.0 else span[1] + 1.0) for a, b in runs]
    return found


def _parts(span: Span, gone: Dict[int, List[Span]]) -> List[Tuple[Span, Set[int]]]:
    """A stretch cut wherever a lane is hidden or comes back, and the lanes that are hidden in each part.

    These become roads, not lane sections: the client leads a lane into the section behind it whether they are linked or not, and its
    traffic manager dies where that is no driving lane or where a section is short.
    """
    cuts = [span[0]]
    for edge in sorted(edge for runs in gone.values() for run in runs for edge in run):
        if edge - cuts[-1] > SHORTEST_PART and span[1] - edge > SHORTEST_PART:
            cuts.append(edge)
    parts = zip(cuts, [*cuts[1:], span[1]])
    return [((a, b), {id_ for id_, runs in gone.items() if any(p < b - 0.1 and a + 0.1 < q for p, q in runs)}) for a, b in parts]


def _leg_section(corridor: Corridor) -> Section:
    kind = KINDS["sidewalk" if corridor.road.town_kind == "urban" else "shoulder"]
    left = (Strip(2, kind, LEG_WALK), Strip(1, "driving", LEG_LANE, SOLID))
    right = (Strip(-1, "driving", LEG_LANE, SOLID), Strip(-2, kind, LEG_WALK))
    return Section(0.0, left + right, YELLOW_BROKEN)
