"""`vmap`: the batching rule of every primitive against a loop, and where batch axes come from and go to."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.ops.special  # declares its primitives as they are needed
from funcgrad import lax
from funcgrad.ops.rules import PRIMITIVES

R = np.random.default_rng(7)


def real(*shape: int) -> np.ndarray:
    """Between 0.2 and 0.8, where nearly every function is defined."""
    return R.uniform(0.2, 0.8, shape)


def integer(*shape: int) -> np.ndarray:
    return R.integers(1, 6, shape)


def boolean(*shape: int) -> np.ndarray:
    return R.integers(0, 2, shape).astype(bool)


def spd(*lead: int) -> np.ndarray:
    a = real(*lead, 2, 2)
    return a @ np.swapaxes(a, -1, -2) + np.eye(2)


# --------------------------------------------------------------------------------- operands for every primitive

UNARY = """
neg pos abs fabs conj square reciprocal sqrt cbrt exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan
sinh cosh tanh asinh atanh deg2rad rad2deg sign floor ceil trunc rint spacing signbit isnan isinf isfinite logical_not
real imag stop_gradient""".split()
BINARY = """
add sub mul div pow rem float_power fmod max min fmax fmin atan2 hypot logaddexp logaddexp2 copysign nextafter
heaviside tie_share floor_div eq ne lt le gt ge logical_and logical_or logical_xor complex""".split()
INTEGER = "and or xor shift_left shift_right gcd lcm".split()
PAIRS = [((3,), (3,)), ((), (2, 3)), ((2, 1), (3,))]

Make = Callable[..., np.ndarray]
CASES: dict[str, list[tuple[Callable[..., Any], tuple[Callable[[], np.ndarray], ...]]]] = {}
"""For each primitive: functions that bind it, and how to draw one example of each operand."""


def case(name: str, *operands: Callable[[], np.ndarray], **params: Any) -> None:
    CASES.setdefault(name, []).append((lambda *xs: PRIMITIVES[name].bind(*xs, **params), operands))


def program_case(name: str, fun: Callable[..., Any], *operands: Callable[[], np.ndarray]) -> None:
    """A primitive that holds a program: bound by a function of the user's."""
    CASES.setdefault(name, []).append((fun, operands))


def of(make: Make, *shape: int) -> Callable[[], np.ndarray]:
    return lambda: make(*shape)


for _name in UNARY:
    for _shape in ((3,), (), (2, 3)):
        case(_name, of(real, *_shape))
for _name in BINARY:
    for _a, _b in PAIRS:
        case(_name, of(real, *_a), of(real, *_b))
for _name in INTEGER:
    for _a, _b in PAIRS:
        case(_name, of(integer, *_a), of(integer, *_b))
for _a, _b in PAIRS:
    case("ldexp", of(real, *_a), of(integer, *_b))
    for _c in ((), (3,)):
        case("select", of(boolean, *_c), of(real, *_a), of(real, *_b))
case("acosh", lambda: 1 + real(2, 3))
case("not", of(integer, 3))
case("population_count", of(integer, 2, 3))
case("convert", of(real, 2, 3), dtype=np.dtype(np.float32))

case("reshape", of(real, 2, 3), shape=(3, 1, 2))
case("transpose", of(real, 2, 3, 4), axes=(2, 0, 1))
case("broadcast_to", of(real, 3), shape=(2, 3))
case("broadcast_to", of(real, 2, 1), shape=(4, 2, 3))
case("broadcast_to", of(real), shape=(2, 2))
case("slice", of(real, 4, 3), start=(3, 0), size=(2, 2), step=(-2, 1))
case("place", of(real, 2, 2), start=(3, 0), step=(-2, 1), shape=(4, 3))
case("concatenate", of(real, 2, 1), of(real, 2, 3), of(real, 2, 2), axis=1)
for _contract, _batch in (
    (((1,), (0,)), ((), ())),
    (((), ()), ((), ())),
    (((0,), (1,)), ((), ())),
    (((0, 1), (1, 0)), ((), ())),
):
    case("dot_general", of(real, 3, 3), of(real, 3, 3), contract=_contract, batch=_batch)
case("dot_general", of(real, 2, 4, 3), of(real, 3, 2, 5), contract=((2,), (0,)), batch=((0,), (1,)))
case("dot_general", of(real, 4, 2, 3), of(real, 5, 3, 2), contract=((), ()), batch=((2, 1), (1, 2)))

_rows = of(lambda *s: R.integers(0, 3, s), 2)
_columns = of(lambda *s: R.integers(0, 4, s), 3, 1)
case("gather", of(real, 3, 4), _rows, axes=(0,))
case("gather", of(real, 2, 4), _columns, axes=(1,))
case("gather", of(real, 3, 4), _rows, _columns, axes=(0, 1))
case("gather", of(real, 3, 2, 4), _rows, _columns, axes=(0, 2))
case("scatter_add", of(real, 2, 4), _rows, axes=(0,), shape=(3, 4))
case("scatter_add", of(real, 3, 1, 2), _columns, axes=(1,), shape=(2, 4))
case("scatter_add", of(real, 3, 2), _rows, _columns, axes=(0, 1), shape=(3, 4))
case("scatter", of(real, 3, 4), of(real, 2, 4), _rows, axes=(0,))
case("scatter", of(real, 3, 4), of(real, 3, 2), _rows, _columns, axes=(0, 1))
case("scatter", of(real, 2, 4), of(real, 3, 1, 2), _columns, axes=(1,))

for _name in ("reduce_sum", "reduce_prod", "reduce_max", "reduce_min"):
    for _axes, _keep in (((1,), False), ((0, 2), True), ((), False), ((0, 1, 2), False)):
        case(_name, of(real, 2, 3, 4), axes=_axes, keepdims=_keep)
for _name in ("reduce_and", "reduce_or"):
    case(_name, of(boolean, 2, 3), axes=(1,), keepdims=False)
for _name in ("cumsum", "cumprod", "cummax", "cummin"):
    case(_name, of(real, 2, 3), axis=1)
    case(_name, of(real, 2, 3), axis=0, reverse=True)
case("linear_recurrence", of(real, 2, 3), of(real, 2, 3), axis=1, reverse=False)
case("linear_recurrence", of(real, 3), of(real, 3), axis=0, reverse=True)
for _name in ("relu", "logistic", "gelu_tanh"):
    case(_name, of(real, 2, 3))
case("bitcast_convert_type", of(real, 3), dtype=np.dtype(np.int64))
case("split", of(real, 2, 3), sizes=(1, 2), axis=1)
for _name in ("softmax", "log_softmax", "logsumexp"):
    case(_name, of(real, 2, 3), axes=(1,))
    case(_name, of(real, 2, 3), axes=(0, 1))
WINDOW: dict[str, Any] = {"axis": 1, "width": 2, "stride": 1, "dilation": 1, "padding": (1, 0)}
case("reduce_window_sum", of(real, 2, 3), base=2, **WINDOW)
for _name in ("reduce_window_max", "reduce_window_min"):
    case(_name, of(real, 2, 3), **WINDOW)
case("select_and_gather", of(real, 2, 3), of(real, 2, 3), of(real, 2, 3), largest=True, **WINDOW)
case("select_and_scatter", of(real, 2, 3), of(real, 2, 3), of(real, 2, 3), largest=False, **WINDOW)


def convolution(lhs: tuple[int, ...], rhs: tuple[int, ...], features: int, batches: int) -> None:
    params = {"window_strides": (2,), "padding": ((1, 0),), "lhs_dilation": (1,), "rhs_dilation": (2,)}
    groups = {"feature_group_count": features, "batch_group_count": batches}
    case("conv_general_dilated", of(real, *lhs), of(real, *rhs), **params, **groups)


convolution((2, 2, 5), (3, 2, 2), 1, 1)
convolution((2, 4, 5), (6, 2, 2), 2, 1)
convolution((4, 2, 5), (6, 2, 2), 1, 2)
for _name in ("sort", "argmax", "argmin"):
    case(_name, of(real, 2, 3), axis=1)
    case(_name, of(real, 3), axis=0)
case("argsort", of(real, 2, 3), axis=0, stable=True)
for _side in ("left", "right"):
    case("searchsorted", lambda: np.sort(real(4)), of(real, 2, 3), side=_side)
    case("searchsorted", lambda: np.sort(real(4)), of(real), side=_side)

case("solve", spd, of(real, 2, 3))
case("solve", of(spd, 3), of(real, 1, 2, 1))
for _name in ("inv", "det", "slogdet", "cholesky"):
    case(_name, spd)
    case(_name, of(spd, 3))
case("det_derivative", spd, of(real, 2, 2))
case("norm2", of(real, 2, 3), axes=(1,), keepdims=False)
case("norm2", of(real, 2, 3), axes=(0, 1), keepdims=True)
for _name in ("eigh", "eigvalsh"):
    case(_name, spd, uplo="L")
for _name in ("eig", "eigvals"):
    case(_name, spd)
case("svd", of(real, 3, 2), full=False)
case("svdvals", of(real, 3, 2))
case("qr", of(real, 3, 2), complete=False)
case("pinv", of(real, 3, 2), lambda: np.array(1e-12))


@fg.custom_jvp
def _custom(x: Any, y: Any) -> Any:
    return x * np.sum(y)


_custom.defjvp(lambda p, t: (_custom(*p), t[0] * np.sum(p[1]) + p[0] * np.sum(t[1])))


def _scan(w: Any, c: Any, xs: Any) -> Any:
    return lax.scan(lambda c, x: (np.sin(w * c) + x, c * x), c, xs, reverse=True)


def _while(limit: Any, step: Any, x: Any) -> Any:
    return lax.while_loop(lambda s: np.sum(s[0]) < limit, lambda s: (s[0] + step, s[1] * s[0]), (x, x))


program_case("jit", fg.jit(lambda x, y: (x * y[0], np.sum(y))), of(real, 2), of(real, 2))
program_case("name", lambda x: fg.checkpoint_name(x, "a"), of(real, 2, 3))
program_case("checkpoint", fg.checkpoint(lambda x, y: (x * y[0], np.sum(y))), of(real, 2), of(real, 2))
program_case("custom_call", lambda x, y: _custom(x, y), of(real, 2), of(real, 3))
program_case(
    "cond",
    lambda p, x, y: lax.cond(p, lambda a, b: (a * b, b[0]), lambda a, b: (a - b, b[1]), x, y),
    of(boolean),
    of(real, 2),
    of(real, 2),
)
program_case("cond", lambda i, x: lax.switch(i, [np.sin, np.cos, lambda a: a**2], x), of(integer), of(real, 2))
program_case(
    "stand_in", lambda ps, x: fg.vmap(lambda p, x: lax.cond(p, np.sin, np.cos, x))(ps, x), of(boolean, 3), of(real, 3)
)
program_case("scan", _scan, of(real), of(real, 2), of(real, 3, 2))
program_case("while", _while, lambda: np.array(5.0) + real(), of(real, 2), of(real, 2))


# -------------------------------------------------------------------------------------------- every primitive


def _loop(fun: Callable[..., Any], args: Any, batched: Any, size: int) -> list[Any]:
    return [fun(*(x[i] if b else x for x, b in zip(args, batched, strict=True))) for i in range(size)]


# These have tests of their own.
_WITH_FUNCTIONS = {
    "weaken",
    "while_transpose",
    "custom_linear_solve",
    "custom_root",
    "custom_vmap",
    "guard",
    "debug_callback",
    "keep",
}


def test_there_is_a_case_for_every_primitive() -> None:
    special = {n for n, p in PRIMITIVES.items() if type(p.impl).__name__ == "ufunc" and n not in CASES}
    collectives = {n for n, p in PRIMITIVES.items() if p.collective is not None}  # test_collectives has them
    missing = set(PRIMITIVES) - set(CASES) - special - collectives - _WITH_FUNCTIONS
    assert not missing


def test_every_primitive_has_a_batching_rule() -> None:
    assert [n for n, p in PRIMITIVES.items() if p.batch is None] == []


@pytest.mark.parametrize("name", CASES)
def test_batching_rule_is_a_loop(name: str) -> None:
    for number, (fun, operands) in enumerate(CASES[name]):
        for batched in itertools.product((True, False), repeat=len(operands)):
            if not any(batched):
                continue
            for size in (3, 1, 0):
                _check_batch(f"{name}, case {number}, batched {batched}, {size} examples", fun, operands, batched, size)


def _check_batch(what: str, fun: Callable[..., Any], operands: Any, batched: Any, size: int) -> None:
    args = [_batch_of(make, size) if b else make() for make, b in zip(operands, batched, strict=True)]
    axes = tuple(0 if b else None for b in batched)
    found = fg.vmap(fun, in_axes=axes)(*args)
    like = fun(*(make() for make in operands))
    rows = [fg.tree.leaves(r) for r in _loop(fun, args, batched, size)]
    for i, (have, one) in enumerate(zip(fg.tree.leaves(found), fg.tree.leaves(like), strict=True)):
        assert have.shape == (size, *np.shape(one)), f"{what}: {have.shape}"
        assert have.dtype == np.asarray(one).dtype, f"{what}: {have.dtype}"
        for j, row in enumerate(rows):
            np.testing.assert_allclose(have[j], row[i], rtol=1e-12, atol=1e-14, err_msg=what)


def _batch_of(make: Callable[[], np.ndarray], size: int) -> np.ndarray:
    one = make()
    return np.stack([make() for _ in range(size)]) if size else np.zeros((0, *one.shape), one.dtype)


@pytest.mark.parametrize("name", [n for n in CASES if n not in ("eig", "eigvals", "nextafter", "while")])
def test_batch_of_gradients_is_a_loop(name: str) -> None:
    """Rules of derivatives are made of primitives, which are batched in their turn."""
    for number, (fun, operands) in enumerate(CASES[name]):
        args = [_batch_of(make, 2) for make in operands]
        moving = [i for i, x in enumerate(args) if x.dtype.kind == "f"]
        outs = fg.tree.leaves(fun(*(x[0] for x in args)))
        if not moving or not any(np.asarray(o).dtype.kind in "fc" for o in outs):
            continue

        def loss(*xs: Any, fun: Any = fun) -> Any:
            floats = [np.real(o) for o in fg.tree.leaves(fun(*xs)) if o.dtype.kind in "fc"]
            return sum(np.sum(np.sin(o)) for o in floats)

        for gradient in (fg.grad(loss, moving), lambda *xs: fg.jvp(loss, xs, _directions(xs))[1]):
            found = fg.tree.leaves(fg.vmap(gradient)(*args))
            for i, row in enumerate(_loop(gradient, args, [True] * len(args), 2)):
                for have, want in zip(found, fg.tree.leaves(row), strict=True):
                    np.testing.assert_allclose(have[i], want, rtol=1e-10, atol=1e-12, err_msg=f"{name}, case {number}")


def _directions(xs: Any) -> tuple[Any, ...]:
    return tuple(x * 0.5 if x.dtype.kind == "f" else None for x in xs)


# ---------------------------------------------------------------------------------------------- axes, in and out


def test_axes_in_and_out(rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 3, 4))
    for i, o in itertools.product(range(-3, 3), range(-2, 2)):
        found = fg.vmap(lambda a: np.sin(a[0]), in_axes=i, out_axes=o)(x)
        want = np.stack([np.sin(np.take(x, j, i)[0]) for j in range(x.shape[i])], o)
        np.testing.assert_array_equal(found, want, err_msg=f"in_axes={i}, out_axes={o}")


def test_axes_by_prefix(rng: np.random.Generator) -> None:
    p = {"w": rng.normal(size=(2, 5)), "b": [rng.normal(size=5), rng.normal(size=(3,))]}
    x = rng.normal(size=(5, 2))

    def f(p: Any, x: Any) -> Any:
        return {"y": (p["w"] * x, p["b"][0]), "n": p["b"][1]}

    axes: Any = ({"w": 1, "b": [0, None]}, 0)
    outs: Any = {"y": (1, 0), "n": None}
    found = fg.vmap(f, in_axes=axes, out_axes=outs)(p, x)
    np.testing.assert_array_equal(found["y"][0], p["w"] * x.T)
    np.testing.assert_array_equal(found["y"][1], p["b"][0])
    np.testing.assert_array_equal(found["n"], p["b"][1])
    same = fg.vmap(f, in_axes=axes, out_axes={"y": 0, "n": 0})(p, x)
    np.testing.assert_array_equal(same["n"], np.broadcast_to(p["b"][1], (5, 3)))
    np.testing.assert_array_equal(same["y"][0], p["w"].T * x)


def test_none_for_a_whole_argument_that_is_no_array() -> None:
    found = fg.vmap(lambda x, options: x * options["scale"], in_axes=(0, None))(
        np.arange(3.0), {"scale": 2, "name": "f"}
    )
    np.testing.assert_array_equal(found, [0.0, 2.0, 4.0])


def test_named_arguments_are_mapped_over_their_first_axis() -> None:
    np.testing.assert_array_equal(fg.vmap(lambda x, y: x * y[0])(np.arange(3.0), y=np.ones((3, 2))), np.arange(3.0))


def test_axis_size() -> None:
    np.testing.assert_array_equal(fg.vmap(lambda: np.ones(2), axis_size=3)(), np.ones((3, 2)))
    np.testing.assert_array_equal(fg.vmap(lambda x: x * 2, in_axes=None, axis_size=2)(3.0), [6.0, 6.0])
    assert fg.vmap(lambda x: x, axis_size=3)(np.ones((3, 2))).shape == (3, 2)


def test_nested(rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(2, 3)), rng.normal(size=(4, 3))
    table = fg.vmap(lambda x: fg.vmap(lambda y: np.dot(x, y) * x[0])(b))(a)
    np.testing.assert_allclose(table, (a @ b.T) * a[:, :1])
    cube = fg.vmap(fg.vmap(fg.vmap(lambda x, y: x - y, (0, None)), (None, 0), 1), 0)(np.ones((2, 3)), np.ones((2, 4)))
    assert cube.shape == (2, 3, 4)


def test_index_by_an_example() -> None:
    """Indices that are traced, beside ones that are not."""
    x = np.arange(24.0).reshape(2, 3, 4)
    i = np.array([2, 0])
    np.testing.assert_array_equal(fg.vmap(lambda a, j: a[j, 1:])(x, i), np.stack([x[0, 2, 1:], x[1, 0, 1:]]))
    np.testing.assert_array_equal(
        fg.vmap(lambda j: fg.at(x)[:, j, ::2].get())(i), np.stack([x[:, 2, ::2], x[:, 0, ::2]])
    )
    np.testing.assert_array_equal(fg.vmap(lambda a: fg.at(np.zeros(3))[a].set(1.0))(i), np.eye(3)[i])


def test_results_are_their_own() -> None:
    x, w = np.arange(3.0), np.ones(2)
    for fun in (lambda a: a, lambda a: w, lambda a: (a, a)[0], lambda a: np.reshape(a, (1,))):
        out = fg.vmap(fun)(x)
        out += 1.0
        np.testing.assert_array_equal(x, np.arange(3.0))
        np.testing.assert_array_equal(w, np.ones(2))


# -------------------------------------------------------------------------------------------------------- errors


def test_sizes_that_differ_are_named() -> None:
    with pytest.raises(ValueError) as info:
        fg.vmap(lambda x, d: x)(np.ones(3), {"k": np.ones((4, 2))})
    text = str(info.value)
    assert "argument 0 (x) has size 3 along axis 0" in text and "argument 1 (d)['k'] has size 4 along axis 0" in text
    with pytest.raises(ValueError, match="axis_size is 5"):
        fg.vmap(lambda x: x, axis_size=5)(np.ones(3))


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: fg.vmap(np.sin)(2.0), ValueError, r"argument 0 \(x\) is float, which has no axis 0"),
        (lambda: fg.vmap(np.sin, in_axes=2)(np.ones((2, 2))), ValueError, "no axis 2"),
        (lambda: fg.vmap(np.sin, in_axes=-3)(np.ones((2, 2))), ValueError, "no axis -3"),
        (lambda: fg.vmap(np.sin, in_axes="a")(np.ones(2)), TypeError, "in_axes must be integers or None"),
        (lambda: fg.vmap(np.sin, in_axes=None)(np.ones(2)), ValueError, "give axis_size"),
        (lambda: fg.vmap(lambda x, y: x, in_axes=(0,))(np.ones(2), 1.0), ValueError, "in_axes"),
        (lambda: fg.vmap(np.sin, out_axes=None)(np.ones(2)), ValueError, "depends on the example"),
        (lambda: fg.vmap(np.sin, out_axes=2)(np.ones((2, 1))), ValueError, "cannot get a batch axis at 2"),
        (lambda: fg.vmap(lambda x: 1.0, out_axes=1)(np.ones(2)), ValueError, "cannot get a batch axis at 1"),
        (lambda: fg.vmap(lambda x: {"a": x}, out_axes={"b": 0})(np.ones(2)), ValueError, "out_axes"),
        (lambda: fg.vmap(lambda x: "text")(np.ones(2)), TypeError, "output is a str"),
        (lambda: fg.vmap(np.sin)("text"), TypeError, r"argument 0 \(x\) is a str"),
        (lambda: fg.vmap(3), TypeError, "takes a function"),  # type: ignore[arg-type]
    ],
)
def test_errors(call: Callable[[], Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        call()


def test_control_flow_on_an_example_is_refused() -> None:
    with pytest.raises(TypeError, match="every example"):
        fg.vmap(lambda x: x if x > 0 else -x)(np.ones(3))


# --------------------------------------------------------------------------------------------------- derivatives


def _network(p: Any, x: Any) -> Any:
    h = np.tanh(x @ p["w1"] + p["b1"])
    return np.sum(np.sort(h) * p["w2"]) + np.max(h)


def test_gradients_per_example_are_a_loop(rng: np.random.Generator) -> None:
    p = {"w1": rng.normal(size=(3, 4)), "b1": rng.normal(size=4), "w2": rng.normal(size=4)}
    xs = rng.normal(size=(5, 3))
    found = fg.vmap(fg.grad(_network), in_axes=(None, 0))(p, xs)
    for i, x in enumerate(xs):
        one = fg.grad(_network)(p, x)
        for k in p:
            np.testing.assert_allclose(found[k][i], one[k], rtol=1e-12, atol=1e-14)
    total = fg.grad(lambda p: np.sum(fg.vmap(_network, (None, 0))(p, xs)))(p)
    for k in p:
        np.testing.assert_allclose(np.sum(found[k], 0), total[k], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("jacobian", [fg.jacfwd, fg.jacrev, fg.hessian])
def test_jacobians_per_example(jacobian: Any, rng: np.random.Generator) -> None:
    xs = rng.normal(size=(3, 2))
    f = jacobian(lambda x: np.sin(x) * x[::-1])
    np.testing.assert_allclose(fg.vmap(f)(xs), np.stack([f(x) for x in xs]), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(
        fg.vmap(f, in_axes=1, out_axes=-1)(xs.T), np.stack([f(x) for x in xs], -1), rtol=1e-12, atol=1e-14
    )


def test_batch_of_directions_and_of_pullbacks(rng: np.random.Generator) -> None:
    x, ts = rng.normal(size=3), rng.normal(size=(4, 3))
    out, tangents = fg.vmap(lambda t: fg.jvp(np.sin, (x,), (t,)), out_axes=(None, 0))(ts)
    np.testing.assert_array_equal(out, np.sin(x))
    np.testing.assert_allclose(tangents, ts * np.cos(x))
    _, pullback = fg.vjp(lambda a, b: {"p": a * b}, x, 2.0)
    a, b = fg.vmap(pullback)({"p": ts})
    np.testing.assert_allclose(a, 2 * ts)
    np.testing.assert_allclose(b, ts @ x)


def test_python_scalars(rng: np.random.Generator) -> None:
    """The derivative by a Python number is one of a batch as well."""
    xs = rng.normal(size=3)
    np.testing.assert_allclose(fg.vmap(lambda t: fg.grad(lambda x: x * t * x)(2.0))(xs), 4 * xs)
    np.testing.assert_allclose(fg.vmap(lambda t: fg.jvp(lambda x: x**3, (2.0,), (t,))[1])(xs), 12 * xs)
    assert fg.vmap(lambda x: x * 2.0)(np.float32(xs)).dtype == np.float32


def test_examples_of_no_kind_whatever() -> None:
    """No examples: shapes are right, and gradients are zero."""
    none = np.zeros((0, 3))
    assert fg.vmap(fg.grad(lambda x: np.sum(np.sin(x))))(none).shape == (0, 3)
    assert fg.vmap(fg.hessian(lambda x: np.sum(x**3)))(none).shape == (0, 3, 3)
    w = fg.grad(lambda w: np.sum(fg.vmap(lambda x: x * w)(none)))(np.ones(3))
    np.testing.assert_array_equal(w, np.zeros(3))
