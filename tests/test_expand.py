"""Expansion: softmax and its like on large arrays become operations that are fused, with the same results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from amounts import examples
from hypothesis import given
from tunings import kept

import funcgrad
from funcgrad import jit, jvp, make_ir, nn, value_and_grad, vjp
from funcgrad.executor.tiles import tuning
from funcgrad.ir import Program
from funcgrad.ir_check import check_program
from funcgrad.passes.expand import expand
from funcgrad.passes.fuse import fuse

ALONG: dict[str, Callable[..., Any]] = {
    "softmax": nn.softmax,
    "log_softmax": nn.log_softmax,
    "logsumexp": partial(nn.logsumexp, axis=-1),
}
EACH: dict[str, Callable[..., Any]] = {"gelu": nn.gelu, "relu": nn.relu}


@pytest.fixture(autouse=True)
def _small() -> Iterator[None]:
    with kept(tuning):
        tuning.tile_bytes = tuning.shared_bytes = 256
        tuning.smallest = 2
        yield


def names(program: Program) -> list[str]:
    return [eqn.primitive.name for eqn in program.equations]


def close(got: Any, want: Any) -> None:
    got, want = np.asarray(got), np.asarray(want)
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    tolerance = 1e-12 if got.dtype == np.float64 else 2e-5
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def array(shape: tuple[int, ...], dtype: Any = np.float64, seed: int = 0) -> np.ndarray:
    return (3 * np.random.default_rng(seed).normal(size=shape)).astype(dtype)


@pytest.mark.parametrize("name", ALONG)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
@pytest.mark.parametrize("axis", [-1, 1, (1, 2)])
def test_along_axes(name: str, dtype: Any, axis: Any) -> None:
    f, x = ALONG[name], array((5, 6, 7), dtype)
    program = make_ir(lambda x: f(x, axis=axis))(x)
    after = expand(program)
    check_program(after)
    assert name in names(program) and name not in names(after)
    close(after(x)[0], f(x, axis=axis))
    close(jit(lambda x: f(x, axis=axis))(x), f(x, axis=axis))


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_each_element(name: str, dtype: Any) -> None:
    f, x = EACH[name], array((11, 7), dtype)
    after = expand(make_ir(f)(x))
    check_program(after)
    assert not {"gelu_tanh", "relu"} & set(names(after))
    close(after(x)[0], f(x))
    close(jit(f)(x), f(x))


@pytest.mark.parametrize("name", [*ALONG, *EACH])
def test_value_and_gradient_are_one_group(name: str) -> None:
    f = {**ALONG, **EACH}[name]
    w, x = array((9, 8), seed=1), array((9, 8))
    loss = lambda x: np.sum(f(x) * (w[:, 0] if name == "logsumexp" else w))  # noqa: E731
    value, slope = value_and_grad(loss)(x)
    got = jit(value_and_grad(loss))(x)
    close(got[0], value)
    close(got[1], slope)
    compiled = names(fuse(expand(make_ir(value_and_grad(lambda x: np.sum(f(x) * 2)))(x))))
    assert compiled.count("fused") == 1 and not {name, "dot_general", "gelu_tanh"} & set(compiled)


@pytest.mark.parametrize("name", ALONG)
def test_not_finite(name: str) -> None:
    f = ALONG[name]
    x = np.array([[-np.inf] * 3, [np.inf, 0, 1], [np.nan, 1, 2], [-np.inf, 0, 1], [1, 2, 3]], np.float32)
    with np.errstate(invalid="ignore"):
        want, got = f(x), jit(f)(x)
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_logarithms_of_zero_do_not_warn() -> None:
    x = np.full((4, 3), -np.inf)
    np.testing.assert_array_equal(jit(ALONG["logsumexp"])(x), [-np.inf] * 4)


def test_what_is_left_as_it_is() -> None:
    tuning.smallest = 100
    for f, x in [
        (lambda x: nn.softmax(x), array((9, 11))),  # small
        (lambda x: nn.softmax(x, axis=0), array((20, 11))),  # known after the last tile
        (lambda x: nn.softmax(x), array((20, 11), np.float16)),
        (lambda x: x @ x.T, array((20, 11))),
    ]:
        program = make_ir(f)(x)
        assert expand(program) is program
    program = make_ir(lambda x: nn.softmax(x))(array((20, 11)))
    assert expand(program, widest=10) is program
    assert expand(program, smallest=300) is program


def test_products_of_rows() -> None:
    x, y = array((6, 4, 5)), array((6, 4, 5), seed=1)
    vecdot: Any = np.vecdot
    for axis in (1, 2):
        f = partial(vecdot, axis=axis)
        assert "dot_general" not in names(expand(make_ir(f)(x, y)))
        close(jit(f)(x, y), f(x, y))


def test_programs_within_programs() -> None:

    def f(x: Any) -> Any:
        return funcgrad.lax.fori_loop(0, 3, lambda i, y: nn.softmax(y * x) + y, x)

    x = array((6, 5))
    close(jit(f)(x), f(x))


@examples(40)
@given(st.lists(st.sampled_from([*ALONG, *EACH]), min_size=1, max_size=4), st.integers(0, 3))
def test_compositions(layers: list[str], seed: int) -> None:
    x, w = array((6, 5), seed=seed), array((6, 5), seed=seed + 1)

    def f(x: Any) -> Any:
        for name in layers:
            y = {**ALONG, **EACH}[name](x)
            # Not the cosine: one unit in its last place (and together with the sine it has others) is 1e-10 in the end.
            x = x * np.arctan(y[:, None] if name == "logsumexp" else y) + w
        return x

    close(jit(f)(x), f(x))
    close(jit(lambda x: vjp(f, x)[1](w)[0])(x), vjp(f, x)[1](w)[0])
    close(jit(lambda x: jvp(f, (x,), (w,))[1])(x), jvp(f, (x,), (w,))[1])
