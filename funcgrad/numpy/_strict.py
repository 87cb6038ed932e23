"""`config.dtype_promotion = "strict"`: operands of different dtypes raise where they meet.

NumPy promotes: `x / np.sqrt(8)` of a float32 array is float64, since `np.sqrt(8)` is no Python number, and from there
on everything is. In strict mode every operator and function of traced values is checked. The checks are installed in
place of the hooks that they wrap, so that nothing is paid for them otherwise. Python's numbers are weak, and booleans
take on any dtype without a loss, so both are let through; and so is what funcgrad's own rules compute.

`config.rank_promotion` installs the same checks for numbers of dimensions. Ufuncs and operators of an `Array` are
checked too, by a hook that is there for so long.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

import numpy as np

from funcgrad._array import Array, unwrap, wrap
from funcgrad.core import Tracer
from funcgrad.errors import DTypePromotionError, ShapeError, operands_text
from funcgrad.source import describe, is_internal, user_source
from funcgrad.types import PYTHON_SCALARS, dtype_of, is_a, is_weak

__all__ = ["caller_of", "check", "install", "is_checking", "set_mode"]

_OPERATORS: dict[str, str] = {}
"""The methods that are operations on several operands, and the operation that each stands for."""

_plain: dict[str, Callable[..., Any]] = {}
"""What the checks have replaced."""

_NUMPYS = {"dtype_promotion": "standard", "rank_promotion": "allow"}
_modes = dict(_NUMPYS)
"""What the settings say."""


def install(operators: dict[str, str]) -> None:
    """Say which methods of tracers are operations on several operands."""
    _OPERATORS.update(operators)


def set_mode(setting: str, mode: str) -> None:
    """Check what `config.dtype_promotion` or `config.rank_promotion` says from now on, or leave it to NumPy."""
    _modes[setting] = mode
    for name, method in _plain.items():
        setattr(Tracer, name, method)
    if _plain:
        del Array.__array_ufunc__
    _plain.clear()
    if _modes != _NUMPYS:
        _plain.update((name, getattr(Tracer, name)) for name in (*_OPERATORS, "__array_ufunc__", "__array_function__"))
        for name, operation in _OPERATORS.items():
            setattr(Tracer, name, _operator(_plain[name], operation))
        Tracer.__array_ufunc__ = _ufunc(_plain["__array_ufunc__"])  # type: ignore[attr-defined]
        Tracer.__array_function__ = _function(_plain["__array_function__"])  # type: ignore[attr-defined]
        Array.__array_ufunc__ = _ufunc_of_arrays


def is_checking() -> bool:
    """Whether there is anything to check."""
    return _modes != _NUMPYS


def caller_of(frame: FrameType) -> FrameType:
    """The frame that has called a function of `funcgrad.numpy`, and not one of what is around these."""
    while frame.f_back is not None and frame.f_code.co_filename.endswith(_AROUND):
        frame = frame.f_back
    return frame


_FILES = ("numpy", "_keywords.py"), ("numpy", "_plain.py"), ("_array.py",)
_AROUND = tuple(os.path.join("funcgrad", *name) for name in _FILES)


def _ufunc_of_arrays(self: Any, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """What NumPy does with an `Array` where nothing is checked, with the checks."""
    if kwargs.get("dtype") is None and method in ("__call__", "outer"):
        _meet(ufunc.__name__, inputs, caller_of(sys._getframe(1)))
    given = kwargs.get("out")
    if given is not None:
        kwargs["out"] = tuple(map(unwrap, given))
    out = getattr(ufunc, method)(*map(unwrap, inputs), **kwargs)
    if given is not None and len(given) == 1:
        return given[0]
    return None if out is None else wrap(out)


def _operator(method: Callable[..., Any], operation: str) -> Callable[[Any, Any], Any]:
    def checked(self: Any, *others: Any, **kwargs: Any) -> Any:
        _meet(operation, (self, *others, *kwargs.values()), sys._getframe(1))
        return method(self, *others, **kwargs)

    return checked


def _ufunc(hook: Callable[..., Any]) -> Callable[..., Any]:
    def checked(self: Any, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if kwargs.get("dtype") is None and method in ("__call__", "outer", "at"):
            _meet(ufunc.__name__, (inputs[0], *inputs[2:]) if method == "at" else inputs, sys._getframe(1))
        return hook(self, ufunc, method, *inputs, **kwargs)

    return checked


def _function(hook: Callable[..., Any]) -> Callable[..., Any]:
    def checked(self: Any, func: Callable[..., Any], types: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        results = hook(self, func, types, args, kwargs)
        check(func, args, kwargs, results, sys._getframe(1))
        return results

    return checked


def check(
    func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], results: Any, caller: FrameType
) -> None:
    """Raise if a function of NumPy's, or a ufunc, has promoted operands of `caller`, the user's code."""
    if kwargs.get("dtype") is not None:
        return
    if isinstance(func, np.ufunc):
        return _meet(func.__name__, args, caller)
    if _modes["dtype_promotion"] != "strict":
        return
    operands = list(_arrays((args, tuple(kwargs.values()))))
    if len(_dtypes(operands)) > 1 and any(_widened(operands, out) for out in _arrays(results)):
        _refuse(getattr(func, "__name__", "function"), operands, caller)


def _arrays(x: Any) -> Iterator[Any]:
    """The arrays, NumPy scalars and tracers in nested lists and tuples."""
    if isinstance(x, Tracer) or is_a(x, (np.ndarray, np.generic)):
        yield x
    elif isinstance(x, (list, tuple)):
        for item in x:
            yield from _arrays(item)


def _dtypes(operands: Sequence[Any]) -> set[np.dtype[Any]]:
    """The dtypes that would be promoted to a common one: those of Python's numbers and booleans are not."""
    return {d for x in operands if not is_weak(x) and (d := dtype_of(x)).kind in "iufc"}


def _widened(operands: Sequence[Any], result: Any) -> bool:
    """Whether a result is of a wider dtype than a floating or complex operand."""
    wide = dtype_of(result)
    return wide.kind in "fc" and any(
        d.kind in "fc" and np.finfo(d).dtype < np.finfo(wide).dtype for d in _dtypes(operands)
    )


def _meet(operation: str, operands: Sequence[Any], caller: FrameType) -> None:
    """Raise if operands of an operation of the user's differ in dtype, or warn or raise if they do in rank."""
    if _modes["rank_promotion"] != "allow" and operation in _ELEMENTWISE:
        _compare_ranks(operation, operands, caller)
    if _modes["dtype_promotion"] != "strict":
        return
    found = None
    for x in operands:
        if type(x) in PYTHON_SCALARS or (isinstance(x, Tracer) and x.weak):
            continue
        dtype = getattr(x, "dtype", None)
        if isinstance(dtype, np.dtype) and dtype.kind in "iufc":
            if found is not None and dtype != found:
                _refuse(operation, operands, caller)
                return
            found = dtype


_ELEMENTWISE = frozenset(name for name, f in vars(np).items() if isinstance(f, np.ufunc) and f.signature is None)


def _compare_ranks(operation: str, operands: Sequence[Any], caller: FrameType) -> None:
    shapes = [shape for x in operands if (shape := getattr(x, "shape", ()))]
    if len({len(shape) for shape in shapes}) < 2 or is_internal(caller.f_code.co_filename):
        return
    message = (
        f"{operation}: operands of shapes {', '.join(map(str, shapes))} differ in their number of dimensions, and "
        f'config.rank_promotion is "{_modes["rank_promotion"]}"; x[None] gives one of them an axis'
    )
    if _modes["rank_promotion"] == "raise":
        place = describe(user_source())
        raise ShapeError(message + (f"\n  at {place}" if place else ""))
    warnings.warn(message, UserWarning, stacklevel=4)


def _refuse(operation: str, operands: Sequence[Any], caller: FrameType) -> None:
    if is_internal(caller.f_code.co_filename):  # a rule for derivatives, or SciPy
        return
    given = [x for x in operands if isinstance(x, Tracer) or hasattr(x, "dtype")]
    place = describe(user_source())
    scalar = next((x for x in given if is_a(x, np.generic)), None)
    remedy = "x.astype(dtype) for one of them"
    if scalar is not None:
        kind = {"f": "float", "c": "complex"}.get(scalar.dtype.kind, "int")
        remedy = f"{kind}({scalar}), a Python number, for the NumPy scalar; or {remedy}"
    raise DTypePromotionError(
        f'{operation}: operands {operands_text(given)} differ in dtype, and config.dtype_promotion is "strict"'
        + (f"\n  at {place}" if place else "")
        + f"\n  write instead: {remedy}"
    )
