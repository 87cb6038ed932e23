"""Abstract values: what is known of an array before it is computed.

An *abstract value* (aval) is a shape and a dtype. The dtype rules are NumPy 2's own: wherever a ufunc exists, the
ufunc itself is asked (`ufunc.resolve_dtypes`), so that tracing can never promote differently from NumPy. A Python
scalar is *weak*, as in NEP 50: it takes on the dtype of the array that it meets.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import numpy as np

from funcgrad._array import Array, Counter, WeakArray, unwrap

if TYPE_CHECKING:
    from typing_extensions import TypeIs

__all__ = [
    "KEYS",
    "NO_NUMBERS",
    "NUMBERS",
    "PYTHON_SCALARS",
    "SCALARS",
    "ScalarArray",
    "ShapeDtypeStruct",
    "ShapedArray",
    "argument_aval",
    "as_numbers",
    "aval_of",
    "broadcast_shapes",
    "dtype_of",
    "extended",
    "float0",
    "is_a",
    "is_inexact",
    "is_key",
    "is_weak",
    "loop_dtypes",
    "no_numbers",
    "prng_key",
    "result_dtype",
    "shape_of",
    "short_dtype",
    "ufunc_dtypes",
    "weak_type",
    "without_derivative",
]

T = TypeVar("T")

PYTHON_SCALARS = frozenset((bool, int, float, complex))
_WEAK_DTYPES = {bool: np.dtype(bool), int: np.dtype(int), float: np.dtype(float), complex: np.dtype(complex)}
_WEAK_TYPES = {"b": bool, "i": int, "f": float, "c": complex}

_CODES = "?bhilqpBHILQPefdgFDG"


class extended(np.void):  # JAX's names
    """The kind of dtypes that are not of numbers."""


NO_NUMBERS = (
    "random keys are not numbers: random.split and random.fold_in make other keys of one, == compares two, and "
    "random.key_data gives the words as integers"
)
"""What to do with random keys instead of arithmetic."""


def _no_arithmetic(self: Any, *others: Any) -> NoReturn:
    raise TypeError(NO_NUMBERS)


class prng_key(extended):
    """The kind of the dtypes of random keys, and the class of one that is an element of an array."""

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __xor__ = __rxor__ = __neg__ = _no_arithmetic
    __lt__ = __le__ = __gt__ = __ge__ = _no_arithmetic

    def __repr__(self) -> str:
        return f"{short_dtype(self.dtype)}({self[0]})"

    __str__ = __repr__


KEYS = {
    "threefry2x32": np.dtype((prng_key, [("key<fry>", np.uint32, (2,))])),
    "philox": np.dtype((prng_key, [("key<philox>", np.uint32, (4,))])),
}
"""The dtypes of random keys, by the generator: records of its words, so that NumPy moves keys as it does numbers."""

NUMBERS = frozenset(map(np.dtype, _CODES)) | frozenset(KEYS.values())
"""The dtypes that values can have: those of numbers, in the machine's byte order, and those of random keys."""
SCALARS = PYTHON_SCALARS | frozenset(np.dtype(code).type for code in _CODES)
"""The classes of Python's and of NumPy's numbers."""

_OURS = (Array, Counter, WeakArray)

float0 = np.dtype([("float0", np.void, 0)])
"""The dtype of the tangent of an integer or boolean: it holds nothing."""


class ShapedArray:
    """The shape and dtype of an array.

    Args:
        shape: the dimensions.
        dtype: anything `numpy.dtype` accepts.
        weak: true for a Python scalar, whose dtype gives way to that of an array (NEP 50).
        sharding: accepted for JAX's sake.
        weak_type: the same as `weak`, by JAX's name.

    Raises ValueError without a dtype: NumPy would take float64.

    >>> ShapedArray((2, 3), np.float32)
    ShapedArray(f32[2,3])
    """

    __slots__ = ("dtype", "shape", "weak")

    def __init__(
        self, shape: Any, dtype: Any, weak: bool = False, *, sharding: Any = None, weak_type: bool = False
    ) -> None:
        if dtype is None:
            raise ValueError("ShapeDtypeStruct: a dtype must be given")
        self.shape: tuple[int, ...] = (shape,) if is_a(shape, int) else tuple(shape)
        dtype = np.dtype(dtype)
        # transformations compute in the machine's byte order
        self.dtype: np.dtype[Any] = dtype if dtype.isnative else dtype.newbyteorder("=")
        self.weak = weak or weak_type

    @property
    def weak_type(self) -> bool:
        return self.weak

    def update(self, **changes: Any) -> ShapedArray:
        """The same with another `shape`, `dtype` or `weak_type`."""
        kept: dict[str, Any] = {"shape": self.shape, "dtype": self.dtype, "weak_type": self.weak}
        return ShapedArray(**(kept | changes))

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __bool__(self) -> bool:  # not by its length
        return True

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        n = 1
        for d in self.shape:
            n *= d
        return n

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ShapedArray)
            and self.shape == other.shape
            and self.dtype == other.dtype
            and self.weak == other.weak
        )

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype, self.weak))

    def __str__(self) -> str:
        if self.weak:
            return weak_type(self.dtype).__name__
        return f"{short_dtype(self.dtype)}[{','.join(map(str, self.shape))}]"

    def __repr__(self) -> str:
        return f"ShapedArray({self})"


ShapeDtypeStruct = ShapedArray


def weak_type(dtype: np.dtype[Any]) -> type:
    """The Python scalar type of a weak value of this dtype."""
    return _WEAK_TYPES[dtype.kind]


def short_dtype(dtype: np.dtype[Any]) -> str:
    """A dtype as the IR prints it: `f32`, `i64`, `c128`, `bool`."""
    if dtype.kind in "fiuc":
        return f"{dtype.kind}{8 * dtype.itemsize}"
    if dtype.names:
        return dtype.names[0]
    return dtype.name


def is_a(x: object, kinds: type[T] | tuple[type[T], ...]) -> TypeIs[T]:
    """`isinstance` for the package itself: a tracer answers that as the value would that it stands for."""
    return issubclass(type(x), kinds)


def no_numbers(x: Any, name: str) -> TypeError | None:
    """The error for an array (or a NumPy scalar, a dtype) that does not hold numbers, called `name`; None if it does.

    Numbers are booleans, integers, floats and complex numbers. A masked array, whose mask would be forgotten, and a
    matrix, whose `*` means another thing, are refused too.
    """
    kinds = {c.__name__ for c in type(x).__mro__}
    if "MaskedArray" in kinds:
        return TypeError(f"{name} is a masked array, whose mask would be forgotten: use x.filled(value) and np.where")
    if "matrix" in kinds:
        return TypeError(f"{name} is a matrix, whose * means @: use numpy.asarray(x)")
    dtype = x if isinstance(x, np.dtype) else x.dtype
    if dtype.kind in "biufc" or dtype in NUMBERS:
        return None
    what = f"{name} has dtype {dtype}, which is not of numbers"
    if is_a(x, np.ndarray) and x.ndim:
        what += f" (shape {x.shape})"
    if dtype == float0:
        remedy = "it is the gradient of an integer, and holds nothing: leave it out"
    elif dtype.names:
        remedy = f"take a field, x[{dtype.names[0]!r}], or numpy.lib.recfunctions.structured_to_unstructured(x)"
    else:
        remedy = _REMEDIES.get(dtype.kind, "make it an array of numbers with .astype(float)")
    return TypeError(f"{what}: {remedy}")


_REMEDIES = {
    "M": "make it an array of numbers first, such as ((x - x[0]) / numpy.timedelta64(1, 's')).astype(float)",
    "m": "make it an array of numbers first, such as (x / numpy.timedelta64(1, 's')).astype(float)",
    "V": "make it an array of numbers first, such as numpy.frombuffer(x, dtype)",
}


def as_numbers(x: Any, name: str) -> Any:
    """An array or NumPy scalar as one of numbers: a plain `numpy.ndarray` in the machine's byte order.

    This is the one place where data that is not numbers is refused: TypeError, with what `x` is called and a remedy.
    """
    if type(x) in SCALARS or (type(x) is np.ndarray and x.dtype in NUMBERS):
        return x
    if type(x) in _OURS and x.dtype in NUMBERS:
        return unwrap(x)
    error = no_numbers(x, name)
    if error is not None and x.dtype != float0:
        raise error
    if not is_a(x, np.ndarray):
        return np.asarray(x) if is_a(x, np.void) else x  # NumPy has no scalars of records that could take a shape
    plain = x if type(x) is np.ndarray else x.view(np.ndarray)
    return plain if plain.dtype.isnative else plain.astype(plain.dtype.newbyteorder("="))


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of an array, a tracer or a Python scalar; raises TypeError for anything else."""
    try:
        return () if type(x) in PYTHON_SCALARS else x.shape
    except AttributeError:
        raise _no_array(x) from None


def dtype_of(x: Any) -> np.dtype[Any]:
    """The dtype of an array, a tracer or a Python scalar; raises TypeError for anything else."""
    try:
        return _WEAK_DTYPES[type(x)] if type(x) in PYTHON_SCALARS else x.dtype
    except AttributeError:
        raise _no_array(x) from None


def _no_array(x: Any) -> TypeError:
    return TypeError(f"expected an array or a number, got a {type(x).__name__}")


def is_weak(x: Any) -> bool:
    """Whether a value is a Python scalar, or a tracer that stands for one."""
    return type(x) in PYTHON_SCALARS or bool(getattr(x, "weak", False))


def is_inexact(x: Any) -> bool:
    """Whether a value has a floating or complex dtype, and so a tangent."""
    return dtype_of(x).kind in "fc"


def is_key(x: Any) -> bool:
    """Whether a value is an array of random keys, or stands for one."""
    return getattr(getattr(x, "dtype", None), "type", None) is prng_key


def without_derivative(aval: ShapedArray) -> str:
    """What values that are not inexact are called in messages."""
    return "random keys" if is_key(aval) else "booleans" if aval.dtype.kind == "b" else "integers"


def aval_of(x: Any) -> ShapedArray:
    """The abstract value of an array, a NumPy scalar, a Python scalar or a tracer; raises TypeError for the rest."""
    kind = type(x)
    if kind is np.ndarray:
        return ShapedArray(x.shape, x.dtype)
    if kind in PYTHON_SCALARS:
        return ShapedArray((), _WEAK_DTYPES[kind], True)
    if issubclass(kind, ShapedArray):
        return x
    aval = getattr(x, "aval", None)
    return aval if aval is not None else ShapedArray(shape_of(x), dtype_of(x))


class ScalarArray(ShapedArray):
    """The abstract value of an array of shape (), where that is to be told from a NumPy scalar: of an argument."""

    __slots__ = ()


def argument_aval(x: Any) -> ShapedArray:
    """The abstract value of an argument."""
    return ScalarArray((), x.dtype) if type(x) is np.ndarray and x.ndim == 0 else aval_of(x)


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """NumPy's broadcast of shapes; raises ValueError where they do not fit."""
    first = shapes[0] or shapes[-1]
    if all(s == first or not s for s in shapes):  # the same, but for scalars
        return first
    ndim = max(map(len, shapes))
    out: list[int] = []
    for axis in range(-ndim, 0):
        dims = {s[axis] for s in shapes if len(s) >= -axis} - {1}
        if len(dims) > 1:
            raise ValueError(f"shapes {', '.join(map(str, shapes))} do not broadcast together")
        out.append(dims.pop() if dims else 1)
    return tuple(out)


@lru_cache(maxsize=4096)
def _resolve(ufunc: np.ufunc, dtypes: tuple[Any, ...]) -> tuple[np.dtype[Any], ...]:
    return ufunc.resolve_dtypes(dtypes + (None,) * ufunc.nout)


def loop_dtypes(ufunc: np.ufunc, avals: Sequence[ShapedArray]) -> tuple[np.dtype[Any], ...]:
    """The dtypes of the operands and results of the loop that NumPy picks; raises TypeError where there is none."""
    dtypes = [_WEAK_TYPES[a.dtype.kind] if a.weak else a.dtype for a in avals]
    # `resolve_dtypes` takes Python's int, float and complex for weak operands, and a bool as a strong one.
    return _resolve(ufunc, tuple(np.dtype(bool) if d is bool else d for d in dtypes))


def ufunc_dtypes(ufunc: np.ufunc, avals: Sequence[ShapedArray]) -> tuple[np.dtype[Any], ...]:
    """The dtypes of a ufunc's results, as NumPy resolves them; raises TypeError where there is no loop."""
    return loop_dtypes(ufunc, avals)[ufunc.nin :]


def result_dtype(*xs: Any) -> np.dtype[Any]:
    """NumPy's promotion of values, tracers or avals, Python scalars being weak."""
    avals = [aval_of(x) for x in xs]
    # A zero of the weak type stands for a Python scalar.
    return np.result_type(*[weak_type(a.dtype)(0) if a.weak else a.dtype for a in avals])
