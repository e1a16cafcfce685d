"""The stand-in's RGB camera: the same picture as the embedded world's, whatever carries the camera."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from senses import add, car, picture, sensor, straight_road, told, town_of, world_of

from worker import routes
from worker.rig import RIGS, Camera
from worker.standin.actors import Lamp, Pose
from worker.standin.sense import INDEX, readings, signs
from worker.standin.sense.mount import mount_of
from worker.standin.sense.pictures import weather_of
from worker.standin.town import LightPlace
from worker.standin.world import CLEAR, World
from worker.world import weather as weathers
from worker.world.actors import ActorKind, Lights
from worker.world.camera import MOST_VIEWS, Painter
from worker.world.world import World as Embedded

ROUTES = routes.read(routes.DEFAULT_FILE)
TYPES = {
    ActorKind.CAR: "vehicle.tesla.model3",
    ActorKind.VAN: "vehicle.mercedes.sprinter",
    ActorKind.TRUCK: "vehicle.carlamotors.european_hgv",
    ActorKind.EMERGENCY: "vehicle.ford.ambulance",
    ActorKind.BICYCLE: "vehicle.bh.crossbike",
    ActorKind.WALKER: "walker.pedestrian.0001",
    ActorKind.CONE: "static.prop.trafficcone01",
    ActorKind.BARRIER: "static.prop.streetbarrier",
    ActorKind.DEBRIS: "static.prop.dirtdebris01",
}
FLAGS = {Lights.BRAKE: 8, Lights.LEFT: 32, Lights.RIGHT: 16, Lights.HEAD: 2, Lights.SIREN: 512, Lights.REVERSE: 64}


def copy_of(there: Embedded) -> World:
    """The stand-in's world with everybody where the embedded world has them; the first actor is the ego."""
    world = world_of(there.road, weather=fourteen(there.weather))
    world.elapsed = there.tick * 0.05
    for row in range(len(there.actors)):
        copy_actor(world, there.actors, row)
    lights = []
    for number, (x, y, heading, state) in enumerate(waiting(there)):
        place = LightPlace(f"s{number}", Pose(x, y, 0.0, 0.0, math.degrees(heading) + 90.0, 0.0), (0.0, 0.0, 0.0), (1.0, 2.0, 1.0), 0, 0, 0)
        lights.append(place)
        add(world, "static.prop.mesh", place.pose, body=Lamp(place.sign, state=state)).type_id = "traffic.traffic_light"
    world.town = town_of(there.road, lights=tuple(lights))
    return world


def waiting(there: Embedded) -> Any:
    """x, y, heading and the light's state of those who wait at the junctions: the ego, and both ways of the crossing road."""
    for number, junction in enumerate(there.road.junctions):
        if junction.control != "light":
            continue
        own, other = (there.signals.light(number, group, there.tick) for group in (0, 1))
        x, y, _, yaw = (float(part) for part in there.road.pose(junction.enter - 5.0, 0.0))
        yield x, y, yaw, own
        for heading in (junction.yaw, junction.yaw + math.pi):
            back, right = 12.0, 2.0
            cos, sin = math.cos(heading), math.sin(heading)
            yield junction.x - back * cos - right * sin, junction.y - back * sin + right * cos, heading, other


def copy_actor(world: World, actors: Any, row: int) -> None:
    pose = Pose(float(actors.x[row]), float(actors.y[row]), float(actors.z[row]), 0.0, math.degrees(actors.yaw[row]), 0.0)
    extent = tuple(float(actors.__dict__[name][row]) / 2 for name in ("length", "width", "height"))
    velocity = (float(actors.speed[row]) * math.cos(actors.yaw[row]), float(actors.speed[row]) * math.sin(actors.yaw[row]), 0.0)
    color = ",".join(str(part) for part in actors.color[row].tolist())
    kind = TYPES[ActorKind(int(actors.kind[row]))]
    centre = (0.0, 0.0, extent[2])
    made = add(world, kind, pose, extent=extent, centre=centre, velocity=velocity, attributes={"color": color})
    if kind.startswith("vehicle"):
        made.body.lights = sum(flag for ours, flag in FLAGS.items() if actors.lights[row] & ours)
        made.body.doors = {0: bool(actors.door[row] > 0.01)}
    if not actors.visible[row]:
        del world.actors[made.id]
        world.actors[made.id] = add(world, "spectator", pose)


def fourteen(weather: routes.Weather) -> Any:
    """CARLA's parameters of that weather."""
    given = list(CLEAR)
    given[:4] = weather.cloudiness, weather.precipitation, weather.precipitation_deposits, weather.wind_intensity
    given[4:7] = weather.sun_azimuth_angle, weather.sun_altitude_angle, weather.fog_density
    given[9] = weather.wetness
    return tuple(given)


def attached(world: World, camera: Camera) -> Any:
    at = Pose(camera.x, camera.y, camera.z, camera.pitch, camera.yaw, camera.roll)
    ego = next(iter(world.actors.values()))
    return sensor(world, "camera.rgb", ego, at, image_size_x=camera.width, image_size_y=camera.height, fov=camera.fov)


@pytest.mark.parametrize("rig", ["predecessor", "bench2drive"])
@pytest.mark.parametrize("route", ROUTES[:3], ids=lambda route: route.town)
def test_the_picture_is_the_embedded_worlds(rig, route):
    there = Embedded(route, 0, weathers.PRESETS["WetCloudySunset"])
    for _ in range(40):
        there.step(0.4, 0.0, 0.0)
    here, painter = copy_of(there), Painter(there.road, there.weather, 0)
    for camera in RIGS[rig].cameras[:3]:
        seen, (width, height, fov) = picture(attached(here, camera), here)
        wanted = painter.render(there, camera)
        assert (width, height, fov) == (camera.width, camera.height, camera.fov)
        assert (seen[:, :, 3] == 255).all()
        apart = (np.abs(seen[:, :, 2::-1].astype(int) - wanted) > 8).any(axis=2).mean()
        assert apart < 2e-3, f"{camera.key}: {apart:.4f} of the pixels differ"


def test_nothing_is_sent_where_nothing_is_rendered():
    world = world_of(rendering=False)
    assert readings(sensor(world, "camera.rgb", car(world, 0.0)), world, told) == []


def test_the_same_world_gives_the_same_bytes():
    world = world_of()
    eye = sensor(world, "camera.rgb", car(world, 0.0))
    car(world, 15.0)
    assert readings(eye, world, told) == readings(eye, world, told)


def test_a_camera_does_not_see_its_carrier_unless_it_is_away_from_it():
    world = world_of()
    ego = car(world, 20.0, attributes={"color": "255,0,0"})
    near, far = sensor(world, "camera.rgb", ego), sensor(world, "camera.rgb", ego, Pose(-7.0, 0.0, 3.0, -10.0, 0.0, 0.0))
    assert red(picture(near, world)[0]) == 0
    assert red(picture(far, world)[0]) > 1000


def test_a_camera_that_nothing_carries_sees_what_is_there():
    world = world_of()
    car(world, 20.0, attributes={"color": "255,0,0"})
    above = picture(sensor(world, "camera.rgb", None, Pose(20.0, 0.0, 30.0, -90.0, 0.0, 0.0)), world)[0]
    rows, columns = np.nonzero(is_red(above))
    assert abs(rows.mean() - 300) < 15
    assert abs(columns.mean() - 400) < 15
    aside = picture(sensor(world, "camera.rgb", None, Pose(20.0, -10.0, 1.5, 0.0, 90.0, 0.0)), world)[0]
    assert red(aside) > 1000


def test_a_rolled_camera_gives_a_rolled_picture():
    world = world_of()
    car(world, 20.0, attributes={"color": "255,0,0"})
    tall = picture(sensor(world, "camera.rgb", None, Pose(20.0, -8.0, 1.0, 0.0, 90.0, 90.0)), world)[0]
    rows, columns = np.nonzero(is_red(tall))
    assert np.ptp(rows) > 1.5 * np.ptp(columns)


def is_red(seen: Any) -> Any:
    blue, green, red_part = (seen[:, :, at].astype(int) for at in range(3))
    return (red_part > 90) & (red_part > 2 * green) & (red_part > 2 * blue)


def red(seen: Any) -> int:
    return int(is_red(seen).sum())


def test_every_blueprint_looks_like_something():
    from worker.standin.blueprints import LIBRARY

    world = world_of()
    eye = sensor(world, "camera.rgb", None, Pose(0.0, 0.0, 2.0))
    empty = picture(eye, world)[0].copy()
    for blueprint in LIBRARY:
        if blueprint.id.startswith(("vehicle.", "walker.", "static.prop.")) and max(blueprint.extent) > 0.2:
            thing = add(world, blueprint.id, Pose(8.0, 0.0, blueprint.extent[2] if blueprint.id.startswith("walker") else 0.0))
            assert (picture(eye, world)[0] != empty).any(), blueprint.id
            del world.actors[thing.id]


def test_weather_is_carlas_in_whole_numbers_and_within_range():
    given = (30.4, 0.0, 10.0, 20.0, 45.0, -90.0, 2.0, 0.75, 0.1, 140.0, 1.0, 0.03, 0.0331, 0.0)
    weather = weather_of(given)
    assert (weather.cloudiness, weather.wind_intensity, weather.sun_azimuth_angle) == (30.0, 20.0, 45.0)
    assert (weather.sun_altitude_angle, weather.fog_density, weather.wetness) == (-90.0, 2.0, 100.0)


def test_every_sensor_of_the_library_has_a_number():
    from worker.standin.blueprints import LIBRARY

    assert {blueprint.id for blueprint in LIBRARY if blueprint.id.startswith("sensor.")} <= set(INDEX)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.town}-{route.id}")
def test_every_post_shows_what_its_own_lamp_shows(route):
    there = Embedded(route, 0, weathers.PRESETS["ClearNoon"], 0.0, False)
    for tick in (0, 260, 400):
        there.signals.show(tick)
        there.tick = tick
        here = copy_of(there)
        assert signs.signals(there.road, here).state.tolist() == there.signals.state.tolist()


def test_a_painter_keeps_no_more_views_than_a_rig_may_need():
    there = Embedded(ROUTES[0], 0, weathers.PRESETS["ClearNoon"], 0.0, False)
    painter = Painter(there.road, there.weather, 0)
    first = painter.render(there, Camera("", 0.0, 0.0, 1.0, width=32, height=16))
    for step in range(2 * MOST_VIEWS):
        painter.render(there, Camera("", 0.0, 0.0, 1.5 + 0.01 * step, width=32, height=16))
    assert len(painter._views) == MOST_VIEWS
    assert (painter.render(there, Camera("", 0.0, 0.0, 1.0, width=32, height=16)) == first).all()


def test_what_crosses_the_road_changes_no_picture():
    own, other = straight_road(), straight_road(yaw=90.0, x=100.0, y=-200.0)
    alone, both = world_of(own), world_of(own, other)
    for x in (90.0, 99.5, 100.0, 101.0, 110.0):
        views = [sensor(world, "camera.rgb", car(world, x, yaw=4.0), image_size_x=64, image_size_y=48) for world in (alone, both)]
        one, two = (picture(view, world)[0] for view, world in zip(views, (alone, both)))
        assert (one == two).all()
    turned = sensor(both, "camera.rgb", car(both, 100.0, yaw=80.0))
    assert mount_of(turned, both).road is other


def test_a_corridor_that_others_cover_is_not_seen():
    own, covered = straight_road(), straight_road(y=1.0)
    world = world_of()
    world.town = town_of(own, covered, covered=(1,))
    assert mount_of(sensor(world, "camera.rgb", car(world, 100.0, 1.0)), world).road is own
