"""Random programs of all dtypes, with control flow, writes, derivatives, batches, branches, warnings and errors.

A program is a list of random numbers; what they choose depends on shapes and dtypes alone, so that it is the same
whenever the function is run. Every value has a *rounding*: 0 where it has to be the same bit for bit, else the largest
spacing of the dtypes in which it was rounded in a way that an implementation may choose (sums, elementary functions).
What jumps (comparisons, casts to integers, places of extrema) is done with exact values only.
"""

from __future__ import annotations

import operator
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import funcgrad as fg
from funcgrad import debug, lax

__all__ = ["Drawn", "draw"]

Function = Callable[..., Any]

SIZES = (0, 1, 1, 2, 3, 4, 5, 7, 8, 9, 12, 17, 33)
DTYPES = ("f8", "f8", "f8", "f4", "f4", "f2", "c16", "c8", "i8", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?")
MANY = 3000
"""Elements, of which no value has more."""

FLOAT: list[Function] = [
    np.negative, np.abs, np.square, lambda x: x * 0.5, lambda x: x + 1, lambda x: 1 - x, lambda x: x / 3, np.conj,
    lambda x: 1.5 / x, lambda x: x.real, lambda x: x.imag, lambda x: x * x - x, np.positive,
]  # fmt: skip
"""Of real and complex numbers, exact."""
REAL: list[Function] = [
    lambda x: np.sqrt(np.abs(x)), np.sqrt, np.reciprocal, lambda x: np.copysign(x, -1.0), lambda x: np.clip(x, -1, 0.7),
    lambda x: np.maximum(x, 0), lambda x: np.nan_to_num(x), lambda x: np.where(x > 0, x, 0.25 * x),
    lambda x: np.fmin(x, 0.3), lambda x: np.nextafter(x, 1), lambda x: np.ldexp(x, 2),
]  # fmt: skip
"""Of real numbers, exact."""
JUMPS: list[Function] = [
    np.floor, np.rint, np.sign, np.trunc, np.ceil, lambda x: x > 0.1, np.isnan, np.isfinite, np.signbit, np.isinf,
    lambda x: np.heaviside(x, 0.5), lambda x: x == np.floor(x), lambda x: np.round(x, 1), np.spacing,
    lambda x: x % 1, lambda x: x // 2, lambda x: np.fmod(x, 0.7), lambda x: np.modf(x)[0],
    lambda x: np.frexp(x)[1], lambda x: np.frexp(x)[0], lambda x: np.divmod(x, 0.7)[1],
]  # fmt: skip
WHOLE: list[Function] = [
    np.negative, np.abs, np.square, np.invert, np.sign, lambda x: x + 3, lambda x: x * 7, lambda x: x // 3,
    lambda x: x % 5, lambda x: x << 2, lambda x: x >> 1, lambda x: x & 5, lambda x: x ^ 3, lambda x: 7 // x,
    lambda x: 7 % x, lambda x: x > 2, lambda x: x**2, lambda x: np.bitwise_count(x), lambda x: x | 1, lambda x: 1 << x,
    lambda x: np.clip(x, 1, 9), lambda x: x / 2, lambda x: 3 - x,
]  # fmt: skip
TRUTH: list[Function] = [np.logical_not, operator.invert, lambda x: x & True, lambda x: x + 1, lambda x: x * 2.5]
CURVED: list[Function] = [
    np.exp, np.log, np.sin, np.cos, np.tanh, np.log1p, np.expm1, np.arctan, np.sinh, np.cosh, np.arcsinh, np.cbrt,
    np.exp2, np.log2, np.log10, np.tan, np.arcsin, np.arctanh, lambda x: np.abs(x) ** 1.7, lambda x: x**3,
    lambda x: np.sinc(x), lambda x: fg.nn.softplus(x), lambda x: fg.nn.sigmoid(x), lambda x: np.logaddexp(x, 0.5),
    lambda x: np.hypot(x, 0.3), lambda x: np.arctan2(x, 0.7), lambda x: np.abs(x) ** x,
]  # fmt: skip
"""Elementary functions, of real numbers."""
CURVED_COMPLEX: list[Function] = [np.exp, np.sin, np.sqrt, np.tanh, np.abs, lambda x: x**2, np.log, np.angle]
TWO: list[Function] = [np.add, np.subtract, np.multiply, np.multiply, np.add]
TWO_REAL: list[Function] = [np.maximum, np.minimum, np.fmax, np.divide]
TWO_JUMPS: list[Function] = [
    np.less, np.equal, np.floor_divide, np.remainder, np.fmod, np.greater_equal, np.nextafter, np.copysign,
    lambda x, y: np.where(x > y, x, y), lambda x, y: np.divmod(x, y)[0], np.heaviside,
]  # fmt: skip
TWO_WHOLE: list[Function] = [
    np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.left_shift, np.right_shift, np.floor_divide, np.remainder,
    np.maximum, np.fmod, np.less, lambda x, y: np.power(x, np.abs(y) % 5), np.gcd, np.divide, np.equal,
]  # fmt: skip


class Value(NamedTuple):
    """What a program has computed, and how it was rounded; `given` if it is an argument."""

    x: Any
    rounding: float = 0.0
    given: bool = False

    @property
    def kind(self) -> str:
        return np.dtype(self.x.dtype).kind


def _spacing(x: Any) -> float:
    return float(np.finfo(x.dtype).eps) if x.dtype.kind in "fc" else 0.0


class Notes:
    """What is found out about a program while it is run."""

    def __init__(self) -> None:
        self.roundings: list[float] = []
        self.cut = False


class Drawn(NamedTuple):
    """A program: the function, its arguments, and the mode of floating-point errors in which it is called.

    Attributes:
        seen: what `debug.callback` was given, in order, since it was cleared.
        notes: known after a call: the roundings of the results, and whether some of what was computed was cut off. What
            nobody reads is not computed in native code, so that nothing is told of it either.
    """

    function: Function
    args: list[Any]
    errors: dict[str, Any]
    seen: list[Any]
    notes: Notes


class _Run:
    """One run of a program."""

    def __init__(self, pick: random.Random, exact: bool, seen: list[Any], notes: Notes, depth: int = 0) -> None:
        self.pick, self.exact, self.seen, self.notes, self.depth = pick, exact, seen, notes, depth

    def cut(self, v: Value) -> Any:
        """The array of a value of which some elements may not be read."""
        self.notes.cut |= not v.given
        return v.x

    # ----------------------------------------------------------------------------------------------------- elementwise

    def one(self, v: Value) -> Value:
        x, kind, pick = v.x, v.kind, self.pick
        if kind == "b":
            return Value(pick.choice(TRUTH)(x))
        if kind in "iu":
            return Value(pick.choice(WHOLE)(x))
        if not self.exact and pick.random() < 0.4:
            y = pick.choice(CURVED if kind == "f" else CURVED_COMPLEX)(x)
            return Value(y, max(v.rounding, _spacing(x), _spacing(y)))
        tables = [FLOAT, FLOAT] if kind == "c" else [FLOAT, REAL] if v.rounding else [FLOAT, REAL, JUMPS]
        y = pick.choice(pick.choice(tables))(x)
        rounding = max(v.rounding, _spacing(y)) if v.rounding or kind == "c" else 0.0
        if kind == "c" and self.exact:
            return Value(x + 1) if y is x else Value(y if y.dtype.kind == "f" and y is not x else -x)
        return Value(y, rounding if y.dtype.kind in "fc" else 0.0)

    def two(self, a: Value, b: Value) -> Value:
        pick = self.pick
        x, y = self.common(self.cut(a), self.cut(b)) if a.x.shape != b.x.shape else (a.x, b.x)
        kinds = a.kind + b.kind
        rounding = max(a.rounding, b.rounding)
        tables = [TWO]
        if set(kinds) <= set("iub"):
            tables.append(TWO_WHOLE)
        elif "c" not in kinds and "b" not in kinds:
            tables += [TWO_REAL] if rounding else [TWO_REAL, TWO_JUMPS]
        f = pick.choice(pick.choice(tables))
        if kinds == "bb" and f in (np.subtract, np.floor_divide, np.remainder, np.fmod, np.gcd, np.left_shift):
            f = np.logical_xor
        if "c" in kinds and self.exact:
            f = np.add  # products of complex numbers have an order of their own
        z = f(x, y)
        return Value(z, max(rounding, _spacing(z)) if (rounding or "c" in kinds) and z.dtype.kind in "fc" else 0.0)

    def common(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Two values cut to a shape in which they meet."""
        ndim = min(x.ndim, y.ndim)
        x, y = x[(0,) * (x.ndim - ndim)] if self.has(x, ndim) else x, y
        y = y[(0,) * (y.ndim - ndim)] if self.has(y, ndim) else y
        if x.ndim != y.ndim:
            return x, x
        cut = tuple(slice(None) if 1 in (a, b) else slice(min(a, b)) for a, b in zip(x.shape, y.shape, strict=True))
        return (x[cut], y[cut]) if x.ndim else (x, y)

    def has(self, x: Any, ndim: int) -> bool:
        return x.ndim > ndim and 0 not in x.shape[: x.ndim - ndim]

    def cast(self, v: Value) -> Value:
        to = np.dtype(self.pick.choice(DTYPES))
        if v.rounding and to.kind not in "fc":
            to = np.dtype("f4")
        if v.kind == "c" and to.kind != "c":
            return Value(v.x.real, v.rounding)
        x = v.x.astype("i8") if v.kind == "f" and to == np.uint32 else v.x  # NumPy's vectors and scalars differ there
        y = x.astype(to)
        return Value(y, max(v.rounding, _spacing(y)) if v.rounding else 0.0)

    # ------------------------------------------------------------------------------------------------------------ views

    def view(self, v: Value) -> Value:
        return v._replace(x=self._view(self.cut(v)), given=False)

    def _view(self, x: Any) -> Any:
        pick, kind = self.pick, self.pick.randrange(10)
        if not x.ndim:
            return np.broadcast_to(x, (pick.choice([1, 2, 5]),))
        axis = pick.randrange(x.ndim)
        if kind == 0:
            return self.sliced(x)
        if kind == 1:
            return np.transpose(x, pick.sample(range(x.ndim), x.ndim))
        if kind == 2:
            shapes = [(-1,), (1, *x.shape), (*x.shape, 1)]
            return np.reshape(x, pick.choice(shapes)) if x.size else x
        if kind == 3:
            mode = pick.choice(["constant", "edge", "wrap", "reflect"]) if x.size else "constant"
            return np.pad(x, [(pick.randrange(3), pick.randrange(3)) for _ in x.shape], mode)
        if kind == 4:
            return np.concatenate([x, np.flip(x, axis), x][: pick.choice([2, 3])], axis=axis)
        if kind == 5:
            return np.roll(x, pick.randrange(-3, 4), axis)
        if kind == 6:
            return np.repeat(x, pick.randrange(3), axis)
        if kind == 7 and x.ndim > 1:
            return pick.choice([np.tril, np.triu])(x, pick.randrange(-2, 3))
        if kind == 8 and x.shape[axis]:
            return np.take(x, [pick.randrange(x.shape[axis]) for _ in range(3)], axis)
        return np.stack([x, x], axis)

    def sliced(self, x: Any) -> Any:
        pick, index = self.pick, []
        for n in x.shape:
            step = pick.choice([1, 1, 1, 2, -1, -2])
            a, b = sorted(pick.randrange(n + 1) for _ in range(2))
            index.append(slice(a, b + 1, step) if step > 0 else slice(b, a - 1 if a else None, step))
        return x[tuple(index)]

    def gathered(self, v: Value, of: Value) -> Value:
        """Elements by computed indices, at times out of bounds."""
        x, pick = self.cut(v), self.pick
        if of.rounding or of.kind == "c" or not x.ndim or not x.shape[0]:
            return v
        i = self.cut(of).reshape(-1)[:7]
        i = (i if of.kind in "iu" else (i * 3).astype("i8")) if of.kind != "f" else np.sign(i).astype(int)
        if pick.random() < 0.9:
            return v._replace(x=np.take(x, i, 0, mode=pick.choice(["clip", "wrap"])))
        return v._replace(x=x[i])

    # --------------------------------------------------------------------------------------------- along axes, in order

    def reduced(self, v: Value) -> Value:
        x, pick = v.x, self.pick
        axes = tuple(i for i in range(x.ndim) if pick.random() < 0.5)
        keep = {"axis": axes, "keepdims": pick.random() < 0.3}
        choices: list[Function] = [np.all, np.any] if v.kind == "b" or not v.rounding else []
        if v.kind != "c":
            choices += [np.max, np.min]
        inexact = not (self.exact and v.kind in "fc")
        if inexact:
            choices += [np.sum, np.sum, np.prod, np.mean if v.kind in "fc" else np.sum]
        f = pick.choice(choices)
        y = f(x, **keep)
        adds = f in (np.sum, np.prod, np.mean)
        return Value(y, max(v.rounding, _spacing(x) if adds else 0.0) if y.dtype.kind in "fc" else 0.0)

    def ordered(self, v: Value) -> Value:
        x, pick = v.x, self.pick
        if not x.ndim or v.kind == "c":
            return self.view(v)
        axis = pick.randrange(x.ndim)
        choices: list[Function] = [np.sort, lambda x, axis: np.maximum.accumulate(x, axis)]
        if not v.rounding:
            choices += [lambda x, axis: np.argsort(x, axis, stable=True)]
            if x.shape[axis]:
                choices += [np.argmax, np.argmin]
        sums: list[Function] = [np.cumsum, np.cumprod, lambda x, axis: np.diff(x, axis=axis)]
        if v.kind in "iu" or not self.exact:
            choices += sums if v.kind != "b" else sums[:2]
        f = pick.choice(choices)
        y = f(x, axis)
        return Value(y, max(v.rounding, _spacing(x) if f in sums else 0.0) if y.dtype.kind in "fc" else 0.0)

    def product(self, a: Value, b: Value) -> Value:
        """Products of matrices and small linear algebra; of exact programs, those of integers."""
        pick, x = self.pick, a.x
        if a.kind == "b" or (self.exact and a.kind in "fc") or x.ndim < 2 or 0 in x.shape:
            return self.two(a, b)
        x = self.cut(a)
        x = x[(0,) * (x.ndim - 2)] if pick.random() < 0.5 else x
        x = np.where(np.isfinite(x), x, 1) if a.kind == "c" else x  # BLAS multiplies by (1 + 0j)
        n = min(4, *x.shape[-2:])
        square = x[..., :n, :n]
        if a.kind in "iu" or x.dtype == np.float16 or pick.random() < 0.5:
            y = x @ np.swapaxes(x, -1, -2)
        elif pick.random() < 0.85:
            eye = np.eye(n, dtype=x.dtype) * 7
            f = pick.choice([np.linalg.inv, np.linalg.det, lambda m: np.linalg.solve(m, square)])
            y = f(np.tanh(square) + eye)
        else:
            y = pick.choice([np.linalg.inv, np.linalg.cholesky, np.linalg.det])(square * 0)
        return Value(y, max(a.rounding, _spacing(x)) if y.dtype.kind in "fc" else 0.0)

    # --------------------------------------------------------------------------------------------------------- programs

    def inner(self, v: Value) -> tuple[Function, list[Value]]:
        """A short function of one value that keeps its shape and dtype, and where to find its rounding."""
        seed, found = self.pick.random(), [v]
        chars = v.x.dtype.char

        def body(x: Any) -> Any:
            run = _Run(random.Random(seed), self.exact, self.seen, self.notes, self.depth + 1)
            out = Value(x, v.rounding)
            for _ in range(run.pick.choice([1, 2])):
                out = run.one(out) if run.pick.random() < 0.6 else run.two(out, Value(x, v.rounding))
            y = out.x
            if y.dtype.char != chars:
                real = np.dtype(chars).kind != "c" and y.dtype.kind == "c"
                jumps = (out.rounding or y.dtype.kind == "c") and np.dtype(chars).kind not in "fc"
                y = x if jumps or chars in "IL" else (y.real if real else y).astype(chars)
            found[0] = Value(None, max(out.rounding, v.rounding))
            return np.broadcast_to(y, x.shape)

        return body, found

    def control(self, v: Value, by: Value) -> Value:
        if self.depth:
            return self.one(v)
        pick, x = self.pick, self.cut(v)[:9] if v.x.ndim and v.x.shape[0] > 9 else v.x
        v = v._replace(x=x)
        body, found = self.inner(v)
        other, others = self.inner(v)
        flag = np.asarray(pick.choice([True, False])) if by.rounding or by.kind == "c" else np.any(by.x > 0)
        kind = pick.randrange(8)
        if kind == 0:
            y = lax.cond(flag, body, other, x)
        elif kind == 1:
            y = lax.fori_loop(0, pick.randrange(4), lambda i, c: body(c), x)
        elif kind == 2:
            y = lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, body(c[1])), (0, x))[1]
        elif kind == 3 and x.ndim:
            y = lax.scan(lambda c, r: (body(c), other(r)), x, x)[pick.randrange(2)]
        elif kind == 4 and x.ndim:
            y = fg.vmap(lambda r: lax.cond(np.all(r == r), body, other, r))(x)
        elif kind == 5 and x.ndim:
            y = fg.vmap(lambda r, n: lax.fori_loop(0, n, lambda i, c: body(c), r))(x, np.arange(x.shape[0]) % 3)
        elif kind == 6 and (v.kind in "f" and not self.exact):
            y = fg.grad(lambda a: np.sum(body(np.tanh(a)) * 0.5))(x)
            others[0] = Value(None, _spacing(x))
        elif kind == 7:
            y = fg.jit(body)(x)
        else:
            y = fg.checkpoint(body)(x)
        return Value(y, max(found[0].rounding, others[0].rounding, v.rounding) if v.kind in "fc" else 0.0)

    def written(self, v: Value, w: Value) -> Value:
        """A copy with something written into it."""
        x, pick = v.x, self.pick
        if not x.ndim or 0 in x.shape:
            return v
        y = x.copy()
        n = x.shape[0]
        index = pick.choice([slice(None, None, 2), 0, -1, slice(1, None), [pick.randrange(n)], np.arange(n) % 2 == 0])
        part = y[index]
        if v.kind in "b" or pick.random() < 0.3:
            y[index] = part[::-1] if part.ndim and v.kind == "b" else True
        elif pick.random() < 0.5:
            y[index] += pick.choice([1, part])
        else:
            y[index] *= 2
        if pick.random() < 0.3 and v.kind in "iuf":
            y.sort(axis=0)
        return v._replace(x=y)

    def scattered(self, v: Value) -> Value:
        x, pick = v.x, self.pick
        if not x.ndim or not x.shape[0] or v.kind == "b":
            return v
        i = np.array([pick.randrange(x.shape[0]) for _ in range(3)])
        rows = x[i]
        at = fg.at(x)[i]
        f = pick.choice([at.add, at.set] if v.kind == "c" else [at.add, at.max, at.min, at.set, at.multiply])
        if f.__name__ == "set":
            rows = x[i[::-1][:1]]
        rounding = max(v.rounding, _spacing(x)) if f.__name__ in ("add", "multiply") else v.rounding
        if self.exact and v.kind in "fc" and f.__name__ in ("add", "multiply"):
            f, rounding = at.max if v.kind == "f" else at.set, v.rounding
            rows = rows if v.kind == "f" else x[i[:1]]
        return Value(f(rows), rounding)

    def branch(self, v: Value, by: Value) -> Value:
        """Python's `if` on a value."""
        if self.depth or by.rounding or by.kind == "c" or not np.size(by.x):
            return v
        test = self.cut(by).reshape(-1)[0]
        return self.one(v) if test > 0 else self.view(v)

    def shown(self, v: Value) -> Value:
        if not v.rounding:
            debug.callback(lambda x: self.seen.append(np.array(x)), v.x)
        return v

    def step(self, values: list[Value]) -> Value:
        pick = self.pick
        a, b = (values[-1 - pick.randrange(min(len(values), 5))] for _ in range(2))
        kinds: list[tuple[int, Callable[[], Value]]] = [
            (6, lambda: self.one(a)), (6, lambda: self.two(a, b)), (3, lambda: self.cast(a)), (5, lambda: self.view(a)),
            (1, lambda: self.gathered(a, b)), (2, lambda: self.reduced(a)), (1, lambda: self.ordered(a)),
            (1, lambda: self.product(a, b)), (3, lambda: self.control(a, b)), (1, lambda: self.written(a, b)),
            (1, lambda: self.scattered(a)), (0.5, lambda: self.branch(a, b)), (0.3, lambda: self.shown(a)),
        ]  # fmt: skip
        (chosen,) = pick.choices([f for _, f in kinds], [weight for weight, _ in kinds])
        new = chosen()
        size = int(np.prod(new.x.shape, dtype=int))
        return Value(self.cut(new).reshape(-1)[:50], new.rounding) if size > MANY else new


def _argument(pick: random.Random, rng: np.random.Generator) -> Any:
    dtype = np.dtype(pick.choice(DTYPES))
    shape = tuple(pick.choice(SIZES) for _ in range(pick.choice([0, 1, 1, 2, 2, 3])))
    shape = shape if np.prod(shape, dtype=int) <= 600 else shape[:1]
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind in "iu":
        wide = pick.random() < 0.15
        about = np.iinfo(dtype)
        low, high = (about.min, about.max) if wide else (max(about.min, -9), 10)
        return np.asarray(rng.integers(low, high, shape, dtype, endpoint=wide))
    x = rng.standard_normal(shape) * pick.choice([1, 1, 1, 30])
    if pick.random() < 0.4:
        special = rng.choice([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-310, 1.0, -1.0], shape)
        x = np.where(rng.random(shape) < 0.15, special, x)
    with np.errstate(all="ignore"):
        return np.asarray(x + 1j * rng.standard_normal(shape) if dtype.kind == "c" else x).astype(dtype)


def draw(seed: int) -> Drawn:
    """The program of a number. Every second one has to be the same bit for bit."""
    pick, rng = random.Random(seed), np.random.default_rng(seed)
    args = [_argument(pick, rng) for _ in range(3)]
    if pick.random() < 0.2:
        args.append(pick.choice([2, -1, 0.5, True, 3]))
    steps, again, exact = pick.randrange(3, 13), pick.random(), seed % 2 == 0
    mode = pick.choice([{"all": "ignore"}, {"all": "warn"}, {"all": "warn", "under": "ignore"}, {"divide": "raise"}])
    seen: list[Any] = []
    notes = Notes()

    def function(*xs: Any) -> list[Any]:
        run = _Run(random.Random(again), exact, seen, notes)
        values = [Value(x, given=True) for x in xs if hasattr(x, "dtype")]
        values += [Value(values[0].x + x) for x in xs[3:] if values[0].kind in "fi"]
        for _ in range(steps):
            values.append(run.step(values))
        results = values[-4:]
        notes.roundings = [v.rounding for v in results]
        return [v.x for v in results]

    return Drawn(function, args, mode, seen, notes)
