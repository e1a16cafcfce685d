"""What the stand-in answers with an error text, which the client raises as its RuntimeError."""

from __future__ import annotations

import struct

MISFITS = (TypeError, ValueError, ArithmeticError, IndexError, KeyError, AttributeError, struct.error)
"""What a call raises whose arguments have not the shape that they should have."""


class Refusal(Exception):
    """A call that cannot be done; the text is for the client's user."""
