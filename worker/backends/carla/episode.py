"""One episode on a CARLA server: who is in it, how it begins, and one tick of it.

What happens each tick, in this order: the ego's control and the scenario's actors go out in one batch, the world ticks, everything is
read from that frame's snapshot, and the task judges. Nothing is read by a call per actor.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, List, NamedTuple, Tuple

from ...settings import Settings
from ...task import Task
from ...world.road import Road
from .link import Link

Control = Tuple[float, float, float]  # throttle, brake, steer


class Other(NamedTuple):
    """An actor that the episode spawned, besides the ego and the sensors."""

    key: str  # "scenario/0", "traffic/3": the same in every run of the episode, unlike ids
    actor: Any  # carla.Vehicle, carla.Walker or a prop
    row: int  # of the crowd that the scenario and the expert look at
    autopilot: bool  # driven by the traffic manager; else the scenario places it


@dataclass
class Episode:
    """See the module's text. ``log`` has one control for each tick since the beginning."""

    settings: Settings
    link: Link
    road: Road
    task: Task
    ego: Any  # carla.Vehicle
    others: List[Other]  # in the order of their spawning
    log: List[Control] = field(default_factory=list)

    @property
    def tick(self) -> int:
        """Ticks since the beginning."""
        return len(self.log)
