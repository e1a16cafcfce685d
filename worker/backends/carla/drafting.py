"""All that follows from an episode's settings and its map: the road, the scenario's cast, and whom to spawn where. Touches no actor.

The same settings on the same map give the same draft, on every server of that version.
"""

from __future__ import annotations

import math
import random
from typing import Any, List, NamedTuple, Tuple

from ...settings import Settings
from ...world.placing import Wishes
from .link import Link, asking
from .looks import BACKGROUND, TRAFFIC, blueprint_for, blueprint_of, ego_blueprint
from .play import Plan, plan_of
from .route import road_of
from .signals import Governed, govern
from .traffic import lifted, spots

_DEPTH = 100.0  # metres under the ground, where the cast waits for its entry
_SPREAD = 12.0  # metres between two who wait


class Wanted(NamedTuple):
    """An actor to spawn. ``key`` names it in every run of the episode."""

    key: str
    blueprint: Any
    transform: Any
    autopilot: bool


class Draft(NamedTuple):
    """See the module's text. ``wanted`` are the ego, the scenario's cast in the order of its rows, and the traffic."""

    settings: Settings
    governed: Governed
    plan: Plan
    wanted: Tuple[Wanted, ...]


def governed_road(link: Link, settings: Settings) -> Governed:
    """The route's road on the map that is loaded. Raises InvalidRouteFile where it does not lie on it."""
    with asking("reading the route's lights and signs"):
        return govern(road_of(settings.route, link.carla, link.map), link.world)


def draft(link: Link, settings: Settings, governed: Governed) -> Draft:
    """The draft of an episode on its road."""
    plan = plan_of(settings, governed.road)
    route = settings.route
    chance = random.Random(f"{settings.seed}/{route.id}/{route.town}/traffic")
    with asking("choosing who is about"):
        wanted = [_ego(link, plan), *_cast(link, plan, chance), *_traffic(link, settings, plan, chance)]
    return Draft(settings, governed, plan, tuple(wanted))


def start_of(link: Link, plan: Plan) -> Any:
    """Where the ego starts, a little above the ground."""
    return lifted(link.carla, _at(link, plan, 0.0, plan.plot.start_d if plan.plot else 0.0))


def waiting_place(link: Link, plan: Plan, row: int) -> Any:
    """Where one of the cast waits, out of the world."""
    transform = _at(link, plan, _SPREAD * (row - 1), 0.0)
    transform.location.z -= _DEPTH
    return transform


def _at(link: Link, plan: Plan, s: float, d: float) -> Any:
    x, y, z, _ = (float(part) for part in plan.road.pose(s, d))
    yaw = math.degrees(plan.road.level(s)[1])
    return link.carla.Transform(link.carla.Location(x=x, y=y, z=z), link.carla.Rotation(yaw=yaw))


def _ego(link: Link, plan: Plan) -> Wanted:
    return Wanted("ego", ego_blueprint(link.blueprints), start_of(link, plan), False)


def _cast(link: Link, plan: Plan, chance: random.Random) -> List[Wanted]:
    return [
        Wanted(f"scenario/{row}", blueprint_for(link.blueprints, kind, chance), waiting_place(link, plan, row), False)
        for row, kind in enumerate(plan.kinds, 1)
    ]


def _traffic(link: Link, settings: Settings, plan: Plan, chance: random.Random) -> List[Wanted]:
    wishes = plan.plot.wishes if plan.plot else Wishes()
    points = link.map.get_spawn_points()
    return [
        Wanted(
            f"traffic/{spot.number}", blueprint_of(link.blueprints, TRAFFIC, chance, BACKGROUND), lifted(link.carla, spot.transform), True
        )
        for spot in spots(plan.road, points, chance, settings.traffic_density, wishes)
    ]
