"""One simulator: the world of now, and what outlives it (frames, ids, streams, the registry of traffic managers). No sockets here.

All that happens in a tick happens in ``tick``, in one order, so that the same calls give the same states. What is to be sent goes to
``streams`` at once: the state first, then the sensors in the order of their ids.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Set, Tuple

from ..routes import Route
from ..world.ego import DT
from . import layouts, spawning
from .actors import Actor, Lamp, Pose, Vehicle
from .dialect import Dialect
from .errors import Refusal
from .faults import Faults
from .lights import Group, groups_of
from .moving import Motion
from .sensing import Sensing
from .snapshot import Snapshot
from .streams import Streams
from .town import Town, build
from .world import DEFAULTS, Settings, World

STATE_STREAM = 1
"""The world-state stream, the same for the life of the server: a 0.9.15 client keeps its connection over a load."""


class Config(NamedTuple):
    """What a server was started with."""

    dialect: Dialect
    version: str  # what is told to clients
    routes: Tuple[Route, ...] = ()
    streaming_port: int = 2001
    rendering: bool = True


class Simulator:
    """See the module's text."""

    def __init__(self, config: Config, streams: Streams, faults: Faults, first_map: str):
        self.config = config
        self.streams = streams
        self.faults = faults
        self.types = config.dialect.types()
        self.managers: Dict[int, str] = {}  # port of a traffic manager -> its host
        self.announced: List[int] = []  # streams that a client is about to join
        self._next_actor = 1
        self._next_stream = STATE_STREAM + 1
        self._settings = DEFAULTS
        self._frame = 0
        self._episode = 0
        self._begin(build(first_map, config.routes))

    # -- the episode

    def load(self, town: Town, *, reset_settings: bool) -> None:
        """A new episode in a town. Its number is in force and its first state sent when this returns."""
        self._settings = DEFAULTS if reset_settings else self.world.settings
        self._frame = self.world.frame
        self._begin(town)

    def _begin(self, town: Town) -> None:
        self._episode += 1
        rendering = self.config.rendering and not self._settings.no_rendering
        self.world = World(town, self._episode, self._frame, settings=self._settings, rendering=rendering)
        self.touched: Set[int] = set()
        for actor in spawning.of_town(town, self._next_actor):
            self.world.actors[actor.id] = actor
        self._next_actor = max(self.world.actors) + 1
        self.spectator = self.world.actors[self._next_actor - 1]
        self.groups: Dict[int, Group] = groups_of(self.world.actors.values())
        signs = {actor.body.sign: actor.id for actor in self.world.actors.values() if actor.type_id == "traffic.traffic_light"}
        self.motion = Motion(self.world, signs)
        self.sensing = Sensing(self.world, self.streams, self.wire)
        self._snapshot = Snapshot(self.config.dialect.state_index, self.config.dialect.tells_map)
        self.advance()

    def set_settings(self, settings: Settings) -> None:
        """Take new settings; they hold from the next tick on."""
        self.world.settings = settings
        self.world.rendering = self.config.rendering and not settings.no_rendering
        self.streams.lossy = not settings.synchronous

    # -- time

    def tick(self) -> int:
        """The tick that a client has asked for; the frame's number."""
        self.faults.tick()
        return self.advance()

    def step(self) -> float:
        """Seconds of the next tick."""
        return self.world.settings.delta or DT

    def advance(self) -> int:
        """One tick, its state and its data sent; the frame's number."""
        world = self.world
        world.frame += 1
        world.delta = self.step()
        world.elapsed += world.delta
        for group in self.groups.values():
            group.advance(world.delta, self.touched)
        self.motion.advance()
        self.streams.lossy = not world.settings.synchronous
        packet = self._packed()
        for listener in self.streams.listeners.get(STATE_STREAM, ()):
            self.streams.pass_on(listener, [packet])
        self.sensing.send()
        return world.frame

    def _packed(self) -> bytearray:
        packet = self._snapshot.pack(self.world, self.touched)
        self.touched.clear()
        return packet

    def state(self) -> bytes:
        """The current state's packet, for who joins late: actors that came after the last tick are in it too."""
        return bytes(self._packed())

    # -- actors

    def actor(self, number: int) -> Actor:
        """The actor of that id. Raises Refusal."""
        found = self.world.actors.get(number)
        if found is None:
            raise Refusal(f"unable to find actor {number}: it does not exist, or no longer")
        return found

    def vehicle(self, number: int) -> Actor:
        """The vehicle of that id. Raises Refusal."""
        found = self.actor(number)
        if not isinstance(found.body, Vehicle):
            raise Refusal(f"actor {number} is no vehicle but {found.type_id}")
        return found

    def spawn(self, type_id: str, attributes: Dict[str, str], pose: Pose, parent: int = 0, attachment: int = 0) -> Actor:
        """A new actor. Raises Refusal."""
        actor = spawning.spawned(self._next_actor, type_id, attributes, pose)
        if parent:
            spawning.attached(actor, self.actor(parent), attachment)
        spawning.check_room(actor, self.motion.grid)
        if spawning.streams(actor):
            actor.stream = self._next_stream
            self._next_stream += 1
        self._next_actor += 1
        self.world.actors[actor.id] = actor
        if actor.solid:
            self.motion.grid.put(actor)
        self._changed()
        return actor

    def destroy(self, number: int) -> bool:
        """Take an actor out, and what hangs on it; False if it was not there, or belongs to the town."""
        actor = self.world.actors.get(number)
        if actor is None or actor is self.spectator or isinstance(actor.body, Lamp):
            return False
        for child in [each.id for each in self.world.actors.values() if each.parent == number]:
            self.destroy(child)
        self.motion.grid.drop(actor)
        self.touched.discard(number)
        del self.world.actors[number]
        self._changed()
        return True

    def _changed(self) -> None:
        """Actors have come or gone."""
        self.motion.stale = self.sensing.stale = self._snapshot.stale = True

    def moved(self, actor: Actor) -> None:
        """An actor was put elsewhere from outside."""
        self.touched.add(actor.id)
        if actor.solid:
            self.motion.grid.put(actor)

    def wire(self, actor: Actor) -> layouts.Wire:
        """The actor as the client gets it."""
        return layouts.actor_of(actor, self.types, self.config.streaming_port)

    def lamp_group(self, actor: Actor) -> Group:
        """The group of a traffic light. Raises Refusal."""
        group = self.groups.get(getattr(actor.body, "group", -1))
        if group is None:
            raise Refusal(f"actor {actor.id} is no traffic light but {actor.type_id}")
        return group
