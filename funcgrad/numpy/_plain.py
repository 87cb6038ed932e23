"""Functions that NumPy has too: on plain arrays they are NumPy's own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

import funcgrad.numpy._strict as _strict
from funcgrad.config import config
from funcgrad.core import Tracer
from funcgrad.numpy._dispatch import VIEWS, implements
from funcgrad.writes import owned

__all__ = ["either", "like"]

F = TypeVar("F", bound=Callable[..., Any])


def either(plain: Any, fun: F) -> F:
    """`fun` where an argument is traced (also inside nested lists), else NumPy's `plain`."""

    @wraps(fun)
    def chosen(*args: Any, **kwargs: Any) -> Any:
        if any(map(_traced, args)) or any(map(_traced, kwargs.values())):
            if isinstance(plain, np.ufunc) and ("out" in kwargs or "where" in kwargs):
                return plain(*args, **kwargs)
            out = fun(*args, **kwargs) if plain in VIEWS else owned(fun(*args, **kwargs), args)
            if config.dtype_promotion == "strict":
                _strict.check(plain, args, kwargs, out, sys._getframe(1))
            return out
        return plain(*args, **kwargs)

    return cast(F, chosen)


def like(plain: Any, view: bool = False) -> Callable[[F], F]:
    """Let the decorated function stand for NumPy's `plain`, where an argument is traced."""

    def decorate(fun: F) -> F:
        implements(plain, view=view)(fun)
        return either(plain, fun)

    return decorate


def _traced(x: Any) -> bool:
    return isinstance(x, Tracer) or (isinstance(x, (list, tuple)) and any(map(_traced, x)))
