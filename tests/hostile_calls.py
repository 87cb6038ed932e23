"""Calls with hostile arguments: strange dtypes, byte orders, strides, classes and sizes, through every door.

`python hostile_calls.py FIRST COUNT` makes the calls of these numbers, and says before each which it is, so that
whoever runs it in a process of its own knows what ended that process. A call is all right if it gives what it gives for
plain arrays of the same numbers (NumPy's value, where there is one), or raises an error that explains itself. What is
no number must be refused. Arguments stay as they were, and results share no memory with them or with each other.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

import funcgrad as fg
from funcgrad import lax, tree
from funcgrad.errors import ConcretizationTypeError, TracerArrayConversionError

Fun = Callable[..., Any]

# ------------------------------------------------------------------------------------------------------- functions

UNARY: dict[str, Fun] = {
    "sin": np.sin, "exp(-x*x)": lambda x: np.exp(-x * x), "tanh": np.tanh, "negative": lambda x: -x, "abs": np.abs,
    "identity": lambda x: x, "sum": np.sum, "sum0": lambda x: np.sum(x, axis=0), "mean": np.mean, "max": np.max,
    "cumsum": np.cumsum, "sort": lambda x: np.sort(x, axis=-1), "std": np.std, "reversed": lambda x: x[::-1],
    "T": lambda x: x.T, "ravel": lambda x: x.ravel(), "reshape": lambda x: x.reshape(-1, 1), "x[0]": lambda x: x[0],
    "x[...,None]": lambda x: x[..., None], "f4": lambda x: x.astype(np.float32), "square": lambda x: x**2,
    "sqrt": lambda x: np.sqrt(np.abs(x) + 1), "where": lambda x: np.where(x > 1, x, -x), "norm": np.linalg.norm,
    "gram": lambda x: x.T @ x, "clip": lambda x: np.clip(x, 0, 1), "argmax": np.argmax,
    "stack": lambda x: np.stack([x, x]),
    "take": lambda x: x[np.array([0, 0])], "mask": lambda x: x[x > 0] if x.ndim else x, "expit": special.expit,
    "chain": lambda x: np.sum(np.tanh(x) * np.exp(-(x**2)) + np.sin(x)), "real": lambda x: np.real(x) + 1,
    "pair": lambda x: (x, x),
    "log1p": lambda x: np.log1p(np.abs(x)), "prod": lambda x: np.prod(x, axis=-1),
    "softmax": lambda x: fg.nn.softmax(x),
    "constant": lambda x: (x * 2, np.arange(3.0)), "list": lambda x: [x + 1, [x * 2, x]],
    "round": np.round, "conj": np.conj, "diff": lambda x: np.diff(x, axis=0),
    "einsum": lambda x: np.einsum("...i->...", x),
}  # fmt: skip
BINARY: dict[str, Fun] = {
    "add": lambda x, y: x + y, "subtract": lambda x, y: x - y, "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / (np.abs(y) + 1), "power": lambda x, y: np.abs(x) ** y, "floordiv": lambda x, y: x // y,
    "mod": lambda x, y: x % y, "matmul": lambda x, y: x @ y, "dot": np.dot, "outer": np.outer,
    "less": lambda x, y: x < y,
    "maximum": np.maximum, "where": lambda x, y: np.where(x > 0, x, y),
    "concatenate": lambda x, y: np.concatenate([x, y]),
    "hypot": np.hypot, "sum of products": lambda x, y: np.sum(x * y), "arctan2": np.arctan2, "x[y]": lambda x, y: x[y],
    "affine": lambda x, y: np.sum(np.tanh(x * y + 1) * y), "solve": lambda x, y: np.linalg.solve(x, y),
    "equal": lambda x, y: x == y, "and": lambda x, y: x & y, "shift": lambda x, y: x << y, "second": lambda x, y: y,
    "both": lambda x, y: {"x": x, "y": y}, "tensordot": lambda x, y: np.tensordot(x, y, 0), "copysign": np.copysign,
    "interp": lambda x, y: np.interp(x, np.arange(np.size(y)), np.ravel(y)), "xlogy": special.xlogy,
}  # fmt: skip

# ------------------------------------------------------------------------------------------------------- arguments

NUMBERS = list("?bBhHiIlLefdgFDG")
STRANGE = [
    "O", "U3", "S3", "M8[s]", "m8[ns]", "V8", [("a", "f8"), ("b", "i4")], "O numbers", "O tracers' enemies",
    [("a", "f8", 2)],
]  # fmt: skip
SHAPES = [(), (0,), (1,), (3,), (7,), (2, 3), (3, 3), (0, 3), (2, 1, 3), (1, 1), (17,), (4, 5)]


class Own(np.ndarray):
    """Somebody's class of arrays."""


class Loud(np.ndarray):
    """A class that has its own ideas of ufuncs."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return getattr(ufunc, method)(*(np.asarray(x) if isinstance(x, Loud) else x for x in inputs), **kwargs)


class Raising:
    """An object whose every conversion fails."""

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("no array")

    def __float__(self) -> float:
        raise RuntimeError("no number")


def numbers(rng: np.random.Generator, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
    if dtype.kind == "b":
        return np.asarray(rng.random(shape) < 0.5)
    if dtype.kind in "iu":
        low, high = (0, 5) if dtype.kind == "u" else (-4, 5)
        x = np.asarray(rng.integers(low, high, shape)).astype(dtype)
    elif dtype.kind == "c":
        x = np.asarray(rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)
    else:
        x = np.asarray(rng.normal(size=shape)).astype(dtype)
    if x.size and rng.random() < 0.1:
        special_values: list[Any] = [0, 1] if dtype.kind in "iu" else [np.nan, np.inf, -np.inf, 0.0, -0.0]
        x.flat[rng.integers(x.size)] = special_values[rng.integers(len(special_values))]
        if dtype.kind in "iu" and rng.random() < 0.5:
            x.flat[0] = np.iinfo(dtype).max
    return x


def strange(rng: np.random.Generator, kind: Any, shape: tuple[int, ...]) -> np.ndarray:
    if kind == "O numbers":
        return np.asarray(rng.normal(size=shape)).astype(object)
    if kind == "O tracers' enemies":
        x = np.empty(shape, object)
        items = [None, "text", Raising(), 10**30, [1, 2], {}, float("nan"), np.ones(2), lambda: 1]
        for i in range(x.size):
            x.flat[i] = items[rng.integers(len(items))]
        return x
    if kind == "O":
        return np.full(shape, None, object)
    if kind in ("U3", "S3"):
        return np.full(shape, "1.5", kind)
    if isinstance(kind, str) and kind[0] in "Mm":
        return np.asarray(rng.integers(0, 9, shape)).astype(kind)
    return np.zeros(shape, kind)


def laid_out(rng: np.random.Generator, x: np.ndarray) -> tuple[Any, str]:
    """The same numbers in another place, order, class or byte order; and what that is called."""
    ways = ["plain", "plain", "F", "strided", "reversed", "read-only", "swapped", "swapped", "unaligned", "own", "loud",
            "memmap", "broadcast", "windows", "frombuffer", "transposed", "masked", "matrix", "recarray", "scalar",
            "overlapping", "python", "list", "own swapped"]  # fmt: skip
    way = ways[rng.integers(len(ways))]
    if way == "F":
        return np.asfortranarray(x), way
    if way == "strided" and x.ndim:
        return np.repeat(x, 2, axis=0)[::2], way
    if way == "reversed" and x.ndim:
        return np.ascontiguousarray(x[::-1])[::-1], way
    if way == "read-only":
        x = x.copy()
        x.flags.writeable = False
    elif way in ("swapped", "own swapped") and x.dtype.kind in "iufc":
        y = x.astype(x.dtype.newbyteorder())
        return (y.view(Own) if way == "own swapped" else y), way
    elif way == "unaligned" and x.dtype != object:
        return np.frombuffer(b"0" + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape), way
    elif way == "own":
        return x.view(Own), way
    elif way == "loud":
        return x.view(Loud), way
    elif way == "memmap" and x.size and x.dtype != object:
        handle, name = tempfile.mkstemp()
        os.close(handle)
        m = np.memmap(name, x.dtype, "w+", shape=x.shape or (1,))
        os.unlink(name)
        m[...] = x
        return m, way
    elif way == "broadcast" and x.ndim:
        return np.broadcast_to(x[:1], x.shape), way
    elif way in ("windows", "overlapping") and x.ndim == 1 and x.size > 2:
        return np.lib.stride_tricks.sliding_window_view(x, 2, writeable=way == "overlapping"), way
    elif way == "frombuffer" and x.size and x.dtype != object:
        return np.frombuffer(bytearray(x.tobytes()), x.dtype).reshape(x.shape), way
    elif way == "transposed":
        return np.ascontiguousarray(x.T).T, way
    elif way == "masked" and x.dtype.kind in "biufc":
        return np.ma.array(x, mask=rng.random(x.shape) < 0.5), way
    elif way == "matrix" and x.ndim == 2 and x.dtype.kind in "biufc":
        return x.view(np.matrix), way
    elif way == "recarray":
        return x.view(np.recarray), way
    elif way in ("scalar", "python") and x.size and x.flat[0] is None:
        way = "plain"
    elif way == "scalar":
        return (x.flat[0] if x.dtype == object and x.size else x.reshape(-1)[:1].reshape(())[()] if x.size else x), way
    elif way == "python" and x.size:
        first = x.reshape(-1)[0]
        return first.item() if isinstance(first, np.generic) else first, way
    elif way == "list" and x.ndim and 0 < x.size < 100:
        return x.tolist(), way
    else:
        way = "plain"
    return x, way


LARGE = {False: [(700,), (20, 30)], True: [(70_001,), (300, 400), (20_000,)]}
"""Shapes of arrays that are cut into tiles; much larger ones only where no result is of the square of their size."""


def argument(rng: np.random.Generator, odd: bool, alone: bool) -> tuple[Any, str]:
    shape = SHAPES[rng.integers(len(SHAPES))]
    if rng.random() < 0.04:
        shape = LARGE[alone][rng.integers(len(LARGE[alone]))]
    if odd:
        kind = STRANGE[rng.integers(len(STRANGE))]
        made, text = strange(rng, kind, shape), f"{kind}{shape}"
    else:
        code = NUMBERS[rng.integers(len(NUMBERS))] if rng.random() < 0.7 else "d"
        made, text = numbers(rng, np.dtype(code), shape), f"{np.dtype(code)}{shape}"
    x, way = laid_out(rng, made)
    return x, f"{text} {way}"


def plain(x: Any) -> Any:
    """A contiguous `numpy.ndarray` of the same numbers in the machine's byte order; a scalar and a list as they are."""
    if not isinstance(x, np.ndarray):
        return x
    return np.array(x, dtype=x.dtype.newbyteorder("="), order="C", copy=True, subok=False)


def is_refused(x: Any) -> bool:
    """Whether an argument is not of numbers."""
    if isinstance(x, (np.ma.MaskedArray, np.matrix)):
        return True
    if isinstance(x, (np.ndarray, np.generic)):
        return x.dtype.kind not in "biufc"
    if isinstance(x, (list, tuple, dict, type(None))):
        return any(map(is_refused, tree.leaves(x)))
    return type(x) not in (bool, int, float, complex)


# ---------------------------------------------------------------------------------------------------------- doors
# Each takes a function and the arguments, and gives a result in which the value is to be NumPy's.


def _copied(x: Any) -> Any:
    return x.copy() if isinstance(x, np.ndarray) else x


def _one_example(x: Any) -> Any:
    return x if isinstance(x, np.matrix) else (x if isinstance(x, np.ndarray) else np.asarray(x))[None]


def _total(y: Any) -> Any:
    return sum((np.sum(np.real(a) * 1.0) for a in tree.leaves(y)), 0.0)


def _ones(y: Any) -> Any:
    return tree.map(lambda a: np.ones(np.shape(a), getattr(a, "dtype", type(a))), y)


def _custom(f: Fun, *xs: Any) -> Any:
    @fg.custom_vjp
    def g(*ys: Any) -> Any:
        return f(*ys)

    g.defvjp(lambda *ys: (f(*ys), ys), lambda ys, ct: fg.vjp(f, *ys)[1](ct))
    return fg.grad(lambda *ys: _total(g(*ys)))(*xs)


def _seen(f: Fun, *xs: Any) -> Any:
    seen: list[Any] = []
    out = fg.jit(lambda *ys: (fg.debug.callback(lambda *zs: seen.extend(zs), *ys), f(*ys))[1])(*xs)
    return out if all(np.array_equal(a, b, equal_nan=True) for a, b in zip(seen, xs, strict=True)) else seen


VALUES: dict[str, Fun] = {
    "jit": lambda f, *xs: fg.jit(f)(*xs),
    "jit twice": lambda f, *xs: [g(*xs) for g in (fg.jit(f),) for _ in range(3)][-1],
    "jit of captured": lambda f, *xs: fg.jit(lambda _: f(*xs))(1.0),
    "program": lambda f, *xs: fg.make_ir(f)(*xs).out_tree.unflatten(fg.make_ir(f)(*xs)(*tree.leaves(xs))),
    "vjp": lambda f, *xs: fg.vjp(f, *xs)[0],
    "jvp": lambda f, *xs: fg.jvp(f, xs, tree.map(_tangent, xs))[0],
    "linearize": lambda f, *xs: fg.linearize(f, *xs)[0],
    "checkpoint": lambda f, *xs: fg.checkpoint(f)(*xs),
    "vmap of one": lambda f, *xs: tree.map(lambda y: y[0], fg.vmap(f, axis_size=1)(*tree.map(_one_example, xs))),
    "vmap of captured": lambda f, *xs: tree.map(lambda y: y[0], fg.vmap(lambda _: f(*xs))(np.ones(1))),
    "scan": lambda f, *xs: tree.map(lambda y: y[0], lax.scan(lambda c, _: (c, f(*c)), xs, None, 1)[1]),
    "cond": lambda f, *xs: lax.cond(True, f, f, *xs),
    "jitted cond": lambda f, *xs: fg.jit(lambda p, *ys: lax.cond(p, f, f, *ys))(True, *xs),
    "callback": _seen,
}  # fmt: skip
DERIVATIVES: dict[str, Fun] = {
    "beside a tracer": lambda f, *xs: fg.jit(lambda w: tree.map(lambda y: y * w, f(*xs)))(1),
    "grad": lambda f, *xs: fg.grad(lambda *ys: _total(f(*ys)))(*xs),
    "all grads": lambda f, *xs: fg.grad(lambda ys: _total(f(*ys)), allow_int=True)(xs),
    "jit of grad": lambda f, *xs: fg.jit(fg.grad(lambda ys: _total(f(*ys)), allow_int=True))(xs),
    "grad of captured": lambda f, *xs: fg.grad(lambda w: _total(tree.map(lambda y: y * w, f(*xs))))(1.0),
    "grad beside": lambda f, *xs: fg.grad(lambda w: np.sum(f(w * np.ones(np.shape(xs[0])), *xs[1:])))(1.5),
    "jit of grad of captured": lambda f, *xs: fg.jit(fg.grad(lambda w: _total(tree.map(lambda y: y * w, f(*xs)))))(1.0),
    "pullback": lambda f, *xs: [p(_ones(y)) for y, p in [fg.vjp(f, *xs)]],
    "hostile cotangent": lambda f, *xs: fg.vjp(lambda w: w * 1.0, np.ones(np.shape(xs[0])))[1](xs[0]),
    "hostile tangent": lambda f, *xs: fg.jvp(lambda w: w * 1.0, (np.ones(np.shape(xs[0])),), (xs[0],)),
    "linear": lambda f, *xs: fg.linearize(lambda w: w * w, np.ones(np.shape(xs[0])))[1](xs[0]),
    "custom rule": _custom,
    "hostile rule": lambda f, *xs: _hostile_rule(*xs),
    "hostile tangent rule": lambda f, *xs: _hostile_tangent_rule(*xs),
    "hostile carry": lambda f, *xs: lax.scan(lambda c, _: (f(c) * 1, c), xs[0], None, 2),
    "hostile xs": lambda f, *xs: lax.scan(lambda c, x: (c, f(x)), 0.0, xs[0])[1],
    "hostile result": lambda f, *xs: fg.jit(lambda w: (w, xs))(1.0),
    "hostile aux": lambda f, *xs: fg.grad(lambda w: (w * w, xs), has_aux=True)(1.0),
    "hessian": lambda f, *xs: fg.hessian(lambda x: _total(f(x, *xs[1:])))(xs[0]),
    "asarray": lambda f, *xs: fg.numpy.asarray(xs[0]),
    "at": lambda f, *xs: fg.at(xs[0])[0].set(1),
    "static": lambda f, *xs: fg.jit(lambda n, x: x * n, static_argnums=0)(xs[0], 2.0),
    "in_axes": lambda f, *xs: fg.vmap(f, in_axes=tree.map(lambda _: 0, tuple(xs)))(*xs),
    "donated": lambda f, *xs: fg.jit(f, donate_argnums=0)(*tree.map(_copied, xs)),
    "many leaves": lambda f, *xs: fg.jit(lambda ys: [y * 0.5 + y * y for y in ys])([x for x in xs for _ in range(16)]),
    "while": lambda f, *xs: lax.while_loop(lambda c: c[0] < 2, lambda c: (c[0] + 1, c[1]), (0, xs[0])),
    "fori": lambda f, *xs: fg.jit(lambda x: lax.fori_loop(0, 2, lambda i, c: c * x, x))(xs[0]),
    "lax": lambda f, *xs: lax.add(xs[0], xs[-1]),
    "flatten_util": lambda f, *xs: fg.flatten_util.ravel_pytree(xs)[0],
}  # fmt: skip


def _tangent(x: Any) -> Any:
    if isinstance(x, (bool, int)):
        return np.zeros((), fg.float0)
    if not isinstance(x, (np.ndarray, np.generic)):
        return 1.0
    return np.ones(np.shape(x), plain(x).dtype) if x.dtype.kind in "fc" else np.zeros(np.shape(x), fg.float0)


def _hostile_rule(x: Any, *_: Any) -> Any:
    @fg.custom_vjp
    def g(w: Any) -> Any:
        return w * 2.0

    g.defvjp(lambda w: (w * 2.0, x), lambda kept, ct: (kept,))
    return fg.grad(lambda w: np.sum(g(w)))(np.ones(np.shape(x)))


def _hostile_tangent_rule(x: Any, *_: Any) -> Any:
    @fg.custom_jvp
    def g(w: Any) -> Any:
        return w * 2.0

    g.defjvp(lambda ps, ts: (g(*ps), ts[0] * x))
    return fg.grad(lambda w: np.sum(g(w)))(np.ones(np.shape(x)))


# ---------------------------------------------------------------------------------------------------------- a call


class Call:
    """The call of a number."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        table, n = (UNARY, 1) if rng.random() < 0.5 else (BINARY, 2)
        names = list(table)
        self.name = names[rng.integers(len(names))]
        self.fun = table[self.name]
        self.value = rng.random() < 0.55
        doors = VALUES if self.value else DERIVATIVES
        self.door = list(doors)[rng.integers(len(doors))]
        self.run = doors[self.door]
        made = [argument(rng, rng.random() < 0.2, n == 1 and self.door != "hessian") for _ in range(n)]
        self.args = [x for x, _ in made]
        self.text = f"{seed}: {self.door} of {self.name} at {', '.join(t for _, t in made)}"
        through = self.args[:1] if self.door in FIRST else self.args[1:] if self.door == "grad beside" else self.args
        self.refused = self.door not in OPEN and any(map(is_refused, through))
        if self.door in CAPTURED or self.name == "second":  # NumPy 2.4 itself crashes at some matrices
            self.args = [np.asarray(x) if isinstance(x, np.matrix) else x for x in self.args]


UNCLEAR = (
    KeyError,
    AttributeError,
    AssertionError,
    NameError,
    SystemError,
    RecursionError,
    ReferenceError,
    StopIteration,
)
"""Errors that mean a fault of funcgrad's own, wherever they come from."""


def outcome(thunk: Callable[[], Any]) -> tuple[Any, Exception | None]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return thunk(), None
        except Exception as error:
            return None, error


def faults(call: Call) -> list[str]:
    """What is wrong with a call."""
    given = [x.copy() if isinstance(x, np.ndarray) else x for x in call.args]
    flags = [x.flags.writeable for x in call.args if isinstance(x, np.ndarray)]
    have, error = outcome(lambda: call.run(call.fun, *call.args))
    found: list[str] = []
    arrays = [x for x in call.args if isinstance(x, np.ndarray)]
    if flags != [x.flags.writeable for x in arrays]:
        found.append("an argument's lock has changed")
    for a, b in zip(call.args, given, strict=True):
        if isinstance(a, np.ndarray) and a.dtype != object and a.tobytes() != b.tobytes():
            found.append("an argument has changed")
    if error is not None:
        unclear = isinstance(error, UNCLEAR) or len(str(error)) < 8
        if unclear and type(outcome(lambda: call.fun(*map(plain, given)))[1]) is not type(error):
            found.append(f"unclear error {type(error).__name__}: {error}")
    elif call.door not in OPEN:
        found += shared(have, arrays)
    plain_args = [plain(x) for x in given]
    value, refusal = outcome(lambda: call.fun(*plain_args))
    if call.refused:
        numbers_came = refusal is None and not any(map(is_refused, tree.leaves(value)))
        alone = call.door in CAPTURED or call.name == "second"  # what is refused may never have met a tracer
        if error is None and not (alone and numbers_came):
            found.append(f"what is no number was not refused, and gave {short(have)}")
        return found
    want, failed = outcome(lambda: call.run(call.fun, *plain_args))
    if (error is None) != (failed is None):
        found.append(f"gave {error!r} {short(have)}, for plain arrays {failed!r} {short(want)}")
    elif error is None and call.door not in OPEN and not same(have, want):
        found.append(f"gave {short(have)}, for plain arrays {short(want)}")
    if call.value:
        if error is None and refusal is not None:
            if lenient(call, refusal):
                return found
            found.append(f"NumPy raises {refusal!r}; got {short(have)}")
        elif error is None and not same(have, value, call.door in TYPED, not other_dtypes(call)):
            found.append(f"NumPy gives {short(value)}; got {short(have)}")
        elif error is not None and refusal is None and not designed(call, error):
            found.append(f"NumPy gives {short(value)}; got {type(error).__name__}: {error}")
    return found


DESIGNED = ("which is not of numbers", "cannot be cast safely", "a mask of shape (0,)")


def designed(call: Call, error: Exception) -> bool:
    """Whether an error is there by design where NumPy has a value."""
    return (
        "integers have no tangent" in str(error)
        or isinstance(error, ConcretizationTypeError)  # a shape that depends on values
        or isinstance(error, OverflowError)  # an integer of Python that no dtype holds
        or any(
            text in str(error) for text in ("which is not of numbers", "cannot be cast safely", "a mask of shape (0,)")
        )
        or (isinstance(error, TracerArrayConversionError) and by_python(call))
    )


def other_dtypes(call: Call) -> bool:
    """Whether dtypes differ from NumPy's by design: a power of a boolean is int64 where its shape is ()."""
    if call.door in STRONG and by_python(call):
        return True
    dtypes = [getattr(x, "dtype", None) for x in call.args]
    return call.name in ("chain", "exp(-x*x)", "square") and np.dtype(bool) in dtypes


def by_python(call: Call) -> bool:
    """Whether an argument is of Python's own numbers."""
    return any(type(x) in (bool, int, float, complex, list, tuple) for x in call.args)


def lenient(call: Call, refusal: Exception) -> bool:
    """Whether a traced value can do by design what the plain one cannot."""
    return by_python(call) and isinstance(
        refusal, (AttributeError, TypeError)
    )  # `x.T` of a float; a number beside a list


OPEN = {"hostile aux", "static", "asarray", "lax"}
"""Doors through which anything may go: what is passed on, and functions that are NumPy's own on plain arrays."""
CAPTURED = {"jit of captured", "vmap of captured", "beside a tracer", "grad of captured", "jit of grad of captured"}
"""Doors behind which NumPy computes with the arguments; only what comes of it meets a tracer, or is returned."""
FIRST = {"hostile cotangent", "hostile tangent", "linear", "hostile rule", "hostile tangent rule", "hostile carry",
         "hostile xs", "at", "while", "fori"}  # fmt: skip
"""Doors through which the first argument goes alone."""
STRONG = {"scan", "vmap of one"}
"""Doors where Python's numbers become arrays, whose dtypes decide about those of results."""
TYPED: set[str] = {"jit", "jit twice", "vjp", "jvp", "linearize", "checkpoint", "program"}  # `cond` gives an `Array`
"""Doors whose results have NumPy's classes."""


def shared(result: Any, others: list[np.ndarray]) -> list[str]:
    """Whether results share memory with each other or with arguments."""
    mine = [x for x in tree.leaves(result) if isinstance(x, np.ndarray) and x.size]
    for i, x in enumerate(mine):
        if any(np.may_share_memory(x, y) and np.shares_memory(x, y) for y in (*mine[:i], *others) if y.size < 1000):
            return [f"a result of shape {x.shape} shares memory"]
        if not x.flags.writeable:
            return [f"a result of shape {x.shape} is read-only"]
    return []


def same(have: Any, want: Any, types: bool = False, dtypes: bool = True) -> bool:
    """Whether two results are equal, to rounding, in structure, shapes and dtypes."""
    mine, yours = tree.leaves(have), tree.leaves(want)
    if len(mine) != len(yours):
        return False
    with np.errstate(all="ignore"):
        return all(_same(a, b, types, dtypes) for a, b in zip(mine, yours, strict=True))


def _same(a: Any, b: Any, types: bool, dtypes: bool) -> bool:
    if types and type(a) is not type(b) and not isinstance(b, np.ndarray):
        return False
    x, y = np.asarray(a), np.asarray(b)
    if x.shape != y.shape or (dtypes and x.dtype != y.dtype.newbyteorder("=")):
        return False
    if x.dtype != y.dtype and x.dtype.kind in "fciu" and y.dtype.kind in "fciu":
        x = x.astype(y.dtype)
    if x.dtype.kind not in "fc":
        return bool(np.all(x == y)) if x.dtype.names is None else True
    bound = 64 * np.finfo(x.dtype).eps * 300  # sums of up to 300 × 300 elements, in another order
    parts = [(x.real, y.real), (x.imag, y.imag)] if x.dtype.kind == "c" else [(x, y)]
    scale = np.max(np.abs(y), initial=1.0, where=np.isfinite(y))
    return all(np.allclose(p, q, rtol=bound, atol=bound * scale, equal_nan=True) for p, q in parts)


def short(x: Any) -> str:
    text = repr(x).replace("\n", " ")
    leaf = next(iter(tree.leaves(x)), None)
    return f"{type(leaf).__name__} {text[:150]}"


def main(first: int, count: int) -> None:
    faulthandler.enable()
    for seed in range(first, first + count):
        print(f"call {seed}", flush=True)
        call = Call(seed)
        try:
            found = faults(call)
        except Exception:
            found = ["the check itself failed: " + traceback.format_exc()]
        for fault in found:
            print(f"FAULT {call.text}\n      {fault}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
