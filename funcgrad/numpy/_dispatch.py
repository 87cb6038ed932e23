"""How NumPy's own functions reach the primitives: `__array_ufunc__`, `__array_function__` and their tables.

`np.tanh(x)` of a tracer arrives at `__array_ufunc__`, `np.mean(x)` at `__array_function__`; both look the function up
in a table and call what stands there. A function that is not in the table raises, by name: it is never run on an array
of objects instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, wraps
from importlib import import_module
from typing import Any, TypeVar, cast

import numpy as np

from funcgrad._array import Array, Counter
from funcgrad.aliasing import settle
from funcgrad.conversions import exact_values, write_error
from funcgrad.core import Primitive, Tracer
from funcgrad.device_array import of_library
from funcgrad.errors import UnsupportedFunctionError
from funcgrad.numpy._out import into
from funcgrad.numpy._refused import REFUSED
from funcgrad.ops.math import UFUNCS
from funcgrad.ops.rules import WEAKEN
from funcgrad.ops.special import special_primitive
from funcgrad.record import plain_array
from funcgrad.source import describe, user_source
from funcgrad.types import (
    NUMBERS,
    PYTHON_SCALARS,
    SCALARS,
    as_numbers,
    aval_of,
    dtype_of,
    is_a,
    is_weak,
    loop_dtypes,
    shape_of,
)
from funcgrad.writes import owned

__all__ = [
    "FUNCTIONS",
    "OF_EVERY_UFUNC",
    "UFUNC_METHODS",
    "VIEWS",
    "array_operand",
    "assigned",
    "call_function",
    "computed",
    "conjugated",
    "foreign",
    "implements",
    "install",
    "operand",
    "strong",
]

F = TypeVar("F", bound=Callable[..., Any])

FUNCTIONS: dict[Any, Callable[..., Any]] = {}
"""What stands for each NumPy function that dispatches (and each ufunc that is no elementwise primitive)."""

VIEWS: set[Any] = set()
"""Those of them that give views."""

UFUNC_METHODS: dict[tuple[Any, str], Callable[..., Any]] = {}
"""What stands for `np.add.reduce` and the like, by ufunc and method name."""

_OUT_AT: dict[Any, int] = {}
"""Where NumPy's functions take `out` by position."""
_IN_DTYPE_OF_OUT = {np.sum, np.prod, np.cumsum, np.cumprod, np.mean}
"""Functions that compute in the dtype of `out` where there is one."""

OF_EVERY_UFUNC: dict[str, Callable[..., Any]] = {}
"""What stands for `outer` and `at`, by name; the ufunc is the first argument."""

_PLAIN = PYTHON_SCALARS | {np.ndarray}


def _parameters(fun: Any) -> tuple[str, ...]:
    """The names of a function's positional parameters, if it is written in Python."""
    code = getattr(getattr(fun, "_implementation", fun), "__code__", None)
    return () if code is None else code.co_varnames[: code.co_argcount]


def implements(*functions: Any, view: bool = False) -> Callable[[F], F]:
    """Say that the decorated function stands for these NumPy functions when an argument is traced.

    With `view` their results may share memory with their arguments.
    """

    def register(fun: F) -> F:
        if view:
            VIEWS.update(functions)
        for f in functions:
            FUNCTIONS[f] = fun
            names = _parameters(f) or _parameters(fun)
            if "out" in names:
                _OUT_AT[f] = names.index("out")
        return fun if functions[0] not in _OUT_AT else _taking_out(functions[0], fun)

    return register


def _taking_out(func: Any, fun: F) -> F:
    """A function for those who call it by name, with `out`."""
    at = _OUT_AT[func]

    @wraps(fun)
    def public(*args: Any, **kwargs: Any) -> Any:
        return call_function(func, args, kwargs) if "out" in kwargs or len(args) > at else fun(*args, **kwargs)

    return cast(F, public)


def foreign(x: Any) -> bool:
    """Whether the other operand wants to handle the operation itself (as `ndarray` asks it)."""
    kind = type(x)
    return hasattr(kind, "__array_ufunc__") and not issubclass(kind, (Tracer, np.ndarray, np.generic, Counter))


def operand(x: Any) -> Any:
    """An argument as an operand of a primitive: a tracer, an array or a scalar; lists become arrays.

    Raises TypeError for what is no number.
    """
    kind = type(x)
    if kind in SCALARS or issubclass(kind, Tracer) or (kind is np.ndarray and x.dtype in NUMBERS):
        return x
    if is_a(x, (np.ndarray, np.generic, Counter)):
        return plain_array(x) if type(x) is Array and x.dtype in NUMBERS else as_numbers(x, "an operand")
    if hasattr(type(x), "__dlpack__"):
        there = of_library(x)
        if there is not None:
            return there
    if isinstance(x, (list, tuple)) and any(isinstance(leaf, Tracer) for leaf in _flat(x)):
        return np.stack([array_operand(item) for item in x])
    return as_numbers(np.asarray(x), f"an operand (a {type(x).__name__})")


def _flat(x: Any) -> list[Any]:
    return [leaf for item in x for leaf in _flat(item)] if isinstance(x, (list, tuple)) else [x]


def strong(x: Any) -> Any:
    """An operand whose dtype no longer gives way: what NumPy makes of a Python scalar in a function call."""
    if type(x) in PYTHON_SCALARS:
        return dtype_of(x).type(x)
    if isinstance(x, Tracer) and x.weak:
        return x.astype(x.dtype)  # type: ignore[attr-defined]
    return x


def assigned(x: Any, dtype: Any) -> Any:
    """A number in a dtype as an assignment converts it, which raises for a Python int out of range; or an array."""
    x = operand(x)
    if is_a(x, Tracer) or shape_of(x):
        return array_operand(x).astype(dtype)
    out = np.empty((), dtype)
    out[()] = x
    return out[()]


def conjugated(x: Any) -> Any:
    """The conjugate as the method of arrays gives it: a real array stays what it is, also one of truth values."""
    if dtype_of(x).kind != "c":
        return x
    out = UFUNCS[np.conjugate].bind(x)
    return WEAKEN.bind(out) if is_weak(x) else out


def array_operand(x: Any) -> Any:
    """An operand that is not a Python scalar, strong: with a shape, a dtype and methods."""
    return strong(operand(x))


def call_ufunc(primitive: Primitive, *inputs: Any) -> Any:
    """Bind an elementwise primitive as the ufunc that it is: results are never weak."""
    weak = primitive.python is not None
    for x in inputs:
        if type(x) is np.ndarray:
            weak = False
        elif type(x) in PYTHON_SCALARS:
            continue
        elif isinstance(x, Tracer):
            weak = weak and x.weak
        else:
            return call_ufunc(primitive, *map(_array_or_scalar, inputs))
    if weak:
        inputs = (strong(inputs[0]), *inputs[1:])
    return primitive.bind(*inputs)


def _array_or_scalar(x: Any) -> Any:
    x = operand(x)
    return np.asarray(x) if is_a(x, np.generic) else x


def _unsupported(name: str, hint: str = "") -> UnsupportedFunctionError:
    place = describe(user_source())
    return UnsupportedFunctionError(
        f"{name} has no rule in funcgrad, so it cannot be applied to a traced array"
        + (f" (at {place})" if place else "")
        + f". {hint or 'Write it with functions that have one, or compute it outside the transformed function.'}"
    )


def array_ufunc(self: Tracer, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """`__array_ufunc__` of every tracer."""
    primitive = UFUNCS.get(ufunc)
    if primitive is None or kwargs or method != "__call__":
        return _ufunc_slowly(ufunc, method, inputs, kwargs)
    if primitive.python is not None:
        return call_ufunc(primitive, *inputs)
    for x in inputs:
        if not (type(x) in _PLAIN or isinstance(x, Tracer)):
            return call_ufunc(primitive, *inputs)
    return primitive.bind(*inputs)


def _ufunc_slowly(ufunc: np.ufunc, method: str, inputs: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    name = f"numpy.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
    out = kwargs.pop("out", None)
    if any(o is not None for o in _as_tuple(out)):
        return _ufunc_into(ufunc, method, name, inputs, _as_tuple(out), kwargs)
    if method != "__call__":
        return _ufunc_method(ufunc, method, name, inputs, kwargs)
    fun = FUNCTIONS.get(ufunc)
    if fun is not None:
        return owned(_with_options(ufunc, fun, inputs, kwargs), inputs)
    primitive = UFUNCS.get(ufunc) or special_primitive(ufunc)
    if primitive is None:
        raise _unsupported(name, REFUSED.get(name, ""))
    if primitive.ufunc is not ufunc and primitive.ufunc is not None:  # NumPy's of the same name: other loops
        xs = [array_operand(x) for x in inputs]
        loop = loop_dtypes(ufunc, [aval_of(x) for x in xs])
        inputs = [x.astype(d) for x, d in zip(xs, loop, strict=False)]
    return _with_options(ufunc, partial(call_ufunc, primitive), inputs, kwargs)


def _with_options(ufunc: np.ufunc, call: Callable[..., Any], inputs: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    if not kwargs:
        return call(*inputs)
    return import_module("funcgrad.numpy._ufunc_options").call_with_options(ufunc, call, inputs, **kwargs)


def _ufunc_method(ufunc: np.ufunc, method: str, name: str, inputs: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """`reduce` and the like, by their own rules, or by the rule of the ufunc."""
    fun = UFUNC_METHODS.get((ufunc, method))
    if fun is not None:
        return owned(fun(*inputs, **kwargs), inputs)
    has_rule = ufunc in UFUNCS or ufunc in FUNCTIONS or special_primitive(ufunc) is not None
    if has_rule and method not in OF_EVERY_UFUNC:
        import_module("funcgrad.numpy._ufunc_methods")
    if has_rule:
        return owned(OF_EVERY_UFUNC[method](ufunc, *inputs, **kwargs), inputs)
    constant = _of_constants(getattr(ufunc, method), inputs, kwargs)
    if constant is not None:
        return constant
    raise _unsupported(name, REFUSED.get(name, ""))


def _ufunc_into(
    ufunc: np.ufunc, method: str, name: str, inputs: Sequence[Any], outs: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """A ufunc with `out=`."""
    if any(o is not None and not isinstance(o, Tracer) for o in outs):
        if any(isinstance(o, Tracer) for o in outs):
            raise write_error(name)
        return written_plainly(name, getattr(ufunc, method), inputs, {**kwargs, "out": outs})
    where = kwargs.pop("where", True) if method == "__call__" else True
    casting = kwargs.get("casting", "same_kind")
    if method in ("reduce", "accumulate") and kwargs.get("dtype") is None:
        kwargs["dtype"] = outs[0].dtype
    if where is not True:
        inputs = [computed(x, where) for x in inputs]
    results = getattr(ufunc, method)(*inputs, **kwargs)
    if not isinstance(results, tuple):
        return into(outs[0], results, name, casting, where)
    return tuple(r if o is None else into(o, r, name, casting, where) for o, r in zip(outs, results, strict=True))


def written_plainly(name: str, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Let NumPy write into a plain array. Raises TracerWriteError if what is written is traced, and is more than
    integers and booleans whose values are known."""
    args, kwargs = exact_values((tuple(args), kwargs), partial(write_error, name))
    return func(*args, **kwargs)


def computed(x: Any, where: Any) -> Any:
    """An operand of a ufunc with `where=`, and ones elsewhere: NumPy does not compute there, which neither warns nor
    brings a NaN into a derivative."""
    if type(x) in PYTHON_SCALARS:
        return x
    x = array_operand(x)
    return np.where(where, x, x.dtype.type(1))


def _as_tuple(x: Any) -> tuple[Any, ...]:
    return x if isinstance(x, tuple) else (x,)


def _outer(ufunc: np.ufunc, a: Any, b: Any, **kwargs: Any) -> Any:
    a, b = array_operand(a), array_operand(b)
    return ufunc(np.reshape(a, a.shape + (1,) * b.ndim), b, **kwargs)


OF_EVERY_UFUNC["outer"] = _outer


def array_function(
    self: Tracer, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any], kwargs: dict[str, Any]
) -> Any:
    """`__array_function__` of every tracer."""
    fun = FUNCTIONS.get(func)
    if fun is None:
        constant = _of_constants(func, args, kwargs)
        if constant is not None:
            return constant
        _late(func)
    if "out" in kwargs or len(args) > 2:
        return call_function(func, args, kwargs)
    fun = FUNCTIONS[func]
    return fun(*args, **kwargs) if func in VIEWS else owned(fun(*args, **kwargs), args)


def _of_constants(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """A function without a rule, of traced arrays that hold constants and nothing else; None if one holds more."""
    given = [*args, *kwargs.values()]
    plain = [settle(x) if isinstance(x, Tracer) else x for x in given]
    if any(isinstance(x, Tracer) for x in _flat(plain)):
        return None
    plain = [x.copy() if x is not y else x for x, y in zip(plain, given, strict=True)]
    return func(*plain[: len(args)], **dict(zip(kwargs, plain[len(args) :], strict=True)))


def call_function(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What stands for a NumPy function, called with arguments of which one may be `out`."""
    fun = FUNCTIONS[func]
    out, at = kwargs.get("out"), _OUT_AT.get(func, len(args))
    if "out" in kwargs:
        kwargs = {k: v for k, v in kwargs.items() if k != "out"}
    elif at < len(args):
        out, args = args[at], (*args[:at], None, *args[at + 1 :])
    if out is None or out is np._NoValue:
        return fun(*args, **kwargs) if func in VIEWS else owned(fun(*args, **kwargs), args)
    name = f"{func.__module__}.{func.__name__}"
    if not is_a(out, Tracer):
        return written_plainly(name, func, args, {**kwargs, "out": out})
    given, wanted = kwargs.get("dtype", args[2] if len(args) > 2 else None), dtype_of(out)
    if (
        func in _IN_DTYPE_OF_OUT
        and given is None
        and np.can_cast(dtype_of(operand(next(iter(args)))), wanted, "same_kind")
    ):
        args, kwargs = args[:2], {**dict(zip(("keepdims",), args[4:5], strict=False)), **kwargs, "dtype": wanted}
    return into(out, fun(*args, **kwargs), name, kwargs.get("casting", "same_kind"), exact=True)


_LATE = {
    "numpy.fft": "funcgrad.numpy.fft",
    "numpy": "funcgrad.numpy._late",
    "numpy.lib.stride_tricks": "funcgrad.numpy._late",
}
"""Modules that are imported when a function of NumPy's module is first used on a tracer."""


def _late(func: Callable[..., Any]) -> Callable[..., Any]:
    """What stands for a function of a module that is imported late; raises where nothing does."""
    module = _LATE.get(func.__module__)
    if module is not None:
        import_module(module)
    fun = FUNCTIONS.get(func)
    if fun is None:
        name = f"{func.__module__}.{func.__name__}"
        raise _unsupported(name, REFUSED.get(name, ""))
    return fun


def install() -> None:
    """Give tracers their NumPy hooks."""
    Tracer.__array_ufunc__ = array_ufunc  # type: ignore[attr-defined]
    Tracer.__array_function__ = array_function  # type: ignore[attr-defined]
