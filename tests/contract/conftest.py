"""The backends that must keep the contract, each with its options, and one of each opened for all tests."""

import pytest

from worker.backends.opening import open_backend

BACKENDS = {
    "embedded-state": ("embedded", {"sensors": "state"}),
    "embedded-predecessor": ("embedded", {"sensors": "predecessor"}),
}


@pytest.fixture(scope="session", params=BACKENDS)
def kind(request):
    """The spec of a backend and its options."""
    return BACKENDS[request.param]


@pytest.fixture(scope="session")
def opened(kind):
    backend = open_backend(*kind)
    yield backend
    backend.close()


@pytest.fixture
def backend(opened):
    """A backend without an episode; shared, because opening one may take long, as a real simulator does."""
    opened.release()
    yield opened
    opened.release()


@pytest.fixture(scope="session")
def second(kind):
    """Another backend of the same kind, which never saw the first one's episodes."""
    backend = open_backend(*kind)
    yield backend
    backend.close()
