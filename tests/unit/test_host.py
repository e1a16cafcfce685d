"""The host's loop, before a socket inside this process: what it notices in which order."""

import os
import signal
from types import SimpleNamespace

import zmq

from b2d_zmq import codec, protocol
from b2d_zmq.protocol import Header, Kind, Message
from worker.backends.embedded import EmbeddedBackend
from worker.briefing import EXIT_WORN, Briefing
from worker.host import Host
from worker.progress import Progress


class Tardy(Host):
    """Its wake-up is seen to be readable only after a REVOKE."""

    def _revoke(self, header):
        super()._revoke(header)
        os.write(self._wakeup.full, b"!")


def test_a_signal_that_came_with_a_message_counts_before_it():
    """A host that sleeps when both arrive is woken by its socket, and its pipe is filled only as it wakes: too late for that poll."""
    (fd, full), (quiet, door_end) = os.pipe(), os.pipe()
    reads = iter([[signal.SIGUSR1], [], [signal.SIGTERM]])
    wakeup = SimpleNamespace(fd=fd, full=full, read=lambda: next(reads))
    page = SimpleNamespace(read=Progress, write=lambda progress: None)
    briefing = Briefing("w", "w/h1", "", "embedded", {}, 1 << 20, "info", 0, 0)
    with zmq.Context() as context, context.socket(zmq.PAIR) as ours, context.socket(zmq.PAIR) as theirs:
        ours.bind("inproc://host")
        theirs.connect("inproc://host")
        for kind in (Kind.GRANT, Kind.REVOKE):
            body = codec.encode({"client": "c", "label": ""})
            ours.send_multipart(protocol.pack(Message(Header(kind, lease="L1", epoch=1), body), 1 << 20))
        door = SimpleNamespace(socket=theirs, monitor=quiet, refusal="", look=lambda: None, knock=lambda: None)
        assert Tardy(briefing, EmbeddedBackend(sensors="state"), page, door, wakeup).serve() == EXIT_WORN
    for end in (fd, full, quiet, door_end):
        os.close(end)
