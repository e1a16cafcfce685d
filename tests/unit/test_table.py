"""The page that ``b2d status`` prints, from the answers a broker gives."""

from __future__ import annotations

from b2d_zmq.table import WIDTH, status_text

ENDPOINT = "tcp://127.0.0.1:5570"


def worker(name, state="free", lease="", label="", **progress):
    return {"worker": name, "state": state, "lease": lease, "label": label, "queue": 0, "age": 0.31, "progress": progress}


TOLD = {
    "broker": {"boot": "k3", "version": "0.1.0", "uptime": 7300.0},
    "workers": [
        worker(
            "w-0-1f9a22c0", "leased", "L-k3-12", "anna@trainer-machine.example.org:4711 train_a_very_long_name.py", doing="STEP", tick=120
        ),
        worker("w-1-77aa00ff"),
    ],
    "leases": [
        {
            "lease": "L-k3-12",
            "worker": "w-0-1f9a22c0",
            "client": "c",
            "label": "anna@trainer",
            "epoch": 3,
            "idle": 0.2,
            "ttl": 30.0,
            "running": "STEP",
            "queued": 1,
        }
    ],
    "waiting": [{"label": "bob@laptop", "n": 4, "seconds": 75.0}],
    "counters": {"requests": 17},
}


def test_everything_is_there_and_no_line_is_too_wide():
    text = status_text(ENDPOINT, TOLD)
    assert all(len(line) <= WIDTH for line in text.splitlines())
    for word in (
        "2 workers, 1 free, 1 leases, 1 waiting",
        "w-0-1f9a22c0",
        "L-k3-12",
        "anna@trainer",
        "STEP @120",
        "bob@laptop",
        "75 s",
        "2 h",
    ):
        assert word in text


def test_columns_stand_below_their_names():
    lines = status_text(ENDPOINT, TOLD).splitlines()
    head = next(line for line in lines if line.startswith("worker"))
    row = lines[lines.index(head) + 1]
    assert row[head.index("state") :].startswith("leased")
    assert row[head.index("doing") :].startswith("STEP @120")


def test_a_label_that_is_cut_says_so():
    assert ".." in status_text(ENDPOINT, TOLD)


def test_an_empty_farm_says_what_to_start():
    text = status_text(ENDPOINT, {"broker": {"version": "0.1.0", "uptime": 3.0}, "workers": [], "leases": [], "waiting": []})
    assert "no workers" in text and "b2d-worker --endpoint " + ENDPOINT in text


def test_what_a_newer_broker_adds_or_leaves_out_does_no_harm():
    text = status_text(ENDPOINT, {"workers": [{"worker": "w", "color": "blue", "progress": None}], "weather": {}})
    assert "1 workers" in text


def served(name, **server):
    return worker(name, doing="waiting for CARLA's port 20000", server=server)


def test_servers_are_told_where_there_are_any():
    own = {
        "state": "up",
        "pid": 4711,
        "port": 20000,
        "gpu": "1: NVIDIA RTX A6000",
        "resident_bytes": 4_210_000_000,
        "starts": 2,
        "worn": "",
    }
    gone = {"state": "none", "pid": 0, "starts": 3, "version": "0.9.16", "log": "/x"}
    theirs = {"host": "127.0.0.1", "port": 2000, "tm_port": 26000, "external": True}
    told = {
        **TOLD,
        "workers": [served("w-0-1f9a22c0", **own), served("w-1-77aa00ff", **gone), served("w-2-00000000", **theirs), worker("w-3")],
    }
    lines = status_text(ENDPOINT, told).splitlines()
    assert all(len(line) <= WIDTH for line in lines)
    start = next(i for i, line in enumerate(lines) if line.split()[1:2] == ["server"])
    rows = [line.split() for line in lines[start + 1 : start + 4]]
    assert rows[0][1:4] == ["up", "4711", "20000"] and {"4.2", "GB", "2"} <= set(rows[0])
    assert rows[1][1:4] == ["none", "-", "-"]
    assert "not ours" in lines[start + 3] and "127.0.0.1:2000" in lines[start + 3]
    assert any("waiting for CARLA's port 20000" in line for line in lines)
    assert "w-3" not in "".join(lines[start:])
    assert "server" not in status_text(ENDPOINT, TOLD)
