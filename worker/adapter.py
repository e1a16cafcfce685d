"""Which GPU a server takes, and whether it draws at all: decided from a survey and from what the user asked. Plain values, no NVML here."""

from __future__ import annotations

from typing import Callable, List, Mapping, NamedTuple, Sequence

from b2d_zmq.errors import RequestError

from .gpu import Gpu, Survey

RESERVED = 6 << 30  # bytes that a server which is just starting will take; NVML does not see them yet
RENDERINGS = ("auto", "offscreen", "null")


def allowed(survey: Survey, environment: Mapping[str, str]) -> List[Gpu]:
    """The GPUs that may be chosen: those of CUDA_VISIBLE_DEVICES, where a scheduler has set it, and none that is cut into slices."""
    given = environment.get("CUDA_VISIBLE_DEVICES")
    gpus = [gpu for gpu in survey.gpus if not gpu.mig]
    if given is None:
        return gpus
    names = [name.strip() for name in given.split(",") if name.strip()]
    return [gpu for gpu in gpus if any(_is(gpu, name) for name in names)]


def rank(survey: Survey, wanted: str, environment: Mapping[str, str], starting: Callable[[Gpu], int]) -> List[Gpu]:
    """The GPUs to try, best first: the pinned one alone, or most free memory first, less what servers that are just starting will take.

    ``wanted`` is ``auto``, ``none``, a number, a UUID (or its beginning) or a PCI bus id. Raises RequestError for one that is not there.
    """
    if wanted == "none":
        return []
    if wanted == "auto":
        return sorted(allowed(survey, environment), key=lambda gpu: (RESERVED * starting(gpu) - gpu.free, gpu.number))
    found = [gpu for gpu in survey.gpus if _is(gpu, wanted)]
    if len(found) != 1:
        raise RequestError(f"--gpu {wanted}: {'no such GPU' if not found else 'more than one GPU'} here; {what_there_is(survey)}")
    if found[0].mig:
        raise RequestError(f"--gpu {wanted}: {found[0].words} is cut into MIG slices, on which Vulkan does not run; take another")
    return found


def what_there_is(survey: Survey) -> str:
    """The GPUs in one line, or why none can be seen."""
    if not survey.gpus:
        return survey.trouble or "there is no GPU"
    told = "there is " + ", ".join(f"{gpu.number} = {gpu.name} {gpu.uuid} at {gpu.bus}" for gpu in survey.gpus)
    return f"{told}; {survey.trouble}" if survey.trouble else told


def why_none(survey: Survey, environment: Mapping[str, str]) -> str:
    """Why ``auto`` finds no GPU to take."""
    if not survey.gpus:
        return what_there_is(survey)
    given = environment.get("CUDA_VISIBLE_DEVICES")
    hidden = "" if given is None else f"; CUDA_VISIBLE_DEVICES={given!r} lets a worker use no other"
    return f"none is whole (no MIG slices) and allowed; {what_there_is(survey)}{hidden}"


def rendering(wanted: str, cameras: bool, gpu: bool, why_no_gpu: str) -> bool:
    """Whether the server draws. A server without a renderer sends no pictures, so a rig with cameras on one is refused."""
    if wanted == "null" and cameras:
        raise RequestError(
            "--rendering null: such a server sends no pictures, and the rig has cameras; take --sensors state, or another --rendering"
        )
    if wanted != "auto":
        return wanted == "offscreen"
    if cameras and not gpu:
        raise RequestError(
            f"the rig has cameras, and there is no GPU to draw with: {why_no_gpu}. Take --sensors state, "
            "or --rendering offscreen where the server draws without one (a software Vulkan)"
        )
    return cameras


class Place(NamedTuple):
    """On which GPUs a server was seen after its start."""

    known: bool
    words: str
    right: bool = True


def check(survey: Survey, gpu: Gpu, pids: Sequence[int]) -> Place:
    """Whether the server's processes run on the GPU that they were meant for. ``known`` is False where NVML does not show them."""
    seen = [other for other in survey.gpus if set(other.pids) & set(pids)]
    if not seen:
        return Place(False, f"NVML does not show the server's process on any GPU (another PID namespace?); meant was {gpu.words}")
    if any(other.uuid == gpu.uuid for other in seen):
        return Place(True, f"on {gpu.words}")
    where = ", ".join(other.words for other in seen)
    return Place(
        True,
        f"the server was sent to {gpu.words} as -graphicsadapter={gpu.adapter}, and runs on {where}; "
        f"the numbers came from {survey.numbering}; give the right one with --graphics-adapter",
        right=False,
    )


def _is(gpu: Gpu, name: str) -> bool:
    if name.isdigit():
        return gpu.number == int(name)
    lower = name.lower()
    by_bus = ":" in lower and gpu.bus.lower().endswith(lower)
    return by_bus or (len(lower) >= 8 and gpu.uuid.lower().startswith(lower))
