"""Keywords that `jax.numpy` adds to functions of NumPy.

Those that say how to compute (`precision`, `method`, `unique_indices`) are accepted, and change nothing. What would
divide an array among devices (`out_sharding`) raises. The others mean what they mean in JAX.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from importlib import import_module
from typing import Any

import numpy as np

from funcgrad._array import wrap
from funcgrad.core import Tracer
from funcgrad.numpy._at import At, filling, mode_name, take_in_mode
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._index import along
from funcgrad.numpy._shape import axis_index, broadcast_to
from funcgrad.numpy._sized import SIZED, delete_unique, repeat_to
from funcgrad.types import dtype_of, is_a, shape_of

__all__ = ["extended", "signature_of"]

Fun = Callable[..., Any]

_PLACED = (
    "arange", "array", "asarray", "bincount", "broadcast_to", "dot", "einsum", "empty", "empty_like", "full",
    "full_like", "linspace", "matmul", "ones", "ones_like", "percentile", "quantile", "ravel", "repeat", "reshape",
    "tensordot", "zeros", "zeros_like",
)  # fmt: skip
_PRODUCTS = (
    "convolve", "correlate", "dot", "einsum", "inner", "matmul", "matvec", "outer", "tensordot", "vdot", "vecdot",
    "vecmat",
)  # fmt: skip

_SEARCHES = ("scan", "scan_unrolled", "sort", "compare_all")
_IGNORED: dict[str, tuple[str, tuple[Any, ...]]] = {
    "digitize": ("method", (None, *_SEARCHES)),
    "isin": ("method", ("auto", "compare_all", "binary_search", "sort")),
    "polyval": ("unroll", (16,)),
    "searchsorted": ("method", _SEARCHES),
}
"""Keywords that say how to compute, and what they can be, JAX's default first; a number can be any."""


_CALLS: dict[str, str] = {
    "argmax": "a axis out keepdims",
    "argmin": "a axis out keepdims",
    "average": "a axis weights returned keepdims",
    "bincount": "x weights minlength",
    "clip": "arr",
    "concat": "arrays",
    "concatenate": "arrays",
    "corrcoef": "x y rowvar dtype",
    "count_nonzero": "a axis keepdims",
    "cov": "m y rowvar bias ddof fweights aweights dtype",
    "dstack": "tup dtype",
    "empty_like": "prototype dtype shape",
    "full_like": "a fill_value dtype shape",
    "hstack": "tup dtype",
    "inner": "a b",
    "matmul": "a b",
    "nanargmax": "a axis out keepdims",
    "nanargmin": "a axis out keepdims",
    "nanmean": "a axis dtype out keepdims where",
    "nanstd": "a axis dtype out ddof keepdims where mean",
    "nanvar": "a axis dtype out ddof keepdims where mean",
    "ones_like": "a dtype shape",
    "packbits": "a axis bitorder",
    "prod": "a axis dtype out keepdims initial where promote_integers",
    "reshape": "a shape order",
    "stack": "arrays axis out dtype",
    "sum": "a axis dtype out keepdims initial where promote_integers",
    "unpackbits": "a axis count bitorder",
    "unwrap": "p discont axis period",
    "vdot": "a b",
    "vstack": "tup dtype",
    "zeros_like": "a dtype shape",
}
"""The parameters of functions as JAX names and orders them, where NumPy has other names, or takes them by keyword
alone; as far as they differ."""


def signature_of(fun: Fun) -> inspect.Signature:
    """The signature of a function, or that of any arguments where it is not known."""
    try:
        return inspect.signature(fun)
    except (TypeError, ValueError):
        return inspect.signature(lambda *args, **kwargs: None)


def _public(fun: Fun, run: Fun, more: dict[str, Any]) -> Fun:
    """`run` as a function with the name and signature of `fun`, and more keywords."""
    out = wraps(fun)(run)
    known = list(signature_of(fun).parameters.values())
    names = {p.name for p in known}
    named = [p for p in known if p.kind is p.VAR_KEYWORD]
    new = [inspect.Parameter(k, inspect.Parameter.KEYWORD_ONLY, default=v) for k, v in more.items() if k not in names]
    kept = [p for p in known if p.kind is not p.VAR_KEYWORD]
    out.__signature__ = inspect.Signature([*kept, *new, *named])  # type: ignore[attr-defined]
    return out


def extended(name: str, fun: Fun) -> Fun:
    """The function of `funcgrad.numpy` of this name, with the keywords of that of `jax.numpy`."""
    if name in _PLACED:
        fun = _unsharded(name, fun)
    if name in _PRODUCTS:
        fun = _product(name, fun)
    if name in SIZED:
        fun = _sized(name, fun)
    if name in _IGNORED:
        fun = _ignoring(fun, *_IGNORED[name])
    if name in _OTHERS:
        fun = _OTHERS[name](fun)
    return _called(fun, getattr(np, name), _CALLS[name].split()) if name in _CALLS else fun


def _called(fun: Fun, plain: Fun, names: list[str]) -> Fun:
    """`fun`, which may also be called as JAX's function with these parameters: by their names, and in their order."""
    known = list(signature_of(plain).parameters.values())
    if any(p.kind is p.VAR_POSITIONAL for p in known):  # it is written in C
        known = list(signature_of(fun).parameters.values())
    named = {p.name for p in known if p.kind is not p.POSITIONAL_ONLY}
    by_place = [p.name for p in known if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    alike = 0  # so many are NumPy's too, though their names may differ
    while alike < min(len(names), len(by_place)) and (by_place[alike] == names[alike] or names[alike] not in named):
        alike += 1
    shaped = names[alike:] == ["shape"]

    def run(*args: Any, **kwargs: Any) -> Any:
        if not kwargs and len(args) <= alike:
            return fun(*args)
        for name in names[len(args) :]:
            if name in named or name not in kwargs:
                break
            args = (*args, kwargs.pop(name))
        order = shaped and len(args) > alike and is_a(args[alike], str)  # NumPy's parameter there
        if len(args) > alike and alike < len(names) and not order:
            given = dict(zip(names[alike:], args[alike:], strict=False))
            if len(args) > len(names) or not given.keys().isdisjoint(kwargs):
                return fun(*args, **kwargs)  # raises
            return fun(*args[:alike], **kwargs, **given)
        return fun(*args, **kwargs)

    return _public(fun, run, {})


def _ignoring(fun: Fun, keyword: str, choices: tuple[Any, ...]) -> Fun:
    def run(*args: Any, **kwargs: Any) -> Any:
        given = kwargs.pop(keyword, choices[0])
        if given not in choices and len(choices) > 1:
            raise ValueError(f"{fun.__name__}: {keyword} must be one of {', '.join(map(repr, choices))}, got {given!r}")
        return fun(*args, **kwargs)

    return _public(fun, run, {keyword: choices[0]})


def _unsharded(name: str, fun: Fun) -> Fun:
    def run(*args: Any, out_sharding: Any = None, **kwargs: Any) -> Any:
        if out_sharding is not None:
            raise NotImplementedError(
                f"{name}: out_sharding={out_sharding!r} would divide the result among devices, and there is one; leave "
                "it out"
            )
        return fun(*args, **kwargs)

    return _public(fun, run, {"out_sharding": None})


def _product(name: str, fun: Fun) -> Fun:
    more: dict[str, Any] = {"precision": None, "preferred_element_type": None}
    paths: dict[str, str] = {}
    if name == "einsum":
        more["_dot_general"] = None
        paths = {"auto": "greedy", **dict.fromkeys(("auto-hq", "branch-1", "branch-2", "branch-all", "dp"), "optimal")}

    def run(
        *args: Any, precision: Any = None, preferred_element_type: Any = None, _dot_general: Any = None, **kwargs: Any
    ) -> Any:
        if _dot_general is not None:
            raise NotImplementedError(f"{name}: products are computed by NumPy's own, and not by _dot_general")
        if paths and is_a(kwargs.get("optimize"), str):  # opt_einsum has more of them than NumPy
            kwargs["optimize"] = paths.get(kwargs["optimize"], kwargs["optimize"])
        if preferred_element_type is None:
            return fun(*args, **kwargs)
        dtype = np.dtype(preferred_element_type)
        return fun(*_in_dtype(args, name, dtype), **kwargs).astype(dtype)

    return _public(fun, run, more)


def _in_dtype(args: Sequence[Any], name: str, dtype: np.dtype[Any]) -> list[Any]:
    """The operands among arguments, so that their product is computed in a dtype that does not overflow sooner."""
    if name == "einsum":
        operands = [is_a(x, (np.ndarray, np.generic, Tracer)) for x in args]
    else:
        operands = [i < 2 for i in range(len(args))]
    out: list[Any] = []
    for x, wanted in zip(args, operands, strict=True):
        if wanted:
            x = array_operand(x)
            x = x.astype(np.promote_types(x.dtype, dtype))
        out.append(x)
    return out


def _sized(name: str, fun: Fun) -> Fun:
    def run(*args: Any, size: Any = None, fill_value: Any = None, **kwargs: Any) -> Any:
        if size is None:
            return fun(*args, **kwargs)
        given = {} if fill_value is None else {"fill_value": fill_value}
        return wrap(SIZED[name](*args, size=size, **given, **kwargs))

    more = {"size": None} if name == "mask_indices" else {"size": None, "fill_value": None}
    return _public(fun, run, more)


# -------------------------------------------------------------------------------------------------- one by one


def _take(fun: Fun) -> Fun:
    def run(
        a: Any,
        indices: Any,
        axis: Any = None,
        out: Any = None,
        mode: Any = None,
        unique_indices: bool = False,
        indices_are_sorted: bool = False,
        fill_value: Any = None,
    ) -> Any:
        if mode in ("raise", "clip", "wrap") or (mode is None and fill_value is None):
            return fun(a, indices, axis=axis, out=out, mode=mode or "raise")
        if out is not None:
            raise NotImplementedError(f"take: out= goes with NumPy's modes alone, and not with mode={mode!r}")
        x = array_operand(a)
        if axis is None:
            x, axis = np.ravel(x), 0
        index = (slice(None),) * axis_index(axis, x.ndim) + (array_operand(indices),)
        return wrap(take_in_mode(x, index, mode_name(mode or "fill", "take") or "drop", fill_value))

    return _public(fun, run, {"unique_indices": False, "indices_are_sorted": False, "fill_value": None})


def _take_along_axis(fun: Fun) -> Fun:
    def run(
        arr: Any,
        indices: Any,
        axis: Any = -1,
        mode: Any = None,
        fill_value: Any = None,
        *,
        wrap_negative_indices: bool = True,
    ) -> Any:
        if mode is None and fill_value is None and wrap_negative_indices:
            return fun(arr, indices, axis=axis)
        name = mode_name(mode or "fill", "take_along_axis")
        x, i = array_operand(arr), array_operand(indices)
        if axis is None:
            x, axis = np.ravel(x), 0
        axis = axis_index(axis, x.ndim)
        n = x.shape[axis]
        i = np.where(i < 0, i + n if wrap_negative_indices else n, i)
        outside = (i < 0) | (i >= n)
        found = fun(x, np.clip(i, 0, max(n - 1, 0)), axis=axis)
        if name != "drop":
            return found
        return wrap(np.where(broadcast_to(outside, shape_of(found)), filling(dtype_of(x), fill_value), found))

    return _public(fun, run, {"mode": None, "fill_value": None, "wrap_negative_indices": True})


def _put_along_axis(fun: Fun) -> Fun:
    def run(arr: Any, indices: Any, values: Any, axis: Any, inplace: bool = True, *, mode: Any = None) -> Any:
        if mode is None:
            return fun(arr, indices, values, axis, inplace=inplace)
        x, i = array_operand(arr), array_operand(indices)
        index = (i,) if axis is None else along(x, i, axis_index(axis, x.ndim))
        out = At(np.ravel(x) if axis is None else x)[index].set(values, mode=mode).reshape(x.shape)
        if not inplace:
            return wrap(out)
        arr[...] = out
        return None

    return _public(fun, run, {"inplace": True, "mode": None})


def _writing(fun: Fun) -> Fun:
    return _public(fun, lambda *args, **kwargs: fun(*args, **kwargs), {"inplace": True})


def _summing(fun: Fun) -> Fun:
    def run(a: Any, *args: Any, promote_integers: bool = True, **kwargs: Any) -> Any:
        if not promote_integers and len(args) < 2 and kwargs.get("dtype") is None:
            dtype = array_operand(a).dtype
            if dtype.kind in "iu":
                kwargs["dtype"] = dtype
        return fun(a, *args, **kwargs)

    return _public(fun, run, {"promote_integers": True})


def _repeat(fun: Fun) -> Fun:
    def run(a: Any, repeats: Any, axis: Any = None, *, total_repeat_length: Any = None, **kwargs: Any) -> Any:
        if total_repeat_length is None:
            return fun(a, repeats, axis, **kwargs)
        return wrap(repeat_to(a, repeats, axis, total_repeat_length))

    return _public(fun, run, {"total_repeat_length": None})


def _delete(fun: Fun) -> Fun:
    def run(arr: Any, obj: Any, axis: Any = None, *, assume_unique_indices: bool = False) -> Any:
        if assume_unique_indices and not is_a(obj, slice) and dtype_of(array_operand(obj)).kind in "iu":
            return wrap(delete_unique(arr, obj, axis))
        return fun(arr, obj, axis)

    return _public(fun, run, {"assume_unique_indices": False})


def _polymul(fun: Fun) -> Fun:
    def run(a1: Any, a2: Any, *, trim_leading_zeros: bool = True) -> Any:
        return fun(a1, a2) if trim_leading_zeros else wrap(np.convolve(array_operand(a1), array_operand(a2)))

    return _public(fun, run, {"trim_leading_zeros": True})


def _polydiv(fun: Fun) -> Fun:
    def run(u: Any, v: Any, *, trim_leading_zeros: bool = True) -> Any:
        quotient, rest = fun(u, v)
        missing = shape_of(array_operand(u))[0] - shape_of(rest)[0]
        if trim_leading_zeros or missing <= 0:
            return quotient, rest
        return quotient, wrap(np.concatenate([np.zeros(missing, rest.dtype), rest]))

    return _public(fun, run, {"trim_leading_zeros": True})


def _roots(fun: Fun) -> Fun:
    def run(p: Any, *, strip_zeros: bool = True) -> Any:
        if strip_zeros:
            return fun(p)
        x: Any = array_operand(p)
        n = max(shape_of(x)[0] - 1, 0)
        if not issubclass(type(x), Tracer):  # leading zeros are stripped, and NaNs stand for their roots
            found = np.asarray(fun(x)).astype(complex)
            return wrap(np.concatenate([found, np.full(n - len(found), complex(np.nan, np.nan))]))
        rows = np.eye(n, k=-1, dtype=x.dtype)[1:]
        return np.linalg.eigvals(np.concatenate([(-x[1:] / x[0])[None], rows])) if n else fun(p)

    return _public(fun, run, {"strip_zeros": True})


def _argsort(fun: Fun) -> Fun:
    def run(*args: Any, dtype: Any = None, **kwargs: Any) -> Any:
        out = fun(*args, **kwargs)
        return out if dtype is None else out.astype(dtype)

    return _public(fun, run, {"dtype": None})


def _dstack(fun: Fun) -> Fun:
    def run(tup: Any, *, dtype: Any = None) -> Any:
        return fun(tup) if dtype is None else fun([array_operand(x).astype(dtype) for x in tup])

    return _public(fun, run, {"dtype": None})


def _where(fun: Fun) -> Fun:
    """Branches may be given by name; None stands for one that is not given, where NumPy would choose among objects."""

    def run(condition: Any, x: Any = None, y: Any = None, **sized: Any) -> Any:
        if x is None and y is None:
            return fun(condition, **sized)
        if x is None or y is None:
            raise ValueError("where takes a condition alone, or a condition and both x and y")
        return fun(condition, x, y, **sized)

    return _public(fun, run, {})


def _interp(fun: Fun) -> Fun:
    """With "extrapolate", which NumPy's own does not take."""

    def run(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
        if any(is_a(end, str) for end in (left, right)):
            return wrap(import_module("funcgrad.numpy._calculus").interp(x, xp, fp, left, right, period))
        return fun(x, xp, fp, left, right, period)

    return _public(fun, run, {})


def _unique(which: str) -> Callable[[Fun], Fun]:
    def make(fun: Fun) -> Fun:
        def run(x: Any, /, *, size: Any = None, fill_value: Any = None) -> Any:
            if size is None:
                return fun(x)
            return wrap(_unique_of(which, x, size, fill_value))

        return _public(fun, run, {"size": None, "fill_value": None})

    return make


def _unique_of(which: str, x: Any, size: int, fill_value: Any) -> Any:
    sets = import_module("funcgrad.numpy._sets")  # which few programs use
    found = sets.unique(x, True, True, True, equal_nan=False, size=size, fill_value=fill_value)
    values, indices, inverse, counts = found
    return {
        "unique_all": lambda: sets.UniqueAll(values, indices, inverse, counts),
        "unique_counts": lambda: sets.UniqueCounts(values, counts),
        "unique_inverse": lambda: sets.UniqueInverse(values, inverse),
        "unique_values": lambda: values,
    }[which]()


_OTHERS: dict[str, Callable[[Fun], Fun]] = {
    "argsort": _argsort,
    "delete": _delete,
    "dstack": _dstack,
    "fill_diagonal": _writing,
    "interp": _interp,
    "place": _writing,
    "polydiv": _polydiv,
    "polymul": _polymul,
    "prod": _summing,
    "put": _writing,
    "put_along_axis": _put_along_axis,
    "repeat": _repeat,
    "roots": _roots,
    "sum": _summing,
    "take": _take,
    "take_along_axis": _take_along_axis,
    "where": _where,
    **{name: _unique(name) for name in ("unique_all", "unique_counts", "unique_inverse", "unique_values")},
}
