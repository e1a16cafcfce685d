"""``b2d fidelity`` and the demo on workers with tiers: processes as people run them, tables, numbers and plot."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from b2d_zmq.chart import HEAD, HIGH, WIDE
from b2d_zmq.fidelity import fan

ROUTES = Path(__file__).parents[2] / "worker" / "data" / "routes.xml"


def b2d(*arguments):
    command = [sys.executable, "-m", "b2d_zmq", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)


@pytest.fixture
def measured(leaves_nothing, tmp_path):
    """Run the command on loose workers; gives what it said and wrote."""

    def run(*options):
        done = b2d("fidelity", "--backend", "loose:Loose", "--out", tmp_path, "--prefix", 20, "--ticks", "1,5,20", *options)
        numbers = tmp_path / "fidelity.json"
        return done, json.loads(numbers.read_text()) if numbers.exists() else None, tmp_path

    return run


def test_it_measures_each_tier_beside_a_drive_that_was_not_restored(measured):
    done, told, folder = measured("--routes", ROUTES, "--sample", 2)
    assert done.returncode == 0, done.stderr
    assert told["ticks"] == [0, 1, 5, 20] and told["tiers"] == ["replay", "transfer"] and len(told["routes"]) == 2
    assert told["restores"]["replay"]["said"] == told["restores"]["replay"]["measured"] == {"exact": 4, "good": 0, "degraded": 0}
    for name in ("position", "speed", "yaw"):
        assert told["errors"]["un-restored"][name] == told["errors"]["replay"][name] == [[0.0] * 3] * 4
    for route in told["routes"]:
        run = route["tiers"]["transfer"]
        said = [one["ego"]["position"] for one in run["said"]]
        np.testing.assert_allclose(run["position"], [said] * 4, atol=2e-3)  # float32 at kilometres
        assert route["tiers"]["replay"]["noise"] == 0.0 and run["signal"] > 0.1
        assert run["noise"] == pytest.approx(np.std(run["returns"]), abs=2e-6)
        assert len(run["drift"]["position"]) == 4 and run["ticks"] == [0, 1, 5, 20]
    restores = told["restores"]["transfer"]
    assert min(restores["ratio"]["worst"], restores["noise"]["worst"]) > 0.0  # of both routes: beside may pay nothing
    page, picture = (folder / "fidelity.md").read_text(), cv2.imread(str(folder / "fidelity.png"))
    assert page in done.stdout and "| un-restored | 0 / 0 / 0 |" in page
    assert picture.shape == (HEAD + HIGH, 3 * WIDE, 3)


def test_one_route_that_fails_is_told_and_the_rest_goes_on(measured):
    done, told, _ = measured("--routes", ROUTES, "--route", 101, "--route", 999_999, "--tiers", "replay")
    assert done.returncode == 0, done.stderr
    good, bad = told["routes"]
    assert set(good["tiers"]) == {"replay"} and good["error"] == ""
    assert bad["error"].startswith("UnknownRoute") and bad["tiers"] == {} and "UnknownRoute" in done.stdout


def test_where_nothing_can_be_measured_it_is_an_error(measured):
    done, told, _ = measured("--route", 999_999)
    assert done.returncode == 1 and "UnknownRoute" in done.stderr and "Traceback" not in done.stderr
    assert told["routes"][0]["tiers"] == {}


def test_a_tier_that_is_not_offered_is_refused_before_anything_is_driven(measured):
    done, told, _ = measured("--tiers", "replay,hybrid")
    assert done.returncode == 1 and told is None
    assert "hybrid" in done.stderr and "replay, transfer" in done.stderr


def test_the_embedded_world_is_exact(leaves_nothing, tmp_path):
    done = b2d("fidelity", "--out", tmp_path, "--prefix", 5, "--ticks", "0,10")
    told = json.loads((tmp_path / "fidelity.json").read_text())
    assert done.returncode == 0, done.stderr
    assert told["tiers"] == ["exact"] and told["restores"]["exact"]["measured"]["exact"] == 2
    assert told["restores"]["exact"]["noise"]["worst"] == 0.0


@pytest.mark.parametrize("ticks", ["", "a", "-1,3", "0", "5,2000"])
def test_ticks_that_are_none_are_refused(ticks):
    done = b2d("fidelity", "--ticks", ticks)
    assert done.returncode == 2 and "Usage: " in done.stderr


def test_a_file_that_is_no_route_file_is_one_clear_line(tmp_path):
    broken = tmp_path / "routes.xml"
    for text in (
        "<routes><route></routes>",
        "<routes/>",
        '<routes><route id="x" town="Town01"/></routes>',
        "<!DOCTYPE a [<!ENTITY b 'c'>]><a/>",
    ):
        broken.write_text(text)
        done = b2d("fidelity", "--routes", broken, "--out", tmp_path)
        assert done.returncode == 1 and "routes.xml" in done.stderr and "Traceback" not in done.stderr


def test_different_actions_differ_and_are_allowed():
    tape = np.tile(np.array([0.9, 0.0, 0.99], np.float32), (15, 1))
    plans = fan(tape, 3)
    assert plans.shape == (3, 15, 3) and plans.dtype == np.float32
    assert plans[:, :, 2].max() == 1.0 and len({plan.tobytes() for plan in plans}) == 3
    np.testing.assert_array_equal(plans[0, 10:], tape[10:])


def test_the_demo_tells_tier_and_verdicts_where_restores_are_not_exact(leaves_nothing, tmp_path):
    done = b2d("demo", "--backend", "loose:Loose", "--tier", "transfer", "--sensors", "state", "--steps", 5, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "demo.json").read_text())
    assert "restored by transfer: " in done.stdout and "bit-identical" not in done.stdout and "by digest: 0 of 3 branches" in done.stdout
    assert told["start"]["tier"] == "transfer" and told["start"]["identical"] is False and len(told["start"]["fidelity"]) == 3
    assert (tmp_path / "demo.png").exists()
