"""``python -m b2d_zmq`` is ``b2d``."""

from __future__ import annotations

from .cli import main

if __name__ == "__main__":
    main(prog_name="b2d")
