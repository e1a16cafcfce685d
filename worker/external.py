"""A CARLA server that somebody else started: nothing is launched, watched or ended. One worker at a time may use it."""

from __future__ import annotations

from typing import Any, Dict

from b2d_zmq.errors import RequestError

from .locks import run_folder, take
from .plan import ExternalPlan
from .ports import Ports
from .server import Server


class ExternalServer(Server):
    """Knows where the server is, and holds a port for the traffic manager, which runs in the client's process."""

    def __init__(self, plan: ExternalPlan) -> None:
        """Raises RequestError where another worker of this user has that server: two clients would both move its clock."""
        self._plan = plan
        folder = run_folder(plan.run_dir)
        host = "127.0.0.1" if plan.host == "localhost" else plan.host.replace("/", "_")
        self._lock = take(folder / f"external-{host}-{plan.port}.lock")
        if self._lock is None:
            raise RequestError(f"another worker already uses the CARLA server at {plan.host}:{plan.port}; each worker needs its own")
        self._ports = Ports(folder)

    def ready(self, now: float) -> bool:
        """Always, with a fresh port."""
        self._ports.take(now)
        return True

    def options(self) -> Dict[str, Any]:
        """Where it is."""
        block = self._ports.block
        assert block is not None
        plan = self._plan
        where = f"a CARLA server of somebody else at {plan.host}:{plan.port}"
        return {"carla_host": plan.host, "carla_port": plan.port, "tm_port": block.tm, "rendering": plan.rendering, "server": where}

    def progress(self) -> Dict[str, Any]:
        """Where it is; nothing else is known of it."""
        block = self._ports.block
        return {"server": {"host": self._plan.host, "port": self._plan.port, "tm_port": block.tm if block else 0, "external": True}}

    def close(self) -> None:
        """Let others have it."""
        self._ports.close()
        if self._lock is not None:
            self._lock.close()
