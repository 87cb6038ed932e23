"""Graphs of PyTorch's compiled ahead of time into a library (AOTInductor), which is kept on disk.

Measured on a processor: it takes as long to make as what `torch.compile` does; an MLP's training step runs in 0.77 of
the time of that, as the calls are C++; and another process loads it in a millisecond, where `torch.compile` needs some
seconds to import Dynamo and Inductor, trace again and find its own files. The library is for the strides that it was
made with: all arguments are contiguous.
"""

from __future__ import annotations

import io
import logging
import os
import platform
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from funcgrad.native import cache as disk
from funcgrad.native.fingerprint import package

__all__ = ["available", "found", "made", "name_of"]

Run = Callable[[list[Any]], list[Any]]

_LIBRARY, _CALLS = "piece.so", "piece.json"
"""The code, and which of PyTorch's operators it calls by their names: it is looked for beside the code."""


def available(torch: Any) -> bool:
    """Whether PyTorch can load such libraries for the processor. (It is no public name of its.)"""
    return sys.platform == "linux" and hasattr(getattr(torch._C, "_aoti", None), "AOTIModelContainerRunnerCpu")


def name_of(torch: Any, text: Sequence[str] | None) -> str | None:
    """The name of a library on disk, a digest of what it depends on; None if it cannot be kept."""
    if text is None or disk.folder() is None:
        return None
    try:
        about = _surroundings()
    except OSError:
        return None
    state = torch.__version__, torch.version.git_version, torch.get_num_threads(), _settings()
    return disk.digest("torch", about, *state, torch.are_deterministic_algorithms_enabled(), *text)


@cache
def _surroundings() -> str:
    """This package, and the processor that code is made for: what it is called, and what it can."""
    try:
        lines = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
    except OSError:
        lines = []
    told = [line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))]
    return "\n".join([package(), platform.machine(), *told])


def _settings() -> list[tuple[str, str]]:
    """Inductor's settings, as far as the environment has them."""
    return sorted(x for x in os.environ.items() if x[0].startswith(("TORCHINDUCTOR_", "AOT_INDUCTOR_")))


def found(torch: Any, name: str | None) -> Run | None:
    """The library of a name, loaded; None if there is none."""
    data = None if name is None else disk.find(name)
    if data is None:
        return None
    with TemporaryDirectory(prefix="funcgrad") as folder:
        with zipfile.ZipFile(io.BytesIO(data)) as files:
            files.extractall(folder)
        return _loaded(torch, folder)


def made(torch: Any, graph: Any, given: Sequence[Any], name: str | None) -> Run:
    """A graph, compiled for arguments like these; kept by a name, if it has one. Raises what PyTorch raises."""
    with TemporaryDirectory(prefix="funcgrad") as folder:
        place = Path(folder)
        with _quiet():
            options = {"aot_inductor.output_path": str(place / _LIBRARY)}
            torch._inductor.aot_compile(graph, tuple(given), options=options)
        for calls in place.glob("*.wrapper.json"):
            calls.rename(place / _CALLS)
        run = _loaded(torch, folder)
        if name is not None:
            data = io.BytesIO()
            with zipfile.ZipFile(data, "w") as files:
                for path in filter(Path.exists, (place / _LIBRARY, place / _CALLS)):
                    files.write(path, path.name)
            disk.store(name, data.getvalue())
        return run


@contextmanager
def _quiet() -> Iterator[None]:
    """Say nothing of operators that are called by their names."""
    logger = logging.getLogger("torch._inductor.ir")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _loaded(torch: Any, folder: str) -> Run:
    """The function of a library, whose file is not needed afterwards."""
    return torch._C._aoti.AOTIModelContainerRunnerCpu(os.path.join(folder, _LIBRARY), 1).run
