"""Operations of your own, with all that those of funcgrad have.

A function written in NumPy needs nothing from here: funcgrad differentiates it as it is, and `custom_jvp` and
`custom_vjp` give it other derivatives. A *primitive* is for what shall be one operation: a ufunc of another library, a
function that NumPy's would compute in many steps or with rounding errors, a linear map whose transpose is known.

>>> import numpy as np
>>> from funcgrad import grad, jit, vmap
>>> softsign = elementwise(
...     "doc_softsign",
...     lambda x: x / (1 + np.abs(x)),
...     lambda g, out, x: g / np.square(1 + np.abs(x)),  # g times the derivative by x
...     scalar="{0} / (1.0 + abs({0}))",
... )
>>> softsign(np.array([1.0, -3.0]))
array([ 0.5 , -0.75])
>>> grad(grad(softsign))(1.0), vmap(grad(softsign))(np.array([1.0, -3.0]))
(-0.25, array([0.25  , 0.0625]))

That is all: derivatives of every order in both modes, batches and shapes follow, and `jit` fuses it with what is around
it, packs it, writes it out over Python's numbers and divides it among threads as it does with `np.sin`.
`test_util.check_operation` checks what was said.

- `elementwise`: one *pushforward* per operand, `(g, out, *operands) -> g · ∂out/∂operand`; `ZERO` where the derivative
  is zero, `Unknown("the order")` where it is not known, which raises where it is asked for.
- `linear`: the transpose. `bilinear`: one transpose per operand. `primitive`: rules written by hand.
- `implements`: what stands for a NumPy function, or for a method of a ufunc, when an argument is traced.

Each returns the function to call; its attribute `primitive` is the `Primitive`, whose docstring says what rules and
facts there are. Formulas are plain NumPy: they run on arrays, and are recorded on traced values.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from funcgrad.core import Primitive, under
from funcgrad.errors import ShapeError
from funcgrad.executor import build  # noqa: F401  # pyright: ignore[reportUnusedImport]  # fills `LOWERINGS`
from funcgrad.executor.step import LOWERINGS
from funcgrad.numpy._dispatch import FUNCTIONS, UFUNC_METHODS, operand, strong
from funcgrad.ops import rules
from funcgrad.ops.math import UFUNCS
from funcgrad.ops.rules import PRIMITIVES, ZERO, Push, Unknown
from funcgrad.ops.scalar import Scalar, ScalarForm, scalar_form
from funcgrad.ops.special import special_names
from funcgrad.transforms.make_ir import trace_to_program
from funcgrad.types import PYTHON_SCALARS, ShapedArray, broadcast_shapes, dtype_of, is_weak

__all__ = [
    "ZERO",
    "Operation",
    "Primitive",
    "ScalarForm",
    "ShapedArray",
    "Unknown",
    "bilinear",
    "elementwise",
    "implements",
    "linear",
    "primitive",
]

Rule = Callable[..., Any]

_RESERVED = frozenset((*PRIMITIVES, *LOWERINGS))
OWNERS: dict[str, str] = {}
"""The module that declared a primitive from outside, by the primitive's name."""
_SAMPLES = (0.4375, -1.3125, 2.75)
"""Where what is said of an elementwise function is compared with the function itself."""


class Operation:
    """The function of a primitive: call it with arrays, numbers, lists of traced values, or traced values.

    Attributes:
        primitive: all that is known of it.
    """

    def __init__(self, primitive: Primitive) -> None:
        self.primitive = primitive
        self.__name__ = self.__qualname__ = primitive.name
        self.__doc__ = primitive.doc or f"The primitive `{primitive.name}`."

    def __call__(self, *args: Any, **params: Any) -> Any:
        """Apply the operation; `params` are static, as the primitive's shape rule has them."""
        xs = list(map(operand, args))
        if self.primitive.pointwise and xs and all(map(is_weak, xs)):
            xs[0] = strong(xs[0])  # as a ufunc does it: the result is no Python number
        return self.primitive.bind(*xs, **params)

    def __repr__(self) -> str:
        return f"<operation {self.primitive.name}>"


def _claim(name: str, depth: int = 2) -> None:
    """Take a name for a module; declaring it again there, as in a notebook, replaces what it had."""
    if not name.isidentifier():
        raise ValueError(f"a primitive's name must be an identifier, got {name!r}")
    module = sys._getframe(depth).f_globals.get("__name__", "?")
    owner = "funcgrad" if name in _RESERVED or name in special_names() else OWNERS.get(name, module)
    if owner != module:
        raise ValueError(f"{owner} has a primitive {name!r} already: choose another name")
    OWNERS[name] = module


# ---------------------------------------------------------------------------------------------------- elementwise


def elementwise(
    name: str,
    function: Callable[..., Any],
    *pushforwards: Push,
    dtype: Callable[..., Any] | None = None,
    scalar: Scalar | None = None,
    cost: tuple[float, float] | None = None,
    **known: Any,
) -> Operation:
    """A function of which each element of the result depends on the same element of the operands alone.

    Args:
        name: how programs print it; an identifier that no other primitive has.
        function: `function(*arrays)`. A ufunc (one that computes with numbers, not with objects), which is traceable
            itself from then on; or NumPy code that is right for arrays, NumPy scalars and traced values: where arrays
            are large, `jit` records it and fuses its operations. With `dtype` it may be anything that takes arrays.
        pushforwards: one per operand, `push(g, out, *operands) = g · ∂out/∂operand`, in NumPy; `ZERO`, or an `Unknown`.
        dtype: `dtype(*avals)`, the dtype of the result for operands of these types (with `shape`, `dtype` and `weak`).
            Not needed for a ufunc or for NumPy code. It may raise `errors.DTypeError`.
        scalar: what the function is for Python floats, if `jit` shall write it out where there are but a few: a
            function of floats such as `math.erf`, a text such as "{0} / (1.0 + abs({0}))", or a `ScalarForm`. Where
            Python raises an ArithmeticError or a ValueError, NumPy runs that part.
        cost: nanoseconds per element of at most 4 bytes and of more, if it is far from 15 for a ufunc.
        known: facts that make it faster: `commutative`, `idempotent`, `total`, `linear` (see `Primitive`).

    Returns:
        The function, for arrays and traced values; operands broadcast. Its results have NumPy's types.

    Raises:
        TypeError: there is not one pushforward for each operand, or `function` is a ufunc of objects.
        ValueError: the name is taken, the ufunc has a primitive, or what is said is not so for some numbers.

    >>> import numpy as np
    >>> from funcgrad import grad
    >>> cube = elementwise("doc_cube", lambda x: x * x * x, lambda g, out, x: g * (3 * x * x), scalar="{0} * {0} * {0}")
    >>> cube(2), grad(cube)(2.0)
    (np.int64(8), 12.0)
    """
    _claim(name)
    if isinstance(function, np.ufunc):
        if function.nout != 1 or all("O" in types for types in function.types):
            raise TypeError(f"{name}: a ufunc must have one result, and compute with numbers instead of objects")
        if function in UFUNCS:
            raise ValueError(f"{name}: {function.__name__} is the primitive {UFUNCS[function].name} already")
        impl = function
    elif dtype is None:
        dtype, known["expansion"] = _recorded(name, function), function
        impl = _of_arrays(function)
    else:
        impl = _of_arrays(function)
    if cost is not None:
        known["cost"] = cost
    _check_facts(name, function, len(pushforwards), scalar_form(scalar, len(pushforwards)), known)
    made = rules.elementwise(name, impl, *pushforwards, dtype=dtype, scalar=scalar, **known)
    made.doc = function.__doc__ or ""
    if isinstance(function, np.ufunc):
        UFUNCS[function] = made
    return Operation(made)


def _of_arrays(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function for arrays and NumPy scalars: Python's own numbers would come out as such."""

    def impl(*args: Any) -> Any:
        if all([type(a) in PYTHON_SCALARS for a in args]):
            args = (dtype_of(args[0]).type(args[0]), *args[1:])
        return function(*args)

    return impl


def _recorded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The rule for the dtype of a function in NumPy: that of its recording."""

    @lru_cache(1024)
    def dtype(*avals: ShapedArray) -> np.dtype[Any]:
        with under(None):
            found = trace_to_program(function, avals, name).out_avals
        shape = broadcast_shapes(*(a.shape for a in avals))
        if len(found) != 1 or found[0].shape != shape:
            raise ShapeError(f"it is elementwise, and gives {', '.join(map(str, found))} where the shape is {shape}")
        return found[0].dtype

    return dtype


def _check_facts(name: str, function: Any, operands: int, form: ScalarForm | None, known: dict[str, Any]) -> None:
    """What is said of a function, compared with it for some numbers."""
    rows = [np.roll(_SAMPLES, k) for k in range(operands)]
    if form is None and isinstance(function, np.ufunc) and not any("d" in types for types in function.types):
        rows = [(8 * row).astype(int) for row in rows]  # a function of integers
    with np.errstate(all="ignore"):
        if known.get("commutative") and not _same(function(*rows), function(*rows[::-1])):
            raise ValueError(f"{name}: said to be commutative, and f(x, y) is not f(y, x)")
        if known.get("idempotent") and not _same(function(rows[0], rows[0]), rows[0]):
            raise ValueError(f"{name}: said to be idempotent, and f(x, x) is not x")
        if known.get("linear") == "all" and not _same(function(*(r + 1 for r in rows)), _sum(function, rows)):
            raise ValueError(f"{name}: said to be linear, and f(x + y) is not f(x) + f(y)")
        if form is None:
            return
        for numbers in zip(*rows, strict=True):
            want = function(*map(np.float64, numbers))
            have = _evaluated(name, form, [float(x) for x in numbers])
            if have is not None and np.isfinite(want) and not _same(have, want):
                raise ValueError(f"{name}: over Python floats it is {have} at {numbers}, and {want} in NumPy")


def _sum(function: Any, rows: Sequence[Any]) -> Any:
    return function(*rows) + function(*(np.ones_like(r) for r in rows))


def _same(a: Any, b: Any) -> bool:
    return bool(np.allclose(a, b, rtol=1e-10, atol=1e-12, equal_nan=True))


def _evaluated(name: str, form: ScalarForm, numbers: Sequence[float]) -> Any:
    """What the text gives; None where NumPy is to run it."""
    text = ("f" if form.function is not None else "") + form.text.format(*(f"x{i}" for i in range(len(numbers))))
    try:
        return eval(text, {"f": form.function, **{f"x{i}": x for i, x in enumerate(numbers)}})
    except (ArithmeticError, ValueError):
        return None
    except Exception as error:
        raise ValueError(f"{name}: {text!r} cannot be computed ({type(error).__name__}: {error})") from None


# ------------------------------------------------------------------------------------------------- linear, bilinear


def linear(name: str, impl: Rule, abstract: Rule, transpose: Rule, **known: Any) -> Operation:
    """An operation that is linear in all its operands together: it is its own forward derivative.

    Args:
        name: how programs print it; an identifier that no other primitive has.
        impl: `impl(*arrays, **params)`, the operation in NumPy.
        abstract: `abstract(*avals, **params)`, a `ShapedArray` for the result; may raise `errors.ShapeError`.
        transpose: `transpose(ct, operands, wanted, **params)`, a list of cotangents, one per operand, in operations
            that can be traced; None where it is not wanted.
        known: `batch`, the rule for `vmap`; with `along="axis"`, the parameter that has the axis (not negative) or axes
            which it works along, there is one. Facts, as in `Primitive`.

    >>> import numpy as np
    >>> from funcgrad import grad
    >>> reverse = linear(
    ...     "doc_reverse",
    ...     lambda x, axis: np.flip(x, axis),
    ...     lambda x, axis: x,
    ...     lambda ct, operands, wanted, axis: [reverse(ct, axis=axis)],
    ...     along="axis",
    ... )
    >>> grad(lambda x: reverse(x, axis=0) @ np.arange(3.0))(np.ones(3))
    array([2., 1., 0.])
    """
    _claim(name)
    return Operation(rules.linear(name, impl, abstract, transpose, **known))


def bilinear(name: str, impl: Rule, abstract: Rule, transpose_a: Rule, transpose_b: Rule, **known: Any) -> Operation:
    """An operation of two operands that is linear in each of them: a product of some kind.

    `transpose_a(ct, a, b, **params)` gives the cotangent of `a`, `transpose_b` that of `b`; else as for `linear`.

    >>> import numpy as np
    >>> from funcgrad import grad
    >>> outer = bilinear(
    ...     "doc_outer",
    ...     lambda a, b: np.multiply.outer(a, b),
    ...     lambda a, b: ShapedArray(a.shape + b.shape, np.result_type(a.dtype, b.dtype)),
    ...     lambda ct, a, b: ct @ b,
    ...     lambda ct, a, b: a @ ct,
    ... )
    >>> grad(lambda a: np.sum(outer(a, np.arange(3.0))))(np.ones(2))
    array([3., 3.])
    """
    _claim(name)
    return Operation(rules.bilinear(name, impl, abstract, transpose_a, transpose_b, **known))


def primitive(name: str, impl: Rule, abstract: Rule, **known: Any) -> Operation:
    """An operation whose rules are written by hand: `jvp`, `vjp`, `batch` and others, as in `Primitive`.

    A rule that is left out is missing: what asks for it raises, and names the operation.

    >>> import numpy as np
    >>> from funcgrad import grad, jvp
    >>> largest = primitive(
    ...     "doc_largest",
    ...     lambda x: x.max(),
    ...     lambda x: ShapedArray((), x.dtype),
    ...     jvp=lambda tangents, out, ins: tangents[0][np.argmax(ins[0])],
    ...     vjp=lambda ct, out, ins, wanted: [ct * (np.arange(ins[0].shape[0]) == np.argmax(ins[0]))],
    ... )
    >>> grad(largest)(np.array([1.0, 3.0, 2.0]))
    array([0., 1., 0.])
    """
    _claim(name)
    return Operation(rules.declare(name, impl, abstract, **known))


# ------------------------------------------------------------------------------------------------- NumPy's functions


def implements(function: Any, method: str | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Say that the decorated function stands for a NumPy function, or a ufunc, where an argument is traced.

    Args:
        function: a function that dispatches by `__array_function__`, as most of NumPy's do, or a ufunc.
        method: of a ufunc: "reduce", "accumulate", "outer", …

    Raises:
        TypeError: nothing would call it, since `function` does not dispatch.
        ValueError: funcgrad has something for it already.

    >>> import numpy as np
    >>> from funcgrad import grad
    >>> @implements(np.logaddexp, "reduce")
    ... def logaddexp_reduce(a, axis=0):
    ...     high = np.max(a, axis=axis, keepdims=True)
    ...     return np.squeeze(np.log(np.sum(np.exp(a - high), axis=axis, keepdims=True)) + high, axis)
    >>> grad(np.logaddexp.reduce)(np.zeros(4))
    array([0.25, 0.25, 0.25, 0.25])
    """
    ufunc = isinstance(function, np.ufunc)
    if method is not None and not (ufunc and hasattr(function, method)):
        raise TypeError(f"implements: {function!r} is no ufunc with a method {method!r}")
    if not ufunc and not hasattr(function, "_implementation"):
        raise TypeError(
            f"implements: {function!r} does not dispatch to traced arguments; call your own function instead"
        )
    table: dict[Any, Any] = FUNCTIONS if method is None else UFUNC_METHODS
    key = function if method is None else (function, method)

    def register(fun: Callable[..., Any]) -> Callable[..., Any]:
        own = table.get(key)
        if (own is not None and own.__module__ != fun.__module__) or (method is None and function in UFUNCS):
            raise ValueError(f"implements: {getattr(function, '__name__', function)} has an implementation already")
        table[key] = fun
        return fun

    return register


def __dir__() -> list[str]:
    return __all__
