"""The props of the blueprint library: what scenarios put on the road, and some more. A row is an id and length, width, height in metres.

Debris lies flat and does not collide: a car drives over it. ``static.prop.mesh`` takes its looks from its attributes; Bench2Drive parks
cars with it, so it has a car's box.
"""

from __future__ import annotations

from typing import Dict, Tuple

from .blueprint import DYNAMIC, NO_TAG, STATIC, Attribute, Blueprint, Vector, fixed, role

_SIZES: Dict[str, Vector] = {
    "advertisement": (1.3, 0.3, 2.4),
    "atm": (0.9, 0.7, 1.6),
    "barbeque": (0.8, 0.8, 1.1),
    "barrel": (0.6, 0.6, 0.9),
    "bench01": (1.6, 0.6, 0.9),
    "bikeparking": (2.0, 0.8, 0.8),
    "bin": (0.7, 0.7, 1.1),
    "box01": (0.5, 0.4, 0.3),
    "briefcase": (0.5, 0.2, 0.4),
    "brokentile01": (0.6, 0.6, 0.1),
    "busstop": (4.0, 1.6, 2.6),
    "chainbarrier": (1.2, 0.2, 0.9),
    "clothcontainer": (1.3, 1.1, 1.9),
    "colacan": (0.1, 0.1, 0.2),
    "constructioncone": (0.34, 0.34, 0.6),
    "container": (2.2, 1.3, 1.5),
    "creasedbox01": (0.5, 0.4, 0.3),
    "dirtdebris01": (1.8, 1.8, 0.1),
    "dirtdebris02": (2.2, 2.2, 0.1),
    "dirtdebris03": (1.6, 1.6, 0.1),
    "fountain": (4.0, 4.0, 2.0),
    "garbage01": (0.4, 0.4, 0.2),
    "gardenlamp": (0.3, 0.3, 1.2),
    "glasscontainer": (1.5, 1.4, 1.6),
    "gnome": (0.4, 0.4, 0.9),
    "guitarcase": (1.1, 0.4, 0.2),
    "ironplank": (2.0, 0.6, 0.1),
    "kiosk_01": (2.6, 2.2, 2.8),
    "mailbox": (0.6, 0.6, 1.3),
    "maptable": (1.4, 0.7, 1.8),
    "mobile": (0.1, 0.1, 0.1),
    "motorhelmet": (0.3, 0.3, 0.3),
    "plantpot01": (0.8, 0.8, 0.8),
    "plasticbag": (0.4, 0.3, 0.4),
    "plasticchair": (0.6, 0.6, 0.9),
    "plastictable": (1.2, 1.2, 0.8),
    "platformgarbage01": (2.0, 1.0, 0.5),
    "purse": (0.4, 0.2, 0.3),
    "shoppingbag": (0.4, 0.2, 0.4),
    "shoppingcart": (1.0, 0.6, 1.0),
    "slide": (2.6, 1.0, 1.8),
    "streetbarrier": (1.2, 0.4, 1.1),
    "streetfountain": (0.6, 0.6, 1.3),
    "streetsign": (0.6, 0.2, 2.4),
    "swing": (2.6, 1.6, 2.2),
    "table": (1.4, 0.8, 0.8),
    "trafficcone01": (0.5, 0.5, 0.8),
    "trafficcone02": (0.5, 0.5, 0.8),
    "trafficwarning": (2.8, 1.9, 3.5),
    "trampoline": (3.0, 3.0, 1.0),
    "trashbag": (0.6, 0.6, 0.6),
    "trashcan01": (0.6, 0.6, 1.1),
    "travelcase": (0.6, 0.3, 0.8),
    "vendingmachine": (1.1, 0.9, 2.0),
    "warningaccident": (0.8, 0.4, 1.2),
    "warningconstruction": (0.8, 0.4, 1.2),
    "wateringcan": (0.4, 0.2, 0.4),
}

_FLAT = 0.15  # metres: what is no higher than this can be driven over


def _size_of(size: Vector) -> str:
    largest = max(size)
    return "tiny" if largest < 0.5 else "small" if largest < 1.0 else "medium" if largest < 2.0 else "big"


def _prop(name: str, size: Vector) -> Blueprint:
    attributes = (role("prop"), fixed("size", "string", _size_of(size)))
    extent = (size[0] / 2.0, size[1] / 2.0, size[2] / 2.0)
    return Blueprint(f"static.prop.{name}", attributes, extent, (0.0, 0.0, extent[2]), DYNAMIC, 20.0, solid=size[2] > _FLAT)


_MESH = Blueprint(
    "static.prop.mesh",
    (role("prop"), Attribute("mesh_path", "string", ""), Attribute("scale", "float", "1.0"), Attribute("mass", "float", "0.0")),
    (2.3, 0.95, 0.75),
    (0.0, 0.0, 0.75),
    STATIC,
    1500.0,
)
_FRICTION = Blueprint(
    "static.trigger.friction",
    (role("trigger"), Attribute("friction", "float", "3.5"), *(Attribute(f"extent_{axis}", "float", "1.0") for axis in "xyz")),
    (1.0, 1.0, 1.0),
    tag=NO_TAG,
    solid=False,
)

PROPS: Tuple[Blueprint, ...] = (*(_prop(name, size) for name, size in _SIZES.items()), _MESH, _FRICTION)
