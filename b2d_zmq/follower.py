"""A driver that keeps to its route: pure pursuit for the wheel, a car-following law for the pedals.

It sees what a policy may see, ``observation["vehicle_state"]``, and of ``info`` the route ahead and the hazard. It keeps no memory, so one
follower can drive any number of environments or branches, and the same situation always gets the same action.
It is a baseline and a demonstration, not an expert: it goes round nothing that ``route_ahead`` does not go round.
"""

from __future__ import annotations

import math
from typing import Any, List, Mapping, NamedTuple, Sequence, Tuple

import numpy as np

Point = Tuple[float, float]


class Manner(NamedTuple):
    """How it drives: metres, seconds, m/s2."""

    cornering: float = 2.3  # lateral acceleration in bends
    accelerating: float = 2.2
    braking: float = 2.5  # comfortable; in need it brakes as hard as the car can
    headway: float = 1.2  # seconds to the one in front
    distance: float = 3.5  # to the one in front, standing
    stop_short: float = 0.8  # of a stop line


class Car(NamedTuple):
    """What it knows of the car that it drives: the embedded world's ego."""

    wheelbase: float = 2.85
    to_rear: float = 1.45  # from the middle to the rear axle
    wheel_angle: float = math.radians(38.0)  # at steer = 1
    drive: float = 4.4  # m/s2 at full throttle
    power: float = 78.0  # W/kg
    brake: float = 8.7  # m/s2
    rolling: float = 0.12  # m/s2
    drag: float = 0.00056  # 1/m


class RouteFollower:
    """Drives along ``info["route_ahead"]``, ``offset`` metres to the right of it; stops for what ``info["hazard"]`` says."""

    def __init__(self, offset: float = 0.0, manner: Manner = Manner(), car: Car = Car()) -> None:  # noqa: B008  # both are immutable
        self.offset = offset
        self.manner = manner
        self.car = car

    def act(self, observation: Mapping[str, Any], info: Mapping[str, Any]) -> np.ndarray[Any, Any]:
        """The next action, float32 [3]: throttle, brake, steer."""
        vehicle = observation["vehicle_state"]
        x, y = float(vehicle["position"][0]), float(vehicle["position"][1])
        yaw, speed = math.radians(float(vehicle["rotation"][1])), float(vehicle["speed"][0])
        path = _seen_from(np.asarray(info["route_ahead"], np.float64) - (x, y), yaw, self.offset)
        steer, error = self._steer(path, speed)
        hazard = info["hazard"]
        pace = self._pace(path, float(hazard["speed_limit"]), error)
        wanted = min(self._follow(speed, pace, hazard), self._halt(speed, float(hazard["stop"])))
        throttle, brake = self._pedals(speed, wanted)
        return np.array([throttle, brake, steer], np.float32)

    def _steer(self, path: Sequence[Point], speed: float) -> Tuple[float, float]:
        """The wheel for an arc through a point ahead, and the angle to that point (rad)."""
        look = min(max(3.5, 2.5 + 0.55 * speed), 18.0)
        ahead, aside = _point_at(path, look, self.car.to_rear)
        ahead += self.car.to_rear
        error = math.atan2(aside, ahead)
        angle = math.atan2(2.0 * self.car.wheelbase * aside, ahead * ahead + aside * aside)
        if ahead < 0.0:  # the route is behind: full lock towards it
            angle = math.copysign(self.car.wheel_angle, aside)
        return min(max(angle / self.car.wheel_angle, -1.0), 1.0), error

    def _pace(self, path: Sequence[Point], limit: float, error: float) -> float:
        """The speed that the limit, the bends ahead and the way back to the route allow."""
        pace = limit if abs(error) < 0.35 else min(limit, 4.0)
        for way, bend in _bends(path):
            corner = self.manner.cornering / max(bend, 1e-3)
            pace = min(pace, math.sqrt(corner + 2.0 * 0.8 * self.manner.braking * max(0.0, way - 2.0)))
        return pace

    def _follow(self, speed: float, pace: float, hazard: Mapping[str, Any]) -> float:
        """The acceleration towards a pace and behind the one in front (the Intelligent Driver Model)."""
        manner = self.manner
        free = 1.2 * (pace - speed) if speed > pace else manner.accelerating * (1.0 - (speed / max(pace, 0.1)) ** 4)
        gap, closing = float(hazard["gap"]), speed - float(hazard["gap_speed"])
        if not math.isfinite(gap):
            return free
        comfort = 2.0 * math.sqrt(manner.accelerating * manner.braking)
        wish = manner.distance + max(0.0, speed * manner.headway + speed * closing / comfort)
        if gap < manner.distance - 0.5 and closing > -0.5:
            return -math.inf
        return min(free, manner.accelerating * (1.0 - (wish / max(gap, 0.1)) ** 2))

    def _halt(self, speed: float, stop: float) -> float:
        """The acceleration that ends a little before a line, no sooner than needed."""
        if not math.isfinite(stop):
            return math.inf
        room = stop - self.manner.stop_short
        if room <= 0.1:
            return -math.inf
        needed = speed * speed / (2.0 * room)
        creep = 1.5 * (math.sqrt(2.0 * 0.6 * self.manner.braking * room) - speed)
        return -1.05 * needed if needed > 0.8 * self.manner.braking else creep

    def _pedals(self, speed: float, wanted: float) -> Tuple[float, float]:
        """Throttle and brake for an acceleration, given what the car does by itself."""
        car = self.car
        force = wanted + car.rolling * min(1.0, speed) + car.drag * speed * speed
        if force > 0.0:
            return min(1.0, force / min(car.drive, car.power / max(speed, 1.0))), 0.0
        if speed < 0.05 and wanted <= 0.0:
            return 0.0, 0.4  # hold it
        return 0.0, min(1.0, -force / car.brake)


def _seen_from(points: Any, yaw: float, offset: float) -> List[Point]:
    """World points relative to the car as (metres ahead, metres to the right), moved ``offset`` to the right of the route."""
    cos, sin = math.cos(yaw), math.sin(yaw)
    path = [(x * cos + y * sin, y * cos - x * sin) for x, y in points.tolist()]
    if offset == 0.0:
        return path
    moved = []
    for index, (ahead, aside) in enumerate(path):
        (ax, ay), (bx, by) = path[max(index - 1, 0)], path[min(index + 1, len(path) - 1)]
        length = math.hypot(bx - ax, by - ay) or 1.0
        moved.append((ahead - offset * (by - ay) / length, aside + offset * (bx - ax) / length))
    return moved


def _point_at(path: Sequence[Point], distance: float, to_rear: float) -> Point:
    """Where the path is first that far from the rear axle; on a line through its last two points when it ends before."""
    rear = -to_rear
    for (ax, ay), (bx, by) in zip(path, path[1:]):
        near, far = math.hypot(ax - rear, ay), math.hypot(bx - rear, by)
        if far >= distance and bx > 0.0:
            share = min(1.0, max(0.0, (distance - near) / (far - near))) if far > near else 1.0
            return ax + share * (bx - ax), ay + share * (by - ay)
    (ax, ay), (bx, by) = path[-2], path[-1]
    length = math.hypot(bx - ax, by - ay)
    rest = max(0.0, distance - math.hypot(bx - rear, by))
    if length < 1e-6:  # the route ends here: straight on
        return bx + max(rest, distance), by
    return bx + rest * (bx - ax) / length, by + rest * (by - ay) / length


def _bends(path: Sequence[Point]) -> List[Tuple[float, float]]:
    """(metres along the path, absolute curvature in 1/m), over two pieces each."""
    found, way = [], 0.0
    for (ax, ay), (bx, by), (cx, cy) in zip(path, path[1:], path[2:]):
        ux, uy, vx, vy = bx - ax, by - ay, cx - bx, cy - by
        u, v, w = math.hypot(ux, uy), math.hypot(vx, vy), math.hypot(cx - ax, cy - ay)
        way += u
        if min(u, v, w) > 0.2:
            found.append((way, 2.0 * abs(ux * vy - uy * vx) / (u * v * w)))
    return found
