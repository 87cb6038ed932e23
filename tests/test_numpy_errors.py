"""Functions that catch NumPy's errors, and set how NumPy treats those of floating point: with `jit` as without."""

from __future__ import annotations

import contextlib
import math
import warnings
from typing import Any

import numpy as np
import pytest

from funcgrad import debug, grad, jit, lax, make_ir, value_and_grad, vmap
from funcgrad.core import Primitive
from funcgrad.ops.attempt import KEEP
from funcgrad.watched import _handled

GOOD, BAD = np.array([[2.0, 1.0], [1.0, 3.0]]), np.ones((2, 2))
X, ZERO = np.array([1.0, 2.0]), np.array([0.0, 2.0])


def inverse(a: Any) -> Any:
    try:
        return np.linalg.inv(a)
    except np.linalg.LinAlgError:
        return np.linalg.pinv(a)


def by_value_error(a: Any) -> Any:
    try:
        return np.linalg.inv(a)
    except ValueError:  # of which LinAlgError is one
        return a * 0


def with_jitter(a: Any) -> Any:
    jitter = 0.0
    while True:
        try:
            return np.linalg.cholesky(a + jitter * np.eye(2))
        except np.linalg.LinAlgError:
            jitter = 1e-6 if jitter == 0 else jitter * 10


def definite(a: Any) -> Any:
    """The result of the operation is not used."""
    try:
        np.linalg.cholesky(a)
        return 1.0 * a
    except np.linalg.LinAlgError:
        return -1.0 * a


def definite_by_a_function(a: Any) -> Any:
    def check(m: Any) -> bool:
        try:
            np.linalg.cholesky(m)
        except np.linalg.LinAlgError:
            return False
        return True

    return a if check(a) else -a


def called_in_a_try(a: Any) -> Any:
    def check(m: Any) -> None:
        np.linalg.cholesky(m)

    try:
        check(a)
    except np.linalg.LinAlgError:
        return -a
    return a * 1


def suppressed(a: Any) -> Any:
    out = -a
    with contextlib.suppress(np.linalg.LinAlgError):
        out = np.linalg.inv(a)
    return out


def at_last(a: Any) -> Any:
    out = -a
    try:
        out = np.linalg.inv(a)
    finally:
        return out  # noqa: B012


def after_a_branch(a: Any) -> Any:
    b = a * 2 if a[0, 0] > 0 else a * 3
    try:
        return np.linalg.inv(b)
    except np.linalg.LinAlgError:
        return b


def branch_in_the_fallback(a: Any) -> Any:
    try:
        return np.linalg.inv(a)
    except np.linalg.LinAlgError:
        return a * 2 if a[0, 0] > 0 else a * 3


def branch_in_the_try(a: Any) -> Any:
    try:
        np.linalg.inv(a)
        return a * 2 if a[0, 0] > 1.5 else a * 3
    except np.linalg.LinAlgError:
        return -a


def in_an_inner_jit(a: Any) -> Any:
    return 2.0 * jit(inverse)(a)


def inner_jit_in_a_try(a: Any) -> Any:
    try:
        return jit(np.linalg.inv)(a)
    except np.linalg.LinAlgError:
        return -a


def inner_jit_for_nothing(a: Any) -> Any:
    try:
        jit(lambda m: np.linalg.inv(m) @ m)(a)
        return a * 1
    except np.linalg.LinAlgError:
        return -a


def in_a_scan(a: Any) -> Any:
    try:
        return lax.scan(lambda m, _: (np.linalg.inv(m), None), a, None, length=3)[0]
    except np.linalg.LinAlgError:
        return -a


def solved(a: Any) -> Any:
    try:
        return np.linalg.solve(a, a[0])
    except np.linalg.LinAlgError:
        return np.linalg.lstsq(a, a[0])[0]


MATRICES = [inverse, by_value_error, with_jitter, definite, definite_by_a_function, called_in_a_try, suppressed,
            at_last, after_a_branch, branch_in_the_fallback, branch_in_the_try, in_an_inner_jit, inner_jit_in_a_try,
            inner_jit_for_nothing, in_a_scan, solved]  # fmt: skip


def raising(x: Any) -> Any:
    with np.errstate(all="raise"):
        try:
            return np.log(x)
        except FloatingPointError:
            return x * 100


def raising_for_nothing(x: Any) -> Any:
    with np.errstate(all="raise"):
        try:
            np.log(x)
            return x * 2
        except FloatingPointError:
            return x * 100


def raising_around(x: Any) -> Any:
    try:
        with np.errstate(divide="raise"):
            y = 1 / x
        return y + np.log(x + 1)
    except FloatingPointError:
        return x * 100


@np.errstate(all="raise")
def raising_by_a_decorator(x: Any) -> Any:
    try:
        return np.sum(np.log(x)) + x
    except FloatingPointError:
        return x * 100


def raising_in_an_inner_one(x: Any) -> Any:
    with np.errstate(all="raise"):
        try:
            with np.errstate(divide="ignore"):
                y = np.log(x)
            return y + np.sqrt(x - 1)
        except FloatingPointError:
            return x * 100


def warned(x: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return np.log(x)
        except RuntimeWarning:
            return x * 100


def warned_of_division(x: Any) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "divide by zero", RuntimeWarning)
        try:
            return np.log(x)
        except RuntimeWarning:
            return x * 100


def ignored(x: Any) -> Any:
    with np.errstate(divide="ignore"):
        return np.where(x > 0, np.log(x), x)


def ignored_by_filter(x: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.log(x) * 2


def called(x: Any) -> Any:
    seen: list[str] = []
    with np.errstate(divide="call", call=lambda kind, flag: seen.append(kind)):
        return np.log(x)


VECTORS = [raising, raising_for_nothing, raising_around, raising_by_a_decorator, raising_in_an_inner_one, warned,
           warned_of_division, ignored, ignored_by_filter, called]  # fmt: skip


def reciprocal(x: Any) -> Any:
    try:
        return 1 / x
    except ZeroDivisionError:
        return 7.0


def remainder_for_nothing(x: Any) -> Any:
    try:
        3.0 % x
        return x * 2
    except ZeroDivisionError:
        return 7.0


def power(x: Any) -> Any:
    try:
        return 10.0 ** (x * 400)
    except OverflowError:
        return math.inf


def rounded(x: Any) -> Any:
    try:
        return x * int(x * math.inf if x == 0 else x)  # int(nan) is a ValueError
    except ValueError:
        return -1.0


NUMBERS = [reciprocal, remainder_for_nothing, power, rounded]


def taken(x: Any, i: Any) -> Any:
    try:
        return x[i] * 2.0
    except IndexError:
        return x[0] * 0.5


def taken_for_nothing(x: Any, i: Any) -> Any:
    try:
        x[i]
        return x * 2
    except IndexError:
        return x * 0.5


CASES = [
    *((f, (GOOD,), (BAD,)) for f in MATRICES),
    *((f, (X,), (ZERO,)) for f in VECTORS),
    *((f, (2.0,), (0.0,)) for f in NUMBERS),
    *((f, (X, 1), (X, 5)) for f in (taken, taken_for_nothing)),
]


@pytest.mark.parametrize("filters", ["error", "default"])
@pytest.mark.parametrize(("fun", "good", "bad"), CASES, ids=[f.__name__ for f, *_ in CASES])
def test_fallbacks_give_numpys_answer(fun: Any, good: Any, bad: Any, filters: Any) -> None:
    """Compiled on values that fail and on others, in either order, several times."""
    warnings.simplefilter(filters)
    for order in ([good, bad], [bad, good], [bad, bad, good]):
        compiled = jit(fun)
        for args in order * 2:
            np.testing.assert_allclose(compiled(*args), fun(*args), rtol=1e-12)
    nested = jit(lambda *args: jit(fun)(*args) * 1.0)
    for args in (good, bad, good):
        np.testing.assert_allclose(nested(*args), fun(*args) * 1.0, rtol=1e-12)


@pytest.mark.parametrize(("fun", "good", "bad"), CASES, ids=[f.__name__ for f, *_ in CASES])
@np.errstate(divide="ignore", invalid="ignore")  # slopes are not finite
def test_derivatives_are_those_of_the_fallback(fun: Any, good: Any, bad: Any) -> None:
    if fun in (with_jitter,):  # the derivative at a nearly singular matrix is not known so exactly
        bad = good

    def loss(*args: Any) -> Any:
        return np.sum(fun(*args) * 0.3)

    for args in (good, bad):
        value, want = value_and_grad(loss)(*args)
        for f in (value_and_grad(jit(loss)), value_and_grad(lambda *args: np.sum(jit(fun)(*args) * 0.3))):
            for _ in range(2):
                np.testing.assert_allclose(f(*args)[0], value, rtol=1e-10)
                np.testing.assert_allclose(f(*args)[1], want, rtol=1e-8)
    compiled = jit(value_and_grad(loss))
    for args in (good, bad, bad):
        np.testing.assert_allclose(compiled(*args)[1], grad(loss)(*args), rtol=1e-8)


@pytest.mark.parametrize("fun", [f for f in MATRICES if f not in (with_jitter, after_a_branch, branch_in_the_try)],
                         ids=lambda f: f.__name__)  # fmt: skip
def test_one_example_is_not_all(fun: Any) -> None:
    """Under vmap a failure is one of some examples: never is the fallback taken for all of them."""
    both = np.stack([GOOD, BAD])
    good = np.stack([GOOD, GOOD])
    want = [fun(a) for a in good]
    if fun not in (branch_in_the_fallback,):
        np.testing.assert_allclose(vmap(fun)(good), want, rtol=1e-12)
    with pytest.raises((np.linalg.LinAlgError, TypeError)) as caught:
        vmap(fun)(both)
    assert fun in (in_a_scan, branch_in_the_fallback) or "went on" in "".join(getattr(caught.value, "__notes__", ()))
    with pytest.raises((np.linalg.LinAlgError, TypeError)):
        jit(vmap(fun))(both)


def test_warnings_are_those_of_the_function() -> None:
    slope = grad(lambda x: np.sum(jit(ignored)(x)))
    for f in (ignored, ignored_by_filter, jit(ignored), jit(ignored_by_filter), slope):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            f(X)
            f(X)
    for f in (np.log, jit(np.log), jit(lambda x: ignored(x) + np.log(x))):
        for _ in range(2):
            with pytest.warns(RuntimeWarning, match="divide by zero"):
                f(ZERO)


def test_collectives_under_a_handling() -> None:
    def f(x: Any) -> Any:
        with np.errstate(divide="ignore"):
            return lax.psum(np.log(x), "i") + jit(lambda y: lax.pmax(y, "i"))(x)

    x = np.array([0.0, 1.0])
    np.testing.assert_array_equal(jit(vmap(f, axis_name="i"))(x), [-np.inf, -np.inf])


def test_an_uncaught_error_says_where() -> None:
    def f(a: Any) -> Any:
        with contextlib.suppress(ZeroDivisionError):
            return np.linalg.inv(a)

    for _ in range(2):
        with pytest.raises(np.linalg.LinAlgError, match="Singular") as caught:
            jit(f)(BAD)
        assert any(e.name == "f" for e in caught.traceback)


def test_effects_happen_once() -> None:
    seen: list[Any] = []

    def f(a: Any) -> Any:
        debug.callback(seen.append, a[0, 0])
        try:
            out = np.linalg.inv(a)
        except np.linalg.LinAlgError:
            out = a
        debug.callback(seen.append, out[0, 0])
        return out

    compiled = jit(f)
    for _ in range(3):
        seen.clear()
        compiled(BAD)
        assert seen == [1.0, 1.0]


def test_donated_arguments_are_there_for_the_fallback() -> None:
    compiled = jit(lambda a: with_jitter(a) + 1.0, donate_argnums=0)
    for _ in range(2):
        np.testing.assert_allclose(compiled(BAD.copy()), with_jitter(BAD) + 1.0)


def test_programs_show_what_was_noted() -> None:
    text = str(make_ir(raising_for_nothing)(X))
    assert "log_under" in text and "keep" in text and "raise" in text
    assert "keep" not in str(make_ir(lambda a: np.linalg.inv(a))(GOOD))
    assert "keep" not in str(make_ir(lambda x: np.sum(suppressed(np.outer(x, x)) * 0 + x))(X)) or KEEP.effect
    assert "under" not in str(make_ir(np.log)(X))


@np.errstate(all="raise")
def test_the_callers_handling_is_the_functions() -> None:
    """What the caller has set is not taken for the function's own, when it is recorded and when it is run."""
    f = jit(np.log)
    assert "under" not in str(make_ir(np.log)(X))
    np.testing.assert_allclose(f(X), np.log(X))
    with pytest.raises(FloatingPointError):
        f(ZERO)
    with np.errstate(all="ignore"):
        assert f(ZERO)[0] == -np.inf


def lines_in_try(fun: Any) -> set[int]:
    code = fun.__code__
    found = _handled(code)
    places = {n: line for start, end, line in code.co_lines() if line is not None for n in range(start // 2, end // 2)}
    return {line - code.co_firstlineno for at, line in places.items() if any(a <= at < b for a, b in found)}


def test_places_in_a_try() -> None:
    def f(x: Any) -> Any:
        y = x  # 1
        try:
            y = x + 1  # 3
        except ValueError as error:
            y = str(error)  # 5
        with contextlib.nullcontext():
            y = y * 2  # 7
        return [v for v in y]  # 8

    lines = lines_in_try(f)
    assert {3, 7} <= lines and not {1, 5, 8} & lines


def test_which_operations_fail() -> None:
    from funcgrad.ops.index import GATHER
    from funcgrad.ops.linalg import CHOLESKY, DET, INV, SOLVE
    from funcgrad.ops.math import UFUNCS
    from funcgrad.types import ShapedArray
    from funcgrad.watched import fails

    array, number, whole = ShapedArray((2,), float), ShapedArray((), float, True), ShapedArray((2,), int)

    def of(primitive: Primitive, *avals: ShapedArray) -> bool:
        return fails(primitive, {}, avals)

    assert all(of(p, array) for p in (CHOLESKY, INV, SOLVE, GATHER)) and not of(DET, array)
    assert of(UFUNCS[np.divide], number, number) and not of(UFUNCS[np.divide], array, number)
    assert of(UFUNCS[np.power], whole, whole) and not of(UFUNCS[np.power], array, whole)
