"""`vmap`: a function of one example becomes a function of a batch, with no loop.

A batched value keeps its batch axis first; each primitive's batching rule says what it does to such values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ParamSpec, TypeVar

import numpy as np

import funcgrad.tree as tree
from funcgrad.aliasing import Mutable, made_in, mutable, operand_of, settle, settle_all, strides_of
from funcgrad.capture import to_read
from funcgrad.core import Primitive, Trace, Tracer, current_trace, on_behalf, put_trace, reset_trace, under
from funcgrad.errors import ConcretizationTypeError, InconclusiveRuleError, UnexpectedTracerError, reraise
from funcgrad.ir import crosses
from funcgrad.source import Source, user_source
from funcgrad.strides import Strides, is_contiguous
from funcgrad.transforms.boundary import argument_name, arrays_as_given, boundary, check_callable, plain_leaf
from funcgrad.transforms.transformed import transformed
from funcgrad.types import ShapedArray, aval_of, float0, is_a, shape_of
from funcgrad.watched import depends_on_values

__all__ = ["BatchTrace", "BatchTracer", "vmap"]

P = ParamSpec("P")
R = TypeVar("R")


@mutable
class BatchTracer(Tracer):
    """One example of a batch: `value`, of the parent trace, has the batch as its first axis."""

    __slots__ = ("value",)
    weak = False  # type: ignore[assignment]  # many numbers are an array

    def __init__(self, trace: Trace, value: Any, source: Source) -> None:
        self.owner, self.value, self.source = trace, value, source

    @property
    def aval(self) -> ShapedArray:
        return ShapedArray(self.value.shape[1:], self.value.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape[1:]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.value.dtype

    @property
    def stands_for(self) -> type:
        return np.ndarray if len(self.value.shape) > 1 else self.value.dtype.type

    def layout(self) -> Strides | None:
        strides = strides_of(self.value)
        if strides is None or not is_contiguous(self.shape, strides[1:]):
            return None  # a batching rule may leave its result in another order than that of each example
        return strides[1:]

    def concrete(self, how: str | None = None) -> None:
        return None  # it stands for every example at once

    @property
    def differentiated(self) -> bool:
        return isinstance(self.value, Tracer) and self.value.differentiated


class BatchTrace(Trace):
    """Applies each primitive's batching rule, under the parent.

    Attributes:
        size: the number of examples.
        axis_name: what collectives call the batch axis.
    """

    __slots__ = ("axis_name", "size")

    def __init__(self, parent: Trace | None, size: int, axis_name: Any = None) -> None:
        super().__init__(parent)
        self.size, self.axis_name, self.border = size, axis_name, "error"
        if axis_name is not None:
            self.axes = (*self.axes, (axis_name, size))

    def process(self, primitive: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
        values: list[Any] = []
        mine: list[bool] = []
        for a in args:
            kind = type(a)
            if kind is BatchTracer and a.owner is self:
                values.append(a.value)
                mine.append(True)
            elif issubclass(kind, Mutable):
                args = settle_all(args)
                mine = [is_a(x, BatchTracer) and x.owner is self for x in args]
                values = [x.value if m else x for x, m in zip(args, mine, strict=True)]
                break
            else:
                values.append(a)
                mine.append(False)
        source = self.source or user_source()
        parent = self.parent
        if parent is not None:
            with on_behalf(parent, source):
                return self._below(primitive, args, values, mine, params, source)
        token = put_trace(None)
        try:
            return self._below(primitive, args, values, mine, params, source)
        finally:
            reset_trace(token)

    def _below(
        self,
        primitive: Primitive,
        args: Sequence[Any],
        values: list[Any],
        mine: list[bool],
        params: dict[str, Any],
        source: Source,
    ) -> Any:
        """The operation, under the parent."""
        crossing = self.axis_name is not None and crosses(primitive, params, self.axis_name)
        if True not in mine and not crossing:
            return made_in(self, primitive.bind(*values, **params), args)
        if crossing and primitive.collective is not None:
            out, batched = primitive.collective(values, mine, self.size, **params)
            return BatchTracer(self, out, source) if batched else out
        out = self._batched(primitive, values, mine, params, source)
        if primitive.multiple:
            return tuple(BatchTracer(self, o, source) for o in out)
        return BatchTracer(self, out, source)

    def _batched(
        self, primitive: Primitive, values: list[Any], mine: list[bool], params: dict[str, Any], source: Source
    ) -> Any:
        if primitive.batch is None:
            error = InconclusiveRuleError("has no batching rule")
            reraise(primitive.name, values, error, source)
        more = {"axis_name": self.axis_name} if primitive.nested else {}
        try:
            return primitive.batch(values, mine, self.size, **more, **params)
        except UnexpectedTracerError:  # which depends on no value
            raise
        except Exception as error:
            # One example's error is not that of all: a function that catches it goes on for none of them.
            if isinstance(error, ConcretizationTypeError) or self._depends(primitive, values, mine, params):
                self.refuse(error)
            raise

    def _depends(self, primitive: Primitive, values: list[Any], mine: list[bool], params: dict[str, Any]) -> bool:
        """Whether an operation that has raised would not do so for other values."""
        avals = [ShapedArray(v.shape[1:], v.dtype) if m else v for v, m in zip(values, mine, strict=True)]
        return depends_on_values(primitive, avals, params)


def vmap(
    fun: Callable[P, R],
    in_axes: Any = 0,
    out_axes: Any = 0,
    axis_name: Any = None,
    axis_size: int | None = None,
    spmd_axis_name: Any = None,
) -> Callable[P, R]:
    """A function that maps `fun` over an axis of its arguments, vectorised.

    Args:
        fun: a function of pytrees of arrays.
        in_axes: which axis of each argument to map over: an integer, None for an argument that is the same for all
            examples, or a tuple with one entry (itself possibly a pytree prefix) per argument. Keyword arguments are
            mapped over their first axis.
        out_axes: where the batch axis goes in the outputs: an integer, or a pytree prefix of the output; None for an
            output that does not depend on the example.
        axis_name: a name for the axis, by which collectives such as `lax.psum` refer to it.
        axis_size: the number of examples; needed only where no argument is mapped.
        spmd_axis_name: accepted for JAX's sake.

    Raises:
        Exception: one that the function has caught, of an operation that failed for some of the examples, or of a
            question (`if x > 0`) that has no answer: what it did then is not what it would do for each example.
        ValueError: the mapped axes differ in size (the message says which leaf has which), an axis is out of range, or
            an output that depends on the example has None in `out_axes`.

    >>> import numpy as np
    >>> vmap(np.dot, in_axes=(0, None))(np.eye(2), np.array([3.0, 4.0]))
    array([3., 4.])
    """
    check_callable(fun, "vmap")
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)
    if is_a(in_axes, bool) or not (in_axes is None or is_a(in_axes, (int, np.integer, tuple))):
        raise TypeError(f"vmap: in_axes is an integer, None, or a tuple with an entry per argument, got {in_axes!r}")

    @transformed(vmap, fun, in_axes=in_axes, out_axes=out_axes, axis_name=axis_name, axis_size=axis_size)
    @arrays_as_given
    @boundary
    def vmap_fun(*args: Any, **kwargs: Any) -> Any:
        paths, in_tree = tree.flatten_with_path((args, kwargs))
        axes = tree.flatten_prefix((in_axes, 0), (args, kwargs), "vmap in_axes")
        leaves = _leaves(fun, paths, axes)
        size = _batch_size(fun, paths, leaves, axes, axis_size)
        trace = BatchTrace(current_trace(), size, axis_name)
        source = user_source()
        inputs = [
            to_read(x) if axis is None else BatchTracer(trace, _batch_first(x, axis), source)
            for x, axis in zip(leaves, axes, strict=True)
        ]
        with under(trace):
            given, named = in_tree.unflatten(inputs)
            out: Any = fun(*given, **named)  # pyright: ignore
            trace.accept()
            paths, out_tree = tree.flatten_with_path(out)
            out_paths = [(path, settle(x)) for path, x in paths]
        places = tree.flatten_prefix(out_axes, out, "vmap out_axes")
        results = [_output(trace, *item) for item in zip(out_paths, places, strict=True)]
        return out_tree.unflatten(_own(results, leaves))

    return vmap_fun


def _leaves(fun: Callable[..., Any], paths: Sequence[tuple[Any, Any]], axes: Sequence[Any]) -> list[Any]:
    leaves: list[Any] = []
    for (path, x), axis in zip(paths, axes, strict=True):
        name = partial(argument_name, fun, path[1:])
        if axis is not None:
            x = plain_leaf(x, name, "vmap")
            ndim = len(shape_of(x))
            if not is_a(axis, (int, np.integer)):
                raise TypeError(f"vmap: in_axes must be integers or None, got {axis!r} for {name()}")
            if not -ndim <= axis < ndim:
                raise ValueError(f"vmap: {name()} is {aval_of(x)}, which has no axis {axis}; give in_axes=None for it?")
        leaves.append(x)
    return leaves


def _batch_first(x: Any, axis: int) -> Any:
    """The batch, along its first axis. A plain array that is so already stays itself: passes know some by identity."""
    return x if axis == 0 and type(x) is np.ndarray else operand_of(np.moveaxis(x, axis, 0))


def _batch_size(fun: Any, paths: Any, leaves: Sequence[Any], axes: Sequence[Any], axis_size: int | None) -> int:
    found = {shape_of(x)[axis] for x, axis in zip(leaves, axes, strict=True) if axis is not None}
    if axis_size is not None:
        found.add(axis_size)
    if len(found) == 1:
        return found.pop()
    if not found:
        raise ValueError("vmap: no argument is mapped (all in_axes are None): give axis_size")
    sizes = [] if axis_size is None else [f"axis_size is {axis_size}"]
    sizes += [
        f"{argument_name(fun, path[1:])} has size {shape_of(x)[axis]} along axis {axis} of {shape_of(x)}"
        for (path, _), x, axis in zip(paths, leaves, axes, strict=True)
        if axis is not None
    ]
    raise ValueError("vmap: the mapped axes differ in size:\n  " + "\n  ".join(sizes))


def _output(trace: BatchTrace, path_and_value: tuple[Any, Any], axis: Any) -> Any:
    path, x = path_and_value
    name = f"output{tree.keystr(path)}"
    if isinstance(x, BatchTracer) and x.owner is trace:
        if axis is None:
            raise ValueError(f"vmap: {name} depends on the example, so out_axes cannot be None for it")
        ndim = len(shape_of(x.value))
        if not -ndim <= axis < ndim:
            raise ValueError(f"vmap: {name} is {x.aval}, and cannot get a batch axis at {axis}")
        return np.moveaxis(x.value, 0, axis)
    if axis is None:
        return x
    if getattr(x, "dtype", None) != float0:
        x = plain_leaf(x, name, "vmap")
    same: Any = x if isinstance(x, Tracer) else np.asarray(x)
    ndim = len(shape_of(same)) + 1
    if not -ndim <= axis < ndim:
        raise ValueError(f"vmap: {name} is {aval_of(x)}, and cannot get a batch axis at {axis}")
    return np.moveaxis(np.broadcast_to(same, (trace.size, *shape_of(same))), 0, axis)


def _own(results: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
    """Results that can be written to without changing anything else, or each other."""
    others = [x for x in inputs if is_a(x, np.ndarray)]
    out: list[Any] = []
    for x in results:
        if is_a(x, np.ndarray):
            if not x.flags.writeable or any(np.may_share_memory(x, y) for y in others):
                x = x.copy()
            others.append(x)
        out.append(x)
    return out
