"""CarlaVectorEnv: N episodes on N workers of one farm, as a Gymnasium vector environment.

Requests go to all workers before any answer is waited for. Autoreset is DISABLED unless asked for otherwise: a sub-environment that ended
stays ended (its last observation, reward 0) until it is reset, by ``reset`` or by ``options={"reset_mask": bool [N]}``. An episode whose
worker is lost is lived again on another one, unless ``on_loss`` is "raise"; then, and where there is none, the error raises, and the
sub-environment takes another worker at its next reset. No observation is ever made up.
"""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple, Union

import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from . import arguments
from .batch import gather_infos, stack
from .client import Client, Pending
from .errors import B2DError, NoEpisode, RequestError, WrongMode
from .resume import Source
from .session import budgets_with
from .snapshot import Snapshot
from .spaces import check_actions, from_wire
from .subenv import SubEnv
from .window import first_picture

Observations = Dict[str, Any]


class CarlaVectorEnv(VectorEnv[Observations, np.ndarray, np.ndarray]):
    """``num_envs`` sub-environments on the farm at ``endpoint``; their leases are acquired all or none at the first reset.

    The other arguments are those of CarlaEnv. ``reset`` takes a seed (sub-environment i gets seed + i) or a list of them, and options for
    all, or ``{"per_env": [options of each]}``. An automatic reset uses the sub-environment's last options and a drawn seed.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        num_envs: int = 4,
        *,
        autoreset_mode: Union[str, AutoresetMode] = AutoresetMode.DISABLED,
        render_mode: str | None = None,
        max_steps: int = 1000,
        frame_skip: int = 1,
        reward_type: str = "dense",
        reward_weights: Mapping[str, float] | None = None,
        timeout: float = 30.0,
        wait: float = 60.0,
        budgets: Mapping[str, float] | None = None,
        label: str | None = None,
        client: Client | None = None,
        tier: str | None = None,
        on_loss: str = "resume",
        curve_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        self.closed = True  # until it stands, so that a failure below leaves nothing to close
        if render_mode not in (None, "rgb_array"):
            raise RequestError(f"no render mode {render_mode!r}; a vector environment has 'rgb_array' and None")
        self.num_envs, self.frame_skip = arguments.whole("num_envs", num_envs), arguments.whole("frame_skip", frame_skip)
        self.render_mode, self.wait = render_mode, arguments.seconds("wait", wait)
        self.autoreset_mode = _mode(autoreset_mode)
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": 20, "autoreset_mode": self.autoreset_mode}
        max_steps = arguments.whole("max_steps", max_steps)
        self._defaults = {"max_steps": max_steps, "reward_type": reward_type, "reward_weights": dict(reward_weights or {})}
        self._budgets, self.on_loss = budgets_with(budgets), arguments.on_loss(on_loss)
        self._owns_client = client is None
        self.client = client or Client(endpoint, timeout=timeout, label=label, curve_dir=curve_dir)
        self.closed = False
        self.description, self.tier = self._describe(tier)
        self.single_observation_space = from_wire(self.description.get("observation_space", {}))
        self.single_action_space: spaces.Box = from_wire(self.description.get("action_space", {}))  # type: ignore[assignment]
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._amid = False  # requests are on their way, and were not all answered yet
        self._subs = [SubEnv(i, self.client, self._budgets, self._defaults) for i in range(num_envs)]

    def reset(
        self, *, seed: Union[int, Sequence[int], None] = None, options: Dict[str, Any] | None = None
    ) -> Tuple[Observations, Dict[str, Any]]:
        """Begin an episode in every sub-environment, or in those of ``options["reset_mask"]`` (bool [N], at least one True)."""
        seeds, (mask, each) = self._seeds(seed), self._options(options)
        chosen = [sub for sub in self._subs if mask[sub.index]]
        for sub in chosen:
            if seeds[sub.index] is not None:
                sub.random, _ = seeding.np_random(seeds[sub.index])
        self._equip(chosen)
        self._exchange(chosen, lambda sub: sub.send_reset(seeds[sub.index], each[sub.index]))
        if any(sub.observation is None for sub in self._subs):
            raise NoEpisode("the first reset must be of all sub-environments; a reset_mask can follow")
        return self._observations(), gather_infos([sub.info if mask[sub.index] else None for sub in self._subs])

    def step(self, actions: Any) -> Tuple[Observations, np.ndarray, np.ndarray, np.ndarray, Dict[str, Any]]:
        """One step of each: ``actions`` f32 [N, A]. What happens to those that ended is the autoreset mode's to say."""
        checked = check_actions(actions, self.single_action_space, (self.num_envs,))
        self._require_episodes()
        again = self.autoreset_mode is AutoresetMode.NEXT_STEP
        for sub in self._subs:
            sub.reward = 0.0

        def send(sub: SubEnv) -> Pending:
            return sub.send_reset(None, sub.options) if sub.ended else sub.send_step(checked[sub.index], self.frame_skip)

        self._exchange([sub for sub in self._subs if again or not sub.ended], send)
        rewards = np.array([sub.reward for sub in self._subs], np.float64)
        terminated = np.array([sub.terminated for sub in self._subs])
        truncated = np.array([sub.truncated for sub in self._subs])
        infos: List[Dict[str, Any] | None] = [sub.info for sub in self._subs]
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            infos = self._begin_again(infos)
        return self._observations(), rewards, terminated, truncated, gather_infos(infos)

    def render(self) -> Tuple[Any, ...] | None:
        """The first camera's picture of each, uint8 [H, W, 3]; None without a render mode."""
        if self.render_mode is None:
            return None
        self._require_episodes()
        return tuple(first_picture(self.single_observation_space, sub.observation) for sub in self._subs)

    def save_snapshots(self) -> List[str]:
        """Keep a snapshot of each sub-environment, and give their ids."""
        self._require_episodes()
        self._exchange(self._subs, SubEnv.send_snapshot, SubEnv.keep)
        return [sub.latest().id for sub in self._subs]

    def restore_snapshots(self, ids: Sequence[Union[str, Snapshot, None]]) -> Tuple[Observations, Dict[str, Any]]:
        """Restore snapshot ``ids[i]``, whichever sub-environment took it, in sub-environment i; None leaves it alone."""
        if len(ids) != self.num_envs:
            raise RequestError(f"{self.num_envs} snapshots (or None) are wanted, one per sub-environment; got {len(ids)}")
        wanted = [None if one is None else self._snapshot(one) for one in ids]
        return self._restore({i: one for i, one in enumerate(wanted) if one is not None})

    def reset_from_snapshots(self) -> Tuple[Observations, Dict[str, Any]]:
        """Restore in each sub-environment its own latest snapshot."""
        return self._restore({sub.index: sub.latest() for sub in self._subs})

    def fork_from_snapshot(self, source: int, targets: Sequence[int]) -> Tuple[Observations, Dict[str, Any]]:
        """Restore the latest snapshot of sub-environment ``source`` in all ``targets``."""
        for i in (source, *targets):
            if not 0 <= i < self.num_envs:
                raise RequestError(f"no sub-environment {i}; there are 0 to {self.num_envs - 1}")
        return self._restore({i: self._subs[source].latest() for i in targets})

    def get_statistics(self) -> Dict[str, Any]:
        """num_envs, total_steps, total_reward and average_reward of the present episodes, snapshots_per_env."""
        total = sum(sub.total for sub in self._subs)
        return {
            "num_envs": self.num_envs,
            "total_steps": sum(sub.steps for sub in self._subs),
            "total_reward": total,
            "average_reward": total / self.num_envs,
            "snapshots_per_env": [len(sub.snapshots) for sub in self._subs],
        }

    @property
    def snapshots(self) -> List[List[str]]:
        """The ids of the snapshots of each sub-environment, oldest first."""
        return [list(sub.snapshots) for sub in self._subs]

    def close_extras(self, **kwargs: Any) -> None:
        """Give all leases back; called by close."""
        if self._owns_client:
            self.client.close()
        else:
            self.client.release([sub.session.lease for sub in self._subs if sub.session is not None])

    def _describe(self, tier: str | None) -> Tuple[Dict[str, Any], str]:
        """What a worker can do, and the tier of this environment's restores."""
        try:
            description = self.client.describe(wait=self.wait)
            return description, arguments.tier(tier, description.get("tiers", ()))
        except BaseException:
            if self._owns_client:
                self.client.close()
            self.closed = True
            raise

    def _equip(self, subs: Sequence[SubEnv]) -> None:
        """A lease for each that has none, or whose worker was lost; all or none."""
        bare = [sub for sub in subs if sub.session is None or sub.session.lost is not None]
        if bare:
            self.client.release([sub.session.lease for sub in bare if sub.session is not None])
            profile = str(self.description.get("profile", ""))
            leases = self.client.acquire(len(bare), wait=self.wait, profile=profile)
            for sub, lease in zip(bare, leases):
                sub.take(lease, Source(profile, self.wait) if self.on_loss == "resume" else None)

    def _exchange(
        self, subs: Sequence[SubEnv], send: Callable[[SubEnv], Pending], fold: Callable[[SubEnv, Pending], None] = SubEnv.finish
    ) -> None:
        """Ask all and fold all answers in; the first error is raised afterwards, when those without one are where they say they are."""
        if self._amid and len(subs) < self.num_envs:
            raise WrongMode("a call was interrupted, so the sub-environments are no longer in step; reset all of them")
        self._amid = True
        flight = [(sub, send(sub)) for sub in subs]
        self.client.wait([pending for _, pending in flight])
        first: B2DError | None = None
        for sub, pending in flight:
            try:
                fold(sub, pending)
            except B2DError as error:
                first = first or error
        self._amid = False
        if first is not None:
            raise first

    def _begin_again(self, infos: Sequence[Dict[str, Any] | None]) -> List[Dict[str, Any] | None]:
        ended = [sub for sub in self._subs if sub.ended]
        finals = {sub.index: {"final_obs": sub.observation, "final_info": sub.info} for sub in ended}
        self._exchange(ended, lambda sub: sub.send_reset(None, sub.options))
        return [{**sub.info, **finals[sub.index]} if sub.index in finals else infos[sub.index] for sub in self._subs]

    def _restore(self, snapshots: Mapping[int, Snapshot]) -> Tuple[Observations, Dict[str, Any]]:
        subs = [self._subs[i] for i in sorted(snapshots)]
        self._equip(subs)
        self._exchange(subs, lambda sub: sub.send_restore(snapshots[sub.index], self.tier))
        self._require_episodes()
        return self._observations(), gather_infos([sub.info if sub.index in snapshots else None for sub in self._subs])

    def _observations(self) -> Observations:
        batch: Observations = stack(self.single_observation_space, [sub.observation for sub in self._subs])
        return batch

    def _snapshot(self, wanted: Union[str, Snapshot]) -> Snapshot:
        if isinstance(wanted, Snapshot):
            return wanted
        for sub in self._subs:
            if wanted in sub.snapshots:
                return sub.snapshots[wanted]
        raise RequestError(f"no snapshot {wanted!r} was saved here; save_snapshots gives the ids")

    def _require_episodes(self) -> None:
        if any(sub.observation is None for sub in self._subs):
            raise NoEpisode("no episodes are under way; call reset() first")
        if self._amid:
            raise WrongMode("a call was interrupted, so the sub-environments are no longer in step; reset all of them")
        for sub in self._subs:
            if sub.session is not None:
                sub.session.require_certain()

    def _seeds(self, seed: Union[int, Sequence[int], None]) -> List[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, (list, tuple, np.ndarray)):
            if len(seed) != self.num_envs:
                raise RequestError(f"{self.num_envs} seeds are wanted, one per sub-environment; got {len(seed)}")
            return [None if one is None else arguments.seed(one) for one in seed]
        first = arguments.seed(seed)
        return [arguments.seed(first + i) for i in range(self.num_envs)]

    def _options(self, options: Dict[str, Any] | None) -> Tuple[np.ndarray, List[Dict[str, Any]]]:
        rest = dict(options or {})
        mask = rest.pop("reset_mask", np.ones(self.num_envs, np.bool_))
        if not isinstance(mask, np.ndarray) or mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise RequestError(f"reset_mask must be a numpy bool array of shape ({self.num_envs},) with at least one True")
        each = rest.pop("per_env", [{}] * self.num_envs)
        if not isinstance(each, (list, tuple)) or len(each) != self.num_envs or not all(isinstance(one, dict) for one in each):
            raise RequestError(f"per_env must be a list of {self.num_envs} dicts of options")
        return mask, [{**rest, **one} for one in each]


def _mode(mode: Union[str, AutoresetMode]) -> AutoresetMode:
    try:
        return AutoresetMode(mode)
    except ValueError:
        raise RequestError(f"no autoreset mode {mode!r}; there are {', '.join(repr(one.value) for one in AutoresetMode)}") from None
