"""`checkpoint`: the same derivatives, from fewer things kept."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from programs import PROGRAMS
from roundings import assert_same

import funcgrad as fg
from funcgrad import lax

WIDTH, LAYERS = 4096, 50


def _layer(x: Any) -> Any:
    y = np.sin(x)
    y = np.exp(y * y) * np.cos(x)
    return y / (1 + y * y) + np.tanh(x)


def _chain(layer: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def run(x: Any) -> Any:
        for _ in range(LAYERS):
            x = layer(x)
        return x

    return run


def _held(fun: Callable[[Any], Any], x: np.ndarray) -> tuple[int, Any]:
    """How many bytes the pullback of a function holds on to; and the pullback."""
    fg.vjp(fun, x)  # what is made once (programs) does not count
    gc.collect()
    tracemalloc.start()
    try:
        _, pullback = fg.vjp(fun, x)
        gc.collect()
        return tracemalloc.get_traced_memory()[0], pullback
    finally:
        tracemalloc.stop()


def test_residuals_of_a_chain(rng: np.random.Generator) -> None:
    x, ct = rng.normal(size=(2, WIDTH))
    all_kept, plain = _held(_chain(_layer), x)
    few_kept, checkpointed = _held(_chain(fg.checkpoint(_layer)), x)
    assert all_kept > 8 * WIDTH * LAYERS * 4  # at least four intermediate results per layer
    assert few_kept <= all_kept / 4
    assert_same(checkpointed(ct)[0], plain(ct)[0], rtol=1e-12)


def test_residuals_of_blocks(rng: np.random.Generator) -> None:
    """With a checkpoint around ten layers each, five values are kept, not fifty."""
    x, ct = rng.normal(size=(2, WIDTH))

    def block(x: Any) -> Any:
        for _ in range(10):
            x = _layer(x)
        return x

    whole = fg.checkpoint(block)

    def run(x: Any) -> Any:
        for _ in range(LAYERS // 10):
            x = whole(x)
        return x

    kept, pullback = _held(run, x)
    assert kept <= 8 * WIDTH * (LAYERS // 10 + 3)
    assert_same(pullback(ct)[0], fg.vjp(_chain(_layer), x)[1](ct)[0], rtol=1e-12)


def test_residuals_of_a_scan(rng: np.random.Generator) -> None:
    x = rng.normal(size=WIDTH)

    def run(step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda x: lax.scan(lambda c, _: (step(c), None), x, None, length=LAYERS)[0]

    all_kept, plain = _held(run(_layer), x)
    few_kept, checkpointed = _held(run(fg.checkpoint(_layer)), x)
    assert few_kept <= all_kept / 4
    assert_same(checkpointed(x)[0], plain(x)[0], rtol=1e-12)


def test_policy(rng: np.random.Generator) -> None:
    x, ct = rng.normal(size=(2, WIDTH))
    asked: set[str] = set()

    def keep_tanh(primitive: Any, *avals: Any, **params: Any) -> bool:
        asked.add(primitive.name)
        return primitive.name == "tanh"

    kept = {
        "none": _held(_chain(fg.checkpoint(_layer, policy=lambda primitive, *avals, **params: False)), x),
        "tanh": _held(_chain(fg.checkpoint(_layer, policy=keep_tanh)), x),
        "all": _held(_chain(fg.checkpoint(_layer, policy=lambda primitive, *avals, **params: True)), x),
    }
    sizes = {k: v[0] for k, v in kept.items()}
    layer = 8 * WIDTH * LAYERS
    assert sizes["none"] < 1.5 * layer < sizes["tanh"] < 2.5 * layer < sizes["all"]
    assert {"sin", "exp", "tanh"} <= asked
    want = fg.vjp(_chain(_layer), x)[1](ct)[0]
    for _, pullback in kept.values():
        assert_same(pullback(ct)[0], want, rtol=1e-12)


def test_what_is_kept_is_not_computed_again() -> None:
    """In the program of the backward pass, only what the policy did not keep is there once more."""
    keep: Any = fg.checkpoint(
        lambda x: np.sin(np.exp(x)), policy=lambda primitive, *avals, **params: primitive.name == "exp"
    )
    text = str(fg.make_ir(fg.grad(lambda x: np.sum(keep(x))))(np.ones(2)))
    assert text.count("= exp ") == 1
    text = str(fg.make_ir(fg.grad(lambda x: np.sum(fg.checkpoint(lambda x: np.sin(np.exp(x)))(x))))(np.ones(2)))
    assert text.count("= exp ") == 2


@pytest.mark.parametrize("name", PROGRAMS)
def test_derivatives_are_the_same(name: str) -> None:
    program = PROGRAMS[name]
    f, v = program.vector()
    g = fg.checkpoint(f)
    ct = np.cos(np.arange(len(f(v))))
    np.testing.assert_allclose(g(v), f(v), rtol=1e-13, err_msg=name)
    for pair in ((f, g), (fg.jit(f), fg.jit(g)), (f, fg.checkpoint(g))):
        plain, checked = (fg.vjp(h, v)[1](ct)[0] for h in pair)
        np.testing.assert_allclose(checked, plain, rtol=1e-11, atol=1e-13, err_msg=name)
    second = [fg.jacrev(fg.grad(lambda v, h=h: np.sum(h(v) * ct)))(v) for h in (f, g)]
    np.testing.assert_allclose(second[1], second[0], rtol=1e-10, atol=1e-11, err_msg=name)
    if program.forward:
        plain, checked = (fg.jvp(h, (v,), (np.sin(v),))[1] for h in (f, g))
        np.testing.assert_allclose(checked, plain, rtol=1e-11, atol=1e-13, err_msg=name)


def test_arguments() -> None:
    f = fg.checkpoint(lambda x, n, scale=1.0: {"y": x**n * scale}, static_argnums=1)
    assert f(3.0, 2)["y"] == 9.0
    assert fg.grad(lambda x: f(x, 2, scale=2.0)["y"])(3.0) == 12.0
    assert fg.grad(lambda x, s: f(x, 3, s)["y"], (0, 1))(2.0, 2.0) == (24.0, 8.0)
    assert fg.remat is fg.checkpoint
    decorated: Any = fg.checkpoint(policy=None)(np.sin)
    assert fg.grad(decorated)(0.0) == 1.0
    with pytest.raises(TypeError, match="takes a function"):
        fg.checkpoint(3)  # type: ignore[arg-type]


def test_closing_over_tracers() -> None:
    def loss(w: Any, x: Any) -> Any:
        return np.sum(fg.checkpoint(lambda a: np.sin(a * w) * w)(x))

    w, x = np.array([0.3, 0.7]), np.array([1.1, -0.4])
    want = fg.grad(lambda w: np.sum(np.sin(x * w) * w))(w)
    np.testing.assert_allclose(fg.grad(loss)(w, x), want)
    np.testing.assert_allclose(fg.jit(fg.grad(loss))(w, x), want)
    np.testing.assert_allclose(fg.vmap(fg.grad(loss))(w, x), want)
