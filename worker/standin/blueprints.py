"""The stand-in's blueprint library: all that can be spawned, in the order of the ids.

Left out are the sensors whose payloads are not known here: V2X, cosmos and RSS. Sizes and masses are near those of the real things.
Rule: the set and the order depend on nothing, since Bench2Drive's scenarios draw from them by chance.
"""

from __future__ import annotations

from typing import Dict, Tuple

from .blueprint import Attribute, Blueprint
from .blueprints_props import PROPS
from .blueprints_sensors import SENSORS
from .blueprints_vehicles import VEHICLES
from .blueprints_walkers import WALKERS

__all__ = ["BY_ID", "LIBRARY", "Attribute", "Blueprint"]

LIBRARY: Tuple[Blueprint, ...] = tuple(sorted(SENSORS + VEHICLES + WALKERS + PROPS, key=lambda blueprint: blueprint.id))
BY_ID: Dict[str, Blueprint] = {blueprint.id: blueprint for blueprint in LIBRARY}
