"""What `funcgrad.numpy` returns is held like plain arrays while a derivative needs it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import grad, vjp
from funcgrad.capture import Captures
from funcgrad.errors import CapturedArrayWriteError


@pytest.mark.parametrize("n", [1 << 12, 1 << 18])
def test_large_arrays_of_funcgrad_numpy_are_locked(n: int) -> None:
    alone, shared = jnp.ones(n), jnp.ones(n)
    older = np.asarray(shared)
    for c in (alone, shared, alone[1:]):
        assert np.shares_memory(Captures().copy(c), c) is False
        captures = Captures()
        held = captures.lock(c)
        assert type(held) is np.ndarray and captures.lock(c) is held
        assert np.shares_memory(held, c) == (c is alone or n > 1 << 12) != c.flags.writeable
        del held
        captures.release()
        assert c.flags.writeable and c.base.flags.writeable

        def f(x: Any, c: Any = c) -> Any:
            y = np.sum(x[: len(c)] * c)
            c[0] = 7.0
            return y

        if c is alone:
            with pytest.raises(CapturedArrayWriteError):
                grad(f)(np.ones(n))
        c[0] = 1.0
        assert older[0] == 1.0


def test_residuals_and_results_are_own_copies_of_arrays_of_funcgrad_numpy() -> None:
    c, x = jnp.full(3, 2.0), jnp.ones(3)
    f = fg.custom_vjp(lambda x: x * c)
    f.defvjp(lambda x: (x * c, c), lambda c, ct: (ct * c,))
    out, pullback = vjp(f, x)
    branch = fg.lax.cond(True, lambda x: c, lambda x: x, x)
    c[0] = 100.0
    np.testing.assert_array_equal(out, 2.0)
    np.testing.assert_array_equal(branch, 2.0)
    np.testing.assert_array_equal(pullback(np.ones(3))[0], 2.0)


def test_an_array_is_not_taken_for_one_that_had_its_address() -> None:
    captures, kept = Captures(), []
    for i in range(50):
        captures.lock(np.full(4, i)[1:])
        kept.append(np.full(3, i))
        assert captures.lock(kept[-1]) is captures.lock(kept[-1]) is kept[-1]
    captures.release()
