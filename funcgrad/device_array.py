"""Arrays that stay on a device: `DeviceArray`, and what happens where one is met.

`device_put(x, "torch:cuda")` makes one; what is computed from it is on the device again. There is no silent way to the
host: `np.asarray(x)`, `device_get(x)`, and conversions that are called by their names (`float(x)`, `x.item()`, `if x:`)
copy, and nothing else does.

A `DeviceArray` is a traced value of a trace of its own, `ON_DEVICE`, which is around all others. So functions that take
traced values take it too. It is met in four places:

- in a call of a transformation (`transforms/boundary.py`), which is then recorded and run as a program on the device;
- in an operator, a method or a function of NumPy's, which is one such program, kept for the next time (`by_program`);
- in a recording, as an array closed over: a constant of the program;
- in an operation that is evaluated with nothing around it: a program of one equation (`executor/resident.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from funcgrad._array import elsewhere
from funcgrad._places import Device, SingleDeviceSharding, Undivided
from funcgrad.core import AbstractTracer, Primitive, Trace, Tracer, current_trace
from funcgrad.errors import DeletedArrayError
from funcgrad.source import Source
from funcgrad.strides import Strides, contiguous
from funcgrad.types import ShapedArray

if TYPE_CHECKING:
    from funcgrad.backends.base import Backend

__all__ = [
    "NOT_WRITABLE",
    "ON_DEVICE",
    "DeviceArray",
    "DeviceMet",
    "Pending",
    "by_program",
    "device_arrays",
    "in_use",
    "install",
    "of_library",
]

NOT_WRITABLE = "an array on a device cannot be written to: x = x.at[index].set(value) makes a new one"

in_use: list[bool] = []
"""Holds something as soon as there was an array on a device: until then nothing needs to be looked for."""


class DeviceMet(BaseException):
    """A function that is run on NumPy's arrays, for its derivative say, closes over an array of a device: it is to be
    run again, as a program on that device.

    Attributes:
        array: the array.
    """

    def __init__(self, array: DeviceArray, name: str) -> None:
        super().__init__(f"{name}: an array on {array.device} was met by operations on NumPy's arrays")
        self.array = array


class OnDevice(Trace):
    """The trace of all arrays that are on devices."""

    __slots__ = ()

    def met(self, x: Tracer, primitive: Primitive, args: Any, params: dict[str, Any], source: Source) -> Any:
        return import_module("funcgrad.executor.resident").evaluate(primitive, args, params, source)

    def process(self, primitive: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
        return import_module("funcgrad.executor.resident").evaluate(primitive, args, params, None)

    def escaped(self, tracer: Tracer, name: str) -> Any:
        return DeviceMet(tracer, name)  # type: ignore[arg-type]


ON_DEVICE = OnDevice(None)
"""The one such trace."""


class Pending:
    """What a program is to raise as soon as one of its results is read: an index was out of bounds, say.

    Attributes:
        check: reads a flag of the device, and raises; called once.
    """

    __slots__ = ("_error", "check")

    def __init__(self, check: Callable[[], None]) -> None:
        self.check: Callable[[], None] | None = check
        self._error: Exception | None = None

    def __call__(self) -> None:
        """Raise if the device has met an error."""
        check, self.check = self.check, None
        if check is not None:
            try:
                check()
            except Exception as error:
                self._error = error
                raise
        if self._error is not None:
            raise self._error


class DeviceArray(AbstractTracer, Undivided):
    """An array on a device, which cannot be written to. `device_put` makes one.

    It has NumPy's operators, methods and attributes, `.at[…]`, and the protocol DLPack (`torch.from_dlpack(x)` shares
    its memory); NumPy's functions take it. All of them run on the device. NumPy's arrays and those of another device
    do not mix with it: TypeError; Python's and NumPy's scalars do.

    Attributes:
        shape, dtype: as NumPy has them.
        weak: whether the dtype gives way to that of an array that it meets, as a Python scalar's.
        backend: what runs operations on it.

    >>> import funcgrad
    >>> x = funcgrad.device_put(np.arange(3.0), "simulated:0")
    >>> x, x.device
    (DeviceArray([0., 1., 2.], shape=(3,), dtype=float64, device='simulated:0'), Device('simulated:0'))
    >>> np.sum(np.sin(x) ** 2 + x)
    DeviceArray(4.53489523, shape=(), dtype=float64, device='simulated:0')
    >>> np.asarray(x * 2)
    array([0., 2., 4.])
    """

    __slots__ = ("_data", "_pending", "backend")
    __class__ = property(lambda self: type(self))  # pyright: ignore[reportIncompatibleMethodOverride]

    def __init__(self, data: Any, aval: ShapedArray, backend: Backend, pending: tuple[Pending, ...] = ()) -> None:
        self._data, self._aval, self.backend, self._pending = data, aval, backend, pending
        self.owner, self.source = ON_DEVICE, None
        if not in_use:
            in_use.append(True)
            elsewhere.append(_public)

    # ------------------------------------------------------------------------------------------------ what it is

    @property
    def weak(self) -> bool:
        return self._aval.weak

    @property
    def stands_for(self) -> type:
        return DeviceArray

    @property
    def differentiated(self) -> bool:
        return False

    def layout(self) -> Strides | None:
        return contiguous(self.shape)

    @property
    def device(self) -> Device:
        """Where it is."""
        return self.backend.device

    @property
    def sharding(self) -> SingleDeviceSharding:
        """That all of it is on one device."""
        return SingleDeviceSharding(self.device)

    def devices(self) -> set[Device]:
        """The devices where it is: one."""
        return {self.device}

    @property
    def array(self) -> Any:
        """The array of the library (a `torch.Tensor`, say) that it stands for, not copied: it must not be written to.

        Raises DeletedArrayError if it was donated or deleted.
        """
        data = self._data
        if data is None:
            raise DeletedArrayError(
                f"this array ({self._aval}) on {self.device} was donated to a function, or deleted, and has no memory "
                "any more: use what the function returned, or leave donate_argnums out"
            )
        return data

    def on_device_size_in_bytes(self) -> int:
        """The size of its elements in bytes."""
        return self._aval.size * self._aval.dtype.itemsize

    def is_deleted(self) -> bool:
        """Whether it was donated or deleted."""
        return self._data is None

    def delete(self) -> None:
        """Give its memory back; it can be read no more."""
        self._data = None

    def block_until_ready(self) -> DeviceArray:
        """The array, as soon as it is computed. Raises what its computation has met."""
        self.array  # noqa: B018
        self.backend.synchronize()
        self.settled()
        return self

    def is_ready(self) -> bool:
        """Whether nothing is left to raise; whether it is computed is not asked."""
        return not self._pending

    def settled(self) -> None:
        """Raise what the computation of this array has met on the device."""
        for check in self._pending:
            check()
        self._pending = ()

    # ------------------------------------------------------------------------------------------------ to the host

    def to_numpy(self) -> np.ndarray:
        """A copy on the host. Raises what its computation has met."""
        out = self.backend.to_numpy(self.array)
        self.settled()
        return out if out.dtype == self.dtype else out.view(self.dtype)  # of random keys

    def concrete(self, how: str | None = None) -> Any:
        value = self.to_numpy()
        return value.item() if self.weak else value if value.ndim else value[()]

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        if copy is False:
            raise ValueError(
                f"an array on {self.device} cannot be seen from the host without a copy; copy=None makes one"
            )
        out = self.to_numpy()
        return out if dtype is None else out.astype(dtype, copy=False)

    def __dlpack__(self, **kwargs: Any) -> Any:
        self.settled()
        return self.array.__dlpack__(**kwargs)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()

    def __bool__(self) -> bool:
        return bool(self.to_numpy())

    def __int__(self) -> int:
        return int(self.to_numpy())

    def __float__(self) -> float:
        return float(self.to_numpy())

    def __complex__(self) -> complex:
        return complex(self.to_numpy())

    def __index__(self) -> int:
        return self.to_numpy().__index__()

    def __trunc__(self) -> int:
        return int(self.to_numpy())

    __floor__ = __ceil__ = __trunc__

    def item(self, *args: Any) -> Any:
        """The element as a Python number."""
        return self.to_numpy().item(*args)

    def tolist(self) -> Any:
        """The elements as Python numbers, in lists."""
        return self.to_numpy().tolist()

    def tobytes(self, order: Any = "C") -> bytes:
        """The bytes of the elements."""
        return self.to_numpy().tobytes(order)

    def __repr__(self) -> str:
        what = f"shape={self.shape}, dtype={self.dtype.name}, device={str(self.device)!r}"
        if self._data is None:
            return f"DeviceArray(deleted, {what})"
        text = np.array2string(self.to_numpy(), separator=", ", prefix="DeviceArray(")
        return f"DeviceArray({text}, {what})"

    def __str__(self) -> str:
        return str(self.to_numpy())

    def __format__(self, spec: str) -> str:
        return format(self.to_numpy()[()], spec)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _again, (self.to_numpy(), self.device, self.weak)

    # --------------------------------------------------------------------------------------------- on the device

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of an array of shape ()")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TypeError("iteration over an array of shape ()")
        return (self[i] for i in range(self.shape[0]))  # type: ignore[index]

    def __contains__(self, x: Any) -> bool:
        return bool((self == x).any())

    def copy(self, order: str = "C") -> DeviceArray:
        """The array itself, which nobody can write to."""
        return self

    def __copy__(self) -> DeviceArray:
        return self

    def __deepcopy__(self, memo: Any) -> DeviceArray:
        return self

    def to_device(self, device: Any, /, *, stream: Any = None) -> Any:
        """A copy on another device; the array itself for its own."""
        return import_module("funcgrad._devices").device_put(self, device)


DeviceArray.__name__ = DeviceArray.__qualname__ = "DeviceArray"


def _public(fun: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """A public function of the package, of arrays on a device; NotImplemented where it is called otherwise."""
    if current_trace() is not None or next(device_arrays((args, kwargs)), None) is None:
        return NotImplemented
    return import_module("funcgrad.executor.resident").apply(fun, args, kwargs, fun.__name__)


def _again(x: np.ndarray, device: Device, weak: bool) -> DeviceArray:
    """An array that was pickled, on its device again."""
    backend = import_module("funcgrad.backends").get_backend(device)
    data = import_module("funcgrad.backends._memory").placed(backend, x)
    return DeviceArray(data, ShapedArray(x.shape, x.dtype, weak), backend)


def _place_of(x: Any) -> str | None:
    """The device of an array of such a library."""
    for kind in type(x).__mro__:  # also of a class of the user's, such as one of parameters
        library = kind.__module__.partition(".")[0]
        if library == "torch" and kind.__name__ == "Tensor":
            return f"torch:{x.device}"
        if library == "cupy" and kind.__name__ == "ndarray":
            return f"cupy:{x.device.id}"
    return None


def of_library(x: Any, elsewhere: Device | None = None) -> DeviceArray | None:
    """An array of a library for devices (a `torch.Tensor`, a `cupy.ndarray`) as one of ours, where it is; None for
    anything else, and for one that is on the device `elsewhere`."""
    name = _place_of(x)
    if name is None or (elsewhere is not None and Device(name) is elsewhere):
        return None
    return import_module("funcgrad._devices").device_put(x, name)


def device_arrays(x: Any) -> Iterator[DeviceArray]:
    """The arrays of devices among arguments: those in tuples, lists and dicts."""
    kind = type(x)
    if kind is DeviceArray:
        yield x
    elif kind is tuple or kind is list:
        for item in x:
            yield from device_arrays(item)
    elif kind is dict:
        for item in x.values():
            yield from device_arrays(item)


# ------------------------------------------------------------------------------------- operators, methods, functions


def by_program(fun: Callable[..., Any], name: str) -> Callable[..., Any]:
    """What traced values have under this name, for arrays of devices: run as a program of its own where nothing is
    traced, and recorded otherwise."""

    def method(self: DeviceArray, *args: Any, **kwargs: Any) -> Any:
        if current_trace() is not None:
            return fun(self, *args, **kwargs)
        return import_module("funcgrad.executor.resident").apply(fun, (self, *args), kwargs, name)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = fun.__doc__
    return method


class _At:
    """`x.at` of an array on a device: functional updates, each a program of its own."""

    __slots__ = ("array", "index")

    def __init__(self, array: DeviceArray, index: Any = ()) -> None:
        self.array, self.index = array, index

    def __getitem__(self, index: Any) -> _At:
        return _At(self.array, index)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        fun = _at_method(name)
        return lambda *args, **kwargs: fun(self.array, self.index, *args, **kwargs)


@cache
def _at_method(name: str) -> Callable[..., Any]:
    def update(x: Any, index: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(x.at[index], name)(*args, **kwargs)

    def method(x: DeviceArray, index: Any, *args: Any, **kwargs: Any) -> Any:
        if current_trace() is not None:
            return getattr(Tracer.at.fget(x)[index], name)(*args, **kwargs)  # type: ignore[attr-defined]
        return import_module("funcgrad.executor.resident").apply(update, (x, index, *args), kwargs, f"at.{name}")

    return method


_OF_MEMORY = {
    "base", "copy_to_host_async", "ctypes", "data", "flags", "flat", "itemsize", "nbytes", "ndim", "nonzero",
    "sharding", "size", "strides", "unanswered", "weak_type", "__array_namespace__", "__array_priority__",
    "__init_subclass__",
}  # fmt: skip
"""What traced values have that computes nothing."""

_WRITES = (
    "__delitem__",
    "__setitem__",
    "fill",
    "itemset",
    "partition",
    "put",
    "resize",
    "setfield",
    "setflags",
    "sort",
)


def _refuse_writes(self: DeviceArray, *args: Any, **kwargs: Any) -> NoReturn:
    raise TypeError(NOT_WRITABLE)


def install() -> None:
    """Give arrays of devices what traced values have: their operators, methods and attributes."""
    own = {name for cls in (DeviceArray, AbstractTracer) for name in vars(cls) if name != "__hash__"}
    for name in _WRITES:
        setattr(DeviceArray, name, _refuse_writes)
    for name, value in list(vars(Tracer).items()):
        if name in own or name in _OF_MEMORY or name in _WRITES:
            continue
        if isinstance(value, property) and value.fget is not None:
            setattr(DeviceArray, name, property(by_program(value.fget, name)))
        elif callable(value):
            out_of_place = f"__{name[3:]}" if name.startswith("__i") else ""  # Python takes `x = x + y`
            fun = getattr(Tracer, out_of_place, value)
            setattr(DeviceArray, name, by_program(fun, name if fun is value else out_of_place))
    DeviceArray.__array_ufunc__ = _by_ufunc  # type: ignore[attr-defined]
    DeviceArray.__array_function__ = _by_function  # type: ignore[attr-defined]
    DeviceArray.at = property(_At)  # type: ignore[attr-defined]
    DeviceArray.__hash__ = None  # type: ignore[assignment]


def _by_ufunc(self: DeviceArray, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    if current_trace() is not None:
        return Tracer.__array_ufunc__(self, ufunc, method, *inputs, **kwargs)  # type: ignore[attr-defined]
    call = getattr(ufunc, method)
    return import_module("funcgrad.executor.resident").apply(call, inputs, kwargs, f"numpy.{ufunc.__name__}")


def _by_function(self: DeviceArray, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
    if current_trace() is not None:
        return Tracer.__array_function__(self, func, types, args, kwargs)  # type: ignore[attr-defined]
    name = f"{func.__module__}.{func.__name__}"
    return import_module("funcgrad.executor.resident").apply(func, args, kwargs, name)
