"""Functions with a batching rule of their own.

A call is an operation that holds the function's program and the rule: `vmap` applies the rule, everything else looks
at the program. In forward mode the rule goes along: the tangents of a batch are those of what the rule computes. In
reverse mode the operations of the program are differentiated, and batched, one by one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial, update_wrapper
from types import FunctionType, MethodType
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad.aliasing import own_arguments
from funcgrad.control.loops import map as map_slices
from funcgrad.core import Primitive, Tracer, current_trace
from funcgrad.errors import ArgumentError
from funcgrad.ir import Program, eval_program
from funcgrad.ops.rules import declare
from funcgrad.ops.shape import CONVERT
from funcgrad.transforms.boundary import boundary, check_callable, differentiable_leaf
from funcgrad.transforms.call import (
    CALL,
    call_forward,
    call_program,
    close,
    cotangents,
    interleave,
    its_program,
    reverse_programs,
    tangent_program,
)
from funcgrad.transforms.jvp import jvp
from funcgrad.transforms.make_ir import trace_to_program
from funcgrad.transforms.transformed import name_of
from funcgrad.transforms.vmap import vmap
from funcgrad.types import ShapedArray, aval_of, is_inexact, is_weak

__all__ = ["CUSTOM_VMAP", "custom_vmap", "sequential_vmap"]

Rule = Callable[[int, Sequence[bool], Sequence[Any]], tuple[list[Any], list[bool]]]
"""From the size of a batch, which operands have it, and the operands, to the results and which of them have it."""


def _impl(*args: Any, program: Program, consts: int, rule: Rule) -> tuple[Any, ...]:
    return tuple(eval_program(program, args))


def _abstract(*avals: ShapedArray, program: Program, consts: int, rule: Rule) -> tuple[ShapedArray, ...]:
    return tuple(program.out_avals)


def _push(primals: Sequence[Any], tangents: Sequence[Any], program: Program, consts: int, rule: Rule) -> Any:
    given = tuple(t is not None for t in tangents)
    derived, more = close(tangent_program(program, given))
    if any(given[:consts]):  # of what the function closes over: its rule knows nothing of that
        results = CALL.bind(
            *more, *primals, *(t for t in tangents if t is not None), program=derived, name="custom_vmap"
        )
    else:
        moving = [t for t in tangents if t is not None]
        params = {"consts": consts + len(more), "rule": _pushed(rule, given[consts:])}
        results = CUSTOM_VMAP.bind(*more, *primals, *moving, program=derived, **params)
    return interleave(program, results)


def _pushed(rule: Rule, given: tuple[bool, ...]) -> Rule:
    """The rule for primals and the tangents that are given: the tangents of the results of the rule."""
    n = len(given)

    def pushed(size: int, batched: Sequence[bool], args: Sequence[Any]) -> tuple[list[Any], list[bool]]:
        primals, tangents = list(args[:n]), list(args[n:])
        flags, moving = list(batched[:n]), list(batched[n:])
        chosen = [i for i, g in enumerate(given) if g]
        for k, i in enumerate(chosen):  # a tangent has the shape of its primal
            if flags[i] and not moving[k]:
                tangents[k] = _spread(tangents[k], size)
            elif moving[k] and not flags[i]:
                primals[i], flags[i] = _spread(primals[i], size), True
        found: list[bool] = []

        def varied(*some: Any) -> list[Any]:
            xs = list(primals)
            for i, x in zip(chosen, some, strict=True):
                xs[i] = x
            outs, found[:] = rule(size, flags, xs)
            return outs

        outs, douts = jvp(varied, tuple(primals[i] for i in chosen), tuple(tangents))
        kept = [(d, f) for o, d, f in zip(outs, douts, found, strict=True) if is_inexact(o)]
        return [*outs, *(d for d, _ in kept)], [*found, *(f for _, f in kept)]

    return pushed


def _spread(x: Any, size: int) -> Any:
    return vmap(lambda: x, axis_size=size)()


def _batch(
    args: Sequence[Any],
    batched: Sequence[bool],
    size: int,
    axis_name: Any,
    program: Program,
    consts: int,
    rule: Rule,
) -> Any:
    if any(batched[:consts]):
        raise TypeError("custom_vmap: the function closes over a value that is mapped over; pass it as an argument")
    outs, flags = rule(size, list(batched[consts:]), own_arguments(args[consts:]))
    return tuple(x if f else _spread(x, size) for x, f in zip(outs, flags, strict=True))


def _forward(ins: Sequence[Any], wanted: Sequence[bool], program: Program, consts: int, rule: Rule) -> Any:
    return call_forward(reverse_programs(program, tuple(wanted)), ins, CALL, "custom_vmap")


def _backward(
    kept: Any,
    ct: Any,
    out: Any,
    ins: Sequence[Any],
    wanted: Sequence[bool],
    program: Program,
    consts: int,
    rule: Rule,
) -> list[Any]:
    split = reverse_programs(program, tuple(wanted))
    params = {"name": "custom_vmap_transpose"}
    grads = iter(call_program(split.backward, [*kept, *cotangents(ct, out)], CALL, params))
    return [next(grads) if w else None for w in wanted]


CUSTOM_VMAP: Primitive = declare(
    "custom_vmap",
    _impl,
    _abstract,
    multiple=True,
    nested=True,
    batch=_batch,
    called=its_program,
)
"""Run `program`; `rule` is what `vmap` does with it. The first `consts` operands are what the function closes over."""
CUSTOM_VMAP.push, CUSTOM_VMAP.forward, CUSTOM_VMAP.backward = _push, _forward, _backward
CUSTOM_VMAP.jvp = lambda tangents, out, ins, **params: _push(ins, tangents, **params)[1]


class custom_vmap:
    """A function whose batches are computed by a rule.

    Args:
        fun: a function of pytrees of arrays.

    The rule is given to `def_vmap`: `rule(axis_size, in_batched, *args) -> (out, out_batched)`, where `in_batched` has
    a bool for each leaf of `args` (in a list with one entry per argument), batched values have the batch as their first
    axis, and `out_batched` is a prefix of `out`. Keyword arguments and defaults are given to the rule by position.
    Raises AttributeError where there is no rule, and TypeError where the rule does not return what the function does.

    >>> import numpy as np
    >>> from funcgrad import vmap
    >>> @custom_vmap
    ... def double(x):
    ...     return 2.0 * x
    >>> @double.def_vmap
    ... def rule(axis_size, in_batched, x):
    ...     print(f"a batch of {axis_size}")
    ...     return 2.0 * x, in_batched[0]
    >>> vmap(double)(np.array([1.0, 2.0]))
    a batch of 2
    array([2., 4.])
    """

    made: Any = None  # how to make it again, where its rule is not the user's

    def __init__(self, fun: Callable[..., Any]) -> None:
        check_callable(fun, "custom_vmap")
        self.fun = fun
        self.rule: Callable[..., Any] | None = None
        update_wrapper(self, fun, updated=())

    def def_vmap(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Set the rule, and return it."""
        check_callable(rule, "def_vmap")
        self.rule = rule
        return rule

    @boundary
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.rule is None:
            raise AttributeError(f"custom_vmap: no rule has been defined for {self!r} by def_vmap")
        args = _positional(self.fun, args, kwargs)
        leaves, in_tree = tree.flatten(args)
        for x in leaves:
            differentiable_leaf(x, "an argument", "custom_vmap")
        if current_trace() is None and not any(isinstance(x, Tracer) for x in leaves):
            return self.fun(*args)
        program = trace_to_program(lambda *xs: self.fun(*in_tree.unflatten(xs)), [aval_of(x) for x in leaves])
        closed, consts = close(program)
        rule = _flat_rule(self.rule, in_tree, program.out_tree, program.out_avals)
        return program.out_tree.unflatten(
            list(CUSTOM_VMAP.bind(*consts, *leaves, program=closed, consts=len(consts), rule=rule))
        )

    def __reduce_ex__(self, protocol: Any) -> Any:
        return name_of(self) or self.made or super().__reduce_ex__(protocol)

    def __repr__(self) -> str:
        return f"custom_vmap({getattr(self.fun, '__name__', self.fun)})"


def _positional(fun: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """All arguments of a call, by position, as the rule gets them: with the defaults of what is written in Python."""
    python = isinstance(fun, (FunctionType, MethodType, partial)) or isinstance(type(fun).__call__, FunctionType)
    if not python and not kwargs:
        return args
    try:
        bound = inspect.signature(fun).bind(*args, **kwargs)
    except ValueError:
        raise TypeError(f"custom_vmap: the signature of {fun!r} is not known, so it takes no keywords") from None
    if python:
        bound.apply_defaults()
    only = sorted(set(bound.kwargs) & set(kwargs))
    if only:
        raise TypeError(f"custom_vmap: {only[0]!r} can be given by keyword alone, and a rule takes none")
    return bound.args


def _flat_rule(rule: Callable[..., Any], in_tree: Any, out_tree: Any, out_avals: Sequence[ShapedArray]) -> Rule:
    def flat(size: int, batched: Sequence[bool], args: Sequence[Any]) -> tuple[list[Any], list[bool]]:
        result = rule(size, list(in_tree.unflatten(list(batched))), *in_tree.unflatten(list(args)))
        if not (isinstance(result, (tuple, list)) and len(result) == 2):
            raise ArgumentError("custom_vmap: the rule must return (out, out_batched)")
        outs, treedef = tree.flatten(result[0])
        if treedef != out_tree:
            raise ArgumentError(f"custom_vmap: the rule returns {treedef}, the function {out_tree}")
        flags = [bool(f) for f in tree.flatten_prefix(result[1], treedef, "out_batched of a custom_vmap rule")]
        for x in outs:
            differentiable_leaf(x, "an output of the rule", "custom_vmap")
        outs = [_strong(x, a) for x, a in zip(outs, out_avals, strict=True)]
        want = [ShapedArray((size, *a.shape) if f else a.shape, a.dtype) for a, f in zip(out_avals, flags, strict=True)]
        faults = tree.mismatch("out", out_tree.unflatten(want), treedef.unflatten(outs))
        if faults:
            raise ArgumentError(
                f"custom_vmap: the rule does not return a batch of {size} results of the function:\n  "
                + "\n  ".join(faults)
            )
        return outs, flags

    return flat


def _strong(x: Any, aval: ShapedArray) -> Any:
    """A Python scalar as an array of the expected dtype, if it can be; any other value as it is."""
    if is_weak(x) and not aval.weak and np.can_cast(aval_of(x).dtype, aval.dtype, "same_kind"):
        return CONVERT.bind(x, dtype=aval.dtype)
    return x


def sequential_vmap(fun: Callable[..., Any]) -> custom_vmap:
    """A function whose batches are computed one example after the other, by `lax.map`.

    >>> import numpy as np
    >>> from funcgrad import vmap
    >>> vmap(sequential_vmap(lambda x: np.sum(x**2)))(np.ones((3, 2)))
    array([2., 2., 2.])
    """
    mapped = custom_vmap(fun)
    mapped.made = sequential_vmap, (fun,)

    @mapped.def_vmap
    def rule(size: int, in_batched: Any, *args: Any) -> Any:
        leaves, treedef = tree.flatten(args)
        flags = tree.leaves(in_batched)

        def one(xs: Any) -> Any:
            given = iter(xs)
            return mapped(*treedef.unflatten([next(given) if f else x for x, f in zip(leaves, flags, strict=True)]))

        out = map_slices(one, [x for x, f in zip(leaves, flags, strict=True) if f])
        return out, True

    return mapped
