"""The noise floor of a group: how far branches drift apart that all do the same, and how much their returns differ then.

Advantages compare branches. What identical actions make of identical branches is the part of an advantage that means nothing, so a group
is worth learning from only where different actions differ by much more. It is measured with the group's own calls and no others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .errors import RequestError
from .spaces import check_action, check_actions
from .tracks import Array, Gaps, Tracks

if TYPE_CHECKING:
    from gymnasium import spaces

    from .group import BranchGroup


class Run(NamedTuple):
    """One run of a group from its start: ``ticks`` [K] since the fork, the egos [G, K], returns [G], and who was not lost [G]."""

    ticks: Array
    tracks: Tracks
    returns: Array
    valid: Array
    identical: bool  # in every step the digests of all branches agreed


@dataclass(frozen=True)
class NoiseFloor:
    """What ``returns`` [G] and egos did under identical actions. ``drift``: the farthest two egos apart at ``ticks`` [K] after the fork.

    ``against`` [G] are the returns of different actions, where those were asked for. Only branches that were not lost are counted.
    """

    ticks: Array
    tracks: Tracks
    drift: Gaps
    returns: Array
    identical: bool
    against: Array | None = None

    @property
    def std(self) -> float:
        """The standard deviation of the returns of identical actions (over G, as GRPO's advantages take it)."""
        return std(self.returns)

    @property
    def spread(self) -> float:
        """The largest of these returns less the smallest."""
        return float(np.ptp(self.returns))

    @property
    def signal(self) -> float:
        """The standard deviation of the returns of different actions; NaN where none were run."""
        return float("nan") if self.against is None else std(self.against)

    @property
    def ratio(self) -> float:
        """``std`` over ``signal``: how much of the difference between branches is noise. 0 is none; NaN where nothing was compared."""
        if self.against is None or (self.std == 0.0 and self.signal == 0.0):
            return float("nan")
        return self.std / self.signal if self.signal else float("inf")


def std(returns: Array) -> float:
    """The standard deviation; 0 where all are equal, without the rounding of their mean."""
    return float(np.std(returns - returns[0]))


def floor(run: Run, against: Run | None = None) -> NoiseFloor:
    """The noise floor that a run of identical actions shows, beside one of different actions. Raises RequestError below two branches."""
    if run.valid.sum() < 2:
        raise RequestError("fewer than two branches are left, so there is nothing to compare; fork again")
    kept = run.tracks.of(run.valid)
    others = None if against is None else against.returns[against.valid]
    return NoiseFloor(run.ticks, kept, kept.drift(), run.returns[run.valid], run.identical, others)


def drive(group: BranchGroup, actions: Array, frame_skip: int) -> Run:
    """Step ``actions`` [G, H, A] in a group that stands at its start, until they or all episodes end."""
    ticks, moments, identical = [0], [Tracks.seen(group.observations)], len(set(group.digests)) == 1
    for step in range(actions.shape[1]):
        out = group.step(actions[:, step])
        ticks.append(ticks[-1] + frame_skip)
        moments.append(Tracks.seen(out.observations))
        identical = identical and len({digest for digest, valid in zip(out.digests, out.valid) if valid}) == 1
        if (out.terminated | out.truncated | ~out.valid).all():
            break
    return Run(np.array(ticks), Tracks.over_time(moments), group.returns, group.valid, identical)


def plan(actions: Any, ticks: int | None, frame_skip: int, space: spaces.Box) -> Array:
    """One branch's actions, [H, A], from one action to hold or a list of them, for ``ticks`` ticks (without: as long as the list is)."""
    if np.ndim(actions) == 1:
        if ticks is None:
            raise RequestError("one action to hold wants ticks: for how long")
        held = check_action(actions, space)
        return np.tile(held, (_steps(ticks, frame_skip), 1))
    checked = check_actions(actions, space, (-1,))
    steps = len(checked) if ticks is None else _steps(ticks, frame_skip)
    if not 1 <= steps <= len(checked):
        raise RequestError(f"{steps} steps of {frame_skip} ticks are wanted, and {len(checked)} actions given")
    return checked[:steps]


def _steps(ticks: int, frame_skip: int) -> int:
    if isinstance(ticks, bool) or not isinstance(ticks, (int, np.integer)) or ticks < 1 or ticks % frame_skip:
        raise RequestError(f"ticks must be a whole number, and a multiple of frame_skip ({frame_skip}); got {ticks!r:.60}")
    return int(ticks) // frame_skip
