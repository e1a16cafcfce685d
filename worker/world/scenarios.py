"""Which archetype plays which of Bench2Drive's scenario types. The table follows; until then no scenario is played."""

from __future__ import annotations

from typing import Optional, Sequence

from ..routes import Route
from .crossings import Path
from .crowd import Cast
from .road import Road
from .script import Plot


def plot_of(route: Route, road: Road, paths: Sequence[Path], cast: Cast) -> Optional[Plot]:
    """The plot of the route's first scenario, cast; None where there is none, or its type is unknown."""
    return None
