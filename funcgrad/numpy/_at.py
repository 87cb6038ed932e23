"""`x.at[index].set(v)` and its kin: functional updates, with JAX's modes for indices that are out of bounds.

Without a mode an index out of bounds raises IndexError, as NumPy's do. (JAX clips such an index where it reads, and
drops the update where it writes; it does so here where it is asked to.)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from funcgrad._array import Array, methods, unwrap, wrap
from funcgrad._places import SingleDeviceSharding
from funcgrad.capture import own_leaves
from funcgrad.core import Tracer
from funcgrad.device_array import DeviceArray
from funcgrad.numpy._dispatch import array_operand, operand
from funcgrad.numpy._index import gathered, getitem, scattered
from funcgrad.numpy._plan import Plan, axis_items, plan_index, wrong_index
from funcgrad.numpy._selection import is_mask
from funcgrad.numpy._shape import broadcast_to, reshape, transpose
from funcgrad.ops.index import SCATTER_MAX, SCATTER_MIN
from funcgrad.types import ShapedArray, dtype_of, is_a, shape_of
from funcgrad.writes import owned

__all__ = ["At", "at", "bounded", "filling", "mode_name"]

_MODES = {"promise_in_bounds": "clip", "clip": "clip", "drop": "drop", "fill": "drop", "fill_or_drop": "drop"}


def mode_name(mode: Any, what: str) -> str | None:
    """A mode as "clip" or "drop"; None where an index out of bounds raises. It may be JAX's `GatherScatterMode`."""
    if mode is None or mode == "raise":
        return None
    name = str(getattr(mode, "name", mode)).lower()
    if name not in _MODES:
        raise ValueError(
            f'{what}: mode {mode!r} is not among "fill", "drop", "clip", "promise_in_bounds"; and take has "wrap"'
        )
    return _MODES[name]


class Bounded(NamedTuple):
    """An index whose items are all in bounds.

    Attributes:
        plan: the index, of the array reshaped to `plan.whole`.
        outside: which elements of the result were out of bounds (True for all); False if none can be.
        beyond: the index arrays with the size of the axis in place of what was out of bounds; None without arrays.
    """

    plan: Plan
    outside: Any
    beyond: Any


def bounded(shape: tuple[int, ...], index: Any) -> Bounded:
    """Clip an index to the bounds, and say where it was beyond them. Negative indices count from the end."""
    items, whole = axis_items(shape, index)
    safe: list[Any] = []
    outside: list[Any] = []
    beyond: list[Any] = []
    everything, axis = False, 0
    for item in items:
        if item is None or isinstance(item, slice):
            safe.append(item)
            axis += item is not None
            continue
        n, axis = whole[axis], axis + 1
        if not is_a(item, (int, Tracer)) and not shape_of(item):
            item = int(item)
        if is_a(item, int):
            everything = everything or not -n <= item < n
            safe.append(min(max(item + n if item < 0 else item, 0), max(n - 1, 0)))
            continue
        i = array_operand(item).astype(np.intp)
        i = np.where(i < 0, i + n, i)
        out = (i < 0) | (i >= n)
        safe.append(np.clip(i, 0, max(n - 1, 0)))
        outside.append(out)
        beyond.append((i, out, n))
    if any(not n for n in whole) and (everything or outside):
        raise IndexError(f"an array of shape {shape} has no elements that an index could be clipped to")
    plan = plan_index(whole, tuple(safe))
    places = None
    if beyond:
        anywhere = functools.reduce(np.logical_or, outside)
        i, _, n = beyond[0]
        places = (np.where(anywhere, n, np.clip(i, 0, n - 1)), *plan.indices[1:])
        dims = np.broadcast_shapes(*map(shape_of, outside), *map(shape_of, plan.indices))
        rest = tuple(n for a, n in enumerate(plan.size) if a not in plan.axes)
        spread = reshape(np.broadcast_to(anywhere, dims), dims + (1,) * len(rest))
        out = reshape(transpose(broadcast_to(spread, dims + rest), plan.order), plan.shape)
        return Bounded(plan, True if everything else out, places)
    return Bounded(plan, everything, places)


def filling(dtype: np.dtype[Any], fill_value: Any) -> Any:
    """What stands for an element that is out of bounds: NaN, or the smallest signed and largest unsigned integer."""
    if fill_value is not None:
        return array_operand(fill_value).astype(dtype)
    if dtype.kind in "fc":
        return dtype.type(np.nan)
    if dtype.kind == "b":
        return np.bool_(True)
    return dtype.type(np.iinfo(dtype).min if dtype.kind == "i" else np.iinfo(dtype).max)


def take_in_mode(x: Any, index: Any, mode: str, fill_value: Any) -> Any:
    """`x[index]`, where what is out of bounds is clipped, or filled in."""
    x = array_operand(x)
    found = bounded(x.shape, index)
    out = gathered(reshape(x, found.plan.whole), found.plan)
    if mode == "clip" or found.outside is False:
        return out
    return np.where(found.outside, filling(x.dtype, fill_value), out)


def _written(x: Any, index: Any, values: Any, add: bool, mode: str) -> Any:
    """`x` with values written or added; what is out of bounds is clipped, or dropped."""
    found = bounded(x.shape, index)
    plan = found.plan
    whole = reshape(x, plan.whole)
    if mode == "drop" and found.outside is True:
        return x.copy()
    if mode == "clip" or found.outside is False:
        return reshape(scattered(whole, plan, values, add), x.shape)
    if add:
        values = broadcast_to(array_operand(values), plan.shape)
        kept = np.where(found.outside, np.zeros((), dtype_of(values)), values)
        return reshape(scattered(whole, plan, kept, True), x.shape)
    axis = plan.axes[0]  # what is dropped is written to one more row
    row = np.zeros((*plan.whole[:axis], 1, *plan.whole[axis + 1 :]), x.dtype)
    longer = np.concatenate([whole, row], axis)
    size, whole = (tuple(n + (a == axis) for a, n in enumerate(sizes)) for sizes in (plan.size, plan.whole))
    out = scattered(longer, plan._replace(indices=found.beyond, size=size, whole=whole), values, False)
    return reshape(out[(slice(None),) * axis + (slice(0, plan.whole[axis]),)], x.shape)


class _Indexed:
    """`at(x)[index]`: what can be done with the elements there.

    Every method takes `mode`: None (an index out of bounds raises), "clip" and "promise_in_bounds" (it is clipped), or
    "drop" and "fill" (what is out of bounds is not written, and reads as `fill_value`: NaN, or the smallest signed and
    the largest unsigned integer, by default). `indices_are_sorted` and `unique_indices` are accepted, and
    `wrap_negative_indices=False` makes negative indices out of bounds.
    """

    __slots__ = ("array", "index")

    def __init__(self, array: Any, index: Any) -> None:
        self.array, self.index = array, index

    def get(
        self,
        *,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
        mode: Any = None,
        fill_value: Any = None,
        out_sharding: Any = None,
        wrap_negative_indices: bool = True,
    ) -> Any:
        """The elements there."""
        name = mode_name("fill" if mode is None and fill_value is not None else mode, "get")
        index = _counted(self.array, self.index, wrap_negative_indices)
        if name is None:
            return _given(self.array, own_leaves([getitem(array_operand(self.array), index)])[0])
        return _given(self.array, take_in_mode(self.array, index, name, fill_value))

    def _write(self, values: Any, add: bool, mode: Any, wrap_negative: bool, what: str) -> Any:
        x = array_operand(self.array)
        values = array_operand(values).astype(x.dtype)
        masked = self._where(lambda _: values, values)
        if masked is not None and not add:
            return masked
        if masked is not None:
            return self._where(lambda old: old + values, values)
        name, index = mode_name(mode, what), _counted(x, self.index, wrap_negative)
        if name is None:
            out = reshape(scattered(*_planned(x, index), values, add), x.shape)
        else:
            out = _written(x, index, values, add, name)
        return _given(self.array, own_leaves([owned(out, (self.array, values))])[0])

    def set(
        self,
        values: Any,
        *,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
        mode: Any = None,
        out_sharding: Any = None,
        wrap_negative_indices: bool = True,
    ) -> Any:
        """With `values` there; of several for one element the last one stays."""
        return self._write(values, False, mode, wrap_negative_indices, "set")

    def add(
        self,
        values: Any,
        *,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
        mode: Any = None,
        out_sharding: Any = None,
        wrap_negative_indices: bool = True,
    ) -> Any:
        """With `values` added there; an index that occurs twice is added to twice."""
        return self._write(values, True, mode, wrap_negative_indices, "add")

    def subtract(self, values: Any, **options: Any) -> Any:
        """With `values` subtracted there; an index that occurs twice is subtracted from twice."""
        return self.add(np.negative(array_operand(values)), **options)

    def apply(self, func: Callable[[Any], Any], **options: Any) -> Any:
        """With `func` applied to the elements there, as often as an index occurs; it is a function of one element."""
        return self._each("apply", lambda x: func(x), None, options)

    def multiply(self, values: Any, **options: Any) -> Any:
        """With the elements there multiplied by `values`, as often as an index occurs."""
        return self._each("multiply", np.multiply, values, options)

    mul = multiply

    def divide(self, values: Any, **options: Any) -> Any:
        """With the elements there divided by `values`, as often as an index occurs."""
        return self._each("divide", np.true_divide, values, options)

    def power(self, values: Any, **options: Any) -> Any:
        """With the elements there raised to `values`; to the product of them where an index occurs more than once."""
        read = {k: v for k, v in options.items() if k != "mode"}
        read["mode"] = "clip" if mode_name(options.get("mode"), "power") else None
        exponents = array_operand(values)
        if not options.get("unique_indices", False) and self._may_repeat():
            ones = np.ones(shape_of(self.array), exponents.dtype)
            exponents = _Indexed(_Indexed(ones, self.index).multiply(exponents, **options), self.index).get(**read)
        return self.set(np.power(unwrap(self.get(**read)), unwrap(exponents)), **options)

    def min(self, values: Any, **options: Any) -> Any:
        """With the minimum of the elements there and `values`."""
        return self._each("min", np.minimum, values, options)

    def max(self, values: Any, **options: Any) -> Any:
        """With the maximum of the elements there and `values`."""
        return self._each("max", np.maximum, values, options)

    def _where(self, compute: Callable[[Any], Any], values: Any) -> Any:
        """With what `compute` makes of the elements where a traced mask holds, and of one value; None for others.

        How many there are need not be known then.
        """
        if not is_mask(self.index) or (values is not None and shape_of(values)):
            return None
        x, mask = array_operand(self.array), self.index
        if x.shape[: mask.ndim] != mask.shape:
            return None
        mask = reshape(mask, mask.shape + (1,) * (x.ndim - mask.ndim))
        return np.where(mask, array_operand(compute(x)).astype(x.dtype), x)

    def _each(self, what: str, compute: Callable[..., Any], values: Any, options: dict[str, Any]) -> Any:
        """With what `compute` makes of an element and a value, one after the other where an index occurs twice."""
        value = None if values is None else array_operand(values)
        if what != "apply":
            masked = self._where(lambda old: compute(old, value), value)
            if masked is not None:
                return masked
        if not options.get("unique_indices", False) and self._may_repeat():
            return self._in_rounds(what, compute, values, options)
        read = {k: v for k, v in options.items() if k != "mode"}
        old = unwrap(self.get(**read, mode="clip" if mode_name(options.get("mode"), what) else None))
        return self.set(compute(old) if values is None else compute(old, array_operand(values)), **options)

    def _may_repeat(self) -> bool:
        """Whether an element may be meant twice: not by a slice, an integer or a mask, nor by indices that differ."""
        items = self.index if isinstance(self.index, tuple) else (self.index,)
        arrays = [unwrap(i) for i in items if not (i is None or i is Ellipsis or is_a(i, (int, np.integer, slice)))]
        arrays = [i if is_a(i, Tracer) else np.asarray(i) for i in arrays]
        if all(dtype_of(i).kind == "b" or shape_of(i) == () for i in arrays):
            return False
        if any(is_a(i, Tracer) for i in arrays):
            return True
        found = np.ravel(take_in_mode(_numbers(self.array), self.index, "drop", -1))
        found = found[found >= 0]
        return len(np.unique(found)) < len(found)

    def _in_rounds(self, what: str, compute: Callable[..., Any], values: Any, options: dict[str, Any]) -> Any:
        x = array_operand(self.array)
        mode = mode_name(options.get("mode"), what)
        index = _counted(x, self.index, options.get("wrap_negative_indices", True))
        numbers = _numbers(x)
        places = getitem(numbers, index) if mode is None else take_in_mode(numbers, index, mode, x.size)
        dims = shape_of(places)
        if values is not None:
            values = np.ravel(broadcast_to(array_operand(values), dims))
        flat, places = np.ravel(x), np.ravel(places)
        if what in _EXTREMES:
            row = np.zeros(1, flat.dtype)  # where updates go that are dropped
            out = _EXTREMES[what].bind(
                np.concatenate([flat, row]), array_operand(values).astype(flat.dtype), places, axes=(0,)
            )[:-1]
        elif is_a(places, Tracer):
            out = _repeated(flat, places, compute) if values is None else _together(what, flat, places, values)
        else:
            out = flat
            for chosen in _rounds(places, x.size):
                at_once = places[chosen]
                old = out[at_once]
                new = compute(old) if values is None else compute(old, values[chosen])
                out = scattered(*_planned(out, at_once), array_operand(new).astype(x.dtype), False)
        return _given(self.array, own_leaves([reshape(out, x.shape)])[0])


_EXTREMES = {"min": SCATTER_MIN, "max": SCATTER_MAX}
_JOINED: dict[str, Any] = {"multiply": np.multiply, "divide": np.true_divide}
"""What is done with an element and the product of the values for it."""


def _together(what: str, x: Any, places: Any, values: Any) -> Any:
    """Elements of a vector changed by values, of which several may be for one: where nobody knows which.

    Each pair of places is compared, so this takes time and memory of the square of their number.
    """
    same = np.equal(places[:, None], places)
    joined = np.prod(np.where(same, values, np.ones((), values.dtype)), axis=1)
    old = take_in_mode(x, places, "clip", None)
    return _written(x, places, array_operand(_JOINED[what](old, joined)).astype(x.dtype), False, "drop")


def _repeated(x: Any, places: Any, compute: Callable[[Any], Any]) -> Any:
    """Elements of a vector to each of which a function is applied as often as its place occurs: where nobody knows how
    often that is. It takes memory of the square of the number of places."""
    times = np.sum(np.equal(places[:, None], places), axis=1)

    def once(old: Any) -> Any:
        return array_operand(compute(old)).astype(x.dtype)

    def again(state: Any) -> Any:
        k, new = state
        return k + 1, np.where(np.less(k, times), once(new), new)

    loop = import_module("funcgrad.lax").while_loop
    start = np.ones((), times.dtype), once(take_in_mode(x, places, "clip", None))
    _, new = loop(lambda state: np.less(state[0], np.max(times, initial=0)), again, start)
    return _written(x, places, unwrap(new), False, "drop")


def _numbers(x: Any) -> np.ndarray:
    """The numbers of the elements of an array, in its shape."""
    shape = shape_of(x)
    return np.arange(int(np.prod(shape))).reshape(shape)


def _rounds(places: np.ndarray, size: int) -> list[np.ndarray]:
    """Which of these places are written in the first, second, … round, so that none occurs twice in one."""
    order = np.argsort(places, kind="stable")
    order = order[places[order] < size]
    ordered = places[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    occurrence = np.arange(len(ordered)) - np.repeat(starts, np.diff(starts, append=len(ordered)))
    return [order[occurrence == k] for k in range(occurrence.max(initial=-1) + 1)]


def _planned(x: Any, index: Any) -> tuple[Any, Plan]:
    plan = plan_index(shape_of(x), index)
    return reshape(x, plan.whole), plan


def _counted(x: Any, index: Any, wrap_negative: bool) -> Any:
    """An index of which negative numbers are out of bounds, where they do not count from the end."""
    if wrap_negative:
        return index
    items, whole = axis_items(shape_of(x), index)
    out: list[Any] = []
    axis = 0
    for item in items:
        if item is None or isinstance(item, slice):
            out.append(item)
        elif is_a(item, int):
            out.append(item if item >= 0 else whole[axis])
        else:
            out.append(np.where(item < 0, whole[axis], item))
        axis += item is not None
    return tuple(out)


def _given(array: Any, out: Any) -> Any:
    """A result like the array that it was made of: NumPy's own of NumPy's."""
    return out if type(array) is np.ndarray or is_a(out, Tracer) else wrap(out)


class At:
    """`at(x)[index].set(v)`: the array that `x[index] = v` would leave behind, as a new array.

    >>> import numpy as np
    >>> at(np.zeros(3))[1].set(5.0)
    array([0., 5., 0.])
    >>> at(np.ones(3))[[0, 0]].add(1.0)
    array([3., 1., 1.])
    >>> at(np.ones(3))[[0, 3]].set(2.0, mode="drop")
    array([2., 1., 1.])
    """

    __slots__ = ("array",)

    def __init__(self, array: Any) -> None:
        self.array = array

    def __getitem__(self, index: Any) -> _Indexed:
        return _Indexed(self.array, index)


def at(array: Any) -> At:
    """Functional updates of an array or a tracer: `at(x)[index].set(v)`; see `At`.

    `at(x)[index]` has the methods `get`, `set`, `add`, `subtract`, `multiply`, `divide`, `power`, `min`, `max` and
    `apply`. Each takes `mode`: None (an index out of bounds raises IndexError), "clip", "promise_in_bounds" (as
    "clip"), "drop" or "fill" (what is out of bounds is not written, and reads as `fill_value`).
    """
    if type(array) is DeviceArray:
        return array.at  # type: ignore[attr-defined]
    return At(array if is_a(array, (Tracer, np.ndarray)) else operand(array))


def register() -> None:
    """Give an `Array` its indexing, and traced arrays what an `Array` has."""
    for name in ("block_until_ready", "copy_to_host_async", "devices", "is_deleted", "is_ready"):
        setattr(Tracer, name, vars(Array)[name])
    Tracer.weak_type = property(lambda self: self.weak)  # type: ignore[attr-defined]
    Tracer.sharding = property(lambda self: SingleDeviceSharding())  # type: ignore[attr-defined]
    methods["at"] = At
    methods["aval"] = lambda x: ShapedArray(x.shape, x.dtype, x.weak_type)
    methods["getitem"] = lambda x, index: getitem(unwrap(x), index)
    methods["wrong_index"] = wrong_index
