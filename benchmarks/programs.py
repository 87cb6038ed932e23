"""Workloads from one text of a program: what funcgrad, JAX and PyTorch are given, and the same by hand.

A program says how its data are made, what the function is in the namespaces `xp` (NumPy's names) and `lib` (those of
funcgrad or JAX: `grad`, `vmap`, `lax`, `nn`), and what somebody would write with NumPy alone, derivatives included.
PyTorch gets the same text through `torch_library`, with loops that are Python's, unless it has a text of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.harness import flatten
from benchmarks.spec import Goal, Step, Workload
from benchmarks.steps import jax_call

__all__ = ["complex_step", "program"]

Make = Callable[[Any, Any], Callable[..., Any]]


def program(
    name: str,
    summary: str,
    *,
    cases: Mapping[str, Mapping[str, Any]],
    tiny: Mapping[str, Any],
    rtol: float,
    data: Callable[..., tuple[Any, ...]],
    make: Make,
    by_hand: Callable[..., Any],
    gradient: bool = True,
    torch: Callable[..., Callable[[], Any]] | None = None,
) -> Workload:
    """A workload of kind "programs" with four contenders.

    Args:
        name: the registry's key.
        summary: one line for the report.
        cases: the sizes of each case.
        tiny: sizes that are small enough for a test, for every case alike.
        rtol: how far a leaf may lie from the reference's, relative to the leaf's largest magnitude.
        data: from sizes to the arguments, NumPy arrays.
        make: ``make(lib, xp)`` is the function.
        by_hand: the result from the arguments, by NumPy alone: what the others are held against.
        gradient: the result is the value, and the gradient by the first argument; else what the function returns.
        torch: from the arguments as tensors to a call, where PyTorch does not take the common text.
    """
    workload = Workload(
        name, summary, cases, dict.fromkeys(cases, tiny), rtol, (Goal("jax jit", over="funcgrad jit", at_least=1.0),)
    )
    workload.kind = "programs"

    @workload.implementation("numpy", peer=False)
    def _(**sizes: Any) -> Step:
        arguments = data(**sizes)
        return Step(lambda: by_hand(*arguments))

    @workload.implementation("funcgrad jit", requires="funcgrad", peer=False)
    def _(**sizes: Any) -> Step:
        import funcgrad

        function = make(funcgrad, np)
        compiled = funcgrad.jit(funcgrad.value_and_grad(function) if gradient else function)
        arguments = data(**sizes)
        return Step(lambda: compiled(*arguments))

    @workload.implementation("jax jit", requires="jax")
    def _(**sizes: Any) -> Step:
        import jax

        arguments = data(**sizes)
        jax.config.update("jax_enable_x64", is_double(arguments))
        function = make(jax, jax.numpy)
        return jax_call(jax.jit(jax.value_and_grad(function) if gradient else function), *arguments)

    @workload.implementation("torch")
    def _(**sizes: Any) -> Step:
        from benchmarks import torch_library as library

        arguments = data(**sizes)
        library.set_default(is_double(arguments))
        tensors = library.tensors(arguments)
        if torch is not None:
            return Step(torch(*tensors), library.arrays)
        function = make(library, library.xp)
        call = library.value_and_grad(function) if gradient else function
        return Step(lambda: call(*tensors), library.arrays)

    return workload


def is_double(arguments: Any) -> bool:
    """Whether some argument is of double precision."""
    return any(leaf.dtype == np.float64 for leaf in flatten(arguments).values())


def complex_step(function: Callable[[Any], Any], p: np.ndarray) -> tuple[Any, np.ndarray]:
    """A value and its gradient by a few parameters, to the last digits, from one run on complex numbers.

    `function` takes the parameters with one more axis, the first: one row for each derivative. It must be analytic,
    and return one value for each row.

    >>> complex_step(lambda p: p[:, 0] ** 2 * p[:, 1], np.array([3.0, 2.0]))
    (np.float64(18.0), array([12.,  9.]))
    """
    step = 1e-100
    values = function(p + 1j * step * np.eye(p.size))
    return values[0].real, values.imag / step
