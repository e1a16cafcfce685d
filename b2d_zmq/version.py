"""The version of the package; the protocol has its own, in protocol.py."""

from __future__ import annotations

VERSION = "0.1.0"
