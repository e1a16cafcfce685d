"""The stand-in's sensors: what each of them sends in a tick. No sockets, no schedule: who listens and when is the server's affair."""

from __future__ import annotations

from .readings import INDEX, readings

__all__ = ["INDEX", "readings"]
