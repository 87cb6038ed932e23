"""Ufuncs called with keyword arguments: `where`, `dtype`, `signature`, `casting`, and `axes` of generalised ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.aliasing import unordered
from funcgrad.numpy._dispatch import array_operand, computed
from funcgrad.numpy._shape import axis_index

__all__ = ["call_with_options"]


def call_with_options(
    ufunc: np.ufunc,
    call: Callable[..., Any],
    inputs: Sequence[Any],
    *,
    where: Any = True,
    dtype: Any = None,
    signature: Any = None,
    sig: Any = None,
    casting: Any = "same_kind",
    order: str = "K",
    subok: bool = True,
    axes: Any = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Any:
    """`call(*inputs)`, which computes the ufunc, with its options; subclasses do not matter to a traced value.

    Where a mask `where` is false there are zeros, since NumPy does not say what is there (without `out`); nothing is
    computed there, so that no NaN comes into a derivative.

    Raises TypeError where the ufunc has no such option, or no loop of that dtype.
    """
    if ufunc.signature is None and (axes is not None or axis is not None or keepdims):
        raise TypeError(f"{ufunc.__name__}() takes no axes=, axis= or keepdims=: it is elementwise")
    types = _types(ufunc, dtype, signature if sig is None else sig)
    loop: tuple[Any, ...] = ()
    if types is not None:
        xs = [array_operand(x) for x in inputs]
        loop = ufunc.resolve_dtypes((*(x.dtype for x in xs), *(None,) * ufunc.nout), signature=types, casting=casting)
        inputs = [x.astype(d) for x, d in zip(xs, loop[: ufunc.nin], strict=True)]
    if ufunc.signature is not None:
        if where is not True:
            raise TypeError(f"{ufunc.__name__}() takes no where=: it is not elementwise")
        out = _along(ufunc, call, inputs, axes, axis, keepdims)
    else:
        inputs = inputs if where is True else [computed(x, where) for x in inputs]
        out = call(*inputs)
    results = out if isinstance(out, tuple) else (out,)
    if loop:  # a rule may compute in a wider one
        results = tuple(r if r.dtype == d else r.astype(d) for r, d in zip(results, loop[ufunc.nin :], strict=True))
    if where is not True:
        results = tuple(np.where(where, r, r.dtype.type(0)) for r in results)
    if order != "K":
        results = tuple(map(unordered, results))
    return results if isinstance(out, tuple) else results[0]


def _types(ufunc: np.ufunc, dtype: Any, signature: Any) -> tuple[Any, ...] | None:
    """The dtypes asked for, of operands and results; None where there are none."""
    if dtype is None and signature is None:
        return None
    if dtype is not None and signature is not None:
        raise TypeError("cannot specify both 'signature' and 'dtype'")
    if dtype is not None:  # that of the results, which decides about those of the operands
        return (None,) * ufunc.nin + (np.dtype(dtype),) * ufunc.nout
    if isinstance(signature, str):
        left, _, right = signature.partition("->")
        signature = (*left, *right) if right else (None,) * ufunc.nin + (signature,) * ufunc.nout
    elif not isinstance(signature, tuple):
        signature = (signature,)
    if len(signature) == 1:
        signature = (None,) * ufunc.nin + tuple(signature) * ufunc.nout
    return tuple(None if d is None else np.dtype(d) for d in signature)


def _core(signature: str) -> tuple[list[list[str]], list[list[str]]]:
    """The core dimensions of operands and results; those with `?` may be missing."""
    sides = [re.findall(r"\(([^)]*)\)", side) for side in signature.split("->")]
    inputs, outputs = ([[d.strip() for d in group.split(",") if d.strip()] for group in side] for side in sides)
    return inputs, outputs


def _along(
    ufunc: np.ufunc, call: Callable[..., Any], inputs: Sequence[Any], axes: Any, axis: Any, keepdims: bool
) -> Any:
    """A generalised ufunc whose core dimensions are at other axes than the last."""
    if axes is None and axis is None and not keepdims:
        return call(*inputs)
    groups, outputs = _core(ufunc.signature or "")
    name, single = ufunc.__name__, [d for g in groups for d in g]
    simple = all(len(g) == 1 for g in groups) and len(set(single)) == 1 and not any(outputs)
    if (axis is not None or keepdims) and not simple:
        raise TypeError(f"{name}: takes no axis= or keepdims=, having other than one shared core dimension; give axes=")
    if axes is not None and axis is not None:
        raise TypeError(f"{name}: cannot specify both 'axis' and 'axes'")
    xs = [array_operand(x) for x in inputs]
    if axes is None:
        axes = [((-1 if axis is None else axis),)] * len(groups)
    listed = [tuple(a) if isinstance(a, (tuple, list)) else (a,) for a in axes]
    if len(listed) not in (len(groups), len(groups) + len(outputs)):
        raise ValueError(f"{name}: axes must be a list of {len(groups) + len(outputs)} entries, got {axes!r}")
    moved = [_to_end(name, x, a, g) for x, a, g in zip(xs, listed, groups, strict=False)]
    out = call(*moved)
    if keepdims:
        back = listed[0] if len(listed) == len(groups) else listed[-1]
        return np.expand_dims(out, axis_index(back[0], out.ndim + 1))
    ends = listed[len(groups) :]
    if not ends:
        if outputs[0] and axes is not None:
            raise ValueError(f"{name}: axes must have an entry for the result, which has core dimensions")
        return out
    return _from_end(name, out, ends[0])


def _to_end(name: str, x: Any, axes: tuple[int, ...], core: list[str]) -> Any:
    needed = len([d for d in core if not d.endswith("?")])
    if not needed <= len(axes) <= len(core):
        raise ValueError(f"{name}: an operand has core dimensions ({','.join(core)}), axes has {axes}")
    return np.moveaxis(x, [axis_index(a, x.ndim) for a in axes], range(-len(axes), 0)) if axes else x


def _from_end(name: str, out: Any, axes: tuple[int, ...]) -> Any:
    if len(axes) > out.ndim:
        raise ValueError(f"{name}: the result has {out.ndim} dimensions, axes has {axes}")
    return np.moveaxis(out, range(-len(axes), 0), [axis_index(a, out.ndim) for a in axes]) if axes else out
