"""What a call is: a function of the simulator and the client's arguments. Its result is a value for the wire, or None for no value."""

from __future__ import annotations

from typing import Any, Callable

Call = Callable[..., Any]
