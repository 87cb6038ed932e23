"""Optimisers, schedules, line searches and losses against optax: `tests/data/optim.npz` has what it computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from funcgrad import grad, jit, optim, tree, value_and_grad
from tools.optim_cases import LOSSES, OPTIMISERS, SCHEDULES, SEARCHES, STEPS
from tools.optim_reference import FILE, search, slopes_of, trajectory, weights

EXPECTED = np.load(FILE)
# The same sums in another order; a step whose sign hangs on a rounding would go far off, and none does.
NEAR = {"float64": {"rtol": 1e-9, "atol": 1e-11}, "float32": {"rtol": 2e-4, "atol": 2e-5}}
# From a count of int32, JAX computes schedules and decays in float32.
ROUNDED = {"adamw schedule", "adafactor", "adafactor momentum", "multi", "inject"}


def plain(f: Any) -> Any:
    return f


@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_optimisers(name: str, dtype: str) -> None:
    compiled = jit if dtype == "float32" and name in ("adam", "adamw schedule", "lamb", "inject", "clip") else plain
    out = trajectory(optim, OPTIMISERS[name], dtype, tree.leaves, compiled)
    assert out.dtype == dtype
    near = {"rtol": 2e-6, "atol": 2e-7} if dtype == "float64" and name in ROUNDED else NEAR[dtype]
    np.testing.assert_allclose(out, EXPECTED[f"{dtype} {name}"], **near)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name: str) -> None:
    schedule = SCHEDULES[name](optim)
    expected = EXPECTED[f"schedule {name}"]
    np.testing.assert_allclose([schedule(t) for t in range(STEPS)], expected, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(schedule(np.arange(STEPS)), expected, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(jit(schedule)(np.int32(7)), expected[7], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", SEARCHES)
def test_line_searches(name: str) -> None:
    for compiled in (plain, jit):
        out = search(optim, SEARCHES[name], value_and_grad, compiled)
        np.testing.assert_allclose(out, EXPECTED[f"search {name}"], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name: str) -> None:
    function, args, kwargs = LOSSES[name]

    def loss(x: Any) -> Any:
        return getattr(optim.losses, function)(x, *args[1:], **kwargs)

    near = {"rtol": 1e-9, "atol": 1e-12}
    np.testing.assert_allclose(loss(args[0]), EXPECTED[f"loss {name}"], **near)
    slopes = grad(slopes_of(loss, weights))
    np.testing.assert_allclose(slopes(args[0]), EXPECTED[f"slope {name}"], **near)
    np.testing.assert_allclose(jit(slopes)(args[0]), EXPECTED[f"slope {name}"], **near)
    single = tuple(np.asarray(a, np.float32) if np.asarray(a).dtype.kind == "f" else a for a in args)
    assert getattr(optim.losses, function)(*single, **kwargs).dtype == np.float32
