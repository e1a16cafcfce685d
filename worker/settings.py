"""How an episode is begun: the options of ``reset``, checked and completed, and as plain values for a snapshot.

Shared by every backend. An option that nobody knows raises UnknownOption; a wrong value raises RequestError that says what is wanted.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Dict, Mapping, Sequence

from b2d_zmq.errors import RequestError, SnapshotCorrupt, UnknownOption

from .routes import Route, Weather, find
from .task import MAX_STEPS, Terms
from .world import weather as weathers

OPTIONS = ("route_id", "town", "weather", "traffic_density", "scenario", "max_steps", "reward_type", "reward_weights")
MOST_TRAFFIC = 2.0
MOST_SEED = 2**63 - 1


@dataclass(frozen=True)
class Settings:
    """Everything that, with the actions, decides how an episode goes. ``traffic_density`` is 1 for normal traffic, 0 for none."""

    route: Route
    seed: int
    weather: Weather
    traffic_density: float
    scenario: bool
    terms: Terms

    @classmethod
    def parse(cls, seed: object, options: Mapping[str, Any], routes: Sequence[Route]) -> Settings:
        """The settings that a reset asks for; what is absent or None takes its default. Raises RequestError and its kinds."""
        if not isinstance(options, Mapping):
            raise RequestError(f"the options of reset must be a mapping; got {type(options).__name__}")
        unknown = sorted(str(name)[:40] for name in options if name not in OPTIONS)
        if unknown:
            raise UnknownOption(f"reset has no option {', '.join(unknown)}; it has {', '.join(OPTIONS)}")
        given = {name: value for name, value in options.items() if value is not None}
        route = find(routes, _route_id(given.get("route_id")), _town(given.get("town")))
        return cls(
            route,
            _seed(seed),
            weathers.parse(given["weather"]) if "weather" in given else route.weather,
            _traffic(given.get("traffic_density", 1.0)),
            _flag("scenario", given.get("scenario", True)),
            Terms.parse(given.get("max_steps", MAX_STEPS), given.get("reward_type", "dense"), given.get("reward_weights", {})),
        )

    def to_plain(self) -> Dict[str, Any]:
        """These settings as plain values and arrays."""
        return {
            "route": self.route.to_plain(),
            "seed": self.seed,
            "weather": asdict(self.weather),
            "traffic_density": self.traffic_density,
            "scenario": self.scenario,
            "max_steps": self.terms.max_steps,
            "weights": dict(self.terms.weights),
        }

    @classmethod
    def from_plain(cls, plain: Any) -> Settings:
        """What ``to_plain`` wrote. Raises SnapshotCorrupt."""
        try:
            return cls(
                Route.from_plain(plain["route"]),
                _seed(plain["seed"]),
                weathers.parse(plain["weather"]),
                _traffic(plain["traffic_density"]),
                _flag("scenario", plain["scenario"]),
                Terms.parse(plain["max_steps"], "dense", plain["weights"]),
            )
        except (LookupError, TypeError, ValueError) as error:  # RequestError is a ValueError
            raise SnapshotCorrupt(f"the settings of this snapshot are none: {error}") from None


def _seed(value: object) -> int:
    if type(value) is not int or not 0 <= value <= MOST_SEED:
        raise RequestError(f"a seed is a whole number from 0 to 2**63-1; got {value!r:.60}")
    return value


def _route_id(value: object) -> Any:
    if value is not None and type(value) is not int:
        raise RequestError(f"route_id must be a whole number, the id of a route of the worker's file; got {value!r:.60}")
    return value


def _town(value: object) -> Any:
    if value is not None and not isinstance(value, str):
        raise RequestError(f"town must be a text such as 'Town12'; got {value!r:.60}")
    return value


def _traffic(value: object) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0.0 <= value <= MOST_TRAFFIC:
        raise RequestError(f"traffic_density must be a number from 0 (none) over 1 (normal) to {MOST_TRAFFIC:g}; got {value!r:.60}")
    return float(value)


def _flag(name: str, value: object) -> bool:
    if type(value) is not bool:
        raise RequestError(f"{name} must be true or false; got {value!r:.60}")
    return value
