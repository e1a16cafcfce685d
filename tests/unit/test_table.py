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
