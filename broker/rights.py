"""Rights: which key may say what to the broker. Plain values; ``guard.py`` knows the keys' files and the socket.

Without keys (``holders`` None) nobody is told apart and everybody may everything, which is why such a broker listens on loopback only.
A lease and a worker belong to the key under which they came: another key, of the same role even, can neither use nor end them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Mapping

from b2d_zmq.errors import Forbidden
from b2d_zmq.protocol import Message
from b2d_zmq.roles import MAY, Holder, Role

if TYPE_CHECKING:
    from .table import Lease, Worker


class Rights:
    """The keys that are let in: ``holders`` by public key."""

    def __init__(self, holders: Mapping[str, Holder] | None = None) -> None:
        self.holders = holders

    def check(self, message: Message, worker: Worker | None) -> None:
        """Raise Forbidden unless this may be said under its key, and in the name of ``worker``, where it is."""
        if self.holders is None:
            return
        kind, holder = message.header.kind, self.holders.get(message.key)
        if holder is None:
            raise Forbidden(f"the key {message.key} is not allowed any more; ask whoever runs the broker")
        if kind not in MAY[holder.role]:
            raise Forbidden(f"{kind.name} is not for the key {holder.name}, which is a {holder.role.value}'s; connect with a key for it")
        if worker is not None and worker.key != message.key:
            raise Forbidden(f"{kind.name} in the name of worker {worker.id}, which came with another key than {holder.name}")

    def check_use(self, lease: Lease, message: Message) -> None:
        """Raise Forbidden unless this job comes under the key that holds the lease."""
        if lease.key != message.key:
            raise Forbidden(f"lease {lease.name} on worker {lease.worker.id} is held under another key than yours; acquire one of your own")

    def check_end(self, lease: Lease, client: str, message: Message) -> None:
        """Raise Forbidden unless this is the client that holds the lease, or an admin."""
        if (lease.client, lease.key) != (client, message.key) and not self._admin(message.key):
            told = f"lease {lease.name} is held by {lease.label or 'another client'!r}"
            raise Forbidden(f"{told}; only that client can release it, or somebody with an admin's key (b2d release {lease.name})")

    def keeps(self, key: str, role: Role) -> bool:
        """Whether what came under this key, as somebody of that role, may stay."""
        if self.holders is None:
            return True
        holder = self.holders.get(key)
        return holder is not None and MAY[holder.role] == MAY[role]

    def _admin(self, key: str) -> bool:
        holder = self.holders.get(key) if self.holders is not None else None
        return holder is not None and holder.role is Role.ADMIN
