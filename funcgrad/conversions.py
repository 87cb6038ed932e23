"""What a tracer does where Python or NumPy asks for a real value.

Most uses of a tracer arrive at a NumPy hook. Some never do, and meet only `__array__`, `__float__`, `__index__` and the
like. Where the value is known, plain Python conversions (`float(x)`, `if x:`) give it. Whatever would cut a value loose
from its derivative without a word (`np.array([x, y])`, `a[0] = x`, `math.exp(x)`) raises, at the user's line, and names
what to write instead.
"""

from __future__ import annotations

import ast
import builtins
import operator
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn

import numpy as np

from funcgrad.errors import (
    CapturedArrayWriteError,
    ConcretizationTypeError,
    TracerArrayConversionError,
    TracerBoolConversionError,
    TracerIntegerConversionError,
    TracerWriteError,
)
from funcgrad.source import call_at, describe, is_internal, user_frame

__all__ = ["captured_write_error", "install", "write_error"]

_REPLACEMENTS = {
    "numpy.array": "np.stack([x, y]) for a list of traced values, or funcgrad.numpy.array",
    "numpy.asarray": "the traced value as it is, or funcgrad.numpy.asarray",
    "numpy.asanyarray": "the traced value as it is",
    "numpy.ascontiguousarray": "the traced value as it is",
    "numpy.full_like": "value * np.ones_like(a)",
    "numpy.full": "value * np.ones(shape), or funcgrad.numpy.full",
    "numpy.arange": "start + step * np.arange(n) with a length n that is known",
    "numpy.fromiter": "np.stack([...])",
    "numpy.float64": "the traced value as it is, or x.astype(float)",
    "numpy.float32": "x.astype(np.float32)",
    "numpy.vectorize": "the NumPy functions inside it",
    "math.pow": "np.power",
    "math.fabs": "np.abs",
    "math.gamma": "scipy.special.gamma",
    "math.lgamma": "scipy.special.gammaln",
    "math.erf": "scipy.special.erf",
    "math.erfc": "scipy.special.erfc",
    "math.fsum": "np.sum",
    "math.dist": "np.linalg.norm(x - y)",
    "math.asin": "np.arcsin",
    "math.acos": "np.arccos",
    "math.atan": "np.arctan",
    "math.atan2": "np.arctan2",
    "math.asinh": "np.arcsinh",
    "math.acosh": "np.arccosh",
    "math.atanh": "np.arctanh",
}
_DETACHING = {"math", "cmath", "statistics", "random", "fractions", "decimal", "array", "_struct", "struct"}
_EXACT = {"floor", "ceil", "trunc", "isnan", "isinf", "isfinite", "isclose", "gcd", "lcm"}
"""Functions of `math` whose derivative is zero, or that are a question."""


# -------------------------------------------------------------------------------------- what the user was doing


def _resolve(node: ast.AST, frame: FrameType) -> Any:
    """The object that a name or dotted name stands for in a frame; None if it cannot be said."""
    if isinstance(node, ast.Name):
        for scope in (frame.f_locals, frame.f_globals, vars(builtins)):
            if node.id in scope:
                return scope[node.id]
        return None
    if isinstance(node, ast.Attribute):
        owner = _resolve(node.value, frame)
        return getattr(owner, node.attr, None) if owner is not None else None
    return None


def _qualified(fun: Any) -> str:
    """A function as `module.name`, with NumPy's public spelling."""
    name = getattr(fun, "__name__", type(fun).__name__)
    owner = getattr(fun, "__self__", None)
    module = getattr(fun, "__module__", None) or getattr(owner, "__name__", None) or type(owner).__module__
    return f"{str(module).split('.')[0] if str(module).startswith('numpy') else module}.{name}"


def _advice(frame: FrameType, storing: bool) -> tuple[str, str]:
    """What the user wrote, and what to write instead."""
    site = call_at(frame)
    general = "NumPy functions and operators work on it directly; funcgrad.numpy.asarray takes lists of traced values"
    if site is None:
        return "", general
    node, text = site
    if isinstance(node, (ast.Assign, ast.AugAssign)) or (storing and isinstance(node, ast.Subscript)):
        return text, "funcgrad.at(a)[i].set(x), or build the array with np.stack, np.concatenate or np.where"
    if isinstance(node, ast.Subscript) and not text.startswith(("np.c_", "np.r_", "numpy.c_", "numpy.r_")):
        return text, "funcgrad.at(a)[i].get(), or funcgrad.numpy.take(a, i, axis=0)"
    if isinstance(node, ast.Call):
        fun = _resolve(node.func, frame)
        name = _qualified(fun) if fun is not None else ""
        if name in _REPLACEMENTS:
            return text, _REPLACEMENTS[name]
        if isinstance(node.func, ast.Attribute) and node.func.attr == "dot":
            return text, "np.dot(a, x) or a @ x"
        if name.startswith(("math.", "cmath.")):
            return text, f"np.{name.split('.')[1]}"
        if "random" in text:
            return text, "draws with fixed parameters outside, shifted and scaled by traced values"
    if "c_[" in text or "r_[" in text:
        return text, "np.column_stack or np.concatenate"
    return text, general


def _place(frame: FrameType | None) -> str:
    return describe((frame.f_code, frame.f_lasti)) if frame is not None else ""


def _no_array(self: Any, storing: bool = False) -> TracerArrayConversionError:
    frame = user_frame()
    text, instead = _advice(frame, storing) if frame is not None else ("", "")
    return TracerArrayConversionError(
        f"a traced value of type {self.aval} cannot become a plain array or number without losing its derivative"
        + (f", in `{text}`" if text else "")
        + (f"\n  at {_place(frame)}" if frame is not None else "")
        + (f"\n  write instead: {instead}" if instead else "")
    )


def _no_value(self: Any, what: str, kind: type[Exception], remedy: str) -> NoReturn:
    frame = user_frame()
    raise kind(
        f"{what} needs a value, but this traced {self.aval} has none: it stands for every value of its type (make_ir, "
        f"jit) or for every example (vmap)\n  at {_place(frame)}\n  {remedy}"
    )


# ------------------------------------------------------------------------------------------------- Python numbers

_allowed: dict[tuple[Any, int], bool] = {}
"""Whether a place in the user's code may take a plain number from a tracer."""


def _loses_derivative(frame: FrameType) -> bool:
    """Whether a conversion is done by a function that computes with the number, such as `math.exp(x)`."""
    site = call_at(frame)
    if site is None:
        return False
    if isinstance(site.node, (ast.Subscript, ast.Assign, ast.AugAssign)):
        return True  # `a[i] = x`: an array asks for the number to store
    if not isinstance(site.node, ast.Call):
        return False
    fun = _resolve(site.node.func, frame)
    if isinstance(fun, type) and issubclass(fun, np.generic):
        return True
    if fun is None or isinstance(fun, type):
        return False
    name = _qualified(fun)
    module, _, last = name.rpartition(".")
    owner = getattr(fun, "__self__", None)
    root = (module or type(owner).__module__).split(".")[0]
    if root == "numpy" or type(owner).__module__.startswith("numpy"):
        return True
    return root in _DETACHING and last not in _EXACT


def _checked(self: Any) -> None:
    """Raise if the number that is asked for would be computed with behind the recorder's back."""
    if self.dtype.kind not in "fc":
        return
    frame = user_frame()
    if frame is None:
        return
    key = frame.f_code, frame.f_lasti
    allowed = _allowed.get(key)
    if allowed is None:
        if len(_allowed) > 10_000:
            _allowed.clear()
        allowed = _allowed[key] = not _loses_derivative(frame)
    if not allowed:
        raise _no_array(self, storing=True)


_CONTROL = "Use np.where, funcgrad.lax.cond or funcgrad.lax.while_loop, or pass it as a static argument."


def _bool(self: Any) -> bool:
    value = self.concrete("bool")
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
    value = self.concrete("int")
    if value is None:
        _no_value(self, "int()", TracerIntegerConversionError, "Use .astype(int), or pass it as a static argument.")
    return int(value)


def _index(self: Any) -> int:
    value = self.concrete("index")
    if value is None:
        remedy = "Use funcgrad.numpy.take or funcgrad.lax.fori_loop, or pass it as a static argument."
        _no_value(self, "an index, a size or range()", TracerIntegerConversionError, remedy)
    return operator.index(value if not isinstance(value, np.ndarray) else value[()])


def _item(self: Any, *args: Any) -> Any:
    value = self.concrete("item")
    if value is None:
        _no_value(self, "item() or tolist()", ConcretizationTypeError, "Return the traced value instead.")
    return np.asarray(value).item(*args)


def _tolist(self: Any) -> Any:
    value = self.concrete("bytes")
    return _item(self) if value is None else np.asarray(value).tolist()


# ---------------------------------------------------------------------------------------------------- containers


def _len(self: Any) -> int:
    if not self.shape:
        raise TypeError("len() of an unsized object: a traced scalar has no length")
    return self.shape[0]


def _iter(self: Any) -> Iterator[Any]:
    if not self.shape:
        raise TypeError("iteration over a 0-d array: a traced scalar has no elements")
    return (self[i] for i in range(self.shape[0]))


def _contains(self: Any, x: Any) -> bool:
    return bool((self == x).any())


def _array(self: Any, dtype: Any = None, copy: Any = None) -> Any:
    raise _no_array(self)


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


def _write(name: str, instead: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        place = _place(user_frame())
        raise TracerWriteError(
            f"{name} would write into a traced {self.aval}, and traced functions are pure\n  at {place}\n"
            f"  write instead: {instead}"
        )

    return method


_WRITES = {
    "__setitem__": ("x[index] = value", "x = x.at[index].set(value)"),
    "__delitem__": ("del x[index]", "np.concatenate of what stays"),
    "sort": ("x.sort()", "x = np.sort(x)"),
    "partition": ("x.partition()", "x = np.partition(x, kth)"),
    "fill": ("x.fill(value)", "x = np.full_like(x, value)"),
    "put": ("x.put()", "x = x.at[indices].set(values)"),
    "itemset": ("x.itemset()", "x = x.at[index].set(value)"),
    "resize": ("x.resize()", "x = np.resize(x, shape), or np.pad"),
    "setfield": ("x.setfield()", "x.astype or x.at[index].set(value)"),
    "setflags": ("x.setflags()", "nothing: traced values cannot be written to"),
}


def write_error(name: str, args: Any, kwargs: Any) -> TracerWriteError:
    """The error for a NumPy call that would write a traced value into an array, or write into a traced one."""
    place = _place(user_frame())
    return TracerWriteError(
        f"{name} would write a traced value into an array that exists already (`a += x`, `out=a`, np.copyto)\n"
        f"  at {place}\n  write instead: a = a + x, the function's result, or funcgrad.at(a)[index].set(x)"
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
        f"{error}: the array takes part in a derivative that is being recorded, so its values are still needed{place}\n"
        "  write instead: a = a + x (a new array), or write into a copy, a.copy()"
    )


def install(cls: Any) -> None:
    """Give a class of tracers these conversions."""
    cls.__array__ = _array
    cls.__bool__, cls.__float__, cls.__int__, cls.__index__, cls.__complex__ = _bool, _float, _int, _index, _complex
    cls.__len__, cls.__iter__, cls.__contains__ = _len, _iter, _contains
    cls.__repr__, cls.__str__, cls.__format__ = _text, _str, _format
    cls.__copy__ = lambda self: self
    cls.__deepcopy__ = lambda self, memo: self
    cls.__reduce_ex__ = _reduce_ex
    cls.__round__ = lambda self, digits=None: np.round(self, digits or 0) if digits is not None else int(np.rint(self))
    cls.__floor__ = lambda self: int(np.floor(self))
    cls.__ceil__ = lambda self: int(np.ceil(self))
    cls.__trunc__ = _int
    cls.item, cls.tolist = _item, _tolist
    for name, (what, instead) in _WRITES.items():
        setattr(cls, name, _write(what, instead))
