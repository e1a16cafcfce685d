"""The traffic lights and the stop and yield signs of a town: where they stand, whom they are for, and which lights are green together.

A light stands to the right of the lanes it is for, at their end, and its x axis runs across them, as CARLA's do; so does its trigger box.
The lights of a junction are one group of two phases: the road of the route, both ways, and the crossing road.
Rule: the id of a sign is that of its OpenDRIVE signal, by which a client finds the one from the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Dict, Iterable, List, NamedTuple, Sequence, Tuple

from .actors import Pose, Vector
from .junctions import Crossing
from .opendrive import END, Controller, Sign
from .ports import Port

BESIDE = 0.9  # metres between the outermost lane and a pole
BEFORE = 2.5  # metres between a stop line and the middle of the trigger box
DIGITS = 4  # of metres and degrees
REACH = 1.5  # metres from there to the box's edges
LIGHT, STOP, YIELD = "1000001", "206", "205"
ACTORS: Dict[str, str] = {STOP: "traffic.stop", YIELD: "traffic.yield"}


class LightPlace(NamedTuple):
    """One traffic light; the trigger box is in the light's own frame, whose x runs across the lanes it is for."""

    sign: str
    pose: Pose
    trigger_centre: Vector
    trigger_extent: Vector
    group: int
    phase: int
    pole: int


class StopPlace(NamedTuple):
    """One stop or yield sign; the trigger box as a light's."""

    sign: str
    type_id: str  # "traffic.stop" or "traffic.yield"
    pose: Pose
    trigger_centre: Vector
    trigger_extent: Vector


class StopLine(NamedTuple):
    """The middle of a light's stop line, the heading (radians) of those who wait there, and half their lanes' width."""

    x: float
    y: float
    yaw: float
    half_width: float
    sign: str


@dataclass
class Signals:
    """All of a town's."""

    lights: List[LightPlace] = field(default_factory=list)
    stops: List[StopPlace] = field(default_factory=list)
    lines: List[StopLine] = field(default_factory=list)
    controllers: List[Controller] = field(default_factory=list)


class _Post(NamedTuple):
    """What stands at a port: its pose, its trigger box, and the stop line's middle."""

    pose: Pose
    centre: Vector
    extent: Vector
    line: Tuple[float, float, float]  # x, y, yaw


def signals_of(crossings: Iterable[Crossing]) -> Signals:
    """Place the signals of all junctions, and put them on the roads they stand at."""
    signals = Signals()
    for crossing in crossings:
        control = _control(crossing)
        ports = [port for port in crossing.ports if port.entries]
        if control == "light":
            _lights(signals, crossing, ports)
        elif control in ("stop", "yield"):
            _stops(signals, crossing, ports, STOP if control == "stop" else YIELD)
    return signals


def _control(crossing: Crossing) -> str:
    """What rules a junction. Where routes see it differently, the stricter."""
    controls = {junction.control for _, junction in crossing.node.junctions}
    return next((control for control in ("light", "stop", "yield") if control in controls), "none")


def _lights(signals: Signals, crossing: Crossing, ports: Sequence[Port]) -> None:
    group = 1 + max((light.group for light in signals.lights), default=-1)
    phases: Dict[int, List[str]] = {0: [], 1: []}
    for pole, port in enumerate(ports):
        sign, phase, post = _name(signals), 1 - int(_along(crossing, port)), _post(port)
        signals.lights.append(LightPlace(sign, post.pose, post.centre, post.extent, group, phase, pole))
        signals.lines.append(StopLine(*post.line, post.extent[0], sign))
        port.piece.signs.append(_sign(port, sign, LIGHT, post.pose))
        phases[phase].append(sign)
    for phase, signs in phases.items():
        if signs:
            controller = Controller(2 * group + phase + 1, tuple(signs))
            signals.controllers.append(controller)
            crossing.junction.controllers.append(controller.id)


def _stops(signals: Signals, crossing: Crossing, ports: Sequence[Port], kind: str) -> None:
    for port in ports:
        if _along(crossing, port):
            sign, post = _name(signals), _post(port)
            signals.stops.append(StopPlace(sign, ACTORS[kind], post.pose, post.centre, post.extent))
            port.piece.signs.append(_sign(port, sign, kind, post.pose))


def _name(signals: Signals) -> str:
    return str(1 + len(signals.lights) + len(signals.stops))


def _along(crossing: Crossing, port: Port) -> bool:
    """Whether a port is on the road that the (first) route comes on, on either side of the junction."""
    index = crossing.node.junctions[0][0]
    first = next((each for each in crossing.ports if each.corridor == index and each.contact == END), crossing.ports[0])
    return abs(math.sin(port.heading - first.heading)) < 0.7


def _post(port: Port) -> _Post:
    inner, outer = port.entries[0], port.entries[-1]
    x, y, z, yaw = outer.place
    right = outer.width / 2.0 + BESIDE
    half = (math.hypot(x - inner.place[0], y - inner.place[1]) + inner.width) / 2.0
    across = math.degrees(math.remainder(yaw + math.pi / 2.0, math.tau))
    pose = rounded(Pose(x - right * math.sin(yaw), y + right * math.cos(yaw), z, 0.0, across))
    line = ((x + inner.place[0]) / 2.0, (y + inner.place[1]) / 2.0, yaw)
    half = round(half, DIGITS)
    return _Post(pose, (-(half + BESIDE), BEFORE, 1.0), (half, REACH, 1.0), line)


def rounded(pose: Pose) -> Pose:
    """The pose without the last bits, in which builds of Python differ."""
    return Pose(*(round(part, DIGITS) + 0.0 for part in pose))


def _sign(port: Port, name: str, kind: str, pose: Pose) -> Sign:
    """The signal on the port's road."""
    curve = port.piece.curve
    s = curve.length if port.contact == END else 0.0
    x, y, _, yaw = curve.at(s)  # t counts from the reference line, not from lane 0
    t = (pose.x - x) * math.sin(yaw) - (pose.y - y) * math.cos(yaw)
    lanes = [mouth.lane for mouth in port.entries]
    way = "+" if port.contact == END else "-"
    return Sign(name, kind, f"signal{name}", s, t, way, (min(lanes), max(lanes)), kind == LIGHT)
