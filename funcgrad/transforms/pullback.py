"""`vjp`: the value of a function and its pullback, which is a pytree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import funcgrad.tree as tree
from funcgrad.core import under
from funcgrad.errors import ArgumentError
from funcgrad.ops.rules import match_cotangent
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
from funcgrad.transforms.lifted import Lifted, run_body
from funcgrad.transforms.linear_function import Body, LinearFunction
from funcgrad.transforms.vjp import Recording, backward, record_function, snapshot, zero_like
from funcgrad.types import ShapedArray, aval_of, is_inexact

__all__ = ["Cotangents", "apply_pullback", "pullback_of", "vjp"]


@arrays_as_given
@boundary_of("run_vjp")
def vjp(fun: Callable[..., Any], *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """The value of a function, and its pullback: the function from output cotangents to input cotangents.

    Args:
        fun: a function of pytrees of arrays.
        *primals: its arguments.
        has_aux: `fun` returns a pair of its output and auxiliary data that is not differentiated.

    Returns:
        (output, pullback), and the auxiliary data behind them with `has_aux`. `pullback(ct)` takes a cotangent of the
        structure, shapes and dtypes of the output and returns a tuple, one cotangent per primal. It can be called any
        number of times. What it needs is kept as copies: the arguments may be written to afterwards. It is a pytree,
        whose leaves are the values that it reads: it can be returned from a function under `jit` or `vmap`.

    Raises:
        TypeError: an argument holds something that is no array, or a cotangent does not match the output.

    >>> y, pullback = vjp(lambda x, y: x * y, 2.0, 3.0)
    >>> y, pullback(1.0)
    (6.0, (3.0, 2.0))
    """
    check_callable(fun, "vjp")
    paths, in_tree = tree.flatten_with_path(primals)
    for path, x in paths:
        differentiable_leaf(x, partial(argument_name, fun, path), "vjp")
    with record_function(fun, [x for _, x in paths], in_tree, has_aux) as recording:
        snapshot(recording)
    for x in recording.outputs:
        differentiable_leaf(x, "an output", "vjp")
    outputs = [own_value(recording.value(x)) for x in recording.outputs]
    out = recording.out_tree.unflatten(outputs)

    pullback = pullback_of(recording, in_tree, fun, has_aux)
    if has_aux:
        return out, pullback, tree.map(lambda x: own_value(recording.value(x)), recording.aux)
    return out, pullback


class Cotangents(NamedTuple):
    """What is known of the two sides of a pullback; `found` says which cotangents of the inputs are not zero."""

    in_tree: Any
    out_tree: Any
    in_avals: tuple[ShapedArray, ...]
    out_avals: tuple[ShapedArray, ...]
    found: tuple[bool, ...]


def pullback_of(recording: Recording, in_tree: Any, fun: Callable[..., Any], has_aux: bool = False) -> LinearFunction:
    """The function from a cotangent of a recording's output to those of its inputs."""
    made = recording, in_tree, fun, has_aux
    return LinearFunction(
        partial(_pull, recording, in_tree), "pullback", partial(_parts, *made), partial(_again, *made)
    )


@arrays_as_given
@boundary
def _pull(recording: Recording, in_tree: Any, ct: Any) -> tuple[Any, ...]:
    cts = _cotangent_leaves(recording.out_tree, list(map(recording.value, recording.outputs)), ct)
    grads = recording.pull(cts)
    filled = [zero_like(t.value) if g is None else g for g, t in zip(grads, recording.inputs, strict=True)]
    return in_tree.unflatten(filled)


@boundary_of(None)
def _parts(recording: Recording, in_tree: Any, *_: Any) -> tuple[tuple[Any, ...], Body]:
    lifted = Lifted(recording)
    out_avals = tuple(aval_of(recording.value(x)) for x in recording.outputs)
    with under(lifted.record):
        cts = [lifted.record.input(a) if is_inexact(a) else None for a in out_avals]
        grads = backward(lifted.recording, cts, False)
    in_avals = tuple(aval_of(t.value) for t in recording.inputs)
    sides = Cotangents(in_tree, recording.out_tree, in_avals, out_avals, tuple(g is not None for g in grads))
    args, results = [c for c in cts if c is not None], [g for g in grads if g is not None]
    return lifted.parts(args, results, "pullback", sides, apply_pullback)


def _again(recording: Recording, in_tree: Any, fun: Callable[..., Any], has_aux: bool) -> Any:
    return _made_again, (fun, has_aux, in_tree, [t.value for t in recording.inputs])


def _made_again(fun: Callable[..., Any], has_aux: bool, in_tree: Any, leaves: Sequence[Any]) -> Any:
    return vjp(fun, *in_tree.unflatten(leaves), has_aux=has_aux)[1]


@arrays_as_given
@boundary
def apply_pullback(body: Body, residuals: Sequence[Any], ct: Any) -> Any:
    """The cotangents of the inputs, by a pullback that was rebuilt from its leaves."""
    sides: Any = body.sides
    cts = _cotangent_leaves(sides.out_tree, sides.out_avals, ct)
    grads = iter(run_body(body, residuals, [c for c in cts if c is not None]))
    return sides.in_tree.unflatten(
        [own_value(next(grads)) if f else zero_like(a) for f, a in zip(sides.found, sides.in_avals, strict=True)]
    )


def _cotangent_leaves(out_tree: Any, outputs: Sequence[Any], ct: Any) -> list[Any]:
    """Cotangents of the flat outputs, which are values or avals; None for those that have none."""
    try:
        leaves = out_tree.flatten_up_to(ct)
    except (ValueError, TypeError) as error:
        raise ArgumentError(f"pullback: the cotangent does not have the structure of the output: {error}") from None
    out: list[Any] = []
    for value, given in zip(outputs, leaves, strict=True):
        if not is_inexact(value):
            out.append(None)
            continue
        try:
            given = plain_leaf(given, "the cotangent", "pullback")
        except TypeError as error:
            raise ArgumentError(str(error)) from None
        want, have = aval_of(value), aval_of(given)
        if want.shape != have.shape or not np.can_cast(have.dtype, want.dtype, "same_kind"):
            raise ArgumentError(f"pullback: the output is {want}, so its cotangent must be; got {have}")
        out.append(match_cotangent(given, value))
    return out
