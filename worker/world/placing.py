"""Who is about before anything special happens: vehicles in their lanes, crossing traffic, parked cars, people on the pavement.

All chance is used up here, from one seeded generator.
"""

from __future__ import annotations

from typing import List, NamedTuple, Sequence, Tuple

from .crossings import START, Path
from .crowd import CAR, CROSS, LANE, STILL, TRUCK, VAN, WALKER, Cast
from .road import MARGIN, Lane, Road
from .traffic import usable_lanes

_LOOKS = (CAR, CAR, CAR, CAR, VAN, TRUCK)
_APART = 24.0  # metres between two vehicles of a lane, at least
_MOST = 24  # background vehicles, whatever the density


class Wishes(NamedTuple):
    """What a scenario asks of the background, so that it can be played and solved."""

    clear: Tuple[float, float] = (0.0, 0.0)  # s between which the ego's lane starts empty
    oncoming: int = _MOST  # oncoming vehicles, at most; few of them come in one group, so that there are gaps
    crossing: bool = True  # whether there is crossing traffic


def populate(cast: Cast, road: Road, paths: Sequence[Path], density: float, wishes: Wishes) -> None:
    """Cast the background; ``density`` 1 is a usual day, 0 nobody."""
    wanted = min(_MOST, round(density * (7.0 + road.length / 40.0)))
    spots = _spots(cast, road, wishes.clear)
    cast.rng.shuffle(spots)
    spots.sort(key=lambda spot: spot[2] > road.length + 40.0 or spot[2] < -60.0)  # where the ego sees them, first
    if wishes.oncoming < _MOST:
        group = sorted((spot for spot in spots if spot[0] < 0), key=lambda spot: spot[2])[-wishes.oncoming :]
        spots = group + [spot for spot in spots if spot[0] > 0]
    for way, offset, s in spots[:wanted]:
        look = cast.rng.choice(_LOOKS)
        cruise = road.speed_limit * cast.rng.uniform(0.75, 1.0)
        cast.add(look, LANE, s, offset, 0.8 * cruise, way=way, cruise=cruise, pause=cast.rng.uniform(0.0, 6.0))
    if density > 0.0:
        if wishes.crossing:
            _cross(cast, road, paths)
        _park(cast, road, density)
        _stroll(cast, road, density)


def _spots(cast: Cast, road: Road, clear: Tuple[float, float]) -> List[Tuple[int, float, float]]:
    """Places for vehicles as (way, offset, s), each lane on its own raster."""
    spots = []
    behind = max(_APART, 0.15 * road.speed_limit**2)  # metres: whoever comes up from behind can brake for an ego that starts from rest
    for way in (1, -1):
        for offset in usable_lanes(road, way):
            s = -MARGIN + 10.0 + cast.rng.uniform(0.0, _APART)
            while s < road.length + MARGIN - 10.0:
                own = abs(offset) < 0.1 and way > 0
                if not (own and (-behind < s < 18.0 or clear[0] < s < clear[1])) and not _in_junction(road, s):
                    spots.append((way, offset, s))
                s += _APART * cast.rng.uniform(1.0, 2.2)
    return spots


def _in_junction(road: Road, s: float) -> bool:
    return any(j.enter - 6.0 < s < j.leave + 6.0 for j in road.junctions)


def _cross(cast: Cast, road: Road, paths: Sequence[Path]) -> None:
    for index, path in enumerate(paths):
        if path.origin == "ahead":
            continue  # it would cross the others' way; only scenarios use it
        cruise = min(road.speed_limit, 11.0) * cast.rng.uniform(0.7, 1.0)
        pause = cast.rng.uniform(5.0, 11.0)
        cast.add(cast.rng.choice(_LOOKS), CROSS, START + cast.rng.uniform(0.0, 45.0), 0.0, cruise, path=index, cruise=cruise, pause=pause)


def _park(cast: Cast, road: Road, density: float) -> None:
    """Parked cars, never within a junction and never where the ego starts."""
    before = len(cast.members)
    for lane in road.lanes:
        if lane.kind != "parking":
            continue
        s = cast.rng.uniform(14.0, 30.0)
        for _ in range(round(4 * density)):
            if not _in_junction(road, s) and s < road.length + 20.0 and not _scenery_near(cast, s, before):
                cast.add(cast.rng.choice((CAR, CAR, VAN)), STILL, s, lane.offset, way=side_way(lane))
            s += cast.rng.uniform(9.0, 30.0)


def _scenery_near(cast: Cast, s: float, before: int) -> bool:
    """Something of the scenario stands within a few lengths; ``before`` is how many actors there were."""
    return any(member.mode == STILL and abs(member.p - s) < 16.0 for member in cast.members[1:before])


def _stroll(cast: Cast, road: Road, density: float) -> None:
    for lane in road.lanes:
        if lane.kind != "sidewalk":
            continue
        for _ in range(round(2 * density)):
            pace, way = cast.rng.uniform(0.9, 1.6), cast.rng.choice((1, -1))
            shift = cast.rng.uniform(-0.3, 0.3) * min(lane.width, 2.0)
            s = cast.rng.uniform(5.0, road.length + 30.0)
            if not _in_junction(road, s):
                cast.add(WALKER, LANE, s, lane.offset + shift, pace, way=way, cruise=pace)


def side_way(lane: Lane) -> int:
    """The way that vehicles at the edge face: ours on the right, the others' on the left of a road with oncoming traffic."""
    return 1 if lane.offset > 0 else -1
