"""Random programs that write in place (`writing_programs.py`): every transformation of one means what NumPy means."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
import pytest
from writing_programs import Writer, compiled

import funcgrad as fg
from funcgrad.errors import ConcretizationTypeError, SlowCompileWarning, TracerWriteError

COUNT = int(os.environ.get("FUNCGRAD_WRITING_PROGRAMS", "60"))
START = int(os.environ.get("FUNCGRAD_WRITING_START", "0"))


def slope(fun: Any, x: np.ndarray, along: np.ndarray) -> float | None:
    """The derivative along a direction by differences; None where they do not settle (a kink, or too steep)."""
    found = []
    for h in (1e-3, 5e-4):
        try:
            near, far = fun(x + h * along) - fun(x - h * along), fun(x + 2 * h * along) - fun(x - 2 * h * along)
        except ValueError:  # a mask that has another number of elements there
            return None
        found.append((8 * near - far) / (12 * h))
    return found[1] if abs(found[0] - found[1]) < 1e-6 * (1 + abs(found[1])) else None


def check(seed: int, branches: bool) -> str:
    """Compare one program; says what came of it."""
    program = Writer(seed, branches=branches)
    fun, x = compiled(program.source), program.x
    given = x.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        want = fun(x.copy())
    along = np.random.default_rng(seed).normal(size=x.shape)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SlowCompileWarning)  # on a busy machine
            return _compare(fun, x, along, want, branches)
    except TracerWriteError as error:
        if "layout that is not known" in str(error):
            return "layout"
        raise AssertionError(f"seed {seed}: {error}\n{program.source}") from error
    except BaseException as error:
        raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}\n{program.source}") from error
    finally:
        np.testing.assert_array_equal(x, given)


def _compare(fun: Any, x: np.ndarray, along: np.ndarray, want: float, branches: bool) -> str:
    close = np.testing.assert_allclose
    value, gradient = fg.value_and_grad(fun)(x)
    close(value, want, rtol=1e-10, err_msg="value_and_grad")
    moved = fg.jvp(fun, (x,), (along,))
    close(moved[0], want, rtol=1e-10, err_msg="jvp")
    close(moved[1], np.sum(gradient * along), rtol=1e-8, atol=1e-9, err_msg="jvp, grad")
    numerical = slope(lambda y: fun(y.copy()), x, along)
    if numerical is not None:
        close(moved[1], numerical, rtol=1e-5, atol=1e-6, err_msg="numerical")
    compiled_fun = fg.jit(fun)
    for _ in range(2):
        close(compiled_fun(x), want, rtol=1e-10, err_msg="jit")
    close(fg.jit(fg.grad(fun))(x), gradient, rtol=1e-8, atol=1e-10, err_msg="jit(grad)")
    close(fg.grad(compiled_fun)(x), gradient, rtol=1e-8, atol=1e-10, err_msg="grad(jit)")
    if not branches:
        batch = np.stack([x, x])
        try:
            close(fg.vmap(fun)(batch), [want, want], rtol=1e-10, err_msg="vmap")
        except ConcretizationTypeError:  # a mask that differs between examples
            return "mask"
        close(fg.vmap(fg.grad(fun))(batch), [gradient, gradient], rtol=1e-8, atol=1e-10, err_msg="vmap(grad)")
    return "smooth" if numerical is not None else "kink"


@pytest.mark.parametrize("branches", [False, True], ids=["straight", "branches"])
def test_random_programs_that_write(branches: bool) -> None:
    count = COUNT // 4 if branches else COUNT
    found = [check(START + seed, branches) for seed in range(count)]
    assert found.count("layout") + found.count("mask") <= max(2, 0.05 * count)
    assert found.count("smooth") >= 0.6 * count
