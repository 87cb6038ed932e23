"""Sine and cosine together: as accurate as said, NumPy's where the argument is large, wherever they are in a kernel."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import tree
from funcgrad.executor.sincos import sincos


def both(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    s, c, *scratch = np.empty((6, *x.shape))
    sincos(x, s, c, *scratch)
    return s, c


SETS: dict[str, np.ndarray] = {
    "normal": np.random.default_rng(0).normal(size=20_000),
    "wide": np.random.default_rng(1).uniform(-51_000, 51_000, 20_000),
    "small": np.random.default_rng(2).normal(size=1000) * 10.0 ** -np.arange(0, 100, 0.1),
    "multiples of pi/2": np.arange(-5000, 5000) * (np.pi / 2),
    "halfway between steps": np.arange(-5001, 5001, 2) * (np.pi / 512),
    "steps": np.arange(-5000, 5000) * (np.pi / 256),
    "special": np.array([0.0, -0.0, 5e-324, -1e-310, 1.0]),
}


@pytest.mark.parametrize("name", SETS)
def test_within_three_units_in_the_last_place(name: str) -> None:
    """Python's functions are right to 0.6 units or better."""
    x = SETS[name]
    for found, f in zip(both(x), (math.sin, math.cos), strict=True):
        want = np.array([f(v) for v in x])
        assert np.all(np.abs(found - want) <= 3.6 * np.spacing(np.abs(want)) + 1e-30)


def test_large_infinite_and_missing_arguments_are_numpys() -> None:
    for value in (1e6, -1e300, np.inf, -np.inf, np.nan):
        x = np.array([0.5, value, 1.0])
        with warnings.catch_warnings(record=True) as warned, np.errstate(invalid="warn"):
            warnings.simplefilter("always")
            s, c = both(x)
        assert len(warned) == 2 * math.isinf(value)
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(s, np.sin(x))
            np.testing.assert_array_equal(c, np.cos(x))
    assert [a.shape for a in both(np.empty((0, 3)))] == [(0, 3)] * 2


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "cosine first": lambda x: np.cos(x) * 2 + np.sin(x) * x,
    "results themselves": lambda x: (np.sin(x), np.cos(x)),
    "one is a result": lambda x: (np.cos(x), np.sin(x) * np.exp(-x)),
    "of something else": lambda x: np.sin(x * 3) - np.cos(x * 3) * np.cos(x),
    "of rows": lambda x: np.sin(np.sum(x, axis=1, keepdims=True)) * x + np.cos(np.sum(x, axis=1, keepdims=True)),
    "one is summed": lambda x: (np.sum(np.sin(x)), np.cos(x) + x),
    "three of them": lambda x: np.sin(x) + np.cos(x) * np.sin(x.T).T,
    "float32": lambda x: np.sin(np.float32(1) * x.astype(np.float32)) + np.cos(x.astype(np.float32)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_in_kernels(name: str, small_tiles: None) -> None:
    f = FUNCTIONS[name]
    x = np.random.default_rng(3).normal(size=(37, 5))
    text = fg.jit(f).lower(x).source()
    assert ("sincos(" in text) == (name != "float32")
    rtol = 1e-5 if name == "float32" else 1e-13
    for g in (f, fg.grad(lambda x: sum(np.sum(y * y) for y in tree.leaves(f(x))))):
        jitted = fg.jit(g)
        for given in (x, x[::-1], np.asfortranarray(x)):
            for a, b in zip(tree.leaves(jitted(given)), tree.leaves(g(given)), strict=True):
                np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


def test_a_donated_operand_is_read_before_it_is_overwritten(small_tiles: None) -> None:
    x = np.random.default_rng(4).normal(size=(50, 7))
    f = FUNCTIONS["results themselves"]
    s, c = fg.jit(f, donate_argnums=0)(x.copy())
    np.testing.assert_allclose(s, np.sin(x), rtol=1e-14)
    np.testing.assert_allclose(c, np.cos(x), rtol=1e-14)
