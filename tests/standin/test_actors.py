"""Actors of the stand-in as a real client sees them: spawning, placing, pushing, destroying, batches."""

from __future__ import annotations

import math

import pytest
from standins import dialect, wheel

carla = wheel()

LATER = pytest.mark.skipif(dialect() == "0.9.15", reason="not in 0.9.15")


def ticks(world, count):
    for _ in range(count):
        world.tick()


def at(x, y, z=0.0, yaw=0.0):
    return carla.Transform(carla.Location(x, y, z), carla.Rotation(yaw=yaw))


def test_library_has_valid_blueprints(world):
    library = world.get_blueprint_library()
    assert len(library.filter("vehicle.*")) > 30 and len(library.filter("walker.pedestrian.*")) > 30
    car = library.find("vehicle.lincoln.mkz_2020")
    car.set_attribute("role_name", "hero")
    car.set_attribute("color", "1,2,3")
    assert (car.get_attribute("number_of_wheels").as_int(), car.get_attribute("color").as_color().g) == (4, 2)


def test_attributes_come_back(spawn):
    car = spawn("vehicle.lincoln.mkz_2020", role_name="hero", color="1,2,3")
    assert (car.attributes["role_name"], car.attributes["color"], car.attributes["base_type"]) == ("hero", "1,2,3", "car")
    assert car.type_id == "vehicle.lincoln.mkz_2020" and list(car.semantic_tags) == [14]
    assert car.bounding_box.extent.x == pytest.approx(2.45, abs=0.1)


def test_a_spawned_car_settles_on_the_road(world, spawn):
    car = spawn("vehicle.audi.tt")
    ticks(world, 20)
    ground = world.get_map().get_waypoint(car.get_location()).transform.location.z
    assert car.get_location().z == pytest.approx(ground, abs=0.05)
    assert car.get_velocity().length() == 0.0


def test_no_two_at_one_place(world, spawn):
    spawn("vehicle.audi.tt")
    blueprint = world.get_blueprint_library().find("vehicle.audi.tt")
    place = world.get_map().get_spawn_points()[0]
    assert world.try_spawn_actor(blueprint, place) is None
    with pytest.raises(RuntimeError, match="collision at spawn position"):
        world.spawn_actor(blueprint, place)


def test_transform_comes_back_and_velocity_is_kept(world, spawn):
    car = spawn("vehicle.audi.tt")
    place = world.get_map().get_spawn_points()[4]
    car.set_target_velocity(5.0 * place.get_forward_vector())
    car.set_transform(place)
    world.tick()
    assert car.get_location().distance(place.location) < 0.6
    assert car.get_transform().rotation.yaw == pytest.approx(place.rotation.yaw, abs=0.5)
    assert car.get_velocity().length() == pytest.approx(5.0, abs=0.5)
    there = carla.Location(place.location.x, place.location.y, place.location.z)
    car.set_location(there)
    world.tick()
    assert car.get_location().distance(there) < 0.6


def test_target_velocities(world, spawn):
    car = spawn("vehicle.audi.tt")
    forward = car.get_transform().get_forward_vector()
    car.set_target_velocity(carla.Vector3D(10.0 * forward.x, 10.0 * forward.y, 0.0))
    world.tick()
    assert car.get_velocity().length() == pytest.approx(10.0, abs=0.3)
    assert car.get_control().gear == 2
    car.set_target_angular_velocity(carla.Vector3D(0.0, 0.0, 20.0))
    world.tick()
    assert 1.0 < car.get_angular_velocity().z < 20.0


def test_impulse_and_force(world, spawn):
    car = spawn("vehicle.audi.tt")
    ticks(world, 20)
    mass = car.get_physics_control().mass
    forward = car.get_transform().get_forward_vector()
    car.add_impulse(carla.Vector3D(mass * 3.0 * forward.x, mass * 3.0 * forward.y, 0.0))
    world.tick()
    assert car.get_velocity().length() == pytest.approx(3.0, abs=0.1)
    car.add_force(carla.Vector3D(-mass * 20.0 * forward.x, -mass * 20.0 * forward.y, 0.0))
    world.tick()
    assert car.get_velocity().length() == pytest.approx(2.0, abs=0.1)
    car.add_angular_impulse(carla.Vector3D(0.0, 0.0, 1000.0))
    car.add_torque(carla.Vector3D(0.0, 0.0, 1000.0))
    world.tick()


def test_constant_velocity_is_in_the_cars_own_frame(world, spawn):
    car = spawn("vehicle.audi.tt")
    car.enable_constant_velocity(carla.Vector3D(4.0, 0.0, 0.0))
    ticks(world, 10)
    assert car.get_velocity().length() == pytest.approx(4.0, abs=0.05)
    car.disable_constant_velocity()
    car.apply_control(carla.VehicleControl(brake=1.0))
    ticks(world, 40)
    assert car.get_velocity().length() == 0.0


def test_physics_off_holds(world, spawn):
    car = spawn("vehicle.audi.tt")
    car.apply_control(carla.VehicleControl(throttle=1.0))
    ticks(world, 10)
    car.set_simulate_physics(False)
    world.tick()
    held = car.get_location()
    ticks(world, 5)
    assert car.get_location().distance(held) == 0.0
    car.set_simulate_physics(True)
    world.tick()
    assert car.get_velocity().length() < 1.0
    car.set_enable_gravity(False)
    car.set_location(carla.Location(held.x, held.y, held.z + 5.0))
    ticks(world, 5)
    assert car.get_location().z == pytest.approx(held.z + 5.0, abs=0.01)


def test_what_falls_lands(world, spawn):
    car = spawn("vehicle.audi.tt")
    ticks(world, 10)
    place = car.get_location()
    car.set_location(carla.Location(place.x, place.y, place.z + 3.0))
    ticks(world, 5)
    assert 0.5 < car.get_location().z - place.z < 3.0
    ticks(world, 30)
    assert car.get_location().z == pytest.approx(place.z, abs=0.01)


def test_collisions_can_be_off(world, spawn):
    first = spawn("vehicle.audi.tt")
    first.set_collisions(False)
    spawn("vehicle.audi.tt")


def test_destroy(world, spawn):
    car = spawn("vehicle.audi.tt")
    number = car.id
    assert car.destroy()
    world.tick()
    assert number not in {actor.id for actor in world.get_actors()}


def test_children_go_with_their_parent(world, spawn):
    car = spawn("vehicle.audi.tt")
    library = world.get_blueprint_library()
    walker = world.spawn_actor(library.find("sensor.other.imu"), at(1.0, 0.0, 2.0), attach_to=car)
    world.tick()
    assert walker.parent.id == car.id
    expected = car.get_transform().transform(carla.Location(1.0, 0.0, 2.0))
    assert walker.get_location().distance(expected) < 0.01
    car.destroy()
    world.tick()
    assert walker.id not in {actor.id for actor in world.get_actors()}


def test_props_stand(world):
    blueprint = world.get_blueprint_library().find("static.prop.trafficcone01")
    place = world.get_map().get_spawn_points()[2]
    cone = world.spawn_actor(blueprint, place)
    ticks(world, 5)
    assert cone.get_location().distance(place.location) < 1e-3


def test_calls_about_actors_that_have_gone(client, world, spawn):
    car = spawn("vehicle.audi.tt")
    number = car.id
    responses = client.apply_batch_sync([carla.command.DestroyActor(number), carla.command.DestroyActor(number)], False)
    assert not responses[0].error and "does not exist" in responses[1].error
    car.apply_control(carla.VehicleControl(throttle=1.0))  # nobody waits for the answer
    with pytest.raises(RuntimeError, match="unable to find actor"):
        car.get_physics_control()
    world.tick()


@LATER
def test_parts(world, spawn):
    car = spawn("vehicle.audi.tt")
    (name,) = car.get_component_names()
    assert car.get_component_world_transform(name).location.distance(car.get_location()) < 0.01
    assert car.get_component_relative_transform(name).location.length() == 0.0
    assert len(car.get_bone_names()) == len(car.get_bone_world_transforms()) == len(car.get_bone_relative_transforms())
    assert len(car.get_vehicle_bone_world_transforms()) == 1
    assert len(car.get_socket_names()) == len(car.get_socket_world_transforms()) == len(car.get_socket_relative_transforms())


def test_sensors_know_no_ros(world, spawn):
    car = spawn("vehicle.audi.tt")
    eye = world.spawn_actor(world.get_blueprint_library().find("sensor.camera.rgb"), at(0.0, 0.0, 2.0), attach_to=car)
    eye.enable_for_ros()
    assert not eye.is_enabled_for_ros()
    eye.disable_for_ros()


@LATER
def test_what_a_camera_has_not_is_refused_in_words(world, spawn):
    car = spawn("vehicle.audi.tt")
    eye = world.spawn_actor(world.get_blueprint_library().find("sensor.camera.rgb"), at(0.0, 0.0, 2.0), attach_to=car)
    with pytest.raises(RuntimeError, match="no G-buffers"):
        eye.enable_gbuffers(True)
    with pytest.raises(RuntimeError, match="no G-buffers"):
        eye.listen_to_gbuffer(carla.GBufferTextureID.SceneColor, print)
    eye.set_ignored_vehicles([car.id])


def test_batch(client, world):
    library, points = world.get_blueprint_library(), world.get_map().get_spawn_points()
    spawn_command = carla.command.SpawnActor(library.find("vehicle.audi.tt"), points[0]).then(
        carla.command.ApplyVehicleControl(carla.command.FutureActor, carla.VehicleControl(throttle=1.0))
    )
    (first, second) = client.apply_batch_sync([spawn_command, spawn_command], True)
    assert not first.error and "collision" in second.error
    car = world.get_actor(first.actor_id)
    for _ in range(20):
        world.tick()
    assert car.get_velocity().length() > 2.0
    place = points[4]
    answers = client.apply_batch_sync(
        [
            carla.command.ApplyTransform(car, place),
            carla.command.ApplyTargetVelocity(car, carla.Vector3D(0.0, 0.0, 0.0)),
            carla.command.ApplyTargetAngularVelocity(car, carla.Vector3D()),
            carla.command.ApplyVehicleControl(car, carla.VehicleControl(brake=1.0)),
            carla.command.ApplyImpulse(car, carla.Vector3D()),
            carla.command.ApplyForce(car, carla.Vector3D()),
            carla.command.ApplyAngularImpulse(car, carla.Vector3D()),
            carla.command.ApplyTorque(car, carla.Vector3D()),
            carla.command.SetEnableGravity(car, True),
            carla.command.SetSimulatePhysics(car, True),
            carla.command.SetVehicleLightState(car.id, 8),  # with the actor itself the wheel sends a bool
            carla.command.ApplyVehiclePhysicsControl(car, car.get_physics_control()),
            carla.command.ApplyVehicleAckermannControl(car, carla.VehicleAckermannControl()),
        ],
        True,
    )
    assert [answer.error for answer in answers] == [""] * len(answers)
    assert {answer.actor_id for answer in answers} == {car.id}
    assert car.get_location().distance(place.location) < 0.6
    assert car.get_light_state() == carla.VehicleLightState.Brake


def test_a_batch_that_nobody_waits_for_ticks(client, world, spawn):
    car = spawn("vehicle.audi.tt")
    before = world.get_snapshot().frame
    client.apply_batch([carla.command.ApplyVehicleControl(car, carla.VehicleControl(throttle=1.0))], True)
    assert world.tick() == before + 2


def test_attached_with_a_batch(client, world, spawn):
    car = spawn("vehicle.audi.tt")
    blueprint = world.get_blueprint_library().find("sensor.other.gnss")
    (answer,) = client.apply_batch_sync([carla.command.SpawnActor(blueprint, at(0.0, 0.0, 2.0), car)], True)
    assert not answer.error
    assert world.get_actor(answer.actor_id).parent.id == car.id


def test_walkers_walk(client, world, spawn):
    walker = spawn("walker.pedestrian.0001")
    for _ in range(20):
        world.tick()
    start = walker.get_location()
    walker.apply_control(carla.WalkerControl(carla.Vector3D(1.0, 0.0, 0.0), 1.5))
    for _ in range(20):
        world.tick()
    end = walker.get_location()
    assert end.x - start.x == pytest.approx(1.5, abs=1e-3)
    assert walker.get_velocity().x == pytest.approx(1.5, abs=1e-3)
    assert walker.get_control().speed == pytest.approx(1.5)
    assert math.isclose(walker.get_transform().rotation.yaw, 0.0, abs_tol=1e-3)
    answers = client.apply_batch_sync(
        [
            carla.command.ApplyWalkerControl(walker, carla.WalkerControl(carla.Vector3D(0.0, 1.0, 0.0), 1.0, True)),
            carla.command.ApplyWalkerState(walker, carla.Transform(start), 0.5),
        ],
        True,
    )
    assert [answer.error for answer in answers] == ["", ""]
    assert walker.get_location().distance(start) < 0.2


def test_walkers_bones(world, spawn):
    walker = spawn("walker.pedestrian.0001")
    bones = walker.get_bones()
    assert [bone.name for bone in bones.bone_transforms] == ["crl_root"]
    given = carla.WalkerBoneControlIn([("crl_hand__R", at(0.1, 0.2, 0.3))])
    walker.set_bones(given)
    walker.blend_pose(0.5)
    assert "crl_hand__R" in [bone.name for bone in walker.get_bones().bone_transforms]
    walker.get_pose_from_animation()
    assert "crl_hand__R" not in [bone.name for bone in walker.get_bones().bone_transforms]


def test_walkers_controller(world, spawn):
    walker = spawn("walker.pedestrian.0001")
    blueprint = world.get_blueprint_library().find("controller.ai.walker")
    controller = world.spawn_actor(blueprint, carla.Transform(), attach_to=walker)
    world.tick()
    assert controller.parent.id == walker.id and isinstance(controller, carla.WalkerAIController)
