"""The backends that must keep the contract, each with its options, and one of each opened for all tests.

The carla backend drives stand-ins with the real wheel. Each of its backends has a process and a server of its own: two in one process
crash the wheel, and two on one server would share a world.
"""

import contextlib
import json
import socket

import pytest
from faraway import FarBackend
from standins import StandIn, dialect

from worker.backends.base import Backend
from worker.backends.opening import open_backend

Backend.register(FarBackend)  # it is one, at a distance

BACKENDS = {
    "embedded-state": ("embedded", {"sensors": "state"}),
    "embedded-predecessor": ("embedded", {"sensors": "predecessor"}),
    "carla-state": ("carla", {"sensors": "state", "rendering": False}),
    "carla-pictures": ("carla", {"sensors": "small"}),
}


_EYES = (("a", 0), ("b", 90))
SMALL = {"cameras": [{"key": key, "x": 1.2, "y": 0.0, "z": 1.8, "yaw": yaw, "width": 96, "height": 64} for key, yaw in _EYES]}
"""A rig of two small cameras: what matters here is which picture comes when, not how much there is of it."""


class Opener:
    """Opens backends of one kind. ``kind`` is the spec and the options of one more, for whoever opens it elsewhere."""

    def __init__(self, name, folder, stack):
        self._spec, self._options = BACKENDS[name]
        self._folder, self._stack = folder, stack
        self._spare = None

    def open(self):
        """Another backend."""
        return self._open(self._another())

    def open_spare(self):
        """The one more, here: not while it is open elsewhere."""
        return self._open(self.kind[1])

    @property
    def kind(self):
        if self._spare is None:
            self._spare = self._another()
        return self._spec, self._spare

    def _open(self, options):
        if self._spec != "carla":
            return open_backend(self._spec, options)
        backend = FarBackend(self._spec, options)
        self._stack.callback(backend.leave)
        return backend

    def _another(self):
        if self._spec != "carla":
            return self._options
        flags = ("-nosound",) if self._options.get("rendering", True) else ("-nosound", "-nullrhi")
        folder = self._folder.mktemp("carla")
        server = StandIn(folder, flags=flags)
        self._stack.enter_context(contextlib.closing(server))
        (folder / "small.json").write_text(json.dumps(SMALL))
        sensors = self._options["sensors"].replace("small", str(folder / "small.json"))
        return {**self._options, "sensors": sensors, "carla_port": server.port, "tm_port": _free_port()}


def _free_port():
    with contextlib.closing(socket.socket()) as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]


@pytest.fixture(scope="session", params=BACKENDS)
def opener(request, tmp_path_factory):
    if request.param.startswith("carla") and dialect() is None:
        pytest.skip("no carla wheel for this Python")
    with contextlib.ExitStack() as stack:
        yield Opener(request.param, tmp_path_factory, stack)


@pytest.fixture(scope="session")
def kind(opener):
    """The spec of a backend and its options."""
    return opener.kind


@pytest.fixture(scope="session")
def opened(opener):
    backend = opener.open()
    yield backend
    backend.close()


@pytest.fixture
def backend(opened):
    """A backend without an episode; shared, because opening one may take long, as a real simulator does."""
    opened.release()
    yield opened
    opened.release()


@pytest.fixture(scope="session")
def second(opener):
    """Another backend of the same kind, which never saw the first one's episodes."""
    backend = opener.open()
    yield backend
    backend.close()
