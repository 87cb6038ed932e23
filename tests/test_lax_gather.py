"""`lax.gather` and `lax.scatter*`: drawn dimension numbers against loops, modes, derivatives, batches."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from funcgrad import grad, jit, lax, vjp, vmap
from funcgrad.test_util import check_grads


class Drawn(NamedTuple):
    """A gather, or a scatter, at random: `sizes` are those of the slices, and `updates` the shape of what it gives."""

    x: Any
    indices: Any
    numbers: tuple[Any, ...]
    sizes: tuple[int, ...]
    mode: str
    lead: tuple[int, ...]
    kept: tuple[int, ...]
    updates: tuple[int, ...]


def draw(seed: int) -> Drawn:
    rng = np.random.default_rng(seed)
    ndim = int(rng.integers(1, 4))
    shape = tuple(rng.integers(1, 5, ndim).tolist())
    axes = rng.permutation(ndim).tolist()
    n = int(rng.integers(0, 2)) if ndim > 1 else 0
    batching, rest = tuple(axes[:n]), axes[n:]
    given = tuple(rest[: rng.integers(1, len(rest) + 1)])
    collapsed = tuple(sorted(a for a in rest if rng.random() < 0.4))
    sizes = tuple(1 if a in (*collapsed, *batching) else int(rng.integers(1, k + 1)) for a, k in enumerate(shape))
    lead = rng.integers(1, 4, rng.integers(n, 3)).tolist()
    dims = tuple(rng.permutation(len(lead)).tolist()[:n])
    for axis, d in zip(batching, dims, strict=True):
        lead[d] = shape[axis]
    mode = ("clip", "fill", "promise_in_bounds")[seed % 3]
    over = 0 if mode == "promise_in_bounds" else 2
    indices = np.stack([rng.integers(-over, shape[a] - sizes[a] + over + 1, lead) for a in given], -1)
    kept = tuple(a for a in range(ndim) if a not in (*collapsed, *batching))
    whole = len(lead) + len(kept)
    offset = tuple(sorted(rng.permutation(whole).tolist()[: len(kept)]))
    outer, inner = iter(lead), iter(sizes[a] for a in kept)
    out = tuple(next(inner) if d in offset else next(outer) for d in range(whole))
    numbers = (offset, collapsed, given, batching, dims)
    return Drawn(rng.standard_normal(shape), indices, numbers, sizes, mode, tuple(lead), kept, out)


def slices(c: Drawn) -> list[tuple[tuple[Any, ...], tuple[Any, ...] | None]]:
    """For each index: where its slice is in the result (or the updates), and in the operand; None if it is dropped."""
    offset, _, given, batching, dims = c.numbers
    found: list[Any] = []
    for place in np.ndindex(*c.lead):
        start = dict(zip(given, c.indices[place].tolist(), strict=True))
        start |= {a: place[d] for a, d in zip(batching, dims, strict=True)}
        clipped = {a: min(max(i, 0), c.x.shape[a] - c.sizes[a]) for a, i in start.items()}
        numbers = iter(place)
        there = tuple(slice(None) if d in offset else next(numbers) for d in range(len(c.updates)))
        where: list[Any] = []
        for axis, k in enumerate(c.sizes):
            i = clipped.get(axis, 0)
            where.append(slice(i, i + k) if axis in c.kept else i)
        found.append((there, None if c.mode == "fill" and clipped != start else tuple(where)))
    return found


def gathered(c: Drawn) -> np.ndarray:
    out = np.full(c.updates, np.nan)
    for there, where in slices(c):
        if where is not None:
            out[there] = c.x[where]
    return out


def gather(c: Drawn) -> Callable[..., Any]:
    return lambda x, i: lax.gather(x, i, lax.GatherDimensionNumbers(*c.numbers), c.sizes, mode=c.mode)


SCATTERS: dict[str, Any] = {
    "scatter": lambda a, b: b, "scatter_add": np.add, "scatter_sub": np.subtract, "scatter_mul": np.multiply,
    "scatter_min": np.minimum, "scatter_max": np.maximum,
}  # fmt: skip


def scatter(c: Drawn, name: str) -> Callable[..., Any]:
    numbers = lax.ScatterDimensionNumbers(*c.numbers)
    return lambda x, i, u: getattr(lax, name)(x, i, u, numbers, mode=c.mode)


def scattered(c: Drawn, op: Any, updates: Any) -> np.ndarray:
    out = c.x.copy()
    for there, where in slices(c):
        if where is not None:
            out[where] = op(out[where], updates[there])
    return out


@pytest.mark.parametrize("seed", range(24))
def test_gather(seed: int) -> None:
    c = draw(seed)
    f = gather(c)
    np.testing.assert_array_equal(f(c.x, c.indices), gathered(c))
    np.testing.assert_array_equal(jit(f)(c.x, c.indices), gathered(c))
    weights = np.random.default_rng(seed).standard_normal(c.updates)
    want = np.zeros_like(c.x)
    for there, where in slices(c):
        if where is not None:
            want[where] += weights[there]
    np.testing.assert_allclose(vjp(lambda x: f(x, c.indices), c.x)[1](weights)[0], want, atol=1e-12)


@pytest.mark.parametrize("name", SCATTERS)
def test_scatter(name: str) -> None:
    for seed in range(24):
        c = draw(seed)
        updates = np.random.default_rng(seed).standard_normal(c.updates)
        f, want = scatter(c, name), scattered(c, SCATTERS[name], updates)
        np.testing.assert_allclose(f(c.x, c.indices, updates), want, rtol=1e-12)
        np.testing.assert_allclose(jit(f)(c.x, c.indices, updates), want, rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_batches_are_loops(seed: int) -> None:
    c = draw(seed + 20)
    xs, indices = np.stack([c.x, -c.x]), np.stack([c.indices, c.indices[::-1]])
    u = np.random.default_rng(seed).standard_normal((2, *c.updates))
    for where in itertools.product((0, None), repeat=3):
        given = [a if w == 0 else a[0] for a, w in zip((xs, indices, u), where, strict=True)]
        rows = [[a[k] if w == 0 else a for a, w in zip(given, where, strict=True)] for k in range(2)]
        if where != (None,) * 3:
            for name in SCATTERS:
                f = scatter(c, name)
                np.testing.assert_allclose(vmap(f, where)(*given), [f(*row) for row in rows])
        if where[:2] != (None, None):
            g = gather(c)
            np.testing.assert_array_equal(vmap(g, where[:2])(*given[:2]), [g(*row[:2]) for row in rows])


NUMBERS = lax.ScatterDimensionNumbers((1,), (0,), (0,))
TWICE = np.array([[1], [0], [1], [5], [1]])


@pytest.mark.parametrize("name", SCATTERS)
def test_derivatives_where_an_index_occurs_twice(name: str) -> None:
    rng = np.random.default_rng(3)
    x, u = rng.standard_normal((3, 2)), rng.standard_normal((5, 2))
    check_grads(lambda x, u: np.sin(getattr(lax, name)(x, TWICE, u, NUMBERS)), (x, u), order=2)


def test_products_with_zeros_have_derivatives() -> None:
    x, u = np.full((3, 2), 2.0), np.array([[0.0, 0.0], [3.0, 4.0], [5.0, 0.0], [7.0, 7.0], [6.0, 6.0]])
    by_update = grad(lambda u: np.sum(lax.scatter_mul(x, TWICE, u, NUMBERS)))(u)
    np.testing.assert_array_equal(by_update, [[60, 0], [2, 2], [0, 0], [0, 0], [0, 0]])
    check_grads(lambda u: lax.scatter_mul(x, TWICE, u, NUMBERS), (u,), order=2)


def test_those_that_attain_an_extreme_value_share_its_derivative() -> None:
    numbers = lax.ScatterDimensionNumbers((), (0,), (0,))
    x, i, u = np.array([1.0, 5.0]), np.array([[0], [0], [0], [1]]), np.array([1.0, 1.0, 0.0, 2.0])
    _, pullback = vjp(lambda x, u: lax.scatter_max(x, i, u, numbers), x, u)
    gx, gu = pullback(np.array([3.0, 7.0]))
    np.testing.assert_allclose(gx, [1, 7])
    np.testing.assert_allclose(gu, [1, 1, 0, 0])
    assert np.isnan(grad(lambda x: lax.scatter_min(x, i, u, numbers)[0])(np.array([np.nan, 1.0]))[0])


def test_scatter_apply_as_often_as_an_index_occurs() -> None:
    x = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    want = x.copy()
    want[0], want[1] = want[0] / 2 + 1, ((want[1] / 2 + 1) / 2 + 1) / 2 + 1

    def f(x: Any, i: Any, a: float = 1.0) -> Any:
        return lax.scatter_apply(x, i, lambda v: v / 2 + a, NUMBERS, update_shape=(5, 2))

    np.testing.assert_array_equal(f(x, TWICE), want)
    np.testing.assert_array_equal(jit(f)(x, TWICE), want)
    np.testing.assert_array_equal(vmap(f, (None, 0))(x, TWICE[None]), want[None])
    slopes = jit(grad(lambda x, i: np.sum(f(x, i))))(x, TWICE)
    np.testing.assert_array_equal(slopes, [[0.5, 0.5], [0.125, 0.125], [1, 1]])
    once = lax.scatter_apply(x, np.array([[2]]), np.sqrt, NUMBERS, update_shape=(1, 2), unique_indices=True)
    np.testing.assert_array_equal(once[2], np.sqrt(x[2]))


FILLS = [(np.float32, np.nan), (np.int8, -128), (np.uint8, 255), (np.bool_, True), (np.complex64, np.nan)]


@pytest.mark.parametrize(("dtype", "fill"), FILLS)
def test_what_is_outside_reads_as(dtype: Any, fill: Any) -> None:
    x, numbers = np.ones(2, dtype), lax.GatherDimensionNumbers((), (0,), (0,))
    out = lax.gather(x, np.array([[0], [-1], [2]]), numbers, (1,), mode="fill")
    assert out.dtype == dtype
    np.testing.assert_array_equal(out, np.array([1, fill, fill], dtype))
    other = lax.gather(x, np.array([[0], [9]]), numbers, (1,), mode=lax.GatherScatterMode.FILL_OR_DROP, fill_value=0)
    np.testing.assert_array_equal(other, np.array([1, 0], dtype))
    np.testing.assert_array_equal(lax.gather(x, np.array([[9]], np.uint8), numbers, (1,)), np.ones(1, dtype))


def test_scalars_and_whole_arrays() -> None:
    nothing = lax.ScatterDimensionNumbers((), (), ())
    assert lax.scatter_add(np.array(2.0), np.zeros((0,), int), np.array(3.0), nothing) == 5.0
    whole = lax.ScatterDimensionNumbers((1,), (), ())
    u = np.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(lax.scatter_add(np.zeros(2), np.zeros((2, 0), int), u, whole), [4, 6])
    np.testing.assert_array_equal(
        lax.gather(u, np.zeros((2, 0), int), lax.GatherDimensionNumbers((1, 2), (), ()), (2, 1)), [u[:, :1]] * 2
    )


GATHERS_AMISS = [
    (((1,), (), (1,)), (2, 3), (4, 1), "different ones"),
    (((1,), (), (0, 0)), (2, 3), (4, 2), "different ones"),
    (((1,), (0,), (0,)), (2, 3), (4, 1), "size 1"),
    (((1,), (0,), (0,)), (1, 4), (4, 1), "slice sizes"),
    (((0, 1), (0,), (0,)), (1, 3), (4, 1), "offset_dims"),
    (((1,), (0,), (0,)), (1, 3), (4, 2), "components"),
    (((1,), (), (1,), (0,), (0,)), (1, 3), (4, 1), "differ in size"),
    (((1,), (), (1,), (0,), (1,)), (1, 3), (2, 1), "do not fit together"),
]


@pytest.mark.parametrize(("numbers", "sizes", "shape", "match"), GATHERS_AMISS)
def test_what_does_not_fit_raises(numbers: Any, sizes: Any, shape: Any, match: str) -> None:
    with pytest.raises(TypeError, match=match if numbers != ((1,), (), (1,)) else "size|offset"):
        lax.gather(np.ones((2, 3)), np.zeros(shape, int), lax.GatherDimensionNumbers(*numbers), sizes)


def test_more_that_does_not_fit() -> None:
    with pytest.raises(TypeError, match="integers"):
        lax.gather(np.ones(2), np.zeros((1, 1)), lax.GatherDimensionNumbers((), (0,), (0,)), (1,))
    with pytest.raises(ValueError, match="mode"):
        lax.GatherScatterMode.from_any("wrap")
    with pytest.raises(TypeError, match="before the last"):
        lax.scatter_add(np.ones((3, 2)), TWICE, np.ones((4, 2)), NUMBERS)
    with pytest.raises(TypeError, match="update_window_dims"):
        lax.scatter_add(np.ones((3, 2)), TWICE, np.ones((5,)), NUMBERS)
