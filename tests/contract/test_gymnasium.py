"""Gymnasium's own checker over CarlaEnv, on a farm of toy worlds and on one of the embedded world."""

import warnings

import gymnasium
import pytest
import toyfarm
from gymnasium.utils.env_checker import check_env

from b2d_zmq.local import LocalFarm

SPACE_BOUNDS = (  # the positions of a world have no bounds, and throttle is no steering wheel: see b2d_zmq/spaces.py
    ".*A Box observation space m(in|ax)imum value is -?infinity.*",
    ".*For Box action spaces, we recommend using a symmetric and normalized space.*",
)


def checked(farm, render_mode):
    env = gymnasium.make("b2d_zmq/Carla-v0", endpoint=farm.endpoint, render_mode=render_mode, wait=20.0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for message in SPACE_BOUNDS:
                warnings.filterwarnings("ignore", message)
            check_env(env, skip_render_check=render_mode is None)
    finally:
        env.close()


def test_check_env_with_a_camera_in_every_render_mode():
    pytest.importorskip("matplotlib").use("agg")
    with toyfarm.running(2) as farm:
        checked(farm, "rgb_array")


def test_check_env_on_the_embedded_world():
    with LocalFarm(2, sensors="state") as farm:
        checked(farm, None)
