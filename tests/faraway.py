"""A backend in a process of its own, called like one of this process.

Two CARLA backends cannot live in one process: the wheel ticks all traffic managers of its process with each of its worlds, and one of them
crashes when another's map is loaded. And whatever the wheel does at its end, the tests go on.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys

from worker.backends.opening import open_backend


def _serve(pipe, spec, options):
    told = []
    try:
        backend = open_backend(spec, options, lambda doing, tick: told.append((doing, tick)))
    except Exception as error:  # noqa: BLE001 (it travels)
        pipe.send((error, None, told))
        return
    pipe.send((None, backend.traits, told))
    while True:
        try:
            name, arguments = pipe.recv()
        except EOFError:
            break
        told.clear()
        try:
            pipe.send((None, getattr(backend, name)(*arguments), told))
        except Exception as error:  # noqa: BLE001 (it travels)
            pipe.send((error, None, told))
    pipe.close()
    sys.stderr.flush()
    os._exit(0)  # the wheel may abort as its process ends in the ordinary way


class FarBackend:
    """See the module's text. ``progress`` is told, after each call, what was done in it; ``opening`` is what was done to open it."""

    def __init__(self, spec, options):
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, spec, options), daemon=True)
        self._process.start()
        theirs.close()
        self.opening = []
        self.progress = lambda doing, tick: self.opening.append(doing)
        self.traits = self._answer()
        self.progress = lambda doing, tick: None

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)

        def call(*arguments):
            self._pipe.send((name, [bytes(each) if isinstance(each, memoryview) else each for each in arguments]))
            return self._answer()

        return call

    def _answer(self):
        error, value, told = self._pipe.recv()
        for doing, tick in told:
            self.progress(doing, tick)
        if error is not None:
            raise error
        return value

    def leave(self):
        """Close the backend, if that was not done, and wait for its process to end."""
        if self._process.is_alive():
            with contextlib.suppress(EOFError, BrokenPipeError):
                self.close()
        self._pipe.close()
        self._process.join(10.0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
