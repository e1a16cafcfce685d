"""The sensors of the blueprint library with all their attributes. Defaults are CARLA's."""

from __future__ import annotations

from typing import Dict, Tuple

from .blueprint import Attribute, Blueprint, role

_Table = Dict[str, str]

_TICK: _Table = {"sensor_tick": "0.0"}
_IMAGE: _Table = {"fov": "90.0"}
_LENS: _Table = {
    "lens_circle_falloff": "5.0",
    "lens_circle_multiplier": "0.0",
    "lens_k": "-1.0",
    "lens_kcube": "0.0",
    "lens_x_size": "0.08",
    "lens_y_size": "0.08",
}
_PHOTO: _Table = {
    "bloom_intensity": "0.675",
    "lens_flare_intensity": "0.1",
    "gamma": "2.2",
    "shutter_speed": "200.0",
    "iso": "100.0",
    "fstop": "1.4",
    "min_fstop": "1.2",
    "exposure_compensation": "0.0",
    "exposure_min_bright": "10.0",
    "exposure_max_bright": "12.0",
    "exposure_speed_up": "3.0",
    "exposure_speed_down": "1.0",
    "calibration_constant": "16.0",
    "focal_distance": "1000.0",
    "blur_amount": "1.0",
    "blur_radius": "0.0",
    "motion_blur_intensity": "0.45",
    "motion_blur_max_distortion": "0.35",
    "motion_blur_min_object_screen_size": "0.1",
    "slope": "0.88",
    "toe": "0.55",
    "shoulder": "0.26",
    "black_clip": "0.0",
    "white_clip": "0.04",
    "temp": "6500.0",
    "tint": "0.0",
    "chromatic_aberration_intensity": "0.0",
    "chromatic_aberration_offset": "0.0",
}
_EVENTS: _Table = {
    "positive_threshold": "0.3",
    "negative_threshold": "0.3",
    "sigma_positive_threshold": "0.0",
    "sigma_negative_threshold": "0.0",
    "log_eps": "0.001",
}
_LIDAR: _Table = {"range": "10.0", "rotation_frequency": "10.0", "upper_fov": "10.0", "lower_fov": "-30.0", "horizontal_fov": "360.0"}
_LOSS: _Table = {
    "atmosphere_attenuation_rate": "0.004",
    "dropoff_general_rate": "0.45",
    "dropoff_intensity_limit": "0.8",
    "dropoff_zero_intensity": "0.4",
    "noise_stddev": "0.0",
}
_GNSS: _Table = {f"noise_{axis}_{kind}": "0.0" for axis in ("alt", "lat", "lon") for kind in ("bias", "stddev")}
_IMU: _Table = {f"noise_{kind}_{axis}": "0.0" for kind in ("accel_stddev", "gyro_bias", "gyro_stddev") for axis in "xyz"}
_RADAR: _Table = {"horizontal_fov": "30.0", "vertical_fov": "30.0", "range": "100.0"}
_OBSTACLE: _Table = {"distance": "5.0", "hit_radius": "0.5"}

_SIZE = (Attribute("image_size_x", "int", "800"), Attribute("image_size_y", "int", "600"))
_SEED = (Attribute("noise_seed", "int", "0"),)
_MODE = (
    Attribute("enable_postprocess_effects", "bool", "true"),
    Attribute("blade_count", "int", "5"),
    Attribute("exposure_mode", "string", "histogram", ("manual", "histogram"), True, True),
)
_DVS = (Attribute("refractory_period_ns", "int", "0"), Attribute("use_log", "bool", "true"))
_RAYS = (Attribute("channels", "int", "32"), Attribute("points_per_second", "int", "56000"))
_RADAR_RAYS = (Attribute("points_per_second", "int", "1500"),)
_OBSTACLE_MODE = (Attribute("only_dynamics", "bool", "false"), Attribute("debug_linetrace", "bool", "false"))


def _floats(*tables: _Table) -> Tuple[Attribute, ...]:
    return tuple(Attribute(name, "float", value) for table in tables for name, value in table.items())


def _sensor(name: str, *attributes: Attribute) -> Blueprint:
    return Blueprint("sensor." + name, (role("front", "back", "left", "right"), *attributes), solid=False)


def _camera(name: str, *more: Attribute) -> Blueprint:
    return _sensor("camera." + name, *_SIZE, *_floats(_IMAGE, _LENS, _TICK), *more)


SENSORS: Tuple[Blueprint, ...] = (
    _camera("rgb", *_floats(_PHOTO), *_MODE),
    _camera("dvs", *_floats(_PHOTO), *_MODE, *_floats(_EVENTS), *_DVS),
    _camera("depth"),
    _camera("semantic_segmentation"),
    _camera("instance_segmentation"),
    _camera("normals"),
    _camera("optical_flow"),
    _sensor("lidar.ray_cast", *_RAYS, *_floats(_LIDAR, _LOSS, _TICK), *_SEED),
    _sensor("lidar.ray_cast_semantic", *_RAYS, *_floats(_LIDAR, _TICK)),
    _sensor("other.radar", *_RADAR_RAYS, *_floats(_RADAR, _TICK), *_SEED),
    _sensor("other.gnss", *_floats(_GNSS, _TICK), *_SEED),
    _sensor("other.imu", *_floats(_IMU, _TICK), *_SEED),
    _sensor("other.obstacle", *_floats(_OBSTACLE, _TICK), *_OBSTACLE_MODE),
    _sensor("other.collision"),
    _sensor("other.lane_invasion"),
)
