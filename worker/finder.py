"""Finds the GPU for one server after another: asks for a survey, chooses among the GPUs, takes a place for the start, and looks afterwards.

Nothing blocks: ``find`` is called until it gives an answer. Times are seconds of ``time.monotonic``.
"""

from __future__ import annotations

import logging
import math
import os
from typing import Sequence

from b2d_zmq.errors import FarmError, RequestError

from . import adapter
from .gpu import Gpu, Survey
from .inquiry import Inquiry
from .launch import Drawing
from .plan import ServerPlan
from .starts import Starts

FRESH = 5.0  # s that a survey is good for
RETRY = 0.5  # s between two looks for a place on a GPU

log = logging.getLogger("worker.finder")


class Finder:
    """``gpu`` is the chosen one, or None; ``why`` says in words what is waited for, ``seen`` where the server was found to run."""

    def __init__(self, plan: ServerPlan, starts: Starts) -> None:
        self._plan, self._starts = plan, starts
        self._inquiry: Inquiry | None = None
        self._survey: Survey | None = None
        self._asked = 0.0
        self._retry = math.inf  # when to look again for a place; inf: nothing is waited for
        self._pids: Sequence[int] = ()
        self.gpu: Gpu | None = None
        self.why = self.seen = ""

    def find(self, now: float) -> Drawing | None:
        """How the next server is to draw, or None: not yet. Raises RequestError for what this machine does not have, FarmError for
        what it may have in a moment."""
        plan = self._plan
        self.gpu, self.seen = None, ""
        if plan.rendering == "null" or not (plan.cameras or plan.rendering == "offscreen"):
            return Drawing(adapter.rendering(plan.rendering, plan.cameras, False, ""))
        if plan.gpu == "none":
            return Drawing(adapter.rendering(plan.rendering, plan.cameras, False, "--gpu none was asked for"), plan.adapter, plan.quality)
        survey = self._fresh_survey(now)
        if survey is None or now < self._retry < math.inf:
            return None
        self._retry, self.why = math.inf, ""
        return self._choose(survey, now)

    def look(self, now: float, pids: Sequence[int]) -> None:
        """The server is up: see which GPU its processes use."""
        self._starts.release()
        if self.gpu is not None:
            self._close_inquiry()
            try:
                self._inquiry = Inquiry(now)
            except OSError as error:  # the server works all the same
                self.seen = f"not looked up: {error}"
                log.warning("which GPU the server uses was %s", self.seen)
                return
            self._pids = pids

    def act(self, now: float) -> None:
        """Take in a survey that is over. Raises RequestError where a pinned GPU is not the one that the server uses."""
        found = self._inquiry.result(now) if self._inquiry is not None else None
        if found is None:
            return
        self._inquiry = None
        if not self._pids:
            self._survey, self._asked = found, now
            return
        pids, self._pids = self._pids, ()
        if self.gpu is not None:
            self._judge(adapter.check(found, self.gpu, pids))

    def wake(self) -> float:
        """When to call again, if nothing happens before."""
        return self._retry if self._inquiry is None else self._inquiry.deadline

    def release(self) -> None:
        """The server failed or is gone, and with it the place for its start."""
        self._starts.release()
        self._close_inquiry()
        self._survey, self._retry, self.why = None, math.inf, ""

    def _fresh_survey(self, now: float) -> Survey | None:
        self.act(now)
        if self._survey is not None and now - self._asked < FRESH:
            return self._survey
        if self._inquiry is None:
            self._inquiry = Inquiry(now)
            self.why = self.why or "asking NVML for the GPUs"
        return None

    def _choose(self, survey: Survey, now: float) -> Drawing | None:
        plan = self._plan
        if survey.passing:
            raise FarmError(survey.trouble)
        if survey.gpus and survey.trouble:
            log.warning("%s", survey.trouble)
        candidates = adapter.rank(survey, plan.gpu, os.environ, lambda gpu: 0)
        if not candidates:
            why = adapter.why_none(survey, os.environ)
            drawing = Drawing(adapter.rendering(plan.rendering, plan.cameras, False, why), plan.adapter, plan.quality)
            log.warning("no GPU may be used (%s); the server draws without one", why)
            return drawing
        self.gpu = self._starts.choose(lambda starting: adapter.rank(survey, plan.gpu, os.environ, starting))
        if self.gpu is None:
            self.why, self._retry = f"waiting for a place to start on {' or '.join(gpu.words for gpu in candidates[:2])}", now + RETRY
            return None
        number = self.gpu.adapter if plan.adapter is None else plan.adapter
        log.info("the server goes to %s, -graphicsadapter=%d from %s", self.gpu.words, number, survey.numbering)
        return Drawing(True, number, plan.quality)

    def _judge(self, place: adapter.Place) -> None:
        self.seen = place.words
        log.log(logging.INFO if place.known and place.right else logging.WARNING, "%s", place.words)
        if place.known and not place.right and self._plan.gpu != "auto":
            raise RequestError(f"--gpu {self._plan.gpu}: {place.words}")

    def _close_inquiry(self) -> None:
        if self._inquiry is not None:
            self._inquiry.close()
            self._inquiry = None
        self._pids = ()
