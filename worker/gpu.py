"""The machine's NVIDIA GPUs as NVML tells them, and the numbers under which Vulkan knows them. The only file that imports pynvml.

It runs as a process of its own (``python -m worker.gpu``, JSON on stdout), because a sick driver can make NVML stand still for minutes,
and the keeper must not stand still with it. It finds out; which GPU a server takes is decided in ``adapter.py``.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple

from .child import tied

VULKANINFO_SECONDS = 20.0  # a loader that asks a sick driver may never come back
ICD_FOLDERS = ("/etc/vulkan/icd.d", "/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/usr/local/nvidia/share/vulkan/icd.d")
ICD_VARIABLES = ("VK_DRIVER_FILES", "VK_ICD_FILENAMES")


class Gpu(NamedTuple):
    """One GPU. ``adapter`` is the number that CARLA's ``-graphicsadapter`` takes; ``pids`` are those of its users, as NVML sees them."""

    number: int
    uuid: str
    name: str
    bus: str  # 00000000:17:00.0
    total: int  # bytes
    free: int
    mig: bool  # cut into slices, on which Vulkan does not run
    adapter: int
    pids: Tuple[int, ...] = ()

    @property
    def words(self) -> str:
        """The GPU as a person knows it: ``GPU 0 (NVIDIA H100, 00000000:17:00.0)``."""
        return f"GPU {self.number} ({self.name}, {self.bus})"


class Survey(NamedTuple):
    """What was found. ``trouble`` says why there are no GPUs to be seen, or which are missing; ``numbering`` how the adapters' numbers were
    found; ``passing``: another survey may find what this one did not."""

    gpus: Tuple[Gpu, ...] = ()
    driver: str = ""
    trouble: str = ""
    numbering: str = ""
    passing: bool = False

    def to_json(self) -> str:
        return json.dumps({**self._asdict(), "gpus": [gpu._asdict() for gpu in self.gpus]}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Survey:
        told = json.loads(text)
        gpus = tuple(Gpu(**{**gpu, "pids": tuple(gpu["pids"])}) for gpu in told.pop("gpus"))
        return cls(gpus, **told)


def survey() -> Survey:
    """Ask NVML and Vulkan. Never raises for what is missing on this machine: that is its answer."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the package pynvml says so of itself, and works as nvidia-ml-py does
            nvml = importlib.import_module("pynvml")
    except ImportError:
        return Survey(trouble=f"NVML cannot be asked, because the package for it is missing: {sys.executable} -m pip install nvidia-ml-py")
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return Survey(trouble=f"NVML finds no NVIDIA driver ({error})")
    found, sick = [], []
    try:
        for number in range(nvml.nvmlDeviceGetCount()):
            try:
                found.append(_look(nvml, number))
            except nvml.NVMLError as error:  # it fell off the bus, say; the others work
                sick.append(f"GPU {number} does not answer ({error})")
        driver = _text(nvml.nvmlSystemGetDriverVersion())
    except nvml.NVMLError as error:
        return Survey(trouble=f"NVML fails ({error}); nvidia-smi and the kernel's log may say more")
    finally:
        with contextlib.suppress(nvml.NVMLError):
            nvml.nvmlShutdown()
    trouble = "; ".join(sick)
    if not found:
        return Survey(driver=driver, trouble=trouble or "NVML knows of no GPU here")
    return _numbered(found, driver)._replace(trouble=trouble)


def icd() -> str:
    """NVIDIA's entry for the Vulkan loader, or the empty string. Naming it hides software renderers, which shift the numbers."""
    for folder in ICD_FOLDERS:
        for path in sorted(Path(folder).glob("nvidia*.json")):
            return str(path)
    return ""


def vulkan_environment(environment: Mapping[str, str]) -> Dict[str, str]:
    """What a server and vulkaninfo are given besides, so that both number the GPUs alike; nothing where the user has set it."""
    entry = icd()
    return {} if not entry or any(environment.get(name) for name in ICD_VARIABLES) else {"VK_ICD_FILENAMES": entry}


def adapters(summary: str) -> Dict[str, int]:
    """From ``vulkaninfo --summary``: GPU UUID as NVML writes it -> Vulkan's number."""
    numbers: Dict[str, int] = {}
    at = -1
    for line in summary.splitlines():
        heading = re.match(r"\s*GPU(\d+):", line)
        if heading:
            at = int(heading.group(1))
        uuid = re.match(r"\s*deviceUUID\s*=\s*([0-9a-fA-F-]{36})", line)
        if uuid and at >= 0:
            numbers[f"GPU-{uuid.group(1).lower()}"] = at
    return numbers


def _look(nvml: Any, number: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(number)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    return Gpu(
        number=number,
        uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
        name=_text(nvml.nvmlDeviceGetName(handle)),
        bus=_text(nvml.nvmlDeviceGetPciInfo(handle).busId),
        total=int(memory.total),
        free=int(memory.free),
        mig=_in_slices(nvml, handle),
        adapter=number,
        pids=_users(nvml, handle),
    )


def _users(nvml: Any, handle: Any) -> Tuple[int, ...]:
    pids = set()
    for ask in (nvml.nvmlDeviceGetGraphicsRunningProcesses, nvml.nvmlDeviceGetComputeRunningProcesses):
        with contextlib.suppress(nvml.NVMLError):  # an old driver does not know the call: then nothing is known
            pids |= {int(process.pid) for process in ask(handle)}
    return tuple(sorted(pids))


def _in_slices(nvml: Any, handle: Any) -> bool:
    try:
        current, _ = nvml.nvmlDeviceGetMigMode(handle)
    except nvml.NVMLError:  # most GPUs cannot be cut at all
        return False
    return bool(current)


def _numbered(found: List[Gpu], driver: str) -> Survey:
    """Give each GPU its Vulkan number: by UUID where vulkaninfo tells it, else by the order of the PCI bus."""
    numbers, why_not = _ask_vulkan()
    if all(gpu.uuid in numbers for gpu in found):
        gpus = [gpu._replace(adapter=numbers[gpu.uuid]) for gpu in found]
        return Survey(tuple(gpus), driver, numbering="vulkaninfo, by UUID")
    order = sorted(gpu.bus for gpu in found)
    gpus = [gpu._replace(adapter=order.index(gpu.bus)) for gpu in found]
    return Survey(tuple(gpus), driver, numbering=f"the order of the PCI bus ({why_not or 'vulkaninfo does not show all GPUs'})")


def _ask_vulkan() -> Tuple[Dict[str, int], str]:
    """Vulkan's numbers, or why there are none."""
    command = shutil.which("vulkaninfo")
    if command is None:
        return {}, "vulkaninfo is not installed"
    environment = {**os.environ, **vulkan_environment(os.environ)}
    try:
        done = subprocess.run(
            tied([command, "--summary"]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=VULKANINFO_SECONDS,
            env=environment,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return {}, f"vulkaninfo fails: {error}"
    summary = done.stdout.decode("utf-8", "replace")
    last = summary.strip().splitlines()[-1:] or ["no output"]
    return adapters(summary), "" if done.returncode == 0 else f"vulkaninfo ended with {done.returncode}: {last[0][:200]}"


def _text(value: Any) -> str:
    """pynvml gives str or bytes, by its version."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def main() -> None:
    """Print the survey."""
    sys.stdout.write(survey().to_json() + "\n")


if __name__ == "__main__":
    main()
