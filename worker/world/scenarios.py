"""Which archetype plays which of Bench2Drive's 44 scenario types: one table, explained for people in docs/scenarios.md.

A type that needs a junction, on a route that has none, is played by its fallback, or not at all.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, NamedTuple, Sequence

import numpy as np

from ..routes import Route
from .crossings import Path
from .crowd import BICYCLE, CAR, TRUCK, VAN, WALKER, Cast
from .plots_across import Crossing, Door, Emergency, Flow, Invader, Meeting, Runner
from .plots_lane import Blockage, CutIn, HardBrake, Obstacle, ParkingExit, Slippery, SlowCyclists, SlowTraffic
from .road import Road
from .script import Plot, Scene


class Recipe(NamedTuple):
    """A row of the table: the archetype's name, and what makes its plot (None where the route does not allow it)."""

    archetype: str
    make: Callable[[Scene], Plot | None]


def _obstacle(what: str) -> Recipe:
    return Recipe("obstacle", lambda a: Obstacle(a, what))


def _cut_in(what: str) -> Recipe:
    return Recipe("cut_in", lambda a: CutIn(a, what))


def _cyclists(a: Scene) -> Plot:
    ride, speed = a.number("bicycle_drive_distance", 50.0, 20.0, 120.0), a.number("bicycle_speed", 10.0, 5.0, 20.0) / 3.6 + 1.0
    return SlowCyclists(a, ride, speed)


def _crossing(look: Any, count: int, blocker: Any, junction: bool) -> Recipe:
    def make(a: Scene) -> Plot:
        at = a.place
        if junction and a.road.junctions:
            at = min(a.road.junctions[0].leave + 5.0, a.road.length)
        return Crossing(a, at, look, count, blocker)

    return Recipe("crossing", make)


def _origin(a: Scene, *origins: str) -> int | None:
    """The path that comes from the first of these sides where there is one."""
    for origin in origins:
        for index, path in enumerate(a.paths):
            if path.origin == origin:
                return index
    return None


def _flow(*origins: str, look: Any = CAR) -> Recipe:
    def make(a: Scene) -> Plot | None:
        path = _origin(a, *origins)
        speed = a.number("flow_speed", 9.0, 4.0, 12.0)
        if path is None:
            return SlowTraffic(a, speed)
        return Flow(a, path, look, 5.0 if look is BICYCLE else speed)

    return Recipe("crossing_flow", make)


def _slow(a: Scene) -> Plot:
    return SlowTraffic(a, a.number("flow_speed", 10.0, 6.0, 14.0))


def _runner(a: Scene) -> Plot | None:
    wanted = a.scenario.parameters.get("direction", {}).get("value", "left")
    path = _origin(a, wanted, "left", "right", "ahead")
    return None if path is None else Runner(a, path)


def _blockage(a: Scene) -> Plot | None:
    if not a.road.junctions:
        return None
    return Blockage(a, a.road.junctions[0].leave + 6.0)


def _invader(a: Scene) -> Plot:
    depth = a.number("offset", 0.25, 0.05, 0.5)
    return Invader(a, depth)


def _exit(a: Scene) -> Plot:
    front, behind = a.number("front_vehicle_distance", 9.0, 8.0, 20.0), a.number("behind_vehicle_distance", 9.0, 8.0, 20.0)
    return ParkingExit(a, front, behind)


def _meeting(archetype: str, arrival: str = "") -> Recipe:
    return Recipe(archetype, lambda a: Meeting(a, archetype, arrival))


TABLE: Dict[str, Recipe] = {
    "Accident": _obstacle("accident"),
    "AccidentTwoWays": _obstacle("accident"),
    "ConstructionObstacle": _obstacle("site"),
    "ConstructionObstacleTwoWays": _obstacle("site"),
    "ParkedObstacle": _obstacle("parked"),
    "ParkedObstacleTwoWays": _obstacle("parked"),
    "HazardAtSideLane": Recipe("slow_cyclists", _cyclists),
    "HazardAtSideLaneTwoWays": Recipe("slow_cyclists", _cyclists),
    "VehicleOpensDoorTwoWays": Recipe("door", Door),
    "ParkingCutIn": _cut_in("parking"),
    "StaticCutIn": _cut_in("queue"),
    "HighwayCutIn": _cut_in("moving"),
    "DynamicObjectCrossing": _crossing(WALKER, 1, TRUCK, False),
    "ParkingCrossingPedestrian": _crossing(WALKER, 1, VAN, False),
    "PedestrianCrossing": _crossing(WALKER, 3, None, True),
    "VehicleTurningRoutePedestrian": _crossing(WALKER, 1, None, True),
    "VehicleTurningRoute": _crossing(BICYCLE, 1, None, True),
    "InvadingTurn": Recipe("oncoming_invader", _invader),
    "OppositeVehicleRunningRedLight": Recipe("runner", _runner),
    "OppositeVehicleTakingPriority": Recipe("runner", _runner),
    "HardBreakRoute": Recipe("hard_brake", HardBrake),
    "SignalizedJunctionLeftTurn": _flow("ahead", "right"),
    "SignalizedJunctionLeftTurnEnterFlow": _flow("right", "ahead"),
    "SignalizedJunctionRightTurn": _flow("left"),
    "NonSignalizedJunctionLeftTurn": _flow("ahead", "right"),
    "NonSignalizedJunctionLeftTurnEnterFlow": _flow("right", "ahead"),
    "NonSignalizedJunctionRightTurn": _flow("left"),
    "EnterActorFlow": _flow("left", "right"),
    "InterurbanActorFlow": _flow("ahead", "right"),
    "InterurbanAdvancedActorFlow": _flow("ahead", "left", "right"),
    "CrossingBicycleFlow": _flow("ahead", "left", "right", look=BICYCLE),
    "MergerIntoSlowTraffic": Recipe("merging_flow", _slow),
    "MergerIntoSlowTrafficV2": Recipe("merging_flow", _slow),
    "HighwayExit": Recipe("merging_flow", _slow),
    "BlockedIntersection": Recipe("blocked_junction", _blockage),
    "VanillaSignalizedTurnEncounterGreenLight": _meeting("light", "green"),
    "VanillaSignalizedTurnEncounterRedLight": _meeting("light", "red"),
    "VanillaNonSignalizedTurnEncounterStopsign": _meeting("stop_sign"),
    "VanillaNonSignalizedTurn": _meeting("junction"),
    "T_Junction": _meeting("junction"),
    "SequentialLaneChange": _meeting("lane_changes"),
    "YieldToEmergencyVehicle": Recipe("yield_to_emergency", Emergency),
    "ControlLoss": Recipe("loss_of_grip", Slippery),
    "ParkingExit": Recipe("parking_exit", _exit),
}


def plot_of(route: Route, road: Road, paths: Sequence[Path], cast: Cast) -> Plot | None:
    """The plot of the route's first scenario that the table knows, its actors cast; None where there is none."""
    for scenario in route.scenarios:
        recipe = TABLE.get(scenario.type)
        if recipe is not None:
            x, y = scenario.trigger[:2]
            s, _ = road.project(np.array([x]), np.array([y]))
            trigger = min(max(float(s[0]), 0.0), max(road.length - 20.0, 0.0))
            return recipe.make(Scene(scenario, trigger, road, paths, cast))
    return None
