"""Calls about traffic lights."""

from __future__ import annotations

from typing import Dict

from ..errors import Refusal
from ..layouts import Wire
from ..simulator import Simulator
from .table import Call


def set_traffic_light_state(sim: Simulator, number: int, state: int) -> None:
    """Another colour until the clock's next transition; the clock goes on."""
    if not 0 <= state <= 4:
        raise Refusal(f"traffic light state {state}; wanted: 0 to 4")
    group = sim.lamp_group(sim.actor(number))
    sim.actor(number).body.state = state
    sim.touched.update(lamp.id for lamp in group.lamps())


def set_traffic_light_green_time(sim: Simulator, number: int, seconds: float) -> None:
    """How long the lamps of this phase are green."""
    _set_time(sim, number, "green", seconds)


def set_traffic_light_yellow_time(sim: Simulator, number: int, seconds: float) -> None:
    """How long they are yellow."""
    _set_time(sim, number, "yellow", seconds)


def set_traffic_light_red_time(sim: Simulator, number: int, seconds: float) -> None:
    """How long they are red before the next phase has its turn."""
    _set_time(sim, number, "red", seconds)


def _set_time(sim: Simulator, number: int, name: str, seconds: float) -> None:
    lamp = sim.actor(number)
    for phase in sim.lamp_group(lamp).phases:
        if lamp in phase:
            for each in phase:
                setattr(each.body, name, float(seconds))
                sim.touched.add(each.id)


def freeze_traffic_light(sim: Simulator, number: int, frozen: bool) -> None:
    """Stop the clock of the whole group."""
    group = sim.lamp_group(sim.actor(number))
    group.freeze(frozen)
    sim.touched.update(lamp.id for lamp in group.lamps())


def freeze_all_traffic_lights(sim: Simulator, frozen: bool) -> None:
    """Stop all clocks."""
    for group in sim.groups.values():
        group.freeze(frozen)
        sim.touched.update(lamp.id for lamp in group.lamps())


def reset_traffic_light_group(sim: Simulator, number: int) -> None:
    """The group's cycle begins anew."""
    group = sim.lamp_group(sim.actor(number))
    group.reset()
    sim.touched.update(lamp.id for lamp in group.lamps())


def reset_all_traffic_lights(sim: Simulator) -> None:
    """All cycles begin anew."""
    for group in sim.groups.values():
        group.reset()
        sim.touched.update(lamp.id for lamp in group.lamps())


def get_group_traffic_lights(sim: Simulator, number: int) -> Wire:
    """The lights of the same junction."""
    return [lamp.id for lamp in sim.lamp_group(sim.actor(number)).lamps()]


def get_light_boxes(sim: Simulator, number: int) -> Wire:
    """The boxes of the lamps, in the world: one, where the light stands."""
    actor = sim.actor(number)
    sim.lamp_group(actor)
    x, y, z, pitch, yaw, roll = actor.pose
    return [((x, y, z + 2.5), (0.2, 0.3, 0.5), (pitch, yaw, roll), actor.id)]


CALLS: Dict[str, Call] = {
    "set_traffic_light_state": set_traffic_light_state,
    "set_traffic_light_green_time": set_traffic_light_green_time,
    "set_traffic_light_yellow_time": set_traffic_light_yellow_time,
    "set_traffic_light_red_time": set_traffic_light_red_time,
    "freeze_traffic_light": freeze_traffic_light,
    "freeze_all_traffic_lights": freeze_all_traffic_lights,
    "reset_traffic_light_group": reset_traffic_light_group,
    "reset_all_traffic_lights": reset_all_traffic_lights,
    "get_group_traffic_lights": get_group_traffic_lights,
    "get_light_boxes": get_light_boxes,
}
