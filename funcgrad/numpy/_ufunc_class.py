"""`funcgrad.numpy.ufunc` and `frompyfunc`, and the methods of the ufuncs of `funcgrad.numpy`: `fnp.add.reduce(x)`.

The methods take what NumPy's take, nested lists of traced values, and JAX's `where=None`, `initial=None` and
`inplace=False`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad._array import wrap
from funcgrad.aliasing import alias, fresh
from funcgrad.core import Tracer, current_trace
from funcgrad.numpy import _ufunc_methods
from funcgrad.numpy._dispatch import OF_EVERY_UFUNC, operand
from funcgrad.numpy._functional import vectorize
from funcgrad.numpy._ufunc_at import rounds
from funcgrad.types import is_a

__all__ = ["call_method", "frompyfunc", "ufunc"]


def call_method(fun: Any, method: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """A method of NumPy's ufunc `fun`, or of a `ufunc` made by `frompyfunc`."""
    for name in ("where", "initial"):
        if name in kwargs and kwargs[name] is None:
            del kwargs[name]
    given = [operand(x) if i < _OPERANDS[method] else x for i, x in enumerate(args)]
    run = getattr(fun, method) if is_a(fun, np.ufunc) else lambda *xs, **more: _METHODS[method](fun, *xs, **more)
    if method != "at":
        return wrap(run(*given, **kwargs))
    inplace = kwargs.pop("inplace", True)
    if inplace:
        return run(*given, **kwargs)
    x = given[0]
    traced = any(isinstance(v, Tracer) for v in given) or not is_a(fun, np.ufunc)
    copy = alias(x, "K") if isinstance(x, Tracer) else fresh(np.array(x)) if traced and current_trace() else np.array(x)
    run(copy, *given[1:], **kwargs)
    return wrap(copy)


_METHODS: dict[str, Callable[..., Any]] = {
    "reduce": _ufunc_methods.reduce,
    "accumulate": _ufunc_methods.accumulate,
    "reduceat": _ufunc_methods.reduceat,
    "outer": OF_EVERY_UFUNC["outer"],
    "at": lambda fun, a, indices, *others: _at(fun, a, indices, *others),
}


def _at(fun: Any, a: Any, indices: Any, *others: Any) -> None:
    """`at` of a function: into a traced array, or into a plain one as long as nothing else is traced."""
    if any(isinstance(x, Tracer) for x in (a, *others)):
        return OF_EVERY_UFUNC["at"](fun, a, indices, *others)
    places = np.arange(a.size).reshape(a.shape)[indices]
    operands = [np.ravel(np.broadcast_to(b, np.shape(places))) for b in others]
    positions = np.ravel(places)
    for chosen in rounds(positions):
        a.flat[positions[chosen]] = fun(a.flat[positions[chosen]], *(b[chosen] for b in operands))


_OPERANDS = {"reduce": 1, "accumulate": 1, "reduceat": 1, "outer": 2, "at": 1}
"""How many of the positional arguments are operands."""


class _Kind(type):
    def __instancecheck__(cls, x: Any) -> bool:
        return type.__instancecheck__(cls, x) or is_a(x, np.ufunc) or hasattr(x, "nargs")


class ufunc(metaclass=_Kind):
    """A function of elements with NumPy's methods; `isinstance(fnp.add, fnp.ufunc)` holds as well.

    Args:
        func: a function of traced elements; it is called once, as in `vectorize`.
        nin, nout: the number of its arguments and of its results.
        identity: what `reduce` begins with, if anything.
    """

    signature = None

    def __init__(self, func: Callable[..., Any], nin: int, nout: int, *, identity: Any = None) -> None:
        self.__name__ = getattr(func, "__name__", "function")
        self.__doc__ = f"{self.__name__}, element by element"
        self.nin, self.nout, self.nargs, self.identity = nin, nout, nin + nout, identity
        self._call = vectorize(func)

    def __call__(self, *args: Any) -> Any:
        if len(args) != self.nin:
            raise TypeError(f"{self.__name__}() takes {self.nin} arguments, got {len(args)}")
        return wrap(self._call(*args))

    def reduce(self, a: Any, *args: Any, **kwargs: Any) -> Any:
        """The elements along axes combined one after the other; see `numpy.ufunc.reduce`."""
        return call_method(self, "reduce", (a, *args), kwargs)

    def accumulate(self, a: Any, *args: Any, **kwargs: Any) -> Any:
        """What the elements up to each place are combined to; see `numpy.ufunc.accumulate`."""
        return call_method(self, "accumulate", (a, *args), kwargs)

    def reduceat(self, a: Any, *args: Any, **kwargs: Any) -> Any:
        """Segments reduced; see `numpy.ufunc.reduceat`."""
        return call_method(self, "reduceat", (a, *args), kwargs)

    def outer(self, a: Any, b: Any, **kwargs: Any) -> Any:
        """The function of each pair of elements; see `numpy.ufunc.outer`."""
        return call_method(self, "outer", (a, b), kwargs)

    def at(self, a: Any, *args: Any, **kwargs: Any) -> Any:
        """The function applied to the elements at indices, in place, or of a copy; see `numpy.ufunc.at`."""
        return call_method(self, "at", (a, *args), kwargs)

    def __repr__(self) -> str:
        return f"<ufunc {self.__name__!r}>"


def frompyfunc(func: Callable[..., Any], nin: int, nout: int, *, identity: Any = None) -> ufunc:
    """A `ufunc` of numbers, with derivatives, from a function of elements.

    NumPy's gives arrays of objects, and calls the function for each element.

    >>> import funcgrad.numpy as fnp
    >>> poly = fnp.frompyfunc(lambda x, y: x * y + 1, 2, 1)
    >>> float(poly.reduce(np.array([1.0, 2.0, 3.0])))
    10.0
    """
    return ufunc(func, nin, nout, identity=identity)
