"""Constructors that make a primitive of one statement of its mathematics.

- `elementwise`: one *pushforward* per operand, `(g, out, *ins) -> g · ∂out/∂operand`. The Jacobian of an elementwise
  function is diagonal, so the same formula carries a tangent forward (JVP) and a cotangent back (VJP). That a
  derivative is zero is said (`ZERO`), and so is that it is not known (`Unknown`), which raises where it is asked for.
- `elementwise_tuple`: the same for a function with several results, one pushforward per result and operand.
- `linear`: JVP is the operation itself, VJP is its transpose.
- `bilinear`: JVP is the product rule, VJP one transpose per operand.
- `constant`: piecewise constant or not differentiable; tangents and cotangents are zero.

The formulas are plain NumPy: on arrays they run at NumPy's speed, on tracers they are recorded.

This is also where a cotangent is brought to the shape and dtype of its operand (`match_cotangent`: summing over
broadcast dimensions, in the one place where that is done) and a tangent to those of its result (`match_tangent`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from funcgrad.core import Primitive, Tracer
from funcgrad.errors import DTypeError, InconclusiveRuleError, ShapeError
from funcgrad.ops.scalar import Scalar, scalar_form
from funcgrad.types import (
    NO_NUMBERS,
    PYTHON_SCALARS,
    SCALARS,
    ShapedArray,
    aval_of,
    broadcast_shapes,
    dtype_of,
    is_key,
    is_weak,
    shape_of,
    short_dtype,
    ufunc_dtypes,
    weak_type,
)

__all__ = [
    "PRIMITIVES",
    "ZERO",
    "Push",
    "Unknown",
    "aligned",
    "alike",
    "batch_pointwise",
    "bilinear",
    "constant",
    "declare",
    "elementwise",
    "elementwise_rules",
    "elementwise_tuple",
    "full_cotangent",
    "linear",
    "match_cotangent",
    "match_tangent",
    "operand_avals",
]

PRIMITIVES: dict[str, Primitive] = {}
"""Every primitive by name, in the order of declaration."""

Push = Callable[..., Any]
Rule = Callable[..., Any]


def ZERO(g: Any, out: Any, *ins: Any) -> None:
    """The pushforward of an operand by which the derivative is zero. It is not called where it need not be."""
    return None


class Unknown:
    """The pushforward of an operand by which the derivative is not known here: to ask for it raises.

    Attributes:
        operand: what the operand is called.
        remedy: what to do instead.
    """

    __slots__ = ("operand", "remedy")

    def __init__(self, operand: str, remedy: str = "") -> None:
        self.operand, self.remedy = operand, remedy

    def __call__(self, g: Any, out: Any, *ins: Any) -> Any:
        raise InconclusiveRuleError(
            f"the derivative with respect to {self.operand} is not known here, and it is not zero. If {self.operand} "
            "is a constant, say so with funcgrad.lax.stop_gradient; else "
            + (self.remedy or "give the function a derivative of its own with funcgrad.custom_jvp.")
        )


def declare(name: str, impl: Rule, abstract: Rule, **known: Any) -> Primitive:
    """Make a primitive of rules written by hand and of facts (see `core.Primitive`), and list it in `PRIMITIVES`.

    Without a rule for batches, one that is pointwise or along axes has the one that follows from that.
    """
    primitive = PRIMITIVES[name] = Primitive(name, impl, abstract, **known)
    if primitive.batch is None and primitive.pointwise:
        primitive.batch = batch_pointwise(primitive)
    elif primitive.batch is None and primitive.along:
        primitive.batch = _batch_along(primitive)
    return primitive


def _no_jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any], **params: Any) -> None:
    return None


def _no_vjp(ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool], **params: Any) -> list[None]:
    return [None] * len(ins)


def constant(name: str, impl: Rule, abstract: Rule, **known: Any) -> Primitive:
    """A primitive through which no derivative flows."""
    return declare(name, impl, abstract, jvp=_no_jvp, vjp=_no_vjp, carries=(), **known)


# ---------------------------------------------------------------------------------------------------- elementwise


_FOREIGN = (15.0, 15.0)
"""Nanoseconds for an element of a ufunc of another library: of SciPy's the median is 16 (4 to 800, but for a few)."""


def elementwise(
    name: str,
    impl: Rule,
    *pushes: Push,
    python: Rule | None = None,
    dtype: Rule | None = None,
    scalar: Scalar | None = None,
    **known: Any,
) -> Primitive:
    """A primitive from a ufunc and, per operand, `push(g, out, *ins) = g · ∂out/∂operand`, `ZERO` or an `Unknown`.

    With `ZERO` for all of them the function is piecewise constant (comparisons, rounding, integers). `python` is the
    operator that Python applies to its own scalars, which stay Python scalars. An `impl` that is no ufunc brings its
    own rule `dtype(*avals)`. `scalar` is what it is for Python floats, and `known` what else is known of it.
    """
    _check_pushes(name, impl, pushes)
    resolve = dtype if dtype is not None else _ufunc_dtype(impl)

    @lru_cache(maxsize=512)  # a recording asks for the same few again and again
    def result(*kinds: tuple[tuple[int, ...], np.dtype[Any], bool]) -> ShapedArray:
        avals = [ShapedArray(*kind) for kind in kinds]
        if python is not None and all(a.weak for a in avals):  # Python's own rules: True + True is an int
            return ShapedArray((), type(python(*(weak_type(a.dtype)(1) for a in avals))), True)
        return ShapedArray(_broadcast(avals), resolve(*avals))

    def abstract(*avals: ShapedArray) -> ShapedArray:
        return result(*[(a.shape, a.dtype, a.weak) for a in avals])

    run = impl if python is None else _python_first(impl, python)
    known |= {"python": python, "doc": impl.__doc__ or "", "pointwise": True}
    if isinstance(impl, np.ufunc):
        known["ufunc"] = impl
        if getattr(np, impl.__name__, None) is not impl:
            known.setdefault("cost", _FOREIGN)
    known |= {"scalar": scalar_form(scalar, len(pushes))}
    if all(push is ZERO for push in pushes):
        return constant(name, run, abstract, **known)
    jvp, vjp = elementwise_rules(pushes, python is None)
    carries = tuple(push is not ZERO for push in pushes) if ZERO in pushes else None
    return declare(name, run, abstract, jvp=jvp, vjp=vjp, carries=carries, **known)


def _check_pushes(name: str, impl: Any, pushes: Sequence[Any]) -> None:
    """No derivative may be left out: that would be taken for zero."""
    n = getattr(impl, "nin", max(len(pushes), 1))
    if len(pushes) != n or not all(map(callable, pushes)):
        raise TypeError(f"{name}: state a pushforward, ZERO or an Unknown for each of its operands ({n})")


def elementwise_tuple(name: str, impl: Rule, *pushes: Sequence[Push], dtypes: Rule | None = None) -> Primitive:
    """A primitive from a ufunc with several results: for each of these, one pushforward per operand.

    `pushes[i][j](g, outs, *ins) = g · ∂outs[i]/∂ins[j]`; else as for `elementwise`.
    """
    for row in pushes:
        _check_pushes(name, impl, row)

    def resolve(*avals: ShapedArray) -> Sequence[np.dtype[Any]]:
        return [_ufunc_dtype(impl, i)(*avals) for i in range(len(pushes))] if dtypes is None else dtypes(*avals)

    def abstract(*avals: ShapedArray) -> tuple[ShapedArray, ...]:
        shape = _broadcast(avals)
        return tuple(ShapedArray(shape, dtype) for dtype in resolve(*avals))

    def jvp(tangents: Sequence[Any], outs: Sequence[Any], ins: Sequence[Any]) -> list[Any]:
        return [_summed(push(t, outs, *ins) for push, t in zip(row, tangents, strict=True) if t is not None)
                for row in pushes]  # fmt: skip

    def vjp(cts: Sequence[Any], outs: Sequence[Any], ins: Sequence[Any], wanted: Sequence[bool]) -> list[Any]:
        back = [[(row[j], ct) for row, ct in zip(pushes, cts, strict=True) if ct is not None] for j in range(len(ins))]
        return [_summed(push(ct, outs, *ins) for push, ct in back[j]) if w else None for j, w in enumerate(wanted)]

    carries = tuple(any(row[j] is not ZERO for row in pushes) for j in range(len(pushes[0])))
    primitive = declare(name, impl, abstract, jvp=jvp, vjp=vjp, multiple=True, carries=carries, doc=impl.__doc__ or "")
    primitive.batch = batch_pointwise(primitive)
    return primitive


def _summed(parts: Iterable[Any]) -> Any:
    """The sum of what is not None, which is zero."""
    total = None
    for part in parts:
        if part is not None:
            total = part if total is None else total + part
    return total


def _broadcast(avals: Sequence[ShapedArray]) -> tuple[int, ...]:
    try:
        return broadcast_shapes(*(a.shape for a in avals))
    except ValueError as error:
        raise ShapeError(f"{error}; make each trailing dimension equal or 1, by reshape or transpose") from None


def _ufunc_dtype(ufunc: Any, result: int = 0) -> Rule:
    def dtype(*avals: ShapedArray) -> np.dtype[Any]:
        try:
            return ufunc_dtypes(ufunc, avals)[result]
        except TypeError:
            kinds = ", ".join(a.dtype.name if a.dtype.kind in "biufc" else short_dtype(a.dtype) for a in avals)
            remedy = NO_NUMBERS if any(map(is_key, avals)) else "convert the operands with .astype"
            raise DTypeError(f"not defined for {kinds}; {remedy}") from None

    return dtype


def aligned(args: Sequence[Any], batched: Sequence[bool]) -> list[Any]:
    """Operands that broadcast against each other, with room made behind the batch axis of those with fewer axes."""
    out = [*args]
    if len(out) == 1:
        return out
    ranks = [len(shape_of(x)) - b for x, b in zip(args, batched, strict=True)]
    n = max(ranks)
    for i, rank in enumerate(ranks):
        if rank < n and batched[i]:
            shape = shape_of(out[i])
            out[i] = np.reshape(out[i], (shape[0], *(1,) * (n - rank), *shape[1:]))
    return out


def batch_pointwise(primitive: Primitive) -> Rule:
    """The batching rule of an operation that broadcasts over leading axes as NumPy does."""

    def batch(args: Sequence[Any], batched: Sequence[bool], size: int, **params: Any) -> Any:
        return primitive.bind(*aligned(args, batched), **params)

    return batch


def _batch_along(primitive: Primitive) -> Rule:
    """The batching rule of an operation along axes of operands of one shape: one axis further on."""
    name = primitive.along

    def batch(args: Sequence[Any], batched: Sequence[bool], size: int, **params: Any) -> Any:
        axes = params[name]
        params[name] = tuple(i + 1 for i in axes) if isinstance(axes, tuple) else axes + 1
        xs = [x if b else np.broadcast_to(x, (size, *shape_of(x))) for x, b in zip(args, batched, strict=True)]
        return primitive.bind(*xs, **params)

    return batch


def _python_first(ufunc: Rule, python: Rule) -> Rule:
    def impl(*args: Any) -> Any:
        for a in args:
            if type(a) not in PYTHON_SCALARS:
                return ufunc(*args)
        return python(*args)

    return impl


def elementwise_rules(pushes: Sequence[Push], numpy: bool = False) -> tuple[Rule, Rule]:
    """The JVP and VJP rules of an elementwise function with these pushforwards.

    What is `numpy` only has its derivative in NumPy's numbers too: Python's raise where these are infinite.
    """
    if len(pushes) == 1:
        return _unary_rules(pushes[0], numpy)
    if len(pushes) == 2:
        return _binary_rules(pushes[0], pushes[1], numpy)

    def jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any]) -> Any:
        total = None
        if numpy and type(ins[0]) is not np.ndarray:
            ins = _strong(ins)
        for push, t in zip(pushes, tangents, strict=True):
            if t is not None and push is not ZERO:
                part = push(t, out, *ins)
                total = part if total is None else total + part
        return total

    def vjp(ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool]) -> list[Any]:
        if numpy and type(ins[0]) is not np.ndarray:
            ins = _strong(ins)
        cts: list[Any] = []
        for i, push in enumerate(pushes):
            cts.append(push(ct, out, *ins) if wanted[i] and push is not ZERO else None)
        return cts

    return jvp, vjp


def _binary_rules(push_a: Push, push_b: Push, numpy: bool) -> tuple[Rule, Rule]:
    """`elementwise_rules`, of a function of two operands."""

    def jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any]) -> Any:
        if numpy and type(ins[0]) is not np.ndarray:
            ins = _strong(ins)
        (da, db), (a, b) = tangents, ins
        left = None if da is None else push_a(da, out, a, b)
        right = None if db is None else push_b(db, out, a, b)
        return right if left is None else left if right is None else left + right

    def vjp(ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool]) -> list[Any]:
        if numpy and type(ins[0]) is not np.ndarray:
            ins = _strong(ins)
        a, b = ins
        return [push_a(ct, out, a, b) if wanted[0] else None, push_b(ct, out, a, b) if wanted[1] else None]

    return jvp, vjp


def _unary_rules(push: Push, numpy: bool) -> tuple[Rule, Rule]:
    """`elementwise_rules`, of a function of one operand."""

    def jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any]) -> Any:
        if numpy and type(ins[0]) is not np.ndarray:
            ins = _strong(ins)
        return push(tangents[0], out, ins[0])

    def vjp(ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool]) -> list[Any]:
        if numpy and type(ins[0]) is not np.ndarray:
            ins = _strong(ins)
        return [push(ct, out, ins[0]) if wanted[0] else None]

    return jvp, vjp


def _strong(ins: Sequence[Any]) -> Sequence[Any]:
    """Operands that are all Python scalars as NumPy's; beside an array such a scalar keeps giving way."""
    if not all(map(is_weak, ins)):
        return ins
    return [dtype_of(x).type(x) if type(x) in PYTHON_SCALARS else x.astype(x.dtype) for x in ins]


# --------------------------------------------------------------------------------------------- linear and bilinear


def linear(name: str, impl: Rule, abstract: Rule, transpose: Rule, **known: Any) -> Primitive:
    """A primitive that is linear in all its operands together.

    `transpose(ct, ins, wanted, **params)` gives a list of cotangents. With several operands (concatenate), zero
    tangents are filled in, so that the operation itself is the JVP.
    """

    def jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any], **params: Any) -> Any:
        filled = [np.zeros(shape_of(x), dtype_of(x)) if t is None else t for t, x in zip(tangents, ins, strict=True)]
        return primitive.bind(*filled, **params)

    def vjp(ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool], **params: Any) -> list[Any]:
        return transpose(ct, ins, wanted, **params)

    primitive = declare(name, impl, abstract, jvp=jvp, vjp=vjp, linear="all", **known)
    return primitive


def bilinear(name: str, impl: Rule, abstract: Rule, transpose_a: Rule, transpose_b: Rule, **known: Any) -> Primitive:
    """A primitive linear in each of two operands: `transpose_a(ct, a, b, **params)` is the cotangent of `a`."""

    def jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any], **params: Any) -> Any:
        (da, db), (a, b) = tangents, ins
        left = None if da is None else primitive.bind(da, b, **params)
        right = None if db is None else primitive.bind(a, db, **params)
        return right if left is None else left if right is None else left + right

    def vjp(ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool], **params: Any) -> list[Any]:
        a, b = ins
        return [
            transpose_a(ct, a, b, **params) if wanted[0] else None,
            transpose_b(ct, a, b, **params) if wanted[1] else None,
        ]

    primitive = declare(name, impl, abstract, jvp=jvp, vjp=vjp, linear="each", **known)
    return primitive


# ------------------------------------------------------------------------------------------- shapes of derivatives


def alike(a: Any, b: Any) -> bool:
    """Whether two values are certainly of one shape and dtype."""
    kind = type(a)
    if kind is not type(b):
        return False
    return (a.shape == b.shape and a.dtype == b.dtype) if kind is np.ndarray else kind in SCALARS


def match_cotangent(ct: Any, like: Any) -> Any:
    """Bring a cotangent to the shape and dtype of its primal: sum over broadcast dimensions, cast, take real parts.

    One that is constant along dimensions may lack them (or have size 1 there): it is left so.
    """
    kind = type(ct)
    if kind is type(like) and (
        (ct.shape == like.shape and ct.dtype == like.dtype) if kind is np.ndarray else kind in SCALARS
    ):
        return ct
    shape, have = shape_of(like), shape_of(ct)
    if shape != have and have:
        ct = _unbroadcast(ct, have, shape)
    ct = _match_dtype(ct, dtype_of(like))
    return _weaken(ct) if is_weak(like) and not is_weak(ct) else ct


def _unbroadcast(ct: Any, have: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    lead = len(have) - len(shape)
    if lead > 0:
        ct = np.add.reduce(ct, axis=0 if lead == 1 else tuple(range(lead)))
        have = have[lead:]
    if have == shape or lead < 0:
        return ct
    axes = tuple(i for i, n in enumerate(shape) if n == 1 and have[i] != 1)
    return np.add.reduce(ct, axis=axes, keepdims=True) if axes else ct


def full_cotangent(ct: Any, like: Any) -> Any:
    """A cotangent with all the dimensions of its primal."""
    shape = shape_of(like)
    return ct if shape_of(ct) == shape else np.broadcast_to(ct, shape)


def match_tangent(tangent: Any, out: Any) -> Any:
    """Bring a tangent to the shape and dtype of its primal."""
    if alike(tangent, out):
        return tangent
    if shape_of(tangent) != shape_of(out):
        tangent = np.broadcast_to(tangent, shape_of(out))
    tangent = _match_dtype(tangent, dtype_of(out))
    if is_weak(out):
        return tangent if is_weak(tangent) else _weaken(tangent)
    return dtype_of(out).type(tangent) if type(tangent) in PYTHON_SCALARS else tangent


def _match_dtype(x: Any, want: np.dtype[Any]) -> Any:
    have = dtype_of(x)
    if have == want:
        return x
    if have.kind == "c" and want.kind != "c":
        x = np.real(x)
    if type(x) in PYTHON_SCALARS:
        return want.type(x)
    return x.astype(want) if x.dtype != want else x


def _weaken(x: Any) -> Any:
    """A scalar as a Python scalar, whose dtype gives way."""
    if type(x) in PYTHON_SCALARS:  # a program may be run on a Python scalar where an array was recorded
        return x
    return WEAKEN.bind(x) if isinstance(x, Tracer) else x.item()


WEAKEN = linear(
    "weaken",
    _weaken,
    lambda x: ShapedArray((), x.dtype, True),
    lambda ct, ins, wanted: [ct],
    batch=lambda args, batched, size: args[0],  # many numbers are an array
    moves="alias",
    generic=True,
    pointwise=True,
    total=True,
)
"""An array of shape () as a Python scalar of the same value: so that the gradient of one is one, traced or not."""


def operand_avals(*xs: Any) -> tuple[ShapedArray, ...]:
    """The avals of several operands."""
    return tuple(map(aval_of, xs))
