"""The arrays that `funcgrad.numpy`, `funcgrad.lax` and `funcgrad.nn` return outside of transformations: `Array`.

`Array` is `numpy.ndarray` with what programs written for JAX ask of an array: `x.at[i].set(v)`,
`x.block_until_ready()`, `x[traced_index]`, `x.devices()`, … NumPy keeps the class through its own functions and
operators, so that it reaches what is computed from such an array. Plain arrays stay plain: no function of `numpy` makes
an `Array` of them, and neither does a transformation (`jit(f)(x)` is an `Array` if an argument holds one).

It is taken off at the door of each primitive and each compiled function (`types.as_numbers`, `unwrap`), so that nothing
behind these knows of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import numpy as np

from funcgrad._places import Device, SingleDeviceSharding, Undivided, cpu

__all__ = ["ARRAYS", "TRACERS", "Array", "Counter", "WeakArray", "elsewhere", "methods", "numpys_own", "returning",
           "returning_arrays", "unwrap", "wrap", "wrap_leaves", "wrap_scalar"]  # fmt: skip


TRACERS: list[type] = []
"""The class of traced values, once it is there."""

elsewhere: list[Callable[[Any, Any, Any], Any]] = []
"""What calls of functions of the package are handed to once there are arrays on a device: it returns NotImplemented
where none are among the arguments."""

methods: dict[str, Callable[..., Any]] = {}
"""What `funcgrad.numpy` does for an `Array`: `getitem`, `at`, and methods with more parameters than NumPy's."""


class _ArrayType(type):
    """`isinstance(x, Array)` also holds for NumPy's arrays and scalars, and for traced values."""

    def __instancecheck__(cls, instance: object) -> bool:
        kind = type(instance)
        if cls is not Array:
            return issubclass(kind, cls)
        return issubclass(kind, (np.ndarray, np.generic, Counter, *TRACERS))


def _is_traced(index: Any) -> bool:
    kind = type(index)
    if kind is tuple or kind is list:
        return any(map(_is_traced, index))
    return issubclass(kind, tuple(TRACERS))


def _in_place(name: str, ufunc: np.ufunc) -> Callable[[Any, Any], Any]:
    def method(self: Any, other: Any) -> Any:
        if self.base is not None and self.base.size != self.size:
            return getattr(super(Array, self), name)(other)
        return ufunc(self, other)

    method.__name__ = name
    return method


_NUMPYS = {
    "a_max", "a_min", "axis", "axis1", "axis2", "b", "choices", "condition", "ddof", "decimals", "dtype", "indices",
    "initial", "keepdims", "kind", "max", "mean", "min", "mode", "offset", "order", "out", "repeats", "side", "sorter",
    "stable", "v", "where",
}  # fmt: skip
"""Keywords of NumPy's methods."""


def numpys_own(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether NumPy's method takes these arguments, and they mean the same to it as to JAX's."""
    if len(args) > 2 and type(args[2]) is bool:  # JAX's `keepdims`, where NumPy's has `out`
        return False
    if not kwargs:
        return True
    if kwargs.get("where", kwargs) is None:  # JAX's "not given", which NumPy takes for "nowhere"
        return False
    return _NUMPYS.issuperset(kwargs) and kwargs.get("mode") in (None, "raise", "clip", "wrap")


def _by_function(name: str) -> Callable[..., Any]:
    numpys = getattr(np.ndarray, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not args and not kwargs:
            return wrap(numpys(self))
        traced = _is_traced(args) or any(map(_is_traced, kwargs.values()))
        if traced or not numpys_own(args, kwargs):
            return methods[name](self.view(np.ndarray), *args, **kwargs)
        if kwargs and kwargs.get("mode", "") is None:
            del kwargs["mode"]
        return wrap(numpys(self, *args, **kwargs))

    method.__name__, method.__doc__ = name, f"As `funcgrad.numpy.{name}`."
    return method


class Array(Undivided, np.ndarray, metaclass=_ArrayType):
    """`numpy.ndarray` with the attributes and methods of JAX's arrays.

    `isinstance(x, Array)` holds for arrays and scalars of NumPy and for traced values as well; to make one, call a
    function of `funcgrad.numpy`. Two things differ from NumPy, for the sake of programs written for JAX: an index may
    be traced (`x[i]` in a function under `jit`), and `x += y` gives `x` a new array, where `x` is not a view of a part
    of another one; other names for the old one keep it. Of a traced `x`, `x += y` is NumPy's: it writes. `x[i] = y`
    and `x.sort()` write in any case, as in NumPy.

    >>> import funcgrad.numpy as jnp
    >>> x = jnp.zeros(3)
    >>> x.at[1].set(5.0).block_until_ready()
    array([0., 5., 0.])
    """

    __slots__ = ()
    weak_type = False

    def __getitem__(self, index: Any) -> Any:
        kind = type(index)
        if kind is not int and kind is not slice and _is_traced(index):
            return methods["getitem"](self, index)
        try:
            return super().__getitem__(index)
        except IndexError as error:
            raise methods["wrong_index"](error) from None

    for _name, _ufunc in (
        ("__iadd__", np.add), ("__isub__", np.subtract), ("__imul__", np.multiply), ("__itruediv__", np.true_divide),
        ("__ifloordiv__", np.floor_divide), ("__imod__", np.remainder), ("__ipow__", np.power),
        ("__iand__", np.bitwise_and), ("__ior__", np.bitwise_or), ("__ixor__", np.bitwise_xor),
        ("__ilshift__", np.left_shift), ("__irshift__", np.right_shift), ("__imatmul__", np.matmul),
    ):  # fmt: skip
        vars()[_name] = _in_place(_name, _ufunc)
    for _name in (
        "all", "any", "argmax", "argmin", "argsort", "choose", "clip", "compress", "dot", "max", "mean", "min",
        "nonzero", "prod", "repeat", "searchsorted", "std", "sum", "take", "var",
    ):  # fmt: skip
        vars()[_name] = _by_function(_name)
    del _name, _ufunc

    @property
    def at(self) -> Any:
        """Functional updates: `x.at[index].set(values)` and the like; see `funcgrad.numpy.at`."""
        return methods["at"](self)

    @property
    def aval(self) -> Any:
        """The abstract value."""
        return methods["aval"](self)

    @property
    def device(self) -> Any:
        """The one device, which is also NumPy's name for it, `"cpu"`."""
        return cpu

    @property
    def sharding(self) -> SingleDeviceSharding:
        """That all of it is on the one device."""
        return SingleDeviceSharding()

    def devices(self) -> set[Device]:
        """The devices where it is."""
        return {cpu}

    def block_until_ready(self) -> Array:
        """The array itself: what NumPy has returned is computed."""
        return self

    def copy_to_host_async(self) -> None:
        """Nothing: it is there."""

    def is_ready(self) -> bool:
        """True: what NumPy has returned is computed."""
        return True

    def ptp(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        """As `funcgrad.numpy.ptp`."""
        return wrap(np.ptp(self, axis, out, keepdims))

    def is_deleted(self) -> bool:
        """False: arrays are not deleted."""
        return False

    def on_device_size_in_bytes(self) -> int:
        """Its size in bytes."""
        return self.nbytes

    def unsafe_buffer_pointer(self) -> int:
        """The address of its memory."""
        return self.ctypes.data

    def __repr__(self) -> str:
        return repr(self.view(np.ndarray))

    def __round__(self, ndigits: int | None = None) -> Any:
        if self.ndim or ndigits is not None:
            return np.round(self, ndigits or 0)
        return round(self.item())


class WeakArray(Array):
    """What stands for a Python scalar in the results of `funcgrad.lax`: it has a shape and a dtype, and yet gives way
    to the dtype of an array that it meets."""

    __slots__ = ()
    weak = weak_type = True

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return wrap(getattr(ufunc, method)(*map(_scalar, inputs), **kwargs))

    def __array_function__(self, func: Any, types: Iterable[type], args: Any, kwargs: Any) -> Any:
        return wrap(func(*map(_scalar, args), **{k: _scalar(v) for k, v in kwargs.items()}))


def _counting(name: str) -> Callable[..., Any]:
    """An operator of int, with a `Counter` for an int as its result."""
    operator = getattr(int, name)

    def method(self: Any, *others: Any) -> Any:
        out = operator(self, *others)
        return Counter(out) if type(out) is int else out

    method.__name__, method.__doc__ = name, operator.__doc__
    return method


class Counter(int):
    """A Python integer with the attributes and methods of an array: what the body of a loop is given where the loop
    runs in Python, as it is given a traced integer where it is recorded.

    >>> i = Counter(3)
    >>> i.dtype, i.shape, (2 * i + 1).astype(np.float32), [10, 20, 30, 40][i]
    (dtype('int64'), (), array(7., dtype=float32), 40)
    """

    __slots__ = ()
    for _name in (
        "__add__", "__radd__", "__sub__", "__rsub__", "__mul__", "__rmul__", "__floordiv__", "__rfloordiv__", "__mod__",
        "__rmod__", "__pow__", "__rpow__", "__and__", "__rand__", "__or__", "__ror__", "__xor__", "__rxor__",
        "__lshift__", "__rlshift__", "__rshift__", "__rrshift__", "__neg__", "__pos__", "__abs__", "__invert__",
    ):  # fmt: skip
        vars()[_name] = _counting(_name)
    del _name

    # NumPy takes a class derived from int for one of its own integers, which do not give way to another dtype.
    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return getattr(ufunc, method)(*map(_counted, inputs), **kwargs)

    def __array_function__(self, func: Any, types: Iterable[type], args: Any, kwargs: Any) -> Any:
        return func(*_counted(args), **_counted(kwargs))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # by which NumPy would take it for an array
            raise AttributeError(f"an integer has no attribute {name!r}")
        view = WeakArray if name in ("aval", "weak", "weak_type") else Array  # what methods return is an array
        return getattr(np.asarray(int(self)).view(view), name)


ARRAYS = frozenset((Array, WeakArray))
"""The classes of arrays that are given back where they are given."""


def _scalar(x: Any) -> Any:
    if type(x) in (tuple, list):
        return type(x)(map(_scalar, x))
    return x.item() if type(x) is WeakArray and x.ndim == 0 else x


def _counted(x: Any) -> Any:
    """Arguments with an int in place of each `Counter`."""
    kind = type(x)
    if kind is tuple or kind is list:
        return kind([_counted(v) for v in x])
    return {k: _counted(v) for k, v in x.items()} if kind is dict else int(x) if kind is Counter else x


def unwrap(x: Any) -> Any:
    """What is behind an `Array`: a plain array that shares its memory, or a Python scalar; anything else as it is.
    Behind a `Counter` is an int."""
    kind = type(x)
    if kind is Array or kind is WeakArray:
        return x.view(np.ndarray) if kind is Array or x.ndim else x.item()
    return int(x) if kind is Counter else x


def wrap(x: Any) -> Any:
    """Arrays and scalars of NumPy as an `Array`, also in tuples and lists; anything else as it is."""
    kind = type(x)
    if kind is Array or kind is WeakArray:
        return x
    if kind is np.ndarray:
        return x.view(Array) if x.dtype.kind in "biufc" else x
    if issubclass(kind, np.generic):
        return np.asarray(x).view(Array) if x.dtype.kind in "biufc" else x
    return _inside(x, kind, wrap)


def _inside(x: Any, kind: type, put: Callable[[Any], Any]) -> Any:
    if kind is tuple or kind is list:
        return kind([put(v) for v in x])
    if kind is dict:
        return {k: put(v) for k, v in x.items()}
    if issubclass(kind, tuple) and hasattr(kind, "_make"):
        return kind._make([put(v) for v in x])  # type: ignore[attr-defined]
    return x


def wrap_scalar(x: Any) -> Any:
    """As `wrap`; a Python scalar becomes a `WeakArray`, but not one in a container, such as a shape."""
    kind = type(x)
    if kind is float or kind is int or kind is bool or kind is complex:
        return np.asarray(x).view(WeakArray)
    return wrap(x)


def wrap_leaves(x: Any) -> Any:
    """As `wrap`, and every Python scalar as a `WeakArray`."""
    out = wrap_scalar(x)
    return out if type(out) is WeakArray else _inside(out, type(out), wrap_leaves)


def returning_arrays(
    namespace: dict[str, Any],
    names: Iterable[str],
    put: Callable[[Any], Any] = wrap_scalar,
    fault: Callable[[str, Exception], Exception] | None = None,
) -> None:
    """Let functions of a module, given by name, return results that `put` has wrapped; see `returning`."""
    made: dict[Any, Any] = {}  # a function may have several names
    for name in names:
        fun = namespace[name]
        if callable(fun) and not isinstance(fun, type):
            if fun not in made:
                made[fun] = returning(fun, put, namespace["__name__"], fault)
            namespace[name] = made[fun]


def returning(
    fun: Callable[..., Any],
    put: Callable[[Any], Any],
    module: str,
    fault: Callable[[str, Exception], Exception] | None = None,
) -> Callable[..., Any]:
    """A function whose results `put` wraps, to be found under its name in `module`.

    If `fault` is given, its ValueErrors and IndexErrors leave as what that makes of them.
    """

    @wraps(fun)
    def public(*args: Any, **kwargs: Any) -> Any:
        try:
            if elsewhere:
                out = elsewhere[0](fun, args, kwargs)
                if out is not NotImplemented:
                    return out
            return put(fun(*args, **kwargs))
        except (ValueError, IndexError) as error:
            new = error if fault is None else fault(fun.__name__, error)
            if new is error:
                raise
            raise new from None

    if fun.__module__ is None or fun.__module__.startswith("numpy"):  # whose examples are not ours
        public.__doc__ = f"As `numpy.{public.__name__}`."
    public.__module__, public.__qualname__ = module, public.__name__
    return public
