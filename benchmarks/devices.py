"""Generated code for PyTorch against PyTorch by hand, and against the runner that any library has.

    python -m benchmarks.devices [--device torch:cpu] [--compile] [--rounds 30]

One thread on one core, processor time, medians of interleaved rounds; arrays are on the device. `tiny` is an MLP of two
layers whose arithmetic costs nothing: what remains is the cost of a launch; the runner is given NumPy's arrays, as it
was before there were arrays on devices. The ratios are what counts:

    tiny: at most 0.35 of the runner's time; MLP step: at most 1.05 of PyTorch's by hand; transformer: at most 1.1;
    with `--compile`, by Inductor: MLP step, transformer and a chain of a million elements at most JAX's time, where
    JAX is installed and the device is the processor; and a second process has its first result after at most 4 s.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import funcgrad as fg
from benchmarks.steps import jax_call
from benchmarks.workloads import elementwise, mlp, mlp_step, transformer
from funcgrad import nn, tree
from funcgrad.backends import ArrayAPIBackend, DeviceProgram

__all__ = ["main"]

Call = Callable[[], Any]


def _leaves(args: Any) -> tuple[Any, Any]:
    """Tensors of arrays, those of the first argument with gradients."""
    import torch

    first, *rest = tree.map(lambda x: torch.from_numpy(np.array(x)), args)
    return tree.map(lambda t: t.requires_grad_(), first), rest


def _mlp_by_hand(args: Any) -> Call:
    import torch

    params, (x, t) = _leaves(args)

    def step() -> Any:
        h = torch.relu(torch.addmm(params["b1"], x, params["W1"]))
        h = torch.relu(torch.addmm(params["b2"], h, params["W2"]))
        logits = torch.addmm(params["b3"], h, params["W3"])
        loss = -(torch.log_softmax(logits, 1) * t).sum(1).mean()
        grads = torch.autograd.grad(loss, tree.leaves(params))
        with torch.no_grad():
            return loss, [p - mlp_step.RATE * g for p, g in zip(tree.leaves(params), grads, strict=True)]

    return step


def _transformer_by_hand(args: Any, heads: int) -> Call:
    import torch
    from torch.nn import functional

    p, (x, target) = _leaves(args)
    batch, length, width = x.shape

    def norm(x: Any, name: str) -> Any:
        return functional.layer_norm(x, (width,), p[name], p[f"{name}_bias"], transformer.EPSILON)

    def step() -> Any:
        qkv = (norm(x, "norm1") @ p["qkv"] + p["qkv_bias"]).reshape(batch, length, 3, heads, width // heads)
        q, k, v = (t.transpose(1, 2) for t in qkv.unbind(2))
        mixed = torch.softmax(q @ k.transpose(2, 3) / (width // heads) ** 0.5, -1) @ v
        h = x + mixed.transpose(1, 2).reshape(batch, length, width) @ p["out"] + p["out_bias"]
        up = functional.gelu(norm(h, "norm2") @ p["up"] + p["up_bias"], approximate="tanh")
        loss = ((h + up @ p["down"] + p["down_bias"] - target) ** 2).mean()
        return loss, torch.autograd.grad(loss, tree.leaves(p))

    return step


def _tiny_step(params: Any, x: Any, y: Any) -> Any:
    def loss(params: Any) -> Any:
        (w1, b1), (w2, b2) = params
        return np.mean((np.tanh(x @ w1 + b1) @ w2 + b2 - y) ** 2)

    value, grads = fg.value_and_grad(loss)(params)
    return value, tree.map(lambda p, g: p - 0.1 * g, params, grads)


def _tiny_data() -> Any:
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731
    return [(draw(5, 8), draw(8)), (draw(8, 2), draw(2))], draw(16, 5), draw(16, 2)


class _Plain(ArrayAPIBackend):
    """PyTorch with nothing of its own: the namespace of the array API standard."""

    def to_numpy(self, x: Any) -> np.ndarray:
        return np.array(x.cpu().numpy())


def _by_the_runner(fun: Callable[..., Any], args: Any) -> Call:
    """The program launch by launch, as on any library of the array API standard, with NumPy's arrays in and out."""
    import array_api_compat.torch

    run = DeviceProgram(fg.make_ir(fun)(*args), _Plain(array_api_compat.torch))
    leaves = tree.leaves(args)
    return lambda: run(*leaves)


def _medians(calls: dict[str, Call], rounds: int, times_each: int = 1) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.process_time()
            for _ in range(times_each):
                call()
            times[name].append((time.process_time() - start) / times_each)
    return {name: sorted(t)[len(t) // 2] for name, t in times.items()}


def _show(title: str, medians: dict[str, float], over: str, goal: float) -> None:
    text = ", ".join(f"{name} {1e3 * t:.3f} ms" for name, t in medians.items())
    ratios = [_ratio(medians, "funcgrad", over, goal)] if over in medians else []
    if "compiled" in medians and "JAX" in medians:
        ratios.append(_ratio(medians, "compiled", "JAX", 1.0))
    print(f"{title:12} {text}; {'; '.join(ratios)}", flush=True)


def _ratio(medians: dict[str, float], ours: str, over: str, goal: float) -> str:
    ratio = medians[ours] / medians[over]
    return f"{ours} {ratio:.2f} of {over} (goal: {goal}, {'met' if ratio <= goal else 'missed'})"


_SECOND_PROCESS = """
import time; start = time.perf_counter()
import numpy as np, funcgrad as fg
from funcgrad.backends.torch_backend import TorchBackend
from benchmarks.workloads import mlp, mlp_step
host = mlp.make_data(**mlp.SIZES)
update = mlp_step.make_update(fg.value_and_grad(mlp.make_loss(np)))
step = fg.jit(update, backend=TorchBackend({device!r}, compile=True))
value, _ = step(*fg.device_put(host, {device!r}))
float(value)
print(time.perf_counter() - start, time.process_time())
"""


def _second_process(device: str) -> None:
    code = _SECOND_PROCESS.format(device=device)
    run = lambda: subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: E731
    (first, _), (second, busy) = (map(float, run().stdout.split()[-2:]) for _ in range(2))
    print(f"a process    {first:.1f} s to the first MLP step, the next {second:.1f} s (goal: 4), busy for {busy:.1f} s")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="torch:cpu")
    parser.add_argument("--compile", action="store_true", help="by Inductor as well")
    parser.add_argument("--rounds", type=int, default=30)
    given = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # JAX starts a thread for each core that it has
    import torch

    from funcgrad.backends.torch_backend import TorchBackend

    torch.set_num_threads(1)
    compiled: Any = TorchBackend(given.device, compile=True) if given.compile else None
    jax = given.device == "torch:cpu" and importlib.util.find_spec("jax") is not None

    def ours(fun: Callable[..., Any], args: Any) -> dict[str, Call]:
        placed = fg.device_put(args, given.device)
        step = fg.jit(fun)
        calls: dict[str, Call] = {"funcgrad": lambda: step(*placed)}
        if compiled is not None:
            by_inductor = fg.jit(fun, backend=compiled)
            calls["compiled"] = lambda: by_inductor(*placed)
        return calls

    def theirs(function: Callable[[], Callable[..., Any]], args: Any) -> dict[str, Call]:
        return {"JAX": jax_call(function(), *args).call} if jax else {}

    host = _tiny_data()
    calls = ours(_tiny_step, host) | {"the runner": _by_the_runner(_tiny_step, host)}
    _show("tiny MLP", _medians(calls, given.rounds, 20), "the runner", 0.35)

    host = mlp.make_data(**mlp.SIZES)
    update = mlp_step.make_update(fg.value_and_grad(mlp.make_loss(np)))
    calls = ours(update, host) | {"by hand": _mlp_by_hand(host)} | theirs(_jax_mlp_step, host)
    _show("MLP step", _medians(calls, 3 * given.rounds), "by hand", 1.05)

    host = transformer.make_data(8, 128, 128)
    step = fg.value_and_grad(transformer.make_loss(np, nn, 4))
    calls = ours(step, host) | {"by hand": _transformer_by_hand(host, 4)}
    calls |= theirs(lambda: transformer.jax_function(4), host)
    _show("transformer", _medians(calls, given.rounds), "by hand", 1.1)

    host = (elementwise.make_data(1_000_000),)
    calls = ours(fg.value_and_grad(elementwise.make_function(np)), host) | theirs(_jax_chain, host)
    _show("elementwise", _medians(calls, given.rounds), "JAX", 1.0)
    if given.compile:
        _second_process(given.device)


def _jax_mlp_step() -> Callable[..., Any]:
    import jax

    return jax.jit(mlp_step.make_update(jax.value_and_grad(mlp.make_loss(jax.numpy))))


def _jax_chain() -> Callable[..., Any]:
    import jax

    return jax.jit(jax.value_and_grad(elementwise.make_function(jax.numpy)))


if __name__ == "__main__":
    main()
