"""The stages of `tools.device_check`: floors, the table of operations, memory, speed, launches, offload.

Each is a function of a `Check` that gives a dict of figures and, under "failed", of what was not as it should be. Times
are medians in milliseconds; what is aimed at are ratios to the floors of the first stage and to JAX.
"""

from __future__ import annotations

import inspect
import json
import os
import platform
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib import metadata
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

import funcgrad as fg
from benchmarks.workloads import mlp, transformer
from funcgrad import nn, random, tree
from funcgrad.backends import Backend, SimulatedBackend, get_backend
from funcgrad.errors import OutOfDeviceMemoryError
from funcgrad.offload.calibrate import measured_machine
from tools.backend_table import operations, outcome, programs
from tools.offload_sim import step

__all__ = ["STAGES", "Check"]

Figures = dict[str, Any]


class Check(NamedTuple):
    """What is checked.

    Attributes:
        device: its name.
        backend: what runs programs there, without options.
        small: whether sizes are those of a test.
        until: when the stage has to end, by `perf_counter`.
    """

    device: str
    backend: Backend
    small: bool
    until: float

    @property
    def torch(self) -> Any:
        """PyTorch, if the device is one of its."""
        return getattr(self.backend, "torch", None)

    @property
    def on_cuda(self) -> bool:
        return self.backend.device.kind == "cuda"

    def over(self) -> bool:
        """Whether the time of the stage is up."""
        return perf_counter() > self.until


def _ms(run: Callable[[], Any], check: Check, times: int = 7) -> float:
    """The median of a few calls, each with what it has to wait for, after two that are not counted."""
    for _ in range(2):
        run()
        check.backend.synchronize()
    found: list[float] = []
    for _ in range(times):
        start = perf_counter()
        run()
        check.backend.synchronize()
        found.append(perf_counter() - start)
        if check.over():
            break
    return median(found) * 1e3


# ------------------------------------------------------------------------------------------------------- 1: floors


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def floors(check: Check) -> Figures:
    """Versions, and how fast the device and the way to it are."""
    versions = {name: _version(name) for name in ("numpy", "torch", "cupy-cuda12x", "cupy-cuda13x", "jax",
                                                  "array-api-compat", "array-api-strict")}  # fmt: skip
    found: Figures = {"device": check.device, "python": platform.python_version(), "cores": os.cpu_count(),
                      "versions": {k: v for k, v in versions.items() if v}}  # fmt: skip
    if check.torch is not None and check.backend.device.kind == "cuda":
        found["hardware"] = check.torch.cuda.get_device_name(check.backend.torch_device)
    machine = measured_machine(check.backend)
    found["machine"] = {name: part._asdict() for name, part in machine._asdict().items()}
    if check.torch is not None:
        found["torch"] = _torch_floors(check)
    return found


def _torch_floors(check: Check) -> Figures:
    """Products by PyTorch itself, in each precision, copies, and transfers from pinned and pageable memory."""
    torch, device = check.torch, check.backend.torch_device
    n = 256 if check.small else 8192
    found: Figures = {}
    for name in ("float32", "bfloat16", *(("tf32",) if check.on_cuda else ())):
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
        try:
            a = torch.ones((n, n), dtype=getattr(torch, "float32" if name == "tf32" else name), device=device)
            found[f"{name} TFLOP/s"] = 2e-9 * n**3 / _ms(partial(torch.matmul, a, a), check)
        finally:
            torch.set_float32_matmul_precision(before)
    size = (1 if check.small else 256) << 20
    there = torch.zeros(size, dtype=torch.uint8, device=device)
    found["copy GB/s"] = 2e-6 * size / _ms(there.clone, check)
    for name, pinned in (("pageable", False), ("pinned", True)):
        if pinned and not check.on_cuda:
            continue
        here = torch.zeros(size, dtype=torch.uint8, pin_memory=pinned)
        found[f"{name} up GB/s"] = 1e-6 * size / _ms(partial(there.copy_, here), check)
        found[f"{name} down GB/s"] = 1e-6 * size / _ms(partial(here.copy_, there), check)
    return found


# -------------------------------------------------------------------------------------------------------- 2: values


def _counts(check: Check, rows: Iterator[Any], share: float) -> Figures:
    """How many rows are the same, refused, different or failed, as far as the time goes."""
    end = perf_counter() + share * max(check.until - perf_counter(), 0.0)
    counts: Figures = {"same": 0, "refused": 0, "differs": 0, "failed": 0, "complete": True}
    wrong: list[str] = []
    for name, how, program, leaves in rows:
        if perf_counter() > end:
            counts["complete"] = False
            break
        kind, why = outcome(check.backend, program, leaves)
        counts[kind] += 1
        if kind in ("differs", "failed"):
            wrong.append(f"{name} ({how}): {why}")
    return {**counts, "wrong": wrong[:40]}


def _bits_agree(device: str) -> bool:
    """Whether random numbers are those of the host, bit for bit."""

    def draw(key: Any) -> Any:
        a, b = random.split(key)
        return random.bits(a, (1000,)), random.randint(b, (1000,), 0, 1 << 20), random.fold_in(a, 7)

    key = random.key(3)
    here, there = fg.jit(draw)(key), fg.jit(draw, backend=device)(key)
    same = [np.array_equal(random.key_data(x) if i == 2 else x, random.key_data(y) if i == 2 else y)
            for i, (x, y) in enumerate(zip(here, there, strict=True))]  # fmt: skip
    return all(same)


def _index_error(device: str) -> str:
    """What is wrong with an index out of bounds, and with the call after it; "" if nothing."""
    take = fg.jit(lambda x, i: x[i] * 2, backend=device)
    x, bad, good = np.arange(6.0), np.array([1, 99]), np.array([1, 3])
    try:
        take(x, bad)
        return "an index out of bounds raised nothing"
    except IndexError:
        pass
    return "" if np.array_equal(take(x, good), x[good] * 2) else "the call after an index out of bounds was wrong"


def values(check: Check) -> Figures:
    """The table of operations, programs under transformations, random bits, a bad index and the call after it."""
    failed: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows, more = operations("sin" if check.small else ""), programs("dense" if check.small else "")
        found: Figures = {"operations": _counts(check, rows, 0.6), "programs": _counts(check, more, 0.8)}
    for name, part in found.items():
        failed += [f"{name}: {text}" for text in part["wrong"]]
    try:
        if not _bits_agree(check.device):
            failed.append("random bits differ")
    except NotImplementedError as error:
        found["random bits"] = f"refused: {str(error).partition(chr(10))[0]}"
    failed += filter(None, [_index_error(check.device)])
    return {**found, "failed": failed}


# -------------------------------------------------------------------------------------------------------- 3: memory


def memory(check: Check) -> Figures:
    """Too little memory in the middle of a step raises one error; the next, smaller call works."""
    backend, size = check.backend, 1 << 16
    if check.on_cuda:
        free, _ = check.torch.cuda.mem_get_info(check.backend.torch_device)
        size = free // 4 // 2
    else:
        backend = SimulatedBackend(limit=8 * size * 5 // 2)
    f = fg.jit(lambda x: [x * k for k in range(1, 6)], backend=backend)
    failed: list[str] = []
    try:
        f(np.zeros(size))
        failed.append("five arrays of more than half of the memory raised nothing")
    except OutOfDeviceMemoryError as error:
        text = str(error)
    except Exception as error:
        failed.append(f"{type(error).__name__} in place of OutOfDeviceMemoryError: {error}")
        text = ""
    if not np.array_equal(f(np.ones(100))[4], np.full(100, 5.0)):
        failed.append("the call afterwards was wrong")
    return {"on": backend.name, "says": text if not failed else "", "failed": failed}


# --------------------------------------------------------------------------------------------------------- 4: speed


class Workload(NamedTuple):
    """What is timed.

    Attributes:
        make: `make(lib)`, the function, for funcgrad or for JAX.
        args: its arguments.
    """

    make: Callable[[Any], Callable[..., Any]]
    args: Any


def _mlp(lib: Any, width: int) -> Callable[..., Any]:
    loss = mlp.make_loss(np if lib is fg else lib.numpy)

    def descend(params: Any, x: Any, t: Any) -> Any:
        value, grads = lib.value_and_grad(loss)(params, x, t)
        return {k: params[k] - 0.1 * grads[k] for k in params}, value

    return descend


def _block(lib: Any, heads: int) -> Callable[..., Any]:
    xp, functions = (np, nn) if lib is fg else (lib.numpy, lib.nn)
    return lib.value_and_grad(transformer.make_loss(xp, functions, heads))


def _chain(lib: Any) -> Callable[..., Any]:
    xp = np if lib is fg else lib.numpy
    return lambda x: xp.sum(xp.tanh(x) * xp.exp(-x * x) + xp.sin(x))


def workloads(small: bool) -> dict[str, Workload]:
    """A large network and a small one, a transformer's block, and a chain of elementwise functions."""
    width, length, model, count = (32, 8, 16, 10_000) if small else (4096, 512, 1024, 100_000_000)
    sizes = {"batch": width, "inputs": width, "hidden": width, "outputs": width}
    tiny = {"batch": 16, "inputs": 32, "hidden": 32, "outputs": 10}
    return {
        "network": Workload(partial(_mlp, width=width), mlp.make_data(**sizes)),
        "small network": Workload(partial(_mlp, width=32), mlp.make_data(**tiny)),
        "transformer": Workload(partial(_block, heads=4), transformer.make_data(2 if small else 32, length, model)),
        "chain": Workload(_chain, (np.linspace(-3, 3, count, dtype=np.float32),)),
    }


def _ways(check: Check) -> dict[str, Any]:
    """How programs are run: one operation after the other, as a graph, by PyTorch's compiler. (That takes half a minute
    for each program when it is cold, and is left out where sizes are those of a test.)"""
    ways: dict[str, Any] = {"eager": check.backend}
    taken = inspect.signature(type(check.backend).__init__).parameters
    for option in ("graph",) if check.small else ("graph", "compile"):
        if option in taken:
            ways[option] = type(check.backend)(check.device, **{option: True})
    return ways


def speed(check: Check) -> Figures:
    """Milliseconds of each workload, its arrays on the device, and of JAX in a process of its own."""
    found: Figures = {}
    failed: list[str] = []
    for name, work in workloads(check.small).items():
        found[name] = {}
        args = fg.device_put(work.args, check.backend)
        for how, backend in _ways(check).items():
            if check.over():
                failed.append(f"{name}, {how}: no time was left")
                continue
            try:
                run = fg.jit(work.make(fg), backend=backend)
                found[name][how] = _ms(lambda run=run, args=args: fg.block_until_ready(run(*args)), check)
            except Exception as error:
                failed.append(f"{name}, {how}: {type(error).__name__}: {str(error)[:200]}")
        del args
    for name, ms in _jax(check).items():
        if name == "failed":
            failed.append(ms)
            continue
        found[name]["jax"] = ms
        found[name]["times as fast as jax"] = {k: ms / v for k, v in found[name].items() if k != "jax" and v}
    return {**found, "failed": failed}


JAX = """
import json, sys, time, statistics
import jax
from tools.device_stages import workloads
out = {}
for name, work in workloads(sys.argv[1] == "small").items():
    args = jax.device_put(work.args)
    run = jax.jit(work.make(jax))
    for _ in range(2):
        jax.block_until_ready(run(*args))
    times = []
    for _ in range(7):
        start = time.perf_counter()
        jax.block_until_ready(run(*args))
        times.append(time.perf_counter() - start)
    out[name] = statistics.median(times) * 1e3
    print(json.dumps(out), flush=True)
"""


def _jax(check: Check) -> dict[str, Any]:
    """Milliseconds of JAX, in a process that ends with it; nothing where there is none, or none for this device."""
    if not _version("jax") or (check.backend.device.kind != "cpu" and not check.on_cuda):
        return {}
    given = {
        **os.environ,
        "JAX_PLATFORMS": "cuda" if check.on_cuda else "cpu",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }
    left = max(check.until - perf_counter(), 20.0)
    try:
        done = subprocess.run([sys.executable, "-c", JAX, "small" if check.small else "large"], env=given, text=True,
                              capture_output=True, timeout=left, check=False)  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"failed": "jax: no time was left"}
    lines = done.stdout.strip().splitlines()
    if not lines:
        return {"failed": f"jax: {done.stderr.strip()[-200:]}"}
    return json.loads(lines[-1])


# ------------------------------------------------------------------------------------------------------ 5: launches


def launches(check: Check) -> Figures:
    """How many kernels a step launches, and whether anything waits for the device on the way."""
    work = workloads(True)["network"]
    args = fg.device_put(work.args, check.backend)
    run = fg.jit(work.make(fg))
    fg.block_until_ready(run(*args))
    found: Figures = {"equations": len(run.lower(*args)._executable.program.equations), "failed": []}
    if check.torch is None:
        return found
    profiler = check.torch.profiler
    kinds = [profiler.ProfilerActivity.CUDA] if check.on_cuda else [profiler.ProfilerActivity.CPU]
    with profiler.profile(activities=kinds) as profile:
        fg.block_until_ready(run(*args))
    found["launches"] = sum(event.count for event in profile.key_averages())
    if check.on_cuda:
        check.torch.cuda.set_sync_debug_mode("error")
        try:
            run(*args)
        except RuntimeError as error:
            found["failed"].append(f"a step waits for the device: {str(error)[:200]}")
        finally:
            check.torch.cuda.set_sync_debug_mode("default")
    return found


# ------------------------------------------------------------------------------------------------------- 6: offload


def offload(check: Check) -> Figures:
    """A step with NumPy's arrays in and out, on the host and offloaded, at several widths: planned and timed."""
    found: Figures = {}
    failed: list[str] = []
    rng = np.random.default_rng(0)
    for width in (32, 64) if check.small else (32, 64, 128, 256, 512, 1024, 2048, 4096, 8192):
        if check.over():
            found["complete"] = False
            break
        draw = lambda *shape, n=width: (rng.normal(size=shape) / n).astype(np.float32)  # noqa: E731
        params = [(draw(width, width), draw(width)) for _ in range(3)]
        args = params, draw(width, width), draw(width, width)
        alone, run = fg.jit(step), fg.jit(step, offload=check.backend)
        want = tree.leaves(alone(*args))
        for _ in range(3):
            got = tree.leaves(run(*args))
        worst = max(float(np.max(np.abs(a - b))) for a, b in zip(got, want, strict=True))
        times = 3 if width >= 2048 else 7
        host, with_device = _ms(lambda: alone(*args), check, times), _ms(lambda: run(*args), check, times)  # noqa: B023
        cost = run.lower(*args).cost()
        found[str(width)] = {"host ms": host, "offloaded ms": with_device, "planned ms": cost.planned_seconds * 1e3,
                             "planned host ms": cost.host_seconds * 1e3, "worst difference": worst,
                             "share planned there": cost.device_flops / max(cost.flops, 1),
                             "timed ms": 1e3 * (cost.measured_seconds or 0.0),
                             "timed host ms": 1e3 * (cost.measured_host_seconds or 0.0)}  # fmt: skip
        if worst > 1e-3:
            failed.append(f"width {width}: results differ by {worst:.1e}")
    return {**found, "failed": failed}


STAGES: dict[str, tuple[float, Callable[[Check], Figures]]] = {
    "floors": (60.0, floors),
    "values": (90.0, values),
    "memory": (60.0, memory),
    "speed": (150.0, speed),
    "launches": (60.0, launches),
    "offload": (60.0, offload),
}
"""The stages in order, each with its seconds."""


def backend_of(device: str) -> Backend:
    """The backend of a device; on the processor PyTorch is given one thread, as others work there too."""
    backend = get_backend(device)
    if backend.device == "torch:cpu":
        backend.torch.set_num_threads(1)  # type: ignore[attr-defined]
    return backend
