"""What ``b2d fidelity`` measured, as plain values, and how it is told: a dict for JSON, and a page of markdown tables made from that dict.

Acts on nothing. Errors are m, m/s and degrees; "un-restored" is the second drive from reset, which every tier is compared with. What a
restore's verdict is worth is decided here by what was driven after it (LIMITS), beside what the restore itself had said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence

import numpy as np

from .noise import std
from .tracks import Array, Gaps
from .verdict import VERDICTS

BASELINE = "un-restored"
UNITS = {"position": "m", "speed": "m/s", "yaw": "deg"}
AT_START = {"position": 0.01, "speed": 0.05, "yaw": 0.1}  # the most at the moment of the restore for "good"
AFTER_20, AFTER_100 = 0.10, 0.5  # m, the most up to so many ticks; the latter, or BESIDE times the p95 of un-restored drives
BESIDE = 1.5

Table = Dict[str, List[List[float]]]


@dataclass
class Measured:
    """The drives of one tier on one route, or the un-restored one: errors of each [K][G] at ``ticks`` [K], and their returns."""

    ticks: List[int]
    errors: Table
    returns: List[float]
    told: List[Dict[str, Any]] = field(default_factory=list)  # what each restore said
    against: List[float] = field(default_factory=list)  # returns of different actions
    drift: Dict[str, List[float]] = field(default_factory=dict)  # the farthest two branches apart, [K]
    wall: float = 0.0

    @classmethod
    def of(  # noqa: PLR0917 (all by name but the first two)
        cls,
        gaps: Gaps,
        ticks: Sequence[int],
        returns: Sequence[float],
        told: Sequence[Mapping[str, Any]] = (),
        against: Array | None = None,
        drift: Gaps | None = None,
    ) -> Measured:
        """From errors [G, K], one moment per tick, at those of ``ticks`` that the drive reached."""
        reached = [tick for tick in ticks if tick < gaps.position.shape[1]]
        errors = {name: [part[:, tick].tolist() for tick in reached] for name, part in gaps._asdict().items()}
        apart = {} if drift is None else {name: _at(part, reached) for name, part in drift._asdict().items()}
        others = [] if against is None else against.tolist()
        return cls(reached, errors, list(returns), [dict(one) for one in told], others, apart)

    @property
    def noise(self) -> float:
        """The standard deviation of returns of the same actions."""
        return std(np.array(self.returns))

    @property
    def signal(self) -> float:
        """The standard deviation of returns of different actions; NaN where there were none."""
        return std(np.array(self.against)) if self.against else math.nan


@dataclass
class Record:
    """Everything about one route; ``error`` ended it, ``errors`` ended single tiers."""

    route: int | None
    town: str = ""
    scenario: str = ""
    tick: int = 0  # of the branch point
    ended: str = ""  # how the drive ended, where it did before the last of the ticks
    baseline: Measured | None = None
    tiers: Dict[str, Measured] = field(default_factory=dict)
    errors: Dict[str, str] = field(default_factory=dict)
    error: str = ""

    def begin(self, info: Mapping[str, Any]) -> None:
        """Take down what a reset says of the route."""
        self.route, self.town, self.scenario = int(info["route_id"]), str(info["town"]), str(info["scenario"]["type"])


class Spread(NamedTuple):
    """Of many numbers."""

    median: float
    p95: float
    worst: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """NaN where there are none."""
        if not len(values):
            return cls(math.nan, math.nan, math.nan)
        return cls(float(np.median(values)), float(np.percentile(values, 95)), float(np.max(values)))


def told(records: Sequence[Record], ticks: Sequence[int], tiers: Sequence[str], about: Mapping[str, Any]) -> Dict[str, Any]:
    """Everything, and the summary over all routes, as values that JSON knows."""
    runs: Dict[str, List[Measured]] = {BASELINE: [record.baseline for record in records if record.baseline is not None]}
    runs.update({tier: [record.tiers[tier] for record in records if tier in record.tiers] for tier in tiers})
    errors = {name: {of: _by_tick(measured, of, ticks) for of in UNITS} for name, measured in runs.items()}
    late = [spread.p95 for tick, spread in zip(ticks, errors[BASELINE]["position"]) if tick <= 100]
    limit = max([AFTER_100, *(BESIDE * p95 for p95 in late[-1:])])
    restores = {tier: _restores([record for record in records if tier in record.tiers], tier, limit) for tier in tiers}
    routes = [_route(record, limit) for record in records]
    result: Dict[str, Any] = plain({**about, "ticks": ticks, "tiers": tiers, "errors": errors, "restores": restores, "routes": routes})
    return result


def verdict(measured: Measured, baseline: Measured, branch: int, limit: float) -> str:
    """What a branch's drive shows: exact where it is nowhere farther off than the un-restored drive, good within the limits."""

    def off(name: str, tick: int) -> float:
        return measured.errors[name][measured.ticks.index(tick)][branch] if tick in measured.ticks else 0.0

    common = [tick for tick in measured.ticks if tick in baseline.ticks]
    if all(off(name, tick) <= max(baseline.errors[name][baseline.ticks.index(tick)]) for name in UNITS for tick in common):
        return VERDICTS[0]
    good = all(off(name, 0) <= most for name, most in AT_START.items())
    near = all(off("position", tick) <= (AFTER_20 if tick <= 20 else limit) for tick in measured.ticks if tick <= 100)
    return VERDICTS[1] if good and near else VERDICTS[2]


def plain(value: Any) -> Any:
    """As JSON knows it: numbers rounded to a millionth, None where they are not finite."""
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, float):
        return round(float(value), 6) if math.isfinite(value) else None
    return value


def _by_tick(runs: Sequence[Measured], name: str, ticks: Sequence[int]) -> List[Spread]:
    return [Spread.of([one for run in runs if tick in run.ticks for one in run.errors[name][run.ticks.index(tick)]]) for tick in ticks]


def _restores(records: Sequence[Record], tier: str, limit: float) -> Dict[str, Any]:
    """How the restores of one tier went, over all routes."""
    runs = [record.tiers[tier] for record in records]
    said = [one for run in runs for one in run.told]
    ratios = [run.noise / run.signal for run in runs if run.signal > 0.0]
    return {
        "restores": len(said),
        "said": _count([str(one["verdict"]) for one in said]),
        "measured": _count([word for record in records for word in _verdicts(record, tier, limit)]),
        "ticks": Spread.of([float(one["ticks"]) for one in said])._asdict(),
        "seconds": Spread.of([float(one["seconds"]) for one in said])._asdict(),
        "noise": Spread.of([run.noise for run in runs])._asdict(),
        "signal": Spread.of([run.signal for run in runs])._asdict(),
        "ratio": Spread.of(ratios)._asdict(),
    }


def _verdicts(record: Record, tier: str, limit: float) -> List[str]:
    measured, baseline = record.tiers[tier], record.baseline
    return [] if baseline is None else [verdict(measured, baseline, i, limit) for i in range(len(measured.returns))]


def _count(words: Sequence[str]) -> Dict[str, int]:
    return {word: words.count(word) for word in VERDICTS}


def _route(record: Record, limit: float) -> Dict[str, Any]:
    names = ("route", "town", "scenario", "tick", "ended", "error", "errors")
    tiers = {tier: {**_run(run), "measured": _verdicts(record, tier, limit)} for tier, run in record.tiers.items()}
    baseline = None if record.baseline is None else _run(record.baseline)
    return {**{name: getattr(record, name) for name in names}, "baseline": baseline, "tiers": tiers}


def _run(run: Measured) -> Dict[str, Any]:
    numbers = {"ticks": run.ticks, **run.errors, "returns": run.returns, "noise": run.noise, "signal": run.signal}
    return {**numbers, "said": run.told, "against": run.against, "drift": run.drift, "wall": run.wall}


def _at(values: Array, ticks: Sequence[int]) -> List[float]:
    return [float(values[min(tick, len(values) - 1)]) for tick in ticks]


def page(found: Mapping[str, Any]) -> str:
    """What ``told`` gave, as markdown."""
    about, ticks = found["installation"], found["ticks"]
    good = [route for route in found["routes"] if route["tiers"]]
    towns = len({route["town"] for route in good})
    lines = [
        f"# Fidelity of {about.get('backend')} {about.get('carla', about.get('version', ''))}".rstrip(),
        "",
        f"{len(good)} routes in {towns} towns, seed {found['seed']}, branch point after {found['prefix']} ticks "
        f"of {about.get('dt')} s. Errors against the drive that went on; median / p95 / worst.",
    ]
    for name, unit in UNITS.items():
        rows = [[run, *(_spread(one) for one in errors[name])] for run, errors in found["errors"].items()]
        lines += ["", f"**Ego {name} ({unit}) after so many ticks**", "", *_table([f"{name}", *map(str, ticks)], rows)]
    lines += ["", "**Restores**", "", *_table(_RESTORE_HEADS, [_restore_row(tier, one) for tier, one in found["restores"].items()])]
    lines += [
        "",
        "**Routes**",
        "",
        *_table(_ROUTE_HEADS, [_route_row(one) for one in found["routes"]]),
    ]
    return "\n".join(lines) + "\n"


_RESTORE_HEADS = ["tier", "restores", "say exact / good / degraded", "measured so", "ticks consumed", "seconds"]
_RESTORE_HEADS += ["noise floor of returns (std)", "std of different actions", "noise / difference"]


_ROUTE_HEADS = ["route", "town", "scenario", "at tick", "measured"]


def _restore_row(tier: str, one: Mapping[str, Any]) -> List[str]:
    verdicts = [" / ".join(str(one[who][word]) for word in VERDICTS) for who in ("said", "measured")]
    return [tier, str(one["restores"]), *verdicts, *(_spread(list(one[name].values())) for name in _RESTORE_NUMBERS)]


_RESTORE_NUMBERS = ("ticks", "seconds", "noise", "signal", "ratio")


def line(route: Mapping[str, Any]) -> str:
    """One of ``told``'s routes in a line."""
    return " ".join(filter(None, _route_row(route)))


def _route_row(one: Mapping[str, Any]) -> List[str]:
    parts = [f"{tier}: " + ", ".join(_tally(run["measured"])) for tier, run in one["tiers"].items()]
    parts += [f"{tier}: {error}" for tier, error in one["errors"].items()]
    parts += [f"the drive ended ({one['ended']})"] if one["ended"] else []
    parts += [one["error"]] if one["error"] else []
    return [str(one["route"]), one["town"], one["scenario"], str(one["tick"]), "; ".join(parts).replace("|", "/")]


def _tally(words: Sequence[str]) -> List[str]:
    return [f"{words.count(word)} {word}" for word in VERDICTS if word in words]


def _spread(three: Sequence[float | None]) -> str:
    return " / ".join(map(_short, three))


def _short(value: float | None) -> str:
    if value is None:
        return "-"
    return "0" if value == 0 else f"{value:.0f}" if abs(value) >= 100 else f"{value:.2g}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> List[str]:
    return ["| " + " | ".join(row) + " |" for row in [heads, ["---"] * len(heads), *rows]]
