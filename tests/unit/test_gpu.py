"""GPUs: what NVML and Vulkan tell, which one is chosen, whether the server draws, whether it landed where it was sent."""

from __future__ import annotations

import sys
import time
import types

import pytest
from bench import until

from b2d_zmq.errors import FarmError, RequestError
from worker import adapter, checks, finder, gpu, inquiry
from worker.carla_root import CarlaRoot
from worker.gpu import Gpu, Survey
from worker.locks import run_folder
from worker.plan import ServerPlan
from worker.starts import AT_ONCE, Starts

GB = 1 << 30
UUIDS = ["GPU-3f4a1b2c-0000-1111-2222-333344445555", "GPU-99990000-0000-1111-2222-333344445555"]

SUMMARY = """
==========
VULKANINFO
==========
Devices:
========
GPU0:
	apiVersion         = 1.3.277
	deviceType         = PHYSICAL_DEVICE_TYPE_DISCRETE_GPU
	deviceName         = NVIDIA H100 80GB HBM3
	deviceUUID         = 99990000-0000-1111-2222-333344445555
	driverUUID         = 11110000-0000-1111-2222-333344445555
GPU1:
	deviceName         = NVIDIA H100 80GB HBM3
	deviceUUID         = 3F4A1B2C-0000-1111-2222-333344445555
"""


def card(number, free=60, **more):
    told = {"uuid": UUIDS[number], "name": "H100", "bus": f"00000000:{number + 1}7:00.0", "total": 80 * GB, "mig": False, "adapter": number}
    return Gpu(number=number, free=free * GB, **{**told, **more})


class NVMLError(Exception):
    pass


def nvml(*cards, init=None):
    """A module that answers as pynvml does, bytes and all."""

    def fail(*_):
        raise NVMLError("Not Supported")

    def start():
        if init:
            raise NVMLError(init)

    process = types.SimpleNamespace
    return types.SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=start,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: len(cards),
        nvmlSystemGetDriverVersion=lambda: b"550.54",
        nvmlDeviceGetHandleByIndex=lambda number: cards[number],
        nvmlDeviceGetMemoryInfo=lambda each: each,
        nvmlDeviceGetUUID=lambda each: each.uuid.encode(),
        nvmlDeviceGetName=lambda each: each.name,
        nvmlDeviceGetPciInfo=lambda each: types.SimpleNamespace(busId=each.bus.encode()),
        nvmlDeviceGetMigMode=lambda each: (1, 1) if each.mig else fail(),
        nvmlDeviceGetGraphicsRunningProcesses=lambda each: [process(pid=pid) for pid in each.pids],
        nvmlDeviceGetComputeRunningProcesses=fail,
    )


def survey_of(monkeypatch, module, vulkan=({}, "vulkaninfo is not installed")):
    monkeypatch.setitem(sys.modules, "pynvml", module)
    monkeypatch.setattr(gpu, "_ask_vulkan", lambda: vulkan)
    return gpu.survey()


def test_a_survey_tells_all_and_travels(monkeypatch):
    cards = [card(0, pids=(7, 8)), card(1, mig=True)]
    found = survey_of(monkeypatch, nvml(*cards))
    assert found.gpus == tuple(cards)
    assert found.driver == "550.54"
    assert found.numbering == "the order of the PCI bus (vulkaninfo is not installed)"
    assert Survey.from_json(found.to_json()) == found


def test_a_gpu_that_does_not_answer_is_told_and_the_others_serve(monkeypatch):
    module = nvml(card(0), card(1))
    whole = module.nvmlDeviceGetMemoryInfo

    def lost(each):
        if each.number == 0:
            raise NVMLError("GPU is lost")
        return whole(each)

    module.nvmlDeviceGetMemoryInfo = lost
    found = survey_of(monkeypatch, module)
    assert (found.gpus, found.trouble) == ((card(1, adapter=0),), "GPU 0 does not answer (GPU is lost)")
    with pytest.raises(RequestError, match=r"no such GPU here; there is 1 = H100 .*; GPU 0 does not answer"):
        adapter.rank(found, "0", {}, lambda each: 0)
    assert [(each.level, each.words) for each in checks.graphics(found)][1] == (checks.WARN, found.trouble)


def test_the_numbers_of_vulkan_are_found_by_uuid(monkeypatch):
    numbers = gpu.adapters(SUMMARY)
    found = survey_of(monkeypatch, nvml(card(0), card(1)), (numbers, ""))
    assert [each.adapter for each in found.gpus] == [1, 0]
    assert found.numbering == "vulkaninfo, by UUID"


def test_vulkaninfo_is_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu._ask_vulkan() == ({}, "vulkaninfo is not installed")
    command = tmp_path / "vulkaninfo"
    command.write_text(f'#!/bin/sh\n[ "$*" = --summary ] && /bin/cat "{tmp_path}/told"\nexit $VULKAN\n')
    command.chmod(0o700)
    (tmp_path / "told").write_text(SUMMARY)
    monkeypatch.setenv("VULKAN", "0")
    assert gpu._ask_vulkan() == ({UUIDS[1]: 0, UUIDS[0]: 1}, "")
    (tmp_path / "told").write_text("ERROR_INCOMPATIBLE_DRIVER\n")
    monkeypatch.setenv("VULKAN", "3")
    assert gpu._ask_vulkan() == ({}, "vulkaninfo ended with 3: ERROR_INCOMPATIBLE_DRIVER")


def test_where_vulkan_shows_only_some_the_bus_decides(monkeypatch):
    cards = [card(0, bus="00000000:99:00.0"), card(1, bus="00000000:17:00.0")]
    found = survey_of(monkeypatch, nvml(*cards), ({}, ""))
    assert [each.adapter for each in found.gpus] == [1, 0]
    assert "vulkaninfo does not show all GPUs" in found.numbering


def test_what_is_missing_is_the_answer(monkeypatch):
    assert "Driver Not Loaded" in survey_of(monkeypatch, nvml(init="Driver Not Loaded")).trouble
    assert "knows of no GPU" in survey_of(monkeypatch, nvml()).trouble
    assert "pip install nvidia-ml-py" in survey_of(monkeypatch, None).trouble


def test_a_survey_is_a_process_that_prints_json(monkeypatch):
    asked = inquiry.Inquiry(time.monotonic())
    found = until(lambda: asked.result(time.monotonic()), seconds=30)
    assert isinstance(found, Survey)
    assert found.gpus or found.trouble
    assert asked.result(time.monotonic()) is None


def test_a_survey_that_stands_still_is_given_up(monkeypatch):
    monkeypatch.setattr(inquiry, "python_command", lambda entry, arguments: ["/bin/sleep", "600"])
    asked = inquiry.Inquiry(0.0)
    assert asked.result(inquiry.PATIENCE - 1) is None
    given_up = asked.result(inquiry.PATIENCE)
    assert "did not answer within 30 s" in given_up.trouble
    assert given_up.passing


class Answers:
    """Surveys that are over at once; of None there is no process to be had."""

    def __init__(self, *found):
        self.found = list(found)

    def __call__(self, now):
        found = self.found.pop(0)
        if found is None:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return types.SimpleNamespace(result=lambda now: found, close=lambda: None, deadline=now)


@pytest.fixture
def seeker(monkeypatch, tmp_path):
    """A factory of Finders whose surveys find these."""

    def seek(*found, **plan):
        monkeypatch.setattr(finder, "Inquiry", Answers(*found))
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        root = CarlaRoot(tmp_path, tmp_path / "binary", "")
        return finder.Finder(ServerPlan(root, cameras=True, **plan), Starts(run_folder(str(tmp_path / "run"))))

    return seek


def test_a_survey_without_an_answer_is_no_wrong_configuration(seeker):
    asked = seeker(Survey(trouble="NVML did not answer", passing=True))
    assert asked.find(0.0) is None
    with pytest.raises(FarmError, match="NVML did not answer"):
        asked.find(0.1)


def test_a_server_that_cannot_be_looked_up_goes_on(seeker):
    asked = seeker(Survey((card(0),)), None)
    assert asked.find(0.0) is None
    assert asked.find(0.1).adapter == 0
    asked.look(1.0, [7])
    assert "not looked up: " in asked.seen
    asked.act(2.0)
    asked.release()


def test_a_survey_that_fails_is_quoted(monkeypatch):
    monkeypatch.setattr(inquiry, "python_command", lambda entry, arguments: ["/bin/sh", "-c", "echo out of luck; exit 3"])
    asked = inquiry.Inquiry(time.monotonic())
    assert until(lambda: asked.result(time.monotonic())).trouble == "the survey of the GPUs failed (exit code 3): out of luck"


def test_gpus_that_a_scheduler_hides_are_told(seeker, monkeypatch):
    asked = seeker(Survey((card(0), card(1, mig=True))))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert asked.find(0.0) is None
    with pytest.raises(RequestError, match=r"none is whole .* and allowed; there is 0 = H100 .*; CUDA_VISIBLE_DEVICES='1' lets"):
        asked.find(0.1)


def numbers(gpus):
    return [each.number for each in gpus]


def test_the_gpu_with_most_memory_is_first_less_what_starting_servers_will_take():
    both = Survey((card(0, 60), card(1, 62)))
    assert numbers(adapter.rank(both, "auto", {}, lambda each: 0)) == [1, 0]
    assert numbers(adapter.rank(both, "auto", {}, lambda each: each.number)) == [0, 1]


@pytest.mark.parametrize("wanted", ["1", UUIDS[1], UUIDS[1].upper(), "GPU-9999", "27:00.0", "0000:27:00.0"])
def test_a_gpu_is_pinned_by_any_of_its_names(wanted):
    assert numbers(adapter.rank(Survey((card(0), card(1))), wanted, {}, lambda each: 0)) == [1]


@pytest.mark.parametrize("wanted, said", [("2", "no such GPU here; there is 0 = H100"), ("GPU-", "no such GPU"), ("00.0", "no such GPU")])
def test_a_gpu_that_is_not_there_is_refused_by_name(wanted, said):
    with pytest.raises(RequestError, match=said):
        adapter.rank(Survey((card(0), card(1))), wanted, {}, lambda each: 0)


def test_no_gpu_is_refused_with_the_reason():
    with pytest.raises(RequestError, match="--gpu 0: no such GPU here; NVML finds no NVIDIA driver"):
        adapter.rank(Survey(trouble="NVML finds no NVIDIA driver"), "0", {}, lambda each: 0)


def test_gpus_in_slices_are_not_used():
    cut = Survey((card(0, mig=True), card(1, 1)))
    assert numbers(adapter.rank(cut, "auto", {}, lambda each: 0)) == [1]
    with pytest.raises(RequestError, match="MIG slices"):
        adapter.rank(cut, "0", {}, lambda each: 0)


@pytest.mark.parametrize("visible, left", [("1", [1]), ("0,1", [0, 1]), ("", []), ("-1", []), (UUIDS[0], [0])])
def test_what_a_scheduler_allows_is_kept(visible, left):
    both = Survey((card(0, 61), card(1, 60)))
    assert numbers(adapter.rank(both, "auto", {"CUDA_VISIBLE_DEVICES": visible}, lambda each: 0)) == left


@pytest.mark.parametrize(
    "wanted, cameras, there, draws",
    [("auto", True, True, True), ("auto", False, True, False), ("offscreen", True, False, True), ("null", False, True, False)],
)
def test_whether_a_server_draws(wanted, cameras, there, draws):
    assert adapter.rendering(wanted, cameras, there, "") is draws


@pytest.mark.parametrize(
    "wanted, said", [("auto", "no GPU to draw with: it is on holiday. Take --sensors state"), ("null", "sends no pictures")]
)
def test_cameras_without_a_renderer_are_refused(wanted, said):
    with pytest.raises(RequestError, match=said):
        adapter.rendering(wanted, True, False, "it is on holiday")


def test_where_a_server_landed():
    sent = card(0)
    assert adapter.check(Survey((card(0, pids=(5,)), card(1))), sent, [5]).right
    wrong = adapter.check(Survey((card(0), card(1, pids=(5,))), numbering="the bus"), sent, [5])
    assert wrong.known and not wrong.right
    assert "was sent to GPU 0 (H100" in wrong.words and "runs on GPU 1" in wrong.words and "--graphics-adapter" in wrong.words
    assert not adapter.check(Survey((card(0), card(1))), sent, [5]).known


def test_two_servers_start_at_once_on_a_gpu_and_the_third_goes_elsewhere(tmp_path):
    folder = run_folder(str(tmp_path / "run"))
    both = Survey((card(0, 70), card(1, 10)))
    starters = [Starts(folder) for _ in range(2 * AT_ONCE + 1)]
    chosen = [one.choose(lambda starting: adapter.rank(both, "auto", {}, starting)) for one in starters]
    assert [each and each.number for each in chosen] == [0, 0, 1, 1, None]
    starters[0].release()
    starters[0].release()
    assert starters[-1].choose(lambda starting: adapter.rank(both, "auto", {}, starting)).number == 0


def test_a_pinned_gpu_is_waited_for(tmp_path):
    folder = run_folder(str(tmp_path / "run"))
    both = Survey((card(0), card(1)))
    starters = [Starts(folder) for _ in range(AT_ONCE + 1)]
    assert [bool(one.choose(lambda starting: adapter.rank(both, "1", {}, starting))) for one in starters] == [True, True, False]
