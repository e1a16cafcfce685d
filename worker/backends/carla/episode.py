"""One episode on a CARLA server: who is in it, and one tick of it. How it begins is in ``staging``.

What happens each tick, in this order: the ego's control and the cast's places go out in one batch, the world ticks, everything is read
from that frame's snapshot, and the task judges. Nothing is read by a call per actor.
"""

from __future__ import annotations

import math
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Sequence, Tuple

import numpy as np

from b2d_zmq.errors import SimulatorError, SnapshotCorrupt

from ...task import Place, Task, Verdict
from ...world.actors import ActorKind
from ...world.collision import word_of
from ...world.ego import LENGTH, Ego
from ...world.world import Events
from .. import view
from .arrival import arrival_of
from .capture import Watch
from .drafting import Draft, waiting_place
from .lamps import LampWatch
from .link import DT, Link, asking
from .looks import lamps_of, lift_of, look_of
from .moment import PLACE, ROTATION, VELOCITY
from .play import Placed, Play
from .sensors import Bump, Sensors
from .traffic import Manners

Control = Tuple[float, float, float]  # throttle, brake, steer, each a float32

_PATIENCE = 0.05  # seconds that news of a collision are waited for, where one is likely
_JOLT = 0.7  # m/s in one tick: more than tyres can do
_NEVER_HIT = ("road", "sidewalk", "dirtdebris")  # words in the type of what the ego may drive over
_SEAM = 0.3  # metres: on the line between two lanes one is as far from both as they are wide
_LOOKS = {"vehicle": ActorKind.CAR, "walker": ActorKind.WALKER}


class Member(NamedTuple):
    """An actor of the episode. ``key`` is the same in every run of it, unlike ids: "ego", "scenario/1", "traffic/17"."""

    key: str
    actor: Any  # carla.Vehicle, carla.Walker or a prop
    autopilot: bool  # driven by the traffic manager


class Episode:
    """See the module's text. ``cast`` has the ego, the scenario's actors and the traffic, in the order of the play's rows."""

    def __init__(self, link: Link, draft: Draft, sensors: Sensors, manners: Manners, cast: Sequence[Member]) -> None:
        """The actors are there; ``open`` when the world stands at tick 0."""
        self.link, self.settings, self.sensors, self.manners, self.cast = link, draft.settings, sensors, manners, list(cast)
        self.road = draft.governed.road
        self._draft = draft
        self._first = sum(not member.autopilot for member in cast)  # row of the first that the traffic manager drives
        kinds = [ActorKind.CAR, *draft.plan.kinds, *[ActorKind.CAR] * (len(cast) - self._first)]
        with asking("measuring the cast"):  # each is a call to a 0.9.16 server
            boxes = [member.actor.bounding_box for member in cast]
        looks = [look_of(kind, box) for kind, box in zip(kinds, boxes)]
        self._lifts = [lift_of(kind, box) for kind, box in zip(kinds, boxes)]
        self.play = Play(draft.plan, draft.governed, draft.settings, looks[: self._first], looks[self._first :])
        self.task = Task(self.road.length, DT, draft.settings.terms)
        self.edges = view.edges(self.road)
        with asking("looking at the traffic lights"):
            self.watch = Watch([member.actor for member in cast], LampWatch(link.carla, link.world, self.road))
            plot = draft.plan.plot
            self.arrival = arrival_of(self.road, draft.governed.lights, plot.arrival if plot else "")
        self.log: List[Control] = []
        self.origin: List[Tuple[str, int]] = []  # (tier, tick) of each restore that did not come by the log alone
        self.frame = 0
        self._told: Dict[int, Tuple[Any, ...]] = {}  # row -> what the server was last told of it

    @property
    def ego(self) -> Any:
        """The carla.Vehicle."""
        return self.cast[0].actor

    @property
    def tick(self) -> int:
        """Ticks since the beginning."""
        return self.play.tick

    def open(self) -> None:
        """The last tick of the staging: the world stands at tick 0."""
        self._see(self.world_tick())
        self.play.begin(self._seen_ego(0.0), self._seen_others())
        self.watch.roll(0, self._numbers())
        self.sensors.flush(self.frame)

    def step(self, control: Control) -> Tuple[Verdict, Events]:
        """One tick under that control."""
        before = self.play.ego
        self.play.move()
        self.link.batch([self._pedals(control), *self.directions()], "stepping")
        self._see(self.world_tick())
        self.play.look(self._seen_ego(before.s), self._seen_others())
        if self.arrival is not None:
            self.arrival.act(before.s, self.play.ego.s, self.tick, self.link.light_times, self.watch.lamps)
        events = self._events(before)
        verdict = self.task.update(self.place(), events)
        self.log.append(control)
        self.watch.roll(self.tick, self._numbers())
        return verdict, events

    def world_tick(self) -> Any:
        """Tick the server and nothing else: its snapshot."""
        frame = self.link.tick()
        snapshot = self.link.world.get_snapshot()
        if snapshot.frame != frame:
            raise SimulatorError(f"the world is at frame {snapshot.frame}, not at {frame}: does another client tick this server?")
        return snapshot

    def directions(self) -> List[Any]:
        """The commands that put the cast where the play has it, of those who are not there yet."""
        return [command for placed in self.play.placed() for command in self._direct(placed)]

    def place(self) -> Place:
        """Where the ego is, for the task."""
        ego, (left, right) = self.play.ego, self.edges
        beyond = max(0.0, left - ego.d, ego.d - right) if self._off_road(ego) else 0.0
        return Place(ego.s, ego.d, beyond, ego.speed)

    def digest(self) -> str:
        """The hash of the present state."""
        return self.watch.digest(self._numbers())

    def state(self) -> Dict[str, Any]:
        """All that changes and is not in the server, as plain values and arrays."""
        return {"task": self.task.state(), "play": self.play.state(), "s": self.play.ego.s}

    def load(self, state: Mapping[str, Any]) -> None:
        """Become that state of the same episode; ``resume`` when the world stands accordingly. Raises SnapshotCorrupt."""
        self.check(state, self.play, self.task)

    @staticmethod
    def check(state: Any, play: Play, task: Task) -> None:
        """Have a play and a task become an episode's state. Raises SnapshotCorrupt."""
        whole = isinstance(state, Mapping) and {"task", "play", "s"} <= set(state)
        if not (whole and type(state["s"]) is float and math.isfinite(state["s"])):
            raise SnapshotCorrupt("a state of an episode without its task, its scenario or its place on the road")
        play.load(state["play"])
        task.load(state["task"])

    def resume(self, frame: int, near: float) -> None:
        """After ``load``, when the watch has seen that frame: see everybody where they are; the ego is about that far along the road."""
        self.frame = frame
        self.play.resume(self._seen_ego(near), self._seen_others())
        self.sensors.flush(self.frame)

    def _see(self, snapshot: Any) -> None:
        self.watch.see(snapshot)
        self.frame = int(snapshot.frame)

    def _seen_ego(self, near: float) -> Ego:
        now = self.watch.now()
        if not now.alive[0]:
            raise SimulatorError("the ego is no longer in the world: did another client remove it?")
        x, y, z, pitch, yaw, roll, vx, vy, _, _, _, spin = now.motion[0].tolist()
        heading = math.radians(yaw)
        s, d = self.road.locate(x, y, near)
        speed = vx * math.cos(heading) + vy * math.sin(heading)
        return Ego(x, y, z, heading, math.radians(pitch), math.radians(roll), speed, vx, vy, math.radians(spin), float(s), float(d))

    def _seen_others(self) -> Any:
        """float64 [N, 6] of the traffic: x, y, z, yaw, vx, vy; NaN for who is gone."""
        now = self.watch.now()
        motion = now.motion[self._first :].astype(np.float64)
        seen = np.column_stack([motion[:, PLACE], np.radians(motion[:, ROTATION][:, 1]), motion[:, VELOCITY][:, :2]])
        seen[~now.alive[self._first :]] = np.nan
        return seen

    def _pedals(self, control: Control) -> Any:
        throttle, brake, steer = control
        pedals = self.link.carla.VehicleControl(throttle=throttle, brake=brake, steer=steer)
        return self.link.carla.command.ApplyVehicleControl(self.ego, pedals)

    def _direct(self, placed: Placed) -> Iterator[Any]:
        """What one of the cast must be told."""
        carla, actor = self.link.carla, self.cast[placed.row].actor
        lights = int(self.play.actors.lights[placed.row]) if placed.visible else 0
        told = (placed.x, placed.y, placed.z, placed.yaw) if placed.visible else ()
        before = self._told.get(placed.row, ((), 0, False))
        door = bool(self.play.crowd.door[placed.row] > 0.0)
        if told != before[0]:
            yield carla.command.ApplyTransform(actor, self._transform(placed))
        if lights != before[1] and hasattr(actor, "set_light_state"):
            yield carla.command.SetVehicleLightState(actor.id, lamps_of(carla, lights))  # with the actor, the wheel sends a bool
        if door and not before[2]:
            actor.open_door(carla.VehicleDoor.FL)
        self._told[placed.row] = (told, lights, door)

    def _transform(self, placed: Placed) -> Any:
        carla = self.link.carla
        if not placed.visible:
            return waiting_place(self.link, self._draft.plan, placed.row)
        place = carla.Location(x=placed.x, y=placed.y, z=placed.z + self._lifts[placed.row])
        return carla.Transform(place, carla.Rotation(yaw=math.degrees(placed.yaw)))

    def _events(self, before: Ego) -> Events:
        ego, play = self.play.ego, self.play
        red, stop = play.signals.watch(before.s, ego.s, LENGTH / 2, ego.speed, self.tick)
        jolt = math.hypot(ego.vx - before.vx, ego.vy - before.vy) > _JOLT
        bumps = [bump for bump in self.sensors.bumps(self.frame, _PATIENCE if jolt or play.touched() else 0.0) if _counts(bump)]
        word, name, impulse = _hit(bumps[0]) if bumps else ("", "", 0.0)
        return Events(word, name, impulse, red, stop, play.invaded(), self._off_road(ego), play.stage.yield_violation)

    def _off_road(self, ego: Ego) -> bool:
        """Whether the map has no lane of any kind under the ego's middle."""
        if self.play.near_junction(ego) and abs(ego.d) < 30.0:
            return False
        location = self.link.carla.Location(x=ego.x, y=ego.y, z=ego.z)
        lane = self.link.map.get_waypoint(location, project_to_road=True, lane_type=self.link.carla.LaneType.Any)
        return lane is None or lane.transform.location.distance(location) > 0.5 * lane.lane_width + _SEAM

    def _numbers(self) -> List[Any]:
        """What a digest tells besides the actors and the lights, rounded as coarsely as those are."""
        play = self.play
        phase, memory = play.stage.state()
        return [
            self.tick,
            [_coarse(value) for value in self.task.state()],
            [play.lane, *play.signals.served, *phase],
            [_coarse(value) for value in (*memory, *play.expert.state())],
        ]


def _coarse(value: Any) -> Any:
    return round(100.0 * value) if isinstance(value, float) and math.isfinite(value) else value


def _counts(bump: Bump) -> bool:
    return not any(word in bump.type_id for word in _NEVER_HIT)


def _hit(bump: Bump) -> Tuple[str, str, float]:
    kind = _LOOKS.get(bump.type_id.split(".", 1)[0], ActorKind.BARRIER)
    return word_of(int(kind)), bump.type_id, bump.impulse
