"""GRPOCarlaEnv: the predecessor's interface to snapshots and branches, over CarlaEnv and BranchGroup.

Same names, modes and statuses; docs/predecessor.md tells each difference. What was wrong there is gone: every branch is restored by one
procedure, a lost worker is never a reward nor an end of the episode, and a set-up in the background admits no steps meanwhile.
New code will find CarlaEnv and BranchGroup simpler.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Dict, List, Sequence, Tuple, Type

import numpy as np

from . import arguments
from .batch import member
from .crew import Crew
from .endpoint import usual_endpoint
from .env import CarlaEnv, Observation
from .errors import B2DError, NoFreeWorker, RequestError, WorkerLost, WrongMode
from .group import BranchGroup
from .modes import EnvStatus, ExecutionMode, StatusInfo
from .window import Window, first_picture

__all__ = ["EnvStatus", "ExecutionMode", "GRPOCarlaEnv", "StatusInfo"]

StepResult = Tuple[Observation, float, bool, bool, Dict[str, Any]]
BranchResult = Tuple[List[Observation], List[float], List[bool], List[bool], List[Dict[str, Any]]]

POLL_AFTER, RETRY_AFTER = 1.0, 2.0  # seconds that a caller is advised to wait


class GRPOCarlaEnv:
    """One drive that can branch; no ``gymnasium.Env``, since a step of G branches has G results.

    ``service_urls``: endpoints of farms (without: ``$B2D_ENDPOINT``, or this machine's). One endpoint serves many branches:
    ``max_branches`` is ``num_services`` (or one per endpoint, if that is more), and never more than there are workers. ``base_api_port`` is
    accepted and means nothing: a farm has one port. ``timeout``: seconds for each request to a simulator. ``env_kwargs`` go to CarlaEnv,
    ``tier`` among them, by which branches are restored.
    """

    metadata = CarlaEnv.metadata

    def __init__(  # noqa: PLR0917 (the predecessor's arguments, in its order)
        self,
        num_services: int = 4,
        service_urls: Sequence[str] | None = None,
        base_api_port: int = 8080,
        render_mode: str | None = None,
        max_steps: int = 1000,
        timeout: float = 360.0,
        **env_kwargs: Any,
    ) -> None:
        if isinstance(service_urls, str) or (service_urls is not None and not service_urls):
            raise RequestError("service_urls is a list of endpoints, such as ['tcp://127.0.0.1:5570']")
        self.service_urls = list(service_urls or [usual_endpoint()])
        self.base_api_port, self.render_mode, self.max_steps, self.timeout = base_api_port, render_mode, max_steps, timeout
        self.env_kwargs = env_kwargs
        budgets = {**dict.fromkeys(("restore", "snapshot", "step"), timeout), "reset": 2 * timeout, **env_kwargs.get("budgets", {})}
        patience = min(timeout, 30.0)
        own = {"render_mode": None if render_mode == "human" else render_mode, "max_steps": max_steps, "wait": patience}
        self._crew = Crew(self.service_urls, num_services, patience, {**own, **env_kwargs, "budgets": budgets})
        self.max_branches = len(self._crew.envs)
        self.action_space, self.observation_space = self._crew.drive.action_space, self._crew.drive.observation_space
        self.episode_steps, self.branch_start_step, self.active_branches = 0, 0, 1
        self.episode_rewards, self.cumulative_rewards = [0.0] * self.max_branches, [0.0] * self.max_branches
        self.current_snapshot: str | None = None
        self.branching_setup_progress = 0.0
        self._group: BranchGroup | None = None
        self._setup: BranchGroup | None = None
        self._failure: Dict[str, Any] | None = None  # of a set-up, until check_branching_status tells it
        self._seen: List[Observation] = []  # of each branch, the last
        self._window: Window | None = None

    @property
    def envs(self) -> List[CarlaEnv | None]:
        """One place per branch; the drive is at ``primary_env_idx``, the others are filled by ``initialize_all_services``."""
        return self._crew.envs

    @property
    def primary_env_idx(self) -> int:
        """The place of the drive: the branch that was selected last."""
        return self._crew.primary

    @property
    def mode(self) -> ExecutionMode:
        """SINGLE or BRANCHING; a set-up in the background is SINGLE until all its branches stand."""
        self._advance()
        return ExecutionMode.SINGLE if self._group is None else ExecutionMode.BRANCHING

    @property
    def current_mode(self) -> str:
        """ "single" or "branching"."""
        return self.mode.value

    @property
    def is_branching(self) -> bool:
        """Whether ``branch_step`` is the call to make."""
        return self.mode is ExecutionMode.BRANCHING

    def initialize_all_services(self, route_id: int = 0) -> StatusInfo:
        """Reserve ``max_branches`` workers until ``close`` and reset them all at once; READY only when every one is.

        ``route_id`` 0 means the farm's first route. All get one seed, so all are in one state, which ``details`` tells by its digest.
        """
        self._require_single("initialize_all_services")
        drive, n = self._crew.drive, self.max_branches
        try:
            errors = self._crew.reserve(int(drive.np_random.integers(2**31)), _options({"route_id": route_id}) or {})
        except NoFreeWorker as error:
            return StatusInfo(EnvStatus.WAITING_RETRY, f"Pre-initialization must wait: {error}", False, RETRY_AFTER, 0.0)
        self._begin_episode()
        ready = n - len(errors)
        digests = sorted({str(env.last_info["digest"]) for i, env in enumerate(self.envs) if env is not None and i not in errors})
        told = {i: f"{type(error).__name__}: {error}" for i, error in errors.items()}
        details = {"errors": told, "digests": digests}
        if errors:
            first = next(iter(told.values()))
            return StatusInfo(EnvStatus.ERROR, f"Pre-initialized {ready}/{n} services; {first}", False, None, ready / n, details)
        return StatusInfo(EnvStatus.READY, f"Pre-initialized {n}/{n} services", True, None, 1.0, details)

    def reset(self, *, seed: int | None = None, options: Dict[str, Any] | None = None) -> Tuple[Observation, Dict[str, Any]]:
        """Begin an episode on the drive's worker, ending a group if one is open; ``route_id`` 0 means the farm's first route."""
        if self.mode is ExecutionMode.BRANCHING:
            self.disable_branching()
        self._require_single("reset")
        observation, info = self._crew.drive.reset(seed=seed, options=_options(options))
        self._begin_episode()
        return observation, info

    def single_step(self, action: Any) -> StepResult:
        """One step of the drive: ``action`` f32[3]."""
        self._require_single("single_step")
        observation, reward, terminated, truncated, info = self._crew.drive.step(action)
        self.episode_steps = self._crew.drive.episode_steps
        self.episode_rewards[self.primary_env_idx] = self._crew.drive.episode_reward
        over = StatusInfo(EnvStatus.TERMINATED, "Episode terminated", False)
        info.update(mode="single", status=over if terminated else StatusInfo(EnvStatus.READY, "Step completed successfully"))
        return observation, reward, terminated, truncated, info

    def branch_step(self, actions: Any) -> BranchResult:
        """One step of all branches: ``actions`` f32[G, 3], or a list of G; gives five lists of G.

        A branch that ended repeats its last observation with reward 0. A branch whose worker is lost has reward NaN, is not terminated, and
        says so in its info ("valid": False, "error", status ERROR); its observation is NaN or 0, to be masked.
        """
        group = self._require_branching("branch_step")
        if np.ndim(actions) == 0 or len(actions) != self.active_branches:
            given = "one value" if np.ndim(actions) == 0 else f"{len(actions)}"
            raise RequestError(f"{self.active_branches} branches want {self.active_branches} actions; got {given}")
        out = group.step(actions)
        self.episode_steps += 1
        for i, total in enumerate(out.returns.tolist()):
            self.cumulative_rewards[i] = self.episode_rewards[i] = group.snapshot.episode_reward + total
        self._seen = [member(out.observations, i) for i in range(group.n)]
        infos = [self._branch_info(i, out.infos[i], bool(out.valid[i]), bool(out.terminated[i])) for i in range(group.n)]
        return list(self._seen), out.rewards.tolist(), out.terminated.tolist(), out.truncated.tolist(), infos

    def step(self, action: Any) -> Any:
        """single_step or branch_step, as the mode is: a single array, or a list (or array [G, 3]) of actions. Better say which you mean."""
        several = isinstance(action, (list, tuple)) or np.ndim(action) == 2
        if several != self.is_branching:
            wanted = "a list of actions, one per branch" if self.is_branching else "one action, an array of 3"
            raise RequestError(f"{self.current_mode} mode wants {wanted}")
        return self.branch_step(action) if several else self.single_step(action)

    def save_snapshot(self) -> str:
        """Keep a snapshot of the drive, and give its id."""
        self._require_single("save_snapshot")
        self.current_snapshot = self._crew.drive.save_snapshot()
        self.branch_start_step = self.episode_steps
        return self.current_snapshot

    def enable_branching(self, snapshot_id: str | None = None, num_branches: int | None = None, async_setup: bool = False) -> StatusInfo:
        """Make branches of a saved snapshot (the last one), all restored by the same procedure, the drive's own worker included.

        BRANCHING_READY when all stand; WAITING_RETRY when there are not enough free workers; ERROR, still in single mode, when a branch was
        lost. With ``async_setup`` it returns BRANCHING_SETUP at once: ask ``check_branching_status`` until it is ready, and step then.
        """
        self._require_single("enable_branching")
        name = self.current_snapshot if snapshot_id is None else snapshot_id
        if name is None:
            raise RequestError("No snapshot available for branching; call save_snapshot() first")
        n = self._how_many(num_branches)
        snapshot = self._crew.drive.snapshots.get(name)
        if snapshot is None:
            raise RequestError(f"no snapshot {name!r} here; there are: {', '.join(self._crew.drive.list_snapshots()) or 'none'}")
        details: Dict[str, Any] = {"num_branches": n, "snapshot_id": name}
        try:
            others = self._crew.others(n - 1, 0.0 if async_setup else min(self.timeout, 30.0))
            group = self._crew.drive.branch(snapshot, n, others, self._crew.give_back, block=not async_setup)
        except NoFreeWorker as error:
            return StatusInfo(EnvStatus.WAITING_RETRY, str(error), False, RETRY_AFTER, 0.0, details)
        except B2DError as error:
            return StatusInfo(EnvStatus.ERROR, f"Branching failed: {error}", False, None, None, {**details, "error": str(error)})
        self.current_snapshot, self._setup = name, group
        status = self.check_branching_status()
        if status.status is EnvStatus.BRANCHING_READY and not async_setup:
            return StatusInfo(EnvStatus.BRANCHING_READY, f"Successfully enabled {n} branches", True, None, 1.0, details)
        return StatusInfo(**{**vars(status), "details": {**details, **(status.details or {}), "async": async_setup}})

    def check_branching_status(self) -> StatusInfo:
        """How far branching is; waits for nothing, and takes a set-up in the background on."""
        self._advance()
        if self._failure is not None:
            details, self._failure = self._failure, None
            return StatusInfo(EnvStatus.ERROR, f"Branching setup failed: {details['error']}", False, None, -1.0, details)
        if self._setup is not None:
            share = self.branching_setup_progress
            return StatusInfo(EnvStatus.BRANCHING_SETUP, f"Setting up branches... {share:.0%}", False, POLL_AFTER, share)
        if self._group is not None:
            details = {"active_branches": self.active_branches}
            return StatusInfo(EnvStatus.BRANCHING_READY, "Branching mode active", True, None, 1.0, details)
        return StatusInfo(EnvStatus.READY, "Single mode active", details={"mode": "single"})

    def select_branch(self, branch_idx: int) -> None:
        """Go on live from that branch, in single mode; the other branches' workers are reserved or released."""
        self._require_branching("select_branch").select(branch_idx)
        self._crew.lead(int(branch_idx))
        kept = self._crew.drive.episode_reward
        self._single(self._crew.drive.episode_steps)
        self.episode_rewards = [kept if i == branch_idx else 0.0 for i in range(self.max_branches)]

    def disable_branching(self) -> None:
        """Give the branches (or their set-up) up: the drive is back at the snapshot; in single mode nothing happens."""
        group = self._group or self._setup
        if group is not None:
            group.close()
            self._single(group.snapshot.episode_steps)
            self.episode_rewards[self.primary_env_idx] = group.snapshot.episode_reward

    def get_branch_statistics(self) -> Dict[str, Any]:
        """Rewards by branch: since the fork (``branch_rewards``) and of the whole episode; NaN, and never the best, where one is lost."""
        if not self.is_branching or self._group is None:
            return {"mode": "single", "active_branches": 1, "primary_reward": self.episode_rewards[self.primary_env_idx]}
        returns = self._group.returns
        return {
            "mode": "branching",
            "active_branches": self.active_branches,
            "branch_rewards": returns.tolist(),
            "cumulative_rewards": self.cumulative_rewards[: self.active_branches],
            "best_branch": int(np.nanargmax(returns)),
            "steps_since_branch": self.episode_steps - self.branch_start_step,
            "advantages": self._group.advantages().tolist(),
            "valid": self._group.valid.tolist(),
            "fidelity": self._group.fidelity,
        }

    def get_current_observation(self) -> Observation:
        """The last observation of the drive; while branching, that of the moment of the fork."""
        return self._crew.drive.get_current_observation()

    def render(self) -> Any:
        """ "rgb_array": the first camera's picture, or while branching a list of them (None for a lost branch). "human": a window."""
        if self.render_mode is None:
            return None
        pictures = self._pictures()
        if self.render_mode == "human":
            self._window = self._window or Window("b2d-zmq")
            self._window.show(np.concatenate([picture for picture in pictures if picture is not None], axis=1))
            return None
        return pictures if self.is_branching else pictures[0]

    def close(self) -> None:
        """Give all workers back; calling it again does nothing."""
        self._group = self._setup = None
        if self._window is not None:
            self._window.close()
            self._window = None
        self._crew.close()

    def __enter__(self) -> GRPOCarlaEnv:
        return self

    def __exit__(self, kind: Type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _advance(self) -> None:
        """Take a set-up as far as it goes without waiting; when it stands, or has failed, the mode changes."""
        group = self._setup
        if group is None:
            return
        lost: List[Tuple[int, B2DError]] = []
        try:
            self.branching_setup_progress = group.poll()
        except WorkerLost as error:  # all of them
            lost = [(0, error)]
        if not lost and self.branching_setup_progress < 1.0:
            return
        lost = lost or [(i, error) for i, error in enumerate(group.errors) if error is not None]
        if lost:
            self.disable_branching()
            self.branching_setup_progress = -1.0
            self._failure = {"progress": -1.0, "failed_branch": lost[0][0], "error": str(lost[0][1])}
            return
        self._group, self._setup, self.active_branches = group, None, group.n
        self.episode_steps = self.branch_start_step = group.snapshot.episode_steps
        self.cumulative_rewards = [group.snapshot.episode_reward] * self.max_branches
        self.episode_rewards = list(self.cumulative_rewards)
        self._seen = [member(group.observations, i) for i in range(group.n)]

    def _begin_episode(self) -> None:
        self._single(0)
        self.current_snapshot, self.branch_start_step = None, 0
        self.episode_rewards, self.cumulative_rewards = [0.0] * self.max_branches, [0.0] * self.max_branches

    def _single(self, steps: int) -> None:
        self._group = self._setup = None
        self.active_branches, self.episode_steps, self.branching_setup_progress, self._seen = 1, steps, 0.0, []

    def _pictures(self) -> List[Any]:
        if not self.is_branching or self._group is None:
            return [first_picture(self.observation_space, self.get_current_observation())]
        valid = self._group.valid
        return [first_picture(self.observation_space, seen) if valid[i] else None for i, seen in enumerate(self._seen)]

    def _branch_info(self, i: int, info: Dict[str, Any], valid: bool, terminated: bool) -> Dict[str, Any]:
        details = {"branch_id": i}
        if not valid:
            status = StatusInfo(EnvStatus.ERROR, f"Branch {i} lost", False, details=details)
        elif terminated:
            status = StatusInfo(EnvStatus.TERMINATED, f"Branch {i} terminated", False, details=details)
        else:
            status = StatusInfo(EnvStatus.READY, f"Branch {i} step completed", details=details)
        own = {"branch_id": i, "valid": valid, "mode": "branching", "status": status}
        return {"episode_steps": self.episode_steps, **info, **own, "cumulative_reward": self.cumulative_rewards[i]}

    def _how_many(self, wanted: int | None) -> int:
        return self.max_branches if wanted is None else arguments.whole("num_branches (see max_branches)", wanted, 1, self.max_branches)

    def _require_single(self, call: str) -> None:
        if self.mode is ExecutionMode.BRANCHING:
            raise WrongMode(f"{call} in branching mode; use branch_step, or end it with select_branch(i) or disable_branching()")
        if self._setup is not None:
            advice = "ask check_branching_status() until it is ready, or give it up with disable_branching()"
            raise WrongMode(f"{call} while branches are being set up; {advice}")

    def _require_branching(self, call: str) -> BranchGroup:
        self._advance()
        if self._group is not None:
            return self._group
        if self._setup is not None:
            raise WrongMode(f"{call} while branches are being set up; ask check_branching_status() until it is ready")
        raise WrongMode(f"{call} in single mode; call enable_branching first")


def _options(options: Dict[str, Any] | None) -> Dict[str, Any] | None:
    """The options without a route 0, which was the predecessor's word for "the first"."""
    if isinstance(options, dict) and type(options.get("route_id")) is int and options["route_id"] == 0:
        return {name: value for name, value in options.items() if name != "route_id"}
    return options
