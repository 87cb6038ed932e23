"""Lowerings of convolution and of reductions over windows: into memory that the planner gives."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from funcgrad.executor.step import INTO, Bindings, Step, lowers
from funcgrad.ir import Equation

__all__: list[str] = []


@cache
def _writing(impl: Callable[..., Any]) -> Callable[..., Any]:
    """An implementation that writes into contiguous arrays, for arrays of any layout."""

    def call(*args: Any, into: Any, **params: Any) -> Any:
        if into is None or into.flags.c_contiguous:
            return impl(*args, into=into, **params)
        into[...] = impl(*args, **params)
        return into

    return call


@lowers("reduce_window_sum", "reduce_window_max", "reduce_window_min", "select_and_scatter", "conv_last", "conv_rows")
def _window(eqn: Equation, bindings: Bindings) -> Step | None:
    function = bindings.name(_writing(eqn.primitive.impl), f"call_{eqn.primitive.name}")
    params = "".join(f", {name}={bindings.parameter(value, name)}" for name, value in eqn.params.items())
    return Step(eqn, (INTO,), expression=lambda ins, out: f"{function}({', '.join(ins)}{params}, into={out})")
