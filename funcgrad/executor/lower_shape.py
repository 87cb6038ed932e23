"""Lowerings of what moves elements: views where NumPy has them, copies into given memory where not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.executor.step import INTO, OWN, VIEW, Bindings, Step, is_scalar, lowers, tuple_text
from funcgrad.ir import Equation
from funcgrad.ops.rules import PRIMITIVES

__all__: list[str] = []


def _view(eqn: Equation, text: Callable[[str], str]) -> Step:
    return Step(eqn, (VIEW,), expression=lambda ins, out: text(ins[0]), view_of=0)


@lowers("reshape")
def _reshape(eqn: Equation, bindings: Bindings) -> Step | None:
    shape = eqn.params["shape"]
    if not eqn.inputs[0].aval.shape:
        return None
    if not shape:
        return Step(eqn, (OWN,), expression=lambda ins, out: f"{ins[0]}.reshape(())[()]")
    return _view(eqn, lambda x: f"{x}.reshape({tuple_text(shape)})")


@lowers("transpose")
def _transpose(eqn: Equation, bindings: Bindings) -> Step | None:
    axes = eqn.params["axes"]
    if len(axes) < 2:
        return None
    if axes == tuple(reversed(range(len(axes)))):
        return _view(eqn, lambda x: f"{x}.T")
    return _view(eqn, lambda x: f"{x}.transpose({tuple_text(axes)})")


@lowers("broadcast_to")
def _broadcast_to(eqn: Equation, bindings: Bindings) -> Step | None:
    """Small results are written out, which costs less than the view; large ones are views."""
    (x,), (out,) = eqn.inputs, eqn.outputs
    if not out.aval.shape:
        return None
    if out.aval.size * out.aval.dtype.itemsize <= 1 << 14 or not x.aval.shape or x.is_literal:
        return Step(eqn, (INTO,), lines=lambda ins, outs, temporaries: [f"{outs[0]}[...] = {ins[0]}"])
    function = bindings.name(np.broadcast_to, "broadcast_to")
    return _view(eqn, lambda x: f"{function}({x}, {tuple_text(out.aval.shape)})")


def slices_text(start: Any, size: Any, step: Any, shape: Any) -> str:
    """An index, as source text; trailing full slices are left out."""
    parts: list[str] = []
    for a, n, s, d in zip(start, size, step, shape, strict=True):
        stop = a + n * s
        if (a, n, s) == (0, d, 1):
            parts.append(":")
        elif n == 1 and s == 1:
            parts.append(f"{a}:{a + 1}")
        else:
            head, tail = "" if a == 0 and s > 0 else a, "" if stop < 0 or (s > 0 and stop >= d) else stop
            parts.append(f"{head}:{tail}" + ("" if s == 1 else f":{s}"))
    while parts and parts[-1] == ":":
        parts.pop()
    return ", ".join(parts) or "..."


@lowers("slice")
def _slice(eqn: Equation, bindings: Bindings) -> Step | None:
    index = slices_text(**eqn.params, shape=eqn.inputs[0].aval.shape)
    return _view(eqn, lambda x: f"{x}[{index}]")


@lowers("gather")
def _row(eqn: Equation, bindings: Bindings) -> Step | None:
    """One row, by a number that is known when the program runs."""
    x, *indices = eqn.inputs
    if eqn.params["axes"] != (0,) or not is_scalar(indices[0]):
        return None
    if x.aval.ndim == 1:
        return Step(eqn, (OWN,), expression=lambda ins, out: f"{ins[0]}[{ins[1]}]")
    return Step(eqn, (INTO,), lines=lambda ins, outs, temporaries: [f"{outs[0]}[...] = {ins[0]}[{ins[1]}]"])


@lowers("place")
def _place(eqn: Equation, bindings: Bindings) -> Step | None:
    (x,), (out,) = eqn.inputs, eqn.outputs
    if not out.aval.shape:
        return None
    index = slices_text(eqn.params["start"], x.aval.shape, eqn.params["step"], out.aval.shape)
    return Step(
        eqn,
        (INTO,),
        lines=lambda ins, outs, temporaries: [f"{outs[0]}.fill(0)", f"{outs[0]}[{index}] = {ins[0]}"],
    )


@lowers("concatenate")
def _concatenate(eqn: Equation, bindings: Bindings) -> Step | None:
    axis = eqn.params["axis"]
    function = bindings.name(np.concatenate, "concatenate")

    def expression(ins: list[str], out: str | None) -> str:
        return f"{function}({tuple_text(ins)}, {axis}{'' if out is None else f', {out}'})"

    return Step(eqn, (INTO,), expression=expression)


@lowers(*(name for name, primitive in PRIMITIVES.items() if primitive.accumulates is not None))
def _cumulative(eqn: Equation, bindings: Bindings) -> Step | None:
    (x,), (out,) = eqn.inputs, eqn.outputs
    ufunc = eqn.primitive.accumulates
    if ufunc is None or eqn.params.get("reverse") or x.aval.dtype != out.aval.dtype:
        return None
    function = bindings.method(ufunc, "accumulate")
    axis = eqn.params["axis"]
    tail = lambda into: "" if into is None else f", None, {into}"  # noqa: E731
    return Step(eqn, (INTO,), expression=lambda ins, into: f"{function}({ins[0]}, {axis}{tail(into)})")
