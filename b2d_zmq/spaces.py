"""Observation and action spaces, and how a worker announces them on the wire.

The layout of an observation is the predecessor's: three cameras by default, ``vehicle_state``, ``scenario_info``, ``navigation``.
A space travels as a small map; the profile is a hash over it, so that only workers of one profile share snapshots and groups.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any, Dict, Mapping, Sequence, Tuple

import msgpack
import numpy as np
from gymnasium import spaces

from .codec import ALLOWED
from .errors import InvalidAction, ProtocolError

MAX_BYTES = 2**26  # of an observation of an announced space; the bounds of its boxes are built in full

COMMANDS = ("left", "right", "straight", "follow lane", "change lane left", "change lane right")
"""The meaning of ``navigation["command"]``: CARLA's RoadOption less one, as Bench2Drive's agents count it."""


def action_space() -> spaces.Box:
    """[throttle, brake, steer], float32; steer is positive to the right, as in CARLA."""
    return spaces.Box(np.array([0.0, 0.0, -1.0], np.float32), np.array([1.0, 1.0, 1.0], np.float32), dtype=np.float32)


def observation_space(images: Mapping[str, Tuple[int, int]]) -> spaces.Dict:
    """The observation of a rig; ``images`` maps a camera's observation key to (height, width).

    Images are RGB uint8 [H, W, 3]. Positions are metres in CARLA's left-handed world (z up), rotations degrees as [pitch, yaw, roll],
    velocities metres per second in the world. ``navigation["command"]`` indexes COMMANDS.
    """

    def box(low: float, high: float, n: int) -> spaces.Box:
        return spaces.Box(low, high, (n,), np.float32)

    inf = float("inf")
    parts: Dict[str, spaces.Space[Any]] = {key: spaces.Box(0, 255, (height, width, 3), np.uint8) for key, (height, width) in images.items()}
    parts["vehicle_state"] = spaces.Dict(
        {"position": box(-inf, inf, 3), "rotation": box(-360, 360, 3), "velocity": box(-inf, inf, 3), "speed": box(0, inf, 1)}
    )
    parts["scenario_info"] = spaces.Dict({"route_id": box(-inf, inf, 1), "step_count": box(0, inf, 1), "max_steps": box(0, inf, 1)})
    parts["navigation"] = spaces.Dict(
        {"command": spaces.Discrete(len(COMMANDS)), "distance_to_goal": box(0, inf, 1), "route_completion": box(0, 1, 1)}
    )
    return spaces.Dict(parts)


def check_action(action: Any, space: spaces.Box) -> np.ndarray[Any, Any]:
    """The action as a float32 array of the space's shape. Raises InvalidAction for anything else; integers and float64 are cast."""
    return check_actions(action, space, ())


def check_actions(actions: Any, space: spaces.Box, leading: Sequence[int]) -> np.ndarray[Any, Any]:
    """Like check_action, for an array with leading dimensions, such as [G] or [G, H]; -1 admits any length."""
    wanted = f"{list(leading) + list(space.shape)} (low {space.low.tolist()}, high {space.high.tolist()})"
    try:
        given = np.asarray(actions)
    except ValueError as error:
        raise InvalidAction(f"an action of shape {wanted} is wanted; the given one is ragged ({error})") from None
    if given.dtype.kind not in "fiu":
        raise InvalidAction(f"an action of numbers is wanted, shape {wanted}; got dtype {given.dtype}")
    full = (*leading, *space.shape)
    if given.ndim != len(full) or any(w not in (-1, g) for w, g in zip(full, given.shape)):
        raise InvalidAction(f"an action of shape {wanted} is wanted; got {list(given.shape)}")
    with np.errstate(over="ignore"):  # what is too large is infinite then, and refused
        action = given.astype(np.float32)
    if not np.isfinite(action).all():
        raise InvalidAction("an action with NaN or infinity in it")
    if (action < space.low).any() or (action > space.high).any():
        raise InvalidAction(f"an action out of range: {action.tolist() if action.size <= 12 else '...'} is not within {wanted}")
    return action


def to_wire(space: spaces.Space[Any]) -> Dict[str, Any]:
    """A Dict, Box or Discrete space as plain values."""
    if isinstance(space, spaces.Dict):
        return {"type": "dict", "keys": [[key, to_wire(part)] for key, part in space.spaces.items()]}
    if isinstance(space, spaces.Discrete):
        return {"type": "discrete", "n": int(space.n)}
    if isinstance(space, spaces.Box):
        low, high = _bound(space.low), _bound(space.high)
        return {"type": "box", "low": low, "high": high, "shape": list(space.shape), "dtype": np.dtype(space.dtype).str}
    raise TypeError(f"{type(space).__name__} spaces do not travel; use Dict, Box and Discrete")


def from_wire(wire: Mapping[str, Any]) -> spaces.Space[Any]:
    """The space that ``to_wire`` wrote. Raises ProtocolError."""
    try:
        _check_room(wire, MAX_BYTES)
        return _space(wire)
    except (
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        ArithmeticError,
        AssertionError,
        RecursionError,
    ) as error:  # gymnasium asserts
        raise ProtocolError(f"a worker announced a space that cannot be read: {error!r:.400}") from None


def _space(wire: Mapping[str, Any]) -> spaces.Space[Any]:
    if wire["type"] == "dict":
        return spaces.Dict({str(key): _space(part) for key, part in wire["keys"]})
    if wire["type"] == "discrete":
        return spaces.Discrete(int(wire["n"]))
    shape, dtype = _box(wire)
    with np.errstate(over="ignore", invalid="ignore"):
        low, high = (np.broadcast_to(np.asarray(wire[k]).astype(dtype), shape).copy() for k in ("low", "high"))
    return spaces.Box(low, high, shape, dtype.type)


def _check_room(wire: Mapping[str, Any], room: int) -> int:
    """The bytes that are left of ``room`` beside an observation of this space; raises ValueError where there are none."""
    if wire["type"] == "dict":
        for _, part in wire["keys"]:
            room = _check_room(part, room)
    elif wire["type"] != "discrete":
        shape, dtype = _box(wire)
        room -= math.prod(shape) * dtype.itemsize
    if room < 0:
        raise ValueError(f"its observations have more than {MAX_BYTES} bytes")
    return room


def _box(wire: Mapping[str, Any]) -> Tuple[Tuple[int, ...], np.dtype[Any]]:
    shape, dtype = tuple(int(n) for n in wire["shape"]), wire["dtype"]
    # numpy is not asked what any other text might mean: it would parse it as Python
    if wire["type"] != "box" or not isinstance(dtype, str) or dtype not in ALLOWED or any(n < 0 for n in shape):
        raise ValueError(f"type {wire['type']!r}, dtype {dtype!r}, shape {shape}")
    return shape, np.dtype(dtype)


def profile(backend: str, version: str, observation: spaces.Space[Any], action: spaces.Space[Any]) -> str:
    """What two workers must share so that one's snapshot and spaces fit the other, as a short hash."""
    told = msgpack.packb([backend, version, to_wire(observation), to_wire(action)])
    return hashlib.blake2b(told, digest_size=6).hexdigest()


def _bound(values: np.ndarray[Any, Any]) -> Any:
    flat = values.ravel()
    if flat.size and (flat == flat[0]).all():
        return flat[0].item()
    return values.tolist()
