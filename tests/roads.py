"""Routes and roads for tests: the real ones where they are, and a route through any points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from worker import routes

BENCH2DRIVE = Path(__file__).parents[2] / "shared" / "data" / "bench2drive220.xml"

needs_bench2drive = pytest.mark.skipif(not BENCH2DRIVE.is_file(), reason=f"Bench2Drive's route file is not at {BENCH2DRIVE}")


def bench2drive():
    """The 220 routes."""
    return routes.read(BENCH2DRIVE)


def route_of(points, kind="", town="Town12", id_=1):
    """A route through points [N, 2 or 3] with one scenario of that type, triggered at the first point."""
    waypoints = np.zeros((len(points), 3))
    waypoints[:, : len(points[0])] = points
    x, y, z = waypoints[0]
    scenarios = (routes.Scenario(kind, kind, (x, y, z, 0.0), {}),) if kind else ()
    return routes.Route(id_, town, waypoints, scenarios, routes.Weather())


def bend(radius, degrees, before=40.0, behind=40.0, spacing=2.0):
    """Points of a straight, an arc (positive degrees to the right) and a straight, from the origin along x."""
    turn = np.radians(abs(degrees))
    arc = radius * turn
    points = []
    for s in np.arange(0.0, before + arc + behind, spacing):
        angle = np.clip((s - before) / radius, 0.0, turn)
        rest = max(0.0, s - before - arc)
        along = min(s, before) + radius * np.sin(angle) + rest * np.cos(angle)
        aside = radius * (1.0 - np.cos(angle)) + rest * np.sin(angle)
        points.append((along, np.sign(degrees) * aside))
    return np.array(points)
