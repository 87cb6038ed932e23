"""Policies of `checkpoint`: what is kept, in bytes, and what is computed again; names; what is said to be saved."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import ad_checkpoint, checkpoint_name, lax
from funcgrad import checkpoint_policies as cp

N = 64
UNIT = 8 * N * N  # bytes of one matrix


def _block(x: Any) -> Any:
    """One product and five other results of the size of `x`; two of them have names."""
    y = checkpoint_name(np.sin(x @ x), "y")
    z = checkpoint_name(np.exp(-y * y), "z")
    return np.tanh(z)


def _held(fun: Callable[[Any], Any], x: np.ndarray) -> float:
    """How many matrices the pullback of a function holds on to."""
    fg.vjp(fun, x)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        _, pullback = fg.vjp(fun, x)
        gc.collect()
        size = tracemalloc.get_traced_memory()[0] - before
        assert pullback is not None
    finally:
        tracemalloc.stop()
    return size / UNIT


def _refuse_tanh(primitive: Any, *avals: Any, **params: Any) -> bool:
    return primitive.name != "tanh"


POLICIES: dict[str, tuple[Any, int]] = {
    "nothing": (cp.nothing_saveable, 0),
    "none": (None, 0),
    "dots": (cp.dots_saveable, 1),
    "dots without batch": (cp.dots_with_no_batch_dims_saveable, 1),
    "only y": (cp.save_only_these_names("y"), 1),
    "only y and z": (cp.save_only_these_names("y", "z", "unknown"), 2),
    "any name but y": (cp.save_any_names_but_these("y"), 1),
    "any name": (cp.save_any_names_but_these(), 2),
    "dots or z": (cp.save_from_both_policies(cp.dots_saveable, cp.save_only_these_names("z")), 2),
}


@pytest.fixture
def x(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(N, N)) / N


@pytest.mark.parametrize("name", POLICIES)
def test_bytes_kept(name: str, x: np.ndarray) -> None:
    """Of four blocks: their four inputs, of which the first is the argument, and what the policy accepts."""
    policy, kept = POLICIES[name]
    block = fg.checkpoint(_block, policy=policy)

    def run(x: Any) -> Any:
        for _ in range(4):
            x = block(x)
        return x

    # The pullback has copies of the argument, and of the output.
    assert 4 * kept + 3 <= _held(run, x) <= 4 * kept + 6.5


@pytest.mark.parametrize("policy", [p for p, _ in POLICIES.values()], ids=list(POLICIES))
def test_derivatives_do_not_depend_on_the_policy(policy: Any, x: np.ndarray) -> None:
    x = x[:3, :3] * N

    def loss(block: Any) -> Callable[[Any], Any]:
        return lambda x: np.sum(np.cos(block(block(x))))

    plain, checked = loss(_block), loss(fg.checkpoint(_block, policy=policy))
    want = fg.grad(plain)(x)
    for g in (fg.grad(checked), fg.jit(fg.grad(checked)), fg.grad(fg.jit(checked))):
        np.testing.assert_allclose(g(x), want, rtol=1e-12)
    np.testing.assert_allclose(fg.hessian(checked)(x), fg.hessian(plain)(x), rtol=1e-9, atol=1e-12)
    xs = np.stack([x, 2 * x])
    np.testing.assert_allclose(fg.vmap(fg.grad(checked))(xs), fg.vmap(fg.grad(plain))(xs), rtol=1e-11)
    t = np.sin(x)
    np.testing.assert_allclose(fg.jvp(checked, (x,), (t,))[1], fg.jvp(plain, (x,), (t,))[1], rtol=1e-12)


def test_products_of_stacks_are_dots_with_batch_dimensions(x: np.ndarray) -> None:
    stack = np.stack([x, x])[:, :4, :4]
    texts = [
        [s for _, s in ad_checkpoint.saved_residuals(fg.checkpoint(lambda x: np.sin(x @ x), policy=p), stack)]
        for p in (cp.checkpoint_dots, cp.checkpoint_dots_with_no_batch_dims)
    ]
    assert texts[0][1].startswith("output of dot_general from ") and len(texts[1]) == 1


def _saved(f: Callable[..., Any], *args: Any) -> list[str]:
    return [f"{aval} {source.split(' from test')[0]}" for aval, source in ad_checkpoint.saved_residuals(f, *args)]


def _layer(x: Any) -> Any:
    return np.sin(checkpoint_name(np.exp(np.cos(x)), "e"))


def _in_scan(x: Any) -> Any:
    return lax.scan(lambda c, _: (_layer(c) * c, np.sum(c)), x, None, length=4)[0]


def _in_nested_scans(x: Any) -> Any:
    def outer(c: Any, _: Any) -> Any:
        return lax.scan(lambda d, k: (fg.jit(_layer)(d) * d * k, d), c, np.arange(1.0, 4.0))[0], None

    return lax.scan(outer, x, None, length=2, reverse=True)[0]


NESTED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "jit": (lambda x: fg.jit(fg.jit(_layer))(x), "f64[3] named 'e'"),
    "checkpoint": (lambda x: fg.checkpoint(_layer)(x) * x, "f64[3] named 'e'"),
    "scan": (_in_scan, "f64[4,3] output of scan"),
    "nested scans": (_in_nested_scans, "f64[2,3,3] output of scan"),
    "custom": (lambda x: _with_rule(_layer(x)), "f64[3] named 'e'"),
}


@fg.custom_vjp
def _with_rule(x: Any) -> Any:
    return x * x


_with_rule.defvjp(lambda x: (x * x, x), lambda x, ct: (2 * x * ct,))


@pytest.mark.parametrize("name", NESTED)
def test_policies_look_inside(name: str) -> None:
    f, want = NESTED[name]
    v = np.linspace(0.1, 0.9, 3)
    only = fg.checkpoint(f, policy=cp.save_only_these_names("e"))
    assert want in _saved(only, v)
    assert want not in _saved(fg.checkpoint(f, policy=cp.save_only_these_names("other")), v)
    every = fg.checkpoint(f, policy=cp.everything_saveable)
    others = fg.checkpoint(f, policy=cp.save_anything_except_these_names("e"))
    assert len(_saved(every, v)) >= len(_saved(only, v)) - 1
    for g in (only, every, others):
        np.testing.assert_allclose(fg.jacrev(g)(v), fg.jacrev(f)(v), rtol=1e-12)
        np.testing.assert_allclose(fg.hessian(lambda v, g=g: np.sum(g(v)))(v), fg.hessian(lambda v: np.sum(f(v)))(v))
        np.testing.assert_allclose(fg.jit(fg.vmap(fg.jacrev(g)))(v[:, None]), fg.vmap(fg.jacrev(f))(v[:, None]))


def test_bytes_kept_in_a_scan(rng: np.random.Generator) -> None:
    x = rng.normal(size=(N, N))

    def held(policy: Any) -> float:
        def run(x: Any) -> Any:
            step = fg.checkpoint(lambda c: _layer(c) * c)
            return lax.scan(lambda c, _: (step(c), None), x, None, length=10)[0]

        return _held(fg.checkpoint(run, policy=policy), x)

    assert held(None) < 5  # the argument
    assert 10 < held(cp.save_only_these_names("e")) < 15


def test_what_is_saved_in_a_scan_is_not_computed_again() -> None:
    text = str(fg.make_ir(fg.grad(lambda x: np.sum(fg.checkpoint(_in_scan)(x))))(np.ones(3)))
    assert text.count("= exp ") == 2
    policy = cp.save_only_these_names("e")
    text = str(fg.make_ir(fg.grad(lambda x: np.sum(fg.checkpoint(_in_scan, policy=policy)(x))))(np.ones(3)))
    assert text.count("= exp ") == 1


def test_an_inner_policy_counts_for_the_inner_reverse_pass() -> None:
    inner = fg.checkpoint(lambda x: np.sin(np.exp(np.tanh(x))), policy=lambda p, *a, **k: p.name == "exp")
    v = np.ones(2)
    for policy in (cp.nothing_saveable, cp.save_only_these_names("e"), lambda p, *a, **k: p.name == "tanh"):
        outer = fg.checkpoint(lambda x: np.sum(inner(x) * x), policy=policy)
        np.testing.assert_allclose(fg.grad(outer)(v), fg.grad(lambda x: np.sum(np.sin(np.exp(np.tanh(x))) * x))(v))
    assert "f64[2] output of tanh" in _saved(fg.checkpoint(lambda x: inner(x) * x, policy=policy), v)


def test_policies_are_asked_with_avals_and_parameters() -> None:
    asked: list[tuple[Any, ...]] = []

    def policy(primitive: Any, *avals: Any, **params: Any) -> bool:
        asked.append((primitive.name, *map(str, avals), *params.values()))
        return False

    fg.grad(fg.checkpoint(lambda x: np.sum(checkpoint_name(np.sin(x), "s") * 2.0), policy=policy))(np.ones(3))
    assert ("sin", "f64[3]") in asked and ("name", "f64[3]", "s") in asked


def test_equal_policies_share_programs() -> None:
    policies = [cp.save_only_these_names("a", "b"), cp.save_only_these_names("b", "a")]
    assert policies[0] == policies[1] and hash(policies[0]) == hash(policies[1])
    assert cp.save_any_names_but_these("a") != cp.save_only_these_names("a")
    assert cp.save_any_names_but_these("a") != cp.save_anything_except_these_names("a")
    both = [cp.save_from_both_policies(p, cp.dots_saveable) for p in policies]
    assert both[0] == both[1] and hash(both[0]) == hash(both[1])
    assert repr(both[0]).startswith("save_from_both_policies(save_only_these_names('a', 'b'), ")
    with pytest.raises(TypeError, match="names must be strings"):
        cp.save_only_these_names(["a"])  # type: ignore[arg-type]


def test_checkpoint_name() -> None:
    tree = {"a": np.ones(2), "n": 3, "none": None}
    named = checkpoint_name(tree, "t")
    assert named["a"] is tree["a"] and named["n"] == 3 and named["none"] is None
    assert fg.grad(lambda x: checkpoint_name(x, "x") ** 2)(3.0) == 6.0
    assert str(fg.make_ir(lambda x: checkpoint_name(x, "x"))(1.0)).count("name[name='x']") == 1
    with pytest.raises(TypeError, match="the name must be a string"):
        checkpoint_name(1.0, 3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"the value\['k'\] is a str"):
        checkpoint_name({"k": "text"}, "x")


def test_saved_residuals_of_a_function(capsys: pytest.CaptureFixture[str]) -> None:
    w = np.full(3, 2.0)

    def f(p: Any, *rest: Any, scale: Any) -> Any:
        return np.sum(np.exp(p["a"] * scale) * w * rest[0])

    args = {"a": np.ones(3), "unused": 1.0}, np.ones(3)
    fg.print_saved_residuals(f, *args, scale=2.0)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" from test")[0] for line in lines] == [
        "f64[3] from a constant",
        "f64[3] from the argument p['a']",
        "f64[3] from the argument 1",
        "float from the argument scale",
        "f64[3] output of exp",
        "f64[3] output of mul",
    ]
    assert lines[4].startswith("f64[3] output of exp from test_checkpoint_policies.py:") and lines[4].endswith("(f)")
    assert _saved(lambda x: x + 1, 1.0) == []
    assert _saved(lambda x: np.sin(x), fg.ShapeDtypeStruct((2,), np.float32)) == ["f32[2] from the argument x"]
    with pytest.raises(TypeError, match="takes a function"):
        fg.saved_residuals(3, 1.0)  # type: ignore[arg-type]
