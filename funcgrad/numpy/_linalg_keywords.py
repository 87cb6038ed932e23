"""Keywords that JAX adds to functions of `numpy.linalg`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

from funcgrad.errors import UnsupportedFunctionError
from funcgrad.numpy._dispatch import array_operand

__all__ = ["with_keywords"]

F = TypeVar("F", bound=Callable[..., Any])


def with_keywords(*names: str) -> Callable[[F], F]:
    """Let the decorated function take these keywords too, all None by default.

    They are: `precision`, which changes nothing (all is computed in the precision of the operands);
    `preferred_element_type`, the dtype of the result; `method`, of `slogdet`: "lu" or "qr", without a difference;
    `subset_by_index`, which raises UnsupportedFunctionError unless it is None.
    """

    def decorate(fun: F) -> F:
        @wraps(fun)
        def chosen(*args: Any, **kwargs: Any) -> Any:
            given = {name: kwargs.pop(name, None) for name in names}
            if given.get("subset_by_index") is not None:
                raise UnsupportedFunctionError(f"{fun.__name__}: subset_by_index is not offered; slice the result")
            if given.get("method") not in (None, "lu", "qr"):
                raise ValueError(f"{fun.__name__}: method must be None, 'lu' or 'qr', got {given['method']!r}")
            dtype = given.get("preferred_element_type")
            if dtype is None:
                return fun(*args, **kwargs)
            return fun(*[_widened(x, dtype) for x in args], **kwargs).astype(dtype)

        signature = inspect.signature(fun)
        extra = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None) for name in names]
        chosen.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *extra])  # type: ignore[attr-defined]
        return cast(F, chosen)

    return decorate


def _widened(x: Any, dtype: Any) -> Any:
    """An operand in a dtype that holds it, so that sums do not overflow; else as it is."""
    x = array_operand(x)
    return x.astype(dtype) if np.can_cast(x.dtype, dtype, "safe") else x
