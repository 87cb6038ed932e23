"""The axis 0 or -1 of an array of shape (), which many of NumPy's functions allow, and others do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from funcgrad import grad, jit, make_ir, vjp, vmap

NAMES = """sum prod max min ptp any all count_nonzero cumsum cumprod argmax argmin argsort nanmax nanmin nansum nanprod
nanmean squeeze mean std var sort median flip average nanargmax""".split()
FUNCTIONS: dict[str, Any] = {name: getattr(np, name) for name in NAMES}
FUNCTIONS |= {
    "sum, kept": lambda x, axis: np.sum(x, axis=axis, keepdims=True),
    "argmax, kept": lambda x, axis: np.argmax(x, axis=axis, keepdims=True),
    "take": lambda x, axis: np.take(x, 0, axis=axis),
    "repeat": lambda x, axis: np.repeat(x, 3, axis=axis),
    "add.reduce": lambda x, axis: np.add.reduce(x, axis=axis),
    "norm": lambda x, axis: np.linalg.norm(x, axis=axis),
}


@pytest.mark.parametrize("axis", [0, -1, 1, -2, (0,), (), None])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_as_in_numpy(name: str, axis: Any) -> None:
    fun, x = FUNCTIONS[name], np.array(2.0)
    ways = [lambda f: vjp(f, x)[0], lambda f: jit(f)(x), lambda f: make_ir(f)(x)(x)[0], lambda f: vmap(f)(x[None])[0]]
    try:
        want = fun(x, axis=axis)
    except (TypeError, ValueError):
        for way in ways:
            with pytest.raises((TypeError, ValueError)):
                way(lambda x: fun(x, axis=axis))
        return
    for way in ways:
        have = way(lambda x: fun(x, axis=axis))
        assert (np.shape(have), np.asarray(have).dtype) == (np.shape(want), np.asarray(want).dtype)
        np.testing.assert_array_equal(have, want)


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "cumsum", "cumprod", "squeeze", "take", "repeat"])
def test_gradients(name: str) -> None:
    assert grad(lambda x: np.sum(FUNCTIONS[name](x, axis=-1)))(2.0) == (3.0 if name == "repeat" else 1.0)
