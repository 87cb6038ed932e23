"""What a tracer does where Python or NumPy asks for a real value.

Most uses of a tracer arrive at a NumPy hook. Some never do, and meet only `__array__`, `__float__`, `__index__` and the
like. Where the value is known, `int(x)`, `if x:` and formatting give it, and so does `float(x)`, called by its name.
Whatever would cut a value loose from its derivative without a word (`np.array([x, y])`, `a[0] = x`, `math.exp(x)`)
raises, at the user's line, and names what to write instead. What the caller does is read from its bytecode
(`call_sites`); where that does not say, the answer is no.
"""

from __future__ import annotations

import ast
import operator
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import groupby
from types import BuiltinFunctionType, FrameType
from typing import Any, NoReturn

import numpy as np

from funcgrad._tree_kinds import rebuilding
from funcgrad.aliasing import settle
from funcgrad.call_sites import TEXT, UNKNOWN, Action, action, is_library, resolve
from funcgrad.core import Tracer
from funcgrad.errors import (
    CapturedArrayWriteError,
    ConcretizationTypeError,
    TracerArrayConversionError,
    TracerBoolConversionError,
    TracerIntegerConversionError,
    TracerWriteError,
)
from funcgrad.replacements import REPLACEMENTS, SCIPY_GENERAL, public_name, scipy_replacement
from funcgrad.source import by_sparse_matrix, call_at, calling_frame, describe, is_internal, user_frame
from funcgrad.types import is_a

__all__ = ["captured_write_error", "exact_values", "install", "write_error"]

_DETACHING = {"numpy", "math", "cmath", "statistics", "random", "fractions", "decimal", "array", "_struct", "struct"}
"""Modules whose functions compute with plain numbers."""

_GENERAL = "NumPy functions and operators work on it directly; funcgrad.numpy.asarray takes lists of traced values"
_NUMBER = "; float(x), called by its name, where a plain number is meant, through which no derivative flows"


# -------------------------------------------------------------------------------------- what the user was doing


def _advice(frame: FrameType, number: bool) -> tuple[str, str]:
    """What the user wrote, and what to write instead of what asked for an array, or for a `number`."""
    site, act = call_at(frame), action(frame)
    node, text = site if site is not None else (None, "")
    kind, subject = act if act is not None else ("", None)
    fun = resolve(subject, frame)
    if isinstance(node, ast.Assign | ast.AugAssign) or kind == "store" or (number and kind == "subscript"):
        return text, (
            "make the array by a = np.zeros_like(x) or funcgrad.numpy.zeros(shape), which can be written to; or "
            "a = funcgrad.at(a)[i].set(x), or build it with np.stack, np.concatenate or np.where"
        )
    if kind == "subscript":
        if fun is np.c_ or fun is np.r_:
            name = "c_" if fun is np.c_ else "r_"
            return text, f"funcgrad.numpy.{name}[...], or np.column_stack or np.concatenate"
        return text, "funcgrad.at(a)[i].get(), or funcgrad.numpy.take(a, i, axis=0)"
    if kind == "call" and fun is not UNKNOWN:
        name = public_name(fun)
        text = text or f"{name}(...)"
        ours = scipy_replacement(name) if name.startswith("scipy.") else None
        if ours is not None or name in REPLACEMENTS:
            return text, ours or REPLACEMENTS[name]
        if name.endswith(".dot"):
            return text, "np.dot(a, x) or a @ x"
        if name.startswith("numpy.polynomial."):
            return text, f"funcgrad.{name}"
        if name.startswith(("math.", "cmath.")):
            return text, f"np.{name.split('.')[1]}"
        if name.startswith("scipy."):
            return text, SCIPY_GENERAL
        ours = _undispatched(name)
        if ours:
            return text, ours
    if calling_frame() is not frame:  # an operator of a SciPy class
        return text, SCIPY_GENERAL
    if "vectorize(" in text:
        return text, REPLACEMENTS["numpy.vectorize"]
    if "random" in text:
        return text, "draws with fixed parameters outside, shifted and scaled by traced values"
    return text, _GENERAL + (_NUMBER if number else "")


def _undispatched(name: str) -> str:
    """What to write instead of a function of NumPy's own, of this public name, that has not asked funcgrad: NumPy looks
    at some of its arguments only. Empty where funcgrad was asked, or has no such function."""
    module, _, own = name.rpartition(".")
    packages = [p for p, _ in groupby(_packages())]
    if module != "numpy" or packages[:2] != ["funcgrad", "numpy"] or packages[2:3] == ["funcgrad"]:
        return ""
    if own not in import_module("funcgrad.numpy").__all__:
        return ""
    return f"funcgrad.numpy.{own} (NumPy's own takes plain values alone for some of its arguments)"


def _packages() -> Iterator[str]:
    """The packages whose code runs, the innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield str(frame.f_globals.get("__name__")).partition(".")[0]
        frame = frame.f_back


def _place(frame: FrameType | None) -> str:
    return describe((frame.f_code, frame.f_lasti)) if frame is not None else ""


def _no_array(self: Any, number: bool = False) -> TracerArrayConversionError:
    frame = user_frame()
    text, instead = _advice(frame, number) if frame is not None else ("", "")
    return TracerArrayConversionError(
        f"a traced value of type {self.aval} cannot become a plain array or number"
        + (" without losing its derivative" if self.differentiated else " while the function is recorded")
        + (f", in `{text}`" if text else "")
        + (f"\n  at {_place(frame)}" if frame is not None else "")
        + (f"\n  write instead: {instead}" if instead else "")
    )


def _refused(self: Any, number: bool = False) -> BaseException:
    """The error for what NumPy would do with a value: a function that catches it is not what it is with values."""
    error = _no_array(self, number)
    return error if number and self.shape else self.unanswered(error)


def _no_value(self: Any, what: str, kind: type[Exception], remedy: str) -> NoReturn:
    frame = user_frame()
    error = kind(
        f"{what} needs a value, but this traced {self.aval} has none: it stands for every value of its type (make_ir, "
        f"jit) or for every example (vmap)\n  at {_place(frame)}\n  {remedy}"
    )
    raise self.unanswered(error)


# ------------------------------------------------------------------------------------------------- Python numbers

_PLAIN = frozenset(map(id, (float, complex)))
"""What gives a plain number to one who calls it by name."""

_QUESTIONS = {
    *(("math", name) for name in ("isnan", "isinf", "isfinite", "isclose")),
    *(("cmath", name) for name in ("isnan", "isinf", "isfinite", "isclose")),
}
"""Functions whose results have no derivative."""


def _is_question(fun: Any) -> bool:
    return type(fun) is BuiltinFunctionType and (fun.__module__, fun.__name__) in _QUESTIONS


def _allows(frame: FrameType, act: Action | None) -> bool:
    """Whether it is certain that what a frame does loses no derivative, or was told to.

    That is so for `float(x)` and `complex(x)`, but not in a library, whose users cannot know; for questions such as
    `math.isnan(x)`; and for `text % x`.
    """
    if act is None:
        return False
    if act.kind == "call":
        callee = resolve(act.subject, frame)
        return not is_library(frame) if id(callee) in _PLAIN else _is_question(callee)
    if act.kind != "percent":
        return False
    return act.subject is TEXT or type(resolve(act.subject, frame)) in (str, bytes, bytearray)


def _computes(frame: FrameType, act: Action | None) -> bool:
    """Whether it is certain that a number is wanted to compute with, or to be stored, by code that knows no tracers."""
    if act is None:
        return False
    if act.kind != "call":
        return act.kind in ("store", "subscript")
    fun = resolve(act.subject, frame)
    if fun is UNKNOWN or _is_question(fun):
        return False
    if isinstance(fun, type):
        return issubclass(fun, np.generic)
    root = public_name(fun).split(".")[0]
    return root in _DETACHING or type(getattr(fun, "__self__", None)).__module__.split(".")[0] == "numpy"


def _checked(self: Any) -> None:
    """Raise if a number is asked for by what might compute with it behind the recorder's back.

    A value that carries a derivative is given only where that is certain to be right. The number of any other is noted
    down by who records it (or there is none): that is refused only where a NumPy function is certainly meant.
    """
    if self.dtype.kind not in "fc" or not is_a(settle(self), Tracer):  # or a constant that a function has made
        return
    _not_rebuilding(self)
    frame: FrameType = sys._getframe(2)  # of who called `__float__`
    if self.differentiated:
        if not _allows(frame, action(frame)):
            raise _refused(self, number=True)
        return
    caller = calling_frame()
    if caller is not None and _computes(caller, action(caller)):
        raise _refused(self, number=True)


def _not_rebuilding(self: Any) -> None:
    """Raise if an instance of a class is being put together from traced leaves: its numbers would be constants."""
    cls = rebuilding.get()
    if cls is None or self.dtype.kind not in "fc":
        return
    name, place = cls.__qualname__, _place(user_frame())
    error = TracerArrayConversionError(
        f"{name} is put together from its leaves, of which one is a traced {self.aval}: a plain array or number that "
        f"its __init__, __new__ or __post_init__ makes of it loses the derivative"
        + (f"\n  at {place}" if place else "")
        + f"\n  write instead: conversions where instances are made, not in {name}; or an unflatten function without "
        f"them: x = object.__new__({name}), then x.attribute = leaf"
    )
    raise self.unanswered(error)


def _checked_method(self: Any) -> None:
    """Raise if it is not the user who calls a method that gives plain numbers."""
    frame: FrameType = sys._getframe(2)
    _not_rebuilding(self)
    if self.dtype.kind in "fc" and self.differentiated and is_library(frame):
        raise _refused(self, number=True)


_CONTROL = "Use np.where, funcgrad.lax.cond or funcgrad.lax.while_loop, or pass it as a static argument."


def _asked_whether_lazy(frame: FrameType) -> bool:
    """Whether a library for the array API only finds out, by `bool(x)`, whether there are values."""
    return frame.f_code.co_name == "is_lazy_array" and "array_api_compat" in frame.f_globals.get("__name__", "")


def _bool(self: Any) -> bool:
    value = self.concrete("bool")
    if value is None and _asked_whether_lazy(sys._getframe(1)):
        error = TracerBoolConversionError(f"this traced {self.aval} has no value of its own")
        answer = self.unanswered(error)
        self.owner.forgive(error)  # such a library then does what is right for all values
        raise answer
    if value is None:
        _no_value(self, "`if`, `while` or bool()", TracerBoolConversionError, _CONTROL)
    return bool(value)


def _float(self: Any) -> float:
    _checked(self)
    value = self.concrete("float")
    if value is None:
        _no_value(self, "float()", ConcretizationTypeError, "Use the traced value itself, or .astype(float).")
    return float(value)


def _complex(self: Any) -> complex:
    _checked(self)
    value = self.concrete("complex")
    if value is None:
        _no_value(self, "complex()", ConcretizationTypeError, "Use the traced value itself, or .astype(complex).")
    return complex(value)


def _int(self: Any) -> int:
    _not_rebuilding(self)
    value = self.concrete("int")
    if value is None:
        _no_value(self, "int()", TracerIntegerConversionError, "Use .astype(int), or pass it as a static argument.")
    return int(value)


def _whole(self: Any, rounding: Callable[[Any], Any]) -> int:
    _not_rebuilding(self)
    return int(rounding(self))


def _rounded(self: Any) -> Any:
    """The nearest integer: a number where the value is known, otherwise a traced integer."""
    _not_rebuilding(self)
    nearest: Any = np.rint(self)
    return nearest.astype(int) if _is_unknown(nearest) else int(nearest)


def _is_unknown(x: Any) -> bool:
    return is_a(x, Tracer) and x.concrete() is None


def _index(self: Any) -> int:
    if self.shape:  # NumPy asks this of every index first, and takes it for an array then
        raise TypeError("only integer scalar arrays can be converted to a scalar index")
    value = self.concrete("index")
    if value is None:
        remedy = "Use funcgrad.numpy.take or funcgrad.lax.fori_loop, or pass it as a static argument."
        _no_value(self, "an index, a size or range()", TracerIntegerConversionError, remedy)
    return operator.index(value if not is_a(value, np.ndarray) else value[()])


def _item(self: Any, *args: Any) -> Any:
    _checked_method(self)
    return _element(self, *args)


def _element(self: Any, *args: Any) -> Any:
    value = self.concrete("item")
    if value is None:
        _no_value(self, "item() or tolist()", ConcretizationTypeError, "Return the traced value instead.")
    return np.asarray(value).item(*args)


def _tolist(self: Any) -> Any:
    _checked_method(self)
    value = self.concrete("bytes")
    return _element(self) if value is None else np.asarray(value).tolist()


def _tobytes(self: Any, order: str = "C") -> bytes:
    _checked_method(self)
    value = self.concrete("bytes")
    if value is None:
        _element(self)  # which raises
    return np.asarray(value).tobytes(order)  # type: ignore[arg-type]


class _OfTheNumber:
    """A method of numbers that gives something else than a number which could be traced, such as `hex`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, x: Any, owner: type | None = None) -> Any:
        if x is None:
            return self
        if not hasattr(x.stands_for, self.name):
            raise AttributeError(f"{x.stands_for.__name__!r} object has no attribute {self.name!r} (a traced {x.aval})")

        def method(*args: Any, **kwargs: Any) -> Any:
            _checked_method(x)
            return getattr(_element(x), self.name)(*args, **kwargs)

        return method


# ---------------------------------------------------------------------------------------------------- containers


class _NoLength(TypeError, AttributeError):
    """What `len(x)` raises for a scalar, and what makes `hasattr(x, "__len__")` false."""


class _Length:
    """`__len__` of tracers; those of scalars have none."""

    def __get__(self, tracer: Any, owner: type | None = None) -> Callable[[], int]:
        if tracer is None:
            return self  # type: ignore[return-value]
        if tracer.shape or tracer.stands_for is np.ndarray:
            return lambda: _len(tracer)
        raise _NoLength("len() of an unsized object: a traced scalar has no length")


def _len(self: Any) -> int:
    if not self.shape:
        raise TypeError("len() of an unsized object: a traced array of shape () has no length")
    return self.shape[0]


def _iter(self: Any) -> Iterator[Any]:
    if not self.shape:
        raise TypeError("iteration over a 0-d array: a traced scalar has no elements")
    return (self[i] for i in range(self.shape[0]))


def _contains(self: Any, x: Any) -> bool:
    return bool((self == x).any())


def _exact(x: Any) -> Any:
    """The value of a traced integer or boolean, through which no derivative flows; None if not known, or of others."""
    return x.concrete("bytes") if x.dtype.kind in "bui" else None


def exact_values(xs: Any, error: Callable[[], Exception]) -> Any:
    """Operands in which traced integers and booleans are plain arrays of their values, for NumPy to write into an array
    that is plain. Containers are tuples, lists and dicts. Raises `error()` where more is traced, or has no value.
    """
    if isinstance(xs, Tracer):
        value = _exact(xs)
        if value is None:
            raise xs.unanswered(error()) if xs.aval.dtype.kind in "bui" else error()
        return value
    if type(xs) is dict:
        return {key: exact_values(x, error) for key, x in xs.items()}
    return type(xs)(exact_values(x, error) for x in xs) if type(xs) in (tuple, list) else xs


def _array(self: Any, dtype: Any = None, copy: Any = None) -> Any:
    value = settle(self)
    if is_a(value, np.ndarray):  # a constant that a function may write to, and has not written anything traced to
        return np.array(value, dtype)
    if by_sparse_matrix():  # which leaves the product to what is no array
        return np.empty((), object)
    known = _exact(self)
    if known is not None:
        return np.array(known, dtype)
    _not_rebuilding(self)
    raise _refused(self)


def _text(self: Any) -> str:
    value = self.concrete()
    return f"Traced<{self.aval}>" + ("" if value is None else f" {value!r}")


def _str(self: Any) -> str:
    value = self.concrete()
    return _text(self) if value is None else str(value)


def _format(self: Any, spec: str) -> str:
    value = self.concrete()
    return format(_text(self) if value is None else value, spec if value is not None else "")


def _reduce_ex(self: Any, protocol: Any) -> Any:
    raise TypeError(f"a traced value of type {self.aval} cannot be pickled: return it from the function first")


# --------------------------------------------------------------------------------------------------------- writes


def write_error(name: str) -> TracerWriteError:
    """The error for a NumPy call that would write a traced value into a plain array."""
    frame = user_frame()
    act = action(frame) if frame is not None else None
    called = public_name(resolve(act.subject, frame)) if frame is not None and act is not None else ""
    instead = _undispatched(called) or (
        "make it by a = np.zeros_like(x) or funcgrad.numpy.zeros(shape), which can be written to; or a = a + x, the "
        "function's result, or funcgrad.at(a)[index].set(x)"
    )
    return TracerWriteError(
        f"{name} would write a traced value into a plain array (`a += x`, `out=a`, np.copyto)\n"
        f"  at {_place(frame)}\n  write instead: {instead}"
    )


def captured_write_error(error: Exception) -> Exception:
    """The error for a write into an array that a derivative in progress still needs."""
    tb = error.__traceback__
    frame_line: tuple[str, int, str] | None = None
    while tb is not None:
        code = tb.tb_frame.f_code
        if not is_internal(code.co_filename):
            frame_line = code.co_filename.rsplit("/", 1)[-1], tb.tb_lineno, code.co_name
        tb = tb.tb_next
    place = f"\n  at {frame_line[0]}:{frame_line[1]} ({frame_line[2]})" if frame_line else ""
    return CapturedArrayWriteError(
        f"{error}: the array is the caller's, or takes part in a derivative that is being recorded"
        f"{place}\n"
        "  write instead: a = a + x (a new array), or write into a copy, a.copy()"
    )


def install(cls: Any) -> None:
    """Give a class of tracers these conversions."""
    cls.__array__ = _array
    cls.__bool__, cls.__float__, cls.__int__, cls.__index__, cls.__complex__ = _bool, _float, _int, _index, _complex
    cls.__len__, cls.__iter__, cls.__contains__ = _Length(), _iter, _contains
    cls.__repr__, cls.__str__, cls.__format__ = _text, _str, _format
    cls.__copy__ = lambda self: self.copy()
    cls.__deepcopy__ = lambda self, memo: self.copy()
    cls.__reduce_ex__ = _reduce_ex
    cls.__round__ = lambda self, digits=None: _rounded(self) if digits is None else np.round(self, digits)
    cls.__floor__ = lambda self: _whole(self, np.floor)
    cls.__ceil__ = lambda self: _whole(self, np.ceil)
    cls.__trunc__ = _int
    cls.item, cls.tolist, cls.tobytes = _item, _tolist, _tobytes
    for name in ("as_integer_ratio", "hex", "to_bytes"):
        setattr(cls, name, _OfTheNumber(name))
