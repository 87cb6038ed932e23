"""Functions of the array API standard, each with calls, dtypes and shapes, for `test_array_api_values.py`."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

__all__ = ["BINARY", "DTYPES", "ROWS", "UNARY", "Row", "numbers", "special_values"]

DTYPES = {
    "b": [np.bool], "i": [np.int8, np.int64], "u": [np.uint16], "f": [np.float32, np.float64], "c": [np.complex64],
}  # fmt: skip
"""What stands for each kind."""

UNARY = {
    "abs": "fciu", "acos": "fc", "acosh": "fc", "asin": "fc", "asinh": "fc", "atan": "fc", "atanh": "fc",
    "bitwise_invert": "biu", "ceil": "fiu", "conj": "fciu", "cos": "fc", "cosh": "fc", "exp": "fc", "expm1": "fc",
    "floor": "fiu", "imag": "cfi", "isfinite": "fciub", "isinf": "fciu", "isnan": "fciu", "log": "fc", "log1p": "fc",
    "log2": "fc", "log10": "fc", "logical_not": "biuf", "negative": "fci", "positive": "fciu", "real": "cfi",
    "reciprocal": "fc", "round": "fciu", "sign": "fciu", "signbit": "f", "sin": "fc", "sinh": "fc", "square": "fciu",
    "sqrt": "fc", "tan": "fc", "tanh": "fc", "trunc": "fiu",
}  # fmt: skip
BINARY = {
    "add": "fciu", "atan2": "f", "bitwise_and": "biu", "bitwise_left_shift": "iu", "bitwise_or": "biu",
    "bitwise_right_shift": "iu", "bitwise_xor": "biu", "copysign": "f", "divide": "fc", "equal": "bfciu",
    "floor_divide": "fiu", "greater": "fiu", "greater_equal": "fiu", "hypot": "f", "less": "fiu", "less_equal": "fiu",
    "logaddexp": "f", "logical_and": "bfi", "logical_or": "bf", "logical_xor": "bf", "maximum": "fiu",
    "minimum": "fiu", "multiply": "fciu", "nextafter": "f", "not_equal": "bfciu", "pow": "fciu", "remainder": "fiu",
    "subtract": "fciu",
}  # fmt: skip


def special_values(dtype: Any) -> np.ndarray:
    """Where functions are special: both zeros, infinities, NaN, the ends of the range; of complex numbers, pairs."""
    d = np.dtype(dtype)
    if d.kind == "b":
        return np.array([True, False])
    if d.kind in "iu":
        info = np.iinfo(d)
        return np.unique(np.array([info.min, info.min + 1, 0, 1, 2, 5, info.max - 1, info.max], d))
    if d.kind == "c":
        parts = (0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan)
        return np.array([complex(a, b) for a in parts for b in parts], d)
    f = np.finfo(d)
    ends = [f.max, f.min, f.tiny, f.smallest_subnormal, f.eps, 1 + f.eps]
    return np.array([0, -0.0, 1, -1, 0.5, -0.5, 2, 3, -3, -2.5, np.pi, 100, np.inf, -np.inf, np.nan, *ends], d)


def numbers(dtype: Any, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Ordinary numbers."""
    rng, d = np.random.default_rng(seed), np.dtype(dtype)
    if d.kind in "biu":
        return rng.integers(*{"b": (0, 2), "u": (0, 9), "i": (-5, 9)}[d.kind], shape).astype(d)
    out = 3 * rng.normal(size=shape)
    return (out + 1j * rng.normal(size=shape) if d.kind == "c" else out).astype(d)


class Row(NamedTuple):
    """Calls of a function: each gets the namespace and one array of each of `shapes`, in each dtype of `kinds`."""

    name: str
    kinds: str
    shapes: tuple[Any, ...]
    calls: tuple[Callable[..., Any], ...]


ALL, NUMBERS, REAL = "biufc", "iufc", "iuf"
LINES = ((4,), (2, 3), (0,), (2, 0, 3))
FULL = ((4,), (2, 3), (3, 1, 2))
ANY = ((), *LINES)
PAIRS = (((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 1, 2, 3), (3, 3, 2)), ((0, 3), (3, 2)), ((2, 0), (0, 3)))
SAME = (((3,), (3,)), ((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 0), (0,)))
MATRICES = ((3, 3), (2, 3), (2, 4, 3), (0, 3, 3))
ROWS: list[Row] = []


def _row(name: str, kinds: str, shapes: Any, *calls: Callable[..., Any]) -> None:
    ROWS.append(Row(name, kinds, tuple(shapes), calls))


def _axes(name: str, part: str = "", **more: Any) -> tuple[Callable[..., Any], ...]:
    """A function along each of some axes, with and without keeping it."""

    def call(axis: Any, keepdims: bool) -> Callable[..., Any]:
        return lambda m, x: getattr(m, name)(x, axis=axis, keepdims=keepdims, **more)

    return tuple(call(axis, keep) for axis in (None, 0, -1, ()) for keep in (False, True) if axis != () or more == {})


# ------------------------------------------------------------------------------------------------ statistics, sorting

for _name in ("sum", "prod"):
    _row(_name, NUMBERS, LINES, *_axes(_name), lambda m, x, n=_name: getattr(m, n)(x, dtype=np.complex128))
for _name in ("max", "min"):
    _row(_name, REAL, FULL, *_axes(_name))
for _name in ("mean", "std", "var"):
    _row(_name, "f", FULL, *_axes(_name))
_row("var", "f", FULL, *(lambda m, x, c=c: m.var(x, axis=0, correction=c) for c in (0, 1, 0.5)))
_row("std", "f", ((4, 3),), lambda m, x: m.std(x, axis=-1, correction=1))
for _name in ("cumulative_sum", "cumulative_prod"):
    _row(
        _name,
        NUMBERS,
        LINES,
        *(lambda m, x, n=_name, i=i: getattr(m, n)(x, axis=-1, include_initial=i) for i in (0, 1)),
    )
    _row(_name, "iu", ((4,),), lambda m, x, n=_name: getattr(m, n)(x, dtype=np.float32))
for _name in ("all", "any", "count_nonzero"):
    _row(_name, ALL, ANY, *_axes(_name)[:4])
for _name in ("argmax", "argmin"):
    _row(_name, REAL, FULL, *(lambda m, x, n=_name, k=k: getattr(m, n)(x, axis=-1, keepdims=k) for k in (False, True)))
_row("sort", REAL, LINES, lambda m, x: m.sort(x), lambda m, x: m.sort(x, axis=0, stable=False))
_row("argsort", REAL, LINES, lambda m, x: m.argsort(x, stable=True), lambda m, x: m.argsort(x, axis=0, stable=True))
_row(
    "searchsorted", REAL, (((6,), ()), ((6,), (2, 2)), ((6,), (0,))),
    *(lambda m, x, v, s=s: m.searchsorted(m.sort(x), v, side=s) for s in ("left", "right")),
    lambda m, x, v: m.searchsorted(x, v, sorter=m.argsort(x, stable=True)),
)  # fmt: skip
for _name in ("unique_all", "unique_counts", "unique_inverse", "unique_values"):
    _row(_name, ALL, ANY, lambda m, x, n=_name: getattr(m, n)(x))
_row("nonzero", ALL, LINES, lambda m, x: m.nonzero(x))
_row("where", ALL, ANY, lambda m, x: m.where(x != 0, x, m.zeros_like(x)), lambda m, x: m.where(x == 0, 1, x))
_row("diff", NUMBERS, LINES, lambda m, x: m.diff(x), lambda m, x: m.diff(x, n=2, axis=0),
     lambda m, x: m.diff(x, prepend=x, append=x))  # fmt: skip
_row(
    "clip", REAL, (((2, 3), (3,)), ((3,), (2, 1)), ((0,), ()), ((), ())),
    lambda m, x, a: m.clip(x, a, None), lambda m, x, a: m.clip(x, max=a), lambda m, x, a: m.clip(x, a, a + a),
    lambda m, x, a: m.clip(x, 1, 3),
)  # fmt: skip

# --------------------------------------------------------------------------------------------- creation, manipulation

for _name in ("zeros_like", "ones_like"):
    _row(_name, ALL, ANY, lambda m, x, n=_name: getattr(m, n)(x, device="cpu"),
         lambda m, x, n=_name: getattr(m, n)(x, dtype=np.float32))  # fmt: skip
_row("full_like", ALL, ANY, lambda m, x: m.full_like(x, 1), lambda m, x: m.full_like(x, 2.5, dtype=np.float64))
_row("asarray", ALL, ANY, lambda m, x: m.asarray(x, copy=True), lambda m, x: m.asarray(x, dtype=np.complex128))
_row("astype", "biuf", ANY, *(lambda m, x, d=d: m.astype(x, d) for d in (np.bool, np.uint8, np.float32, np.complex64)))
_row("tril", ALL, MATRICES, lambda m, x: m.tril(x), lambda m, x: m.triu(x, k=1), lambda m, x: m.tril(x, k=-1))
_row(
    "meshgrid",
    NUMBERS,
    (((2,), (3,)),),
    *(lambda m, x, y, i=i: tuple(m.meshgrid(x, y, indexing=i)) for i in ("xy", "ij")),
)
_row("broadcast_to", ALL, ANY, lambda m, x: m.broadcast_to(x, (2, *x.shape)))
_row("broadcast_arrays", ALL, PAIRS[:2], lambda m, x, y: tuple(m.broadcast_arrays(x, y)))
_row("expand_dims", ALL, ANY, lambda m, x: m.expand_dims(x, axis=0), lambda m, x: m.expand_dims(x, axis=-1))
_row("squeeze", ALL, ANY, lambda m, x: m.squeeze(x[None, ..., None], axis=(0, -1)))
_row("flip", ALL, ANY, lambda m, x: m.flip(x), lambda m, x: m.flip(x, axis=-1) if x.ndim else x)
_row("roll", ALL, ANY, lambda m, x: m.roll(x, 2), lambda m, x: m.roll(x, (1, -1), axis=(0, -1)) if x.ndim > 1 else x)
_row(
    "reshape", ALL, LINES, lambda m, x: m.reshape(x, (x.size, 1), copy=True), lambda m, x: m.reshape(x, shape=(x.size,))
)
_row(
    "permute_dims",
    ALL,
    FULL,
    lambda m, x: m.permute_dims(x, tuple(range(x.ndim))[::-1]),
    lambda m, x: m.moveaxis(x, 0, -1),
)
_row("matrix_transpose", ALL, MATRICES, lambda m, x: m.matrix_transpose(x), lambda m, x: x.mT, lambda m, x: x.T)
_row("concat", ALL, (((2, 3), (2, 3)), ((3,), (3,))), lambda m, x, y: m.concat((x, y)),
     lambda m, x, y: m.concat((x, y), axis=None), lambda m, x, y: m.stack((x, y), axis=-1))  # fmt: skip
_row("unstack", ALL, FULL, lambda m, x: tuple(m.unstack(x, axis=-1)))
_row("repeat", ALL, LINES, lambda m, x: m.repeat(x, 2, axis=-1), lambda m, x: m.repeat(x, 3))
_row("tile", ALL, ANY, *(lambda m, x, r=r: m.tile(x, r) for r in ((), (2,), (2, 1, 2), (0,))))
_row("take", ALL, FULL, lambda m, x: m.take(x, m.asarray([0, -1, 0]), axis=-1),
     lambda m, x: m.take_along_axis(x, m.zeros_like(x, dtype=np.int64), axis=0))  # fmt: skip
_row("finfo", "fc", ((2,),), lambda m, x: np.float64(m.finfo(x.dtype).eps), lambda m, x: m.isdtype(x.dtype, "numeric"))
_row("result_type", ALL, (((2,), (2,)),), lambda m, x, y: m.zeros(1, dtype=m.result_type(x, y, np.int16)),
     lambda m, x, y: np.bool(m.can_cast(x, np.float32)))  # fmt: skip

# -------------------------------------------------------------------------------------------------- linear algebra, fft

_row("matmul", NUMBERS, PAIRS, lambda m, x, y: m.matmul(x, y), lambda m, x, y: x @ y)
_row("vecdot", NUMBERS, SAME, lambda m, x, y: m.vecdot(x, y), lambda m, x, y: m.linalg.vecdot(x, y, axis=-1))
_row(
    "tensordot",
    NUMBERS,
    (((3, 3), (3, 3)),),
    *(lambda m, x, y, a=a: m.tensordot(x, y, axes=a) for a in (0, 1, 2, ((0,), (1,)))),
)
_row("outer", NUMBERS, (((3,), (2,)),), lambda m, x, y: m.linalg.outer(x, y))
_row("cross", NUMBERS, (((3,), (3,)), ((2, 1, 3), (4, 3))), lambda m, x, y: m.linalg.cross(x, y))
_row("diagonal", NUMBERS, MATRICES, *(lambda m, x, k=k: m.linalg.diagonal(x, offset=k) for k in (0, 1, -1)))
_row(
    "trace",
    NUMBERS,
    MATRICES,
    lambda m, x: m.linalg.trace(x),
    lambda m, x: m.linalg.trace(x, offset=1, dtype=np.complex128),
)
_SQUARE = ((1, 1), (3, 3), (2, 3, 3), (0, 2, 2), (2, 0, 0))


def _positive(m: Any, x: Any) -> Any:
    return x @ x.mT.conj() + m.eye(x.shape[-1], dtype=x.dtype)


for _name in ("det", "inv", "eigvalsh", "svdvals"):
    _row(_name, "fc", _SQUARE, lambda m, x, n=_name: getattr(m.linalg, n)(_positive(m, x)))
_row("slogdet", "fc", _SQUARE, lambda m, x: tuple(m.linalg.slogdet(_positive(m, x))))
_row("cholesky", "f", _SQUARE, *(lambda m, x, u=u: m.linalg.cholesky(_positive(m, x), upper=u) for u in (False, True)))
_row("eigh", "fc", _SQUARE, lambda m, x: m.linalg.eigh(_positive(m, x)).eigenvalues)
_row(
    "matrix_power", "f", _SQUARE, *(lambda m, x, k=k: m.linalg.matrix_power(_positive(m, x), k) for k in (0, 1, 3, -1))
)
_row("solve", "fc", (((3, 3), (3,)), ((2, 3, 3), (3, 2)), ((2, 3, 3), (3,)), ((3, 3), (2, 3, 1))),
     lambda m, x, y: m.linalg.solve(_positive(m, x), y))  # fmt: skip
_row(
    "qr", "f", (*FULL[1:], (3, 2)), *(lambda m, x, o=o: tuple(m.linalg.qr(x, mode=o)) for o in ("reduced", "complete"))
)
_row("svd", "fc", MATRICES, *(lambda m, x, f=f: m.linalg.svd(x, full_matrices=f).S for f in (False, True)))
_row("pinv", "fc", MATRICES, lambda m, x: m.linalg.pinv(x), lambda m, x: m.linalg.pinv(x, rtol=0.2))
_row(
    "matrix_rank", "fc", MATRICES, lambda m, x: m.linalg.matrix_rank(x), lambda m, x: m.linalg.matrix_rank(x, rtol=0.3)
)
_row("matrix_norm", "fc", MATRICES[:3], *(lambda m, x, o=o: m.linalg.matrix_norm(x, ord=o, keepdims=True)
                                          for o in ("fro", "nuc", 1, 2, -1, -2, np.inf, -np.inf)))  # fmt: skip
_row("vector_norm", "fc", ((4,), (2, 3), ()), *(lambda m, x, o=o: m.linalg.vector_norm(x, ord=o)
                                                for o in (0, 1, 2, 3, -1, 0.5, np.inf, -np.inf)))  # fmt: skip
_row("vector_norm", "fc", ((2, 3), (2, 3, 4)), lambda m, x: m.linalg.vector_norm(x, axis=(0, 1), keepdims=True))
for _name in ("fft", "ifft", "hfft", "irfft"):
    _row(f"fft.{_name}", "fc", ((5,), (3, 4)), lambda m, x, n=_name: getattr(m.fft, n)(x, norm="ortho"),
         lambda m, x, n=_name: getattr(m.fft, n)(x, n=3, axis=0))  # fmt: skip
for _name in ("fftn", "ifftn", "irfftn"):
    _row(f"fft.{_name}", "fc", ((5, 4), (3, 4, 2)), lambda m, x, n=_name: getattr(m.fft, n)(x, norm="forward"),
         lambda m, x, n=_name: getattr(m.fft, n)(x, s=(3, 4), axes=(0, 1)))  # fmt: skip
for _name in ("rfft", "ihfft", "rfftn"):
    _row(f"fft.{_name}", "f", ((5,), (3, 4)), lambda m, x, n=_name: getattr(m.fft, n)(x))
_row("fft.fftshift", "fc", ((5,), (3, 4)), lambda m, x: m.fft.fftshift(x), lambda m, x: m.fft.ifftshift(x, axes=0))

# ------------------------------------------------------------------------------------------------ arrays: their methods

_OPERATORS = {
    "add": NUMBERS, "sub": NUMBERS, "mul": NUMBERS, "truediv": "fc", "floordiv": REAL, "mod": REAL, "and_": "biu",
    "or_": "biu", "xor": "biu", "lt": REAL, "ge": REAL, "eq": ALL, "ne": ALL,
}  # fmt: skip


def _in_place(f: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    return lambda m, x, y: f(m.asarray(x, copy=True), y)


for _name, _kinds in _OPERATORS.items():
    _f = getattr(operator, _name)
    _row(f"x {_name} y", _kinds, (((2, 3), (3,)), ((), ()), ((0,), (1,))), lambda m, x, y, f=_f: f(x, y),
         lambda m, x, y, f=_f: f(x, True), lambda m, x, y, f=_f: f(True, x))  # fmt: skip
    if f"i{_name.strip('_')}" in dir(operator):
        _row(
            f"x {_name}= y", _kinds, (((2, 3), (3,)), ((3,), ())), _in_place(getattr(operator, f"i{_name.strip('_')}"))
        )
_row(
    "x op number",
    "fc",
    ANY,
    lambda m, x: x + 2,
    lambda m, x: 1.5 - x,
    lambda m, x: x * 2.5,
    lambda m, x: 2 / (x + 9),
    lambda m, x: x**2,
)
_row("complex op number", "c", ANY, lambda m, x: x + (1 + 2j), lambda m, x: x ** (1 + 2j))
_row("unary", NUMBERS, ANY, lambda m, x: -x, lambda m, x: +x, lambda m, x: abs(x))
_row("invert", "biu", ANY, lambda m, x: ~x)
_INDICES: tuple[Any, ...] = (
    0, slice(None, None, -1), None, ..., (..., 0), (slice(None), 1), (1, slice(0, 0)), (), (0, 1),
    np.array([0, 1, 0]), (np.array([[0], [1]]), np.array([0, 1])), (slice(None), np.array([2, -1])),
    np.array([True, False, True]), (0, np.array([0, 1])),
)  # fmt: skip


def _set(index: Any) -> Callable[..., Any]:
    def call(m: Any, x: Any) -> Any:
        y = m.asarray(x, copy=True)
        y[index] = x.dtype.type(1)
        return y

    return call


_row("x[i]", ALL, ((3, 4),), *(lambda m, x, i=i: x[i] for i in _INDICES), lambda m, x: x[x != 0])
_row("x[i] = y", ALL, ((3, 4),), *map(_set, _INDICES))
_row("x[()]", ALL, ((),), lambda m, x: x[()], lambda m, x: x[None], lambda m, x: x[..., None])
_row("bool(x)", ALL, ((),), lambda m, x: np.bool(bool(x)), lambda m, x: np.complex128(complex(x)))
_row("int(x)", "biuf", ((),), lambda m, x: np.int64(int(x)), lambda m, x: np.float64(float(x)))
_row("range(x)", "iu", ((),), lambda m, x: np.int64(operator.index(x)), lambda m, x: np.int64(range(-9, 20)[x]))
