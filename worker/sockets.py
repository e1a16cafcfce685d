"""The worker's two DEALER sockets and their options; each option has its reason beside it."""

from __future__ import annotations

import zmq

from b2d_zmq.door import Door
from b2d_zmq.keys import Keys


def connect(context: zmq.Context[zmq.Socket[bytes]], endpoint: str, identity: str, message_bytes: int, keys: Keys | None) -> Door:
    """A DEALER under ``identity`` that connects to ``endpoint``, now or when somebody is there. Raises ZMQError for what is no endpoint."""
    socket = context.socket(zmq.DEALER)
    options = {
        zmq.IMMEDIATE: 1,  # nothing queues for a broker that is not there, to come back as a storm of old messages
        zmq.SNDHWM: 8,  # messages, each of which may be 26 MB
        zmq.RCVHWM: 8,
        zmq.LINGER: 2000,  # ms to get the last answer out when the process leaves
        zmq.MAXMSGSIZE: message_bytes,  # per frame; the sum is checked after receiving
        zmq.RECONNECT_IVL: 100,
        zmq.RECONNECT_IVL_MAX: 2000,
        zmq.HEARTBEAT_IVL: 5000,  # only to clear away dead TCP connections; the farm's own clocks are in docs/protocol.md
        zmq.HEARTBEAT_TIMEOUT: 30000,
        zmq.HANDSHAKE_IVL: 5000,
    }
    for option, value in options.items():
        socket.setsockopt(option, value)
    socket.setsockopt(zmq.IDENTITY, identity.encode())
    door = Door(socket, endpoint, keys)
    try:
        door.open()
    except zmq.ZMQError:
        door.close()
        raise
    return door
