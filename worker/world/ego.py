"""The ego vehicle: a bicycle model with tyres that can only do so much.

Each axle has a friction circle: what goes into driving or braking is missing for cornering, and beyond the limit the car slides.
Below walking pace the tyres are replaced by pure rolling, so that nothing jitters or creeps at a standstill.
Scalars and ``math`` only: the same numbers on every Python and numpy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import List, NamedTuple, Sequence, Tuple

DT = 0.05
LENGTH, WIDTH, HEIGHT = 4.9, 2.06, 1.5
WHEELBASE, TO_FRONT, TO_REAR = 2.85, 1.35, 1.5  # metres; the last two from the centre of mass to the axles
MAX_WHEEL_ANGLE = math.radians(38.0)
WHEEL_RATE = 1.0  # rad/s of the road wheels
MASS = 1750.0  # kg, for impulses

_GRAVITY = 9.81
_POWER = 78.0  # W/kg at full throttle
_MAX_DRIVE = 4.4  # m/s2
_MAX_BRAKE = 8.7  # m/s2
_MAX_REVERSE = 2.5  # m/s2
_DRAG = 0.00056  # 1/m
_ROLLING = 0.12  # m/s2
_INERTIA = 2.2  # yaw inertia per mass, m2
_STIFFNESS = 13.0  # normalised cornering stiffness, 1/rad
_FRONT_LOAD, _REAR_LOAD = _GRAVITY * TO_REAR / WHEELBASE, _GRAVITY * TO_FRONT / WHEELBASE  # per mass
_SUBSTEPS = 4
_STEP = DT / _SUBSTEPS
_WHEEL_STEP = WHEEL_RATE * _STEP
_GRID = 2.0**20


class Ego(NamedTuple):
    """Where the ego is and how it moves: world metres and radians, speed along its own axis (m/s), place (s, d) on the road."""

    x: float
    y: float
    z: float
    yaw: float
    pitch: float
    roll: float
    speed: float
    vx: float
    vy: float
    yaw_rate: float
    s: float
    d: float


@dataclass
class Car:
    """The mutable state of the vehicle's body; ``forward`` and ``sideways`` are velocities in its own frame, m/s."""

    x: float
    y: float
    yaw: float
    forward: float = 0.0
    sideways: float = 0.0
    yaw_rate: float = 0.0
    wheel: float = 0.0  # rad, positive to the right
    surge: float = 0.0  # smoothed accelerations, m/s2, for the body's pitch and roll
    sway: float = 0.0

    def numbers(self) -> List[float]:
        """All of the state, in order."""
        return [self.x, self.y, self.yaw, self.forward, self.sideways, self.yaw_rate, self.wheel, self.surge, self.sway]

    def snap(self) -> None:
        """Round the state to the grid of 2**-20, where last-bit differences of other machines vanish."""
        self.x, self.y, self.yaw = round(self.x * _GRID) / _GRID, round(self.y * _GRID) / _GRID, round(self.yaw * _GRID) / _GRID
        self.forward, self.sideways = round(self.forward * _GRID) / _GRID, round(self.sideways * _GRID) / _GRID
        self.yaw_rate, self.wheel = round(self.yaw_rate * _GRID) / _GRID, round(self.wheel * _GRID) / _GRID
        self.surge, self.sway = round(self.surge * _GRID) / _GRID, round(self.sway * _GRID) / _GRID


def snap(value: float) -> float:
    """The value on the grid of 2**-20."""
    return round(value * _GRID) / _GRID


def car_of(numbers: Sequence[float]) -> Car:
    """The car that ``Car.numbers`` wrote."""
    return Car(*(float(number) for number in numbers))


def drive(car: Car, throttle: float, brake: float, steer: float, *, grip: float = 1.0, drag: float = 0.0, reverse: bool = False) -> None:
    """Advance by one tick. ``grip`` scales the friction (1 is dry asphalt), ``drag`` is an extra deceleration in m/s2 (grass)."""
    before = car.forward
    target = max(-1.0, min(1.0, steer)) * MAX_WHEEL_ANGLE
    stopping = brake * _MAX_BRAKE
    for _ in range(_SUBSTEPS):
        turn = target - car.wheel
        if turn:
            car.wheel += max(-_WHEEL_STEP, min(_WHEEL_STEP, turn))
        _substep(car, _push(car, throttle, grip, reverse), stopping, grip=grip, drag=drag)
    car.surge += 0.25 * ((car.forward - before) / DT - car.surge)
    car.sway += 0.25 * (car.forward * car.yaw_rate - car.sway)
    car.snap()


def hit(car: Car, kept: float) -> None:
    """A collision: keep only that share of the speed."""
    car.forward *= kept
    car.sideways *= kept
    car.yaw_rate *= kept
    car.snap()


def _push(car: Car, throttle: float, grip: float, reverse: bool) -> float:
    if reverse:
        return -throttle * _MAX_REVERSE
    force = throttle * min(_MAX_DRIVE, _POWER / max(abs(car.forward), 1.0))
    return min(force, 0.55 * grip * _GRAVITY)


def _substep(car: Car, push: float, brake: float, *, grip: float, drag: float) -> None:
    speed = car.forward
    braking = min(brake, 0.92 * grip * _GRAVITY)
    resisting = braking + _ROLLING + drag + _DRAG * speed * speed
    if abs(speed) < 2.0:
        forward = _resisted(speed + push * _STEP, resisting * _STEP)
        _roll(car, forward)
        return
    front, rear = _tyres(car, push, braking if speed > 0 else -braking, grip)
    cos, sin = math.cos(car.wheel), math.sin(car.wheel)
    forward = _resisted(speed + (push - front * sin + car.sideways * car.yaw_rate) * _STEP, resisting * _STEP)
    car.sideways += (front * cos + rear - speed * car.yaw_rate) * _STEP
    car.yaw_rate += (TO_FRONT * front * cos - TO_REAR * rear) / _INERTIA * _STEP
    car.forward = forward
    _move(car)


def _resisted(speed: float, loss: float) -> float:
    """Resistance slows, but never turns the motion round."""
    if speed > 0.0:
        return max(0.0, speed - loss)
    return min(0.0, speed + loss)


def _tyres(car: Car, push: float, braking: float, grip: float) -> Tuple[float, float]:
    """Lateral force per mass of the front and rear axle (m/s2, positive to the right); driving acts on the front wheels."""
    ahead, sideways, rate = abs(car.forward), car.sideways, car.yaw_rate
    wheel = car.wheel if car.forward >= 0.0 else -car.wheel
    front = _force(math.atan2(sideways + TO_FRONT * rate, ahead) - wheel, _FRONT_LOAD, push - 0.6 * braking, grip)
    return front, _force(math.atan2(sideways - TO_REAR * rate, ahead), _REAR_LOAD, -0.4 * braking, grip)


def _force(slip: float, load: float, along: float, grip: float) -> float:
    """Of one axle: what the force along leaves of the friction circle, approached smoothly."""
    most = grip * load
    room = math.sqrt(max(most * most - along * along, (0.25 * most) ** 2))
    bend = _STIFFNESS * load * slip / room
    return -room * bend / math.sqrt(1.0 + bend * bend)


def _roll(car: Car, forward: float) -> None:
    """Pure rolling: what the wheels say, without slip."""
    car.forward = forward
    car.yaw_rate = forward * math.tan(car.wheel) / WHEELBASE
    car.sideways = TO_REAR * car.yaw_rate
    _move(car)


def _move(car: Car) -> None:
    forward, sideways, rate = car.forward, car.sideways, car.yaw_rate
    middle = car.yaw + 0.5 * rate * _STEP
    cos, sin = math.cos(middle), math.sin(middle)
    car.x += (forward * cos - sideways * sin) * _STEP
    car.y += (forward * sin + sideways * cos) * _STEP
    car.yaw += rate * _STEP


def view(car: Car, z: float, s: float, d: float) -> Ego:
    """What others see of the car. Braking dips the nose (negative pitch), a right turn leans the body left (negative roll)."""
    cos, sin = math.cos(car.yaw), math.sin(car.yaw)
    vx = car.forward * cos - car.sideways * sin
    vy = car.forward * sin + car.sideways * cos
    pitch = max(-0.04, min(0.04, 0.005 * car.surge))
    roll = max(-0.05, min(0.05, -0.006 * car.sway))
    return Ego(car.x, car.y, z, car.yaw, pitch, roll, car.forward, vx, vy, car.yaw_rate, s, d)
