"""Many observations or infos into one: nested dicts of C-contiguous arrays with a leading dimension.

A missing observation (None: a lost branch) is NaN in float arrays and 0 in integer ones; whoever reads a batch masks it by ``valid``.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping, Sequence

import numpy as np
from gymnasium import spaces

from .errors import ProtocolError


def stack(space: spaces.Space[Any], observations: Sequence[Any]) -> Any:
    """The batch of these observations of ``space``: [n, ...] arrays in nested dicts; int64 [n] for Discrete."""
    try:
        return _stack(space, observations)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ProtocolError(f"an observation does not fit the space that its worker announced: {error!r}") from None


def _stack(space: spaces.Space[Any], observations: Sequence[Any]) -> Any:
    if isinstance(space, spaces.Dict):
        batch: Dict[str, Any] = {}
        for key, part in space.spaces.items():
            batch[key] = _stack(part, [None if one is None else one[key] for one in observations])
        return batch
    shape, dtype = tuple(space.shape or ()), np.dtype(space.dtype)
    result = np.empty((len(observations), *shape), dtype)
    missing = np.nan if dtype.kind == "f" else 0
    for i, one in enumerate(observations):
        if one is not None and np.shape(one) != shape:
            raise ValueError(f"{np.shape(one)} instead of {shape}")
        result[i] = missing if one is None else one
    return result


def member(batch: Any, i: int) -> Any:
    """Observation ``i`` of a batch: views without the leading dimension."""
    if isinstance(batch, Mapping):
        return {key: member(part, i) for key, part in batch.items()}
    return batch[i]


def same(one: Any, other: Any) -> bool:
    """Whether two observations are alike in every bit."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return np.asarray(one).tobytes() == np.asarray(other).tobytes()


def gather_infos(infos: Sequence[Mapping[str, Any] | None]) -> Dict[str, Any]:
    """Gymnasium's form of the infos of n sub-environments: key -> array [n], ``_key`` -> bool [n], who has it; dicts nest.

    Numbers and arrays of one shape become arrays of their own dtype; everything else, and arrays that differ in shape, object arrays.
    """
    result: Dict[str, Any] = {}
    for key in dict.fromkeys(key for info in infos if info is not None for key in info):
        has = np.array([info is not None and key in info for info in infos])
        values = [info[key] for info in infos if info is not None and key in info]
        if key != "final_obs" and all(isinstance(value, dict) for value in values):
            result[key] = gather_infos([info[key] if info is not None and key in info else None for info in infos])
        else:
            result[key] = _column(values, has, whole=key != "final_obs")
        result["_" + key] = has
    return result


def _column(values: Sequence[Any], has: np.ndarray[Any, Any], whole: bool) -> np.ndarray[Any, Any]:
    numbers = all(isinstance(value, (bool, int, float, np.number, np.bool_, np.ndarray)) for value in values)
    arrays = [np.asarray(value) for value in values] if whole and numbers else []
    if arrays and all(one.shape == arrays[0].shape for one in arrays):
        column = np.zeros((len(has), *arrays[0].shape), np.result_type(*arrays))
    else:
        column = np.full(len(has), None, object)
    for i, value in zip(np.flatnonzero(has), values):
        column[i] = value
    return column
