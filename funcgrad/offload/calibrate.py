"""How fast the host, a device and the link between them are: measured once for each machine, and kept.

The figures are kept in the user's cache directory (`$XDG_CACHE_HOME`, or what the system has for that), in a file for
each device, versions of libraries, and number of threads. Where nothing can be written there, they are measured anew by
each process. A file that cannot be read is measured and written again.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from _thread import allocate_lock
from collections.abc import Callable, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from statistics import median
from tempfile import NamedTemporaryFile
from time import perf_counter
from typing import Any

import numpy as np

from funcgrad.backends import compile_for
from funcgrad.backends._memory import placed
from funcgrad.backends.base import Backend, UnsupportedOperationError
from funcgrad.config import config
from funcgrad.executor.build import build
from funcgrad.executor.cost import element_ns
from funcgrad.ir import Program
from funcgrad.offload.costs import Link, Machine, Rates
from funcgrad.transforms.make_ir import make_ir
from funcgrad.types import ShapedArray

__all__ = ["cache_directory", "machine_of", "measured_machine"]

_FORMAT = 1
"""The version of what is measured and how: files of another one are not read."""

_ENOUGH = 5e-3
"""Seconds that a product must take to be measured by."""

_LARGEST = 4096
"""The widest matrix of it."""

_CHAIN = 32
"""Operations in the program by which the least cost of one is measured."""

_LARGE = 1 << 23
"""Elements of the arrays that are read, written and moved."""

_PATIENCE = 0.1
"""Seconds for which one thing is measured again and again."""

_machines: dict[str, Machine] = {}
_lock = allocate_lock()


def machine_of(backend: Backend) -> Machine:
    """The rates of this machine with a backend's device: its own, those that were kept, or measured now.

    A backend may have an attribute `machine` that has them.
    """
    own = getattr(backend, "machine", None)
    if isinstance(own, Machine):
        return own
    key = _key(backend)
    with _lock:
        found = _machines.get(key) or _read(key)
        if found is None:
            found = measured_machine(backend)
            _write(key, found)
        return _machines.setdefault(key, found)


# ------------------------------------------------------------------------------------------------------------ files


def cache_directory() -> Path:
    """Where the user's programs keep what can be made again."""
    given = os.environ.get("XDG_CACHE_HOME")
    if given:
        return Path(given) / "funcgrad"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "funcgrad" / "Cache"
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "funcgrad"


def _key(backend: Backend) -> str:
    """Everything that the figures depend on, as text."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = [os.environ.get(f"{name}_NUM_THREADS") for name in ("OPENBLAS", "MKL", "OMP")]
    library = backend.name.partition(":")[0]
    try:
        version = metadata.version(library)
    except metadata.PackageNotFoundError:
        version = ""
    parts = (_FORMAT, platform.machine(), platform.processor(), platform.node(), cores, threads, config.threads,
             np.__version__, backend.name, getattr(backend, "hardware", ""), version)  # fmt: skip
    return json.dumps(parts)


def _file(key: str) -> Path:
    return cache_directory() / f"machine-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


def _read(key: str) -> Machine | None:
    """What was kept; None if nothing was, or nothing that makes sense."""
    try:
        kept = json.loads(_file(key).read_text())
        if kept["key"] != key:
            return None
        machine = Machine(Rates(*kept["host"]), Rates(*kept["device"]), Link(*kept["up"]), Link(*kept["down"]))
        figures = [float(x) for part in machine for x in part]
        rates = [float(x) for r in machine[:2] for x in r[:3]] + [float(link.bandwidth) for link in machine[2:]]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return machine if all(np.isfinite(figures)) and min(figures) >= 0 and min(rates) > 0 else None


def _write(key: str, machine: Machine) -> None:
    """Keep it, in whole or not at all."""
    file = _file(key)
    text = json.dumps({"key": key, **machine._asdict()})
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=file.parent, suffix=".tmp", delete=False) as new:
            new.write(text)
        os.replace(new.name, file)
    except OSError:
        return


# ----------------------------------------------------------------------------------------------------- measurements


def measured_machine(backend: Backend) -> Machine:
    """The rates of this machine with a backend's device, measured now: in a second or so.

    Raises OutOfDeviceMemoryError where the device has no room for that.
    """
    put = partial(placed, backend)
    host = _rates(lambda program: build(program), lambda x: x, lambda: None)
    device = _rates(lambda program: _there(program, backend), put, backend.synchronize)
    small, large = np.zeros(16, np.float32), np.zeros(_LARGE, np.float32)
    there_small, there_large = put(small), put(large)

    def send(x: np.ndarray) -> Callable[[], Any]:
        return lambda: (put(x), backend.synchronize())

    up = _link(send(small), send(large), large.nbytes)
    down = _link(lambda: backend.to_numpy(there_small), lambda: backend.to_numpy(there_large), large.nbytes)
    return Machine(host._replace(elementwise=_elementwise(host)), device, up, down)


def _there(program: Program, backend: Backend) -> Callable[..., Any]:
    run = compile_for(backend, program).run
    return lambda *args: run(list(args))


def _seconds(run: Callable[[], Any], times: int = 5) -> float:
    """What a call takes: the median, after one that is not counted, of as many as there is time for."""
    run()
    found: list[float] = []
    while not found or (len(found) < times and sum(found) < _PATIENCE):
        start = perf_counter()
        run()
        found.append(perf_counter() - start)
    return max(median(found), 1e-9)


def _program(fun: Callable[..., Any], *avals: ShapedArray) -> Program:
    return make_ir(fun)(*avals)


def _rates(
    compile: Callable[[Program], Callable[..., Any]], put: Callable[[Any], Any], wait: Callable[[], Any]
) -> Rates:
    """What a processor does, where `compile` makes of a program what runs it there, and `put` brings an array."""

    def timed(program: Program, args: Sequence[Any]) -> float:
        run = compile(program)
        return _seconds(lambda: (run(*args), wait()))

    def product(dtype: Any) -> float:
        n = 256
        while True:
            a = ShapedArray((n, n), np.dtype(dtype))
            x = put(np.full((n, n), 0.5, dtype))
            seconds = timed(_program(lambda x, y: x @ y, a, a), (x, x))
            if seconds >= _ENOUGH or n >= _LARGEST:
                return 2.0 * n**3 / seconds
            n *= 2

    single = product(np.float32)
    try:
        double = product(np.float64)
    except UnsupportedOperationError:
        double = single / 2  # nothing of the kind runs there
    vector = ShapedArray((_LARGE,), np.dtype(np.float32))
    x = put(np.zeros(_LARGE, np.float32))
    add = timed(_program(lambda x, y: x + y, vector, vector), (x, x))
    little = ShapedArray((16,), np.dtype(np.float32))
    y = put(np.zeros(16, np.float32))
    chain = timed(_program(_chained, little, little), (y, y))
    return Rates(single, double, 3.0 * 4 * _LARGE / add, chain / _CHAIN)


def _chained(x: Any, y: Any) -> Any:
    for _ in range(_CHAIN // 2):
        x = np.abs(x + y)
    return x


def _elementwise(host: Rates) -> float:
    """Seconds of the host per nanosecond that primitives state, in a group that is done tile by tile."""
    aval = ShapedArray((1 << 20,), np.dtype(np.float32))
    program = _program(lambda x: np.tanh(x) * np.exp(x) + x * 2, aval)
    run, x = build(program), np.zeros(aval.shape, np.float32)
    stated = sum([element_ns(e) for e in program.equations]) * aval.size
    return max(_seconds(lambda: run(x)) - host.launch, 1e-9) / stated


def _link(small: Callable[[], Any], large: Callable[[], Any], size: int) -> Link:
    latency = _seconds(small, 15)
    return Link(latency, size / max(_seconds(large) - latency, 1e-9))
