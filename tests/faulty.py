"""Backends that go wrong in the way a test asks for: ``--backend faulty:Hangs``. The world is a counter; every job is quick.

Each fault strikes at step FAULT_AT (default 3) counted from reset or restore.
"""

from __future__ import annotations

import os
import signal
import threading

import numpy as np

from b2d_zmq import spaces
from b2d_zmq.errors import InvalidRouteFile, NoEpisode, SnapshotCorrupt
from worker.backends.base import Backend, Outcome, SnapshotData, Traits

FAULT_AT = int(os.environ.get("FAULT_AT", "3"))


class Counts(Backend):
    """A world that counts its ticks; the observation is that of the state rig. The episode ends at tick 1000."""

    def __init__(self, **options):
        self.options = options
        self.tick = None
        self.steps = 0

    @property
    def traits(self):
        return Traits("counts", "1", "state", 0.05, spaces.observation_space({}), spaces.action_space(), 1)

    def reset(self, seed, options):
        self.tick, self.steps = seed % 1000, 0
        return self._outcome(0.0)

    def step(self, action, ticks=1):
        if self.tick is None:
            raise NoEpisode("reset first")
        self.steps += 1
        if self.steps == FAULT_AT:
            self.fault()
        self.tick += ticks
        return self._outcome(float(action[0]))

    def fault(self):
        """Nothing goes wrong here."""

    def snapshot(self):
        return SnapshotData(str(self.tick).encode(), self.tick, "exact", self.digest())

    def restore(self, data, tier=""):
        self.tier(tier)
        if not data.isdigit():
            raise SnapshotCorrupt("not a count")
        self.tick, self.steps = int(data), 0
        return self._outcome(0.0)

    def digest(self):
        return f"{self.tick:016x}"

    def release(self):
        self.tick = None

    def _outcome(self, reward):
        observation = self.observation()
        return Outcome(observation, reward, self.tick >= 1000, False, {"steps": self.steps, "pid": os.getpid()}, self.digest(), self.tick)

    def observation(self):
        zeros = {"position": 3, "rotation": 3, "velocity": 3, "speed": 1}
        told = {"route_id": 1, "step_count": 1, "max_steps": 1}
        way = {"distance_to_goal": 1, "route_completion": 1}
        return {
            "vehicle_state": {key: np.full(n, self.tick, np.float32) for key, n in zeros.items()},
            "scenario_info": {key: np.zeros(n, np.float32) for key, n in told.items()},
            "navigation": {"command": np.int64(3), **{key: np.zeros(n, np.float32) for key, n in way.items()}},
        }


class Raises(Counts):
    """Raises something that nobody foresaw."""

    def fault(self):
        raise ZeroDivisionError("the wheels came off")


class Hangs(Counts):
    """Never comes back, and does not listen to TERM."""

    def fault(self):
        self.progress("hanging on purpose", self.tick)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        while True:
            signal.sigwait({signal.SIGUSR1})


class Exits(Counts):
    """Leaves without a word, exit code 3."""

    def fault(self):
        os.write(2, b"last words of the simulator\n")
        os._exit(3)


class Killed(Counts):
    """Is killed as by the kernel's out-of-memory killer."""

    def fault(self):
        os.kill(os.getpid(), signal.SIGKILL)


class Slow(Counts):
    """Takes a second for each step."""

    def step(self, action, ticks=1):
        threading.Event().wait(1.0)
        return super().step(action, ticks)


class Big(Counts):
    """Gives observations of 8 MB that its space does not announce."""

    def observation(self):
        return {**super().observation(), "surprise": np.zeros(8_000_000, np.uint8)}


class Untellable(Counts):
    """Gives an info that cannot travel."""

    def step(self, action, ticks=1):
        outcome = super().step(action, ticks)
        outcome.info["oops"] = {1, 2, 3}
        return outcome


class Clings(Counts):
    """Cannot forget its episode."""

    def release(self):
        raise RuntimeError("never letting go")


class Misconfigured(Counts):
    """Refuses its configuration."""

    def __init__(self, **options):
        raise InvalidRouteFile("routes.xml: no <routes> in it")


class NeverOpens(Counts):
    """Dies while it is opened."""

    def __init__(self, **options):
        raise RuntimeError("no GPU today")


class SpawnsChild(Counts):
    """Starts a process of its own, as a simulator does, and tells its pid in info."""

    def __init__(self, **options):
        super().__init__(**options)
        self.child = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "600")

    def _outcome(self, reward):
        outcome = super()._outcome(reward)
        outcome.info["child"] = self.child
        return outcome
