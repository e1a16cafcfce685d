"""What the ego meets at the first light, where its scenario wants that: red or green.

CARLA lets nobody set a light's clock, and freezing one light freezes all of them, so it is done with times: those of the light's group
are changed for the first seconds of the episode, and put back when the ego has passed or has waited long enough. Nothing is remembered
but what the map's lights had in the beginning; when to put it back follows from the tick and the ego's place.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

from ...world.ego import DT
from ...world.road import Road
from .lamps import LampWatch

Times = Tuple[float, float, float]  # seconds of green, yellow and red

_PACE = 8.0  # m/s at which the ego comes to the line, about
_MOMENT = 0.05  # seconds: a state that is passed over
_LATE = 4.0  # seconds that red lasts after the ego's arrival
_LONG = 25.0  # seconds that green does


class Arrival(NamedTuple):
    """``lights`` are the group's, the ego's own first; ``until`` is the tick at which their own times are put back at the latest."""

    lights: Tuple[Any, ...]
    times: Tuple[Times, ...]  # for the beginning
    line: float  # s
    until: int

    def begin(self) -> None:
        """Right after the lights were reset. The ego's own comes last: lights of one phase share their clock, and its times."""
        for light, times in [*zip(self.lights, self.times)][::-1]:
            give(light, times)

    def act(self, before: float, now: float, tick: int, own: Mapping[int, Times], lamps: LampWatch) -> None:
        """After a tick in which the ego went from s ``before`` to ``now``: give the lights their own times back, if that is due now.

        ``lamps`` does it, because after a transfer it has them under false times.
        """
        if (before <= self.line < now and tick <= self.until) or (tick == self.until and now <= self.line):
            for light in self.lights:
                lamps.give(light, own[light.id])


def arrival_of(road: Road, lights: Sequence[Any], wanted: str) -> Arrival | None:
    """What to do so that the light of the road's first junction is "red" or "green" on arrival; None where that is not to be done."""
    if not wanted or not lights or lights[0] is None:
        return None
    own = lights[0]
    others = [light for light in own.get_group_traffic_lights() if light.id != own.id]
    line = road.junctions[0].enter
    seconds = max(line, 0.0) / _PACE + (_LONG if wanted == "green" else _LATE)
    if wanted == "green":
        times = [(seconds + _LONG, 3.0, 2.0), *[(_MOMENT, _MOMENT, _MOMENT)] * len(others)]
    else:
        times = [(_MOMENT, _MOMENT, seconds + _LATE), *[own_times(light) for light in others]]
    return Arrival((own, *others), tuple(times), line, round(seconds / DT))


def own_times(light: Any) -> Times:
    """The times that a light has now."""
    return float(light.get_green_time()), float(light.get_yellow_time()), float(light.get_red_time())


def give(light: Any, times: Times) -> None:
    """Have a light keep to other times; nothing is sent where they are the same."""
    green, yellow, red = own_times(light)
    if abs(green - times[0]) > 1e-3:
        light.set_green_time(times[0])
    if abs(yellow - times[1]) > 1e-3:
        light.set_yellow_time(times[1])
    if abs(red - times[2]) > 1e-3:
        light.set_red_time(times[2])


def all_times(world: Any) -> Dict[int, Times]:
    """The times of all lights of a map, by id, for ``restore_all``."""
    return {light.id: own_times(light) for light in _lights(world)}


def restore_all(world: Any, known: Dict[int, Times]) -> None:
    """Give all lights back what they had."""
    for light in _lights(world):
        if light.id in known:
            give(light, known[light.id])


def _lights(world: Any) -> List[Any]:
    return list(world.get_actors().filter("traffic.traffic_light*"))
