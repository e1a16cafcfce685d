"""The connection to one CARLA server: reached in stages, of the right version, in lockstep. Nothing of an episode.

Every call that may block has the client's time-out, far below any budget; what CARLA answers with a RuntimeError leaves here as
SimulatorError or SimulatorLost, which say what was being done. One thread, one client, one traffic manager.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import socket
import time
from typing import Any, Callable, Iterator, List, Sequence, Tuple

from b2d_zmq.errors import B2DError, RequestError, SimulatorError

from ..base import SimulatorLost
from . import wheel
from .arrival import all_times

DT = 0.05
SUBSTEP, MOST_SUBSTEPS = 0.01, 10  # seconds; CARLA's own: coarser ones make equal runs drift apart
REACH = 650.0  # metres: Bench2Drive's distance for tiles and active actors of the large maps

_ANSWER = 20.0  # seconds that any call may take
_PARTING = 3.0  # seconds, for calls at the end
_LOAD = 280.0  # seconds that a map may take; a large one is slow
_GROUND = 90.0  # seconds that a tick may take while the ground of a large map loads
_THREADS = 8  # of the client, at most: by default it takes one per processor, and hundreds of megabytes with them
_CONNECT = 3600.0  # seconds until a server that is starting answers; the keeper's start budget ends it before
_CALM = 0.05  # seconds after which its thread surely waits: told to end at another moment it may miss that, or crash
_BREATH = (
    0.002  # seconds between two ticks with a traffic manager: asked for a step before its thread waits, it may miss that and stand for ever
)
_REBIND = 10.0  # seconds until the traffic manager has its port
_PAUSE = 0.2  # seconds between two tries

Progress = Callable[[str, int], None]


class Link:
    """See the module's text. ``world``, ``map`` and ``blueprints`` change when a map is loaded; ``loads`` counts that."""

    def __init__(self, host: str, port: int, tm_port: int, rendering: bool, progress: Progress) -> None:
        """Connect and bring the server into lockstep. RequestError without its wheel, SimulatorError where no CARLA answers."""
        self.carla = wheel.load()
        self.host, self.port, self.tm_port, self.rendering = host, port, tm_port, rendering
        self.loads = 0
        self.closed = False
        progress(f"waiting for CARLA's port {port}", 0)
        deadline = time.monotonic() + _CONNECT
        _await_port(host, port, deadline)
        self.client = self.carla.Client(host, port, min(_THREADS, os.cpu_count() or 1))
        self._await_at_most(_ANSWER)
        self.version = self._agreed_version(deadline)
        progress(f"CARLA {self.version} answers", 0)
        with asking("getting its world"):
            self.world = self.client.get_world()
            self._into_lockstep()
        progress("three ticks", 0)
        self._manager: Any = None
        self._ticked = 0.0  # when the last tick was over
        with self.patience():
            for _ in range(3):
                self.tick()
            self._look_round()
        self._towns: Tuple[str, ...] = ()

    @property
    def town(self) -> str:
        """The loaded map's bare name, such as Town12."""
        return bare(self.map.name)

    @property
    def towns(self) -> Tuple[str, ...]:
        """The bare names of the maps that this server can load."""
        if not self._towns:
            with asking("listing its maps"):
                self._towns = tuple(sorted({bare(name) for name in self.client.get_available_maps()}))
        return self._towns

    def load(self, town: str, progress: Progress) -> None:
        """Load that map, anew if it is the present one; all actors and sensors are gone then. Raises RequestError for an unknown one.

        Whatever else goes wrong is a SimulatorLost: nobody knows then which map the server has.
        """
        if town not in self.towns:
            raise RequestError(f"this CARLA server has no map {town}; it has {', '.join(self.towns)} (the large ones come as an extra)")
        progress(f"map {town}", 0)
        try:
            with asking(f"loading the map {town}"):
                self._load(town)
        except SimulatorError as error:
            raise SimulatorLost(f"{error}; which map it has now is not known") from error

    def _load(self, town: str) -> None:
        self._end_manager()
        with self.patience(_LOAD):
            self.world = self.client.load_world(town, False)
            self.loads += 1
            self._into_lockstep()
            self.tick()
            self._look_round()

    @contextlib.contextmanager
    def patience(self, seconds: float = _GROUND) -> Iterator[None]:
        """Inside, every call and every tick may take so long."""
        self._await_at_most(seconds)
        try:
            yield
        finally:
            self._await_at_most(_ANSWER)

    def _await_at_most(self, seconds: float) -> None:
        self._answer = seconds
        self.client.set_timeout(seconds)

    def tick(self) -> int:
        """One tick of the world and of the traffic manager; the number of the frame."""
        if self._manager is not None:
            time.sleep(max(0.0, self._ticked + _BREATH - time.monotonic()))
        with asking("ticking"):
            frame = int(self.world.tick(self._answer))
        self._ticked = time.monotonic()
        return frame

    def frame(self) -> int:
        """The number of the last frame."""
        return int(self.world.get_snapshot().frame)

    def batch(self, commands: Sequence[Any], doing: str) -> List[int]:
        """Have all commands done in this order; the ids of the actors concerned. Raises SimulatorError if one fails."""
        with asking(doing):
            answers = self.client.apply_batch_sync(list(commands), False)
        failed = [f"{number}: {answer.error}" for number, answer in enumerate(answers) if answer.error]
        if failed:
            raise SimulatorError(f"CARLA refused {len(failed)} of {len(answers)} commands while {doing}: {'; '.join(failed[:3])}")
        return [int(answer.actor_id) for answer in answers]

    def tell(self, commands: Sequence[Any], doing: str) -> None:
        """As ``batch``, about actors that may be gone, because the traffic manager removes vehicles too: those are passed over."""
        with asking(doing):
            self.client.apply_batch_sync(list(commands), False)

    def remove(self, actors: Sequence[Any], doing: str) -> None:
        """Take these out of the world."""
        self.tell([self.carla.command.DestroyActor(actor) for actor in actors], doing)

    def part(self) -> None:
        """What comes now is the end, and must not take long."""
        self.closed = True
        self._await_at_most(_PARTING)

    def close(self) -> None:
        """Let the server run by itself again, for whoever comes next."""
        with contextlib.suppress(RuntimeError):  # it may be gone already
            self._end_manager()
            settings = self.world.get_settings()
            settings.synchronous_mode, settings.fixed_delta_seconds = False, None
            self.world.apply_settings(settings)

    @property
    def tm(self) -> Any:
        """The traffic manager of the present map, which begins when it is first asked for."""
        if self._manager is None:
            with asking("starting the traffic manager"):
                self._manager = self._new_manager(time.monotonic() + _REBIND)
                self._manager.set_synchronous_mode(True)
        return self._manager

    def _new_manager(self, deadline: float) -> Any:
        """The port of the one before may be taken for another moment."""
        while True:
            try:
                return self.client.get_trafficmanager(self.tm_port)
            except RuntimeError as error:
                if "bind error" not in str(error) or time.monotonic() >= deadline:
                    raise
                time.sleep(_PAUSE)

    def _end_manager(self) -> None:
        """End the traffic manager: one that lives through a change of map takes its process with it."""
        if self._manager is not None:
            time.sleep(_CALM)
            self._manager.shut_down()
            self._manager = None

    def _look_round(self) -> None:
        with asking("reading its map"):
            self.map = self.world.get_map()
            self.map_hash = hashlib.blake2b(self.map.to_opendrive().encode(), digest_size=16).hexdigest()
            self.blueprints = self.world.get_blueprint_library()
            self.light_times = all_times(self.world)  # as the map has them: whoever changes them for a while puts them back

    def _agreed_version(self, deadline: float) -> str:
        """The server's version, if the client's is the same: others answer, and then misunderstand each other."""
        ours = str(self.client.get_client_version())
        while True:
            try:
                theirs = str(self.client.get_server_version())
                break
            except RuntimeError as error:  # the port opens before anybody answers behind it
                if time.monotonic() >= deadline:
                    raise SimulatorError(f"at {self.host}:{self.port} no CARLA server answers: {error}") from None
                time.sleep(_PAUSE)
        if _number(ours) != _number(theirs):
            raise RequestError(
                f"the CARLA server at {self.host}:{self.port} is version {theirs}, the client here is {ours}: they must be the same; "
                + wheel.advice(_number(theirs))
            )
        return _number(theirs)

    def _into_lockstep(self) -> None:
        settings = self.world.get_settings()
        settings.synchronous_mode, settings.fixed_delta_seconds = True, DT
        settings.substepping, settings.max_substep_delta_time, settings.max_substeps = True, SUBSTEP, MOST_SUBSTEPS
        settings.deterministic_ragdolls, settings.spectator_as_ego = True, False
        settings.tile_stream_distance = settings.actor_active_distance = REACH
        settings.no_rendering_mode = not self.rendering
        self.world.apply_settings(settings)


def bare(name: str) -> str:
    """``Carla/Maps/Town12/Town12`` -> ``Town12``."""
    return name.rsplit("/", 1)[-1]


@contextlib.contextmanager
def asking(doing: str) -> Iterator[None]:
    """What CARLA's client raises inside leaves as SimulatorError, or as SimulatorLost where the server did not answer in time."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, B2DError):
            raise
        if "time-out" in str(error):
            raise SimulatorLost(f"CARLA no longer answers: {error} (while {doing})") from error
        raise SimulatorError(f"CARLA failed while {doing}: {error}") from error


def _await_port(host: str, port: int, deadline: float) -> None:
    while True:
        try:
            socket.create_connection((host, port), 2.0).close()
            return
        except OSError as error:
            if time.monotonic() >= deadline:
                raise SimulatorError(f"nobody listens at {host}:{port} ({error}); is the CARLA server running there?") from None
        time.sleep(_PAUSE)


def _number(version: str) -> str:
    found = re.match(r"\d+\.\d+\.\d+", version)
    return found.group() if found else version
