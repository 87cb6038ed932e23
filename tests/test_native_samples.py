"""Samples that are drawn by rejection in native code: those of NumPy's code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from native_running import Compiled

import funcgrad as fg
from funcgrad import random
from funcgrad.scipy.special import betaln
from funcgrad.transforms.make_ir import make_ir

KEY = random.PRNGKey(3)
SHAPES = np.abs(np.random.default_rng(0).standard_normal((3, 40))) * 3 + 0.01

SAMPLES: dict[str, tuple[Callable[..., Any], Any]] = {
    "gamma": (random.gamma, SHAPES.astype(np.float32)),
    "gamma in double": (random.gamma, SHAPES),
    "logarithm": (random.loggamma, SHAPES.astype(np.float32)),
    "logarithm in double": (random.loggamma, SHAPES),
    "for each key": (lambda key, a: fg.vmap(random.gamma)(random.split(key, 3), a), SHAPES),
    "beta": (lambda key, a: random.beta(key, a, 2.0), SHAPES),
    "dirichlet": (random.dirichlet, SHAPES),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_samples(name: str) -> None:
    f, a = SAMPLES[name]
    program = Compiled(make_ir(lambda key, a: [f(key, a)])(KEY, a))
    assert not program.code.host_steps
    (got,), want = program(KEY, a), f(KEY, a)
    assert got.dtype == want.dtype
    np.testing.assert_allclose(got, want, rtol=64 * float(np.finfo(want.dtype).eps))


def test_differences_of_digamma_functions_are_a_program() -> None:
    """But for the functions themselves, which are SciPy's."""
    x = SHAPES[0]
    gradient = fg.grad(lambda x: np.sum(betaln(x, 2 * x)))
    program = Compiled(make_ir(lambda x: [gradient(x)])(x))
    assert {s.primitive.name for s in program.code.host_steps} <= {"psi"}
    np.testing.assert_allclose(program(x)[0], gradient(x), rtol=1e-12)
