"""`argnums` means the same everywhere: NumPy's integers are integers, and errors name the function that was called."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from funcgrad import grad, hessian, jacfwd, jacrev, make_ir, value_and_grad


def f(x: Any, y: Any) -> Any:
    return np.sum(x**2 * y)


@pytest.mark.parametrize("transform", [grad, value_and_grad, jacfwd, jacrev, hessian])
@pytest.mark.parametrize("integer", [np.int64, np.int32, np.uint8, np.intp])
def test_integers_of_numpy(transform: Any, integer: Any) -> None:
    x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    for n in (0, 1):
        have, want = transform(f, argnums=integer(n))(x, y), transform(f, argnums=n)(x, y)
        assert type(have) is type(want)
        np.testing.assert_array_equal(have[-1], want[-1])
    several = transform(f, argnums=(integer(1), integer(0)))(x, y)
    assert isinstance(several, tuple) and len(several) == 2


def test_static_arguments_of_make_ir() -> None:
    assert len(make_ir(f, static_argnums=np.int64(1))(1.0, 2.0).inputs) == 1


@pytest.mark.parametrize("transform", [grad, jacfwd, jacrev])
def test_errors_name_the_transformation(transform: Any) -> None:
    for argnums, kind in ((2, TypeError), ((0, 0), ValueError), ("x", TypeError), ((0.5,), TypeError)):
        with pytest.raises(kind, match=transform.__name__):
            transform(f, argnums=argnums)(1.0, 2.0)
