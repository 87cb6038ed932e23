"""What holds for every index, every broadcast, every reduction and every einsum, on randomly chosen ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from funcgrad import at, grad, jvp, make_ir, tree, vjp

shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def check(f: Callable[..., Any], *args: Any, ulps: float = 0) -> None:
    """The value is NumPy's, recorded or not; forward and reverse mode are transposes of each other."""
    want = f(*args)
    out, pullback = vjp(f, *args)
    tangents = tuple(numbers(*np.shape(x), seed=1 + i) for i, x in enumerate(args))
    value, tangent = jvp(f, args, tangents)
    (recorded,) = make_ir(f)(*args)(*args)
    for have in (out, value, recorded):
        assert (np.shape(have), have.dtype) == (np.shape(want), want.dtype)
        np.testing.assert_allclose(have, want, rtol=ulps * 2.3e-16, atol=ulps * 2.3e-16)
    ct = numbers(*np.shape(want), seed=9)
    grads = pullback(ct)
    assert [g.shape for g in grads] == [np.shape(x) for x in args]
    left = np.sum(ct * tangent)
    right = sum(np.sum(g * t) for g, t in zip(grads, tangents, strict=True))
    scale = 1 + np.sum(np.abs(ct * tangent)) + sum(np.sum(np.abs(g * t)) for g, t in zip(grads, tangents, strict=True))
    assert abs(left - right) <= 1e-13 * scale


# ---------------------------------------------------------------------------------------------------------- indices


@st.composite
def indices(draw: st.DrawFn, shape: tuple[int, ...]) -> Any:
    """An index of an array of this shape: any mixture of what NumPy allows."""
    dims = draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=1, max_side=3))
    items: list[Any] = []
    axis = 0
    while axis < len(shape):
        n = shape[axis]
        kinds = ["slice", "mask"] + ["integer", "array", "list"] * (n > 0) + ["plane"] * (axis + 1 < len(shape))
        kind = draw(st.sampled_from(kinds))
        axis += 1
        if kind == "slice":
            items.append(draw(st.slices(n)))
        elif kind == "integer":
            items.append(draw(st.integers(-n, n - 1)))
        elif kind == "array":
            items.append(draw(hnp.arrays(np.int64, dims, elements=st.integers(-n, n - 1))))
        elif kind == "list":
            items.append([draw(st.integers(-n, n - 1))])
        elif kind == "mask":
            items.append(draw(hnp.arrays(bool, (n,))))
        else:
            items.append(draw(hnp.arrays(bool, (n, shape[axis]))))
            axis += 1
    cut = draw(st.integers(0, len(items)))
    if draw(st.booleans()):
        items = items[:cut]
        if draw(st.booleans()):
            items.append(Ellipsis)
    for _ in range(draw(st.integers(0, 2))):
        items.insert(draw(st.integers(0, len(items))), draw(st.sampled_from([None, None, True])))
    return tuple(items)


@st.composite
def indexed(draw: st.DrawFn) -> tuple[np.ndarray, Any]:
    x = numbers(*draw(shapes))
    index = draw(indices(x.shape))
    try:
        x[index]
    except IndexError:  # arrays that do not broadcast
        assume(False)
    return x, index


@given(indexed())
@settings(max_examples=200)
def test_indexing(case: tuple[np.ndarray, Any]) -> None:
    x, index = case
    check(lambda x: x[index], x)
    want = np.zeros_like(x)
    np.add.at(want, index, 1.0)
    np.testing.assert_array_equal(grad(lambda x: np.sum(x[index]))(x), want)


@given(indexed(), st.booleans())
@settings(max_examples=200)
def test_updates(case: tuple[np.ndarray, Any], accumulate: bool) -> None:
    """`at(x)[index].set(v)` and `.add(v)` are what NumPy writes, also where an index occurs several times."""
    x, index = case
    values = numbers(*np.shape(x[index]), seed=5)
    want = np.array(x)
    if accumulate:
        np.add.at(want, index, values)
        out, pullback = vjp(lambda x, v: at(x)[index].add(v), x, values)
        np.testing.assert_allclose(out, want, rtol=1e-13, atol=1e-13)
    else:
        want[index] = values
        out, pullback = vjp(lambda x, v: at(x)[index].set(v), x, values)
        np.testing.assert_array_equal(out, want)
    grad_x, grad_v = pullback(np.ones_like(x))
    fun = (lambda x, v: at(x)[index].add(v)) if accumulate else (lambda x, v: at(x)[index].set(v))
    t_x, t_v = numbers(*x.shape, seed=6), numbers(*values.shape, seed=7)
    _, tangent = jvp(fun, (x, values), (t_x, t_v))
    assert math.isclose(np.sum(tangent), np.sum(grad_x * t_x) + np.sum(grad_v * t_v), abs_tol=1e-12)


# --------------------------------------------------------------------------------- broadcasting, shapes, reductions


@given(hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3))
def test_broadcasting(case: hnp.BroadcastableShapes) -> None:
    x, y, z = (numbers(*s, seed=i) for i, s in enumerate(case.input_shapes))
    check(lambda x, y, z: np.where(z > 0, x * y - z, np.sin(x) + y), x, y, z)
    check(lambda x: np.broadcast_to(x, case.result_shape), x)


@given(st.data())
def test_rearrangements(data: st.DataObject) -> None:
    x = numbers(*data.draw(shapes))
    order = data.draw(st.permutations(range(x.ndim)))
    check(lambda x: np.transpose(x, order), x)
    check(lambda x: np.ravel(np.transpose(x, order), "F"), x)
    axes = data.draw(st.lists(st.integers(-x.ndim, x.ndim - 1), max_size=3)) if x.ndim else []
    for axis in axes:
        check(lambda x, axis=axis: np.flip(np.roll(x, 2, axis), axis), x)
        check(lambda x, axis=axis: np.concatenate([x, np.repeat(x, 2, axis)], axis), x)


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "mean", "var", "median"])
@given(data=st.data())
@settings(max_examples=25)
def test_reductions(name: str, data: st.DataObject) -> None:
    x = numbers(*data.draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=3)))
    axis = data.draw(st.none() | hnp.valid_tuple_axes(x.ndim))
    keepdims = data.draw(st.booleans())
    assume(not (name == "median" and axis == ()))  # NumPy's own fails for it
    check(lambda x: getattr(np, name)(x, axis=axis, keepdims=keepdims), x)


# ------------------------------------------------------------------------------------------------------------ einsum


@st.composite
def contractions(draw: st.DrawFn) -> tuple[str, list[np.ndarray]]:
    """Subscripts of up to three operands, with repeated labels, and operands that fit."""
    sizes = {c: draw(st.integers(0 if c == "d" else 1, 3)) for c in "abcd"}
    terms = draw(st.lists(st.text("abcd", max_size=3), min_size=1, max_size=3))
    operands = [numbers(*(sizes[c] for c in term), seed=i) for i, term in enumerate(terms)]
    used = sorted(set("".join(terms)))
    result = "".join(draw(st.permutations(used)))[: draw(st.integers(0, len(used)))]
    return ",".join(terms) + ("->" + result if draw(st.booleans()) else ""), operands


@given(contractions())
@settings(max_examples=200)
def test_einsum(case: tuple[str, list[np.ndarray]]) -> None:
    spec, operands = case
    check(lambda *xs: np.einsum(spec, *xs), *operands, ulps=64)


@given(st.data())
def test_tensordot(data: st.DataObject) -> None:
    a, b = (numbers(*data.draw(hnp.array_shapes(max_dims=3, max_side=3, min_side=2)), seed=i) for i in range(2))
    pairs = [(i, j) for i in range(a.ndim) for j in range(b.ndim) if a.shape[i] == b.shape[j]]
    chosen: list[tuple[int, int]] = []
    for i, j in data.draw(st.permutations(pairs)):
        if data.draw(st.booleans()) and i not in [p for p, _ in chosen] and j not in [q for _, q in chosen]:
            chosen.append((i, j))
    axes = ([i for i, _ in chosen], [j for _, j in chosen])
    check(lambda a, b: np.tensordot(a, b, axes), a, b, ulps=64)


# ------------------------------------------------------------------------------------------------------ memory layout

LAYOUTS: dict[str, Callable[[np.ndarray], Any]] = {
    "Fortran order": np.asfortranarray,
    "transposed": lambda x: np.ascontiguousarray(x.T).T,
    "strided": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "reversed": lambda x: np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
    "read-only": lambda x: np.broadcast_to(x, x.shape),
    "other byte order": lambda x: x.astype(x.dtype.newbyteorder()),
    "unaligned": lambda x: np.frombuffer(b"0" + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape),
    "subclass": lambda x: x.view(type("Own", (np.ndarray,), {})),
}


def _everything(x: Any) -> Any:
    y = np.reshape(x, (-1, 2)) @ np.ones((2, 2))
    z = np.transpose(np.tanh(x))[1:, ::-1] * np.max(x, axis=0)[1:, None]
    return np.sum(y * y) + np.sum(z) + np.sum(np.sort(x, axis=0)[0] * np.cumsum(x, axis=1)[1]) + np.linalg.norm(x)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_memory_layout_does_not_matter(layout: Callable[[np.ndarray], Any]) -> None:
    x = numbers(2, 4)
    have = grad(_everything)(layout(x))
    np.testing.assert_allclose(have, grad(_everything)(x), rtol=1e-14)
    assert type(have) is np.ndarray
    assert have.flags.writeable


def test_an_order_that_depends_on_the_layout_is_refused() -> None:
    """A traced value has no layout, so that "A" and "K" would quietly be "C"."""
    for fun in (lambda x: np.ravel(x, order="K"), lambda x: np.reshape(x, -1, order="A"), lambda x: x.flatten("A")):
        with pytest.raises(ValueError, match="layout"):
            vjp(fun, np.ones((2, 3), order="F"))


@given(st.lists(st.sampled_from("edFD?il"), min_size=1, max_size=4), st.sampled_from([2, 2.5, 1j, True]))
@settings(max_examples=100)
def test_promotion_of_many_operands(codes: Sequence[str], scalar: Any) -> None:
    """Of functions that join, choose and add."""
    xs = [np.ones(2, c) for c in codes]
    for fun in (
        lambda *xs: np.concatenate(xs),
        lambda *xs: np.stack(xs),
        lambda *xs: np.where(np.array([True, False]), xs[0], scalar),
        lambda *xs: np.where(xs[0] != 0, xs[-1], xs[0]),
        lambda *xs: sum(xs[1:], xs[0] * scalar),
        lambda *xs: np.select([xs[0] != 0], [xs[-1]], scalar),
        lambda *xs: np.choose([0, 0], [*xs, scalar]),
    ):
        want = fun(*xs)
        out, _ = vjp(fun, *xs)
        aval = make_ir(fun)(*xs).out_avals[0]
        assert tree.leaves(out)[0].dtype == want.dtype == aval.dtype
