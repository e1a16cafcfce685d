"""What a blueprint and its attributes are. The library itself is in blueprints.py, its data in the blueprints_ modules.

Types of attributes have names ("bool", "int", "float", "string", "rgb"), because their numbers differ between CARLA's versions.
Rule: values are text, as they travel.
"""

from __future__ import annotations

from typing import NamedTuple, Tuple

Vector = Tuple[float, float, float]

NO_TAG, PEDESTRIAN, CAR, TRUCK, BUS, MOTORCYCLE, BICYCLE, STATIC, DYNAMIC = 0, 12, 14, 15, 16, 18, 19, 20, 21
"""CARLA's semantic tags of what can be spawned."""


class Attribute(NamedTuple):
    """One attribute: ``type`` is "bool", "int", "float", "string" or "rgb"; ``recommended`` may be empty."""

    id: str
    type: str
    value: str
    recommended: Tuple[str, ...] = ()
    modifiable: bool = True
    restricted: bool = False


class Blueprint(NamedTuple):
    """One thing that can be spawned. The box is in the actor's frame, with half sizes in metres; a sensor has none."""

    id: str
    attributes: Tuple[Attribute, ...]
    extent: Vector = (0.0, 0.0, 0.0)
    centre: Vector = (0.0, 0.0, 0.0)
    tag: int = NO_TAG
    mass: float = 0.0  # kilograms
    wheelbase: float = 0.0  # metres; 0: it does not drive
    wheels: int = 0
    solid: bool = True  # whether others collide with it

    @property
    def tags(self) -> str:
        """The words of the id, separated by commas."""
        return self.id.replace(".", ",")

    def value(self, attribute: str, default: str = "") -> str:
        """The attribute's default value."""
        return next((each.value for each in self.attributes if each.id == attribute), default)


def fixed(name: str, kind: str, value: str) -> Attribute:
    """An attribute that nobody can change."""
    return Attribute(name, kind, value, (), False)


def role(*recommended: str) -> Attribute:
    """What everything has: a name that its maker gives it."""
    return Attribute("role_name", "string", recommended[0], recommended)
