"""The traffic lights near a route, on the server: read each tick without a call, and told what ``lights`` plans.

Whole groups are watched, because a group has one clock. Lights are in the order of their OpenDRIVE ids, which all servers share. Their
times may be false for a while after a transfer (see ``lights``): what is read here are the true ones.
"""

from __future__ import annotations

from typing import Any, List, Sequence, Set, Tuple

import numpy as np

from ...world.road import Road
from .lights import FREEZE, RESET, SHOW, TIMES, Late, Order, back, given, turns
from .moment import TIME_OF, Lamps

NEAR = 150.0  # metres from the route beyond which lights are nobody's business in an episode


class LampWatch:
    """See the module's text. ``groups`` are rows. ``turn`` says whose clock runs; ``late`` are those under a false time for now."""

    def __init__(self, carla: Any, world: Any, road: Road) -> None:
        members = _near_groups(world, road)
        order = _in_order(members)
        self._lights = [light for _, _, light in order]
        self._states = [carla.TrafficLightState.values[number] for number in range(5)]
        self._rows = {light.id: row for row, (_, _, light) in enumerate(order)}
        self.ids = tuple(name for name, _, _ in order)
        self.groups = [[row for row, (_, number, _) in enumerate(order) if number == group] for group in range(len(members))]
        self.late: Late = {}
        self._true: Any = None  # the times of all, while some are false
        self.turn = np.zeros(len(order), np.bool_)

    def see(self) -> None:
        """After each tick: whose turn it is, and true times put back where a state under a false one has passed."""
        state = self.state()
        self.turn = turns(state, self.turn, self.groups)
        if self.late:
            orders, self.late = back(self.late, state, self._true)
            self.obey(orders)
            if not self.late:
                self._true = None

    def give(self, light: Any, times: Tuple[float, float, float]) -> None:
        """Other times for a light, seconds of green, yellow and red. Whoever sets times in an episode does it here."""
        row = self._rows[light.id]
        if self._true is not None:
            self._true[row] = times
            times = given(row, self._true, self.late)
        self.obey([Order(row, TIMES, times)])

    def falsify(self, true: Any) -> None:
        """From now on times may be false; these are the true ones."""
        self._true, self.late = true.copy(), {}

    def settle(self) -> None:
        """Put back all times that are false: nobody will watch these lights any longer."""
        if self._true is not None:
            self.obey([Order(row, TIMES, given(row, self._true, {})) for row in range(len(self.ids))])
            self._true, self.late = None, {}

    def state(self) -> Any:
        """uint8 [M]: what each shows."""
        return np.array([int(light.state) for light in self._lights], np.uint8)

    def elapsed(self) -> Any:
        """float32 [M]: what each light's clock says; it means something only for those whose turn it is."""
        return np.array([light.get_elapsed_time() for light in self._lights], np.float32)

    def read(self) -> Lamps:
        """All that is to be known of them now."""
        state, times = self.state(), self._times()
        runs = self.turn & (state <= max(TIME_OF))
        columns = np.array([TIME_OF.get(int(each), 0) for each in state], np.intp)
        left = np.where(runs, times[np.arange(len(state)), columns] - self.elapsed(), 0.0)
        if self._true is not None:
            times = self._true.copy()
        frozen = np.array([bool(light.is_frozen()) for light in self._lights], np.bool_)
        return Lamps(state, self.turn.copy(), np.maximum(left, 0.0).astype(np.float32), times, frozen)

    def obey(self, orders: Sequence[Order]) -> None:
        """Do these, in their order."""
        for order in orders:
            light = self._lights[order.row]
            if order.what == TIMES:
                green, yellow, red = order.times
                light.set_green_time(green)
                light.set_yellow_time(yellow)
                light.set_red_time(red)
            elif order.what == RESET:
                light.reset_group()
            elif order.what == SHOW:
                light.set_state(self._states[order.state])
            else:
                light.freeze(order.what == FREEZE)

    def _times(self) -> Any:
        rows = [(light.get_green_time(), light.get_yellow_time(), light.get_red_time()) for light in self._lights]
        return np.array(rows, np.float32).reshape(-1, 3)


def _near_groups(world: Any, road: Road) -> List[List[Any]]:
    """The groups of which one light is near the route, each once."""
    groups: List[List[Any]] = []
    known: Set[int] = set()
    for light in world.get_actors().filter("traffic.traffic_light*"):
        if light.id in known or not _is_near(light.get_location(), road):
            continue
        group = list(light.get_group_traffic_lights())
        group = group if any(each.id == light.id for each in group) else [*group, light]
        known.update(each.id for each in group)
        groups.append(group)
    return groups


def _in_order(groups: Sequence[Sequence[Any]]) -> List[Tuple[str, int, Any]]:
    """(name, number of its group, light) by OpenDRIVE id; lights of one id, which some maps have, by their place and with a number."""

    def place(light: Any) -> Tuple[float, ...]:
        at = light.get_location()
        return round(at.x, 1), round(at.y, 1), round(at.z, 1)

    lights = [(str(each.get_opendrive_id()), place(each), number, each) for number, group in enumerate(groups) for each in group]
    order = sorted(lights, key=lambda entry: entry[:3])
    twins = [sum(other[0] == name for other in order[:row]) for row, (name, _, _, _) in enumerate(order)]
    return [(f"{name}#{twin}" if twin else name, number, light) for (name, _, number, light), twin in zip(order, twins)]


def _is_near(place: Any, road: Road) -> bool:
    return bool(((road.x - place.x) ** 2 + (road.y - place.y) ** 2).min() < NEAR * NEAR)
