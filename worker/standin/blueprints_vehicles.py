"""The vehicles of the blueprint library: the forty-one that CARLA 0.9.15 has, by id.

A row is: id, base type, generation, special type, length, width, height, mass, wheelbase (metres, kilograms), and letters: "l" it has
lights, "d" doors that open.
"""

from __future__ import annotations

from typing import Dict, NamedTuple, Tuple

from .blueprint import BICYCLE, BUS, CAR, MOTORCYCLE, TRUCK, Attribute, Blueprint, fixed, role


class _Row(NamedTuple):
    id: str
    base: str
    generation: int
    special: str
    length: float
    width: float
    height: float
    mass: float
    wheelbase: float
    letters: str = ""


_ROWS: Tuple[_Row, ...] = (
    _Row("audi.a2", "car", 1, "", 3.71, 1.79, 1.55, 1030, 2.41),
    _Row("audi.etron", "car", 1, "electric", 4.86, 2.03, 1.65, 2490, 2.93, "l"),
    _Row("audi.tt", "car", 1, "", 4.18, 1.99, 1.38, 1410, 2.51, "l"),
    _Row("bh.crossbike", "bicycle", 1, "", 1.49, 0.86, 1.61, 90, 1.05),
    _Row("bmw.grandtourer", "car", 1, "", 4.61, 2.24, 1.67, 1560, 2.78),
    _Row("carlamotors.carlacola", "truck", 1, "", 5.20, 2.61, 2.47, 5500, 2.70),
    _Row("carlamotors.european_hgv", "truck", 2, "", 7.94, 2.90, 3.46, 9000, 4.20, "ld"),
    _Row("carlamotors.firetruck", "truck", 2, "emergency", 8.46, 2.90, 3.83, 12000, 4.60, "ld"),
    _Row("chevrolet.impala", "car", 1, "", 5.36, 2.03, 1.41, 1720, 3.04),
    _Row("citroen.c3", "car", 1, "", 3.99, 1.85, 1.62, 1050, 2.54),
    _Row("diamondback.century", "bicycle", 1, "", 1.64, 0.58, 1.65, 90, 1.03),
    _Row("dodge.charger_2020", "car", 2, "", 5.01, 1.89, 1.53, 1850, 3.05, "ld"),
    _Row("dodge.charger_police", "car", 1, "emergency", 4.97, 2.04, 1.55, 1900, 3.05, "l"),
    _Row("dodge.charger_police_2020", "car", 2, "emergency", 5.24, 1.93, 1.64, 1950, 3.05, "ld"),
    _Row("ford.ambulance", "van", 2, "emergency", 6.36, 2.35, 2.43, 4200, 3.50, "ld"),
    _Row("ford.crown", "car", 2, "taxi", 5.37, 1.80, 1.57, 1900, 2.91, "ld"),
    _Row("ford.mustang", "car", 1, "", 4.72, 1.89, 1.30, 1650, 2.74, "l"),
    _Row("gazelle.omafiets", "bicycle", 1, "", 1.84, 0.59, 1.78, 90, 1.12),
    _Row("harley-davidson.low_rider", "motorcycle", 1, "", 2.35, 0.76, 1.65, 370, 1.63),
    _Row("jeep.wrangler_rubicon", "car", 1, "", 3.87, 1.91, 1.88, 1900, 2.42),
    _Row("kawasaki.ninja", "motorcycle", 1, "", 2.03, 0.80, 1.53, 280, 1.41, "l"),
    _Row("lincoln.mkz_2017", "car", 1, "", 4.90, 2.06, 1.51, 1720, 2.85, "l"),
    _Row("lincoln.mkz_2020", "car", 2, "", 4.89, 1.84, 1.49, 1720, 2.85, "ld"),
    _Row("mercedes.coupe", "car", 1, "", 5.03, 2.15, 1.64, 1700, 2.83, "l"),
    _Row("mercedes.coupe_2020", "car", 2, "", 4.67, 1.81, 1.44, 1700, 2.84, "ld"),
    _Row("mercedes.sprinter", "van", 2, "", 5.92, 1.99, 2.56, 2800, 3.67, "ld"),
    _Row("micro.microlino", "car", 1, "electric", 2.21, 1.48, 1.38, 500, 1.57),
    _Row("mini.cooper_s", "car", 1, "", 3.81, 1.97, 1.48, 1250, 2.47),
    _Row("mini.cooper_s_2021", "car", 2, "", 4.55, 2.10, 1.77, 1350, 2.67, "ld"),
    _Row("mitsubishi.fusorosa", "bus", 2, "", 10.27, 3.94, 4.25, 8500, 5.70, "ld"),
    _Row("nissan.micra", "car", 1, "", 3.63, 1.85, 1.50, 980, 2.43),
    _Row("nissan.patrol", "car", 1, "", 4.60, 1.93, 1.85, 2100, 2.74),
    _Row("nissan.patrol_2021", "car", 2, "", 5.57, 2.15, 2.05, 2400, 3.07, "ld"),
    _Row("seat.leon", "car", 1, "", 4.19, 1.82, 1.47, 1300, 2.58),
    _Row("tesla.cybertruck", "truck", 1, "electric", 6.27, 2.39, 2.10, 2900, 3.81, "l"),
    _Row("tesla.model3", "car", 1, "electric", 4.79, 2.16, 1.49, 1845, 2.88, "l"),
    _Row("toyota.prius", "car", 1, "", 4.51, 2.01, 1.53, 1375, 2.70),
    _Row("vespa.zx125", "motorcycle", 1, "", 1.80, 0.80, 1.59, 200, 1.24, "l"),
    _Row("volkswagen.t2", "van", 1, "", 4.48, 2.07, 2.04, 1200, 2.40, "l"),
    _Row("volkswagen.t2_2021", "van", 2, "", 4.44, 1.77, 2.01, 1300, 2.40, "ld"),
    _Row("yamaha.yzf", "motorcycle", 1, "", 2.19, 0.86, 1.55, 290, 1.38, "l"),
)

_TAGS: Dict[str, int] = {"car": CAR, "van": CAR, "truck": TRUCK, "bus": BUS, "motorcycle": MOTORCYCLE, "bicycle": BICYCLE}
_COLORS = ("17,37,103", "53,67,96", "135,20,20", "180,180,180", "237,237,237", "10,10,12", "90,95,40", "183,187,162")


def _vehicle(row: _Row) -> Blueprint:
    wheels = 2 if row.base in ("motorcycle", "bicycle") else 4
    attributes = (
        role("autopilot", "scenario", "ego_vehicle"),
        Attribute("color", "rgb", _COLORS[0], _COLORS),
        Attribute("sticky_control", "bool", "true"),
        Attribute("terramechanics", "bool", "false"),
        fixed("object_type", "string", ""),
        fixed("number_of_wheels", "int", str(wheels)),
        fixed("generation", "int", str(row.generation)),
        fixed("base_type", "string", row.base),
        fixed("special_type", "string", row.special),
        fixed("has_lights", "bool", "true" if "l" in row.letters else "false"),
        fixed("has_dynamic_doors", "bool", "true" if "d" in row.letters else "false"),
    )
    extent = (row.length / 2.0, row.width / 2.0, row.height / 2.0)
    return Blueprint(
        "vehicle." + row.id, attributes, extent, (0.0, 0.0, extent[2]), _TAGS[row.base], float(row.mass), row.wheelbase, wheels
    )


VEHICLES: Tuple[Blueprint, ...] = tuple(_vehicle(row) for row in _ROWS)
