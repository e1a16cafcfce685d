"""What ``b2d fidelity`` makes of its measurements: the verdicts, the summary and the page."""

import json
import math

import numpy as np
import pytest

from b2d_zmq.records import Measured, Record, page, plain, told, verdict
from b2d_zmq.sheet import Drive, Story
from b2d_zmq.sheet import record as numbers
from b2d_zmq.tracks import Gaps

TICKS = (0, 20, 100)
ABOUT = {"seed": 0, "prefix": 60, "installation": {"backend": "carla", "carla": "0.9.16", "dt": 0.05}}


def measured(position, speed=0.0, yaw=0.0, moments=101, **more):
    """Branches whose error grows from the first to the last of ``position`` over 100 ticks; one, unless there are more returns."""
    along = np.tile(np.interp(np.arange(moments), (0, 20, 100), position), (len(more.get("returns", [1.0])), 1))
    gaps = Gaps(along, np.full_like(along, speed), np.full_like(along, yaw))
    return Measured.of(gaps, TICKS, **{"returns": [1.0], **more})


STILL = measured((0.0, 0.0, 0.0))
SPREAD = measured((0.0, 0.2, 1.0), 0.1, 0.1)


@pytest.mark.parametrize(
    ("found", "baseline", "word"),
    [
        (STILL, STILL, "exact"),
        (measured((0.0, 0.2, 0.9)), SPREAD, "exact"),
        (measured((0.01, 0.1, 0.5)), STILL, "good"),
        (measured((0.01, 0.1, 0.51)), STILL, "degraded"),
        (measured((0.01, 0.11, 0.2)), STILL, "degraded"),
        (measured((0.02, 0.02, 0.02)), STILL, "degraded"),
        (measured((0.0, 0.0, 0.0), speed=0.06), STILL, "degraded"),
        (measured((0.0, 0.0, 0.0), yaw=0.09), STILL, "good"),
    ],
)
def test_a_verdict_is_what_the_drive_shows(found, baseline, word):
    assert verdict(found, baseline, 0, 0.5) == word


def test_a_drive_that_ended_early_is_judged_by_what_there_is():
    short = measured((0.01, 0.1, 9.0), moments=21)
    assert short.ticks == [0, 20] and verdict(short, STILL, 0, 0.5) == "good"


@pytest.mark.parametrize(("ticks", "position", "word"), [((0, 50), 0.4, "good"), ((0, 50), 9.0, "degraded"), ((0, 5), 0.2, "degraded")])
def test_where_there_was_no_look_at_20_or_100_the_looks_before_decide(ticks, position, word):
    off = np.where(np.arange(101) == ticks[-1], position, 0.0)[None]
    found, still = (Measured.of(Gaps(one, 0.0 * off, 0.0 * off), ticks, returns=[1.0]) for one in (off, 0.0 * off))
    assert verdict(found, still, 0, 0.5) == word


def record(route, **more):
    one = Record(route, "Town01", "Accident", 60, baseline=STILL)
    for name, value in more.items():
        setattr(one, name, value)
    return one


def report(verdict, ticks=60):
    return {"tier": "replay", "verdict": verdict, "ticks": ticks, "seconds": 1.5, "ego": {}}


def test_the_summary_counts_and_spreads():
    tiers = [
        {"replay": measured((0.0, 0.0, 0.0), returns=[1.0], told=[report("exact", 60 + i)], against=np.array([0.0, 2.0]))} for i in range(3)
    ]
    tiers.append({"replay": measured((0.02, 0.0, 0.0), returns=[1.0, 1.5], told=[report("good")], against=np.array([0.0, 2.0]))})
    found = told([record(i, tiers=one) for i, one in enumerate(tiers)], TICKS, ["replay"], ABOUT)
    json.dumps(found, allow_nan=False)
    restores = found["restores"]["replay"]
    assert restores["said"] == {"exact": 3, "good": 1, "degraded": 0} and restores["ticks"]["worst"] == 62
    assert found["errors"]["replay"]["position"][0] == pytest.approx([0.0, 0.02, 0.02], abs=1e-6)
    assert restores["ratio"]["worst"] == pytest.approx(0.25)


def test_the_limit_after_a_hundred_ticks_grows_with_the_un_restored_spread():
    far = measured((0.01, 0.1, 1.4), yaw=0.05, told=[report("good")])
    one = record(1, baseline=measured((0.0, 0.0, 1.0)), tiers={"replay": far})
    assert told([one], TICKS, ["replay"], ABOUT)["routes"][0]["tiers"]["replay"]["measured"] == ["good"]


def test_the_page_tells_errors_and_what_is_missing():
    records = [record(1, error="UnknownRoute: no route 1 | there are 2"), record(2, errors={"replay": "WorkerLost: gone"}), record(3)]
    records[2].tiers = {"replay": measured((0.001, 0.02, 1234.5), told=[report("good")])}
    text = page(told(records, TICKS, ["replay"], ABOUT))
    assert "carla 0.9.16" in text and "1 routes in 1 towns" in text
    assert "no route 1 / there are 2" in text and "replay: WorkerLost: gone" in text
    assert "| replay | 0.001 / 0.001 / 0.001 | 0.02 / 0.02 / 0.02 | 1234 / 1234 / 1234 |" in text
    assert " - / - / - " in text  # nothing was compared with other actions
    widths = {len(line.split(" | ")) for line in text.splitlines() if line.startswith("| ") and "UnknownRoute" in line}
    assert widths == {5}


def test_what_json_does_not_know_becomes_none():
    assert plain({"a": [float("nan"), 1.23456789], "b": (float("inf"), None, "x", 3)}) == {"a": [None, 1.234568], "b": [None, None, "x", 3]}


def test_the_demos_numbers_are_json_also_where_nobody_knows_how_far_off_a_restore_is():
    drive, start = Drive("straight", rewards=[1.0, math.nan]), {"fidelity": [{"ego": {"position": math.nan}}]}
    info = {"route_id": 1, "town": "Town01", "scenario": {"type": "Accident"}, "weather": "ClearNoon"}
    found = numbers(Story(info, 0, None, None, [], {}, start, [drive], [math.nan], [0.0], 0, drive, {}))
    json.dumps(found, allow_nan=False)
    assert found["start"]["fidelity"][0]["ego"]["position"] is found["branches"][0]["return"] is None
