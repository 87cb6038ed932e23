"""Collectives over several mapped axes at once, and within groups of examples: values, derivatives, batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from funcgrad import jit, lax, vjp, vmap
from funcgrad.test_util import check_grads

A = np.random.default_rng(0).standard_normal((2, 3, 6, 4))
"""Two axes of examples, `i` and `j`, whose numbers count to six."""
FLAT = A.reshape(6, 6, 4)

ROTATED = [(0, 3), (3, 1), (5, 0), (1, 2)]

# Each over both axes, and what it gives of all six examples.
BOTH: dict[str, tuple[Callable[[Any], Any], Callable[[np.ndarray], Any]]] = {
    "psum": (lambda v: lax.psum(v, ("i", "j")), lambda x: [x.sum(0)] * 6),
    "pmean": (lambda v: lax.pmean(v, ("i", "j")), lambda x: [x.mean(0)] * 6),
    "pmax": (lambda v: lax.pmax(v, ("i", "j")), lambda x: [x.max(0)] * 6),
    "all_gather": (lambda v: lax.all_gather(v, ("i", "j")), lambda x: [x] * 6),
    "all_gather behind": (lambda v: lax.all_gather(v, ("i", "j"), axis=1), lambda x: [np.moveaxis(x, 0, 1)] * 6),
    "all_gather tiled": (
        lambda v: lax.all_gather(v, ("i", "j"), axis=1, tiled=True),
        lambda x: [np.concatenate(list(x), 1)] * 6,
    ),
    "psum_scatter": (lambda v: lax.psum_scatter(v, ("i", "j")), lambda x: list(x.sum(0))),
    "psum_scatter tiled": (
        lambda v: lax.psum_scatter(v.T, ("i", "j"), scatter_dimension=1, tiled=True),
        lambda x: [x.sum(0)[k : k + 1].T for k in range(6)],
    ),
    "all_to_all": (
        lambda v: lax.all_to_all(v, ("i", "j"), 0, 1),
        lambda x: [np.stack([row[k] for row in x], 1) for k in range(6)],
    ),
    "all_to_all tiled": (
        lambda v: lax.all_to_all(v, ("i", "j"), 0, 1, tiled=True),
        lambda x: [np.concatenate([row[k : k + 1] for row in x], 1) for k in range(6)],
    ),
    "ppermute": (
        lambda v: lax.ppermute(v, ("i", "j"), ROTATED),
        lambda x: [x[{b: a for a, b in ROTATED}[k]] if k in (0, 1, 2, 3) else 0 * x[k] for k in range(6)],
    ),
    "pshuffle": (lambda v: lax.pshuffle(v, ("i", "j"), [3, 4, 5, 0, 2, 1]), lambda x: list(x[[3, 4, 5, 0, 2, 1]])),
    "pbroadcast": (lambda v: lax.pbroadcast(v, ("i", "j"), 4), lambda x: [x[4]] * 6),
    "axis_index": (lambda v: v * lax.axis_index(("i", "j")), lambda x: [k * x[k] for k in range(6)]),
}

GROUPS = [[0, 2, 5], [4, 1, 3]]
"""Of a single axis of six examples."""
MINE = {i: (g, j) for g in GROUPS for j, i in enumerate(g)}

WITHIN: dict[str, tuple[Callable[[Any], Any], Callable[[np.ndarray, list[int], int], Any]]] = {
    "psum": (lambda v: lax.psum(v, "i", axis_index_groups=GROUPS), lambda x, g, j: x[g].sum(0)),
    "pmean": (lambda v: lax.pmean(v, "i", axis_index_groups=GROUPS), lambda x, g, j: x[g].mean(0)),
    "pmax": (lambda v: lax.pmax(v, "i", axis_index_groups=GROUPS), lambda x, g, j: x[g].max(0)),
    "pmin": (lambda v: lax.pmin(v, "i", axis_index_groups=GROUPS), lambda x, g, j: x[g].min(0)),
    "all_gather": (
        lambda v: lax.all_gather(v, "i", axis=1, axis_index_groups=GROUPS),
        lambda x, g, j: np.stack(list(x[g]), 1),
    ),
    "psum_scatter": (
        lambda v: lax.psum_scatter(v, "i", axis_index_groups=GROUPS, tiled=True),
        lambda x, g, j: x[g].sum(0)[2 * j : 2 * j + 2],
    ),
    "all_to_all": (
        lambda v: lax.all_to_all(v, "i", 0, 0, axis_index_groups=GROUPS, tiled=True),
        lambda x, g, j: np.concatenate([x[k][2 * j : 2 * j + 2] for k in g]),
    ),
}


@pytest.mark.parametrize("name", BOTH)
def test_over_two_axes_at_once(name: str) -> None:
    f, want = BOTH[name]

    def g(x: Any) -> Any:
        return vmap(vmap(f, axis_name="j"), axis_name="i")(x)

    expected = np.array(want(FLAT))
    expected = expected.reshape(2, 3, *expected.shape[1:])
    for run in (g, jit(g), vmap(vmap(jit(f), axis_name="j"), axis_name="i")):
        np.testing.assert_allclose(run(A), expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(vmap(g)(np.stack([A, A])), [expected] * 2, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(
        vmap(vmap(vmap(f), axis_name="j"), axis_name="i")(A[:, :, None]), expected[:, :, None], rtol=1e-12, atol=1e-14
    )
    check_grads(g, (A[:, :, :, :1] if name != "psum_scatter tiled" else A,), order=1)


@pytest.mark.parametrize("name", WITHIN)
def test_within_groups(name: str) -> None:
    f, want = WITHIN[name]
    g = vmap(f, axis_name="i")
    expected = [want(FLAT, *MINE[k]) for k in range(6)]
    for run in (g, jit(g), lambda x: vmap(vmap(f), axis_name="i")(x[:, None])[:, 0]):
        np.testing.assert_allclose(run(FLAT), expected, rtol=1e-12)
    e, ct = (np.random.default_rng(k).standard_normal(np.shape(y)) for k, y in enumerate((FLAT, expected)))
    if name not in ("pmax", "pmin"):  # the others are linear
        np.testing.assert_allclose(np.sum(vjp(g, FLAT)[1](ct)[0] * e), np.sum(g(e) * ct))
    check_grads(g, (FLAT[:, :, :1],), order=1)


def test_numbers_and_trees() -> None:
    seen: list[Any] = []

    def f(v: Any) -> Any:
        seen.append(lax.psum(1, "i", axis_index_groups=GROUPS))
        return lax.psum({"a": v, "b": (v[0], 2.0)}, ("i",), axis_index_groups=GROUPS)

    out = vmap(f, axis_name="i")(FLAT)
    assert seen == [3] and out["b"][1].tolist() == [6.0] * 6
    np.testing.assert_allclose(out["a"][0], FLAT[GROUPS[0]].sum(0))
