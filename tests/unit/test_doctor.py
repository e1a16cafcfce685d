"""b2d doctor: one line per matter, what to do beside what is wrong, exit code 1 where something is bad."""

from __future__ import annotations

import json

import fakecarla
import pytest
from click.testing import CliRunner

from b2d_zmq.errors import RequestError
from worker import carla_root, checks, doctor, gpu
from worker.backends.carla import wheel
from worker.checks import BAD, OK, WARN
from worker.gpu import Gpu, Survey

CARD = Gpu(0, "GPU-3f4a1b2c-0000-1111-2222-333344445555", "H100", "00000000:17:00.0", 80 << 30, 70 << 30, False, 0)


@pytest.fixture
def healthy(monkeypatch, tmp_path):
    """A machine on which all is well, as far as a test can pretend that."""
    monkeypatch.setattr(wheel, "load", lambda: None)
    monkeypatch.setattr(carla_root, "client_version", lambda: "0.9.15")
    monkeypatch.setattr(checks.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(gpu, "survey", lambda: Survey((CARD,), "550", numbering="vulkaninfo, by UUID"))
    monkeypatch.setattr(checks, "_vulkan_loader", lambda: checks.Finding(OK, "vulkan loader", "libvulkan.so.1"))
    monkeypatch.setattr(gpu, "icd", lambda: "/usr/share/vulkan/icd.d/nvidia_icd.json")
    for variable in (*gpu.ICD_VARIABLES, "CARLA_ROOT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("B2D_RUN_DIR", str(tmp_path / "run"))
    return fakecarla.install(tmp_path / "root", "0.9.15")


def run(*arguments):
    return CliRunner().invoke(doctor.main, list(arguments))


def levels(findings, about):
    return [finding.level for finding in findings if finding.about == about]


def test_a_healthy_machine(healthy):
    result = run("--carla-root", str(healthy))
    assert result.exit_code == 0
    assert f"ok    root           CARLA 0.9.15 in {healthy}" in result.output
    assert "GPU 0 (H100, 00000000:17:00.0), 75.2 of 85.9 GB free" in result.output
    assert result.output.strip().endswith("CARLA can run here")


def test_what_is_bad_is_the_exit_code_and_has_advice(healthy, monkeypatch):
    monkeypatch.setattr(checks.os, "geteuid", lambda: 0)
    result = run("--carla-root", str(healthy))
    assert result.exit_code == 1
    assert "bad   user           this is root" in result.output
    assert "-> run the worker as an ordinary user" in result.output


def test_programs_get_json(healthy):
    told = json.loads(run("--carla-root", str(healthy), "--json").output)
    assert {"level": "ok", "about": "client", "words": "carla 0.9.15, as the server", "advice": ""} in told["findings"]
    assert told["gpus"]["gpus"][0]["uuid"] == CARD.uuid


def test_without_a_root_the_rest_is_checked(healthy):
    result = run()
    assert result.exit_code == 0
    assert "warn  root           no CARLA folder was given" in result.output


@pytest.mark.parametrize("ours, said", [("0.9.16", "they must be the same"), ("", "is not installed")])
def test_a_client_that_does_not_fit(healthy, monkeypatch, ours, said):
    monkeypatch.setattr(carla_root, "client_version", lambda: ours)
    findings = checks.installation(str(healthy))
    assert levels(findings, "client") == [BAD]
    assert said in findings[-1].words


def test_a_missing_wheel_and_a_missing_root(healthy, monkeypatch):
    def missing():
        raise RequestError("there is no wheel for this Python 3.13: there is 0.9.15 for ...")

    monkeypatch.setattr(wheel, "load", missing)
    findings = checks.installation("/nowhere")
    assert [(finding.level, finding.about) for finding in findings] == [(BAD, "root"), (BAD, "client")]


def test_gpus_that_cannot_serve():
    slices = checks.graphics(Survey((CARD._replace(mig=True), CARD._replace(free=1 << 30)), numbering="the order of the PCI bus (...)"))
    assert levels(slices, "gpu") == [WARN, WARN]
    assert levels(slices, "adapters") == [WARN]
    none = checks.graphics(Survey(trouble="NVML finds no NVIDIA driver"))
    assert [(finding.level, finding.words) for finding in none] == [(WARN, "NVML finds no NVIDIA driver")]


def test_vulkans_driver(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu, "ICD_FOLDERS", (str(tmp_path),))
    assert checks._vulkan_driver({}).level == BAD
    (tmp_path / "nvidia_icd.json").write_text("{}")
    assert checks._vulkan_driver({}).words == str(tmp_path / "nvidia_icd.json")
    assert checks._vulkan_driver({"VK_ICD_FILENAMES": "/nowhere.json"}).level == BAD
    assert checks._vulkan_driver({"VK_DRIVER_FILES": str(tmp_path / "nvidia_icd.json")}).level == OK


def test_ports_memory_limits_and_the_run_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(checks.ports, "ephemeral", lambda: (1024, 65535))
    assert levels(checks.port_blocks(), "ports") == [BAD]
    monkeypatch.setattr(checks, "_available", lambda: 1 << 30)
    assert levels(checks.memory(), "memory") == [WARN]
    monkeypatch.setattr(checks.resource, "getrlimit", lambda which: (256, 256))
    assert [finding.level for finding in checks.limits()] == [WARN, WARN]
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    assert levels(checks.run_place(str(tmp_path / "open")), "run folder") == [BAD]
