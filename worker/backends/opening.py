"""From the name of a backend to the backend: ``embedded``, or ``module:Class`` for tests and third parties."""

from __future__ import annotations

import importlib
import inspect
from typing import Any, Callable, Mapping, Type

from b2d_zmq.errors import RequestError, UnknownOption

from .base import Backend

BUILT_IN: Mapping[str, str] = {
    "embedded": "worker.backends.embedded:EmbeddedBackend",
    "carla": "worker.backends.carla.backend:CarlaBackend",
}


def open_backend(spec: str, options: Mapping[str, Any], progress: Callable[[str, int], None] | None = None) -> Backend:
    """Construct the backend that ``spec`` names with ``options`` as keyword arguments; may take as long as its simulator takes to start.

    ``progress`` is told how far it is, from the first moment on. Raises UnknownOption for a name or an option that does not exist,
    RequestError for what is no backend.
    """
    cls = _find(spec)
    known = inspect.signature(cls).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    unknown = [] if takes_any else sorted(set(options) - set(known))
    if unknown:
        raise UnknownOption(f"backend {spec} has no option {', '.join(unknown)}; it has {', '.join(known) or 'none'}")
    try:
        inspect.signature(cls).bind(**options)
    except TypeError as error:
        raise RequestError(f"backend {spec} cannot be opened with the options {', '.join(options) or 'given (none)'}: {error}") from None
    backend = cls.__new__(cls)
    if progress is not None:  # before it is constructed, for that is when a simulator is waited for
        backend.progress = progress
    backend.__init__(**options)  # type: ignore[misc]
    return backend


def _find(spec: str) -> Type[Backend]:
    module, colon, name = BUILT_IN.get(spec, spec).partition(":")
    if not (module and colon and name):
        raise UnknownOption(f"no backend {spec!r}; there is {', '.join(BUILT_IN)}, or module:Class for one of your own")
    try:
        cls = getattr(importlib.import_module(module), name, None)
    except (ImportError, TypeError) as error:  # TypeError: a relative name
        raise RequestError(f"backend {spec!r}: module {module!r} cannot be imported ({error}); is it on PYTHONPATH?") from error
    if not (inspect.isclass(cls) and issubclass(cls, Backend)) or inspect.isabstract(cls):
        raise RequestError(f"backend {spec!r}: {name!r} in {module!r} is not a class that implements worker.backends.base.Backend")
    return cls
