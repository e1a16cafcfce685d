"""What ``b2d doctor`` looks at: one function per matter, each gives findings. They only look; nothing is mended, and
nothing made but the run folder where there is none."""

from __future__ import annotations

import contextlib
import ctypes.util
import itertools
import os
import resource
import shutil
import subprocess
from pathlib import Path
from typing import List, Mapping, NamedTuple

from b2d_zmq.errors import RequestError

from . import carla_root, gpu, ports
from .backends.carla import wheel
from .carla_root import CarlaRoot
from .locks import run_folder

OK, WARN, BAD = "ok", "warn", "bad"
SERVER_MEMORY = 6 << 30  # bytes that one server and its client take on the larger maps
SERVER_VRAM = 6 << 30
SHARED_MEMORY = 512 << 20  # a container's default of 64 MB is too little
FILES = 4096
THREADS = 1000  # of one server and its client, on a machine with many cores


class Finding(NamedTuple):
    """One line: how it is, about what, in words, and what to do about it."""

    level: str
    about: str
    words: str
    advice: str = ""


def installation(root: str | None) -> List[Finding]:
    """The folder, and that its client is here and of its version."""
    if not root:
        return [Finding(WARN, "root", "no CARLA folder was given", "b2d doctor --carla-root DIR, or set CARLA_ROOT"), *_client(None)]
    try:
        found = carla_root.find(root)
    except RequestError as error:
        return [Finding(BAD, "root", str(error)), *_client(None)]
    told = f"CARLA {found.version or 'of unknown version'} in {found.path}"
    return [Finding(OK, "root", told), *_libraries(found), *_client(found)]


def user() -> List[Finding]:
    """CARLA's server refuses to run as root."""
    if os.geteuid() == 0:
        return [Finding(BAD, "user", "this is root, and CARLA's server refuses to run as root", "run the worker as an ordinary user")]
    return [Finding(OK, "user", f"uid {os.geteuid()}")]


def graphics(survey: gpu.Survey) -> List[Finding]:
    """The GPUs, and Vulkan's way to them."""
    if not survey.gpus:
        advice = "without a GPU there are no cameras: --sensors state, or --rendering offscreen where a software Vulkan is installed"
        return [Finding(WARN, "gpu", survey.trouble or "there is no GPU", advice)]
    findings = [_one_gpu(each) for each in survey.gpus]
    if survey.trouble:
        findings.append(Finding(WARN, "gpu", survey.trouble, "nvidia-smi and the kernel's log may say more"))
    by_uuid = survey.numbering.startswith("vulkaninfo")
    advice = (
        "" if by_uuid else "install vulkaninfo (vulkan-tools), or check that --gpu 1 lands on GPU 1 and correct it by --graphics-adapter"
    )
    findings.append(Finding(OK if by_uuid else WARN, "adapters", f"numbered by {survey.numbering}", advice))
    return [*findings, _vulkan_driver(os.environ), _vulkan_loader()]


def port_blocks() -> List[Finding]:
    """How many servers the ports are enough for."""
    low, high = outgoing = ports.ephemeral()
    every = ports.candidates(outgoing)
    usable = sum(ports.free(block) for block in itertools.islice(every, 20))
    told = f"{len(every)} blocks outside of {low} to {high}, which outgoing connections use; of the first 20, {usable} are free"
    if not every:
        return [Finding(BAD, "ports", told, "narrow the range: sysctl net.ipv4.ip_local_port_range='32768 60999'")]
    return [Finding(OK if usable > 1 else WARN, "ports", told, "" if usable > 1 else "end what listens there")]


def memory() -> List[Finding]:
    """Memory for a server and its client, and shared memory."""
    free = _available()
    enough = free // SERVER_MEMORY
    told = f"{free / 1e9:.1f} GB are available, which is enough for {enough} servers with large maps"
    findings = [
        Finding(OK if enough else WARN, "memory", told, "" if enough else "small maps need less; otherwise one worker less, or more memory")
    ]
    try:
        shared = shutil.disk_usage("/dev/shm").total
    except OSError:
        return [*findings, Finding(WARN, "shared memory", "/dev/shm is not there", "mount a tmpfs on /dev/shm")]
    small = shared < SHARED_MEMORY
    advice = "in a container: --shm-size=2g, or --ipc=host" if small else ""
    return [*findings, Finding(WARN if small else OK, "shared memory", f"/dev/shm has {shared / 1e9:.2f} GB", advice)]


def limits() -> List[Finding]:
    """Open files, and threads."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    few = files != resource.RLIM_INFINITY and files < FILES
    findings = [Finding(WARN if few else OK, "files", f"a process may open {files} files", f"ulimit -n {FILES}" if few else "")]
    threads = _most_threads()
    if threads is None:
        return findings
    few = threads < THREADS
    advice = "in a container: --pids-limit=-1; else ulimit -u, or --carla-flag=-RPCThreads=4" if few else ""
    return [*findings, Finding(WARN if few else OK, "threads", f"{threads} threads are allowed; a server may have 400", advice)]


def run_place(given: str | None) -> List[Finding]:
    """The folder of locks and logs."""
    try:
        folder = run_folder(given)
    except RequestError as error:
        return [Finding(BAD, "run folder", str(error))]
    free = shutil.disk_usage(folder).free
    full = free < 1 << 30
    return [Finding(WARN if full else OK, "run folder", f"{folder}, {free / 1e9:.1f} GB free", "make room for the logs" if full else "")]


def _client(root: CarlaRoot | None) -> List[Finding]:
    try:
        wheel.load()
        if root is not None:
            carla_root.check_client(root)
    except RequestError as error:
        return [Finding(BAD, "client", str(error))]
    return [
        Finding(
            OK, "client", f"carla {carla_root.client_version() or 'of unknown version'}{', as the server' if root and root.version else ''}"
        )
    ]


def _libraries(root: CarlaRoot) -> List[Finding]:
    """Libraries that the binary wants and the system has not; nothing where it cannot be asked."""
    try:
        told = subprocess.run(["ldd", str(root.binary)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    missing = sorted({line.split()[0] for line in told.stdout.splitlines() if line.strip().endswith("not found")})
    if not missing:
        return []
    return [Finding(BAD, "libraries", f"the binary needs {', '.join(missing)}", "install the packages that hold them")]


def _one_gpu(each: gpu.Gpu) -> Finding:
    told = f"{each.words}, {each.free / 1e9:.1f} of {each.total / 1e9:.1f} GB free, {each.uuid}, -graphicsadapter={each.adapter}"
    if each.mig:
        return Finding(WARN, "gpu", f"{told}, cut into MIG slices", "Vulkan does not run on slices: turn MIG off, or use another GPU")
    if each.free < SERVER_VRAM:
        return Finding(WARN, "gpu", told, "a server with cameras takes 3 to 9 GB: end what uses the GPU, or pin another (--gpu)")
    return Finding(OK, "gpu", told)


def _vulkan_driver(environment: Mapping[str, str]) -> Finding:
    for variable in gpu.ICD_VARIABLES:
        given = environment.get(variable)
        if given:
            missing = [path for path in given.split(os.pathsep) if not Path(path).is_file()]
            level, advice = (BAD, f"unset {variable}, or correct it") if missing else (OK, "")
            return Finding(level, "vulkan driver", f"{variable}={given}{', and that is not there' if missing else ''}", advice)
    entry = gpu.icd()
    if entry:
        return Finding(OK, "vulkan driver", entry)
    advice = "install the driver's graphics part (libnvidia-gl); in a container: NVIDIA_DRIVER_CAPABILITIES=all"
    return Finding(BAD, "vulkan driver", f"no nvidia*.json in {', '.join(gpu.ICD_FOLDERS)}", advice)


def _vulkan_loader() -> Finding:
    found = ctypes.util.find_library("vulkan")
    return (
        Finding(OK, "vulkan loader", found) if found else Finding(BAD, "vulkan loader", "libvulkan is not installed", "install libvulkan1")
    )


def _available() -> int:
    """Bytes of memory that can still be had, by the machine and by the container."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    try:
        most = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
        used = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):  # no such cgroup, or "max"
        return free
    return max(0, min(free, most - used))


def _most_threads() -> int | None:
    told = [resource.getrlimit(resource.RLIMIT_NPROC)[0]]
    with contextlib.suppress(OSError, ValueError):  # no such cgroup, or "max"
        told.append(int(Path("/sys/fs/cgroup/pids.max").read_text(encoding="ascii")))
    known = [number for number in told if number != resource.RLIM_INFINITY]
    return min(known) if known else None
