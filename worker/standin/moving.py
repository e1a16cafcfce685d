"""The motion of one tick: vehicles by the embedded world's bicycle model, walkers by their control, sensors with their parents.

Time goes in the embedded world's steps of 0.05 s: a shorter tick lets vehicles rest until a whole step has passed.
"""

from __future__ import annotations

import math
from typing import Dict, List

from ..world import ego
from .actors import ZERO, Actor, Pose, Vector, Vehicle, Walker
from .collisions import Grid, part
from .geometry import hung, wrapped
from .town import Town
from .world import World

INERTIA = 2.2  # yaw inertia per mass, m2

_GRAVITY = 9.81
_CALM = 1e-5  # what the body's smoothed accelerations may be when a standing vehicle is left alone
_GEARS = (0.0, 6.0, 11.0, 17.0, 24.0, 32.0)  # m/s at which the automatic changes up


class Motion:
    """What moves in an episode, kept in lists that follow the actors."""

    def __init__(self, world: World, signs: Dict[str, int]):
        self._world = world
        self._signs = signs  # sign -> id of its traffic light
        self._owed = 0.0  # seconds that vehicles have not moved yet
        self.grid = Grid()
        self.stale = True  # actors have come or gone
        self.vehicles: List[Actor] = []
        self.walkers: List[Actor] = []
        self.hanging: List[Actor] = []

    def _lay_out(self) -> None:
        if not self.stale:
            return
        self.stale = False
        actors = self._world.actors.values()
        self.vehicles = [actor for actor in actors if isinstance(actor.body, Vehicle)]
        self.walkers = [actor for actor in actors if isinstance(actor.body, Walker)]
        self.hanging = [actor for actor in actors if actor.parent and actor.relative]

    def advance(self) -> None:
        """One tick for all."""
        self._lay_out()
        world = self._world
        self._owed += world.delta
        steps = int((self._owed + 1e-6) / ego.DT)
        self._owed -= steps * ego.DT
        movers = [actor for actor in self.vehicles if steps and _drive(actor, steps, world.town)]
        movers += [actor for actor in self.walkers if _walk(actor, world)]
        self._collide(movers)
        for actor in movers:
            if isinstance(actor.body, Vehicle):
                _settle(actor, steps * ego.DT)
                self.look(actor)
        self.carry()

    def carry(self) -> None:
        """Put what hangs on a parent where it belongs."""
        self._lay_out()
        actors = self._world.actors
        for actor in self.hanging:
            parent = actors[actor.parent]
            if actor.relative is not None:
                actor.pose = hung(actor.relative, parent.pose)
                actor.velocity, actor.angular, actor.acceleration = parent.velocity, parent.angular, parent.acceleration

    def look(self, actor: Actor) -> None:
        """The traffic light that governs a vehicle, looked up anew where it has moved by half a metre."""
        body, pose, town = actor.body, actor.pose, self._world.town
        x, y, yaw = body.seen
        if abs(pose.x - x) + abs(pose.y - y) < 0.5 and abs(pose.yaw - yaw) < 10.0:
            return
        body.seen = (pose.x, pose.y, pose.yaw)
        body.lamp = self._signs.get(town.light_at(pose.x, pose.y, pose.yaw) or "", 0)

    def _collide(self, movers: List[Actor]) -> None:
        solid = [actor for actor in movers if actor.solid]
        for actor in solid:
            self.grid.put(actor)
        self._world.contacts = []
        for found in self.grid.touching(solid):
            self._world.contacts += part(found)
            self.grid.put(found.a)
            self.grid.put(found.b)


def _drive(actor: Actor, steps: int, town: Town) -> bool:
    """Move a vehicle; False if it stands and nothing will change that."""
    body: Vehicle = actor.body
    if not actor.physics:
        actor.velocity = actor.angular = actor.acceleration = ZERO
        return False
    _pend(body)
    throttle, steer, brake, hand_brake, reverse, manual, gear = body.control if body.ackermann is None else _ackermann(body)
    brake = 1.0 if hand_brake else brake
    throttle = 0.0 if manual and gear == 0 else throttle
    reverse = reverse or (manual and gear < 0)
    body.gear = gear if manual else _gear(body.car.forward, reverse, throttle)
    if _rests(actor, throttle, steer, brake):
        return False
    for _ in range(steps):
        if body.constant is not None:
            body.car.forward, body.car.sideways, throttle, brake = body.constant[0], body.constant[1], 0.0, 0.0
        ego.drive(body.car, throttle, brake, steer, reverse=reverse)
    if body.constant is not None:
        body.car.forward, body.car.sideways = body.constant[0], body.constant[1]
    _lie(actor, town, steps * ego.DT)
    return True


def _lie(actor: Actor, town: Town, seconds: float) -> None:
    """The pose of a vehicle that has moved on the ground: at its height, tilted with it, and by its own accelerations."""
    car = actor.body.car
    x, y, z, rise_x, rise_y, _, limit = town.ground.nearest(car.x, car.y)
    cos, sin = math.cos(car.yaw), math.sin(car.yaw)
    pitch = math.atan(rise_x * cos + rise_y * sin) + max(-0.04, min(0.04, 0.005 * car.surge))
    roll = math.atan(rise_x * sin - rise_y * cos) + max(-0.05, min(0.05, -0.006 * car.sway))
    height = _height(actor, z + rise_x * (car.x - x) + rise_y * (car.y - y), seconds)
    actor.body.limit = limit
    actor.pose = Pose(car.x, car.y, height, math.degrees(pitch), wrapped(math.degrees(car.yaw)), math.degrees(roll))


def _rests(actor: Actor, throttle: float, steer: float, brake: float) -> bool:
    body = actor.body
    car = body.car
    return (
        not (car.forward or car.sideways or car.yaw_rate or body.constant)
        and actor.velocity == actor.acceleration == ZERO
        and (throttle == 0.0 or brake > 0.6)
        and car.wheel == ego.snap(steer * ego.MAX_WHEEL_ANGLE)
        and abs(car.surge) + abs(car.sway) < _CALM
        and body.seen[0] != math.inf
    )


def _pend(body: Vehicle) -> None:
    """Add the impulses that came since the last tick."""
    if body.pending == ZERO and not body.spin:
        return
    add_velocity(body, body.pending)
    body.car.yaw_rate += body.spin
    body.pending, body.spin = ZERO, 0.0


def add_velocity(body: Vehicle, change: Vector) -> None:
    """Add a change of velocity (m/s, world) to a vehicle's."""
    car = body.car
    cos, sin = math.cos(car.yaw), math.sin(car.yaw)
    car.forward += change[0] * cos + change[1] * sin
    car.sideways += change[1] * cos - change[0] * sin


def set_velocity(body: Vehicle, velocity: Vector) -> None:
    """Give a vehicle a velocity (m/s, world)."""
    body.car.forward = body.car.sideways = 0.0
    add_velocity(body, velocity)


def velocity_of(body: Vehicle) -> Vector:
    """A vehicle's velocity on the ground, m/s in the world."""
    car = body.car
    cos, sin = math.cos(car.yaw), math.sin(car.yaw)
    return (car.forward * cos - car.sideways * sin, car.forward * sin + car.sideways * cos, 0.0)


def renew(actor: Actor) -> None:
    """What CARLA does to a vehicle whose physics is made anew: it stands, its gear and wheels at rest."""
    body: Vehicle = actor.body
    body.car = ego.Car(actor.pose.x, actor.pose.y, math.radians(actor.pose.yaw))
    body.gear, body.pending, body.spin, body.constant = 0, ZERO, 0.0, None
    actor.velocity = actor.angular = actor.acceleration = ZERO


def _ackermann(body: Vehicle) -> tuple[float, float, float, bool, bool, bool, int]:
    """The control that brings a vehicle to the ackermann controller's speed and angle, proportionally."""
    assert body.ackermann is not None
    steer, _, speed, _, _ = body.ackermann
    reverse = speed < 0.0 and body.car.forward < 0.5
    lack = abs(speed) - (-body.car.forward if reverse else body.car.forward)
    pedal = max(-1.0, min(1.0, 0.5 * lack))
    brake = max(0.0, -pedal) if speed else 1.0
    return max(0.0, pedal), max(-1.0, min(1.0, steer / ego.MAX_WHEEL_ANGLE)), brake, False, reverse, False, 0


def _gear(forward: float, reverse: bool, throttle: float) -> int:
    if reverse:
        return -1
    if forward < 0.1 and not throttle:
        return 0
    return sum(forward >= speed for speed in _GEARS) or 1


def _height(actor: Actor, ground: float, seconds: float) -> float:
    """z after a tick: on the ground, or falling towards it, or for ever under it."""
    z = actor.pose.z
    if not actor.gravity or (z <= ground + 0.02 and z > ground - 1.0):
        return max(z, ground) if not actor.gravity else ground
    fallen = z + (min(0.0, actor.velocity[2]) - _GRAVITY * seconds) * seconds
    return max(ground, fallen) if z > ground else fallen


def _settle(actor: Actor, seconds: float) -> None:
    """The velocities of a vehicle after a tick and its collisions, m/s and deg/s in the world."""
    body, before = actor.body, actor.velocity
    velocity = (*velocity_of(body)[:2], (actor.pose.z - body.height) / seconds)
    body.height = actor.pose.z
    actor.acceleration = ((velocity[0] - before[0]) / seconds, (velocity[1] - before[1]) / seconds, (velocity[2] - before[2]) / seconds)
    actor.velocity, actor.angular = velocity, (0.0, 0.0, math.degrees(body.car.yaw_rate))


def _walk(actor: Actor, world: World) -> bool:
    """Move a walker by its control; False if it stands."""
    body: Walker = actor.body
    (dx, dy, _), speed, jump = body.stride
    length = math.hypot(dx, dy)
    moves = actor.physics and not body.dead and speed > 0.0 and length > 0.0
    ground = world.town.height(actor.pose.x, actor.pose.y) + actor.extent[2]
    if not moves and not jump and actor.velocity == ZERO and (actor.pose.z == ground or not actor.physics):
        return False
    vx, vy = (dx / length * speed, dy / length * speed) if moves else (0.0, 0.0)
    pose, delta = actor.pose, world.delta
    rise = 3.0 if jump and pose.z <= ground + 0.01 else actor.velocity[2] - _GRAVITY * delta
    z = pose.z + rise * delta if actor.physics and actor.gravity else pose.z
    if z <= ground and z > ground - 1.0 and actor.physics:
        z, rise = ground, 0.0
    yaw = math.degrees(math.atan2(vy, vx)) if moves else pose.yaw
    actor.pose = Pose(pose.x + vx * delta, pose.y + vy * delta, z, pose.pitch, yaw, pose.roll)
    before, actor.velocity = actor.velocity, (vx, vy, rise if actor.physics else 0.0)
    actor.acceleration = tuple((b - a) / delta for a, b in zip(before, actor.velocity))  # type: ignore[assignment]
    return True
