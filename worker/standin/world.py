"""The state of one episode of the stand-in: actors by id, time, weather, settings, town. No motion here, no wire.

Actor ids grow for the life of the server and frames never go back, so that no client mistakes the new for the old.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Dict, List, NamedTuple, Tuple

from .actors import Actor, Contact, Pose, Vehicle, Walker

if TYPE_CHECKING:
    from .town import Town

__all__ = ["CLEAR", "DEFAULTS", "Actor", "Contact", "Pose", "Settings", "Vehicle", "Walker", "World"]

CLEAR = (5.0, 0.0, 0.0, 10.0, -1.0, 45.0, 2.0, 0.75, 0.1, 0.0, 1.0, 0.03, 0.0331, 0.0)
"""The weather of a fresh episode; CARLA's order of its 14 parameters."""


class Settings(NamedTuple):
    """CARLA's episode settings in the order of the wire, with a server's own defaults."""

    synchronous: bool = False
    no_rendering: bool = False
    delta: float | None = None  # seconds; None is a variable step
    substepping: bool = True
    max_substep_delta: float = 0.01
    max_substeps: int = 10
    culling_distance: float = 0.0
    deterministic_ragdolls: bool = True
    tile_stream_distance: float = 3000.0
    actor_active_distance: float = 2000.0
    spectator_as_ego: bool = True


DEFAULTS = Settings()


@dataclass
class World:
    """One episode. ``actors`` is in the order of ascending ids."""

    town: Town
    episode: int
    frame: int = 0
    elapsed: float = 0.0  # seconds
    delta: float = 0.05  # seconds, of the last tick
    weather: Tuple[float, ...] = CLEAR
    weathered: float = 0.0  # seconds, when the weather was set: what blinks or falls begins then, so that equal episodes look equal
    settings: Settings = DEFAULTS
    rendering: bool = True  # cameras give pictures
    actors: Dict[int, Actor] = field(default_factory=dict)
    contacts: List[Contact] = field(default_factory=list)  # of this tick
    gravity: float = 9.81  # as the IMUs see it
