"""What ``b2d status`` prints: the broker's answer to STATUS as text of at most 100 columns. Plain values in, text out."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence

WIDTH = 100


def status_text(endpoint: str, told: Mapping[str, Any]) -> str:
    """The whole page: one line about the broker, the workers, their CARLA servers, the leases, who waits."""
    workers: List[Dict[str, Any]] = list(told.get("workers", ()))
    leases: List[Dict[str, Any]] = list(told.get("leases", ()))
    waiting: List[Dict[str, Any]] = list(told.get("waiting", ()))
    broker = told.get("broker", {})
    free = sum(1 for worker in workers if worker.get("state") == "free")
    up = _span(float(broker.get("uptime", 0.0)))
    lines = [
        f"broker {endpoint}, version {broker.get('version', '?')}, up {up}",
        f"{len(workers)} workers, {free} free, {len(leases)} leases, {len(waiting)} waiting",
        "",
    ]
    lines += _workers(workers) if workers else ["no workers; start some: b2d-worker --endpoint " + endpoint]
    servers = [worker for worker in workers if _server(worker)]
    if servers:
        lines += ["", *_servers(servers)]
    if leases:
        lines += ["", *_leases(leases)]
    if waiting:
        lines += ["", *_waiting(waiting)]
    return "\n".join(line[:WIDTH].rstrip() for line in lines)


def _workers(workers: Sequence[Mapping[str, Any]]) -> List[str]:
    rows = []
    for worker in workers:
        progress = worker.get("progress") or {}
        rows.append(
            [
                str(worker.get("worker", "")),
                str(worker.get("state", "")),
                str(worker.get("lease", "")) or "-",
                str(worker.get("label", "")) or "-",
                _doing(progress),
                str(worker.get("queue", 0)),
                _span(float(worker.get("age", 0.0))),
            ]
        )
    names, most = ["worker", "state", "lease", "holder", "doing", "queue", "heard"], [20, 9, 14, 24, 18, 5, 6]
    used = sum(min(limit, max(len(row[i]) for row in [names, *rows])) + 2 for i, limit in enumerate(most) if names[i] != "doing")
    most[names.index("doing")] = max(18, WIDTH - used)  # how far a start is takes more words than a running job
    return _table(names, rows, most)


def _servers(workers: Sequence[Mapping[str, Any]]) -> List[str]:
    """The CARLA servers; one that is not the worker's own has an address and nothing else that is known here."""
    rows = []
    for worker in workers:
        server = _server(worker)
        external = bool(server.get("external"))
        rows.append(
            [
                str(worker.get("worker", "")),
                "not ours" if external else str(server.get("state", "?")),
                str(server.get("pid") or "-"),
                f"{server.get('host')}:{server.get('port')}" if external else str(server.get("port", "-")),
                str(server.get("gpu", "")) or ("-" if external else "none"),
                _size(server.get("resident_bytes")),
                str(server.get("starts", "-")),
                str(server.get("worn", "")) or "-",
            ]
        )
    return _table(["worker", "server", "pid", "port", "gpu", "memory", "starts", "worn"], rows, [20, 9, 8, 21, 18, 7, 6, 20])


def _server(worker: Mapping[str, Any]) -> Mapping[str, Any]:
    told = (worker.get("progress") or {}).get("server")
    return told if isinstance(told, dict) else {}


def _leases(leases: Sequence[Mapping[str, Any]]) -> List[str]:
    rows = [
        [
            str(lease.get("lease", "")),
            str(lease.get("worker", "")),
            str(lease.get("epoch", "")),
            str(lease.get("label", "")),
            str(lease.get("running", "")) or "-",
            str(lease.get("queued", 0)),
            f"{_span(float(lease.get('idle', 0.0)))} of {_span(float(lease.get('ttl', 0.0)))}",
        ]
        for lease in leases
    ]
    return _table(["lease", "worker", "epoch", "holder", "running", "queued", "idle"], rows, [14, 20, 5, 24, 9, 6, 14])


def _waiting(waiting: Sequence[Mapping[str, Any]]) -> List[str]:
    rows = [[str(one.get("label", "")), str(one.get("n", "")), _span(float(one.get("seconds", 0.0)))] for one in waiting]
    return _table(["waiting", "workers wanted", "since"], rows, [60, 14, 10])


def _doing(progress: Mapping[str, Any]) -> str:
    doing = str(progress.get("doing", "")) or "-"
    tick = progress.get("tick")
    return f"{doing} @{tick}" if tick else doing


def _size(count: Any) -> str:
    """Bytes as a person says them: 3.9 GB, 620 MB."""
    if not isinstance(count, int) or count <= 0:
        return "-"
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _table(names: Sequence[str], rows: Sequence[Sequence[str]], most: Sequence[int]) -> List[str]:
    """Columns as wide as they need, none wider than its most; a text that is cut ends in two dots."""
    cut = [[text if len(text) <= limit else text[: limit - 2] + ".." for text, limit in zip(row, most)] for row in rows]
    wide = [max([len(name)] + [len(row[i]) for row in cut]) for i, name in enumerate(names)]
    lines = [names, *cut]
    return ["  ".join(text.ljust(width) for text, width in zip(line, wide)) for line in lines]


def _span(seconds: float) -> str:
    """A duration as a person says it: 0.4 s, 12 s, 3 min, 5 h, 2 d."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86400:.0f} d"
