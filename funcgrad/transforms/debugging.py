"""`config.debug_nans` and `debug_infs`: where a NaN or an infinity in a result was made.

What a function returns is looked at. If there is a NaN in it, the function is recorded again, with values, and its
operations are gone through in order: the first whose result has one, while its operands have none, is the one to name.
Arrays on a device are copied to the host for that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad.config import checks, config
from funcgrad.core import Tracer
from funcgrad.device_array import DeviceArray, DeviceMet
from funcgrad.errors import operands_text
from funcgrad.source import describe, user_place
from funcgrad.transforms.vjp import record_function
from funcgrad.types import is_a

__all__ = ["check_result", "check_value"]


def _bad(x: Any) -> str:
    """What a value holds that is to be told: "NaN", "infinity" or nothing."""
    while isinstance(x, Tracer):
        x = x.concrete()
    kind = type(x)
    if kind not in (float, complex) and not is_a(x, (np.ndarray, np.generic)):
        return ""
    if kind not in (float, complex) and x.dtype.kind not in "fc":
        return ""
    if config.debug_nans and np.any(np.isnan(x)):
        return "NaN"
    return "infinity" if config.debug_infs and np.any(np.isinf(x)) else ""


def check_value(x: Any, name: str) -> None:
    """Raise FloatingPointError if a result of the function `name`, which was called by the user, is to be told of."""
    for leaf in x if type(x) in (tuple, list) else (x,):
        if found := _bad(leaf):
            raise FloatingPointError(f"{found} in the result of {name}\n  at {user_place()}")


def check_result(out: Any, fun: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], name: str) -> None:
    """Raise FloatingPointError, with the operation that made it, if a result holds a NaN (or an infinity)."""
    found = next(filter(None, map(_bad, tree.leaves(out))), "")
    if not found:
        return
    if any(map(_bad, tree.leaves((args, kwargs)))):
        raise FloatingPointError(f"{found} in the result of {name}, whose arguments have one already")
    args, kwargs = tree.map(lambda x: x.concrete() if type(x) is DeviceArray else x, (args, kwargs))
    nans, infs, jitted = config.debug_nans, config.debug_infs, config.disable_jit
    try:
        config.debug_nans = config.debug_infs = False
        config.disable_jit = True
        leaves, moving, rebuild = _numbers((args, kwargs))
        call = lambda *xs: fun(*rebuild(xs)[0], **rebuild(xs)[1])  # noqa: E731
        with np.errstate(all="ignore"), record_function(call, moving, leaves, False, False) as made:
            equations = list(made.equations)
    except DeviceMet as met:  # one that it closes over
        where = f"it was not looked for, as the function closes over an array on {met.array.device}"
        raise FloatingPointError(f"{found} in the result of {name}; {where}") from None
    finally:
        config.debug_nans, config.debug_infs, config.disable_jit = nans, infs, jitted
    for eqn in equations:
        told = next(filter(None, (_bad(t.value) for t in eqn.outputs)), "")
        if told and not any(map(_bad, eqn.values)):
            raise FloatingPointError(
                f"{told} in the result of {eqn.primitive.name}\n  operands: {operands_text(eqn.values)}\n"
                f"  at {describe(eqn.source)}"
            )
    raise FloatingPointError(f"{found} in the result of {name}; the operation that made it was not found")


def _numbers(arguments: Any) -> tuple[Any, list[Any], Callable[[Any], Any]]:
    """A tree for the numbers among arguments alone, these, and what puts them back in their places."""
    leaves, in_tree = tree.flatten(arguments)
    at = [i for i, x in enumerate(leaves) if is_a(x, (np.ndarray, np.generic)) or type(x) in (float, complex, int)]
    moving = [leaves[i] for i in at]

    def rebuild(xs: Any) -> Any:
        new = list(leaves)
        for i, x in zip(at, xs, strict=True):
            new[i] = x
        return in_tree.unflatten(new)

    return tree.structure(tuple(moving)), moving, rebuild


checks["result"], checks["value"] = check_result, check_value
