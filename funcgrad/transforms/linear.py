"""Linear functions as programs: `linearize` and `linear_transpose`.

`linearize` records the function once at a point, and then the tangents' way through the recorded equations, abstractly:
what comes out is a program that is linear in the tangents, with the values of the primal pass as its constants.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad.core import current_trace, on_behalf
from funcgrad.errors import ArgumentError, rule_failed
from funcgrad.ir import Program
from funcgrad.ops.rules import match_tangent
from funcgrad.ops.shape import CONVERT
from funcgrad.record import RecordTracer
from funcgrad.source import of_rule
from funcgrad.transforms.boundary import (
    argument_name,
    arrays_as_given,
    boundary,
    boundary_of,
    check_callable,
    differentiable_leaf,
    own_value,
    plain_leaf,
)
from funcgrad.transforms.linearity import record_linear
from funcgrad.transforms.make_ir import trace_to_program
from funcgrad.transforms.vjp import Recording, pullback_of, record_function, snapshot, zero_like
from funcgrad.types import ShapedArray, aval_of, dtype_of, float0, is_inexact, shape_of

__all__ = ["Linear", "linear_transpose", "linearize"]


class Linear:
    """A linear function that is a program: call it on tangents, print it.

    Attributes:
        program: from the flat input tangents to the flat output tangents, those of what is not inexact left out.
        fixed: such tangents of the output, by position.
        still: such arguments, by position.
    """

    __slots__ = ("fixed", "in_tree", "name", "out_tree", "program", "still")

    def __init__(
        self,
        program: Program,
        in_tree: Any,
        out_tree: Any,
        name: str,
        fixed: dict[int, Any],
        still: dict[int, ShapedArray],
    ) -> None:
        self.program, self.in_tree, self.out_tree, self.name = program, in_tree, out_tree, name
        self.fixed, self.still = fixed, still

    @arrays_as_given
    @boundary
    def __call__(self, *tangents: Any) -> Any:
        try:
            leaves = self.in_tree.flatten_up_to(tangents)
        except (ValueError, TypeError) as error:
            raise ArgumentError(
                f"{self.name}: the tangents do not have the structure of the primals: {error}"
            ) from None
        for i, aval in self.still.items():
            if dtype_of(leaves[i]) != float0 or shape_of(leaves[i]) != aval.shape:
                raise ArgumentError(
                    f"{self.name}: the tangent of a {aval} is np.zeros({aval.shape}, funcgrad.dtypes.float0), got "
                    f"{aval_of(leaves[i])}"
                )
        matched: list[Any] = []
        moving = [x for i, x in enumerate(leaves) if i not in self.still]
        for given, var in zip(moving, self.program.inputs, strict=True):
            t, want = plain_leaf(given, "a tangent", self.name), var.aval
            if shape_of(t) != want.shape or not np.can_cast(dtype_of(t), want.dtype, "same_kind"):
                raise ArgumentError(f"{self.name}: expected a tangent {want}, got {aval_of(t)}")
            matched.append(t if want.weak or dtype_of(t) == want.dtype else CONVERT.bind(t, dtype=want.dtype))
        found = iter(self.program(*matched))
        n = len(self.program.outputs) + len(self.fixed)
        leaves = [self.fixed[i] if i in self.fixed else next(found) for i in range(n)]
        return self.out_tree.unflatten([own_value(x) for x in leaves])

    def __repr__(self) -> str:
        return f"{self.name} of\n{self.program}"


def _push(recording: Recording, tangents: list[Any]) -> list[Any]:
    """The output tangents, of those of the inexact inputs: one JVP rule per recorded equation, in order."""
    inputs = [t for t in recording.inputs if is_inexact(t.value)]
    found: dict[int, Any] = {id(t): tan for t, tan in zip(inputs, tangents, strict=True)}
    trace = current_trace()
    for eqn in recording.equations:
        ts = [found.get(id(a)) if isinstance(a, RecordTracer) else None for a in eqn.inputs]
        if all(t is None for t in ts):
            continue
        outs = [t.value for t in eqn.outputs]
        rule: Any = eqn.primitive.jvp
        try:
            with on_behalf(trace, of_rule(eqn.source, eqn.primitive.name)):
                result = rule(ts, outs if eqn.primitive.multiple else outs[0], eqn.values, **eqn.params)
        except Exception as error:
            rule_failed(eqn.primitive.name, eqn.values, error, eqn.source)
        douts = (result or [None] * len(outs)) if eqn.primitive.multiple else [result]
        for tracer, out, d in zip(eqn.outputs, outs, douts, strict=True):
            if d is not None and is_inexact(out):
                found[id(tracer)] = match_tangent(d, out)
    return [_output_tangent(recording, x, found) for x in recording.outputs if is_inexact(recording.value(x))]


def _output_tangent(recording: Recording, x: Any, found: dict[int, Any]) -> Any:
    t = found.get(id(x)) if isinstance(x, RecordTracer) else None
    return zero_like(recording.value(x)) if t is None else t


@arrays_as_given
@boundary_of("run_linearize")
def linearize(fun: Callable[..., Any], *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """The value of a function, and its derivative as a linear function of tangents.

    The primal pass is done once, however often the linear function is called.

    Args:
        fun: a function of pytrees of floating or complex arrays.
        *primals: its arguments.
        has_aux: `fun` returns a pair of its output and auxiliary data.

    Returns:
        (output, linear function), and the auxiliary data with `has_aux`. The linear function takes tangents like
        `primals`; that of an integer, a boolean or a random key has dtype float0. Its `program` is the IR that it runs.

    >>> y, push = linearize(lambda x: np.sin(x) * x, 0.5)
    >>> bool(np.isclose(push(1.0), np.sin(0.5) + 0.5 * np.cos(0.5)))
    True
    """
    check_callable(fun, "linearize")
    paths, in_tree = tree.flatten_with_path(primals)
    for path, x in paths:
        differentiable_leaf(x, partial(argument_name, fun, path), "linearize")
    with record_function(fun, [x for _, x in paths], in_tree, has_aux, reverse=False) as recording:
        snapshot(recording)
    out = recording.out_tree.unflatten([own_value(recording.value(x)) for x in recording.outputs])
    avals = [aval_of(t.value) for t in recording.inputs]
    still = {i: a for i, a in enumerate(avals) if not is_inexact(a)}
    program = trace_to_program(
        lambda *tangents: _push(recording, list(tangents)), [a for i, a in enumerate(avals) if i not in still]
    )
    values = [recording.value(x) for x in recording.outputs]
    fixed = {i: zero_like(x) for i, x in enumerate(values) if not is_inexact(x)}
    push = Linear(program, in_tree, recording.out_tree, "linear function", fixed, still)
    return (out, push, tree.map(lambda x: own_value(recording.value(x)), recording.aux)) if has_aux else (out, push)


def linear_transpose(fun: Callable[..., Any], *primals: Any) -> Callable[..., tuple[Any, ...]]:
    """The transpose of a function that is linear in its arguments.

    Args:
        fun: a linear function of pytrees of arrays.
        *primals: arrays or ShapeDtypeStructs: only shapes and dtypes matter.

    Returns:
        A function from a cotangent of the output to a tuple, one cotangent per primal.

    Raises:
        NotLinearError: (when called) the function is seen not to be linear.

    >>> (ct,) = linear_transpose(lambda x: np.array([[1.0, 2.0], [3.0, 4.0]]) @ x, ShapedArray((2,), float))(np.ones(2))
    >>> ct
    array([4., 6.])
    """
    check_callable(fun, "linear_transpose")

    def zeros(x: Any) -> Any:
        aval = aval_of(x)
        return aval.dtype.type(0).item() if aval.weak else np.zeros(aval.shape, aval.dtype)

    @arrays_as_given
    @boundary
    def transposed(ct: Any) -> tuple[Any, ...]:
        # A linear function has the same derivative everywhere.
        leaves, in_tree = tree.flatten(tree.map(zeros, primals))
        recording, _ = record_linear(
            fun, leaves, in_tree, "linear_transpose: the function must be linear in its arguments", lambda outs: outs
        )
        for x in recording.outputs:
            differentiable_leaf(x, "an output", "linear_transpose")
        return pullback_of(recording, in_tree)(ct)

    return transposed
