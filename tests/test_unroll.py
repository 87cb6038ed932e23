"""Small programs written out element by element: the same results as NumPy's, also where Python would raise."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opspecs import SPECS, OpSpec
from programs import PROGRAMS

import funcgrad as fg
from funcgrad import lax, nn, tree
from funcgrad.executor.build import build
from funcgrad.executor.compiled import executable
from funcgrad.executor.executable import compile_program
from funcgrad.executor.unrolled import UNROLLED
from funcgrad.ir import Program, eval_program
from funcgrad.ir_check import check_program
from funcgrad.passes.expand import expand
from funcgrad.passes.pipeline import optimise
from funcgrad.passes.unroll import Unrolling, unroll, unrolling
from funcgrad.types import PYTHON_SCALARS, is_inexact

WRITTEN: Counter[str] = Counter()


@pytest.fixture
def always(unrolled_when: Unrolling) -> Unrolling:
    """Whatever can be written out is."""
    unrolled_when.gain, unrolled_when.operation = math.inf, 0.0
    unrolled_when.elements, unrolled_when.most = 1000, 100_000
    return unrolled_when


def unrolled(program: Program) -> list[Any]:
    return [e for e in program.equations if e.primitive is UNROLLED]


def agree(program: Program, args: list[Any]) -> None:
    """Check a program, written out as far as it can be, against its definition."""
    program = optimise(expand(optimise(program)))
    made = unroll(program)
    check_program(made)
    try:
        _agree(program, made, args)
    except AssertionError as error:
        error.add_note(str(made))
        raise


def _agree(program: Program, made: Program, args: list[Any]) -> None:
    for eqn in unrolled(made):
        WRITTEN.update(e.primitive.name for e in eqn.params["program"].equations)
    with warnings.catch_warnings(record=True) as want_warned:
        warnings.simplefilter("always")
        wants = eval_program(program, args)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        founds = compile_program(made)(*args)
    assert {str(w.message) for w in warned} <= {str(w.message) for w in want_warned}
    for i, (found, want) in enumerate(zip(founds, wants, strict=True)):
        assert (found.__class__ in PYTHON_SCALARS) == (want.__class__ in PYTHON_SCALARS)
        assert np.asarray(found).dtype == np.asarray(want).dtype and np.shape(found) == np.shape(want)
        rtol = 1e-12 if is_inexact(want) else 0.0
        scale = np.abs(np.asarray(want, complex)).max(initial=1.0, where=np.isfinite(want))
        np.testing.assert_allclose(found, want, rtol=rtol, atol=rtol * scale, err_msg=f"result {i}")


def pulled(f: Any) -> Any:
    """A function and its pullback of its own result."""

    def pull(*args: Any) -> Any:
        out, back = fg.vjp(f, *args)
        plain = lambda x: x.__class__ in PYTHON_SCALARS or not is_inexact(x)  # noqa: E731
        return out, back(tree.map(lambda x: x if plain(x) else (0.5 * x).astype(x.dtype), out))

    return pull


# ----------------------------------------------------------------------------------------------- operations, programs


def try_all(spec: OpSpec) -> None:
    """All cases of a row, and their pullbacks, as one program."""
    funs: list[Callable[..., Any]] = []
    given: list[list[Any]] = []
    for case in spec.cases(bool(spec.dtypes)):
        args = case.args()
        if any(np.asarray(x).dtype.char not in "dl?" for x in tree.leaves(args)):
            continue
        funs.append(spec.fun)
        given.append(args)
        if spec.order and case.code == "d":
            f, some = case.differentiable()
            funs.append(pulled(f))
            given.append(some)
    program = fg.make_ir(lambda *given: [f(*args) for f, args in zip(funs, given, strict=True)])(*given)
    agree(program, tree.leaves(given))


@pytest.mark.parametrize("spec", [s for s in SPECS.values() if not s.concrete], ids=lambda s: s.name)
def test_operations_element_by_element(spec: OpSpec, always: Unrolling) -> None:
    """Every row of the table, and its derivative."""
    try_all(spec)


WRITTEN_AT_LEAST = """
abs acos acosh add and asin asinh atan atan2 atanh broadcast_to concatenate convert copysign cos cosh div dot_general
eq exp expm1 fabs_again ge gt hypot isfinite isnan le log log10 log1p log2 logical_and logical_not lt max min mul ne neg
or place pow reduce_prod reduce_sum relu rem reshape select sign sin sinh slice split sqrt square sub tan tanh
tie_share transpose
"""


ROWS_OF_EVERY_FORM = (
    "angle", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctanh", "at: arithmetic", "copysign",
    "divmod with dtype", "fabs_again", "frexp: large", "hypot.at", "lax.clamp", "linalg.cond", "log10", "logical_and",
    "nanquantile of nan", "nn.log1mexp", "nn.logsumexp: sign", "nn.relu", "nn.tanh",
    "reduce_prod axes=(0, 1, 2) keepdims=False", "sinh", "split sizes=(1, 2) axis=1", "tan",
)  # fmt: skip


def test_the_table_has_every_form(always: Unrolling) -> None:
    WRITTEN.clear()
    for name in ROWS_OF_EVERY_FORM:
        try_all(SPECS[name])
    assert [n for n in WRITTEN_AT_LEAST.split() if n not in WRITTEN] == []


def test_a_wrong_form_is_noticed(always: Unrolling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("funcgrad.executor.lower_scalars._sum", lambda x, y: x)
    with pytest.raises(AssertionError):
        agree(fg.make_ir(lambda x: np.exp(x) + x * x)(np.ones(3)), [np.arange(1.0, 4.0)])


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_element_by_element(name: str, always: Unrolling) -> None:
    """Also twice: the second call works in the memory of the first."""
    f, v = PROGRAMS[name].vector()
    ct = np.cos(np.arange(len(f(v))))
    pushed = (lambda v: fg.jvp(f, (v,), (np.sin(v),)),) if PROGRAMS[name].forward else ()
    for fun in (f, fg.grad(lambda v: np.sum(f(v) * ct)), *pushed):
        want, jitted = fun(v), fg.jit(fun)
        for _ in range(2):
            for a, b in zip(tree.leaves(jitted(v)), tree.leaves(want), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


# ------------------------------------------------------------------------------------------- where Python would raise


def both(f: Callable[..., Any], *args: Any) -> tuple[Any, Any, list[str], list[str]]:
    """Results and warnings of a function and of its compiled program, which must be written out."""
    jitted = fg.jit(f)
    assert unrolled(executable(fg.make_ir(f)(*args)).program)
    results: list[Any] = []
    for fun in (f, jitted):
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            results.append(fun(*args))
        results.append(sorted({str(w.message).split(" encountered")[0] for w in warned}))
    return results[0], results[2], results[1], results[3]


FAULTS: dict[str, tuple[Callable[[Any], Any], list[float]]] = {
    "division by zero": (lambda x: 1 / x + x * 2, [1.0, 0.0, -0.0]),
    "zero by zero": (lambda x: x / x - 1, [1.0, 0.0, 2.0]),
    "logarithm of zero": (lambda x: np.log(x) + 1, [1.0, 0.0, 2.0]),
    "logarithm of a negative number": (lambda x: np.log(x) + 1, [1.0, -1.0, 2.0]),
    "root of a negative number": (lambda x: np.sqrt(x) + 1, [1.0, -1.0, 2.0]),
    "overflow of exp": (lambda x: np.exp(x) + 1, [1.0, 800.0, 2.0]),
    "overflow of a product": (lambda x: x * x + 1, [1.0, 1e200, 2.0]),
    "overflow of a power": (lambda x: (x + 1) ** (x * 1.0), [1.0, 400.0, 2.0]),
    "power of a negative number": (lambda x: (x - 1) ** (x / 2), [0.5, 1.0, 2.0]),
    "zero to a negative power": (lambda x: (x - 1) ** (x - 3), [1.0, 1.0, 2.0]),
    "inverse cosine out of its range": (lambda x: np.arccos(x) * 2, [0.5, 1.5, -2.0]),
    "sine of infinity": (lambda x: np.sin(x) + 1, [0.5, np.inf, 1.0]),
    "difference of infinities": (lambda x: (x - x[1]) * 2, [0.5, np.inf, 1.0]),
    "NaN": (lambda x: np.maximum(x, 1.0) + np.minimum(x, 2.0), [0.5, np.nan, 1.0]),
    "NaN that is left out": (lambda x: np.where(np.isnan(x), 0.0, x) * 2, [0.5, np.nan, 1.0]),
    "NaN compared": (lambda x: np.where(x > 1.0, x, -x) * 2, [0.5, np.nan, 3.0]),
}


@pytest.mark.parametrize("name", FAULTS)
def test_infinities_and_nans_are_numpys(name: str, always: Unrolling) -> None:
    f, values = FAULTS[name]
    want, found, warned, found_warned = both(f, np.array(values))
    np.testing.assert_array_equal(found, want)
    assert found_warned == warned


def test_errors_of_numpy_are_raised(always: Unrolling) -> None:
    f = fg.jit(lambda x: np.exp(x) * 2 + x)
    with np.errstate(over="raise"), pytest.raises(FloatingPointError, match="overflow"):
        f(np.array([1.0, 800.0]))
    np.testing.assert_allclose(f(np.array([0.0, 1.0])), [2.0, 2 * math.e + 1])


@given(st.lists(st.floats(allow_subnormal=False), min_size=4, max_size=4))
def test_any_numbers(values: list[float]) -> None:
    """Comparisons, extrema, signs and selection, whatever the numbers are."""

    def f(x: Any) -> Any:
        y = x[::-1]
        chosen = np.where((x < y) | np.isnan(y), np.sign(x), np.fabs(y))
        return np.maximum(x, y), np.minimum(x, chosen), np.isfinite(x) & (x >= y), nn.relu(y), np.hypot(chosen, 1.0)

    program = optimise(fg.make_ir(f)(np.zeros(4)))
    before, unrolling.gain = unrolling.gain, math.inf
    try:
        made = unroll(program)
    finally:
        unrolling.gain = before
    assert unrolled(made)
    x = np.array(values)
    with np.errstate(all="ignore"):
        for found, want in zip(compile_program(made)(x), eval_program(program, [x]), strict=True):
            np.testing.assert_allclose(found, want, rtol=1e-14)


# -------------------------------------------------------------------------------------------------- arrays and memory


def oscillator(s: Any, k: Any) -> Any:
    return np.stack([s[0] + 0.1 * s[1], s[1] - 0.1 * k * np.sin(s[0])]) * np.exp(-0.1 * s[::-1] ** 2)


def test_arrays_of_any_layout_and_dtype(always: Unrolling) -> None:
    def f(a: Any, n: Any, b: Any) -> Any:
        return (a @ a + n) * np.where(b, a, 2), np.sum(a * n), b & (a > 1)

    a = np.arange(4.0).reshape(2, 2)
    for given_a in (a, a.T, np.asfortranarray(a), np.repeat(a, 2, axis=1)[:, ::2], a[::-1, ::-1]):
        for n in (np.array([3, 2**60]), np.array([[1], [2]])):
            b = np.array([True, False])
            want, found, *_ = both(f, given_a, n, b)
            for x, y in zip(found, want, strict=True):
                np.testing.assert_allclose(x, y, rtol=1e-14)
                assert x.dtype == y.dtype


def test_results_may_have_gaps(always: Unrolling) -> None:
    """What is written into a part of a larger array."""
    f = lambda x: np.concatenate([np.exp(x) * 2, np.linalg.inv(np.outer(x, x) + np.eye(2))], axis=1)  # noqa: E731
    x = np.ones((2, 1))
    np.testing.assert_allclose(fg.jit(lambda x: f(x))(x), f(x), rtol=1e-13)


def test_an_operand_may_be_overwritten_and_read_again_by_numpy() -> None:
    f = fg.jit(lambda s, k: oscillator(oscillator(s, k), k), donate_argnums=0)
    for k in (2.0, np.inf):
        with np.errstate(all="ignore"):
            want = oscillator(oscillator(np.array([0.5, 0.2]), k), k)
            np.testing.assert_allclose(f(np.array([0.5, 0.2]), k), want, rtol=1e-13)


def test_results_are_fresh_and_types_are_kept() -> None:
    f = fg.jit(fg.value_and_grad(lambda s, k: np.sum(oscillator(oscillator(s, k), k) ** 2), argnums=(0, 1)))
    s = np.array([0.5, 0.2])
    value, (ds, dk) = f(s, 2.0)
    assert value.__class__ is np.float64 and dk.__class__ is float
    again = f(s + 1, 2.0)[1][0]
    assert not np.shares_memory(ds, again) and ds.flags.owndata and ds.flags.writeable
    assert f(s, np.float64(2.0))[1][1].__class__ is np.float64
    np.testing.assert_array_equal(s, [0.5, 0.2])


def test_scalars_may_be_arrays_without_dimensions(always: Unrolling) -> None:
    f = lambda a, b: (np.tanh(a) * b + a, a > b)  # noqa: E731
    for a in (0.5, np.float64(0.5), np.array(0.5)):
        for b in (2, np.int64(2), np.array(2), True):
            want, found, *_ = both(f, a, b)
            assert np.all(found[0] == want[0]) and found[1] == want[1]


# ----------------------------------------------------------------------------------------------------- what is chosen


def test_small_steps_are_written_out_and_others_are_not() -> None:
    s = np.array([0.5, 0.2])
    step = lambda s: oscillator(oscillator(s, 2.0), 2.0)  # noqa: E731
    assert len(unrolled(executable(fg.make_ir(step)(s)).program)) == 1
    for other in (s.astype(np.float32), np.tile(s, (2, 200))):
        assert not unrolled(executable(fg.make_ir(step)(other)).program)
    assert not unrolled(executable(fg.make_ir(lambda x: np.exp(x) + 1)(s)).program)


def test_groups_lie_between_what_cannot_be_written_out(always: Unrolling) -> None:
    def f(x: Any) -> Any:
        y = np.exp(x) + x
        z = np.linalg.inv(np.outer(y, y) + np.eye(3)) @ y
        return np.sin(x) * y + np.tanh(z) * z

    made = unroll(optimise(fg.make_ir(f)(np.ones(3))))
    names = [e.primitive.name for e in made.equations]
    assert names == ["unrolled", "inv", "unrolled"]


def test_large_groups_are_divided(always: Unrolling) -> None:
    always.most = 30

    def f(x: Any) -> Any:
        for _ in range(12):
            x = np.sin(x) * x + 1
        return x

    made = unroll(optimise(fg.make_ir(f)(np.ones(4))))
    assert len(made.equations) > 3 and set(made.equations[0].params) == {"program"}
    x = np.linspace(0.1, 1, 4)
    np.testing.assert_allclose(compile_program(made)(x)[0], f(x), rtol=1e-13)


def test_many_results(always: Unrolling) -> None:
    f = lambda x: [np.exp(x) * k for k in range(400)]  # noqa: E731
    x = np.array([0.5, 1.0])
    for a, b in zip(build(fg.make_ir(f)(x))(x), f(x), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14)


def test_bodies_of_loops_are_written_out() -> None:
    f = lambda s: lax.fori_loop(0, 100, lambda i, s: oscillator(s, 2.0), s)  # noqa: E731
    s = np.array([0.5, 0.2])
    assert "unrolled" in fg.jit(f).lower(s).optimized_ir()
    np.testing.assert_allclose(fg.jit(f)(s), f(s), rtol=1e-12)


def test_source() -> None:
    """One statement for each element, equal ones once, and the user's lines."""
    text = fg.jit(lambda a, b: np.tanh(a @ b + 1) * (a @ b) - a.T).lower(np.eye(2), np.eye(2)).source()
    body = text.split("# unrolled\n")[1]
    assert "((a0, a1,), (a2, a3,),) = a_.tolist()" in body
    assert "c0 = a0 * b0 + a1 * b2  # dot_general, test_unroll.py:" in body
    assert body.count("a0 * b0 + a1 * b2") == 1 and body.count(".tolist()") == 2
    assert "except (ArithmeticError, ValueError):" in body


# ------------------------------------------------------------------------------------------- what differs from Python


def test_truth_values_are_added_and_multiplied_as_numpy_does(always: Unrolling) -> None:
    t, x = np.array([True, True]), np.array([0.1, 0.9])
    for f in (
        lambda a, b, x: (a + b).astype(float) * 2.0 + x,
        lambda a, b, x: (((a + b) == (x < 2)) & (a == b), x * 2 + 1),
        lambda a, b, x: ((a * b) ^ (a + b), (a + b) * x),
        lambda a, b, x: ((x > 0.5) & a[0], x * 2.0),
    ):
        for a, b in zip(fg.jit(f)(t, t, x), f(t, t, x), strict=True):
            np.testing.assert_array_equal(a, b)
            assert np.asarray(a).dtype == np.asarray(b).dtype
    with_flag = lambda flag, x: np.where(flag, x > 0.5, x < 0.5) & flag  # noqa: E731
    np.testing.assert_array_equal(fg.jit(with_flag)(np.True_, x), with_flag(np.True_, x))


def test_integers_are_compared_with_floats_as_floats(always: Unrolling) -> None:
    x, n = np.array([2.0**53, 3.0]), np.array([2**53 + 1, 3])
    for f in (
        lambda x, n: (x == n, x < n, n >= x, (x * 2 > n) & (x != n)),
        lambda x, n: ((x == 2**53 + 1) & (x * 2 > 1.0), n == 2**53 + 1, n < 2**53 + 1),
        lambda x, n: (np.where(x == n, x, n), np.maximum(x, n) - 1, (x * 1.0 == n) & True),
    ):
        for a, b in zip(fg.jit(f)(x, n), f(x, n), strict=True):
            np.testing.assert_array_equal(a, b)


def test_zeros_of_either_sign(always: Unrolling) -> None:
    x, y = np.array([0.0, -0.0, 0.0, -0.0]), np.array([-0.0, 0.0, 0.0, -0.0])
    f = lambda x, y: (np.maximum(x, y) * 2, np.minimum(x, y) * 2)  # noqa: E731
    for a, b in zip(fg.jit(f)(x, y), f(x, y), strict=True):
        np.testing.assert_array_equal(np.signbit(a), np.signbit(b))


def test_no_variable_is_called_as_a_function_is(always: Unrolling) -> None:
    """The third element of the variable `log` is not `log2`."""
    always.most = 100_000

    def f(x: Any) -> Any:
        y = np.log2(x + 1)
        for _ in range(3000):
            x = -(x * x) * 0.5 + y
        return np.log2(np.abs(x) + 2), np.log10(x * x + 1), np.log1p(x * x)

    x = np.linspace(0.1, 1.0, 3)
    for a, b in zip(fg.jit(f)(x), f(x), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)
