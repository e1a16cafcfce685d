"""A command's option that is a number of seconds. Click's own range lets NaN through, which is neither too small nor too large."""

from __future__ import annotations

import math
from typing import Any

import click


class Seconds(click.FloatRange):
    """A duration in seconds from ``min`` to ``max``; NaN and infinity are refused."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds: float = super().convert(value, param, ctx)
        if not math.isfinite(seconds):
            self.fail(f"{value} is no duration", param, ctx)
        return seconds
