"""A server that is no CARLA and is laid out like one: it opens its port, answers lines, and goes wrong as told. See ``install``.

It takes CARLA's flags for its ports, and as flags of its own ``-late=S``, ``-no-term``, ``-refuse``, ``-chatty``, ``-child``; a client that
writes ``die`` or ``hang`` has its wish. ``tests/attached.py`` is the backend that talks to it.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

_SCRIPT = '#!/bin/sh\nexec "{python}" "{this}" "$@"\n'


def install(folder, version=""):
    """Lay out a folder like CARLA's; its path."""
    binary = folder / "CarlaUE4/Binaries/Linux/CarlaUE4-Linux-Shipping"
    binary.parent.mkdir(parents=True)
    binary.write_text(_SCRIPT.format(python=sys.executable, this=Path(__file__).resolve()))
    (folder / "CarlaUE4.sh").write_text(f'#!/bin/sh\nexec "{binary}" CarlaUE4 "$@"\n')
    for path in (binary, folder / "CarlaUE4.sh"):
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    if version:
        (folder / "VERSION").write_text(version + "\n")
    return folder


def main(arguments):
    flags = dict(word.partition("=")[::2] for word in arguments)
    say(f"fake server, pid {os.getpid()}, arguments {' '.join(arguments)}")
    if "-refuse" in flags:
        say("Refusing to run with the root privileges.")
        return 1
    if "-no-term" in flags:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "-child" in flags:
        say(f"crash reporter, pid {subprocess.Popen(['sleep', '600']).pid}")
    if "-late" in flags:
        threading.Event().wait(float(flags["-late"]))
    port = int(flags["-carla-rpc-port"])
    listeners = [listen(number) for number in (port, port + 1, port + 2)]
    say(f"listening on {port}")
    while True:
        serve(listeners[0].accept()[0], "-chatty" in flags)


def serve(connection, chatty):
    with connection, connection.makefile("rw") as lines:
        for line in lines:
            if chatty:
                say("x" * 2000)
            if line == "die\n":
                say("Signal 11 caught.")
                os.kill(os.getpid(), signal.SIGSEGV)
            if line == "hang\n":
                say("GameThread timed out waiting for RenderThread")
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
                signal.sigwait({signal.SIGUSR1})
            lines.write(f"{os.getpid()}\n")
            lines.flush()


def listen(port):
    listener = socket.socket()
    listener.bind(("127.0.0.1", port))
    listener.listen()
    return listener


def say(words):
    sys.stderr.write(words + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
