"""What it takes to live an episode again elsewhere: where another worker comes from, when to take a snapshot, what to tell the trainer.

Plain objects: who sends and waits is session.py. An episode that was lived again is either exactly the one that was lost, digest by
digest, or it says that it diverged, where, and how far from what the trainer had seen; it is never silently another.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

from .client import Client, Lease
from .errors import B2DError, Poisoned
from .tracks import Tracks

KILLS = 3  # workers that one job may take with it, then its session is poisoned
ATTEMPTS = 10  # workers that may be tried for one job, whatever they went of
PIECE = 100  # steps lived again by one request
SHARE = 0.05  # of the simulator's time may go into snapshots that nobody asked for
TICKS = 200  # between two of those at the least
PATIENCE = 10.0  # seconds that a branch waits for another worker, while the others of its group wait for it


class Source:
    """Where a session gets another worker: from the ``spares`` (client, lease) that are held already, or of the farm within ``wait`` s."""

    def __init__(self, profile: str, wait: float, spares: Sequence[Tuple[Client, Lease]] = ()) -> None:
        self.profile, self.wait, self.spares = profile, wait, list(spares)

    def take(self, client: Client, least: float = 0.0) -> Tuple[Client, Lease]:
        """A lease, and the client that holds it; waits at ``least`` so many seconds. Raises NoFreeWorker."""
        if self.spares:
            return self.spares.pop(0)
        (lease,) = client.acquire(1, wait=max(self.wait, least), profile=self.profile, instead=True)
        return client, lease


def release_spares(source: Source | None) -> None:
    """Give back what was not needed."""
    while source is not None and source.spares:
        client, lease = source.spares.pop()
        client.release([lease])


class Thrift:
    """When a session takes a snapshot of its own accord, so that living again never takes long: a cheap one soon, a dear one late."""

    def __init__(self) -> None:
        self._ticks, self._seconds, self._cost = 0, 0.0, 0.0
        self._useful = True

    def stepped(self, ticks: int, seconds: float) -> bool:
        """So many ticks more, of so many simulator seconds; whether a snapshot is due."""
        self._ticks, self._seconds = self._ticks + ticks, self._seconds + seconds
        return self._useful and self._ticks >= TICKS and self._seconds * SHARE >= self._cost

    def begun(self) -> None:
        """The episode can be lived again from here."""
        self._ticks, self._seconds = 0, 0.0

    def taken(self, tier: str, seconds: float) -> None:
        """A snapshot was taken, restored by ``tier``. Where that is not exact the episode is better lived again from its beginning."""
        self._useful, self._cost = tier == "exact", seconds


class Resumed(NamedTuple):
    """How an episode was lived again: ``diverged_at`` is the step whose digest was the first to differ, -1 for none; ``drift`` from what
    the trainer had last seen, in m, m/s and degrees."""

    lost: List[str]
    worker: str
    steps: int
    seconds: float
    diverged_at: int
    drift: Dict[str, float]

    def told(self) -> Dict[str, Any]:
        """``info["resumed"]``."""
        return {"verdict": "exact" if self.diverged_at < 0 else "diverged", **self._asdict()}


def first_difference(expected: Sequence[str], found: Sequence[str]) -> int:
    """The index of the first digest that is another; -1 where all agree."""
    pairs = enumerate(zip(expected, found))
    return next((i for i, (one, other) in pairs if one != other), -1 if len(expected) == len(found) else min(len(expected), len(found)))


def drift(seen: Mapping[str, Any] | None, found: Mapping[str, Any] | None) -> Dict[str, float]:
    """How far the ego is from where it was last seen; empty where it was not seen."""
    if seen is None or found is None:
        return {}
    return {name: float(value) for name, value in Tracks.seen(found).gaps(Tracks.seen(seen))._asdict().items()}


def poisoned(losses: Sequence[B2DError], what: str) -> Poisoned:
    """The error of a job that no worker outlives, with what each of them said."""
    told = "\n".join(f"{i + 1}. {error}" for i, error in enumerate(losses))
    advice = "this session is given up before it ends the whole farm; look at the logs below, and reset with other options"
    error = Poisoned(f"{what} ended {len(losses)} workers, one after the other; {advice}:\n{told}")
    error.remote_traceback = losses[-1].remote_traceback
    return error
