"""Linear functions as programs: `linearize` and `linear_transpose`.

`linearize` records the function once at a point, and then the tangents' way through the recorded equations, abstractly:
what comes out is a program that is linear in the tangents, with the values of the primal pass as its constants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import funcgrad.tree as tree
from funcgrad.core import current_trace, on_behalf, under
from funcgrad.errors import ArgumentError, rule_failed
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
from funcgrad.transforms.call import close
from funcgrad.transforms.lifted import Lifted, run_body
from funcgrad.transforms.linear_function import Body, LinearFunction, body_of
from funcgrad.transforms.linearity import record_linear
from funcgrad.transforms.make_ir import trace_to_program
from funcgrad.transforms.pullback import Cotangents, apply_pullback, pullback_of
from funcgrad.transforms.vjp import Recording, record_function, snapshot, zero_like
from funcgrad.types import ShapedArray, aval_of, dtype_of, float0, is_inexact, shape_of

__all__ = ["linear_transpose", "linearize"]


class Tangents(NamedTuple):
    """What is known of the two sides of a linear function that `linearize` makes.

    Its flat arguments are the tangents of inexact inputs, its results those of inexact outputs.
    """

    in_tree: Any
    out_tree: Any
    in_avals: tuple[ShapedArray, ...]
    out_avals: tuple[ShapedArray, ...]

    def take(self, tangents: tuple[Any, ...]) -> list[Any]:
        """The flat arguments; raises TypeError for what does not fit."""
        try:
            leaves = self.in_tree.flatten_up_to(tangents)
        except (ValueError, TypeError) as error:
            raise ArgumentError(f"{_NAME}: the tangents do not have the structure of the primals: {error}") from None
        matched: list[Any] = []
        for given, want in zip(leaves, self.in_avals, strict=True):
            if not is_inexact(want):
                if dtype_of(given) != float0 or shape_of(given) != want.shape:
                    raise ArgumentError(
                        f"{_NAME}: the tangent of a {want} is np.zeros({want.shape}, funcgrad.dtypes.float0), got "
                        f"{aval_of(given)}"
                    )
                continue
            t = plain_leaf(given, "a tangent", _NAME)
            if shape_of(t) != want.shape or not np.can_cast(dtype_of(t), want.dtype, "same_kind"):
                raise ArgumentError(f"{_NAME}: expected a tangent {want}, got {aval_of(t)}")
            matched.append(t if want.weak or dtype_of(t) == want.dtype else CONVERT.bind(t, dtype=want.dtype))
        return matched

    def put(self, results: Sequence[Any]) -> Any:
        """The tangent of the output."""
        found = iter(results)
        return self.out_tree.unflatten(
            [own_value(next(found)) if is_inexact(a) else zero_like(a) for a in self.out_avals]
        )


_NAME = "linear function"


@arrays_as_given
@boundary
def _apply(body: Body, residuals: Sequence[Any], *tangents: Any) -> Any:
    sides: Any = body.sides
    return sides.put(run_body(body, residuals, sides.take(tangents)))


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
    in_avals = tuple(aval_of(t.value) for t in recording.inputs)
    out_avals = tuple(aval_of(recording.value(x)) for x in recording.outputs)
    sides = Tangents(in_tree, recording.out_tree, in_avals, out_avals)
    moving = [a for a in in_avals if is_inexact(a)]
    program = trace_to_program(lambda *tangents: _push(recording, list(tangents)), moving)

    @arrays_as_given
    @boundary
    def push(*tangents: Any) -> Any:
        return sides.put(program(*sides.take(tangents)))

    @boundary_of(None)
    def parts() -> tuple[tuple[Any, ...], Body]:
        lifted = Lifted(recording)
        with under(lifted.record):
            tangents = list(map(lifted.record.input, moving))
            results = _push(lifted.recording, tangents)
        return lifted.parts(tangents, results, _NAME, sides, _apply)

    def again() -> Any:
        return _made_again, (fun, has_aux, in_tree, [t.value for t in recording.inputs])

    linear = LinearFunction(push, _NAME, parts, again, program)
    return (out, linear, tree.map(lambda x: own_value(recording.value(x)), recording.aux)) if has_aux else (out, linear)


def _made_again(fun: Callable[..., Any], has_aux: bool, in_tree: Any, leaves: Sequence[Any]) -> Any:
    return linearize(fun, *in_tree.unflatten(leaves), has_aux=has_aux)[1]


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
        return pullback_of(recording, in_tree, fun)(ct)

    @boundary_of(None)
    def parts() -> tuple[tuple[Any, ...], Body]:
        of_fun = trace_to_program(fun, primals, "linear_transpose")
        out_avals = tuple(map(aval_of, of_fun.outputs))
        whole = trace_to_program(lambda *cts: transposed(of_fun.out_tree.unflatten(cts)), out_avals)
        closed, consts = close(whole)
        in_avals = tuple(of_fun.in_avals)
        sides = Cotangents(of_fun.in_tree, of_fun.out_tree, in_avals, out_avals, (True,) * len(in_avals))
        return tuple(consts), body_of("transpose", closed, len(consts), sides, apply_pullback)

    return LinearFunction(transposed, "transpose", parts, lambda: (linear_transpose, (fun, *primals)))
