"""Forward mode: each value carries its tangent along.

>>> import numpy as np
>>> from funcgrad import jvp
>>> jvp(np.sin, (0.0,), (1.0,))
(np.float64(0.0), np.float64(1.0))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad.aliasing import Mutable, aliased, made_in, mutable, operand_of, settle, settle_all, strides_of
from funcgrad.capture import to_read
from funcgrad.core import Primitive, Trace, Tracer, current_trace, evaluate, on_behalf, put_trace, reset_trace, under
from funcgrad.errors import ArgumentError, InconclusiveRuleError, reraise, rule_failed
from funcgrad.ops.rules import alike, match_tangent
from funcgrad.source import Source, of_rule, user_source
from funcgrad.strides import Strides, is_contiguous
from funcgrad.transforms.boundary import (
    arrays_as_given,
    boundary,
    check_callable,
    differentiable_leaf,
    own_value,
    plain_leaf,
    split_aux,
)
from funcgrad.types import (
    NUMBERS,
    PYTHON_SCALARS,
    ShapedArray,
    aval_of,
    dtype_of,
    float0,
    is_a,
    is_inexact,
    shape_of,
    weak_type,
)

__all__ = ["JVPTrace", "JVPTracer", "jvp"]


@mutable
class JVPTracer(Tracer):
    """A primal and its tangent, both values of the parent trace."""

    __slots__ = ("primal", "tangent")

    def __init__(self, trace: Trace, primal: Any, tangent: Any, source: Source) -> None:
        self.owner, self.primal, self.tangent, self.source = trace, primal, tangent, source

    @property
    def aval(self) -> ShapedArray:
        return aval_of(self.primal)

    @property
    def shape(self) -> tuple[int, ...]:
        return shape_of(self.primal)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.primal.dtype if type(self.primal) not in PYTHON_SCALARS else self.aval.dtype

    @property
    def stands_for(self) -> type:
        return self.primal.__class__  # of a tracer, what that stands for

    def layout(self) -> Strides | None:
        strides = strides_of(self.primal)
        return strides if strides is not None and is_contiguous(self.shape, strides) else None

    def concrete(self, how: str | None = None) -> Any:
        return self.primal.concrete(how) if isinstance(self.primal, Tracer) else self.primal

    def unanswered(self, error: Exception) -> BaseException:
        return self.primal.unanswered(error) if isinstance(self.primal, Tracer) else super().unanswered(error)


class JVPTrace(Trace):
    """Applies each primitive to the primals, and its JVP rule to the tangents, under the parent."""

    __slots__ = ()

    def process(self, primitive: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
        primals: list[Any] = []
        tangents: list[Any] = []
        carries = False
        for a in args:
            kind = type(a)
            if kind is JVPTracer and a.owner is self:
                carries = True
                primals.append(a.primal)
                tangents.append(a.tangent)
            elif issubclass(kind, Mutable):
                args = settle_all(args)
                mine = [is_a(x, JVPTracer) and x.owner is self for x in args]
                primals = [x.primal if m else x for x, m in zip(args, mine, strict=True)]
                tangents = [x.tangent if m else None for x, m in zip(args, mine, strict=True)]
                carries = True in mine
                break
            else:
                primals.append(a)
                tangents.append(None)
        source = self.source or user_source()
        parent = self.parent
        if parent is not None:
            with on_behalf(parent, source):
                return self._below(primitive, args, primals, tangents if carries else None, params, source)
        token = put_trace(None)
        try:
            return self._below(primitive, args, primals, tangents if carries else None, params, source)
        finally:
            reset_trace(token)

    def _below(
        self,
        primitive: Primitive,
        args: Sequence[Any],
        primals: Sequence[Any],
        tangents: Sequence[Any] | None,
        params: dict[str, Any],
        source: Source,
    ) -> Any:
        """The operation, under the parent; without `tangents` it is on constants."""
        parent = self.parent
        if tangents is None:
            return made_in(self, primitive.bind(*primals, **params), args)
        if primitive.push is not None:
            out, dout = primitive.push(primals, tangents, **params)
        elif primitive.jvp is not None:
            chosen = primitive.again or primitive
            if parent is None:
                out = evaluate(chosen, primals, params, source)
            else:
                out = parent.process(chosen, primals, params)
                parent.source = of_rule(source, primitive.name)
            try:
                dout = primitive.jvp(tangents, out, primals, **params)
            except Exception as error:
                rule_failed(primitive.name, primals, error, source)
        else:
            error = InconclusiveRuleError("has no derivative in forward mode")
            reraise(primitive.name, primals, error, source)
        if not primitive.multiple:
            return self._pair(out, dout, source)
        return tuple(self._pair(o, d, source) for o, d in zip(out, dout or [None] * len(out), strict=True))

    def _pair(self, out: Any, dout: Any, source: Source) -> Any:
        if dout is None or not is_inexact(out):  # an array that the function may write to
            return aliased(settle(out), self) if shape_of(out) else out
        return JVPTracer(self, out, match_tangent(dout, out), source)


@arrays_as_given
@boundary
def jvp(
    fun: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False
) -> tuple[Any, ...]:
    """The value of a function and its derivative along a direction, in one forward pass.

    Args:
        fun: a function of pytrees of arrays.
        primals: a tuple or list of its arguments.
        tangents: the direction: like `primals`, of the same shapes and dtypes (float0 or None for integers).
        has_aux: `fun` returns a pair of its output and auxiliary data that is not differentiated.

    Returns:
        (output, output tangent), and the auxiliary data behind them with `has_aux`.

    Raises:
        TypeError: the tangents do not match the primals; the message says where.

    >>> jvp(lambda x, y: x * y, (2.0, 3.0), (1.0, 0.0))
    (6.0, 3.0)
    """
    check_callable(fun, "jvp")
    if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)):
        raise TypeError(
            "jvp: primals and tangents must be tuples or lists of arguments, "
            f"got {type(primals).__name__} and {type(tangents).__name__}"
        )
    trace = JVPTrace(current_trace())
    with under(trace):
        pairs, treedef = _leaves(tuple(primals), tuple(tangents))
        inputs = [
            to_read(x) if t is None else JVPTracer(trace, operand_of(x), operand_of(t), user_source()) for x, t in pairs
        ]
        result = fun(*treedef.unflatten(inputs))
        trace.accept()
        out, aux = split_aux(result) if has_aux else (result, None)
        leaves, out_tree = tree.flatten(out)
        out_leaves = settle_all(leaves)
        aux = tree.map(settle, aux)
    for x in out_leaves:
        differentiable_leaf(x, "an output", "jvp")
    primal_out = out_tree.unflatten([_primal(trace, x) for x in out_leaves])
    tangent_out = out_tree.unflatten([_tangent(trace, x) for x in out_leaves])
    if has_aux:
        return primal_out, tangent_out, tree.map(lambda x: _primal(trace, x), aux)
    return primal_out, tangent_out


def _leaves(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[list[tuple[Any, Any]], Any]:
    """The leaves of the primals, each with its tangent (None for a zero one), and their tree."""
    paths, treedef = tree.flatten_with_path(primals)
    try:
        given = treedef.flatten_up_to(tangents)
    except (ValueError, TypeError) as error:
        raise ArgumentError(f"jvp: tangents do not have the structure of the primals: {error}") from None
    out: list[tuple[Any, Any]] = []
    for (path, leaf), t in zip(paths, given, strict=True):
        if type(leaf) is np.ndarray and leaf.dtype.kind in "fc" and leaf.dtype in NUMBERS and alike(leaf, t):
            out.append((leaf, t))
            continue
        name = f"primals{tree.keystr(path)}"
        x = plain_leaf(leaf, name, "jvp")
        if not is_inexact(x):
            if t is not None and getattr(t, "dtype", None) != float0:
                raise TypeError(f"jvp: {name} is {aval_of(x)}, whose tangent has dtype float0; got {aval_of(t)}")
            out.append((x, None))
            continue
        t = plain_leaf(t, f"the tangent of {name}", "jvp")
        want, have = aval_of(x), aval_of(t)
        if want.shape != have.shape or (want.dtype != have.dtype and not have.weak and not want.weak):
            raise ArgumentError(f"jvp: the tangent of {name} must be {want} like the primal, got {have}")
        out.append((x, match_tangent(t, x)))
    return out, treedef


def _primal(trace: Trace, x: Any) -> Any:
    value = x.primal if isinstance(x, JVPTracer) and x.owner is trace else x
    return own_value(value)


def _tangent(trace: Trace, x: Any) -> Any:
    if isinstance(x, JVPTracer) and x.owner is trace:
        return own_value(x.tangent)
    if not is_inexact(x):
        return np.zeros(shape_of(x), float0)
    return weak_type(dtype_of(x))(0) if type(x) in PYTHON_SCALARS else np.zeros(shape_of(x), dtype_of(x))
