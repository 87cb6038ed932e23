"""`config.dtype_promotion = "strict"`: operands of different dtypes raise where they meet, in the user's code only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import funcgrad.numpy as fnp
from funcgrad import Array, config, grad, jit, jvp, lax, value_and_grad, vmap
from funcgrad.core import Tracer
from funcgrad.errors import DTypePromotionError

X = np.array([0.5, 1.0, 2.0], np.float32)
WIDE = np.ones(3)
COUNTS = np.array([1, 2, 3])


@pytest.fixture(autouse=True)
def _strict() -> Iterator[None]:
    config.dtype_promotion = "strict"
    yield
    config.dtype_promotion = "standard"


def in_place(x: Any) -> Any:
    y = x * 1
    y += WIDE
    return y


MEETING: dict[str, Callable[[Any], Any]] = {
    "a NumPy scalar": lambda x: x / np.sqrt(8),
    "from the left": lambda x: np.float64(2) * x,
    "an array": lambda x: x + WIDE,
    "an array from the left": lambda x: WIDE - x,
    "integers": lambda x: x * COUNTS,
    "a ufunc": lambda x: np.arctan2(x, WIDE),
    "a power": lambda x: x**COUNTS,
    "a comparison": lambda x: np.where(x > WIDE, x, 0.0),
    "where": lambda x: np.where(x > 1.0, x, WIDE),
    "matmul": lambda x: x @ WIDE,
    "dot": lambda x: x.dot(WIDE),
    "concatenate": lambda x: np.concatenate([x, WIDE]),
    "stack": lambda x: np.stack([x, WIDE]),
    "einsum": lambda x: np.einsum("i,i->i", x, WIDE),
    "outer": lambda x: np.multiply.outer(x, WIDE),
    "a method": lambda x: x.clip(0.0, max=WIDE),
    "in place": in_place,
    "funcgrad.numpy.add": lambda x: fnp.add(x, WIDE),
    "funcgrad.numpy.where": lambda x: fnp.where(x > 1.0, x, WIDE),
    "funcgrad.numpy.stack": lambda x: fnp.stack([x, WIDE]),
}

APART: dict[str, Callable[[Any], Any]] = {
    "Python's numbers": lambda x: (2 * x + 1.5) ** 2 / 3,
    "booleans": lambda x: x * (x > 1.0),
    "indices": lambda x: np.take(x, COUNTS - 1) + x[COUNTS - 1],
    "a dtype that is asked for": lambda x: np.add(x, WIDE, dtype=np.float32),
    "funcgrad.numpy": lambda x: fnp.where(fnp.isfinite(x), fnp.clip(x, 0.0, 9.0), 0.0) * fnp.std(x),
    "its own": lambda x: np.float32(2) * x + WIDE.astype(np.float32),
    "means": lambda x: x - np.mean(x) / np.std(x),
    "norms": lambda x: x / np.linalg.norm(x),
    "repeat": lambda x: np.repeat(x, COUNTS),
    "a loop": lambda x: lax.fori_loop(0, 3, lambda i, c: c * 0.5 + x, x),
}

TRANSFORMS: dict[str, Callable[[Any], Any]] = {
    "grad": lambda f: grad(lambda x: np.sum(f(x))),
    "jvp": lambda f: lambda x: jvp(f, (x,), (x,)),
    "jit": jit,
    "vmap": lambda f: lambda x: vmap(f)(x[None]),
    "jit of grad": lambda f: jit(grad(lambda x: np.sum(f(x)))),
    "grad of grad": lambda f: grad(lambda x: np.sum(grad(lambda x: np.sum(f(x)))(x))),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("name", MEETING)
def test_where_they_meet(name: str, transform: str) -> None:
    fun = MEETING[name]
    with pytest.raises(DTypePromotionError, match="strict") as caught:
        TRANSFORMS[transform](fun)(X)
    text = str(caught.value)
    assert "f32[3]" in text and "astype" in text
    line = fun.__code__.co_firstlineno + (2 if fun is in_place else 0)
    assert f"test_dtype_promotion.py:{line} " in text, text


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("name", APART)
def test_what_does_not_meet(name: str, transform: str) -> None:
    out = TRANSFORMS[transform](APART[name])(X)
    for leaf in out if isinstance(out, tuple) else [out]:
        assert leaf.dtype == np.float32


@pytest.mark.parametrize("name", MEETING)
def test_standard_promotion_is_numpys(name: str) -> None:
    config.dtype_promotion = "standard"
    fun = MEETING[name]
    assert jit(fun)(X).dtype == fun(X).dtype
    assert value_and_grad(lambda x: np.sum(fun(x)))(X)[1].dtype == np.float32


def test_the_remedy_works() -> None:
    assert grad(lambda x: np.sum(x / float(np.sqrt(8))))(X).dtype == np.float32


@pytest.mark.parametrize("scalar", [np.int64(3), np.float64(0.5), np.complex128(2)])
def test_the_remedy_for_a_scalar_is_a_python_number_of_its_kind(scalar: Any) -> None:
    x = np.ones(3, {"i": np.int32, "f": np.float32, "c": np.complex64}[scalar.dtype.kind])
    with pytest.raises(DTypePromotionError) as caught:
        jit(lambda x: x * scalar)(x)
    remedy = str(caught.value).split("write instead: ")[1].split(",")[0]
    assert jit(lambda x: x * eval(remedy))(x).dtype == x.dtype


def test_switching_leaves_nothing_behind() -> None:
    config.dtype_promotion = "standard"
    before = {name: getattr(Tracer, name) for name in ("__add__", "__array_ufunc__", "__array_function__", "dot")}
    config.dtype_promotion = "strict"
    config.dtype_promotion = "strict"
    assert all(getattr(Tracer, name) is not method for name, method in before.items())
    config.dtype_promotion = "standard"
    assert all(getattr(Tracer, name) is method for name, method in before.items())
    with pytest.raises(ValueError, match="standard"):
        config.dtype_promotion = "loose"
    config.update("dtype_promotion", "standard")


RANKS: dict[str, Callable[[Any, Any], Any]] = {
    "an operator": lambda x, y: x + y,
    "from the left": lambda x, y: y * x,
    "a ufunc": lambda x, y: np.maximum(x, y),
    "a function": lambda x, y: fnp.add(x, y),
    "a comparison": lambda x, y: x < y,
}
SAME: dict[str, Callable[[Any, Any], Any]] = {
    "an axis more": lambda x, y: x[None] + y,
    "numbers": lambda x, y: np.sum(x) * y + 1.0,
    "a product": lambda x, y: y @ x,
    "a choice": lambda x, y: np.where(x > 0, y, 0.0),
    "a mean": lambda x, y: np.mean(y, axis=0) - x,
}


@pytest.mark.parametrize("wrap", [lambda f: f, jit, lambda f: lambda x, y: jvp(f, (x, y), (x, y))])
def test_ranks(wrap: Callable[..., Any]) -> None:
    x, y = fnp.ones(3), fnp.ones((2, 3))
    config.dtype_promotion, config.rank_promotion = "standard", "raise"
    try:
        for f in RANKS.values():
            with pytest.raises(ValueError, match=r"operands of shapes .*\(2, 3\).* differ in their number of dim"):
                wrap(f)(x, y)
        for f in SAME.values():
            wrap(f)(x, y)
        config.rank_promotion = "warn"
        with pytest.warns(UserWarning, match="differ in their number of dimensions"):
            assert wrap(RANKS["an operator"])(x, y) is not None
    finally:
        config.rank_promotion = "allow"
    assert wrap(RANKS["an operator"])(x, y) is not None and "__array_ufunc__" not in vars(Array)
    with pytest.raises(ValueError, match='"allow", "warn" or "raise"'):
        config.rank_promotion = "nonsense"


def test_arrays_of_funcgrad_numpy_are_checked_outside_of_transformations() -> None:
    x = fnp.ones(3)
    for f in (lambda: x + x.astype(np.float32), lambda: fnp.add(x, x.astype(np.float32)), lambda: np.sin(x) * COUNTS):
        with pytest.raises(DTypePromotionError):
            f()
    z = fnp.zeros(3)
    assert np.add(x, x, out=z) is z and z[0] == 2.0
    assert type(x) is type(x + 1.0) is type(np.sin(x))
