"""The walkers of the blueprint library, their controller and the spectator.

A walker's box is its capsule; its origin is the middle of it, as in CARLA, so that a walker that stands on the ground has a height of
half its size.
"""

from __future__ import annotations

from typing import Tuple

from .blueprint import PEDESTRIAN, Attribute, Blueprint, fixed, role

ADULT = (0.187679, 0.187679, 0.93)
CHILD = (0.25, 0.25, 0.65)
COUNT = 51
_CHILDREN = {9, 10, 11, 12, 13, 14, 48, 49}
_ELDERLY = {2, 5, 7, 17, 28, 33}
_FEMALE = {2, 4, 6, 8, 9, 11, 13, 16, 17, 19, 22, 24, 26, 28, 31, 34, 36, 38, 40, 42, 44, 46, 48, 50}
_SPEEDS = {"child": ("0.0", "1.1", "2.2"), "adult": ("0.0", "1.4", "2.7"), "elderly": ("0.0", "1.0", "1.8")}


def _walker(number: int) -> Blueprint:
    age = "child" if number in _CHILDREN else "elderly" if number in _ELDERLY else "adult"
    attributes = (
        role("pedestrian", "scenario"),
        Attribute("is_invincible", "bool", "true"),
        Attribute("speed", "float", _SPEEDS[age][0], _SPEEDS[age]),
        Attribute("use_wheelchair", "bool", "false"),
        fixed("can_use_wheelchair", "bool", "false"),
        fixed("gender", "string", "female" if number in _FEMALE else "male"),
        fixed("age", "string", age),
        fixed("generation", "int", "2" if number >= 15 else "1"),
    )
    return Blueprint(f"walker.pedestrian.{number:04d}", attributes, CHILD if age == "child" else ADULT, tag=PEDESTRIAN, mass=80.0)


WALKERS: Tuple[Blueprint, ...] = (
    *(_walker(number) for number in range(1, COUNT + 1)),
    Blueprint("controller.ai.walker", (role("controller"),), solid=False),
    Blueprint("spectator", (role("spectator"),), solid=False),
)
