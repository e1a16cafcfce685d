"""Stage: where a command of ``b2d`` runs. A farm that is running already, or one of its own for as long as the command takes."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Callable, Iterator, Tuple

from .errors import RequestError
from .local import LocalFarm

Say = Callable[[str], None]


@dataclass(frozen=True)
class Stage:
    """What the options of a command say of its farm: ``endpoint`` alone, or what its own workers are started with."""

    endpoint: str | None = None
    routes: str | None = None
    sensors: str | None = None
    backend: str | None = None
    carla_root: str | None = None
    worker_options: Tuple[str, ...] = ()
    curve_dir: str | None = None

    @contextlib.contextmanager
    def farm(self, workers: int, say: Say, sensors: str = "predecessor") -> Iterator[str]:
        """The endpoint of the farm; ``sensors`` is the rig of an own one that was not told any."""
        if self.endpoint is not None:
            self._require_nothing_else()
            say(f"using the farm at {self.endpoint} ...")
            yield self.endpoint
            return
        say(f"starting a broker and {workers} workers on loopback ...")
        with LocalFarm(
            workers=workers,
            routes=self.routes,
            sensors=self.sensors or sensors,
            backend=self.backend or "embedded",
            carla_root=self.carla_root,
            worker_options=self.worker_options,
            curve_dir=self.curve_dir,
            on_doing=None if self.backend in (None, "embedded") else lambda worker, doing: say(f"  {worker}: {doing}"),
        ) as farm:
            yield farm.endpoint

    def _require_nothing_else(self) -> None:
        given = {"--routes": self.routes, "--sensors": self.sensors, "--backend": self.backend, "--carla-root": self.carla_root}
        names = [name for name, value in given.items() if value is not None] + (["options for b2d-worker"] if self.worker_options else [])
        if names:
            told = f"{', '.join(names)} would be for a farm of the command's own; the workers at {self.endpoint} have theirs"
            raise RequestError(f"{told}. Leave them out, or leave out --endpoint ($B2D_ENDPOINT)")
