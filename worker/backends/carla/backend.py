"""The carla backend: episodes of Bench2Drive's routes on one real CARLA server. No socket of the farm, no process.

The server is somebody else's to start and to end; this connects. An episode begins only when its settings are right and its route is
known to lie on the map, as far as that can be told without loading another map: until then the present one goes on.
"""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Tuple

import numpy as np

from b2d_zmq import spaces
from b2d_zmq.errors import NoEpisode, RequestError, SimulatorError

from ... import rig as rigs
from ... import routes as route_files
from ...settings import Settings
from ...task import TERMS, Verdict
from ...world.world import Events
from .. import view
from ..base import Backend, Outcome, SimulatorLost, SnapshotData, Traits
from ..seal import seal
from . import branching
from .drafting import draft, governed_road
from .episode import Episode, Member
from .link import DT, Link, asking
from .signals import Governed
from .snapshot import NAME, VERSION
from .staging import Carrier, left_behind, stage, strike, sweep

MOST_TICKS = 10_000  # in one step
_MOST_ROADS = 4  # kept, of the map that is loaded


class CarlaBackend(Backend):
    """A CARLA server as a backend. ``routes`` is a Bench2Drive XML file, ``sensors`` a rig or its file.

    Without ``routes`` they are those of the checkout at $BENCH2DRIVE_ROOT, or the package's own.

    ``tm_port`` is where the traffic manager of this process listens. Without ``rendering`` the server draws nothing (-nullrhi), and only
    rigs without cameras work. ``server`` says whose it is, for people. ``reload`` loads the map anew for every episode: slow, and what
    CARLA's authors advise for exact repetition.
    """

    def __init__(
        self,
        routes: str | None = None,
        sensors: str = "predecessor",
        *,
        carla_host: str = "127.0.0.1",
        carla_port: int = 2000,
        tm_port: int = 8000,
        rendering: bool = True,
        reload: bool = False,
        server: str = "",
    ) -> None:
        self._routes = route_files.read(Path(routes) if routes else route_files.usual_file())
        self._rig = rigs.load(sensors)
        if self._rig.cameras and not rendering:
            raise RequestError(f"the sensor rig {self._rig.name} has cameras, and this CARLA server renders nothing: use the rig state")
        self.link = Link(carla_host, carla_port, tm_port, rendering=bool(self._rig.cameras), progress=self.progress)
        self._reload = reload
        self._haunted = bool(left_behind(self.link))  # a host died here: nobody knows what else it left, such as false times of lights
        self.carrier = Carrier(self.link, self._rig)
        self._roads: Dict[Tuple[int, bytes], Governed] = {}
        self._episode: Episode | None = None
        self._traits = Traits(
            backend=NAME,
            version=VERSION,
            rig=self._rig.name,
            dt=DT,
            observation_space=spaces.observation_space(self._rig.images),
            action_space=spaces.action_space(),
            routes=len(self._routes),
            tiers=branching.TIERS,
            extra={"carla": self.link.version, "server": server or f"{carla_host}:{carla_port}"},
        )

    @property
    def traits(self) -> Traits:
        return self._traits

    @property
    def place(self) -> str:
        return self.link.town

    def reset(self, seed: int, options: Mapping[str, Any]) -> Outcome:
        settings = Settings.parse(seed, options, self._routes)
        self._check_town(settings)
        self.progress(f"staging route {settings.route.id}", 0)
        with asking("beginning an episode"):
            episode = self.begin(settings)
            with self.whole():
                return self.outcome(episode, [], [], view.beginning(episode.play, settings))

    def step(self, action: np.ndarray[Any, Any], ticks: int = 1) -> Outcome:
        episode = self.present()
        if type(ticks) is not int or not 1 <= ticks <= MOST_TICKS:
            raise RequestError(f"ticks must be a whole number from 1 to {MOST_TICKS}; got {ticks!r:.60}")
        episode.task.check_open()
        throttle, brake, steer = (float(value) for value in action)
        verdicts: List[Verdict] = []
        happened: List[Events] = []
        with self.whole(), asking("stepping"):
            while len(verdicts) < ticks and not episode.task.ended:
                self.progress("driving", episode.tick)
                verdict, events = episode.step((throttle, brake, steer))
                verdicts.append(verdict)
                happened.append(events)
            return self.outcome(episode, verdicts, happened, {})

    def snapshot(self) -> SnapshotData:
        with asking("taking a snapshot"):
            return branching.snapshot(self)

    def restore(self, data: bytes, tier: str = "") -> Outcome:
        with asking("restoring"):
            return branching.restore(self, data, self.tier(tier))

    def digest(self) -> str:
        return self.present().digest()

    def release(self) -> None:
        if self._episode is not None:
            self._leave(self._episode)

    def close(self) -> None:
        if self.link.closed:
            return
        self.link.part()
        with contextlib.suppress(SimulatorError, SimulatorLost), asking("leaving"):  # a silent server is somebody else's to end
            self.release()
            self.carrier.remove()
            sweep(self.link)
            self.link.close()

    def present(self) -> Episode:
        """The episode. Raises NoEpisode where there is none."""
        if self._episode is None:
            raise NoEpisode("there is no episode yet: reset or restore first")
        return self._episode

    def begin(self, settings: Settings) -> Episode:
        """Stage the episode of these settings in place of the present one; it stands at tick 0.

        Raises RequestError, and changes nothing then; SimulatorError when the present episode is over and no other stands.
        """
        governed, _ = self.arrive(settings, anew=self._reload)
        self._episode = stage(self.link, self.carrier, draft(self.link, settings, governed), self.progress)
        return self._episode

    def arrive(self, settings: Settings, anew: bool = False, keep: bool = False) -> Tuple[Governed, List[Member]]:
        """The route's road, on its map, which is loaded where it is not yet or ``anew``. The present episode is over.

        Its actors are gone, unless they are to be kept and the map stays: then they are told. Raises as ``begin`` does.
        """
        link, known, anew = self.link, self.link.town == settings.route.town, anew or self._haunted
        if known:
            self.road(settings)
        kept: List[Member] = []
        if self._episode is not None:
            if keep and known and not anew:
                self._episode.watch.lamps.settle()
                kept, self._episode = self._episode.cast, None
            else:
                self._leave(self._episode)
        if not known or anew:
            self.carrier.remove()
            self._roads.clear()
            link.load(settings.route.town, self.progress)
            self._haunted = False
        try:
            return self.road(settings), kept
        except RequestError as error:  # known only now, and the episode before is gone
            raise SimulatorError(f"route {settings.route.id} cannot be driven on {link.town}: {error}") from error

    @contextlib.contextmanager
    def whole(self) -> Iterator[None]:
        """What fails inside ends the episode: half a tick or half a state is none to go on from. Who is left is swept by the next."""
        try:
            yield
        except BaseException:
            self._episode = None
            raise

    def enter(self, episode: Episode) -> None:
        """This is the present episode from now on."""
        self._episode = episode

    def outcome(self, episode: Episode, verdicts: List[Verdict], happened: List[Events], more: Dict[str, Any]) -> Outcome:
        """What is told of the present moment after these ticks."""
        play, task, settings = episode.play, episode.task, episode.settings
        terms = {name: math.fsum(verdict.terms[name] for verdict in verdicts) for name in TERMS}
        pictures = episode.sensors.observe(episode.frame)
        told = view.happenings(verdicts, happened) if verdicts else {}
        return Outcome(
            observation={**pictures, **view.observation(play, task, settings)},
            reward=math.fsum(verdict.reward for verdict in verdicts),
            terminated=task.terminated,
            truncated=task.truncated,
            info={**view.info(play, task, settings, terms), **told, **more, **view.ending(task)},
            digest=episode.digest(),
            tick=episode.tick,
        )

    def _check_town(self, settings: Settings) -> None:
        town = settings.route.town
        if town != self.link.town and town not in self.link.towns:
            raise RequestError(f"route {settings.route.id} is in {town}, and this CARLA server has only {', '.join(self.link.towns)}")

    def road(self, settings: Settings) -> Governed:
        """The route's road, made once while its map is loaded."""
        key = (self.link.loads, seal(settings.route.to_plain()))
        if key not in self._roads:
            self.progress(f"finding the road of route {settings.route.id}", 0)
            if len(self._roads) >= _MOST_ROADS:
                del self._roads[next(iter(self._roads))]
            self._roads[key] = governed_road(self.link, settings)
        return self._roads[key]

    def _leave(self, episode: Episode) -> None:
        """The episode is over, whatever becomes of the next."""
        self._episode = None
        strike(self.link, episode)
