"""Calls out of a program into plain Python: `pure_callback` and `io_callback`; and names for parts of programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ContextDecorator
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad._array import unwrap
from funcgrad.core import Primitive, under
from funcgrad.errors import InconclusiveRuleError
from funcgrad.numpy._dispatch import operand
from funcgrad.ops.rules import declare
from funcgrad.types import ShapedArray, aval_of, is_a, shape_of

__all__ = ["io_callback", "named_call", "named_scope", "of_the_host", "pure_callback", "typeof"]


class _Call:
    """A function of pytrees as one of flat arrays, whose results have given shapes and dtypes."""

    __slots__ = ("avals", "fun", "in_tree", "method", "out_tree", "what")

    def __init__(self, what: str, fun: Any, in_tree: Any, out_tree: Any, avals: Any, method: str | None) -> None:
        self.what, self.fun, self.in_tree, self.out_tree = what, fun, in_tree, out_tree
        self.avals, self.method = avals, method

    @property
    def __name__(self) -> str:
        return getattr(self.fun, "__name__", type(self.fun).__name__)

    def __call__(self, arrays: Sequence[Any], batch: tuple[int, ...] = ()) -> tuple[Any, ...]:
        args, kwargs = self.in_tree.unflatten([np.array(x) for x in arrays])
        with under(None):
            result = self.fun(*args, **kwargs)
        try:
            leaves = self.out_tree.flatten_up_to(result)
        except (ValueError, TypeError) as error:
            raise TypeError(f"{self.what}: {self.__name__} did not return what was announced: {error}") from None
        out: list[Any] = []
        for x, aval in zip(leaves, self.avals, strict=True):
            x = np.asarray(unwrap(x))
            if x.shape != (*batch, *aval.shape) or not np.can_cast(x.dtype, aval.dtype, "same_kind"):
                raise TypeError(
                    f"{self.what}: {self.__name__} returned {ShapedArray(x.shape, x.dtype)}, and "
                    f"{ShapedArray((*batch, *aval.shape), aval.dtype)} was announced"
                )
            out.append(x.astype(aval.dtype, copy=True))
        return tuple(out)


def _impl(*args: Any, call: _Call, batch: tuple[int, ...] = ()) -> tuple[Any, ...]:
    return call(args, batch)


def _avals(*avals: Any, call: _Call, batch: tuple[int, ...] = ()) -> tuple[ShapedArray, ...]:
    return tuple(ShapedArray((*batch, *a.shape), a.dtype) for a in call.avals)


def _batched(primitive: Callable[[], Primitive]) -> Callable[..., Any]:
    def rule(
        args: Sequence[Any], batched: Sequence[bool], size: int, call: _Call, batch: tuple[int, ...] = ()
    ) -> tuple[Any, ...]:
        method = call.method
        if method is None:
            raise InconclusiveRuleError(
                f'{call.what}: give vmap_method, since it is not known how {call.__name__} takes a batch: "sequential" '
                '(one example after the other), "expand_dims" or "broadcast_all" (all at once)'
            )
        if method in ("expand_dims", "broadcast_all"):
            n = size if method == "broadcast_all" else 1
            xs = [
                x if b else np.broadcast_to(x, (n, *shape_of(x))) if method == "broadcast_all" else x[None]
                for x, b in zip(args, batched, strict=True)
            ]
            return primitive().bind(*xs, call=call, batch=(size, *batch))
        if not size:
            return tuple(np.zeros((0, *batch, *a.shape), a.dtype) for a in call.avals)
        rows = [
            primitive().bind(*(x[i] if b else x for x, b in zip(args, batched, strict=True)), call=call, batch=batch)
            for i in range(size)
        ]
        return tuple(np.stack(column) for column in zip(*rows, strict=True))

    return rule


def _no_derivative(*args: Any, **kwargs: Any) -> Any:
    raise InconclusiveRuleError(
        "what a callback computes is not known, so it has no derivative: call it in a function with custom_jvp or "
        "custom_vjp, or on stop_gradient(x)"
    )


PURE = declare("pure_callback", _impl, _avals, jvp=_no_derivative, vjp=_no_derivative, multiple=True, fails=True,
               batch=_batched(lambda: PURE))  # fmt: skip
"""Call a function of arrays; it may be called more or less often than the program says."""
IO = declare("io_callback", _impl, _avals, jvp=_no_derivative, vjp=_no_derivative, multiple=True, fails=True,
             effect=True, batch=_batched(lambda: IO))  # fmt: skip
"""The same, in order and as often as the program says."""


def of_the_host(primitive: Primitive) -> bool:
    """Whether an operation calls Python code with NumPy's arrays, which other devices have to copy there for it."""
    return primitive.effect or primitive is PURE


_METHODS = (None, "sequential", "sequential_unrolled", "expand_dims", "broadcast_all", "legacy_vectorized")


def _called(primitive: Primitive, what: str, fun: Any, results: Any, args: Any, kwargs: Any, method: str | None) -> Any:
    if not callable(fun):
        raise TypeError(f"{what} takes a function, got {type(fun).__name__}")
    if method not in _METHODS:
        raise ValueError(f"{what}: vmap_method {method!r} is not among {', '.join(map(repr, _METHODS))}")
    specs, out_tree = tree.flatten(results)
    avals = tuple(ShapedArray(tuple(s.shape), s.dtype) if not is_a(s, ShapedArray) else s for s in specs)
    leaves, in_tree = tree.flatten((args, kwargs))
    method = {"legacy_vectorized": "broadcast_all"}.get(method or "", method)
    call = _Call(what, fun, in_tree, out_tree, avals, method)
    return out_tree.unflatten(primitive.bind(*map(operand, leaves), call=call, batch=()))


def pure_callback(
    callback: Callable[..., Any],
    result_shape_dtypes: Any,
    *args: Any,
    sharding: Any = None,
    vmap_method: str | None = None,
    **kwargs: Any,
) -> Any:
    """What a plain Python function gives, as an operation of a program.

    Args:
        callback: a function of NumPy arrays without side effects; it may be called more or less often than the program
            says.
        result_shape_dtypes: a pytree of `ShapeDtypeStruct` (or arrays): what it returns.
        *args, **kwargs: pytrees of arrays; `callback` gets copies, 0-d arrays in place of numbers.
        sharding: accepted; there is one device.
        vmap_method: what becomes of it under `vmap`: "sequential" (one example after the other), "expand_dims" and
            "broadcast_all" (all at once, with the batch as first axis, of size 1 or repeated where an argument is not
            batched). Without it, `vmap` raises.

    Raises:
        TypeError: what `callback` returned is not what was announced.
        InconclusiveRuleError: a derivative is asked for; give one by `custom_jvp`.

    >>> from funcgrad import ShapeDtypeStruct, jit
    >>> f = jit(lambda x: 2 * pure_callback(np.sort, ShapeDtypeStruct(x.shape, x.dtype), x))
    >>> f(np.array([3.0, 1.0]))
    array([2., 6.])
    """
    return _called(PURE, "pure_callback", callback, result_shape_dtypes, args, kwargs, vmap_method)


def io_callback(
    callback: Callable[..., Any],
    result_shape_dtypes: Any,
    *args: Any,
    sharding: Any = None,
    ordered: bool = False,
    **kwargs: Any,
) -> Any:
    """As `pure_callback`, for a function with side effects: it is called at each run of the program, and in order.

    Under `vmap` it is called for one example after the other.

    >>> seen = []
    >>> from funcgrad import jit
    >>> jit(lambda x: (io_callback(seen.append, None, x), 2 * x)[1])(1.0), seen
    (2.0, [array(1.)])
    """
    return _called(IO, "io_callback", callback, result_shape_dtypes, args, kwargs, "sequential")


class named_scope(ContextDecorator):
    """`with named_scope(name):` names a part of a function, for the reader. The IR has the user's lines.

    >>> with named_scope("loss"):
    ...     1 + 1
    2
    """

    def __init__(self, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"named_scope takes a name, got {type(name).__name__}")
        self.name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def named_call(fun: Callable[..., Any], *, name: str | None = None) -> Callable[..., Any]:
    """The function itself, named for the reader."""
    return named_scope(name or getattr(fun, "__name__", "function"))(fun)


def typeof(x: Any) -> ShapedArray:
    """The shape and dtype of an array, a number or a traced value.

    >>> typeof(np.zeros(3))
    ShapedArray(f64[3])
    """
    return aval_of(operand(x))
