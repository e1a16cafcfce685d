"""What the stand-in answers with an error text, which the client raises as its RuntimeError."""

from __future__ import annotations


class Refusal(Exception):
    """A call that cannot be done; the text is for the client's user."""
