"""Vehicles of the stand-in as a real client sees them: controls, physics, lights, doors, telemetry, contacts."""

from __future__ import annotations

import pytest
from standins import dialect, wheel

carla = wheel()

LATER = pytest.mark.skipif(dialect() == "0.9.15", reason="not in 0.9.15")


def ticks(world, count):
    for _ in range(count):
        world.tick()


def test_throttle_steer_brake(world, spawn):
    car = spawn("vehicle.lincoln.mkz_2020")
    start = car.get_transform()
    car.apply_control(carla.VehicleControl(throttle=0.8))
    ticks(world, 40)
    fast = car.get_velocity().length()
    assert 3.0 < fast < 10.0 and car.get_acceleration().length() > 1.0
    car.apply_control(carla.VehicleControl(throttle=0.3, steer=0.5))
    ticks(world, 20)
    turned = (car.get_transform().rotation.yaw - start.rotation.yaw + 180.0) % 360.0 - 180.0
    assert turned > 5.0 and car.get_angular_velocity().z > 1.0
    control = car.get_control()
    assert (control.throttle, control.steer, control.gear) == (pytest.approx(0.3), pytest.approx(0.5), 2)
    car.apply_control(carla.VehicleControl(brake=1.0))
    ticks(world, 40)
    assert car.get_velocity().length() == 0.0


def test_reverse_hand_brake_and_manual_gear(world, spawn):
    car = spawn("vehicle.lincoln.mkz_2020")
    forward = car.get_transform().get_forward_vector()
    car.apply_control(carla.VehicleControl(throttle=0.5, reverse=True))
    ticks(world, 30)
    velocity = car.get_velocity()
    assert velocity.x * forward.x + velocity.y * forward.y < -0.5 and car.get_control().gear == -1
    car.apply_control(carla.VehicleControl(throttle=0.5, hand_brake=True))
    ticks(world, 30)
    assert car.get_velocity().length() == 0.0
    car.apply_control(carla.VehicleControl(throttle=1.0, manual_gear_shift=True, gear=0))
    ticks(world, 10)
    assert car.get_velocity().length() == 0.0
    car.apply_control(carla.VehicleControl(throttle=1.0, manual_gear_shift=True, gear=3))
    ticks(world, 10)
    assert car.get_velocity().length() > 0.5 and car.get_control().gear == 3


def test_ackermann_holds_a_speed(world, spawn):
    car = spawn("vehicle.lincoln.mkz_2020")
    settings = carla.AckermannControllerSettings(speed_kp=0.3)
    car.apply_ackermann_controller_settings(settings)
    assert car.get_ackermann_controller_settings().speed_kp == pytest.approx(0.3)
    car.apply_ackermann_control(carla.VehicleAckermannControl(speed=5.0))
    ticks(world, 100)
    assert car.get_velocity().length() == pytest.approx(5.0, abs=0.6)


def test_physics_control(world, spawn):
    car = spawn("vehicle.lincoln.mkz_2020")
    physics = car.get_physics_control()
    assert len(physics.wheels) == 4 and physics.wheels[0].max_steer_angle == pytest.approx(38.0)
    assert physics.wheels[0].position.distance(100.0 * car.get_location()) < 300.0
    physics.mass = 2000.0
    car.apply_physics_control(physics)
    assert car.get_physics_control().mass == 2000.0
    bike = spawn("vehicle.bh.crossbike", point=4)
    assert len(bike.get_physics_control().wheels) == 2


def test_lights(world, spawn):
    car = spawn("vehicle.lincoln.mkz_2020")
    assert int(car.get_light_state()) == 0
    car.set_light_state(carla.VehicleLightState(carla.VehicleLightState.Brake | carla.VehicleLightState.LeftBlinker))
    assert int(car.get_light_state()) == 40
    assert dict(world.get_vehicles_light_states())[car.id] == 40


def test_doors_and_wheels(world, spawn):
    car = spawn("vehicle.lincoln.mkz_2020")
    car.open_door(carla.VehicleDoor.All)
    car.close_door(carla.VehicleDoor.FL)
    car.apply_control(carla.VehicleControl(steer=1.0, brake=1.0))
    ticks(world, 20)
    assert car.get_wheel_steer_angle(carla.VehicleWheelLocation.FL_Wheel) == pytest.approx(38.0, abs=0.5)
    assert car.get_wheel_steer_angle(carla.VehicleWheelLocation.BL_Wheel) == 0.0
    car.set_simulate_physics(False)
    car.set_wheel_steer_direction(carla.VehicleWheelLocation.FR_Wheel, 12.0)
    assert car.get_wheel_steer_angle(carla.VehicleWheelLocation.FR_Wheel) == pytest.approx(12.0)
    car.show_debug_telemetry(True)


@LATER
def test_telemetry(world, spawn):
    car = spawn("vehicle.lincoln.mkz_2020")
    car.apply_control(carla.VehicleControl(throttle=0.8))
    ticks(world, 40)
    data = car.get_telemetry_data()
    assert data.speed == pytest.approx(car.get_velocity().length(), abs=0.2)
    assert data.gear == 2 and len(data.wheels) == 4
    assert car.get_wheel_pitch_angle(carla.VehicleWheelLocation.FL_Wheel) == 0.0
    car.set_wheel_pitch_angle(carla.VehicleWheelLocation.FL_Wheel, 1.0)
    car.restore_physx_physics()


def test_foreign_physics_do_no_harm(world, spawn):
    car = spawn("vehicle.lincoln.mkz_2020")
    car.enable_carsim("")
    car.use_carsim_road(True)
    car.enable_chrono_physics(100, 0.01, "", "", "", "")
    ticks(world, 2)
    assert car.get_location().length() > 0.0


def test_a_moving_car_pushes_a_standing_one(world, spawn):
    car = spawn("vehicle.lincoln.mkz_2020")
    ticks(world, 15)
    ahead = car.get_transform()
    forward = ahead.get_forward_vector()
    place = carla.Transform(ahead.location + 8.0 * forward + carla.Location(z=0.5), ahead.rotation)
    other = world.spawn_actor(world.get_blueprint_library().find("vehicle.audi.tt"), place)
    ticks(world, 15)
    stood = other.get_location()
    car.set_target_velocity(10.0 * forward)
    ticks(world, 10)
    assert other.get_velocity().length() > 3.0 and car.get_velocity().length() < 7.0
    assert other.get_location().distance(stood) > 0.3
    assert car.get_location().distance(other.get_location()) > 4.3


def test_a_prop_stops_a_car(world, spawn):
    car = spawn("vehicle.lincoln.mkz_2020")
    ticks(world, 15)
    ahead = car.get_transform()
    forward = ahead.get_forward_vector()
    place = carla.Transform(ahead.location + 6.0 * forward, ahead.rotation)
    world.spawn_actor(world.get_blueprint_library().find("static.prop.streetbarrier"), place)
    car.set_target_velocity(10.0 * forward)
    ticks(world, 20)
    assert car.get_velocity().length() < 1.0
    assert car.get_location().distance(place.location) > 2.0


def test_failure_state_and_speed_limit(world, spawn):
    car = spawn("vehicle.lincoln.mkz_2020")
    assert car.get_failure_state() == carla.VehicleFailureState.NONE
    assert 20.0 <= car.get_speed_limit() <= 130.0
    assert not car.is_at_traffic_light() or car.get_traffic_light() is not None
