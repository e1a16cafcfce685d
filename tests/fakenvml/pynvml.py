"""A machine with two GPUs, as NVML would tell it, for worker processes that find this folder on PYTHONPATH.

The server of worker ``b`` is shown on GPU $FAKE_GPU_LANDS; with FAKE_NVML=hangs nothing is ever told.
"""

from __future__ import annotations

import json
import os
import threading
import types
from pathlib import Path


class NVMLError(Exception):
    """As NVML's."""


def nvmlInit():
    if os.environ.get("FAKE_NVML") == "hangs":
        threading.Event().wait()


def nvmlShutdown():
    pass


def nvmlDeviceGetCount():
    return 2


def nvmlSystemGetDriverVersion():
    return "550.54"


def nvmlDeviceGetHandleByIndex(number):
    return number


def nvmlDeviceGetMemoryInfo(number):
    return types.SimpleNamespace(total=80 << 30, free=(60 + number) << 30)


def nvmlDeviceGetUUID(number):
    return f"GPU-{number}{number}{number}{number}0000-0000-1111-2222-333344445555"


def nvmlDeviceGetName(number):
    return "H100"


def nvmlDeviceGetPciInfo(number):
    return types.SimpleNamespace(busId=f"00000000:{number + 1}7:00.0")


def nvmlDeviceGetMigMode(number):
    raise NVMLError("Not Supported")


def nvmlDeviceGetComputeRunningProcesses(number):
    return []


def nvmlDeviceGetGraphicsRunningProcesses(number):
    record = Path(os.environ["B2D_RUN_DIR"]) / "worker-b.lock"
    pid = json.loads(record.read_text() or "{}").get("pid")
    return [types.SimpleNamespace(pid=pid)] if pid and number == int(os.environ.get("FAKE_GPU_LANDS", "-1")) else []
