"""Values that functions need while they are recorded, because shapes depend on them."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core import Tracer
from funcgrad.errors import ConcretizationTypeError

__all__ = ["known"]


def known(x: Any, name: str, remedy: str, does: str = "gives a shape that depends on values") -> Any:
    """The NumPy value of an operand of the function `name`; raises ConcretizationTypeError where there is none.

    It is known while gradients are taken, and under `jit`, which then notes it down; under `vmap` and in the bodies of
    loops it is not.
    """
    if not isinstance(x, Tracer):
        return np.asarray(x)
    value = x.concrete("bytes")
    if value is None:
        error = ConcretizationTypeError(f"{name} {does}, which are not known here: {remedy}")
        raise x.unanswered(error)
    return np.asarray(value)
