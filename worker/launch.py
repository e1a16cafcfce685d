"""How a CARLA server is started: its command line and its environment. Plain values; ``owned.py`` starts it."""

from __future__ import annotations

import os
from typing import Dict, List, Mapping, NamedTuple, Sequence

from b2d_zmq.errors import RequestError

from .gpu import vulkan_environment
from .ports import Block

QUALITIES = ("Low", "Epic")
MARK = "B2D_SERVER_OF"  # in the server's environment: whose server it is, so that what outlives its worker can be told from others
_OURS = (
    "-carla-rpc-port", "-carla-port", "-carla-world-port", "-world-port", "-carla-streaming-port", "-carla-secondary-port",
    "-renderoffscreen", "-nullrhi", "-graphicsadapter", "-quality-level",
)  # fmt: skip


class Drawing(NamedTuple):
    """Whether and with what a server draws; ``adapter`` is Vulkan's number of a GPU, or None for the first."""

    rendering: bool
    adapter: int | None = None
    quality: str = "Epic"


def command(binary: str, block: Block, drawing: Drawing, flags: Sequence[str]) -> List[str]:
    """The words of the command line. The first argument names the project, as CARLA's own script does."""
    ports = [f"-carla-rpc-port={block.rpc}", f"-carla-streaming-port={block.rpc + 1}"]  # the secondary port is the next by itself
    looks = ["-RenderOffScreen", f"-quality-level={drawing.quality}"] if drawing.rendering else ["-nullrhi"]
    chosen = [f"-graphicsadapter={drawing.adapter}"] if drawing.rendering and drawing.adapter is not None else []
    return [binary, "CarlaUE4", *ports, *looks, *chosen, "-nosound", *flags]


def environment(base: Mapping[str, str], mark: str, gpu: bool) -> Dict[str, str]:
    """The worker's own environment, marked; without conda's libraries, which CARLA's would be mistaken for; NVIDIA's Vulkan alone."""
    given = {**base, MARK: mark}
    if gpu:
        given.update(vulkan_environment(base))
    conda = base.get("CONDA_PREFIX")
    if conda and "LD_LIBRARY_PATH" in given:
        folders = given["LD_LIBRARY_PATH"].split(os.pathsep)
        given["LD_LIBRARY_PATH"] = os.pathsep.join(folder for folder in folders if not folder.startswith(conda))
    return given


def check_flags(flags: Sequence[str]) -> None:
    """Refuse flags that would contradict the worker's own."""
    for flag in flags:
        name = flag.partition("=")[0].lower()
        if name in _OURS:
            raise RequestError(f"--carla-flag={flag}: the worker sets {name} itself; see --gpu, --rendering, --quality-level")
