"""The environment's name in Gymnasium: ``gymnasium.make("b2d_zmq/Carla-v0", endpoint=...)`` after ``import b2d_zmq``.

Gymnasium 1.x loads no plugins by itself; ``gymnasium.make("b2d_zmq:b2d_zmq/Carla-v0")`` imports the package as well. The environment
checks its own actions and ends its own episodes, so Gymnasium's wrappers for both are left off.
"""

from __future__ import annotations

import gymnasium

ID = "b2d_zmq/Carla-v0"


def register() -> None:
    """Tell Gymnasium; calling it again does nothing. Imports neither the environment nor ZeroMQ."""
    if ID not in gymnasium.registry:
        gymnasium.register(
            ID,
            entry_point="b2d_zmq.env:CarlaEnv",
            vector_entry_point="b2d_zmq.vector:CarlaVectorEnv",
            order_enforce=False,
            disable_env_checker=True,
        )
