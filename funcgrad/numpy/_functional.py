"""Functions that apply a function: `vectorize`, `apply_along_axis`, `apply_over_axes`, `piecewise`.

The functions are called once, on traced values, and mapped with `vmap` and `lax.switch`; not element by element.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from functools import wraps
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad._array import wrap
from funcgrad.aliasing import as_array
from funcgrad.control.cond import switch
from funcgrad.numpy._dispatch import array_operand, implements
from funcgrad.numpy._shape import axis_index
from funcgrad.transforms.vmap import vmap
from funcgrad.types import broadcast_shapes, shape_of
from funcgrad.writes import owned

__all__ = ["apply_along_axis", "apply_over_axes", "piecewise", "vectorize"]

_ARGUMENT = r"\((?:\w+(?:,\w+)*,?)?\)"
_SIGNATURE = re.compile(rf"^{_ARGUMENT}(?:,{_ARGUMENT})*->{_ARGUMENT}(?:,{_ARGUMENT})*$")


def _core_dims(signature: str) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """The names of the core dimensions of arguments and results, of a signature such as `(n,k),(k)->(n)`."""
    text = re.sub(r"\s+", "", signature)
    if not _SIGNATURE.match(text):
        raise ValueError(f"not a valid gufunc signature: {signature!r}")
    sides = [
        [tuple(filter(None, found[1:-1].split(","))) for found in re.findall(_ARGUMENT, side)]
        for side in text.split("->")
    ]
    return sides[0], sides[1]


def vectorize(
    pyfunc: Callable[..., Any], *, excluded: Collection[int | str] = frozenset(), signature: str | None = None
) -> Callable[..., Any]:
    """A function of arrays, from one of single elements (or of arrays with the core dimensions of a `signature`).

    Args:
        pyfunc: a function of traced values. It is called once, not once for each element as `numpy.vectorize` does.
        excluded: arguments, by position or name, that are passed on as they are; those that are None are too.
        signature: core dimensions, as `(n,k),(k)->(n)`; without it those of elements.

    Raises:
        ValueError: an argument lacks core dimensions, or they do not agree.

    >>> dot = vectorize(lambda a, b: np.sum(a * b), signature="(n),(n)->()")
    >>> dot(np.ones((4, 1, 3)), np.ones((2, 3))).shape
    (4, 2)
    """
    if any(type(i) not in (str, int) for i in excluded):
        raise TypeError(f"vectorize: excluded holds positions and names, got {excluded!r}")
    if any(type(i) is int and i < 0 for i in excluded):
        raise ValueError(f"vectorize: excluded positions count from the start, got {excluded!r}")

    @wraps(pyfunc, updated=())
    def vectorized(*args: Any, **kwargs: Any) -> Any:
        mapped = [i for i in range(len(args)) if i not in excluded]
        names = [k for k in kwargs if k not in excluded]
        if signature is not None and names:
            raise ValueError(f"vectorize: with a signature arguments are given by position, got {names}")
        inputs, outputs = ([()] * (len(mapped) + len(names)), None) if signature is None else _core_dims(signature)
        if len(inputs) != len(mapped) + len(names):
            raise TypeError(f"vectorize: the signature {signature} takes {len(inputs)} arguments, got {len(mapped)}")
        absent = [i for i in mapped if args[i] is None]  # which are passed on as they are
        if any(dims and args[i] is None for i, dims in zip(mapped, inputs, strict=False)):
            raise ValueError(f"vectorize: arguments {absent} are None, and have no core dimensions of {signature}")
        inputs = [dims for n, dims in enumerate(inputs) if n >= len(mapped) or mapped[n] not in absent]
        mapped = [i for i in mapped if i not in absent]
        operands = [array_operand(x) for x in (*(args[i] for i in mapped), *(kwargs[k] for k in names))]

        def fun(*xs: Any) -> Any:
            given, named = list(args), dict(kwargs)
            for i, x in zip(mapped, xs[: len(mapped)], strict=True):
                given[i] = x
            named.update(zip(names, xs[len(mapped) :], strict=True))
            return pyfunc(*given, **named)

        return wrap(_mapped(_checked(fun, outputs), operands, inputs, signature))

    return vectorized


def _checked(fun: Callable[..., Any], outputs: list[tuple[str, ...]] | None) -> Callable[..., Any]:
    """`fun`, with a check that it returns as many results, of as many dimensions, as the signature says."""

    def checked(*xs: Any) -> Any:
        out = fun(*xs)
        if outputs is None:
            return out
        results = list(out) if len(outputs) > 1 else [out]
        if len(results) != len(outputs) or any(
            len(shape_of(r)) != len(dims) for r, dims in zip(results, outputs, strict=False)
        ):
            shapes = [shape_of(r) for r in results]
            raise ValueError(f"vectorize: the function returns shapes {shapes}, which the signature does not allow")
        return tuple(results) if len(outputs) > 1 else out

    return checked


def _mapped(fun: Callable[..., Any], xs: list[Any], dims: list[tuple[str, ...]], signature: str | None) -> Any:
    """`fun` over the leading dimensions of its operands, which broadcast against each other."""
    sizes: dict[str, int] = {}
    leads: list[tuple[int, ...]] = []
    for x, core in zip(xs, dims, strict=True):
        shape = shape_of(x)
        n = len(shape) - len(core)
        if n < 0:
            raise ValueError(f"vectorize: an argument of shape {shape} lacks core dimensions {core} of {signature}")
        for name, size in zip(core, shape[n:], strict=True):
            if sizes.setdefault(name, size) != size:
                raise ValueError(f"vectorize: core dimension {name} of {signature} is {sizes[name]} and {size}")
        leads.append(shape[:n])
    lead = broadcast_shapes(*leads) if leads else ()
    widths = [(1,) * (len(lead) - len(shape)) + shape for shape in leads]
    operands = [np.reshape(x, w + shape_of(x)[len(s) :]) for x, w, s in zip(xs, widths, leads, strict=True)]
    for axis in range(len(lead)):  # the innermost map is over the last axis
        mapped = [w[len(lead) - 1 - axis] != 1 for w in widths]
        if any(mapped):
            fun = vmap(fun, tuple(0 if m else None for m in mapped))
        else:
            fun = _over_one(fun)
        at = [len(lead) - 1 - axis] * len(operands)
        operands = [x if m else np.squeeze(x, a) for x, m, a in zip(operands, mapped, at, strict=True)]
    return fun(*operands)


def _over_one(fun: Callable[..., Any]) -> Callable[..., Any]:
    """`fun` mapped over an axis of size 1 that its operands no longer have."""
    return lambda *xs: tree.map(lambda x: np.expand_dims(array_operand(x), 0), fun(*xs))


@implements(np.apply_along_axis, view=True)
def apply_along_axis(func1d: Callable[..., Any], axis: Any, arr: Any, *args: Any, **kwargs: Any) -> Any:
    """A function of one-dimensional arrays, applied to each along an axis; its result takes the axis's place.

    The function is called once, on a traced array.
    """
    x = array_operand(arr)
    i = axis_index(axis, x.ndim)
    rows = np.moveaxis(x, i, -1)

    def fun(row: Any) -> Any:
        return func1d(row, *args, **kwargs)

    for _ in range(x.ndim - 1):
        fun = vmap(fun)
    out = fun(rows)
    extra = out.ndim - (x.ndim - 1)
    return as_array(owned(np.moveaxis(out, tuple(range(x.ndim - 1, out.ndim)), tuple(range(i, i + extra))), ()))


@implements(np.apply_over_axes)
def apply_over_axes(func: Callable[[Any, int], Any], a: Any, axes: Any) -> Any:
    """A function of an array and an axis, applied over several axes one after the other."""
    x = array_operand(a)
    n = x.ndim
    for axis in np.atleast_1d(axes).tolist():
        out = func(x, axis_index(axis, n))
        if out.ndim == n - 1:
            out = np.expand_dims(out, axis)
        if out.ndim != n:
            raise ValueError("function is not returning an array of the correct shape")
        x = out
    return x


def _several(condlist: Any, ndim: int) -> bool:
    """Whether there are several conditions, and not one given as an array or a list of booleans."""
    if not isinstance(condlist, (list, tuple)):
        return np.ndim(condlist) > ndim
    return not condlist or ndim == 0 or isinstance(condlist[0], (list, tuple)) or np.ndim(condlist[0]) > 0


@implements(np.piecewise)
def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Any:
    """Functions, or constants, of the elements for which conditions hold: of those that do, the last one counts.

    Each function is called once, on a traced element, and is only given elements for which its condition holds.
    """
    operand = array_operand(x)
    conditions = list(condlist) if _several(condlist, operand.ndim) else [condlist]
    conditions = [np.broadcast_to(array_operand(c) != 0, operand.shape) for c in conditions]
    n, functions = len(conditions), list(funclist)
    if len(functions) == n:
        functions.append(0)
    elif len(functions) != n + 1:
        raise ValueError(f"with {n} condition(s), either {n} or {n + 1} functions are expected")
    index: Any = np.full(operand.shape, n)
    for i, c in enumerate(conditions):
        index = np.where(c, i, index)

    def branch(f: Any) -> Callable[[Any], Any]:
        if not callable(f):  # as NumPy assigns it
            constant = np.zeros((), operand.dtype)
            constant[...] = f
            return lambda e: constant[()]
        return lambda e: array_operand(f(e, *args, **kw)).astype(operand.dtype)

    def one(i: Any, e: Any) -> Any:
        return switch(i, [branch(f) for f in functions], e)

    return np.reshape(vmap(one)(np.ravel(index), np.ravel(operand)), operand.shape)
