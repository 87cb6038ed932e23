"""Layers and initialisers pickle: as the call that made them, since Python pickles no function inside another one."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, TypeVar

from funcgrad.types import is_a

__all__ = ["pickling_as_made"]

F = TypeVar("F", bound=Callable[..., Any])


class _Function:
    """A function, with the call that made it."""

    __slots__ = ("_function", "_made")

    def __init__(self, function: Callable[..., Any], made: tuple[Any, ...]) -> None:
        self._function, self._made = function, made

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    def __repr__(self) -> str:
        maker, args, kwargs = self._made
        given = [*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())]
        return f"{maker.__name__}({', '.join(given)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _call, self._made


def _call(maker: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return maker(*args, **kwargs)


@cache
def _of_functions(kind: type) -> type:
    """A kind of named tuple whose instances know the call that made them."""

    def reduce(self: Any) -> tuple[Any, ...]:
        made = self.__dict__.get("made")
        return (_call, made) if made is not None else (kind, tuple(self))  # one made of another by `_replace`

    return type(kind.__name__, (kind,), {"__reduce__": reduce, "__module__": kind.__module__, "__doc__": kind.__doc__})


def pickling_as_made(maker: F, module: str | None = None) -> F:
    """A function that makes functions, or named tuples of them; these pickle as the call, wherever its arguments do.

    It is found under its own name, in a `module` if that is another one.
    """

    @wraps(maker)
    def make(*args: Any, **kwargs: Any) -> Any:
        found, made = maker(*args, **kwargs), (make, args, kwargs)
        if not is_a(found, tuple):
            return _Function(found, made)
        found = _of_functions(type(found))._make(found)
        found.made = made
        return found

    if module is not None:
        make.__module__ = module
    return make  # type: ignore[return-value]
