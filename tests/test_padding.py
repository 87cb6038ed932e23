"""`np.pad` in all its modes against NumPy's own; what moves by an amount that differs from example to example."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad.numpy as jnp
from funcgrad import jit, vmap
from funcgrad.test_util import check_grads


def ends(row: Any, width: tuple[int, int], axis: int, options: dict[str, Any]) -> None:
    """A padding function as NumPy's documentation has it: it writes into the row."""
    row[: width[0]] = options.get("value", 9)
    row[row.shape[0] - width[1] :] = row[width[0]]


MODES: list[tuple[Any, dict[str, Any]]] = [
    ("constant", {"constant_values": 3}), ("edge", {}), ("wrap", {}), ("linear_ramp", {"end_values": 5}),
    ("linear_ramp", {"end_values": ((1, 2),)}), ("maximum", {}), ("minimum", {"stat_length": 2}), ("mean", {}),
    ("mean", {"stat_length": ((1, 2),)}), ("median", {"stat_length": 3}), ("reflect", {}), ("symmetric", {}),
    ("reflect", {"reflect_type": "odd"}), ("symmetric", {"reflect_type": "odd"}), (ends, {"value": 4}),
]  # fmt: skip
IDS = [f"{getattr(m, '__name__', m)}-{i}" for i, (m, _) in enumerate(MODES)]


@pytest.mark.parametrize(("mode", "options"), MODES, ids=IDS)
def test_values(mode: Any, options: dict[str, Any], rng: np.random.Generator) -> None:
    for dtype in ("f8", "f4", "i8", "u1"):
        for shape in ((5,), (1, 3), (2, 2)):
            x = (rng.normal(size=shape) * 20).astype("i8").astype(dtype)
            for width in (1, 7, ((0, 3),) * len(shape)):
                want = np.pad(x, width, mode, **options)
                got = vmap(lambda x: np.pad(x, width, mode, **options))(np.stack([x, x]))[1]  # noqa: B023
                assert got.dtype == want.dtype
                np.testing.assert_allclose(got, want, rtol=1e-6)
    np.testing.assert_allclose(jit(lambda x: np.pad(x, width, mode, **options))(x), want)


@pytest.mark.parametrize(("mode", "options"), MODES[1:-1], ids=IDS[1:-1])
def test_derivatives(mode: Any, options: dict[str, Any], rng: np.random.Generator) -> None:
    check_grads(lambda x: np.pad(x, ((2, 1), (0, 3)), mode, **options), (rng.normal(size=(3, 4)),), order=2)


def test_a_mode_returns_a_row() -> None:
    got = jit(lambda x: jnp.pad(x, 1, lambda row, width, axis, options: row.at[:1].set(7.0)))(np.ones(2))
    np.testing.assert_array_equal(got, [7, 1, 1, 0])


@pytest.mark.parametrize(("mode", "options"), [("nearest", {}), ("edge", {"end_values": 2}), ("constant", {"a": 1})])
def test_refusals(mode: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="mode"):
        jit(lambda x: np.pad(x, 1, mode, **options))(np.ones(3))
    with pytest.raises(ValueError, match="empty axis"):
        jit(lambda x: np.pad(x, 1, "edge"))(np.ones(0))


def test_amounts_of_examples() -> None:
    rolled = vmap(np.roll)(np.arange(6.0).reshape(2, 3), np.array([1, 2]))
    np.testing.assert_array_equal(rolled, [[2, 0, 1], [4, 5, 3]])
    edges = np.stack([np.arange(4.0), np.arange(4.0)[::-1]])
    found = vmap(np.digitize)(np.full((2, 3), 1.5), edges)
    np.testing.assert_array_equal(found, [np.digitize([1.5] * 3, e) for e in edges])
