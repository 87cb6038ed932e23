"""`jet`: derivatives of higher order along a curve, as `jax.experimental.jet` has them.

They are derivatives by one number, the place on the curve, taken one after the other: a forward derivative of the
function and all its derivatives so far gives the next. Its cost doubles with each order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import factorial
from typing import Any

import funcgrad.tree as tree
from funcgrad.transforms.boundary import check_callable, differentiable_leaf
from funcgrad.transforms.jvp import jvp

__all__ = ["jet"]


def jet(
    fun: Callable[..., Any], primals: Sequence[Any], series: Sequence[Sequence[Any]], factorial_scaled: bool = True
) -> tuple[Any, Any]:
    """The value of a function, and its derivatives along a curve through its arguments.

    Args:
        fun: a function of arrays; it returns a pytree.
        primals: where the curve is at its beginning, an array for each argument.
        series: for each argument the derivatives of the curve there, the first one first.
        factorial_scaled: these are derivatives, and so are the results; otherwise both are coefficients of power
            series, derivatives of order k divided by k!.

    Returns:
        (output, derivatives): the second has the structure of the first, with a list in place of each array.

    Raises:
        ValueError: the lists in `series` differ in length, or an argument or one of its derivatives is no array.

    >>> import numpy as np
    >>> out, (first, second) = jet(np.exp, (0.0,), ((1.0, 0.0),))
    >>> float(out), float(first), float(second)
    (1.0, 1.0, 1.0)
    """
    check_callable(fun, "jet")
    primals, terms = tuple(primals), [list(s) for s in series]
    if len(terms) != len(primals) or len({len(s) for s in terms}) > 1:
        raise ValueError(f"jet: {len(primals)} arguments, and lists of {[len(s) for s in terms]} derivatives")
    for i, (x, mine) in enumerate(zip(primals, terms, strict=True)):
        for what, leaf in ((f"argument {i}", x), *((f"term {k} for argument {i}", v) for k, v in enumerate(mine))):
            try:
                differentiable_leaf(leaf, what, "jet")
            except TypeError as error:
                raise ValueError(str(error)) from None
    scales = [1.0 if factorial_scaled else factorial(k) for k in range(1, 1 + max(map(len, terms), default=0))]

    def along(t: Any) -> Any:
        at = list(primals)
        for i, mine in enumerate(terms):
            power = t
            for k, (v, scale) in enumerate(zip(mine, scales, strict=True), 1):
                at[i] = at[i] + v * (power * (scale / factorial(k)))
                power = power * t
        return fun(*at)

    out, *derivatives = _derivatives(along, len(scales))(0.0)
    leaves, treedef = tree.flatten(out)
    columns = [tree.leaves(d) for d in derivatives]
    found = [[c[i] / s for c, s in zip(columns, scales, strict=True)] for i in range(len(leaves))]
    return out, treedef.unflatten(found)


def _derivatives(fun: Callable[[Any], Any], order: int) -> Callable[[Any], tuple[Any, ...]]:
    """The function, and its derivatives up to this order."""
    if not order:
        return lambda t: (fun(t),)
    fewer = _derivatives(fun, order - 1)

    def more(t: Any) -> tuple[Any, ...]:
        found, moved = jvp(fewer, (t,), (1.0,))
        return *found, moved[-1]

    return more


def __dir__() -> list[str]:
    return __all__
