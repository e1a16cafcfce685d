"""How an episode comes to stand at tick 0: the map, the ego with its sensors, weather, lights, cast and traffic, in an order that never
changes, so that equal settings give equal episodes.

The ego and its sensors stay in the world from one episode to the next as long as its map is loaded. Whatever an old ego remembers (gear,
wheels, springs) is undone by taking its physics away and giving it back; whatever only a wait can settle (streams, ground that loads)
is waited for before the part whose number of ticks counts.
"""

from __future__ import annotations

from typing import Any, Collection, List, Sequence

from b2d_zmq.errors import SimulatorError

from ...rig import Rig
from ...routes import Weather
from .arrival import restore_all
from .drafting import Draft, Wanted
from .episode import Episode, Member
from .link import Link, Progress, asking
from .looks import ROLES
from .sensors import Sensors
from .traffic import Manners, introduce, lifted, open_to

WARM_UP = 10  # ticks that everybody has to settle on the springs, and the traffic to pull off
_GROUND = 200  # ticks that the ground of a large map may take to load
_NEAR = 100.0  # metres within which the ground of a large map is there already
_NOSE = 3.5  # metres before the middle of the ego, where it no longer is
_SEARCH = 10.0  # metres under the start where its ground must be


class Carrier:
    """The ego vehicle and its sensors, kept from one episode to the next."""

    def __init__(self, link: Link, rig: Rig) -> None:
        self._link, self._rig = link, rig
        self._ego: Any = None
        self._sensors: Sensors | None = None
        self._loads = -1

    def ready(self, wanted: Wanted) -> Sensors:
        """Have the ego near that place, with its sensors sending; it is spawned where there is none. ``ego`` is it then."""
        with self._link.patience():
            if self._sensors is None or not self.there:
                self._sensors = self._begin(wanted)
            self._hold(wanted.transform)
            self._sensors.resume()  # a replay that failed has left the cameras off
            self._sensors.warm()
            self._await_ground(wanted.transform)
        return self.sensors

    def _begin(self, wanted: Wanted) -> Sensors:
        """A new ego with new sensors."""
        link = self._link
        if self._sensors is not None and self._loads == link.loads:
            self._sensors.close()  # somebody else has removed their ego
        self._ego = self._sensors = None
        sweep(link)
        with asking("spawning the ego"):
            self._ego = link.world.try_spawn_actor(wanted.blueprint, wanted.transform)
        if self._ego is None:
            at = wanted.transform.location
            raise SimulatorError(f"the ego cannot be spawned at {at.x:.1f}, {at.y:.1f}, {at.z:.1f}: something stands there")
        self._loads = link.loads
        link.tick()
        return Sensors(link, self._ego, self._rig)

    def join(self, wanted: Wanted, transform: Any) -> Sensors:
        """Have the ego for a life that goes on about there: as it is where it is near, else made ready and placed there."""
        link = self._link
        if self._sensors is None or not self.there or self._ego.get_location().distance(transform.location) > _NEAR:
            self.ready(wanted._replace(transform=lifted(link.carla, transform)))
            self.place(transform)
        else:  # it may still be held by a beginning that failed
            link.batch([link.carla.command.SetSimulatePhysics(self._ego, True)], "letting go of the ego")
        return self.sensors

    @property
    def there(self) -> bool:
        """Whether the ego is in the world."""
        return self._ego is not None and self._loads == self._link.loads and bool(self._link.world.get_snapshot().has_actor(self._ego.id))

    @property
    def ego(self) -> Any:
        """The carla.Vehicle."""
        return self._ego

    @property
    def sensors(self) -> Sensors:
        """Of the ego."""
        if self._sensors is None:
            raise SimulatorError("there is no ego in the world")
        return self._sensors

    def place(self, transform: Any) -> None:
        """Put the ego there at rest, as if it were new."""
        command, ego = self._link.carla.command, self._ego
        still = self._link.carla.Vector3D()
        orders = [
            *self._held(transform),
            command.SetSimulatePhysics(ego, True),
            command.ApplyTargetVelocity(ego, still),
            command.ApplyTargetAngularVelocity(ego, still),
            command.SetVehicleLightState(ego, self._link.carla.VehicleLightState.NONE),
        ]
        self._link.batch(orders, "placing the ego")

    def remove(self) -> None:
        """Take the ego and its sensors out of the world."""
        if self._sensors is not None and self.there:
            self._sensors.close()
            self._link.batch([self._link.carla.command.DestroyActor(self._ego)], "removing the ego")
            self._link.tick()  # and once more: a traffic manager that still thinks of it when it ends takes the process with it
            self._link.tick()
        self._ego = self._sensors = None

    def _held(self, transform: Any) -> List[Any]:
        command, pedals = self._link.carla.command, self._link.carla.VehicleControl(hand_brake=True)
        return [
            command.SetSimulatePhysics(self._ego, False),
            command.ApplyTransform(self._ego, transform),
            command.ApplyVehicleControl(self._ego, pedals),
        ]

    def _hold(self, transform: Any) -> None:
        """Put the ego there without physics, so that it waits for its ground instead of falling through."""
        self._link.batch(self._held(transform), "placing the ego")

    def _await_ground(self, transform: Any) -> None:
        """Tick until there is ground at that place: the tiles of a large map load round the ego, in their own time."""
        carla, at, ahead = self._link.carla, transform.location, transform.get_forward_vector()
        before = carla.Location(x=at.x + _NOSE * ahead.x, y=at.y + _NOSE * ahead.y, z=at.z + 1.0)  # the ego itself is no ground
        for _ in range(_GROUND):
            self._link.tick()
            with asking("looking for the ground"):
                if self._link.world.ground_projection(before, _SEARCH) is not None:
                    return
        raise SimulatorError(f"no ground has come under {at.x:.1f}, {at.y:.1f}, {at.z:.1f} in {_GROUND} ticks; is the start on the map?")


def stage(link: Link, carrier: Carrier, draft: Draft, progress: Progress) -> Episode:
    """The episode of that draft at tick 0. The map is loaded; who is left of an earlier episode goes, but for the ego."""
    wanted = draft.wanted[0]
    sensors = carrier.ready(wanted)
    sweep(link, [carrier.ego.id])
    progress("placing everybody", 0)
    manners = _opened(link, draft)
    carrier.place(wanted.transform)
    link.tick()
    cast = [Member("ego", carrier.ego, False), *_spawned(link, draft.wanted[1:])]
    _introduce(manners, cast, draft)
    episode = Episode(link, draft, sensors, manners, cast)
    if episode.arrival is not None:
        episode.arrival.begin()
    link.batch(episode.directions(), "placing the cast")
    for _ in range(WARM_UP - 1):
        episode.watch.see(episode.world_tick())  # seen already: a snapshot of tick 0 has a lead-in too
    episode.open()
    return episode


def strike(link: Link, episode: Episode) -> None:
    """Take everybody but the ego out of the world; two ticks, so that the traffic manager forgets them too."""
    present = link.world.get_snapshot()
    link.remove([member.actor for member in episode.cast[1:] if present.has_actor(member.actor.id)], "clearing the stage")
    episode.watch.lamps.settle()
    link.tick()
    link.tick()


def sweep(link: Link, ours: Collection[int] = ()) -> None:
    """Take out whoever has a role of ours and is none of these: left by an episode that failed.

    There was a tick since it failed: before that, nobody is told of who was spawned.
    """
    left = left_behind(link, ours)
    if left:
        link.remove(left, "clearing what was left")
        link.tick()
        link.tick()


def left_behind(link: Link, ours: Collection[int] = ()) -> List[Any]:
    """Whoever has a role of ours and is none of these, and before them the sensors on them."""
    with asking("looking who is left"):
        there = link.world.get_actors()
        known = [actor for kind in ("vehicle.*", "walker.*", "static.prop.*") for actor in there.filter(kind) if actor.id not in ours]
        left = {actor.id: actor for actor in known if actor.attributes.get("role_name") in ROLES}
        sensors = [sensor for sensor in there.filter("sensor.*") if sensor.parent is not None and sensor.parent.id in left]
    return [*sensors, *left.values()]


def set_weather(link: Link, weather: Weather) -> None:
    """The episode's weather; what a route does not say keeps CARLA's own value."""
    with asking("setting the weather"):
        parameters = link.carla.WeatherParameters()
        for name in vars(weather):
            setattr(parameters, name, getattr(weather, name))
        link.world.set_weather(parameters)


def _opened(link: Link, draft: Draft) -> Manners:
    """Weather, the traffic manager's seed, and then the lights from their beginning: the seed resets them too."""
    set_weather(link, draft.settings.weather)
    manners = Manners(link.tm)
    with asking("resetting traffic and lights"):
        open_to(manners, draft.settings.seed)
        link.world.freeze_all_traffic_lights(False)
        restore_all(link.world, link.light_times)
        link.world.reset_all_traffic_lights()
    return manners


def _spawned(link: Link, wanted: Sequence[Wanted]) -> List[Member]:
    """The cast, which must be there, and the traffic, as far as it found room. In two batches, in this order."""
    command = link.carla.command
    cast = [each for each in wanted if not each.autopilot]
    orders = [
        command.SpawnActor(each.blueprint, each.transform).then(command.SetSimulatePhysics(command.FutureActor, False)) for each in cast
    ]
    ids = link.batch(orders, "spawning the scenario's actors")
    traffic = [each for each in wanted if each.autopilot]
    orders = [
        command.SpawnActor(each.blueprint, each.transform).then(command.SetAutopilot(command.FutureActor, True, link.tm_port))
        for each in traffic
    ]
    with asking("spawning the traffic"):
        answers = link.client.apply_batch_sync(orders, False) if orders else []
    found = [(each, answer.actor_id) for each, answer in zip(traffic, answers) if not answer.error]
    there = [*zip(cast, ids), *found]
    with asking("meeting the cast"):
        actors = {actor.id: actor for actor in link.world.get_actors([actor_id for _, actor_id in there])}
    return [Member(each.key, actors[actor_id], each.autopilot) for each, actor_id in there]


def _introduce(manners: Manners, cast: Sequence[Member], draft: Draft) -> None:
    with asking("instructing the traffic"):
        for member in cast:
            if member.autopilot:
                introduce(manners, member.key, member.actor, f"{draft.settings.seed}/{draft.settings.route.id}/{member.key}")
