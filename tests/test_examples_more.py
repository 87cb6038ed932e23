"""Each example in its small setting, where it checks its own result; and next to JAX, where that is installed."""

import importlib
import importlib.util
import inspect

import numpy as np
import pytest

import funcgrad as fg
from tools.examples_under_jax import EXAMPLES, FOLDER, differences

PLAIN = ["bounded_least_squares", "censored_survival", "orbit", "portfolio", "spectral_fit"]


@pytest.mark.parametrize("name", [*PLAIN, *EXAMPLES])
def test_an_example_finds_the_answer_that_is_known(name: str) -> None:
    numbers = importlib.import_module(name).main(quick=True)
    if name in EXAMPLES:
        assert all(np.isfinite(value).all() for value in numbers.values())


def test_native_code_of_loops_that_share_variables() -> None:
    """Conjugate gradients multiply by the same loops three times, of which one is at known values."""
    pytest.importorskip("llvmlite")
    fg.config.native = "now"
    importlib.reload(importlib.import_module("heat_control")).main(quick=True)


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_example_takes_nothing_but_transformations(name: str) -> None:
    lines = inspect.getsource(importlib.import_module(name)).splitlines()
    (ours,) = [line for line in lines if "funcgrad" in line and "import" in line]
    assert set(ours.removeprefix("from funcgrad import ").split(", ")) <= {"grad", "hessian", "jacobian", "jit"}


def test_every_example_is_listed() -> None:
    listed = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [name for name in [*PLAIN, *EXAMPLES] if f"]({name}.py)" not in listed] == []


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
@pytest.mark.parametrize("name", EXAMPLES)
def test_numbers_are_those_of_jax(name: str) -> None:
    assert differences(name) == []
