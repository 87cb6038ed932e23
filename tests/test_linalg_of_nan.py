"""Linear algebra of a matrix with NaN: under each transformation what NumPy does, and nothing is printed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad.numpy as fnp
from funcgrad import grad, jit, jvp, vmap

BAD = np.array([[2.0, 1.0, 0.0], [1.0, np.nan, 0.5], [0.0, 0.5, 3.0]])
ONES = np.ones(3)

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "solve": lambda a: np.linalg.solve(a, ONES),
    "inv": np.linalg.inv,
    "det": np.linalg.det,
    "slogdet": lambda a: np.linalg.slogdet(a)[1],
    "cholesky": np.linalg.cholesky,
    "qr": lambda a: np.linalg.qr(a)[1],
    "eigh": lambda a: np.linalg.eigh(a)[0],
    "eigvalsh": np.linalg.eigvalsh,
    "eigvals": np.linalg.eigvals,
    "svd": lambda a: np.linalg.svd(a)[1],
    "pinv": np.linalg.pinv,
    "norm 2": lambda a: np.linalg.norm(a, 2),
    "cond": np.linalg.cond,
    "lstsq": lambda a: fnp.linalg.lstsq(a, ONES)[0],
    "matrix_power": lambda a: np.linalg.matrix_power(a, -2),
}
RUNS: dict[str, Callable[[Callable[[Any], Any]], Any]] = {
    "eager": lambda f: f(BAD),
    "jit": lambda f: jit(f)(BAD),
    "value of jvp": lambda f: jvp(f, (BAD,), (np.ones((3, 3)),))[0],
    "vmap": lambda f: vmap(f)(np.stack([np.eye(3), BAD]))[1],
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.filterwarnings("ignore:invalid value encountered in (det|slogdet)")
def test_nan(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    fun = FUNCTIONS[name]
    outcomes: dict[str, Any] = {}
    for run, of in RUNS.items():
        try:
            outcomes[run] = np.isnan(of(fun)).tolist()
        except np.linalg.LinAlgError:
            outcomes[run] = "LinAlgError"
    assert all(x == outcomes["eager"] for x in outcomes.values()), outcomes
    try:
        slope = grad(lambda a: np.sum(np.abs(fun(a))))(BAD)
    except np.linalg.LinAlgError:
        assert outcomes["eager"] == "LinAlgError"
    else:
        assert outcomes["eager"] != "LinAlgError" and np.isnan(slope).any()
    assert capfd.readouterr() == ("", "")
