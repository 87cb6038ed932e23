"""Placed arrays that are added up: side by side they are concatenated, otherwise they stay as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from funcgrad import grad, make_ir
from funcgrad.ir_check import check_program
from funcgrad.passes.pipeline import optimise

X = np.arange(24.0).reshape(2, 3, 4) / 7


def _names(f: Any) -> list[str]:
    program = optimise(make_ir(grad(lambda x: np.sum(f(x))))(X))
    check_program(program)
    np.testing.assert_allclose(program(X)[0], grad(lambda x: np.sum(f(x)))(X), rtol=1e-14)
    return [e.primitive.name for e in program.equations]


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.sin(x[:, 0]) * np.exp(x[:, 1]) + x[:, 2] ** 2,
        lambda x: np.sin(x[:, 2]) * np.exp(x[:, 1]) + x[:, 0] ** 2,
        lambda x: np.sum(np.sin(x[..., :1])) + np.sum(np.exp(x[..., 1:])),
        lambda x: np.tanh(x[0]) * x[1] ** 2,
    ],
)
def test_side_by_side(f: Any) -> None:
    names = _names(f)
    assert "concatenate" in names and "place" not in names


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.sin(x[:, 0]) * np.exp(x[:, 1]),  # a gap
        lambda x: np.sum(np.sin(x[:, :2])) + np.sum(np.exp(x[:, 1:])),  # an overlap
        lambda x: np.sum(np.sin(x[:, ::2])) + np.sum(np.exp(x[:, 1::2])),  # interleaved
        lambda x: np.sum(np.sin(x[0, 1:])) + np.sum(np.exp(x[1, :1])),  # in two directions
        lambda x: np.sum(np.sin(x[0])) + np.sum(np.exp(x)),  # something else too
    ],
)
def test_not_side_by_side(f: Any) -> None:
    assert "place" in _names(f)
