"""The embedded backend: episodes, steps and exact snapshots over worker/world. No socket, no clock, no process.

An episode is replaced only when its successor stands complete, so a reset or restore that fails leaves the present one as it was.
The one before it is kept as a spare: a fork restores one world again and again, and laying out its road is the slow part.
A snapshot carries its route, so it fits a worker with another route file; pictures are no part of it, they are drawn anew.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple

import numpy as np

from b2d_zmq import codec, spaces
from b2d_zmq.errors import NoEpisode, RequestError, SnapshotCorrupt

from .. import rig as rigs
from .. import routes as route_files
from ..settings import Settings
from ..task import TERMS, Place, Task, Verdict
from ..world.camera import Painter
from ..world.world import Events, World
from . import view
from .base import Backend, Outcome, SnapshotData, Traits
from .seal import opened, seal

NAME = "embedded"
VERSION = "1"  # of the snapshots: raise it whenever an older one would no longer go on exactly
DT = 0.05
TIER = "exact"
MOST_TICKS = 10_000  # in one step


_OF_SCENE = ("route", "weather", "seed")
_OF_WORLD = (*_OF_SCENE, "traffic_density", "scenario")


class _Scene(NamedTuple):
    """A painter and what it was made for: the road, the weather and the seed."""

    key: bytes
    painter: Painter


@dataclass(frozen=True)
class _Episode:
    settings: Settings
    key: bytes  # what the world was built for
    world: World
    task: Task
    edges: Tuple[float, float]

    @classmethod
    def begin(cls, settings: Settings) -> _Episode:
        world = World(settings.route, settings.seed, settings.weather, settings.traffic_density, settings.scenario)
        task = Task(world.road.length, DT, settings.terms)
        return cls(settings, _key(settings, *_OF_WORLD), world, task, view.edges(world.road))

    def place(self) -> Place:
        ego, (left, right) = self.world.ego, self.edges
        return Place(float(ego.s), float(ego.d), max(0.0, left - ego.d, ego.d - right), float(ego.speed))

    def digest(self) -> str:
        told = codec.encode([self.world.digest(), self.task.state()])
        return hashlib.blake2b(told[0], digest_size=8).hexdigest()


class EmbeddedBackend(Backend):
    """The embedded world as a backend. ``routes`` is a Bench2Drive XML file (absent: the package's own), ``sensors`` a rig or its file."""

    def __init__(self, routes: str | None = None, sensors: str = "predecessor") -> None:
        self._routes = route_files.read(Path(routes) if routes else route_files.DEFAULT_FILE)
        self._rig = rigs.load(sensors)
        self._episode: _Episode | None = None
        self._spare: _Episode | None = None
        self._scene: _Scene | None = None
        self._traits = Traits(
            backend=NAME,
            version=VERSION,
            rig=self._rig.name,
            dt=DT,
            observation_space=spaces.observation_space(self._rig.images),
            action_space=spaces.action_space(),
            routes=len(self._routes),
            tiers=(TIER,),
        )

    @property
    def traits(self) -> Traits:
        return self._traits

    def reset(self, seed: int, options: Mapping[str, Any]) -> Outcome:
        settings = Settings.parse(seed, options, self._routes)
        self.progress(f"building route {settings.route.id}", 0)
        return self._become(_Episode.begin(settings))

    def step(self, action: np.ndarray[Any, Any], ticks: int = 1) -> Outcome:
        episode = self._present()
        if type(ticks) is not int or not 1 <= ticks <= MOST_TICKS:
            raise RequestError(f"ticks must be a whole number from 1 to {MOST_TICKS}; got {ticks!r:.60}")
        episode.task.check_open()
        self.progress("driving", episode.world.tick)
        throttle, brake, steer = (float(value) for value in action)
        verdicts: List[Verdict] = []
        happened: List[Events] = []
        while len(verdicts) < ticks and not episode.task.ended:
            happened.append(episode.world.step(throttle, brake, steer))
            verdicts.append(episode.task.update(episode.place(), happened[-1]))
        return self._outcome(episode, self._scene, verdicts, view.happenings(verdicts, happened))

    def snapshot(self) -> SnapshotData:
        episode = self._present()
        tree = {
            "backend": NAME,
            "version": VERSION,
            "settings": episode.settings.to_plain(),
            "world": episode.world.state(),
            "task": episode.task.state(),
        }
        return SnapshotData(seal(tree), episode.world.tick, TIER, episode.digest())

    def restore(self, data: bytes, tier: str = "") -> Outcome:
        self.tier(tier)
        tree = opened(data, NAME, VERSION, ("settings", "world", "task"))
        settings = Settings.from_plain(tree["settings"])
        self.progress(f"restoring route {settings.route.id}", 0)
        try:
            episode = self._rebuilt(settings)
        except RequestError as error:  # such as a route that no car could drive
            raise SnapshotCorrupt(f"the snapshot's world cannot be built: {error}") from None
        episode.world.load(tree["world"])
        episode.task.load(tree["task"])
        return self._become(episode)

    def digest(self) -> str:
        return self._present().digest()

    def release(self) -> None:
        self._episode, self._spare = None, self._episode or self._spare

    def close(self) -> None:
        self._episode, self._spare, self._scene = None, None, None

    def _present(self) -> _Episode:
        if self._episode is None:
            raise NoEpisode("there is no episode yet: reset or restore first")
        return self._episode

    def _become(self, episode: _Episode) -> Outcome:
        """The outcome at the start of an episode, and only then the episode itself: what fails before changes nothing."""
        scene = self._scene_of(episode)
        outcome = self._outcome(episode, scene, [], view.beginning(episode.world, episode.settings))
        self._episode, self._spare, self._scene = episode, self._episode, scene
        return outcome

    def _rebuilt(self, settings: Settings) -> _Episode:
        """An episode of these settings for ``load`` to overwrite, in the spare's world if it fits."""
        spare = self._spare
        if spare is None or spare.key != _key(settings, *_OF_WORLD):
            return _Episode.begin(settings)
        return replace(spare, settings=settings, task=Task(spare.world.road.length, DT, settings.terms))

    def _scene_of(self, episode: _Episode) -> _Scene | None:
        """The present scene if it fits: a fork restores one world again and again, and making a painter is slow."""
        if not self._rig.cameras:
            return None
        settings = episode.settings
        key = _key(settings, *_OF_SCENE)
        if self._scene is not None and self._scene.key == key:
            return self._scene
        self.progress(f"painting route {settings.route.id}", episode.world.tick)
        return _Scene(key, Painter(episode.world.road, settings.weather, settings.seed))

    def _outcome(self, episode: _Episode, scene: _Scene | None, verdicts: List[Verdict], more: Dict[str, Any]) -> Outcome:
        world, task, settings = episode.world, episode.task, episode.settings
        terms = {name: math.fsum(verdict.terms[name] for verdict in verdicts) for name in TERMS}
        pictures = {camera.key: scene.painter.render(world, camera) for camera in self._rig.cameras} if scene else {}
        return Outcome(
            observation={**pictures, **view.observation(world, task, settings)},
            reward=math.fsum(verdict.reward for verdict in verdicts),
            terminated=task.terminated,
            truncated=task.truncated,
            info={**view.info(world, task, settings, terms), **more, **view.ending(task)},
            digest=episode.digest(),
            tick=int(world.tick),
        )


def _key(settings: Settings, *names: str) -> bytes:
    """Equal where these settings are."""
    plain = settings.to_plain()
    return seal([plain[name] for name in names])
