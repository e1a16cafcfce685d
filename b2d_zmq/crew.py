"""Crew: the environments and workers of one GRPOCarlaEnv, on one farm or several.

``envs[primary]`` is the drive. The other places are empty until ``reserve`` puts an environment with a worker of its own into each; from
then on branches use those workers and give them back. Without a reserve, branches use whatever workers are free, and release them.
"""

from __future__ import annotations

import logging
from typing import Any, Dict, List, Mapping, Sequence

from . import arguments
from .client import Client
from .env import CarlaEnv
from .errors import B2DError
from .session import Session, release

log = logging.getLogger(__name__)


class Crew:
    """``wanted`` places, or fewer where the farms at ``endpoints`` have fewer workers; ``options`` are CarlaEnv's."""

    def __init__(self, endpoints: Sequence[str], wanted: int, timeout: float, options: Mapping[str, Any]) -> None:
        wanted = arguments.whole("num_services", wanted)
        self.reserved, self.primary = False, 0
        self._options = dict(options)
        self.clients: List[Client] = []
        self.envs: List[CarlaEnv | None] = []
        try:
            for endpoint in endpoints:
                self.clients.append(Client(endpoint, timeout=timeout, curve_dir=options.get("curve_dir")))
            first = CarlaEnv(client=self.clients[0], **self._options)
            self.profile = str(first.description.get("profile", ""))
            most = max(wanted, len(endpoints))
            workers = sum(len(client.status()["workers"]) for client in self.clients)
            if workers < most:
                log.warning("max_branches is %d, not %d: the farm at %s has no more workers", workers, most, ", ".join(endpoints))
            self.envs = [first, *[None] * (min(most, workers) - 1)]
        except BaseException:
            self.close()
            raise

    @property
    def drive(self) -> CarlaEnv:
        """The environment that single steps go to."""
        env = self.envs[self.primary]
        assert env is not None  # the primary place is never empty
        return env

    def lead(self, place: int) -> None:
        """Move the drive to another place; whoever was there takes the drive's."""
        self.envs[self.primary], self.envs[place] = self.envs[place], self.envs[self.primary]
        self.primary = place

    def reserve(self, seed: int, options: Dict[str, Any]) -> Dict[int, B2DError]:
        """Fill all places and reset all at once, with one seed, so that all are in one state; gives the errors by place.

        Raises NoFreeWorker when there are not enough workers, and then nothing has changed.
        """
        if not self.reserved:
            sessions = self._acquire(len(self.envs) - 1, self._options["wait"])
            for place, session in zip(self._places(), sessions):
                self.envs[place] = env = CarlaEnv(client=session.client, **self._options)
                env.adopt(session, None, 0, 0.0)
            self.reserved = True
        errors: Dict[int, B2DError] = {}
        pendings = {}
        for place, env in self._filled().items():
            try:
                pendings[place] = env.begin_reset(seed, options)
            except B2DError as error:
                errors[place] = error
        for place, pending in pendings.items():
            try:
                self._filled()[place].finish_reset(pending)
            except B2DError as error:
                errors[place] = error
        return errors

    def others(self, n: int, wait: float) -> List[Session]:
        """Workers for n branches beside the drive's own: the reserved ones, or free ones of the farms; all or none."""
        if not self.reserved:
            return self._acquire(n, wait)
        sessions: List[Session] = []
        try:
            for place in self._places()[:n]:
                sessions.append(self._filled()[place].lend())
        except BaseException:
            self.give_back(sessions)
            raise
        return sessions

    def give_back(self, sessions: Sequence[Session]) -> None:
        """Take the workers that a group does not go on with: into empty places, or back to their farms."""
        left = list(sessions)
        for place, env in self._filled().items():
            whole = [session for session in left if session.lost is None]
            if self.reserved and whole and place != self.primary and not env.holds_worker:
                session = whole[0]
                left.remove(session)
                session.begin = None  # its branch is over: whoever wants to step there must reset or restore first
                env.adopt(session, None, 0, 0.0)
        release(left)

    def close(self) -> None:
        """Give everything back; calling it again does nothing."""
        for env in self._filled().values():
            env.close()
        for client in self.clients:
            client.close()

    def _filled(self) -> Dict[int, CarlaEnv]:
        return {place: env for place, env in enumerate(self.envs) if env is not None}

    def _places(self) -> List[int]:
        return [place for place in range(len(self.envs)) if place != self.primary]

    def _acquire(self, n: int, wait: float) -> List[Session]:
        sessions: List[Session] = []
        try:
            for client, share in zip(self.clients, self._shares(n)):
                leases = client.acquire(share, wait, self.profile) if share else []
                sessions += [Session(client, lease, self._options["budgets"]) for lease in leases]
        except BaseException:
            release(sessions)
            raise
        return sessions

    def _shares(self, n: int) -> List[int]:
        """How many of n workers each farm gives: evenly as far as they are free, the rest to the first, which will wait or say why not.

        Those that are just being released count as free: a group right after another would else be asked of the wrong farm, and wait there.
        """
        if len(self.clients) == 1:
            return [n]
        free = [sum(worker["state"] in ("free", "releasing") for worker in client.status()["workers"]) for client in self.clients]
        shares = [0] * len(self.clients)
        for _ in range(n):
            most = max(range(len(free)), key=lambda i: free[i] - shares[i])
            shares[most] += 1
        return shares
