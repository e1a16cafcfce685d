"""The link's own judgements, before a client of a few lines: no wheel, no server."""

from types import SimpleNamespace

import pytest

from worker.backends.base import SimulatorLost
from worker.backends.carla.link import Link


class Client:
    """``waits`` are the time-outs that it was given."""

    def __init__(self, error=None):
        self.error, self.waits = error, []

    def set_timeout(self, seconds):
        self.waits.append(seconds)

    def load_world(self, town, reset):
        raise RuntimeError(self.error)


def linked(client):
    link = Link.__new__(Link)
    link.client, link.map, link.loads, link.closed = client, SimpleNamespace(name="Carla/Maps/Town10HD_Opt"), 0, False
    link._towns, link._manager = ("Town10HD", "Town12"), None
    return link


@pytest.mark.parametrize("error", ["failed to connect to newly created map", "time-out of 280000ms while waiting for the simulator"])
def test_after_a_load_that_failed_nobody_knows_the_map_so_the_server_is_lost(error):
    """Taken for the map before, the next route there would be driven on another."""
    client = Client(error)
    with pytest.raises(SimulatorLost, match=f"{error}.* loading the map Town12|loading the map Town12.*{error}"):
        linked(client).load("Town12", lambda doing, tick: None)
    assert client.waits[-1] < client.waits[0]


def test_patience_is_over_afterwards_and_a_parting_is_short():
    client = Client()
    link = linked(client)
    with link.patience(90.0):
        assert client.waits == [90.0]
    link.part()
    assert client.waits[1] < 90.0 and client.waits[2] < client.waits[1]


def test_a_map_is_known_by_its_bare_name_and_its_optimised_twin_is_another():
    assert linked(Client()).town == "Town10HD_Opt"
