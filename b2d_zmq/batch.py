"""Many observations into one: nested dicts of C-contiguous arrays with a leading dimension.

A missing observation (None: a lost branch) is NaN in float arrays and 0 in integer ones; whoever reads a batch masks it by ``valid``.
"""

from __future__ import annotations

from typing import Any, Dict, Sequence

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
