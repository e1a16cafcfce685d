"""Calls about traffic managers. They run in the clients; the server only knows which port is whose, over all loads."""

from __future__ import annotations

from typing import Dict

from ..errors import Refusal
from ..layouts import Wire
from ..simulator import Simulator
from .table import Call


def is_traffic_manager_running(sim: Simulator, port: int) -> Wire:
    """Whether somebody has one at that port."""
    return port in sim.managers


def get_traffic_manager_running(sim: Simulator, port: int) -> Wire:
    """Where it is."""
    if port not in sim.managers:
        raise Refusal(f"no traffic manager at port {port}")
    return (sim.managers[port], port)


def add_traffic_manager_running(sim: Simulator, where: Wire) -> Wire:
    """Note one; False if the port is taken."""
    host, port = where
    if port in sim.managers:
        return False
    sim.managers[port] = host
    return True


def destroy_traffic_manager(sim: Simulator, port: int) -> None:
    """Forget one."""
    sim.managers.pop(port, None)


CALLS: Dict[str, Call] = {
    "is_traffic_manager_running": is_traffic_manager_running,
    "get_traffic_manager_running": get_traffic_manager_running,
    "add_traffic_manager_running": add_traffic_manager_running,
    "destroy_traffic_manager": destroy_traffic_manager,
}
