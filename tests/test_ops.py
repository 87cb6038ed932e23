"""Every row of the operation table: values, shape rules, derivatives to second order, transposes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from opspecs import SPECS, Case, OpSpec
from scipy import special

from funcgrad import check_program, config, jvp, make_ir, tree, vjp, vmap
from funcgrad.executor.compiled import executable
from funcgrad.ops import rules
from funcgrad.ops.rules import elementwise
from funcgrad.ops.shape import STOP_GRADIENT
from funcgrad.test_util import check_grads
from funcgrad.types import PYTHON_SCALARS, ShapedArray, dtype_of, is_inexact, shape_of


def rows(differentiable: bool, recorded: bool = False) -> list[Any]:
    """A parameter for each row that has such cases; `recorded`: of those that programs are made of."""
    return [
        pytest.param(spec, id=name)
        for name, spec in SPECS.items()
        if list(cases(spec, differentiable)) and not (recorded and spec.concrete)
    ]


def cases(spec: OpSpec, differentiable: bool) -> list[Case]:
    """Those with derivatives, or all."""
    return spec.cases(True) + ([] if differentiable else spec.cases(False))


@contextmanager
def noted(case: Case) -> Iterator[None]:
    """Say in errors which case it was."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"in the case {case}")
        raise


def random_like(rng: np.random.Generator, x: Any) -> Any:
    """A random tangent or cotangent; None for integers."""
    if not is_inexact(x):
        return None
    shape, dtype = shape_of(x), dtype_of(x)
    t = rng.standard_normal(shape) + (1j * rng.standard_normal(shape) if dtype.kind == "c" else 0)
    if isinstance(x, np.generic) or x.__class__ in PYTHON_SCALARS:
        return x.__class__(t)
    return np.asarray(t).astype(dtype)


def with_cotangents(out: Any, cts: Sequence[Any]) -> Any:
    """A cotangent for the output `out`, with anything for integers."""
    leaves, treedef = tree.flatten(out)
    return treedef.unflatten([np.zeros(shape_of(x)) if c is None else c for c, x in zip(cts, leaves, strict=True)])


def same(have: Any, want: Any, ulps: float = 0) -> None:
    """Assert that shapes, dtypes and values are those of `want`, the last up to a number of roundings.

    The few functions that call compiled programs, as `piecewise` does, are off by roundings of native code's.
    """
    ulps = ulps if config.native == "off" else max(ulps, 4)
    have, want = tree.leaves(have), tree.leaves(want)
    assert len(have) == len(want)
    for a, b in zip(have, want, strict=True):
        assert (shape_of(a), dtype_of(a)) == (shape_of(b), dtype_of(b))
        assert (a.__class__ in PYTHON_SCALARS) == (b.__class__ in PYTHON_SCALARS)
        if ulps and is_inexact(b):
            tol = ulps * float(np.finfo(dtype_of(b)).eps)
            np.testing.assert_allclose(a, b, rtol=tol, atol=tol, equal_nan=True)
        else:
            np.testing.assert_array_equal(a, b)


# ------------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize("spec", rows(False))
def test_values_are_those_of_numpy(spec: OpSpec) -> None:
    """While it is recorded or carries tangents along, a function gives NumPy's values, dtypes and shapes."""
    for case in cases(spec, False):
        with noted(case):
            args = case.args()
            want = spec(*args)
            out, _ = vjp(spec, *args)
            same(out, want, spec.ulps)
            tangents = [random_like(np.random.default_rng(0), x) for x in args]
            same(jvp(spec, args, tangents)[0], want, spec.ulps)
            same(args, case.args())
            assert all(x.flags.writeable for x in args if isinstance(x, np.ndarray))


# ---------------------------------------------------------------------------------------------------- shape rules


@pytest.mark.parametrize("spec", rows(False, recorded=True))
def test_programs_have_the_types_and_values_of_the_function(spec: OpSpec) -> None:
    """The shape rules tell the truth, and the program that is recorded with them gives the same values."""
    for case in cases(spec, False):
        with noted(case):
            args = case.args()
            agrees_with_program(spec, args, spec.ulps)


@pytest.mark.parametrize("spec", rows(True, recorded=True))
def test_pullbacks_are_programs_too(spec: OpSpec) -> None:
    """The derivative can be recorded from shapes and dtypes alone."""
    for case in cases(spec, True):
        with noted(case):
            f, args = case.differentiable()
            out = f(*args)
            cts = [random_like(np.random.default_rng(1), x) for x in tree.leaves(out)]

            def pull(cts: Any, *args: Any, f: Callable[..., Any] = f, out: Any = out) -> Any:
                return vjp(f, *args)[1](with_cotangents(out, cts))

            # An operator on two NumPy scalars may round complex products otherwise than the ufunc does.
            agrees_with_program(pull, [cts, *args], 16)


def agrees_with_program(fun: Callable[..., Any], args: Sequence[Any], ulps: float) -> None:
    want = fun(*args)
    program = make_ir(fun)(*args)
    check_program(program)
    leaves = tree.leaves(want)
    assert [(a.shape, a.dtype) for a in program.out_avals] == [(shape_of(x), dtype_of(x)) for x in leaves]
    assert [a.weak for a in program.out_avals] == [x.__class__ in PYTHON_SCALARS for x in leaves]
    same(program(*tree.leaves(args)), leaves, ulps)
    # Compiled: twice, since the second call works in the memory of the first. Passes may reorder sums and products.
    run = executable(program)
    for _ in range(2):
        same(list(run(*tree.leaves(args))), leaves, max(ulps, 32))


# ----------------------------------------------------------------------------------------------------- derivatives


@pytest.mark.parametrize("spec", rows(True))
def test_derivatives_are_those_of_differences(spec: OpSpec) -> None:
    """Forward, reverse and their compositions agree with central differences."""
    for case in cases(spec, True):
        with noted(case):
            check_grads(*case.differentiable(), order=spec.order, eps=spec.eps)


@pytest.mark.parametrize("spec", rows(True))
def test_forward_and_reverse_are_transposes(spec: OpSpec) -> None:
    """⟨v̄, J v⟩ = ⟨Jᵀ v̄, v⟩ to rounding; cotangents have the shapes and dtypes of the arguments."""
    for case in cases(spec, True):
        with noted(case):
            f, args = case.differentiable()
            rng = np.random.default_rng(2)
            tangents = [random_like(rng, x) for x in args]
            _, out_tangents = jvp(f, args, tangents)
            out, pullback = vjp(f, *args)
            cts = [random_like(rng, x) for x in tree.leaves(out)]
            grads = pullback(with_cotangents(out, cts))
            for g, x in zip(grads, args, strict=True):
                assert (shape_of(g), dtype_of(g)) == (shape_of(x), dtype_of(x))
                assert (g.__class__ in PYTHON_SCALARS) == (x.__class__ in PYTHON_SCALARS)
            for t, x in zip(tree.leaves(out_tangents), tree.leaves(out), strict=True):
                if is_inexact(x):
                    assert (shape_of(t), dtype_of(t)) == (shape_of(x), dtype_of(x))
            pairs = [(c, t) for c, t in zip(cts, tree.leaves(out_tangents), strict=True) if c is not None]
            close_pairings(pairs, list(zip(grads, tangents, strict=True)), [*args, *tree.leaves(out)])


def close_pairings(left: Sequence[Any], right: Sequence[Any], values: Sequence[Any]) -> None:
    """Assert that two sums of Re ⟨a, b⟩ agree to a hundred roundings of their largest terms."""

    def total(pairs: Sequence[Any], size: bool = False) -> float:
        products = [np.multiply(a, b) for a, b in pairs]
        return float(sum(np.sum(np.abs(p) if size else np.real(p)) for p in products))

    eps = max((float(np.finfo(dtype_of(x)).eps) for x in values if is_inexact(x)), default=0.0)
    scale = 1 + total(left, size=True) + total(right, size=True)
    assert abs(total(left) - total(right)) <= 100 * eps * scale


# ---------------------------------------------------------------------------------------------------------- batches


def batchable(spec: OpSpec, differentiable: bool) -> list[Case]:
    """The cases of arrays only."""
    found = [c for c in cases(spec, differentiable) if c.code in "dDil?"]
    return [c for c in found if all(isinstance(s, tuple) for s in c.shapes)]


def two_examples(f: Callable[..., Any], first: Sequence[Any], second: Sequence[Any]) -> None:
    """Assert that `f` of a batch of two is the stack of both results."""
    want = zip(tree.leaves(f(*first)), tree.leaves(f(*second)), strict=True)
    batch = tree.map(lambda *xs: np.stack(xs), tuple(first), tuple(second))
    # Products of a batch are added up in another order.
    same([np.asarray(x) for x in tree.leaves(vmap(f)(*batch))], [np.stack(pair) for pair in want], 1024)


@pytest.mark.parametrize("spec", rows(False, recorded=True))
def test_batches_are_stacks(spec: OpSpec) -> None:
    for case in batchable(spec, False):
        with noted(case):
            two_examples(spec, case.args(), case.args(seed=1))


@pytest.mark.parametrize("spec", rows(True, recorded=True))
def test_batches_of_pullbacks_are_stacks(spec: OpSpec) -> None:
    found = batchable(spec, True)
    for case in (c for code in spec.dtypes for c in [c for c in found if c.code == code][:3]):
        with noted(case):
            f, args = case.differentiable()
            out = f(*args)
            cts = [random_like(np.random.default_rng(1), x) for x in tree.leaves(out)]

            def pull(*args: Any, f: Callable[..., Any] = f, out: Any = out, cts: Any = cts) -> Any:
                return [g for g in vjp(f, *args)[1](with_cotangents(out, cts)) if is_inexact(g)]

            two_examples(pull, args, case.differentiable(seed=1)[1])


# ---------------------------------------------------------------------------------- what the checks themselves catch


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test declare primitives that nobody else sees."""
    monkeypatch.setattr(rules, "PRIMITIVES", dict(rules.PRIMITIVES))


def opaque(x: Any) -> Any:
    """The same value, but constant to derivatives."""
    return STOP_GRADIENT.bind(x)


SINE: dict[str, tuple[Callable[..., Any], int]] = {
    "sign": (lambda g, o, x: -g * np.cos(x), 1),
    "factor": (lambda g, o, x: 1.0001 * g * np.cos(x), 1),
    "other function": (lambda g, o, x: g * np.cosh(x), 1),
    "offset": (lambda g, o, x: g * np.cos(x) + 1e-3, 1),
    "zero": (lambda g, o, x: g * 0.0, 1),
    "second order only": (lambda g, o, x: g * opaque(np.cos(x)), 2),
}
"""Wrong derivatives of the sine, and the order at which they show."""


@pytest.mark.parametrize(("push", "order"), SINE.values(), ids=SINE)
@pytest.mark.usefixtures("scratch")
def test_wrong_partials_are_found(push: Callable[..., Any], order: int) -> None:
    wrong = elementwise("wrong_sine", np.sin, push)
    x = np.array([0.3, -1.0, 2.0])
    if order > 1:
        check_grads(wrong.bind, (x,), order=order - 1)
    for modes in ("fwd", "rev"):
        with pytest.raises(AssertionError, match=modes):
            check_grads(wrong.bind, (x,), order=order, modes=modes)


PRODUCT: dict[str, tuple[Any, Any]] = {
    "missing argument": (lambda g, o, x, y: g * y, rules.ZERO),
    "exchanged": (lambda g, o, x, y: g * x, lambda g, o, x, y: g * y),
    "one sign": (lambda g, o, x, y: g * y, lambda g, o, x, y: -g * x),
    "mixed derivative": (lambda g, o, x, y: g * opaque(y), lambda g, o, x, y: g * x),
}


@pytest.mark.parametrize("pushes", PRODUCT.values(), ids=PRODUCT)
@pytest.mark.usefixtures("scratch")
def test_wrong_partials_of_two_arguments_are_found(pushes: Any) -> None:
    wrong = elementwise("wrong_product", np.multiply, *pushes)
    args = (np.array([0.3, -1.0, 2.0]), np.array([[1.5], [0.7]]))
    for modes in ("fwd", "rev"):
        with pytest.raises(AssertionError):
            check_grads(wrong.bind, args, order=2, modes=modes)


@pytest.mark.usefixtures("scratch")
def test_wrong_rules_of_one_mode_are_found() -> None:
    """A mode that is right passes by itself; the other one, and the pairing of both, do not."""
    right = rules.PRIMITIVES["reduce_sum"]
    x = np.arange(6.0).reshape(2, 3)

    def total(x: Any) -> Any:
        return wrong.bind(x, axes=(0,), keepdims=False)

    wrong = rules.declare("wrong_vjp", right.impl, right.abstract, jvp=right.jvp, vjp=lambda ct, *_, **__: [2 * ct])
    check_grads(total, (x,), order=1, modes="fwd")
    with pytest.raises(AssertionError, match="rev"):
        check_grads(total, (x,), order=1, modes="rev")
    wrong = rules.declare("wrong_jvp", right.impl, right.abstract, jvp=lambda t, out, ins, **_: -out, vjp=right.vjp)
    check_grads(total, (x,), order=1, modes="rev")
    with pytest.raises(AssertionError, match="fwd"):
        check_grads(total, (x,), order=1, modes="fwd")


@pytest.mark.usefixtures("scratch")
def test_a_missing_conjugate_is_found() -> None:
    """|z| has the slope conj(z)/|z|; with z/|z| in its place only complex numbers show the difference."""
    wrong = elementwise("wrong_abs", np.absolute, lambda g, o, z: g * (z / o))
    check_grads(wrong.bind, (np.array([2.0, -3.0]),), order=1)
    for modes in ("fwd", "rev"):
        with pytest.raises(AssertionError):
            check_grads(wrong.bind, (np.array([1 + 2j, 2 - 1j]),), order=1, modes=modes)


@pytest.mark.usefixtures("scratch")
def test_a_wrong_shape_rule_is_found() -> None:
    right = rules.PRIMITIVES["cumsum"]
    flat = rules.declare("wrong_shape", right.impl, lambda x, axis: ShapedArray((x.size,), x.dtype))
    wide = rules.declare("wrong_dtype", right.impl, lambda x, axis: ShapedArray(x.shape, np.float64))
    for wrong in (flat, wide):
        with pytest.raises(AssertionError):
            agrees_with_program(lambda x, p=wrong: p.bind(x, axis=0), [np.ones((2, 3), np.float32)], 0)


# -------------------------------------------------------------------------------------- derivatives at special points

CONVENTIONS: dict[str, tuple[Callable[..., Any], tuple[Any, ...], tuple[Any, ...]]] = {
    "maximum: ties share": (np.maximum, (1.0, 1.0), (0.5, 0.5)),
    "minimum: ties share": (np.minimum, (1.0, 1.0), (0.5, 0.5)),
    "fmax: of ties the second": (np.fmax, (1.0, 1.0), (0.0, 1.0)),
    "fmin: of ties the second": (np.fmin, (1.0, 1.0), (0.0, 1.0)),
    "fmax: of NaN alone": (np.fmax, (np.nan, np.nan), (1.0, 0.0)),
    "fmax: of NaN": (np.fmax, (np.nan, 1.0), (0.0, 1.0)),
    "fmin: of NaN": (np.fmin, (1.0, np.nan), (1.0, 0.0)),
    "clip: at an end": (lambda x: np.clip(x, -1.0, 1.0), (1.0,), (0.5,)),
    "abs: at 0": (np.abs, (0.0,), (0.0,)),
    "abs: at 0, complex": (np.abs, (0j,), (0j,)),
    "sign: at 0, complex": (lambda z: np.real(np.sign(z)), (0j,), (0j,)),
    "power: 0 squared": (np.power, (0.0, 2.0), (0.0, 0.0)),
    "power: 0 to the first": (np.power, (0.0, 1.0), (1.0, 0.0)),
    "power: exponent 0": (np.power, (0.0, 0.0), (0.0, 0.0)),
    "power: exponent 0, any base": (lambda x: x**0, (2.0,), (0.0,)),
    "max: ties share": (np.max, (np.array([1.0, 3.0, 3.0]),), (np.array([0.0, 0.5, 0.5]),)),
    "min: ties share": (np.min, (np.array([1.0, 1.0, 3.0]),), (np.array([0.5, 0.5, 0.0]),)),
    "prod: a zero": (np.prod, (np.array([0.0, 2.0, 3.0]),), (np.array([6.0, 0.0, 0.0]),)),
    "prod: two zeros": (np.prod, (np.array([0.0, 0.0, 3.0]),), (np.array([0.0, 0.0, 0.0]),)),
    "norm: at 0": (np.linalg.norm, (np.zeros(2),), (np.zeros(2),)),
    "sinc: at 0": (np.sinc, (0.0,), (0.0,)),
    "where: the branch not taken": (lambda x: np.where(x > 0, x * x, -x), (-2.0,), (-1.0,)),
    "nan_to_num: NaN": (np.nan_to_num, (np.nan,), (0.0,)),
    "logaddexp: -inf": (np.logaddexp, (-np.inf, 1.0), (0.0, 1.0)),
    "xlogy: 0 log 2": (special.xlogy, (0.0, 2.0), (math.log(2.0), 0.0)),
    "heaviside: at 0": (np.heaviside, (0.0, 0.5), (0.0, 1.0)),
    "std: through a constant": (lambda x: np.sum(np.std(np.stack([x, x + 1.0]))), (2.0,), (0.0,)),
    "sort: equal elements": (lambda x: np.sort(x)[0], (np.array([1.0, 1.0]),), (np.array([1.0, 0.0]),)),
    "floor": (np.floor, (2.0,), (0.0,)),
    "mod": (np.mod, (5.0, 3.0), (1.0, -1.0)),
}
"""A function, where, and its gradient there."""


@pytest.mark.parametrize(("fun", "args", "want"), CONVENTIONS.values(), ids=CONVENTIONS)
def test_derivatives_at_special_points(fun: Callable[..., Any], args: Sequence[Any], want: Sequence[Any]) -> None:
    out, pullback = vjp(fun, *args)
    have = pullback(np.ones_like(out) if isinstance(out, np.ndarray) else out.__class__(1))
    same(have, tuple(want), 1)
    for i, (x, g) in enumerate(zip(args, want, strict=True)):  # forward mode says the same
        direction = [np.zeros_like(a) if j != i else np.ones_like(a) for j, a in enumerate(args)]
        tangents = [t.item() if a.__class__ in PYTHON_SCALARS else t for t, a in zip(direction, args, strict=True)]
        np.testing.assert_allclose(jvp(fun, args, tangents)[1], np.real(np.sum(g)), atol=1e-15)
        assert shape_of(x) == shape_of(g)
