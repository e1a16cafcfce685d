"""What the broker tells people: the answer to STATUS, and the sentence for those who get no worker."""

from __future__ import annotations

import hashlib
from typing import Any, Dict, List

from b2d_zmq.version import VERSION

from .table import Lease, Table, Worker

NAMED = 8  # holders that a sentence names


def status(table: Table, waiting: List[Dict[str, Any]], now: float) -> Dict[str, Any]:
    """Workers, leases, waiting acquisitions and counters, as docs/protocol.md describes them."""
    return {
        "broker": {"boot": table.boot, "version": VERSION, "uptime": now - table.born},
        "workers": [_worker(worker, now) for worker in table.workers.values()],
        "leases": [_lease(lease, table.lease_ttl, now) for lease in table.leases.values()],
        "waiting": waiting,
        "counters": dict(table.counters),
    }


def no_free_worker(table: Table, n: int, profile: str, waiting: int, now: float) -> str:
    """How many workers there are, how many are free, who holds the rest and what to do."""
    workers = list(table.workers.values())
    suiting = [worker for worker in workers if profile in ("", worker.profile)]
    wanted = f"{n or 'a ready'} worker{'s' if n > 1 else ''}{f' of profile {profile}' if profile else ''} wanted"
    if not workers:
        return f"{wanted}, but the broker knows no worker at all; start some with b2d-worker, or wait longer while they start"
    counts = {state: sum(worker.state == state for worker in suiting) for state in ("free", "leased", "releasing", "starting", "draining")}
    told = ", ".join(f"{count} {state}" for state, count in counts.items())
    text = f"{wanted}; the broker knows {len(workers)}, {len(suiting)} of them suit: {told}"
    if waiting:
        text += f"; {waiting} other requests wait"
    held = [worker.lease for worker in suiting if worker.lease]
    if held:
        text += "; held by " + ", ".join(_holder(lease, now) for lease in held[:NAMED]) + (", ..." if len(held) > NAMED else "")
    most = max((sum(worker.profile == other.profile for worker in suiting) for other in suiting), default=0)
    if n > most:
        return text + f"; at most {most} share one profile: start more workers with b2d-worker, or ask for fewer (a group can run in waves)"
    text += "; ask with a longer wait, close an environment, or start more workers"
    return text + f" (the lease of a silent client lapses after {table.lease_ttl:g} s)"


def _holder(lease: Lease, now: float) -> str:
    doing = lease.running.message.header.kind.name if lease.running else f"idle {now - lease.heard:.1f} s"
    return f"{lease.label or lease.client!r} ({lease.worker.id}, {doing})"


def _worker(worker: Worker, now: float) -> Dict[str, Any]:
    lease = worker.lease
    short = ("backend", "version", "rig", "profile", "routes", "python", "numpy")
    return {
        "worker": worker.id,
        "name": worker.name,
        "host": worker.host.decode("utf-8", "replace"),
        "state": worker.state,
        "lease": lease.name if lease else "",
        "label": lease.label if lease else "",
        "epoch": worker.epoch,
        "age": now - worker.heard,
        "progress": worker.progress,
        "queue": len(lease.jobs()) if lease else 0,
        "description": {key: worker.description[key] for key in short if key in worker.description},
        "pid": worker.pid,
        "build": worker.version,
    }


def _lease(lease: Lease, ttl: float, now: float) -> Dict[str, Any]:
    return {
        "lease": lease.name,
        "worker": lease.worker.id,
        "client": hashlib.blake2b(lease.client.encode(), digest_size=4).hexdigest(),  # the token itself is its client's alone
        "label": lease.label,
        "epoch": lease.epoch,
        "idle": now - lease.heard,
        "ttl": ttl,
        "running": lease.running.message.header.kind.name if lease.running else "",
        "queued": len(lease.queued),
    }
