"""Control flow under transformations: `scan`, `map`, loops, `cond`, `switch`, `associative_scan`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax, tree
from funcgrad.test_util import check_grads

X = np.array([0.3, -1.2, 0.8])
WRAPS: dict[str, Callable[[Any], Any]] = {"plain": lambda f: f, "jit": fg.jit, "checkpoint": fg.checkpoint}


def _python_scan(f: Any, init: Any, xs: Any, length: int | None = None, reverse: bool = False) -> Any:
    n = length if xs is None else len(tree.leaves(xs)[0])
    ys: list[Any] = [None] * n
    for i in reversed(range(n)) if reverse else range(n):
        init, ys[i] = f(init, None if xs is None else tree.map(lambda x, i=i: x[i], xs))
    return init, tree.map(lambda *y: np.stack(y), *ys)


def _body(c: Any, x: Any) -> Any:
    new = {"h": np.tanh(c["h"] * x["w"] + x["b"]), "n": c["n"] + 1}
    return new, (new["h"] * c["n"], x["b"])


XS = {"w": np.array([0.5, -0.7, 1.1]), "b": np.array([[0.1, 0.2], [0.3, -0.4], [0.5, 0.6]])}
INIT = {"h": np.array([0.3, -0.8]), "n": np.array(0)}


# ---------------------------------------------------------------------------------------------------------- scan


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("reverse", [False, True])
def test_scan_is_a_loop(reverse: bool, wrap: str) -> None:
    run = WRAPS[wrap](lambda init, xs: lax.scan(_body, init, xs, reverse=reverse))
    found, want = run(INIT, XS), _python_scan(_body, INIT, XS, reverse=reverse)
    for a, b in zip(tree.leaves(found), tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14)
        assert a.dtype == b.dtype
    moving = WRAPS[wrap](lambda h, xs: lax.scan(_body, {"h": h, "n": np.array(0)}, xs, reverse=reverse)[1])
    check_grads(moving, (INIT["h"], XS), 2)


@pytest.mark.parametrize("wrap", WRAPS)
def test_scan_without_xs(wrap: str) -> None:
    run = WRAPS[wrap](lambda c: lax.scan(lambda c, x: (np.sin(c), (c, x)), c, None, length=3))
    c, (ys, none) = run(0.5)
    assert none is None and ys.shape == (3,)
    np.testing.assert_allclose(c, np.sin(np.sin(np.sin(0.5))))
    np.testing.assert_allclose(fg.grad(lambda x: run(x)[0])(0.5), fg.grad(lambda x: np.sin(np.sin(np.sin(x))))(0.5))
    assert lax.scan(lambda c, _: (c, None), 1.0, None, length=2)[1] is None


@pytest.mark.parametrize("wrap", WRAPS)
def test_scan_of_no_steps(wrap: str) -> None:
    run = WRAPS[wrap](lambda c, xs: lax.scan(lambda c, x: (c * x, np.outer(c, c)), c, xs))
    c, ys = run(X, np.zeros((0, 3)))
    np.testing.assert_array_equal(c, X)
    assert ys.shape == (0, 3, 3)
    by_c, by_x = fg.grad(lambda c, xs: np.sum(run(c, xs)[0]), (0, 1))(X, np.zeros((0, 3)))
    np.testing.assert_array_equal(by_c, np.ones(3))
    assert by_x.shape == (0, 3)
    assert fg.vmap(run, (0, None))(X[:, None], np.zeros((0, 1)))[1].shape == (3, 0, 1, 1)


def test_python_scalars_in_the_carry_take_on_dtypes() -> None:
    f32 = X.astype(np.float32)
    for init in (0, 0.0, False):
        for run in (lax.scan, lambda *a: fg.jit(lambda xs: lax.scan(a[0], a[1], xs))(a[2])):
            c, ys = run(lambda c, x: (c + x, c * x), init, f32)
            assert c.dtype == ys.dtype == np.float32
    assert lax.scan(lambda c, x: (c + 1, None), 0, X)[0].dtype == np.int64
    assert lax.scan(lambda c, x: (c * 0.5, None), 1, X)[0] == 0.125
    assert fg.grad(lambda c: lax.scan(lambda c, x: (c * x, None), c, f32.astype(float))[0])(2.0) == pytest.approx(
        np.prod(X)
    )


def test_consts_are_not_stacked() -> None:
    """What a body closes over goes in once; also tracers of any transformation outside."""
    w = np.arange(6.0).reshape(3, 2)

    def run(w: Any, c: Any) -> Any:
        return np.sum(lax.scan(lambda c, x: (np.sin(w @ c)[:2] * x, None), c, X)[0])

    check_grads(run, (w * 0.3, np.ones(2)), 2)
    one = fg.grad(run, (0, 1))(w, np.ones(2))
    for g in (fg.jit(fg.grad(run, (0, 1))), fg.grad(fg.jit(run), (0, 1))):
        for a, b in zip(g(w, np.ones(2)), one, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13)
    rows = fg.vmap(fg.grad(run), (0, None))(np.stack([w, 2 * w]), np.ones(2))
    np.testing.assert_allclose(rows[0], one[0], rtol=1e-13)
    np.testing.assert_allclose(rows[1], fg.grad(run)(2 * w, np.ones(2)), rtol=1e-13)
    np.testing.assert_allclose(fg.jacfwd(run)(w, np.ones(2)), one[0], rtol=1e-13)


@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0), (1, -1)])
def test_scan_under_vmap(axes: Any) -> None:
    c, xs = np.arange(4.0).reshape(2, 2), np.arange(1.0, 5.0).reshape(2, 2) / 3

    def run(c: Any, xs: Any) -> Any:
        return lax.scan(lambda c, x: (c * x + 1, c), c, xs)

    found = fg.vmap(run, axes)(c, xs)
    for i in range(2):
        row = run(*(x if a is None else np.take(x, i, a) for x, a in zip((c, xs), axes, strict=True)))
        np.testing.assert_allclose(found[0][i], row[0])
        np.testing.assert_allclose(found[1][i], row[1])


def test_scan_as_text() -> None:
    text = str(fg.make_ir(lambda w, xs: lax.scan(lambda c, x: (c * w + x, c), 0.0, xs, reverse=True))(2.0, X))
    assert text == (
        "{ lambda ; a:float b:f64[3]. let\n"
        "    c:f64[] d:f64[3] = scan[layout=(1, 1, 3, True), program=\n"
        "          { lambda ; a:float b:f64[] c:f64[]. let\n"
        "              d:f64[] = mul b a\n"
        "              e:f64[] = add d c\n"
        "            in (e, b) }\n"
        "      ] a 0.0:f64[] b\n"
        "  in (c, d) }"
    )


@pytest.mark.parametrize(
    ("body", "init", "text"),
    [
        (
            lambda c, x: ({"a": c["a"], "b": c["b"][None]}, x),
            {"a": X, "b": X},
            r"carry\['b'\]: expected shape \(3,\), got \(1, 3\)",
        ),
        (lambda c, x: ({"a": c["a"] * 0.5}, x), {"a": np.array(1)}, r"carry\['a'\]: expected dtype int64, got float64"),
        (lambda c, x: ([c["a"]], x), {"a": X}, "carry: expected a dict"),
        (lambda c, x: ((c, c), x), X, "carry: expected"),
        (lambda c, x: c, X, r"must return a pair \(carry, y\)"),
    ],
)
def test_carry_that_changes(body: Any, init: Any, text: str) -> None:
    for run in (lambda: lax.scan(body, init, X), lambda: fg.jit(lambda i: lax.scan(body, i, X))(init)):
        with pytest.raises(TypeError, match=text):
            run()


def test_lengths_that_differ() -> None:
    with pytest.raises(ValueError, match=r"xs\['a'\] has 3"):
        lax.scan(lambda c, x: (c, None), 0.0, {"a": X, "b": np.ones(2)})
    with pytest.raises(ValueError, match="length is 2"):
        lax.scan(lambda c, x: (c, None), 0.0, X, length=2)
    with pytest.raises(ValueError, match="give length"):
        lax.scan(lambda c, x: (c, None), 0.0, None)
    with pytest.raises(ValueError, match="is a scalar"):
        lax.scan(lambda c, x: (c, None), 0.0, 1.0)


def test_map() -> None:
    np.testing.assert_array_equal(lax.map(lambda x: x**2, X), X**2)
    np.testing.assert_allclose(fg.grad(lambda x: np.sum(lax.map(np.sin, x)))(X), np.cos(X))
    found = fg.jit(lambda d: lax.map(lambda e: {"s": e["a"] + e["b"][0]}, d))({"a": X, "b": np.ones((3, 2))})
    np.testing.assert_array_equal(found["s"], X + 1)


# ------------------------------------------------------------------------------------------------- cond, switch


def _cond(p: Any, x: Any) -> Any:
    return lax.cond(p, lambda a: {"y": np.sin(a), "z": a[0]}, lambda a: {"y": a * a[1], "z": 2 * a[1]}, x)


@pytest.mark.parametrize("p", [True, False, 1, 0, 2.5, np.True_, np.array(False)])
def test_cond(p: Any) -> None:
    want = _cond(bool(p), X)
    flag = np.asarray(p)
    for found in (_cond(p, X), fg.jit(_cond)(p, X), fg.vmap(_cond, (None, None), axis_size=1)(p, X)):
        for k, v in want.items():
            np.testing.assert_allclose(np.reshape(found[k], np.shape(v)), v)
    jacobian = fg.jacfwd(lambda x: _cond(p, x))(X)
    for g in (fg.jacfwd, fg.jacrev):
        for f in (lambda x: fg.jit(_cond)(flag, x), lambda x: _cond(flag, x)):
            for k, v in jacobian.items():
                np.testing.assert_allclose(g(f)(X)[k], v, atol=1e-15)


def test_batched_predicate_selects() -> None:
    ps, xs = np.array([True, False, True]), np.stack([X, 2 * X, 3 * X])
    for f in (_cond, fg.jit(_cond)):
        found = fg.vmap(f)(ps, xs)
        gradient = fg.vmap(lambda p, x, f=f: fg.grad(lambda x: np.sum(f(p, x)["y"]) + f(p, x)["z"])(x))(ps, xs)
        for i in range(3):
            row = _cond(bool(ps[i]), xs[i])
            np.testing.assert_allclose(found["y"][i], row["y"])
            np.testing.assert_allclose(found["z"][i], row["z"])
            one = fg.grad(lambda x, i=i: np.sum(_cond(bool(ps[i]), x)["y"]) + _cond(bool(ps[i]), x)["z"])(xs[i])
            np.testing.assert_allclose(gradient[i], one)
    text = str(fg.make_ir(fg.vmap(_cond))(ps, xs))
    assert "stand_in" in text and "select" in text


def test_switch() -> None:
    branches = [np.sin, lambda x: x**2 * X[0], lambda x: np.exp(x)]
    for i in (-3, 0, 1, 2, 7):
        want = branches[min(max(i, 0), 2)](X)
        np.testing.assert_allclose(lax.switch(i, branches, X), want)
        np.testing.assert_allclose(fg.jit(lambda i, x: lax.switch(i, branches, x))(i, X), want)
    found = fg.vmap(lambda i, x: lax.switch(i, branches, x))(np.array([-3, 7]), np.stack([X, X]))
    np.testing.assert_allclose(found, [np.sin(X), np.exp(X)])
    check_grads(fg.jit(lambda x: lax.switch(np.argmax(x), branches, x)), (X,), 2)


def test_branches_that_differ() -> None:
    x = np.float32(3.0)
    with pytest.raises(
        TypeError,
        match=r"branch 1 does not return what branch 0 does:\n  result\['a'\]: expected shape \(1,\), got \(\)",
    ):
        fg.jit(lambda p, x: lax.cond(p, lambda x: {"a": x}, lambda x: {"a": x[None]}, x))(True, x)
    with pytest.raises(TypeError, match="expected dtype float64, got float32"):
        fg.jit(lambda p, x: lax.cond(p, lambda x: x, lambda x: x.astype(float), x))(True, x)
    with pytest.raises(TypeError, match="branch 2"):
        fg.jit(lambda i, x: lax.switch(i, [np.sin, np.cos, lambda x: (x, x)], x))(0, x)
    with pytest.raises(TypeError, match="must be a scalar"):
        lax.cond(np.array([True, False]), np.sin, np.cos, 1.0)
    with pytest.raises(TypeError, match="must be an integer scalar"):
        lax.switch(1.0, [np.sin], 1.0)
    with pytest.raises(ValueError, match="at least one"):
        lax.switch(0, [], 1.0)


def test_a_python_scalar_from_one_branch_takes_on_the_dtype_of_the_other() -> None:
    for dtype in (np.float32, np.float64, np.complex64):
        run = fg.jit(lambda p, x: lax.cond(p, lambda x: (1.0, 2), lambda x: (x * 2, 3), x))
        for p in (True, False):
            found, n = run(p, dtype(3))
            assert found.dtype == dtype and n == 3 - p
            assert found == (1 if p else 6)


def test_branches_close_over_tracers() -> None:
    def f(c: Any, p: Any) -> Any:
        return lax.cond(p > 0, lambda x: x * c, lambda x: x + c * c, c)

    np.testing.assert_allclose(fg.vmap(fg.grad(f), (0, 0))(X, np.array([1, -1, 1])), [0.6, 1 - 2.4, 1.6])
    np.testing.assert_allclose(fg.jit(fg.grad(f))(0.3, 1), 0.6)
    np.testing.assert_allclose(fg.grad(fg.jit(f))(0.3, -1), 1.6)


# ------------------------------------------------------------------------------------------------- unbounded loops


def _collatz(n: Any) -> Any:
    step = lambda s: (np.where(s[0] % 2 == 0, s[0] // 2, 3 * s[0] + 1), s[1] + 1)  # noqa: E731
    return lax.while_loop(lambda s: s[0] != 1, step, (n, 0))[1]


def test_while_loop() -> None:
    ns = np.array([1, 6, 7, 27])
    want = [0, 8, 16, 111]
    assert [_collatz(n) for n in ns] == want
    np.testing.assert_array_equal([fg.jit(_collatz)(n) for n in ns], want)
    np.testing.assert_array_equal(fg.vmap(_collatz)(ns), want)
    np.testing.assert_array_equal(fg.jit(fg.vmap(_collatz))(ns), want)
    assert fg.vmap(_collatz)(ns[:0]).shape == (0,)


def _growth(x: Any, w: Any) -> Any:
    return lax.while_loop(lambda s: np.sum(s) < 10.0, lambda s: s * w + 0.1, x)


@pytest.mark.parametrize("wrap", WRAPS)
def test_derivatives_of_while_loop(wrap: str) -> None:
    x, w = np.array([0.3, 0.5]), np.array([1.7, 1.4])
    check_grads(WRAPS[wrap](_growth), (x, w), 3)
    rows = fg.vmap(lambda x: fg.jvp(_growth, (x, w), (x, w))[1])(np.stack([x, 9 * x, 99 * x]))
    for i, k in enumerate((1, 9, 99)):
        np.testing.assert_allclose(rows[i], fg.jvp(_growth, (k * x, w), (k * x, w))[1], rtol=1e-13)
    hessian = fg.jacfwd(fg.grad(lambda w: np.sum(_growth(x, w))))(w)
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-12)


def _newton(a: Any) -> Any:
    return lax.while_loop(lambda x: np.abs(x * x - a) > 1e-13, lambda x: 0.5 * (x + a / x), 2.0 * a)


NEWTONS = {
    "grad": lambda d: d(_newton),
    "grad of jit": lambda d: d(fg.jit(_newton)),
    "jit of grad": lambda d: fg.jit(d(_newton)),
    "vmap of grad": lambda d: lambda a: fg.vmap(d(_newton))(np.stack([a, a + 1.0]))[0],
    "jit of vmap of grad": lambda d: lambda a: fg.jit(fg.vmap(d(_newton)))(np.stack([a, a + 1.0]))[0],
}


@pytest.mark.parametrize("where", NEWTONS)
def test_derivatives_of_a_fixed_point_that_a_loop_finds(where: str) -> None:
    """d√a/da, and twice and three times over: the last steps of the iteration carry the derivative."""
    a = np.array(3.0)
    first = NEWTONS[where](fg.grad)
    np.testing.assert_allclose(first(a), 0.5 * a**-0.5, rtol=1e-9)
    np.testing.assert_allclose(NEWTONS[where](lambda f: fg.grad(fg.grad(f)))(a), -0.25 * a**-1.5, rtol=1e-6)
    np.testing.assert_allclose(fg.grad(fg.grad(first))(a), 0.375 * a**-2.5, rtol=1e-3)
    np.testing.assert_allclose(fg.jvp(first, (a,), (1.0,))[1], -0.25 * a**-1.5, rtol=1e-6)


def test_fixed_point_of_a_python_loop() -> None:
    def newton(a: Any) -> Any:
        x = 2.0 * a
        while abs(x * x - a) > 1e-13:
            x = 0.5 * (x + a / x)
        return x

    np.testing.assert_allclose(fg.grad(newton)(3.0), 0.5 * 3.0**-0.5, rtol=1e-9)
    np.testing.assert_allclose(fg.grad(fg.grad(newton))(3.0), -0.25 * 3.0**-1.5, rtol=1e-6)


@pytest.mark.parametrize("steps", [0, 1, 4])
def test_number_of_steps_that_is_traced(steps: int) -> None:
    w = np.array([[0.3, -0.8], [0.5, 0.2]])
    powers = lambda w, n: lax.fori_loop(0, n, lambda i, h: np.tanh(w @ h) + i, np.ones(2))  # noqa: E731
    loss = lambda w, n: np.sum(powers(w, n) ** 2)  # noqa: E731
    want = fg.grad(lambda w: loss(w, steps))(w)
    np.testing.assert_allclose(fg.jit(fg.grad(loss))(w, steps), want, rtol=1e-13)
    rows = fg.vmap(fg.grad(loss), (None, 0))(w, np.array([2, steps, 0]))
    np.testing.assert_allclose(rows[1], want, rtol=1e-13)
    each = fg.grad(lambda w: np.sum(fg.vmap(loss, (None, 0))(w, np.array([2, steps, 0]))))(w)
    np.testing.assert_allclose(each, rows.sum(0), rtol=1e-12)
    check_grads(fg.jit(lambda w: loss(w, np.array(steps))), (w,), 2)


def test_traced_values_that_come_in_on_the_way() -> None:
    """The initial value is known, but what is added to it is not."""
    run = lambda x: lax.while_loop(lambda c: c < 10, lambda c: c + x, 0.0)  # noqa: E731
    assert fg.jit(run)(3.0) == 12.0
    np.testing.assert_array_equal(fg.vmap(run)(np.array([1.0, 3.0, 20.0])), [10.0, 12.0, 20.0])
    assert fg.jvp(fg.jit(run), (3.0,), (1.0,)) == (12.0, 4.0)
    assert fg.jit(lambda x: lax.while_loop(lambda c: c < x, lambda c: c + 1, 0))(2.5) == 3


def test_value_that_changes_in_a_while_loop() -> None:
    for wrap in WRAPS.values():
        with pytest.raises(TypeError, match=r"carry\['a'\]: expected .*\(3,\)|carry\['a'\]: expected f64\[3\]"):
            wrap(lambda x: lax.while_loop(lambda s: s["a"][0] < 1, lambda s: {"a": s["a"][None]}, {"a": x}))(X)
    with pytest.raises(TypeError, match="the condition must be a scalar"):
        lax.while_loop(lambda x: x < 1, lambda x: x, X)


@pytest.mark.parametrize("wrap", WRAPS)
def test_fori_loop(wrap: str) -> None:
    run = WRAPS[wrap](lambda x: lax.fori_loop(1, 4, lambda i, c: np.sin(c) * i + x, x))
    want = X
    for i in range(1, 4):
        want = np.sin(want) * i + X
    np.testing.assert_allclose(run(X), want, rtol=1e-14)
    check_grads(run, (X,), 2)
    np.testing.assert_allclose(fg.vmap(run)(X), want, rtol=1e-14)
    assert lax.fori_loop(3, 1, lambda i, c: c + 1, 0) == 0
    assert fg.jit(lambda c: lax.fori_loop(3, 1, lambda i, c: c + 1, c))(0) == 0


def test_fori_loop_with_traced_bounds() -> None:
    run = lambda n, x: lax.fori_loop(0, n, lambda i, c: c * x + i, x)  # noqa: E731
    push = lambda n, x: fg.jvp(lambda x: run(n, x), (x,), (x,))[1]  # noqa: E731
    for n in (0, 1, 4):
        np.testing.assert_allclose(fg.jit(run)(n, X), run(n, X))
        np.testing.assert_allclose(fg.jit(push)(n, X), push(n, X))
    found = fg.vmap(run, (0, None))(np.array([0, 1, 4]), X)
    np.testing.assert_allclose(found, np.stack([run(n, X) for n in (0, 1, 4)]))
    assert fg.jit(lambda n, x: lax.fori_loop(n, 4, lambda i, c: c + i, x))(1, 0) == 6


def test_the_counter_is_a_python_integer_in_all_modes() -> None:
    f32 = X.astype(np.float32)
    run = lambda x, n=3: lax.fori_loop(0, n, lambda i, c: c * 0.5 + i, x)  # noqa: E731
    counts = np.array([3, 3, 3])
    for out in (run(f32), fg.jit(run)(f32), fg.jit(run)(f32, 3), fg.vmap(run)(f32), fg.vmap(run)(f32, counts)):
        assert out.dtype == np.float32
        np.testing.assert_array_equal(out, run(f32))
    assert fg.grad(lambda x: np.sum(lax.fori_loop(0, 3, lambda i, c: c + x[i], x)))(f32).dtype == np.float32


# ---------------------------------------------------------------------------------------------- associative_scan


@pytest.mark.parametrize("n", range(18))
def test_associative_scan(n: int, rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, n))
    for reverse in (False, True):
        flip = (lambda a, axis: np.flip(a, axis)) if reverse else (lambda a, axis: a)
        want = flip(np.cumsum(flip(x, 1), 1), 1)
        for axis in (1, -1):
            found = lax.associative_scan(np.add, x, reverse=reverse, axis=axis)
            np.testing.assert_allclose(found, want, rtol=1e-12, atol=1e-13)
        rows = fg.vmap(lambda r, reverse=reverse: lax.associative_scan(np.add, r, reverse=reverse))(x)
        np.testing.assert_allclose(rows, want, rtol=1e-12, atol=1e-13)

    def recurrence(a: Any, b: Any) -> Any:
        return lax.associative_scan(lambda p, q: (p[0] * q[0], q[0] * p[1] + q[1]), (a, b))[1]

    a, b = x
    out, total = [], 0.0
    for k in range(n):
        total = a[k] * total + b[k]
        out.append(total)
    for f in (recurrence, fg.jit(recurrence)):
        np.testing.assert_allclose(f(a, b), out, rtol=1e-11, atol=1e-12)
    if n in (1, 2, 5, 8):
        check_grads(recurrence, (a, b), 2)


def test_associative_scan_of_matrices_and_errors(rng: np.random.Generator) -> None:
    m = rng.normal(size=(5, 2, 2))
    want = np.stack([np.linalg.multi_dot(m[: k + 1]) if k else m[0] for k in range(5)])
    np.testing.assert_allclose(lax.associative_scan(np.matmul, m), want, rtol=1e-12)
    with pytest.raises(ValueError, match="differ in size along axis 0"):
        lax.associative_scan(lambda a, b: a, (m, m[:2]))


Y32: Any = np.array([1.0, 2.0], np.float32)
TIMED: dict[str, Any] = {  # a time or a counter beside arrays of float32
    "scan": lambda y: lax.scan(lambda c, _: ((c[0] + c[1] * c[0], c[1] + 0.1), c[1] * c[0]), (y, 0.0), None, length=3),
    "while": lambda y: lax.while_loop(lambda c: c[1] < 0.25, lambda c: (c[0] + c[1] * c[0], c[1] + 0.1), (y, 0.0)),
    "for": lambda y: lax.fori_loop(0, 3, lambda i, c: (c[0] * c[1], c[1] + i), (y, 1)),
}


@pytest.mark.parametrize("name", TIMED)
def test_a_python_scalar_that_stays_one_widens_nothing(name: str) -> None:
    loop = TIMED[name]
    want = loop(Y32)
    assert {x.dtype.name for x in fg.tree_util.tree_leaves(want) if x.shape} == {"float32"}
    rows = fg.vmap(loop, out_axes=0)(Y32[None])
    for got in (fg.jit(loop)(Y32), fg.vjp(loop, Y32)[0], fg.tree_util.tree_map(lambda x: x[0], rows)):
        for a, b in zip(fg.tree_util.tree_leaves(got), fg.tree_util.tree_leaves(want), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=1e-6)


def test_python_scalars_that_widen_nothing_are_numbers_of_numpy() -> None:
    with np.errstate(all="ignore"):
        powers = lax.scan(lambda c, _: (c * 3, None), 1, None, length=60)[0]
        assert powers == (3**60 + 2**63) % 2**64 - 2**63
        np.testing.assert_array_equal(lax.scan(lambda t, _: (t - 1, 1 / t), 1.0, None, length=2)[1], [1, np.inf])


@pytest.mark.parametrize(
    ("body", "start"),
    [
        (lambda c: c / 0.0, 1.0),
        (lambda c: 1 / (c - 1), 1),
        (lambda c: c % 0.0, 5.0),
        (lambda c: (-c) ** 0.5, 1.1),
        (lambda c: -c, -(2**63)),
        (lambda c: c // -1, -(2**63)),
        (lambda c: c * 1j, 1.0),
    ],
)
def test_the_first_step_of_a_loop_computes_as_the_others_do(body: Any, start: Any) -> None:
    for loop in (
        lambda x: lax.fori_loop(0, 2, lambda _, c: body(c), x),
        lambda x: lax.while_loop(lambda s: s[0] < 2, lambda s: (s[0] + 1, body(s[1])), (0, x))[1],
    ):
        with np.errstate(all="ignore"):
            want = fg.jit(loop)(start)
            got = loop(start)
        assert np.asarray(got).dtype == np.asarray(want).dtype
        np.testing.assert_array_equal(got, want)


def test_a_carry_that_changes_raises_also_with_python_scalars() -> None:
    for loop in (
        lambda: lax.fori_loop(0, 3, lambda i, c: (c[0] * np.float64(2), c[1] + 1), (Y32, 0)),
        lambda: lax.while_loop(lambda c: c[1] < 3, lambda c: (c[0] * np.float64(2), c[1] + 1), (Y32, 0)),
    ):
        with pytest.raises(TypeError, match="carry"):
            loop()
