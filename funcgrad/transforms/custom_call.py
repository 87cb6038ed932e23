"""The operation behind functions with derivatives of their own: a call of a flat function with flat rules.

Such a call is one operation to every transformation. A forward rule serves reverse mode too: it is linear in the
tangents, so recording it at zero tangents and walking back gives its transpose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad.core import current_trace, on_behalf
from funcgrad.errors import ArgumentError, UnexpectedTracerError
from funcgrad.ir import Program
from funcgrad.ops.rules import declare
from funcgrad.transforms.boundary import differentiable_leaf
from funcgrad.transforms.call import asking_trace
from funcgrad.transforms.linearity import record_linear
from funcgrad.transforms.make_ir import trace_to_program
from funcgrad.transforms.symbolic import SymbolicZero
from funcgrad.transforms.vjp import zero_like
from funcgrad.transforms.vmap import vmap
from funcgrad.types import ShapedArray, aval_of, dtype_of, float0, is_inexact, shape_of

__all__ = ["CUSTOM", "Rules", "closed_over", "flat_cotangents"]

Fun = Callable[..., Any]

_transposed: ContextVar[tuple[tuple[Any, Any], ...]] = ContextVar("transposed", default=())
"""Whose JVP rules are being recorded to be transposed, and under which trace. A function that is linear may be called
on the tangents in its own rule: there it is what it computes, or it would ask for its rule for ever."""


class Rules:
    """A flat function with derivative rules: all take and return flat lists of leaves.

    Attributes:
        fun: `fun(*primals) -> outputs`.
        jvp: `jvp(primals, tangents) -> (outputs, output tangents)`; None if there is none.
        forward: `forward(primals, wanted) -> (outputs, residuals)`; None if there is none.
        backward: `backward(residuals, cotangents) -> cotangents of the primals`.
        symbolic: whether zero tangents and cotangents are given as SymbolicZero.
        closed: where among the primals the values stand that the function closes over: it has no derivative by them.
        avals: the avals of the outputs, by those of the primals.
        origin: what the user made; each call of it, and each batch of calls, has rules of its own.
    """

    __slots__ = ("__name__", "avals", "backward", "closed", "forward", "fun", "jvp", "origin", "symbolic")

    def __init__(self, name: str, fun: Fun, symbolic: bool, closed: slice = slice(0, 0), origin: Any = None) -> None:
        self.__name__, self.fun, self.symbolic, self.closed = name, fun, symbolic, closed
        self.origin = self if origin is None else origin
        self.jvp: Fun | None = None
        self.forward: Fun | None = None
        self.backward: Fun | None = None
        self.avals: dict[tuple[ShapedArray, ...], tuple[ShapedArray, ...]] = {}

    def zero(self, x: Any) -> Any:
        """The zero tangent or cotangent of a value, as the rules want it."""
        return SymbolicZero.from_primal_value(x) if self.symbolic else zero_like(x)


def closed_over(name: str, values: Sequence[Any]) -> UnexpectedTracerError:
    """The error for a function that closes over what is differentiated by."""
    kinds = ", ".join(str(aval_of(x)) for x in values)
    return UnexpectedTracerError(
        f"{name}: the function, or its rule, closes over a value ({kinds}) that is differentiated by; the rule says "
        "nothing of the derivative with regard to it. Pass it as an argument (closure_convert finds such values)"
    )


def _users_code() -> on_behalf:
    """The user's own rules run as what they are: code with lines of its own."""
    return on_behalf(current_trace(), None)


def _impl(*args: Any, rules: Rules) -> tuple[Any, ...]:
    return tuple(rules.fun(*args))


def _abstract(*avals: ShapedArray, rules: Rules) -> tuple[ShapedArray, ...]:
    if avals not in rules.avals:
        rules.avals[avals] = tuple(trace_to_program(lambda *xs: list(rules.fun(*xs)), avals).out_avals)
    return rules.avals[avals]


# -------------------------------------------------------------------------------------------------- derivatives


def _push(primals: Sequence[Any], tangents: Sequence[Any], rules: Rules) -> tuple[Any, Any]:
    if rules.jvp is None:
        raise TypeError(
            f"{rules.__name__} has a custom_vjp rule, so it has no derivative in forward mode (jvp, jacfwd)"
        )
    if any(t is not None for t in tangents[rules.closed]):
        raise closed_over(rules.__name__, primals[rules.closed])
    filled = [rules.zero(x) if t is None else t for x, t in zip(primals, tangents, strict=True)]
    with _users_code():
        outs, douts = rules.jvp(primals, filled)
    return tuple(outs), [
        d if is_inexact(o) and not isinstance(d, SymbolicZero) else None for o, d in zip(outs, douts, strict=True)
    ]


def _jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any], rules: Rules) -> Any:
    return _push(ins, tangents, rules)[1]


def _forward(ins: Sequence[Any], wanted: Sequence[bool], rules: Rules) -> tuple[Any, Any]:
    if rules.forward is not None:
        if any(wanted[rules.closed]):
            raise closed_over(rules.__name__, ins[rules.closed])
        with _users_code():
            outs, residuals = rules.forward(ins, wanted)
        return tuple(outs), tuple(residuals)
    here = rules.origin, asking_trace()
    if any(origin is here[0] and trace is here[1] for origin, trace in _transposed.get()):
        return NotImplemented, lambda *args: tuple(rules.fun(*args))
    zeros = [zero_like(x) for x, w in zip(ins, wanted, strict=True) if w]
    moved: list[bool] = []  # which outputs have a tangent

    def along(*moving: Any) -> Any:
        rest = iter(moving)
        outs, douts = _push(ins, [next(rest) if w else None for w in wanted], rules)
        moved[:] = [d is not None for d in douts]
        return [*outs, *(d for d in douts if d is not None)]

    _, in_tree = tree.flatten(tuple(zeros))
    what = f"{rules.__name__}: the JVP rule must be linear in the tangents"
    token = _transposed.set((*_transposed.get(), here))
    try:
        recording, values = record_linear(along, zeros, in_tree, what, lambda outs: outs[len(moved) :])
    finally:
        _transposed.reset(token)
    return tuple(values[: len(moved)]), (recording, moved)


def _backward(
    kept: Any, ct: Sequence[Any], out: Sequence[Any], ins: Sequence[Any], wanted: Sequence[bool], rules: Rules
) -> list[Any]:
    if rules.backward is not None:
        cts = [rules.zero(o) if c is None else c for c, o in zip(ct, out, strict=True)]
        with _users_code():
            return rules.backward(kept, cts)
    recording, moved = kept
    grads = iter(recording.pull([None] * len(out) + [c for c, m in zip(ct, moved, strict=True) if m]))
    return [next(grads) if w else None for w in wanted]


# ------------------------------------------------------------------------------------------------------- batches


def _batch(args: Sequence[Any], batched: Sequence[bool], size: int, axis_name: Any, rules: Rules) -> Any:
    axes = [0 if b else None for b in batched]
    batch: dict[str, Any] = {"axis_size": size, "axis_name": axis_name}
    fun = vmap(lambda *xs: list(rules.fun(*xs)), tuple(axes), **batch)
    mapped = Rules(rules.__name__, fun, rules.symbolic, rules.closed, rules.origin)
    if rules.jvp is not None:
        mapped.jvp = _mapped_jvp(rules.jvp, axes, batch)
    if rules.forward is not None and rules.backward is not None:
        mapped.forward = _mapped_forward(rules.forward, tuple(axes), batch)
        mapped.backward = _mapped_backward(rules.backward, axes, batch)
    return CUSTOM.bind(*args, rules=mapped)


def _example(zero: Any) -> Any:
    """What a zero of a batch is for one example."""
    aval = ShapedArray(shape_of(zero)[1:], zero.dtype)
    return SymbolicZero(aval) if isinstance(zero, SymbolicZero) else np.zeros(aval.shape, aval.dtype)


def _is_zero(x: Any) -> bool:
    return isinstance(x, SymbolicZero) or getattr(x, "dtype", None) == float0


def _mapped_jvp(rule: Fun, axes: Sequence[Any], batch: dict[str, Any]) -> Fun:
    def mapped(primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        symbolic = [isinstance(t, SymbolicZero) for t in tangents]
        still: list[bool] = []  # which output tangents are zero

        def one(ps: Sequence[Any], given: Sequence[Any]) -> Any:
            rest = iter(given)
            ts = [SymbolicZero.from_primal_value(p) if s else next(rest) for p, s in zip(ps, symbolic, strict=True)]
            outs, douts = rule(ps, ts)
            still[:] = [isinstance(d, SymbolicZero) for d in douts]
            return list(outs), [d for d, s in zip(douts, still, strict=True) if not s]

        moving = [t for t, s in zip(tangents, symbolic, strict=True) if not s]
        moving_axes = [a for a, s in zip(axes, symbolic, strict=True) if not s]
        outs, douts = vmap(one, (list(axes), moving_axes), **batch)(list(primals), moving)
        rest = iter(douts)
        return outs, [SymbolicZero.from_primal_value(o) if s else next(rest) for o, s in zip(outs, still, strict=True)]

    return mapped


def _mapped_forward(forward: Fun, axes: tuple[Any, ...], batch: dict[str, Any]) -> Fun:
    def mapped(primals: Sequence[Any], wanted: Sequence[bool]) -> Any:
        return vmap(lambda *xs: tuple(map(list, forward(xs, wanted))), axes, **batch)(*primals)

    return mapped


def _mapped_backward(backward: Fun, axes: Sequence[Any], batch: dict[str, Any]) -> Fun:
    def mapped(kept: Sequence[Any], cts: Sequence[Any]) -> list[Any]:
        none: list[bool] = []  # which of the results are zero
        void = [_is_zero(c) for c in cts]

        def one(k: Any, *given: Any) -> list[Any]:
            rest = iter(given)
            found = backward(k, [_example(c) if v else next(rest) for c, v in zip(cts, void, strict=True)])
            none[:] = [g is None or _is_zero(g) for g in found]
            return [g for g, n in zip(found, none, strict=True) if not n]

        moving = [c for c, v in zip(cts, void, strict=True) if not v]
        rest = iter(vmap(one, **batch)(list(kept), *moving))
        grads = [None if n else next(rest) for n in none]
        # A primal that is the same for all examples gets the sum of their cotangents.
        return [g if g is None or a is not None else np.sum(g, axis=0) for g, a in zip(grads, axes, strict=True)]

    return mapped


def _called(params: dict[str, Any]) -> Callable[[Sequence[ShapedArray]], Program]:
    """The program of the function: its rules are of no use any more."""
    fun = params["rules"].fun
    return lambda avals: trace_to_program(lambda *xs: list(fun(*xs)), avals)


CUSTOM = declare("custom_call", _impl, _abstract, multiple=True, nested=True, jvp=_jvp, called=_called)
"""A call of a function with rules of its own."""
CUSTOM.push, CUSTOM.forward, CUSTOM.backward, CUSTOM.batch = _push, _forward, _backward, _batch


def flat_cotangents(name: str, in_tree: Any, avals: Sequence[ShapedArray], grads: Any) -> list[Any]:
    """The leaves of what a backward rule returned; None stands for zeros of a whole argument."""
    n = len(in_tree.children())
    if not isinstance(grads, (tuple, list)) or len(grads) != n:
        found = f"{len(grads)}" if isinstance(grads, (tuple, list)) else f"a {type(grads).__name__}"
        raise ArgumentError(
            f"{name}: the backward rule must return a tuple of {n} cotangents, one per argument; got {found}"
        )
    out: list[Any] = []
    for i, (child, g) in enumerate(zip(in_tree.children(), grads, strict=True)):
        if g is None:
            out.extend([None] * child.num_leaves)
            continue
        try:
            out.extend(child.flatten_up_to(g))
        except (ValueError, TypeError) as error:
            what = f"cotangent {i} of the backward rule does not fit its argument"
            raise ArgumentError(f"{name}: {what}: {error}") from None
    for i, (g, aval) in enumerate(zip(out, avals, strict=True)):
        if g is None or getattr(g, "dtype", None) == float0:
            continue
        if not isinstance(g, SymbolicZero):
            differentiable_leaf(g, "a cotangent of the backward rule", name)
        if shape_of(g) != aval.shape:
            raise ArgumentError(
                f"{name}: the backward rule returned a cotangent of shape {shape_of(g)} for an argument of {aval.shape}"
                "; they must be equal (None stands for zeros)"
            )
        if dtype_of(g).kind == "c" and aval.dtype.kind != "c":
            raise TypeError(
                f"{name}: the backward rule returned a complex cotangent, {aval_of(g)}, for a real argument, {aval}; "
                "return its real part"
            )
        if isinstance(g, SymbolicZero):
            out[i] = None
    return out
