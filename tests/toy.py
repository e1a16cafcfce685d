"""A small honest world for tests of the client: ``--backend toy:Toy``. A dot that drives; a picture of it; exact snapshots.

Its observation is that of a rig with one camera of 16 x 32; it ends where the dot leaves a strip, and checks its options.
``TOY_DIES`` names a file: while it exists, the next step with throttle 1 in any host ends that host without a word.
"""

import dataclasses
import hashlib
import json
import os
import struct

import numpy as np

from b2d_zmq import spaces
from b2d_zmq.errors import NoEpisode, RequestError, SnapshotCorrupt, UnknownOption
from worker.backends.base import Backend, Outcome, SnapshotData, Traits

STATE = struct.Struct("<5d2q")
KNOWN = {"route_id", "max_steps", "reward_type", "reward_weights", "limit"}


class Toy(Backend):
    def __init__(self, **options):
        self.state = None

    @property
    def traits(self):
        return Traits("toy", "1", "small", 0.05, spaces.observation_space({"center_image": (16, 32)}), spaces.action_space(), 1)

    def reset(self, seed, options):
        unknown = sorted(set(options) - KNOWN)
        if unknown:
            raise UnknownOption(f"no option {unknown[0]!r}; there are {sorted(KNOWN)}")
        if options.get("route_id", 1) != 1:
            raise RequestError("no such route")
        y = np.random.RandomState(seed % 2**32).uniform(-1, 1)
        self.state = (0.0, float(y), 0.0, 0.0, float(options.get("limit", 5.0)), 0, int(options.get("max_steps", 1000)))
        return self._outcome(0.0)

    def step(self, action, ticks=1):
        if self.state is None or self._over():
            raise NoEpisode("reset first")
        die = os.environ.get("TOY_DIES", "")
        if die and action[0] == 1.0 and os.path.exists(die):
            os.unlink(die)
            os._exit(3)
        reward = 0.0
        for _ in range(ticks):
            x, y, yaw, v, limit, tick, most = self.state
            v += float(action[0] - action[1]) * 0.05
            yaw += float(action[2]) * 0.05
            x, y = x + v * float(np.cos(yaw)), y + v * float(np.sin(yaw))
            self.state = (x, y, yaw, v, limit, tick + 1, most)
            reward += v - abs(y) * 0.1
            if self._over():
                break
        return self._outcome(reward)

    def snapshot(self):
        if self.state is None:
            raise NoEpisode("reset first")
        return SnapshotData(b"toy" + STATE.pack(*self.state), self.state[5], "exact", self.digest())

    def restore(self, data, tier=""):
        self.tier(tier)
        if not data.startswith(b"toy") or len(data) != 3 + STATE.size:
            raise SnapshotCorrupt("not a toy's state; take the snapshot again")
        self.state = STATE.unpack(data[3:])
        return self._outcome(0.0)

    def digest(self):
        return hashlib.blake2b(STATE.pack(*self.state), digest_size=8).hexdigest()

    def release(self):
        self.state = None

    def _over(self):
        return abs(self.state[1]) > self.state[4] or self.state[5] >= self.state[6]

    def _outcome(self, reward):
        x, y, yaw, v, limit, tick, most = self.state
        picture = np.full((16, 32, 3), tick % 256, np.uint8)
        picture[int(np.clip(y, -7, 7)) + 8, :, 0] = 255
        seen = {
            "center_image": picture,
            "vehicle_state": {
                "position": np.array([x, y, 0], np.float32),
                "rotation": np.array([0, np.degrees(yaw) % 360, 0], np.float32),
                "velocity": np.array([v, 0, 0], np.float32),
                "speed": np.array([abs(v)], np.float32),
            },
            "scenario_info": {
                "route_id": np.array([1], np.float32),
                "step_count": np.array([tick], np.float32),
                "max_steps": np.array([most], np.float32),
            },
            "navigation": {
                "command": 3,
                "distance_to_goal": np.array([max(0.0, 100 - x)], np.float32),
                "route_completion": np.array([min(1.0, max(0.0, x / 100))], np.float32),
            },
        }
        info = {"route_id": 1, "step_count": tick, "told": json.dumps([x, y])}
        return Outcome(seen, reward, abs(y) > limit, abs(y) <= limit and tick >= most, info, self.digest(), tick)


class Loose(Toy):
    """A toy that restores by "replay", exactly, and by "transfer" a little beside the state: in each process elsewhere, within 0.1 m."""

    @property
    def traits(self):
        return dataclasses.replace(super().traits, backend="loose", tiers=("replay", "transfer"))

    def restore(self, data, tier=""):
        tier, outcome = self.tier(tier), super().restore(data, tier)
        off = 0.1 * (os.getpid() % 97 + 1) / 97 if tier == "transfer" else 0.0
        self.state = (self.state[0], self.state[1] + off, *self.state[2:])
        ego = {"position": off, "speed": 0.0, "yaw": 0.0}
        told = {"tier": tier, "verdict": "degraded" if off else "exact", "ticks": outcome.tick, "seconds": 0.5, "ego": ego, "missing": 0}
        outcome = self._outcome(0.0)
        outcome.info["fidelity"] = told
        return outcome
