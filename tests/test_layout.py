"""Images with rows first and examples last: the same results as in the user's order, and no order but where it pays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from tunings import kept

import funcgrad as fg
from funcgrad import lax, nn, tree
from funcgrad.backends import RecordingBackend
from funcgrad.executor.rows_first import CONV_ROWS, CONV_ROWS_KERNEL
from funcgrad.ir import Program, eval_program
from funcgrad.ir_check import check_program
from funcgrad.ops import conv_rows
from funcgrad.ops.conv_kernels import convolve
from funcgrad.passes.layout import ImageLayout, layout, layouts
from funcgrad.passes.pipeline import optimise

LAST = ("NHWC", "HWIO", "NHWC")
FIRST = ("NCHW", "OIHW", "NCHW")


@pytest.fixture
def always() -> Iterator[ImageLayout]:
    """Whatever can be done in the other order is."""
    with kept(layouts):
        layouts.channels, layouts.run, layouts.transpose_ns = 1 << 30, 1, 0.0
        yield layouts


def array(*shape: int, dtype: Any = np.float64, seed: int = 0) -> Any:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def conv(x: Any, k: Any, padding: Any = "SAME", order: Any = LAST, **params: Any) -> Any:
    return lax.conv_general_dilated(x, k, (1, 1), padding, dimension_numbers=order, **params)


def pool(x: Any, window: tuple[int, ...] = (1, 2, 2, 1), op: Any = lax.max, start: float = -np.inf) -> Any:
    return lax.reduce_window(x, start, op, window, window, "VALID")


def count(program: Program, *primitives: Any) -> int:
    return sum(e.primitive in primitives for e in program.equations)


def rows(f: Callable[..., Any], *args: Any) -> int:
    """How many convolutions of the gradient are done in the other order."""
    program = fg.jit(f).lower(*args).optimized_ir()
    return program.count("conv_rows")


# ------------------------------------------------------------------------------------------------- what is computed


@given(
    sizes=st.tuples(*[st.integers(1, 6)] * 2),
    kernel=st.tuples(*[st.integers(1, 4)] * 2),
    channels=st.tuples(*[st.integers(1, 3)] * 2),
    padding=st.tuples(*[st.tuples(*[st.integers(-2, 3)] * 2)] * 2),
    n=st.integers(1, 3),
    block=st.sampled_from([1, 100, 1 << 18]),
    deep=st.sampled_from([1, 1 << 20]),
)
def test_products(sizes: Any, kernel: Any, channels: Any, padding: Any, n: int, block: int, deep: int) -> None:
    """The convolution and its gradient by the kernel, in pieces of any size, against the other implementation."""
    c, o = channels
    found = [s + a + b - k + 1 for s, (a, b), k in zip(sizes, padding, kernel, strict=True)]
    if min(found) < 1 or any(s + min(a, 0) + min(b, 0) < 1 for s, (a, b) in zip(sizes, padding, strict=True)):
        return
    x, w = array(n, c, *sizes), array(o, c, *kernel)
    params = ((1, 1), padding, (1, 1), (1, 1))
    want = convolve(x, w, *params)
    low = (padding[0][0], padding[1][0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv_rows, "_BLOCK", block)
        patch.setattr(conv_rows, "_DEEP", deep)
        patch.setattr(conv_rows, "_MOST", block)
        got = CONV_ROWS.bind(x.transpose(2, 1, 3, 0), w, low=low, sizes=tuple(found))
        np.testing.assert_allclose(got.transpose(3, 1, 0, 2), want, rtol=1e-11, atol=1e-11)
        ct = array(n, o, *found, seed=1)
        got = CONV_ROWS_KERNEL.bind(
            x.transpose(2, 1, 3, 0), np.ascontiguousarray(ct.transpose(2, 1, 3, 0)), low=low, kernel=kernel
        )
    _, back = fg.vjp(lambda w: lax.conv_general_dilated(x, w, (1, 1), padding), w)
    np.testing.assert_allclose(got, np.swapaxes(back(ct)[0], 0, 1), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_infinities_meet_their_own_windows_only(bad: float) -> None:
    x, w = array(8, 2, 9, 4), array(3, 2, 3, 3)
    x[4, 1, 5, 2] = bad
    with np.errstate(invalid="ignore"):
        got = CONV_ROWS.bind(x, w, low=(1, 1), sizes=(8, 9)).transpose(3, 1, 0, 2)
        want = convolve(x.transpose(3, 1, 0, 2), w, (1, 1), ((1, 1), (1, 1)), (1, 1), (1, 1))
    np.testing.assert_allclose(got, want, rtol=1e-12)
    assert np.isfinite(got).sum() == got.size - 3 * 9


# ------------------------------------------------------------------------------------------------------- the pass


def _plain(p: Any, x: Any) -> Any:
    return np.sum(np.tanh(conv(x, p["k"])) ** 2)


def _pooled(p: Any, x: Any) -> Any:
    y = pool(nn.relu(conv(x, p["k"]) + p["b"]))
    y = pool(nn.relu(conv(y, p["k2"], "VALID") + 1), (1, 1, 2, 1))
    return np.sum(nn.log_softmax(y.reshape(len(x), -1)))


def _channels_first(p: Any, x: Any) -> Any:
    x = np.moveaxis(x, -1, 1)
    k, k2 = (p[n].transpose(3, 2, 0, 1) for n in ("k", "k2"))
    y = conv(x, k, order=FIRST) + p["b"][:, None, None]
    y = pool(y, (1, 1, 2, 1), lax.min, np.inf)
    return np.mean(np.exp(-conv(y, k2, "VALID", order=FIRST)))


def _normalised(p: Any, x: Any) -> Any:
    """Batch normalisation and a residual connection."""
    y = conv(x, p["k"])
    mean, spread = y.mean((0, 1, 2)), y.std((0, 1, 2), keepdims=True)
    y = p["b"] * (y - mean) / (spread + 1e-3)
    z = conv(y, p["same"])
    return np.sum(np.where(z > 0, z, 0.1 * z) + y * x.max(-1, keepdims=True))


def _joined(p: Any, x: Any) -> Any:
    y = conv(x, p["k"], [(2, 0), (-1, 2)])
    y = np.concatenate([y, np.cos(y)], axis=-1)[:, 1:-1, ::2]
    y = lax.reduce_window(y, 0.0, lax.add, (1, 2, 2, 1), (1, 1, 1, 1), "SAME")
    return np.sum(np.transpose(y, (2, 0, 3, 1)) ** 3)


def _softly(p: Any, x: Any) -> Any:
    """Means over rows, maxima over channels; examples weighted."""
    y = conv(x, p["k"])
    weights = nn.softmax(y.mean(1), axis=-1)
    return np.sum(weights * y.max(axis=1)) + np.sum(y.min((1, 2)).T ** 2) + np.sum(np.max(y, (0, 3)))


def _scanned(p: Any, x: Any) -> Any:
    def step(h: Any, _: Any) -> Any:
        h = np.tanh(conv(h, p["same"]) + p["b"])
        return h, np.sum(h)

    h, sums = lax.scan(step, conv(x, p["k"]), None, length=3)
    return np.sum(h**2) + np.sum(sums)


def _dilated(p: Any, x: Any) -> Any:
    """Convolutions of which the pass does not know, between others."""
    y = conv(x, p["k"])
    y = lax.conv_general_dilated(y, p["same"], (2, 1), "SAME", dimension_numbers=LAST)
    y = conv(y, p["same"], rhs_dilation=(1, 2))
    return np.sum(conv(y, p["same"]) * 2)


NETWORKS = {
    f.__name__[1:]: f for f in (_plain, _pooled, _channels_first, _normalised, _joined, _softly, _scanned, _dilated)
}


def parameters(dtype: Any) -> dict[str, Any]:
    shapes = {"k": (3, 2, 3, 4), "k2": (2, 3, 4, 5), "same": (3, 3, 4, 4), "b": (4,)}
    return {name: 0.5 * array(*shape, dtype=dtype) for name, shape in shapes.items()}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3, 8, 9, 3), (1, 7, 10, 3)], ids=str)
def test_networks(name: str, dtype: Any, shape: Any, always: ImageLayout) -> None:
    """Value and all gradients are those of the functions as they stand."""
    f = fg.value_and_grad(NETWORKS[name], argnums=(0, 1))
    args = parameters(dtype), array(*shape, dtype=dtype)
    jitted = fg.jit(f)
    assert rows(f, *args) > 1
    for _ in range(2):
        tolerance = 1e-10 if dtype == np.float64 else 3e-4
        for got, want in zip(tree.leaves(jitted(*args)), tree.leaves(f(*args)), strict=True):
            assert (np.shape(got), np.result_type(got)) == (np.shape(want), np.result_type(want))
            scale = np.max(np.abs(want), initial=1.0)
            np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("name", ["plain", "normalised", "softly"])
def test_second_derivatives(name: str, always: ImageLayout) -> None:
    f, p, x = NETWORKS[name], parameters(np.float64), array(2, 5, 6, 3)
    t = {n: array(*v.shape, seed=5) for n, v in p.items()}

    def along(p: Any, x: Any) -> Any:
        return fg.jvp(lambda p: fg.grad(f)(p, x), (p,), (t,))[1]

    for got, want in zip(tree.leaves(fg.jit(along)(p, x)), tree.leaves(along(p, x)), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-8)


def test_complex(always: ImageLayout) -> None:
    x, k = (array(2, 5, 6, 2) + 1j * array(2, 5, 6, 2, seed=1)), array(3, 2, 2, 4) + 1j * array(3, 2, 2, 4, seed=1)

    def f(x: Any, k: Any) -> Any:
        return np.sum(np.abs(conv(x, k)) ** 2)

    assert rows(fg.grad(f, (0, 1)), x, k) > 1
    for got, want in zip(fg.jit(fg.grad(f, (0, 1)))(x, k), fg.grad(f, (0, 1))(x, k), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-10)


def test_batches(always: ImageLayout) -> None:
    f = fg.vmap(lambda x, k: conv(x, k), (0, None))
    x, k = array(3, 2, 5, 6, 2), array(3, 2, 2, 4)
    assert rows(f, x, k) == 1
    np.testing.assert_allclose(fg.jit(f)(x, k), f(x, k), rtol=1e-11)


def test_ties_go_to_the_first_element_of_a_window(always: ImageLayout) -> None:
    x, k = np.round(array(3, 8, 8, 2)), np.round(2 * array(3, 3, 2, 4))
    f = fg.grad(lambda x: np.sum(array(3, 4, 4, 4) * pool(nn.relu(conv(x, k)))))
    np.testing.assert_allclose(fg.jit(f)(x), f(x), rtol=1e-12, atol=1e-12)


def test_between_convolutions_nothing_is_transposed() -> None:
    p, x = parameters(np.float32), array(32, 16, 16, 3, dtype=np.float32)
    program = optimise(fg.make_ir(fg.grad(_pooled))(p, x))
    found = optimise(layout(program))
    check_program(found)
    assert count(found, CONV_ROWS) == 3 and count(found, CONV_ROWS_KERNEL) == 2
    moved = [e for e in found.equations if e.primitive.name == "transpose" and e.outputs[0].aval.ndim == 4]
    large = [e for e in moved if e.outputs[0].aval.size > 1000 and e.inputs[0] not in program.inputs]
    assert len(large) == 2  # what comes out of the last pooling, and its cotangent
    for got, want in zip(
        eval_program(found, tree.leaves((p, x))), eval_program(program, tree.leaves((p, x))), strict=True
    ):
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)


def test_a_test_that_fails_if_axes_are_mixed_up(always: ImageLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("funcgrad.passes.layout._IMAGE", (3, 1, 2, 0))
    f, args = fg.jit(_plain), (parameters(np.float64), array(3, 7, 7, 3))
    assert abs(f(*args) - _plain(*args)) > 1e-3


# -------------------------------------------------------------------------------------------------- where it is done


def test_where_it_pays() -> None:
    k, wide = array(3, 3, 8, 8, dtype=np.float32), array(3, 3, 64, 64, dtype=np.float32)
    x = array(32, 16, 16, 8, dtype=np.float32)

    def twice(x: Any, k: Any) -> Any:
        return np.sum(conv(nn.relu(conv(x, k)), k))

    assert rows(fg.grad(twice, 1), x, k) == 4
    assert rows(lambda x, k: conv(x, k), array(1, 3, 3, 8), array(3, 3, 8, 8)) == 0  # too few elements in a row
    assert rows(fg.grad(twice, 1), array(4, 16, 16, 64, dtype=np.float32), wide) == 0  # windows are long runs
    assert (
        rows(lambda x, k: np.exp(conv(np.sin(x), k)), x, array(1, 1, 8, 8, dtype=np.float32)) == 0
    )  # transposing there and back costs more
    half = fg.grad(twice, 1)
    assert rows(half, x.astype(np.float16), k.astype(np.float16)) == 0
    assert rows(lambda x, k: conv(x, k), (9 * x).astype(int), k.astype(int)) == 0


def test_other_backends_have_their_own_convolution(always: ImageLayout) -> None:
    x, k = array(2, 5, 5, 2), array(3, 3, 2, 4)
    assert "conv_rows" not in fg.jit(lambda x: conv(x, k), backend=RecordingBackend()).lower(x).optimized_ir()


def test_programs_that_are_lowered_for_other_backends_stay(always: ImageLayout) -> None:
    x, k = array(2, 5, 5, 2), array(3, 3, 2, 4)
    inner = fg.jit(lambda x: conv(x, k), backend=RecordingBackend())
    f = fg.jit(lambda x: np.sum(conv(inner(x), array(3, 3, 4, 4))))
    np.testing.assert_allclose(f(x), np.sum(conv(conv(x, k), array(3, 3, 4, 4))))


# ------------------------------------------------------------------------------------------------- random networks


STEPS: dict[str, Callable[[Any, Any, int], Any]] = {
    "conv": lambda y, k, a: conv(y, k, "SAME" if a % 2 else [(a % 3, 1), (0, a % 4)]),
    "twice": lambda y, k, a: conv(np.tanh(conv(y, k)), k),
    "relu": lambda y, k, a: nn.relu(y - 0.1 * a),
    "pool": lambda y, k, a: pool(y) if min(y.shape[1:3]) > 1 else y,
    "pool columns": lambda y, k, a: pool(y, (1, 1, 2, 1), lax.min, np.inf) if y.shape[2] > 1 else y,
    "pool rows": lambda y, k, a: pool(y, (1, 2, 1, 1), lax.add, 0.0) if y.shape[1] > 1 else y,
    "bias": lambda y, k, a: y + np.arange(y.shape[3]) * 0.1,
    "by row": lambda y, k, a: y * np.cos(np.arange(y.shape[1]) + a)[:, None, None],
    "by example": lambda y, k, a: y * np.linspace(1, 2, len(y))[:, None, None, None],
    "mean": lambda y, k, a: y - y.mean((a % 4, (a + 1) % 4), keepdims=True),
    "max": lambda y, k, a: y + np.max(y, axis=a % 4, keepdims=True),
    "rows and back": lambda y, k, a: y + np.sum(y, axis=a % 4).mean(),
    "other order": lambda y, k, a: np.exp(-np.moveaxis(np.moveaxis(y, 3, a % 3) ** 2, a % 3, 3)),
    "swapped": lambda y, k, a: y + np.swapaxes(y[:, : min(y.shape[1:3]), : min(y.shape[1:3])], 1, 2).mean(0).sum(),
    "joined": lambda y, k, a: np.concatenate([y, y[:, :1]], 1),
    "cut": lambda y, k, a: y[:, a % 2 :, ::-1] if y.shape[1] > 1 else y,
    "flat and back": lambda y, k, a: np.sin(y.reshape(len(y), -1)).reshape(y.shape),
    "chosen": lambda y, k, a: np.where(y > 0.1 * a, y, y.mean(axis=(1, 2), keepdims=True)),
    "softmax": lambda y, k, a: nn.softmax(y, axis=a % 4),
    "branch": lambda y, k, a: lax.cond(np.sum(y) > a, lambda y: conv(y, k), lambda y: 2.0 * y, y),
}


@given(
    st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 5)), min_size=1, max_size=7),
    st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6), st.just(2)),
)
def test_random_networks(steps: list[tuple[str, int]], shape: Any) -> None:
    """Value and gradients are those of the function as it stands, whatever lies between the convolutions."""

    def f(k: Any, x: Any) -> Any:
        y = conv(x, k)
        for name, a in steps:
            y = STEPS[name](y, k, a)
        return np.sum(np.sin(y)) + np.sum(conv(y, k) ** 2), y

    k, x = 0.5 * array(2, 3, 2, 2), array(*shape)
    g = fg.value_and_grad(f, argnums=(0, 1), has_aux=True)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"channels": 99, "run": 1, "transpose_ns": 0.0}.items():
            patch.setattr(layouts, name, value)
        got, want = fg.jit(g)(k, x), g(k, x)
    for a, b in zip(tree.leaves(got), tree.leaves(want), strict=True):
        assert a.shape == b.shape
        scale = np.max(np.abs(b), initial=1.0)
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-9 * scale)
