"""The blueprint library: complete for Bench2Drive, and well formed."""

from worker.standin.blueprints import BY_ID, LIBRARY


def test_ids_are_unique_and_sorted():
    ids = [blueprint.id for blueprint in LIBRARY]
    assert ids == sorted(ids)
    assert len(BY_ID) == len(ids)


def test_the_vehicles_are_all_there():
    vehicles = [blueprint for blueprint in LIBRARY if blueprint.id.startswith("vehicle.")]
    assert len(vehicles) == 41
    assert sum(blueprint.value("base_type") == "bicycle" for blueprint in vehicles) == 3
    newest = [b for b in vehicles if b.value("base_type") == "car" and b.value("generation") == "2"]
    assert "vehicle.lincoln.mkz_2020" in {blueprint.id for blueprint in newest}
    assert all(blueprint.wheelbase < 2 * blueprint.extent[0] and blueprint.mass > 0 for blueprint in vehicles)


def test_what_scenarios_put_on_the_road_is_there():
    props = "mesh warningaccident warningconstruction trafficwarning constructioncone streetbarrier dirtdebris01 dirtdebris02"
    for name in [*props.split(), "vendingmachine", "advertisement", "container"]:
        assert f"static.prop.{name}" in BY_ID
    assert not BY_ID["static.prop.dirtdebris01"].solid
    assert BY_ID["static.prop.vendingmachine"].solid
    assert {"walker.pedestrian.0001", "walker.pedestrian.0049", "controller.ai.walker", "spectator"} <= set(BY_ID)


def test_every_value_is_of_its_type():
    checks = {
        "int": int,
        "float": float,
        "string": str,
        "bool": ("true", "false").index,
        "rgb": lambda text: bytes(map(int, text.split(","))),
    }
    for blueprint in LIBRARY:
        assert len({attribute.id for attribute in blueprint.attributes}) == len(blueprint.attributes)
        for attribute in blueprint.attributes:
            for value in (attribute.value, *attribute.recommended):
                checks[attribute.type](value)
            assert not attribute.recommended or attribute.value in attribute.recommended
