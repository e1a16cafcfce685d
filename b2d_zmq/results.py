"""What a step and a rollout of a group give: plain parts with a leading G, and how they are put together from single answers.

Values in, values out: no session, no lease. A branch that was lost is NaN or 0 here, masked by ``valid``; see group.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import numpy as np
from gymnasium import spaces

from .batch import stack
from .outcomes import Outcome, Trajectory


@dataclass
class GroupStep:
    """One step of a group of G; every part has a leading G. Mask by ``valid``. ``returns`` are the rewards summed since the fork."""

    observations: Any
    rewards: np.ndarray[Any, Any]
    terminated: np.ndarray[Any, Any]
    truncated: np.ndarray[Any, Any]
    valid: np.ndarray[Any, Any]
    infos: List[Dict[str, Any]]
    returns: np.ndarray[Any, Any]
    digests: List[str]


@dataclass
class GroupRollout(GroupStep):
    """H steps of a group: ``rewards`` is [G, H], 0 behind the ``lengths`` [G] steps that a branch really took, NaN where it was lost.

    ``terminated``, ``truncated``, ``infos`` and ``digests`` tell of each branch's last step. ``observations``: the last of each branch, or
    all, [G, H, ...], the last one repeated behind the end.
    """

    lengths: np.ndarray[Any, Any]


def last(trajectory: Trajectory) -> Outcome:
    """The outcome of a trajectory's last step."""
    ended = bool(trajectory.terminated[-1]), bool(trajectory.truncated[-1])
    reward, seconds = float(trajectory.rewards[-1]), trajectory.simulator_seconds
    return Outcome(trajectory.observations[-1], reward, *ended, trajectory.info, trajectory.digests[-1], trajectory.tick, seconds)


def tables(done: Mapping[int, Trajectory], valid: np.ndarray[Any, Any], steps: int) -> Tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """``rewards`` [G, H] and ``lengths`` [G] of a rollout."""
    rewards, lengths = np.zeros((len(valid), steps)), np.zeros(len(valid), np.int64)
    rewards[~valid] = np.nan
    for i, trajectory in done.items():
        lengths[i] = len(trajectory.rewards)
        rewards[i, : lengths[i]] = trajectory.rewards
    return rewards, lengths


def films(space: spaces.Space[Any], done: Mapping[int, Trajectory], lasts: Sequence[Outcome | None], steps: int) -> Any:
    """All observations, [G, H, ...]: stacked over G times H at once, then folded. ``lasts``: each branch's last outcome, if any."""
    flat: List[Any] = []
    for i, outcome in enumerate(lasts):
        seen = done[i].observations if i in done else []
        flat += seen + [outcome and outcome.observation] * (steps - len(seen))
    return _fold(stack(space, flat), (len(lasts), steps))


def _fold(batch: Any, shape: Tuple[int, int]) -> Any:
    if isinstance(batch, dict):
        return {key: _fold(part, shape) for key, part in batch.items()}
    return batch.reshape(*shape, *batch.shape[1:])
