"""The world of simulated hosts (farmpeers.py): a hash chain. Each state is a hash of the state before and the action.

So whoever knows the seed and the actions knows every state, and a step that is lost, done twice or done in another order shows at once and
for ever. A world may be ``salted``: then whatever begins in it begins somewhere else, as in a simulator that does not repeat itself.
"""

from __future__ import annotations

import functools
import hashlib
import struct
from typing import NamedTuple

import numpy as np

from b2d_zmq import spaces
from b2d_zmq.errors import NoEpisode, SnapshotCorrupt, UnknownOption

BACKEND, VERSION = "chain", "1"
_FORM = struct.Struct("<8sqq")
_NOTHING = np.zeros(3, np.float32)


class Place(NamedTuple):
    """One state: where the chain is, the tick, and the tick at which the episode is truncated."""

    link: bytes
    tick: int
    limit: int

    @property
    def digest(self):
        return self.link.hex()

    @property
    def reward(self):
        return self.link[0] / 256.0

    @property
    def truncated(self):
        return self.tick >= self.limit

    @property
    def observation(self):
        numbers = np.frombuffer(self.link, np.uint8)
        metres = numbers[:3].astype(np.float32)
        return {"link": numbers, "vehicle_state": {"position": metres, "rotation": _NOTHING, "speed": metres[:1]}}

    def data(self):
        """The state as a snapshot's bytes."""
        return b"chain" + _FORM.pack(*self)


def begin(seed, limit, salt=b""):
    return Place(_hash(struct.pack("<q", seed) + salt), 0, limit)


def step(place, action):
    return Place(_hash(place.link + action.tobytes()), place.tick + 1, place.limit)


def restored(data, salt=b""):
    """The state that a world with this salt comes to from a snapshot's bytes. Raises SnapshotCorrupt."""
    if not data.startswith(b"chain") or len(data) != 5 + _FORM.size:
        raise SnapshotCorrupt("no state of a chain")
    place = Place(*_FORM.unpack(data[5:]))
    return place._replace(link=_hash(place.link + salt)) if salt else place


def _hash(content):
    return hashlib.blake2b(content, digest_size=8).digest()


class Chain:
    """A host's world: does the five jobs from a request's body to the reply's."""

    def __init__(self, salt=b""):
        self.salt, self.place = salt, None

    def run(self, kind, body):
        return getattr(self, "_" + kind.name.lower())(body)

    def _reset(self, body):
        if "bad" in body["options"]:
            raise UnknownOption("no option 'bad'")
        self.place = begin(body["seed"], body["options"]["max_steps"], self.salt)
        return self._outcome(0.0)

    def _restore(self, body):
        self.place = restored(body["data"].tobytes(), self.salt)
        return self._outcome(0.0)

    def _step(self, body):
        self._go(body["action"])
        return self._outcome(self.place.reward)

    def _rollout(self, body):
        rewards, digests, truncated, seen = [], [], [], []
        for action in body["actions"]:
            self._go(action)
            rewards.append(self.place.reward)
            digests.append(self.place.digest)
            truncated.append(self.place.truncated)
            seen.append(self.place.observation)
            if self.place.truncated:
                break
        several = {"observations": seen} if body.get("observations") == "all" else {"observation": seen[-1]}
        flags = {"terminated": np.zeros(len(rewards), bool), "truncated": np.array(truncated)}
        return {
            **several,
            **flags,
            "rewards": np.array(rewards),
            "digests": digests,
            "info": {},
            "tick": self.place.tick,
            "simulator_seconds": 0.0,
        }

    def _snapshot(self, body):
        place = self._present()
        data = np.frombuffer(place.data(), np.uint8)
        return {
            "id": place.digest,
            "data": data,
            "tick": place.tick,
            "tier": "exact",
            "digest": place.digest,
            "backend": BACKEND,
            "version": VERSION,
            "simulator_seconds": 0.0,
        }

    def _go(self, action):
        if self._present().truncated:
            raise NoEpisode("the episode is over")
        self.place = step(self.place, action)

    def _present(self):
        if self.place is None:
            raise NoEpisode("no episode")
        return self.place

    def _outcome(self, reward):
        place = self.place
        return {
            "observation": place.observation,
            "reward": reward,
            "terminated": False,
            "truncated": place.truncated,
            "info": {},
            "digest": place.digest,
            "tick": place.tick,
            "simulator_seconds": 0.0,
        }


@functools.lru_cache(maxsize=None)
def description(profile):
    """What a host of such a world announces."""
    link = {"type": "box", "low": 0, "high": 255, "shape": [8], "dtype": "|u1"}  # of an observation; the rest of it is not announced
    return {
        "profile": profile,
        "backend": BACKEND,
        "version": VERSION,
        "tiers": ["exact"],
        "dt": 0.05,
        "rig": "none",
        "observation_space": {"type": "dict", "keys": [["link", link]]},
        "action_space": spaces.to_wire(spaces.action_space()),
    }
