"""Guard: keys at the broker's socket. libzmq shakes hands with nobody whose key pyzmq's own authenticator, in its thread, does not know.

Strangers never get as far as a message. Who may say what is not decided here (``rights.py``). The list of allowed keys is looked at again
every second, so that a key can be added or taken away while the farm runs. Rule: a broker whose guard lets a stranger in does not serve.
"""

from __future__ import annotations

import errno
import logging
from pathlib import Path
from typing import Any, Mapping

import zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils.monitor import recv_monitor_message

from b2d_zmq.errors import FarmError, RequestError
from b2d_zmq.keys import Keys, allowed, fingerprint, load_broker, secure
from b2d_zmq.roles import Holder, Role

DOMAIN = "b2d"
PATIENCE_MS = 5000  # for a knock of the self-test
_ANSWERS = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
)

log = logging.getLogger("b2d.broker")


class Guard:
    """The keys of the folder; ``holders`` are those let in, by public key, and are replaced whole, never changed: two threads see them."""

    def __init__(self, folder: Path) -> None:
        """Raises RequestError for whatever is wrong with the folder."""
        self.folder, self.turned_away = folder, 0
        self._keys = load_broker(folder)
        self._seen = fingerprint(folder)
        self.holders, troubles = allowed(folder)
        if troubles:
            raise RequestError(troubles[0])
        if not self.holders:
            log.warning("%s is empty: nobody can connect; make keys with `b2d keys create`", folder / "allowed")
        self._authenticator: ThreadAuthenticator | None = None
        self._stranger = b""  # who knocks in the self-test

    def arm(self, context: zmq.Context[Any], socket: zmq.Socket[Any]) -> None:
        """Start the authenticator and set the socket's keys; before it is bound, so that there is no moment without."""
        self._authenticator = ThreadAuthenticator(context, log=logging.getLogger("b2d.authenticator"))
        self._authenticator.configure_curve_callback(DOMAIN, self)
        self._authenticator.start()
        socket.curve_server = True
        socket.curve_secretkey = self._keys.secret.encode()
        socket.zap_domain = DOMAIN.encode()
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # no authenticator: nobody gets in, instead of everybody

    def callback(self, _domain: str, key: bytes) -> bool:
        """The authenticator's question, in its thread: whether this key is let in."""
        if key.decode("ascii", "replace") in self.holders:
            return True
        if key == self._stranger:
            return False
        count = self.turned_away = self.turned_away + 1
        if count & (count - 1) == 0:  # the 1st, 2nd, 4th, 8th, ...
            log.warning("somebody with the unknown key %s was turned away (the %d. so far)", key.decode("ascii", "replace"), count)
        return False

    def test(self, endpoint: str) -> None:
        """Knock as a stranger, without keys, and as somebody known. Raises RequestError where the wrong one gets in."""
        stranger, known = _pair(self._keys.public), _pair(self._keys.public)
        before, self.holders = self.holders, {**self.holders, known.public: Holder("client-test", Role.CLIENT)}
        self._stranger = stranger.public.encode()
        try:
            if _gets_in(endpoint, stranger) or _gets_in(endpoint, None):
                raise RequestError(
                    f"the self-test got in at {endpoint} as a stranger: nobody would be kept out, so this broker does not serve"
                )
            if not _gets_in(endpoint, known):
                raise RequestError(f"the self-test did not get in at {endpoint} with a key that is allowed: this broker would serve nobody")
        finally:
            self.holders = before

    def look(self) -> Mapping[str, Holder] | None:
        """The keys that are let in from now on, if that has changed. Raises FarmError where nobody would be let in any more."""
        if self._authenticator is not None and not self._authenticator.is_alive():
            raise FarmError("its authenticator has died, so nobody could get in any more; start it again: leases survive that")
        seen = fingerprint(self.folder)
        if seen in (self._seen, errno.EMFILE, errno.ENFILE):
            return None
        try:
            holders, troubles = allowed(self.folder)
        except OSError as error:  # such as no file descriptor left, for strangers hold them all: it is looked at again
            log.error("the list of allowed keys cannot be read now, and stays as it was: %s", error)
            return None
        except RequestError as error:
            self._seen = seen
            log.error("the list of allowed keys stays as it was: %s", error)
            return None
        self._seen = seen
        for trouble in troubles:
            log.error("a key was left out: %s", trouble)
        log.info("allowed keys: %s", _difference(self.holders, holders))
        self.holders = holders
        return holders

    def close(self) -> None:
        """Stop the authenticator; before its context ends."""
        authenticator, self._authenticator = self._authenticator, None
        if authenticator is None:
            return
        if authenticator.pipe and not authenticator.is_alive():  # it would wait for ever for a dead thread to take its word
            authenticator.pipe.close(0)
            authenticator.pipe = None  # type: ignore[assignment]
        authenticator.stop()


def _difference(before: Mapping[str, Holder], after: Mapping[str, Holder]) -> str:
    came = sorted(after[key].name for key in after.keys() - before.keys())
    went = sorted(before[key].name for key in before.keys() - after.keys())
    told = [f"{words} {', '.join(names)}" for words, names in (("came", came), ("went", went)) if names]
    return f"{len(after)}; {'; '.join(told) or 'none came or went'}"


def _pair(broker: str) -> Keys:
    public, secret = (key.decode() for key in zmq.curve_keypair())
    return Keys("client-test", public, secret, broker)


def _gets_in(endpoint: str, keys: Keys | None) -> bool:
    """Whether somebody with these keys is let in, or shakes hands at all."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        secure(socket, keys)
        monitor = socket.get_monitor_socket(_ANSWERS)
        socket.connect(endpoint)
        answered = monitor.poll(PATIENCE_MS) and recv_monitor_message(monitor)["event"]
        socket.disable_monitor()
        return bool(answered == zmq.EVENT_HANDSHAKE_SUCCEEDED)
