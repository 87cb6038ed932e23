"""Functions that NumPy has too: on plain arrays they are NumPy's own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

import funcgrad.numpy._strict as _strict
from funcgrad._array import Array, elsewhere, unwrap, wrap
from funcgrad.aliasing import fresh
from funcgrad.config import checks, config
from funcgrad.core import Tracer, current_trace
from funcgrad.numpy._dispatch import VIEWS, implements, operand
from funcgrad.types import NUMBERS, SCALARS, is_a
from funcgrad.writes import owned

__all__ = ["either", "like", "made_here"]

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = {"axes", "axis", "casting", "dtype", "keepdims", "order", "out", "sig", "signature", "subok", "where"}
"""What NumPy's ufuncs take by keyword."""


def either(plain: Any, fun: F) -> F:
    """`fun` where an argument is traced (also inside nested lists) or NumPy lacks a keyword, else NumPy's `plain`.

    Arrays among the results are an `Array` each.
    """
    more = _more_keywords(plain, fun)
    names = _parameters(fun)
    at = names.index("where") if "where" in names else 99

    @wraps(fun)
    def chosen(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            for name in _GIVEN_OR_NONE.intersection(kwargs):
                if kwargs[name] is None:
                    del kwargs[name]
        if len(args) > at and args[at] is None:
            args = (*args[:at], True, *args[at + 1 :])
        if not kwargs and _UNTRACED.issuperset(map(type, args)) and not config.debugging:
            return wrap(plain(*args))
        if any(map(_traced, args)) or any(map(_traced, kwargs.values())) or not more.isdisjoint(kwargs):
            if elsewhere:
                out = elsewhere[0](chosen, args, kwargs)
                if out is not NotImplemented:
                    return out
            if kwargs and isinstance(plain, np.ufunc) and kwargs.keys() <= _OPTIONS:
                return wrap(plain(*map(operand, args), **kwargs))
            out = fun(*args, **kwargs) if plain in VIEWS else owned(fun(*args, **kwargs), args)
            if _strict.is_checking():
                _strict.check(plain, args, kwargs, out, _strict.caller_of(sys._getframe(1)))
            return wrap(out)
        if config.debugging:
            out = plain(*args, **kwargs)
            checks["value"](out, plain.__name__)
            return wrap(out)
        return wrap(plain(*args, **kwargs))

    return cast(F, chosen)


_GIVEN_OR_NONE = frozenset(("append", "correction", "edge_order", "mean", "prepend", "where"))
"""Parameters that are None in JAX where nothing is given; NumPy takes None for "nowhere", or for a number."""

_UNTRACED = SCALARS | {np.ndarray, Array, type(None), str}
"""Classes of arguments, the most frequent ones, that neither are traced nor hold what is."""


def made_here(fun: F) -> F:
    """`fun`, which makes arrays: where a function is transformed they are its own, and traced values can be written to
    them; so they are of the same namespace as what is traced."""

    @wraps(fun)
    def make(*args: Any, **kwargs: Any) -> Any:
        out = fun(*args, **kwargs)
        if current_trace() is None or not is_a(out, np.ndarray) or out.dtype not in NUMBERS:
            return out
        given = any(is_a(x, np.ndarray) for x in (*args, *kwargs.values()))  # whose memory it may share
        return fresh(np.array(out) if given else unwrap(out))

    return cast(F, make)


_OF_C: dict[Any, frozenset[str]] = {
    np.array: frozenset(("object", "dtype", "copy", "order", "subok", "ndmin", "like")),
    np.bincount: frozenset(("x", "weights", "minlength")),
}
"""The keywords of NumPy's functions that are not written in Python, where ours have more."""


def _more_keywords(plain: Any, fun: Any) -> frozenset[str]:
    """The keywords that our function takes and NumPy's does not."""
    known = _OF_C.get(plain) or _keywords(plain)
    return _keywords(fun) - known if known else frozenset()


def _keywords(fun: Any) -> frozenset[str]:
    """The names of a function's parameters, if it is written in Python and takes no others."""
    while hasattr(fun, "__wrapped__"):
        fun = fun.__wrapped__
    code = getattr(fun, "__code__", None)
    if code is None or code.co_flags & _TAKES_ANY:
        return frozenset()
    return frozenset(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])


def _parameters(fun: Any) -> tuple[str, ...]:
    """The names of a function's positional parameters, if it is written in Python."""
    while hasattr(fun, "__wrapped__"):
        fun = fun.__wrapped__
    code = getattr(fun, "__code__", None)
    return () if code is None else code.co_varnames[: code.co_argcount]


_TAKES_ANY = 0x08
"""The flag of a code object whose function has `**kwargs`."""


def like(plain: Any, view: bool = False) -> Callable[[F], F]:
    """Let the decorated function stand for NumPy's `plain`, where an argument is traced."""

    def decorate(fun: F) -> F:
        implements(plain, view=view)(fun)
        return either(plain, fun)

    return decorate


def _traced(x: Any) -> bool:
    return isinstance(x, Tracer) or (isinstance(x, (list, tuple)) and any(map(_traced, x)))
