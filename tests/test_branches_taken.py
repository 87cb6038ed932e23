"""Under `vmap`, branches and bodies of loops only see operands of examples that take them.

Each function of the tables is defined in a region only: outside it raises, warns (warnings are errors here), gives NaN
or never ends. A batch of them is what a loop of plain calls gives, in every composition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from branch_checks import TABLE, A, Fun, along, close, loop, total

import funcgrad as fg
from funcgrad import lax


def _logsumexp(x: Any) -> Any:
    return np.log(np.sum(np.exp(x - x[0]))) + x[0]


EYE, ONE = np.eye(2), np.array([[1.0, 1.0], [1.0, 1.0]])
MATRICES = A(EYE, 0 * EYE, A([2.0, 1.0], [1.0, 3.0]), ONE)
CASES: dict[str, tuple[Fun, Fun, Fun, np.ndarray]] = {
    # region, function there, function elsewhere, examples
    "log": (lambda x: x > 0, np.log, lambda x: x * 3.0, A(0.0, 2.0, -1.0, 0.5)),
    "sqrt": (lambda x: x > 0, np.sqrt, np.square, A(0.0, 2.0, -1.0)),
    "power": (lambda x: x > 0, lambda x: x**-0.5, lambda x: -x, A(4.0, 0.0, -1.0)),
    "reciprocal": (lambda x: x != 0, lambda x: 1 / x, lambda x: 2.0 * x, A(0.0, 0.0, 3.0)),
    "arcsin": (lambda x: abs(x) < 1, np.arcsin, np.sign, A(1.0, -0.3, 7.0)),
    "arccosh": (lambda x: x > 1, np.arccosh, np.zeros_like, A(1.0, 3.0)),
    "overflow": (lambda x: x < 9, np.exp, lambda x: x, A(1e4, 1.0, 1e300)),
    "square of large": (lambda x: abs(x) < 9, lambda x: x * x * 0.5, lambda x: abs(x), A(1e200, 1.0, -np.inf)),
    "sinc": (lambda x: x != 0, lambda x: np.sin(x) / x, lambda x: 1 - x * x / 6, A(0.0, 1.0)),
    "arctan2": (lambda x: np.any(x != 0), lambda x: np.arctan2(x[0], x[1]), lambda x: x[0], A([0.0, 0.0], [1.0, 2.0])),
    "norm": (lambda x: np.any(x != 0), lambda x: x / np.linalg.norm(x), lambda x: x, A([0.0, 0.0], [3.0, 4.0])),
    "logsumexp": (
        lambda x: np.isfinite(x[0]), _logsumexp, lambda x: x[1] * 2.0, A([-np.inf, 1.0], [0.5, 2.0], [np.inf, 3.0])
    ),
    "inv": (lambda a: abs(np.linalg.det(a)) > 0.1, np.linalg.inv, np.zeros_like, MATRICES),
    "cholesky": (lambda a: a[0, 0] * a[1, 1] > 1.5 * a[0, 1], np.linalg.cholesky, lambda a: a * 2.0, MATRICES),
    "solve": (
        lambda a: np.all(a[0] != a[1]), lambda a: np.linalg.solve(a, A(1.0, 2.0)), lambda a: a[0], MATRICES
    ),
    "slogdet": (
        lambda a: np.all(a[0] != a[1]), lambda a: np.linalg.slogdet(a)[1], lambda a: a[0, 0], MATRICES
    ),
    "lookup": (
        lambda x: abs(x) < 1.4,
        lambda x: x * fg.at(TABLE)[np.floor(x + 1.5).astype(int)].get(),
        lambda x: x,
        A(0.0, 9.0, -7.0, -1.2),
    ),
}  # fmt: skip


def example(name: str) -> tuple[Fun, np.ndarray]:
    region, inside, outside, xs = CASES[name]
    return lambda x: lax.cond(region(x), inside, outside, x), xs


def nobody(name: str) -> tuple[Fun, np.ndarray]:
    """The same with those examples alone that are outside."""
    f, xs = example(name)
    return f, np.stack([x for x in xs if not CASES[name][0](x)])


BATCHES: dict[str, Callable[[Fun], Fun]] = {
    "vmap": fg.vmap,
    "jit of vmap": lambda f: fg.jit(fg.vmap(f)),
    "vmap of jit": lambda f: fg.vmap(fg.jit(f)),
    "vmap of checkpoint": lambda f: fg.vmap(fg.checkpoint(f)),
    "nested": lambda f: lambda x: fg.vmap(fg.vmap(f))(np.stack([x, x[::-1]]))[1][::-1],
    "over another axis": lambda f: lambda x: fg.vmap(lambda k: fg.vmap(f)(x) * k)(A(2.0, 1.0))[1],
}
GRADIENTS: dict[str, Callable[[Fun], Fun]] = {
    "vmap of grad": lambda f: fg.vmap(fg.grad(total(f))),
    "jit of vmap of grad": lambda f: fg.jit(fg.vmap(fg.grad(total(f)))),
    "vmap of jit of grad": lambda f: fg.vmap(fg.jit(fg.grad(total(f)))),
    "vmap of grad of jit": lambda f: fg.vmap(fg.grad(total(fg.jit(f)))),
    "grad of vmap": lambda f: fg.grad(total(fg.vmap(f))),
    "jit of grad of vmap": lambda f: fg.jit(fg.grad(total(fg.vmap(f)))),
    "grad of jit of vmap": lambda f: fg.grad(total(fg.jit(fg.vmap(f)))),
    "grad of checkpoint of vmap": lambda f: fg.grad(total(fg.checkpoint(fg.vmap(f)))),
    "grad of nested": lambda f: lambda x: fg.grad(total(fg.vmap(fg.vmap(f))))(np.stack([x, x[::-1]]))[0],
}
TANGENTS: dict[str, Callable[[Fun], Fun]] = {
    "vmap of jvp": lambda f: fg.vmap(along(f)),
    "jvp of vmap": lambda f: along(fg.vmap(f)),
    "jit of jvp of vmap": lambda f: fg.jit(along(fg.vmap(f))),
    "vmap of jvp of jit": lambda f: fg.vmap(along(fg.jit(f))),
    "linearize": lambda f: lambda x: fg.linearize(fg.vmap(f), x)[1](np.ones_like(x)),
}
SECOND: dict[str, Callable[[Fun], Fun]] = {
    "forward over reverse": lambda f: along(fg.grad(total(fg.vmap(f)))),
    "reverse over reverse": lambda f: fg.grad(total(fg.grad(total(fg.vmap(f))))),
    "reverse over forward": lambda f: fg.grad(total(along(fg.vmap(f)))),
    "of each": lambda f: fg.vmap(fg.grad(total(fg.grad(total(f))))),
    "jit": lambda f: fg.jit(fg.grad(total(fg.grad(total(fg.vmap(f)))))),
}


@pytest.mark.parametrize("name", CASES)
def test_values(name: str) -> None:
    for f, xs in (example(name), nobody(name)):
        want = loop(f, xs)
        for what, batch in BATCHES.items():
            close(batch(f)(xs), want, what)


@pytest.mark.parametrize("name", CASES)
def test_gradients(name: str) -> None:
    f, xs = example(name)
    want = loop(fg.grad(total(f)), xs)
    assert np.all(np.isfinite(want))
    for what, gradient in GRADIENTS.items():
        close(gradient(f)(xs), want, what)
    f, xs = nobody(name)
    close(fg.grad(total(fg.vmap(f)))(xs), loop(fg.grad(total(f)), xs), "nobody")


@pytest.mark.parametrize("name", CASES)
def test_tangents_and_second_derivatives(name: str) -> None:
    f, xs = example(name)
    want = loop(along(f), xs)
    for what, tangent in TANGENTS.items():
        close(tangent(f)(xs), want, what)
    want = loop(fg.grad(total(fg.grad(total(f)))), xs)
    for what, second in SECOND.items():
        close(second(f)(xs), want, what)


def test_a_selection_alone_would_not_do() -> None:
    """The table has what `np.where` gets wrong."""
    wrong = 0
    for name, (region, inside, outside, xs) in CASES.items():
        if xs.ndim == 1 and name != "lookup":
            f = lambda x, r=region, i=inside, o=outside: np.where(r(x), i(x), o(x))  # noqa: E731
            with np.errstate(all="ignore"):
                wrong += not np.all(np.isfinite(fg.vmap(fg.grad(f))(xs)))
    assert wrong >= 6


# ------------------------------------------------------------------------------------------------------------ loops


def _sum_of_table(n: Any) -> Any:
    """Reads past the end of the table as soon as it takes a step too many."""
    return lax.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, s[1] + fg.at(TABLE)[s[0]].get()), (0, 0.0))[1]


def _down(x: Any) -> Any:
    """Takes roots as long as there are some; ends at a number that has none."""
    return lax.while_loop(lambda x: x > 0, lambda x: np.sqrt(x) - 0.9, x)


def _factored(a: Any) -> Any:
    """Shrinks a matrix as long as it has an inverse."""
    shrink = lambda a: np.linalg.inv(np.linalg.inv(a)) - np.eye(2) * 0.5  # noqa: E731
    return lax.while_loop(lambda a: np.linalg.det(a) > 0.3, shrink, a)


def _collatz(n: Any) -> Any:
    def body(s: Any) -> Any:
        n, count = s
        return lax.cond(n % 2 == 0, lambda n: n // 2, lambda n: 3 * n + 1, n), count + 1

    return lax.while_loop(lambda s: s[0] != 1, body, (n, 0))[1]


def _nested(n: Any, x: Any) -> Any:
    """A loop in a loop: each reads a table to its end, and no further."""

    def outer(s: Any) -> Any:
        i, y, x = s
        inner = lambda t: (t[0] + 1, t[1] * fg.at(TABLE)[t[0]].get() + np.log(x))  # noqa: E731
        return i + 1, lax.while_loop(lambda t: t[0] <= i, inner, (0, y))[1] + fg.at(TABLE)[i].get(), x

    return lax.while_loop(lambda s: s[0] < n, outer, (0, x, x))[1]


LOOPS: dict[str, tuple[Fun, tuple[np.ndarray, ...]]] = {
    "table": (_sum_of_table, (A(1, 3, 0, 2),)),
    "root": (_down, (A(5.0, -1.0, 0.3, 0.0),)),
    "inverse": (_factored, (A(4 * EYE, 0 * EYE, 0.6 * EYE, 2 * EYE),)),
    "collatz": (_collatz, (A(1, 6, 27, 2),)),
    "loop in loop": (_nested, (A(1, 3, 0, 2), A(2.0, 0.5, -1.0, 3.0))),
    "for": (
        lambda n, x: lax.fori_loop(0, n, lambda i, s: (s[0] * fg.at(TABLE)[i].get() + np.log(s[1]), s[1]), (x, x))[0],
        (A(1, 3, 0, 2), A(2.0, 0.5, -1.0, 3.0)),
    ),
    "for from and to": (
        lambda a, b: lax.fori_loop(a, b, lambda i, s: s + fg.at(TABLE)[i].get(), 0.0),
        (A(0, 7, 1, -9), A(3, 5, 2, -9)),
    ),
    "in a branch": (
        # Without end outside of the branch.
        lambda n: lax.cond(n > 0, lambda n: lax.while_loop(lambda k: k != 0, lambda k: k - 1, n), lambda n: n, n),
        (A(-3, 4, -1, 2),),
    ),
    "in a scan": (
        lambda n, x: lax.scan(lambda c, t: (c + t * _nested(n, x), _down(c)), x, TABLE)[1].sum(),
        (A(1, 3, 0), A(2.0, 0.5, -1.0)),
    ),
    "integer condition": (lambda n: lax.while_loop(lambda n: n, lambda n: n - 1, n), (A(3, 0, 5),)),
}


@pytest.mark.parametrize("name", LOOPS)
def test_loops(name: str) -> None:
    f, args = LOOPS[name]
    want = loop(f, *args)
    for batch in (fg.vmap(f), fg.jit(fg.vmap(f)), fg.vmap(fg.jit(f))):
        close(batch(*args), want, "value")
    close(fg.vmap(fg.vmap(f))(*(np.stack([a, a[::-1]]) for a in args)), np.stack([want, want[::-1]]), "nested")
    at = len(args) - 1
    if args[at].dtype.kind == "f":
        grad = fg.grad(total(f), at)
        want = loop(grad, *args)
        for batch in (fg.vmap(grad), fg.jit(fg.vmap(grad))):
            close(batch(*args), want, "gradients")
        for whole in (fg.grad(total(fg.vmap(f)), at), fg.jit(fg.grad(total(fg.vmap(f)), at))):
            close(whole(*args), want, "gradient")
        *fixed, x = args
        close(
            along(lambda x: fg.vmap(f)(*fixed, x))(x), loop(lambda *a: along(lambda x: f(*a[:-1], x))(a[-1]), *args), ""
        )


def test_a_loop_without_running_examples_ends() -> None:
    """Also where it is run for nobody: the outer loop is over for those that would run the inner one forever."""

    def f(n: Any, m: Any) -> Any:
        body = lambda s: (s[0] - 1, lax.while_loop(lambda k: k != 0, lambda k: k - 1, m))  # noqa: E731
        return lax.while_loop(lambda s: s[0] > 0, body, (n, m))[1]

    n, m = A(0, 2, 0), A(-1, 3, -5)
    for batch in (fg.vmap(f), fg.jit(fg.vmap(f))):
        np.testing.assert_array_equal(batch(n, m), [-1, 0, -5])
        np.testing.assert_array_equal(batch(0 * n, m), m)


# --------------------------------------------------------------------------------------------- branches of any kind


def _piece(k: int) -> Fun:
    """A function that is defined between k and k + 1 only."""
    return lambda x: np.sqrt(x - k) * np.log(k + 1 - x) + fg.at(A(1.0, 2.0))[np.floor(x - k).astype(int)].get() * x


def test_switch_with_many_branches() -> None:
    f = lambda x: lax.switch(np.floor(x).astype(int), [_piece(k) for k in range(12)], x)  # noqa: E731
    xs = A(3.2, 0.5, 11.7, 3.9, 7.1)
    for batch in (fg.vmap(f), fg.jit(fg.vmap(f))):
        close(batch(xs), loop(f, xs), "value")
    want = loop(fg.grad(f), xs)
    for gradient in (fg.vmap(fg.grad(f)), fg.jit(fg.vmap(fg.grad(f))), fg.grad(total(fg.vmap(f)))):
        close(gradient(xs), want, "gradient")


def test_branches_in_branches() -> None:
    def f(x: Any, w: Any) -> Any:
        inner = lambda x: lax.cond(x > 1, lambda x: np.log(x - 1) * w, lambda x: np.sqrt(x), x)  # noqa: E731
        return lax.cond(
            x > 0, inner, lambda x: lax.cond(x < -1, lambda x: np.sqrt(-x - 1) + w, lambda x: 1 / (x - 2), x), x
        )

    xs = A(0.5, 3.0, -2.0, -0.5, 1.5)
    want, slope = loop(lambda x: f(x, 2.0), xs), sum(fg.grad(f, 1)(x, 2.0) for x in xs)
    for batch in (fg.vmap(f, (0, None)), fg.jit(fg.vmap(f, (0, None)))):
        close(batch(xs, 2.0), want, "value")
        close(fg.grad(total(batch), 1)(xs, 2.0), slope, "gradient by what all share")
        close(fg.grad(total(batch))(xs, 2.0), loop(lambda x: fg.grad(f)(x, 2.0), xs), "gradient")
        for one in xs:
            close(batch(np.full(3, one), 2.0), np.full(3, f(one, 2.0)), "all the same way")


def test_predicates_of_one_axis_of_two() -> None:
    f = lambda p, x: lax.cond(p, np.log, lambda x: x * 3.0, x)  # noqa: E731
    p, x = A(True, False), A([1.0, 2.0], [-1.0, 0.0])
    want = A([0.0, np.log(2)], [-3.0, 0.0])
    for wrap in (lambda f: f, fg.jit):
        close(wrap(fg.vmap(fg.vmap(f, (None, 0))))(p, x), want, "outer")
        close(wrap(fg.vmap(fg.vmap(f), (None, 0)))(p, x.T), want.T, "inner")
        close(wrap(fg.vmap(fg.vmap(f), (0, 0)))(np.stack([p, p]), np.stack([x[:, 0], x[:, 1]])), want.T, "both")
        close(wrap(fg.grad(total(fg.vmap(fg.vmap(f, (None, 0)))), 1))(p, x), A([1.0, 0.5], [3.0, 3.0]), "gradient")


def test_operands_that_all_examples_share() -> None:
    """A branch reads them only if somebody takes it; one that does not differ between examples is run once."""
    f = lambda p, x: lax.cond(p, np.linalg.inv, np.zeros_like, x)  # noqa: E731
    singular = np.zeros((2, 2))
    for batch in (fg.vmap(f, (0, None)), fg.jit(fg.vmap(f, (0, None)))):
        np.testing.assert_array_equal(batch(A(False, False), singular), np.zeros((2, 2, 2)))
        np.testing.assert_array_equal(batch(A(False, True), EYE), [0 * EYE, EYE])
        with pytest.raises(np.linalg.LinAlgError, match="Singular"):
            batch(A(False, True), singular)


def test_several_results_and_kinds_of_numbers() -> None:
    def f(p: Any, x: Any) -> Any:
        yes = lambda x: {"r": np.log(x["r"]), "n": x["n"] // x["d"], "z": 1 / x["z"], "b": x["n"] > 1}  # noqa: E731
        no = lambda x: {"r": x["r"], "n": x["d"], "z": x["z"] * 2, "b": x["n"] < 1}  # noqa: E731
        return lax.cond(p, yes, no, x)

    p = A(False, True, False)
    x = {"r": np.array([0, 1, -1], np.float32), "n": A(1, 7, 3), "d": A(0, 2, 0), "z": A(0j, 1j, 0j)}
    want = {"r": [0, 0, -1], "n": [0, 3, 0], "z": [0, -1j, 0], "b": [False, True, False]}
    for batch in (fg.vmap(f), fg.jit(fg.vmap(f))):
        found = batch(p, x)
        for k, y in want.items():
            np.testing.assert_array_equal(found[k], y)
        assert found["r"].dtype == np.float32 and found["z"].dtype == complex


def test_a_number_for_each_example_keeps_the_dtype() -> None:
    f = lambda n, x: lax.fori_loop(0, n, lambda i, c: lax.cond(c > 0, lambda c: c * 0.5 + i, lambda c: c, c), x)  # noqa: E731
    n, x = A(3, 1, 2), np.array([1, -2, 3], np.float32)
    for batch in (fg.vmap(f), fg.jit(fg.vmap(f))):
        found = batch(n, x)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, loop(f, n, x))


@pytest.mark.parametrize("name", ["log", "inv", "lookup"])
def test_no_examples(name: str) -> None:
    f, xs = example(name)
    none = xs[:0]
    for g in (fg.vmap(f), fg.jit(fg.vmap(f)), fg.vmap(fg.grad(total(f))), fg.grad(total(fg.vmap(f)))):
        assert g(none).shape == none.shape
    assert fg.vmap(fg.vmap(f))(np.zeros((2, *none.shape))).shape == (2, *none.shape)
    assert fg.vmap(_down)(np.zeros(0)).shape == (0,)
    assert fg.vmap(fg.grad(_down))(np.zeros(0)).shape == (0,)


def test_raising_on_floating_point_errors() -> None:
    f, xs = example("log")
    with np.errstate(all="raise"):
        close(fg.jit(fg.vmap(f))(xs), loop(f, xs), "value")
        close(fg.grad(total(fg.vmap(f)))(xs), loop(fg.grad(f), xs), "gradient")


def test_errors_of_those_that_take_it_are_raised() -> None:
    f = fg.vmap(lambda p, a: lax.cond(p, np.linalg.inv, np.zeros_like, a))
    for g in (f, fg.jit(f)):
        with pytest.raises(np.linalg.LinAlgError, match="Singular"):
            g(A(True, True), A(EYE, 0 * EYE))
    h = fg.vmap(lambda p, x: lax.cond(p, np.log, lambda x: x, x))
    for g in (h, fg.jit(h)):
        with pytest.warns(RuntimeWarning, match="divide by zero"):
            assert g(A(True, False), A(0.0, 0.0))[0] == -np.inf


def test_infinite_slopes_stay_with_their_example() -> None:
    """The first example's slope is infinite where it stands in for others, and where it does not."""
    f = lambda p, x: lax.cond(p, np.sqrt, lambda x: x * 3.0, x)  # noqa: E731
    p, x = A(True, False, True), A(0.0, -1.0, 4.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        for batch in (fg.vmap(f), fg.jit(fg.vmap(f))):
            np.testing.assert_array_equal(fg.grad(total(batch), 1)(p, x), [np.inf, 3.0, 0.25])
            np.testing.assert_array_equal(along(lambda x, b=batch: b(p, x))(x), [np.inf, 3.0, 0.25])


# ------------------------------------------------------------------------------------------------------- the program


def test_the_program_of_a_batch() -> None:
    """It is made of operations that every transformation knows, and a branch is there once."""
    program = fg.make_ir(fg.vmap(example("log")[0]))(np.ones(3))
    text = str(program)
    assert text.count(" = log ") == 1 and text.count("stand_in") == 2 and text.count(" = cond[") == 2
    xs = A(0.0, 2.0, -1.0)
    close(program(xs)[0], loop(example("log")[0], xs), "value")
