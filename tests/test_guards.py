"""`jit` of functions that branch on values: the same results, one program for each way, bounds, and what composes."""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax, tree
from funcgrad.errors import (
    GuardError,
    GuardLimitWarning,
    ImpureFunctionError,
    ImpureFunctionWarning,
    TracerBoolConversionError,
    UnexpectedTracerError,
)

MANY = 10_000


class Counted:
    """A function that counts how often Python runs it."""

    def __init__(self, fun: Callable[..., Any]) -> None:
        self.fun, self.calls = fun, 0
        self.__name__ = fun.__name__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return self.fun(*args, **kwargs)


# ------------------------------------------------------------------------------------------- functions that people have


def collatz(n: Any) -> Any:
    steps = 0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return steps


def bisection(c: Any) -> Any:
    low, high = c * 0.0, c * 0.0 + 4.0
    while high - low > 0.2:
        middle = (low + high) / 2
        if middle * middle > c:
            high = middle
        else:
            low = middle
    return low + (high - low) * (c - low * low) / (high * high - low * low)


def newton(c: Any) -> Any:
    x = c * 0.5 + 0.5
    for _ in range(60):
        if abs(x * x - c) < 1e-10:
            break
        x = x - (x * x - c) / (2.0 * x)
    return x


def tree_of_decisions(x: Any) -> Any:
    if x[0] < 0.2:
        return np.sin(x[1]) if x[1] < 0.0 else np.cos(x[1]) * x[0]
    if x[2] > 0.5 and not x[1] > 0.3:
        return x[0] * x[1] * x[2]
    return np.sum(x * x) if x[0] > x[2] else np.exp(-x[0])


def early_exit(x: Any) -> Any:
    total = 0.0
    for i in range(len(x)):
        if x[i] < -1.0:
            return total - x[i]
        if x[i] > 1.5:
            continue
        total = total + x[i] * (i + 1.0)
        if total > 2.0:
            break
    else:
        return total * 2.0
    return total


def builtin_max(x: Any) -> Any:
    return max(x[0], x[1]) * min(x[1], x[2], x[3])


def sorted_scalars(x: Any) -> Any:
    a, b, c, d = sorted([x[0], x[1], x[2], x[3]])
    return a + 2.0 * b + 3.0 * c * d


def recursion(n: Any) -> Any:
    return n * 1.0 if n < 2 else recursion(n - 1) + recursion(n - 2) * 0.5


def recursive_power(x: Any) -> Any:
    """As deep as the value says."""
    return x * x if abs(x) > 2.0 else recursive_power(x * 1.5) + x


def counted(x: Any) -> Any:
    n = int(x[0])
    total = x[1]
    for i in range(n):
        total = total * x[1] + i
    return total + [1.0, 2.0, 3.0, 4.0][abs(n) % 4] * x[1]


def arrays(x: Any) -> Any:
    """Arrays that live across branches and are returned from several."""
    y = np.tanh(x)
    z = y[1:] * y[:-1]
    if np.sum(z) > 0:
        z = z + 1.0
    w = np.cumsum(z)
    if w[-1] > np.mean(y):
        return {"w": w, "y": y, "v": y[::2]}
    return {"w": z * 2.0, "y": y + x, "v": x[::2]}


Inputs = Callable[[np.random.Generator], Any]
CASES: dict[str, tuple[Callable[[Any], Any], Inputs]] = {
    "collatz": (collatz, lambda r: int(r.integers(1, 60))),
    "collatz, int32": (collatz, lambda r: r.integers(1, 40, dtype=np.int32)),
    "bisection": (bisection, lambda r: r.uniform(0.1, 9.0)),
    "newton": (newton, lambda r: np.float64(r.uniform(0.01, 50.0))),
    "decision tree": (tree_of_decisions, lambda r: r.uniform(-1, 1, 3)),
    "early exit": (early_exit, lambda r: r.normal(size=3)),
    "max": (builtin_max, lambda r: r.normal(size=4)),
    "sorted": (sorted_scalars, lambda r: r.normal(size=4)),
    "recursion": (recursion, lambda r: int(r.integers(0, 9))),
    "recursive power": (recursive_power, lambda r: float(r.uniform(0.01, 3.0))),
    "range and int": (counted, lambda r: r.uniform(0, 6, 2)),
    "arrays": (arrays, lambda r: r.normal(size=5)),
}


def same(found: Any, want: Any, exact: bool = True) -> None:
    a, structure = tree.flatten(found)
    b, wanted = tree.flatten(want)
    assert structure == wanted
    for x, y in zip(a, b, strict=True):
        assert np.shape(x) == np.shape(y) and np.asarray(x).dtype == np.asarray(y).dtype
        if exact:
            assert np.array_equal(x, y), (x, y)
        else:
            np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", CASES)
def test_jitted_equals_eager(name: str, rng: np.random.Generator) -> None:
    f, draw = CASES[name]
    f = Counted(f) if f not in (recursion, recursive_power) else f
    g = fg.jit(f)
    for i in range(MANY):
        x = draw(rng)
        same(g(x), f.fun(x) if isinstance(f, Counted) else f(x), name not in ("decision tree", "arrays"))
        if i == MANY // 2 and isinstance(f, Counted):
            calls = f.calls
    if isinstance(f, Counted):
        assert f.calls - calls <= 150  # nearly all calls are compiled


@pytest.mark.parametrize("name", [n for n in CASES if not n.startswith("collatz") and n != "recursion"])
def test_gradients_follow_the_branch(name: str, rng: np.random.Generator) -> None:
    f, draw = CASES[name]

    def scalar(x: Any) -> Any:
        return sum(np.sum(leaf * leaf) for leaf in tree.leaves(f(x)))

    want = fg.grad(scalar)
    inside, outside = fg.grad(fg.jit(scalar)), fg.jit(fg.grad(scalar))
    with_value = fg.jit(fg.value_and_grad(fg.jit(scalar)))
    for i in range(300):
        x = draw(rng)
        expected = want(x)
        same(inside(x), expected, False)
        same(outside(x), expected, False)
        same(with_value(x), (scalar(x), expected), False)
        if i < 20:
            y, pullback = fg.vjp(fg.jit(scalar), x)
            same(pullback(y * 0.0 + 1.0)[0], expected, False)


def test_what_composes() -> None:
    def f(x: Any) -> Any:
        s = x
        while np.abs(s) > 0.5:
            s = np.sin(s) * 0.9
        return s * s

    g, want = fg.jit(f), fg.grad(f)(2.0)
    same(fg.jvp(g, (2.0,), (1.0,)), fg.jvp(f, (2.0,), (1.0,)))
    same(fg.linearize(g, 2.0)[1](1.0), want, False)
    same(fg.jit(lambda x: fg.jvp(f, (x,), (1.0,))[1])(2.0), want, False)
    same(fg.grad(fg.checkpoint(g))(2.0), want, False)
    same(fg.grad(fg.checkpoint(f))(2.0), want, False)
    assert fg.checkpoint(f)(2.0) == f(2.0)
    same(fg.jit(lambda x: g(x) + 1.0)(2.0), f(2.0) + 1.0)
    same(fg.jit(fg.jit(g))(2.0), f(2.0))
    same(fg.grad(fg.grad(g))(2.0), fg.grad(fg.grad(f))(2.0), False)
    same(fg.jit(fg.grad(fg.grad(f)))(2.0), fg.grad(fg.grad(f))(2.0), False)
    # What is the same for all examples may be asked for.
    mapped = fg.vmap(fg.jit(lambda x, n: x * n if n > 0 else -x), in_axes=(0, None))
    same(mapped(np.arange(3.0), 2), np.arange(3.0) * 2)


@fg.custom_jvp
def slope(x: Any) -> Any:
    return x * 2.0 if x > 0 else -x


slope.defjvp(lambda primals, tangents: (slope(*primals), 10.0 * tangents[0]))


@fg.custom_vjp
def pulled(x: Any) -> Any:
    return x * 2.0 if x > 0 else -x


pulled.defvjp(lambda x: (pulled(x), x), lambda x, ct: (ct * 3.0 if x > 0 else ct * 4.0,))


@pytest.mark.parametrize("custom", [slope, pulled])
def test_functions_with_rules_branch_too(custom: Callable[[Any], Any]) -> None:
    for f in (custom, lambda x: custom(x * 2.0) + (1.0 if x < 5 else x)):
        value, inside, outside = fg.jit(f), fg.grad(fg.jit(f)), fg.jit(fg.grad(f))
        for x in (1.0, -1.0, 2.0, 7.0, -2.0, -3.0, 8.0):
            assert value(x) == f(x)
            assert inside(x) == outside(x) == fg.grad(f)(x)


def test_functions_that_call_each_other() -> None:
    @fg.jit
    def even(n: Any) -> Any:
        return True if n == 0 else odd(n - 1)

    @fg.jit
    def odd(n: Any) -> Any:
        return False if n == 0 else even(n - 1)

    for n in (4, 3, 4, 3, 5):
        assert even(n) is (n % 2 == 0)


def test_many_values_at_once_have_no_branch() -> None:
    g = fg.jit(lambda x: x if x > 0 else -x)
    g(1.0)
    for use in (
        lambda: fg.vmap(g)(np.ones(3)),
        lambda: fg.jit(fg.vmap(g))(np.ones(3)),
        lambda: fg.jit(lambda xs: lax.scan(lambda c, x: (c + g(x), None), 0.0, xs))(np.ones(3)),
        lambda: fg.make_ir(g)(1.0),
        lambda: fg.eval_shape(g, 1.0),
        lambda: fg.jit(lambda x: x if x > 0 else -x, guards=False)(1.0),
    ):
        with pytest.raises(TracerBoolConversionError, match=r"lax\.cond"):
            use()


def test_functions_without_branches_are_recorded_abstractly() -> None:
    f = Counted(lambda x: lax.cond(x > 0, np.sin, np.cos, x))
    g = fg.jit(f)
    assert [g(x) for x in (1.0, -1.0)] == [np.sin(1.0), np.cos(-1.0)] and f.calls == 1
    assert "no branch" in g.explain()  # type: ignore[attr-defined]


def test_operations_on_values_stay_operations() -> None:
    """`cond` and `while_loop` are no ways of their own, also in a function that branches elsewhere."""

    def f(x: Any) -> Any:
        y = lax.cond(x > 3.0, np.sin, np.cos, x)
        y = lax.while_loop(lambda c: c < 10.0, lambda c: c + 1.0, y)
        return y if x > 0 else -y

    g = fg.jit(f)
    for x in (1.0, 4.0, 2.0, 5.0, -3.0, -1.0) * 3:
        assert g(x) == f(x)
    assert "2 ways" in g.explain()  # type: ignore[attr-defined]


def test_every_way_of_asking() -> None:
    functions: dict[str, Callable[[Any], Any]] = {
        "bool": lambda x: x + 1.0 if bool(x[0] > 0) else x,
        "int": lambda x: x * int(x[0]),
        "float": lambda x: x * float(np.floor(x[0])),
        "complex": lambda x: x * complex(np.floor(x[0])),
        "item": lambda x: x * np.floor(x[0]).item(),
        "tolist": lambda x: x * np.sign(x).tolist()[1],
        "index": lambda x: x[np.argmax(x)] * [1.0, 2.0, 3.0][np.argmin(x)],
        "range": lambda x: sum(x[0] * i for i in range(np.argmax(x) + 1)),
        "in": lambda x: x if 2.0 in np.floor(x) else -x,
        "mask": lambda x: np.sum(x[x > 0]),
        "floor": lambda x: x * math.floor(x[0]) + round(x[1]) + math.trunc(x[2]) + math.ceil(x[0]),
        "list": lambda x: np.sum(x) * len([0 for _ in range(np.argmax(x))]),
    }
    values = [np.array([a, b, -a]) for a in (2.5, -0.5) for b in (1.5, -1.5)]
    for name, f in functions.items():
        g = fg.jit(f)
        with warnings.catch_warnings():
            warnings.simplefilter("error" if name not in ("mask", "tolist", "complex") else "ignore")
            for x in values * 4:
                same(g(x), f(x))


def test_floats_are_told_apart_by_their_bits() -> None:
    f = lambda x: np.copysign(1.0, float(x))  # noqa: E731
    g = fg.jit(f)
    for x in (0.0, -0.0) * 3:
        assert g(x) == f(x)
    h = fg.jit(lambda x: 1.0 if math.isnan(float(x)) else 2.0)
    assert [h(x) for x in (math.nan, 1.0, math.nan, 1.0)] == [1.0, 2.0, 1.0, 2.0]


def test_formatting_asks_for_nothing() -> None:
    texts: list[str] = []

    def f(x: Any) -> Any:
        texts.append(f"{x} {x:.2f} {x!r}")
        return x if x > 0 else -x

    g = fg.jit(f)
    for x in (1.0, 2.0, 3.0, 4.0):
        assert g(x) == x
    assert all("Traced" in t and "1.0" not in t for t in texts)


# --------------------------------------------------------------------------------------------------------------- bounds


def test_too_many_ways() -> None:
    def f(x: Any) -> Any:
        return x * int(x)  # this line

    g = fg.jit(f)
    fg.config.guard_leaves = 5
    with pytest.warns(
        GuardLimitWarning, match=r"more than 5 ways(.|\n)*test_guards.py:(.|\n)*lax.while_loop"
    ) as caught:
        for i in range(40):
            assert g(float(i)) == float(i) * i
    assert len(caught) == 1 and caught[0].filename == __file__
    assert caught[0].lineno == f.__code__.co_firstlineno + 1
    assert "run without jit" in g.explain()  # type: ignore[attr-defined]
    assert fg.grad(g)(3.0) == 3.0


def test_too_long_a_way() -> None:
    def f(n: Any) -> Any:
        while n > 0:
            n = n - 1
        return n

    g = fg.jit(f)
    fg.config.guard_length = 50
    assert g(3) == 0
    with pytest.warns(GuardLimitWarning, match="more than 50 operations"):
        assert g(1000) == 0
    assert g(1000) == 0 and g(2) == 0


def test_floats_that_are_always_others() -> None:
    f = Counted(lambda x: np.sin(float(x)))
    g = fg.jit(f)
    with pytest.warns(GuardLimitWarning, match="a float that is another at each call"):
        for i in range(10):
            assert g(0.1 * i) == np.sin(0.1 * i)
    assert f.calls == 11  # once abstractly


def test_a_function_that_is_not_pure() -> None:
    state = [0]

    def f(x: Any) -> Any:
        state[0] += 1
        return x * state[0] if x > 0 else np.where(x > -5.0, x, 0.0)

    g = fg.jit(f)
    g(1.0)
    with pytest.warns(ImpureFunctionWarning, match="not pure(.|\n)*another than before"):
        g(-1.0)  # aligned so far
        for _ in range(3):
            fg.jit(f)
        h = fg.jit(lambda x: (x + state[0], f(x))[1])
        h(1.0)
        h(-1.0)


def test_purity_is_checked_on_demand() -> None:
    scale = np.ones(3)
    count = [0]

    def closes_over(x: Any) -> Any:
        return x * scale

    def branches(x: Any) -> Any:
        return x * scale if x[0] > 0 else x

    def counts(x: Any) -> Any:
        count[0] += 1
        return x * count[0]

    fg.config.check_purity = True
    for f in (closes_over, branches):
        g = fg.jit(f)
        g(scale), g(scale)
        scale[1] += 1.0
        with pytest.raises(ImpureFunctionError, match=rf"scale(.|\n)*test_guards.py:\d+ \({f.__name__}\)"):
            g(np.ones(3))
    g = fg.jit(counts)
    with pytest.raises(ImpureFunctionError, match="a value that is another"):
        g(scale)
        g(scale)
    fg.config.check_purity = False
    same(g(np.ones(3)), np.ones(3))  # as it was first recorded


# ---------------------------------------------------------------------------------------------- errors, threads, memory


def test_an_exception_leaves_the_tree_intact() -> None:
    def f(x: Any) -> Any:
        if x < 0:
            raise ValueError("negative")
        return 1.0 / x if x < 10 else np.sqrt(x)

    g = fg.jit(f)
    for x in (1.0, -1.0, 2.0, -1.0, 20.0, 3.0, -2.0, 30.0, 2.0):
        if x < 0:
            with pytest.raises(ValueError, match="negative"):
                g(x)
        else:
            assert g(x) == f(x)
    with pytest.raises(ZeroDivisionError):
        g(0.0)
    assert g(4.0) == 0.25 and "2 ways" in g.explain()  # type: ignore[attr-defined]
    solve = fg.jit(lambda a: np.linalg.inv(a) if a[0, 0] > -1 else a)
    for _ in range(3):
        same(solve(np.eye(2)), np.eye(2))
        with pytest.raises(np.linalg.LinAlgError, match="test_guards"):
            solve(np.zeros((2, 2)))


def test_threads_on_different_ways() -> None:
    g = fg.jit(arrays)
    inputs = [np.random.default_rng(i).normal(size=5) * 3 for i in range(16)]
    wants = [arrays(x) for x in inputs]
    barrier, wrong = threading.Barrier(8), []

    def work(k: int) -> None:
        barrier.wait()
        for i in range(300):
            j = (i * (k + 1)) % 16
            try:
                same(g(inputs[j]), wants[j])
            except BaseException as error:
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong, wrong[0]


def test_results_are_nobody_elses() -> None:
    g = fg.jit(lambda x: (x, x[::2], np.tanh(x), x) if x[0] > 0 else (x + 1.0, x, x.T, x * 1))
    for sign in (1.0, -1.0, 1.0, -1.0, 1.0, -1.0):
        x = np.arange(1.0, 5.0) * sign
        outs = [*g(x), x]
        for i, a in enumerate(outs):
            assert a.flags.writeable and not any(np.may_share_memory(a, b) for b in outs[:i])


def test_tracers_that_escape() -> None:
    kept: list[Any] = []
    g = fg.jit(lambda x: (kept.append(x), x if x > 0 else -x)[1])
    g(1.0)
    for t in kept:
        with pytest.raises((UnexpectedTracerError, TracerBoolConversionError)):
            bool(t)


def test_static_arguments_and_structures() -> None:
    g = fg.jit(lambda x, n, scale=1.0: x * n * scale if x["a"] > 0 else n, static_argnums=1)
    f = lambda x, n, scale=1.0: {"r": x["a"] * n * scale} if x["a"] > 0 else [n, x]  # noqa: E731
    g = fg.jit(f, static_argnums=1)
    for _ in range(3):
        for a in (1.0, -1.0):
            for n in (1, 2):
                same(g({"a": a}, n), f({"a": a}, n))
                same(g({"a": a}, n, scale=3.0), f({"a": a}, n, scale=3.0))


def test_explain_and_lower() -> None:
    g = fg.jit(early_exit)
    xs = [np.array([0.1, 0.2, 0.3]), np.array([-2.0, 0.0, 0.0])]
    for x in xs * 3:
        g(x)
    text = g.explain()  # type: ignore[attr-defined]
    assert "2 ways, 6 runs" in text and "bool(x) at test_guards.py:" in text and "3 runs" in text
    lowered = g.lower(xs[1])  # type: ignore[attr-defined]
    assert "guard[" in lowered.ir() and "guard" in lowered.optimized_ir()
    program = fg.jit(early_exit).lower(xs[0])._program  # type: ignore[attr-defined]
    same(program(xs[0])[0], early_exit(xs[0]))
    with pytest.raises(GuardError, match="recorded where"):
        program(xs[1])


# ---------------------------------------------------------------------------------------------------------------- debug


def test_prints_run_at_each_call(capsys: pytest.CaptureFixture[str]) -> None:
    def f(x: Any) -> Any:
        fg.debug.print("start")
        fg.debug.print("x = {} {tag}", x, tag="t")
        if x > 0:
            fg.debug.print("positive {:.1f}", x)
            return x * x
        return -x

    def printed(call: Callable[[], Any]) -> str:
        capsys.readouterr()
        call()
        return capsys.readouterr().out.replace("\n", "|")

    g = fg.jit(f)
    positive, negative = "start|x = 2.0 t|positive 2.0|", "start|x = -2.0 t|"
    for _ in range(4):
        assert printed(lambda: g(2.0)) == positive
        assert printed(lambda: g(-2.0)) == negative
    for use in (fg.grad(f), fg.grad(g), fg.jit(fg.grad(f)), lambda x: fg.jvp(g, (x,), (1.0,))):
        for _ in range(2):
            assert printed(lambda u=use: u(2.0)) == positive


def test_prints_in_loops_and_batches(capsys: pytest.CaptureFixture[str]) -> None:
    def f(xs: Any) -> Any:
        def step(c: Any, x: Any) -> Any:
            fg.debug.print("{} {}", c, x)
            fg.debug.print("step")
            return c + x, None

        lax.cond(xs[0] > 0, lambda: fg.debug.print("yes"), lambda: fg.debug.print("no"))
        return lax.scan(step, 0.0, xs)[0]

    xs = np.array([1.0, 2.0])
    for use in (f, fg.jit(f), fg.jit(fg.grad(f))):
        for _ in range(2):
            use(xs)
            assert capsys.readouterr().out == "yes\n0.0 1.0\nstep\n1.0 2.0\nstep\n"
    fg.jit(fg.vmap(lambda x: (fg.debug.print("{}", x), x)[1]))(xs)
    assert capsys.readouterr().out == "1.0\n2.0\n"


def test_callbacks() -> None:
    seen: list[Any] = []
    f = fg.jit(lambda p: (fg.debug.callback(lambda q, name: seen.append((q, name)), p, "n"), p["x"] * 2)[1])
    for i in range(3):
        f({"x": np.arange(2.0) + i})
    assert [s[0]["x"].tolist() for s in seen] == [[0, 1], [1, 2], [2, 3]] and seen[0][1] == "n"
