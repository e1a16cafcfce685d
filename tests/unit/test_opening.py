"""From the name of a backend to the backend, and what a wrong name is told."""

import pytest

from b2d_zmq.errors import InvalidRouteFile, RequestError, UnknownOption
from worker.backends.base import Backend
from worker.backends.opening import open_backend


class Smallest(Backend):
    def __init__(self, size, colour="red"):
        self.size, self.colour = size, colour

    traits = reset = step = snapshot = restore = digest = None


class Half(Backend):
    traits = None


def test_the_embedded_backend_opens_by_name():
    backend = open_backend("embedded", {"sensors": "state"})
    assert backend.traits.backend == "embedded" and backend.traits.rig == "state" and backend.traits.routes >= 1
    backend.close()


def test_a_class_of_ones_own_opens_by_its_path(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "smallest", __import__("types").SimpleNamespace(Smallest=Smallest))
    backend = open_backend("smallest:Smallest", {"size": 3})
    assert (backend.size, backend.colour) == (3, "red")
    with pytest.raises(UnknownOption, match="no option routes; it has size, colour"):
        open_backend("smallest:Smallest", {"size": 3, "routes": "x"})
    with pytest.raises(RequestError, match="missing a required argument: 'size'"):
        open_backend("smallest:Smallest", {})


@pytest.mark.parametrize("spec", ["", "embeded", ":", "module:", ":Class"])
def test_an_unknown_name_is_told_what_there_is(spec):
    with pytest.raises(UnknownOption, match="there is embedded, carla, or module:Class"):
        open_backend(spec, {})


@pytest.mark.parametrize("spec", ["no_such_module_anywhere:Backend", ".relative:Backend"])
def test_a_missing_module_is_said(spec):
    with pytest.raises(RequestError, match="cannot be imported"):
        open_backend(spec, {})


@pytest.mark.parametrize("spec", ["json:loads", "json:Nothing", "decimal:Decimal", "worker.backends.base:Backend"])
def test_what_is_no_backend_is_refused(spec):
    with pytest.raises(RequestError, match="is not a class that implements"):
        open_backend(spec, {})


def test_a_half_written_backend_is_refused(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "half", __import__("types").SimpleNamespace(Half=Half))
    with pytest.raises(RequestError, match="is not a class that implements"):
        open_backend("half:Half", {})


def test_bad_options_of_the_embedded_backend():
    with pytest.raises(UnknownOption, match="no option colour; it has routes, sensors"):
        open_backend("embedded", {"colour": "red"})
    with pytest.raises(InvalidRouteFile, match=r"/no/such/file\.xml"):
        open_backend("embedded", {"routes": "/no/such/file.xml", "sensors": "state"})
    with pytest.raises(UnknownOption, match="no sensor rig 'lidar'; there are predecessor"):
        open_backend("embedded", {"sensors": "lidar"})
