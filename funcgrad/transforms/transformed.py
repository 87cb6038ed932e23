"""What a transformation makes of a function: it is called like one, and pickles as the function and the options.

Python pickles a function by its name alone, and there is no other way to ask it. So what `jit(f)` or `grad(f)` returns
is an object of C's own kind that calls a function, a `functools.partial` without arguments, which costs 0.05 µs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial, update_wrapper
from types import MethodType
from typing import Any

__all__ = ["Transformed", "name_of", "transformed"]

_BY_VALUE = {"cloudpickle", "cloudpickle_fast", "dill", "_dill"}
"""Modules that pickle the functions of `__main__` by value, which is then what those who decorate them want too."""


class Transformed(partial):  # type: ignore[type-arg]
    """A function made of another one.

    It has the name, documentation and signature of that, is a method where it stands in a class, and pickles wherever
    the function and the options of the transformation do: by its own name where it is found under that in its module
    (`@jit def f`), otherwise as `jit(f, ...)`, to be made again. A copy is the same object, as with functions.
    """

    __wrapped__: Callable[..., Any]
    _made: tuple[Callable[..., Any], dict[str, Any]]

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __reduce__(self) -> Any:
        make, options = self._made
        return name_of(self) or (_make, (make, self.__wrapped__, options))

    def __copy__(self) -> Transformed:
        return self

    def __deepcopy__(self, memo: Any) -> Transformed:
        return self

    def __repr__(self) -> str:
        return f"<{self._made[0].__name__} of {self.__wrapped__!r}>"


def _make(make: Callable[..., Any], fun: Callable[..., Any], options: dict[str, Any]) -> Any:
    return make(fun, **options)


def transformed(make: Callable[..., Any], fun: Callable[..., Any], **options: Any) -> Callable[[Any], Any]:
    """For what `make(fun, **options)` is to return: what makes it of a function that does the work."""

    def of(run: Callable[..., Any]) -> Any:
        made = Transformed(run)
        made.__name__ = type(fun).__name__  # type: ignore[attr-defined]  # where it has no name of its own
        update_wrapper(made, fun, updated=())
        made._made = make, options
        return made

    return of


def name_of(made: Any) -> str:
    """The name under which an object is found in its module; empty where it is not."""
    module, name = getattr(made, "__module__", None), getattr(made, "__qualname__", "")
    found = sys.modules.get(module) if isinstance(module, str) else None
    if found is None or (module == "__main__" and _by_value()):
        return ""
    for part in name.split("."):
        found = getattr(found, part, None)
    return name if found is made else ""


def _by_value() -> bool:
    """Whether who pickles does so by value, for a process that has another `__main__`."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").rpartition(".")[2] in _BY_VALUE:
            return True
        frame = frame.f_back
    return False
