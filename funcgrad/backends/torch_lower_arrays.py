"""Primitives of whole arrays by PyTorch's operators: reductions, order, indices, softmax, linear algebra.

An index out of bounds must not reach the device, where it would be an assertion that ends the process: it is clipped,
and whether all were inside is a result. So functions whose names begin with `checked_` give (result, whether all is
well), the second a boolean tensor on the device; the entry in the table raises.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.backends._lowerings import Table, same_dtypes
from funcgrad.backends.torch_lower_elementwise import complex_pow, is_wide_unsigned, signed
from funcgrad.ir import Equation, Literal

__all__ = ["ARRAYS", "CHECKED", "OVERRIDES", "sum_of_products"]

ARRAYS = Table()
"""Primitives of whole arrays."""

_lowers = ARRAYS.lowers

Axes = tuple[int, ...]


class Check(NamedTuple):
    """An operation that may go wrong on the device.

    Attributes:
        function: gives a result, and whether all is well.
        error: what is raised where it is not.
        sure: whether it is known before that all is well.
    """

    function: Callable[..., Any]
    error: Exception
    sure: Callable[[Equation], bool] = lambda eqn: False


CHECKED: dict[str, Check] = {}
"""By the primitive's name."""


def _checked(
    name: str, kinds: str, error: Exception, when: Any = None, sure: Any = lambda eqn: False
) -> Callable[[Any], Any]:
    """Enter a checked function, and the entry of the table that raises."""

    def enter(function: Any) -> Any:
        CHECKED[name] = Check(function, error, sure)

        def run(torch: Any, *args: Any, **params: Any) -> Any:
            out, fine = function(torch, *args, **params)
            if not bool(fine):
                raise error
            return out

        _lowers(name, kinds, when=when)(run)
        return function

    return enter


# ----------------------------------------------------------------------------------------------- moving, converting


def sliced(torch: Any, x: Any, where: Sequence[slice]) -> Any:
    """The part of a tensor at slices with positive steps: a view."""
    for axis, s in enumerate(where):
        if s != slice(None):
            x = torch.ops.aten.slice.Tensor(x, axis, s.start, s.stop, 1 if s.step is None else s.step)
    return x


def matmul(torch: Any, a: Any, b: Any) -> Any:
    """The product of matrices. PyTorch has that of integers on the processor only."""
    if a.dtype.is_floating_point or a.dtype.is_complex or a.device.type == "cpu":
        return torch.matmul(a, b)
    return sum_of_products(torch, a, b)


def sum_of_products(torch: Any, a: Any, b: Any) -> Any:
    """The product of matrices by elementwise products, of some at a time."""
    shape = (*torch.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
    out = torch.zeros(shape, dtype=a.dtype, device=a.device)
    step = max(1, _TOGETHER // max(1, math.prod(shape)))
    for k in range(0, a.shape[-1], step):
        some = a.narrow(-1, k, min(step, a.shape[-1] - k)).unsqueeze(-1)
        more = b.narrow(-2, k, some.shape[-2]).unsqueeze(-3)
        out = out + (some * more).sum(-2, dtype=a.dtype)
    return out


_TOGETHER = 1 << 24
"""So many products of integers are made at a time."""


def written(torch: Any, x: Any, where: Sequence[slice], value: Any) -> Any:
    """A tensor with this value at slices with positive steps."""
    for axis, s in enumerate(where):
        if s != slice(None) and (s.start, s.stop, s.step) != (0, x.shape[axis], 1):
            here = (slice(None),) * axis + (s,)
            if all(t == slice(None) for t in where[axis + 1 :]):
                inner = value.expand(sliced(torch, x, here).shape)
            else:
                rest = (*(slice(None),) * (axis + 1), *where[axis + 1 :])
                inner = written(torch, sliced(torch, x, here), rest, value)
            return torch.slice_scatter(x, inner, axis, s.start, s.stop, 1 if s.step is None else s.step)
    return value.expand(x.shape)


OVERRIDES: dict[str, Callable[..., Any]] = {"matmul": matmul, "sliced": sliced, "written": written}
"""What stands in for functions of the namespace; each takes `torch` first."""


@_lowers("place", "biufcVw", when=lambda eqn: all(s > 0 for s in eqn.params["step"]))
def _place(torch: Any, x: Any, start: Axes, step: Axes, shape: Axes) -> Any:
    ends = [a + (n - 1) * s + 1 for a, n, s in zip(start, x.shape, step, strict=True)]
    if 0 in x.shape or any(s != 1 for s in step):
        out = torch.zeros(shape, dtype=x.dtype, device=x.device)
        where = tuple(slice(a, b, s) for a, b, s in zip(start, ends, step, strict=True))
        return out if 0 in x.shape else written(torch, out, where, x)
    around = [m for a, b, n in zip(start[::-1], ends[::-1], shape[::-1], strict=True) for m in (a, n - b)]
    if is_wide_unsigned(torch, x):
        return torch.constant_pad_nd(signed(torch, x), around, 0).view(x.dtype)
    return torch.constant_pad_nd(x, around, 0)


@_lowers("fit")
@_lowers("convert")
def _convert(torch: Any, x: Any, dtype: np.dtype[Any]) -> Any:
    wanted = getattr(torch, dtype.name)
    if dtype.kind == "b":  # also of what is imaginary
        return x != 0
    if x.dtype.is_complex and dtype.kind != "c":
        x = x.real
    if x.dtype.is_floating_point and dtype.kind == "u" and dtype.itemsize < 8:
        return x.to(torch.int64).to(wanted)  # negative numbers wrap around, as NumPy's do
    return x.to(wanted)


@_lowers("bitcast_convert_type", "iuf")
def _bitcast(torch: Any, x: Any, dtype: np.dtype[Any]) -> Any:
    wanted = getattr(torch, dtype.name)
    if wanted.itemsize == x.dtype.itemsize:
        return x.view(wanted)
    if wanted.itemsize < x.dtype.itemsize:
        return x.contiguous().unsqueeze(-1).view(wanted)
    return x.contiguous().view(wanted).squeeze(-1)


@_lowers("select", "biufcV")
def _select(torch: Any, c: Any, x: Any, y: Any) -> Any:
    return torch.where(c, x, y)


# ------------------------------------------------------------------------------------------------------- reductions


def _whole_dtype(torch: Any, x: Any) -> Any:
    """The dtype in which PyTorch sums integers, and how their sum is to be seen: NumPy has the widest of their kind."""
    if x.dtype.is_floating_point or x.dtype.is_complex:
        return None, None
    unsigned = x.dtype == torch.uint8 or is_wide_unsigned(torch, x)
    return torch.int64, torch.uint64 if unsigned else torch.int64


def _sum_like(name: str, function: str) -> None:
    """An entry for a sum or a product."""

    def run(torch: Any, x: Any, axes: Axes, keepdims: bool) -> Any:
        if not axes:
            x, axes, keepdims = x.unsqueeze(0), (0,), False
        dtype, seen = _whole_dtype(torch, x)
        if dtype is not None:
            x = x.to(dtype)
        if function == "sum":
            out = torch.sum(x, axes, keepdims)
        else:
            for axis in sorted(axes, reverse=True):
                x = torch.prod(x, axis, keepdims)
            out = x
        return out if seen is None or seen == dtype else out.view(seen)

    _lowers(name, "biufcw")(run)


_sum_like("reduce_sum", "sum")
_sum_like("reduce_prod", "prod")


def _extremum(name: str, function: str, least: bool) -> None:
    def run(torch: Any, x: Any, axes: Axes, keepdims: bool) -> Any:
        if not axes:
            return x
        if not is_wide_unsigned(torch, x):
            return getattr(torch, function)(x, axes, keepdims)
        s = signed(torch, x)
        low = torch.iinfo(s.dtype).min
        return (getattr(torch, function)(s ^ low, axes, keepdims) ^ low).view(x.dtype)

    _lowers(name, "biufw", when=lambda eqn: 0 not in eqn.inputs[0].aval.shape)(run)


_extremum("reduce_max", "amax", False)
_extremum("reduce_min", "amin", True)


def _running(name: str, function: str) -> None:
    def run(torch: Any, x: Any, axis: int, reverse: bool = False) -> Any:
        dtype, seen = _whole_dtype(torch, x)
        x = x if dtype is None else x.to(dtype)
        out = getattr(torch, function)(torch.flip(x, (axis,)) if reverse else x, axis)
        out = torch.flip(out, (axis,)) if reverse else out
        return out if seen is None or seen == dtype else out.view(seen)

    _lowers(name, "biufcw")(run)


_running("cumsum", "cumsum")
_running("cumprod", "cumprod")


def _running_extremum(name: str, function: str) -> None:
    def run(torch: Any, x: Any, axis: int, reverse: bool = False) -> Any:
        x = torch.flip(x, (axis,)) if reverse else x
        out = getattr(torch, function)(x, axis)[0]
        return torch.flip(out, (axis,)) if reverse else out

    _lowers(name, "if", when=lambda eqn: 0 not in eqn.inputs[0].aval.shape)(run)


_running_extremum("cummax", "cummax")
_running_extremum("cummin", "cummin")


def _in_order(torch: Any, x: Any) -> Any:
    """Integers in the order of floats, with NaN behind all numbers, and both zeros the same."""
    x = x.to(torch.float32) if x.dtype.itemsize < 4 else x
    x = torch.where(torch.isnan(x), torch.nan, x + 0.0)
    bits = x.view(torch.int32 if x.dtype.itemsize == 4 else torch.int64)
    return torch.where(bits < 0, bits ^ torch.iinfo(bits.dtype).max, bits)


@_lowers("searchsorted", "f")
def _searchsorted(torch: Any, a: Any, v: Any, side: str) -> Any:
    return torch.searchsorted(_in_order(torch, a), _in_order(torch, v), side=side)


# ---------------------------------------------------------------------------------------------------------- softmax


@_lowers("softmax", "f")
def _softmax(torch: Any, x: Any, axes: Axes) -> Any:
    if len(axes) == 1:
        return torch.softmax(x, axes[0])
    return torch.exp(x - torch.logsumexp(x, axes, keepdim=True)) if axes else torch.ones_like(x)


@_lowers("log_softmax", "f")
def _log_softmax(torch: Any, x: Any, axes: Axes) -> Any:
    if len(axes) == 1:
        return torch.log_softmax(x, axes[0])
    return x - torch.logsumexp(x, axes, keepdim=True) if axes else torch.zeros_like(x)


@_lowers("logsumexp", "f")
def _logsumexp(torch: Any, x: Any, axes: Axes) -> Any:
    return torch.logsumexp(x, axes) if axes else x


# ----------------------------------------------------------------------------------------------------------- powers


def _is_power(eqn: Equation) -> bool:
    """Whether a power is known to be one: of integers only those with exponents that are not negative."""
    exponent = eqn.inputs[1]
    return exponent.aval.dtype.kind == "c" or (isinstance(exponent, Literal) and exponent.value >= 0)


_NO_POWER = ValueError("Integers to negative integer powers are not allowed.")


@_checked("pow", "ic", _NO_POWER, same_dtypes, _is_power)
def checked_pow(torch: Any, x: Any, y: Any) -> Any:
    if x.dtype.is_complex:
        return complex_pow(torch, x, y), torch.ones((), dtype=torch.bool, device=x.device)
    return torch.pow(x, y), (y >= 0).all()


# ---------------------------------------------------------------------------------------------------------- indices

_OUT_OF_BOUNDS = IndexError("an index is out of bounds")


def _places(torch: Any, indices: Sequence[Any], sizes: Sequence[int]) -> tuple[Any, Any]:
    """The place in the flat array of what each joint index points at, clipped, and whether all are inside."""
    flat: Any = None
    inside: Any = None
    for i, n in zip(indices, sizes, strict=True):
        i = i.to(torch.int64)
        i = torch.where(i < 0, i + n, i)
        here = (i >= 0) & (i < n)
        i = i.clamp(0, max(n - 1, 0))
        flat = i if flat is None else flat * n + i
        inside = here if inside is None else inside & here
    return flat, inside.all()


def _axes_first(x: Any, axes: Axes) -> tuple[Any, Axes]:
    """The array with these axes first and made one, and the shape of the others."""
    others = tuple(i for i in range(x.dim()) if i not in axes)
    rest = tuple(x.shape[i] for i in others)
    if axes == (0,):
        return x, rest
    return x.permute((*axes, *others)).reshape((math.prod(x.shape[i] for i in axes), *rest)), rest


def _axes_back(x: Any, axes: Axes, shape: Axes) -> Any:
    """What `_axes_first` has made one, as axes in their places."""
    if axes == (0,):
        return x.reshape(shape)
    order = (*axes, *(i for i in range(len(shape)) if i not in axes))
    out = x.reshape(tuple(shape[i] for i in order))
    return out.permute(tuple(order.index(i) for i in range(len(order))))


def _nonempty(eqn: Equation) -> bool:
    """Whether there is something at the axes that are indexed."""
    params, x = eqn.params, eqn.inputs[0].aval
    shape = params.get("shape", x.shape)
    return all(shape[i] for i in params["axes"])


def _inside(eqn: Equation) -> bool:
    """Whether it is known that all indices of a `gather` or a scatter are inside: they are numbers."""
    axes = eqn.params["axes"]
    shape = eqn.params.get("shape") or eqn.inputs[0].aval.shape
    indices = eqn.inputs[len(eqn.inputs) - len(axes) :]
    return all(
        isinstance(i, Literal) and -shape[a] <= int(i.value) < shape[a] for i, a in zip(indices, axes, strict=True)
    )


@_checked("gather", "biufcVw", _OUT_OF_BOUNDS, _nonempty, _inside)
def checked_gather(torch: Any, x: Any, *indices: Any, axes: Axes) -> Any:
    if is_wide_unsigned(torch, x):
        out, fine = checked_gather(torch, signed(torch, x), *indices, axes=axes)
        return out.view(x.dtype), fine
    place, fine = _places(torch, indices, [x.shape[i] for i in axes])
    flat, rest = _axes_first(x, axes)
    return flat.index_select(0, place.reshape(-1)).reshape((*place.shape, *rest)), fine


def _updates(torch: Any, updates: Any, place: Any, rest: Axes) -> tuple[Any, Any]:
    """Updates and their places as rows."""
    return updates.expand((*place.shape, *rest)).reshape((place.numel(), *rest)), place.reshape(-1)


@_checked("scatter_add", "ifc", _OUT_OF_BOUNDS, _nonempty, _inside)
def checked_scatter_add(torch: Any, updates: Any, *indices: Any, axes: Axes, shape: Axes) -> Any:
    place, fine = _places(torch, indices, [shape[i] for i in axes])
    rest = tuple(n for i, n in enumerate(shape) if i not in axes)
    rows, place = _updates(torch, updates, place, rest)
    total = math.prod(shape[i] for i in axes)
    out = torch.zeros((total, *rest), dtype=updates.dtype, device=updates.device)
    return _axes_back(out.index_add(0, place, rows), axes, shape), fine


def _scatter_extremum(name: str, how: str) -> None:
    @_checked(name, "if", _OUT_OF_BOUNDS, _nonempty, _inside)
    def checked(torch: Any, x: Any, updates: Any, *indices: Any, axes: Axes) -> Any:
        place, fine = _places(torch, indices, [x.shape[i] for i in axes])
        flat, rest = _axes_first(x, axes)
        rows, place = _updates(torch, updates, place, rest)
        at = place.reshape((-1, *(1,) * len(rest))).expand(rows.shape)
        return _axes_back(flat.scatter_reduce(0, at, rows, how), axes, tuple(x.shape)), fine


_scatter_extremum("scatter_max", "amax")
_scatter_extremum("scatter_min", "amin")


@_checked("scatter", "biufcVw", _OUT_OF_BOUNDS, _nonempty, _inside)
def checked_scatter(torch: Any, x: Any, updates: Any, *indices: Any, axes: Axes) -> Any:
    """The last update of each place is found first: PyTorch says of none which one stays."""
    if is_wide_unsigned(torch, x):
        out, fine = checked_scatter(torch, signed(torch, x), signed(torch, updates), *indices, axes=axes)
        return out.view(x.dtype), fine
    place, fine = _places(torch, indices, [x.shape[i] for i in axes])
    flat, rest = _axes_first(x, axes)
    rows, place = _updates(torch, updates, place, rest)
    if not place.numel():
        return _axes_back(flat, axes, tuple(x.shape)), fine
    order = torch.arange(place.numel(), device=place.device)
    last = torch.full((flat.shape[0],), -1, dtype=torch.int64, device=place.device)
    last = last.scatter_reduce(0, place, order, "amax")
    hit = (last >= 0).reshape((-1, *(1,) * len(rest)))
    return _axes_back(torch.where(hit, rows.index_select(0, last.clamp(min=0)), flat), axes, tuple(x.shape)), fine


# --------------------------------------------------------------------------------------------------- linear algebra

_SINGULAR = np.linalg.LinAlgError("Singular matrix")
_NOT_POSITIVE = np.linalg.LinAlgError("Matrix is not positive definite")


@_checked("inv", "fc", _SINGULAR)
def checked_inv(torch: Any, x: Any) -> Any:
    out, info = torch.linalg.inv_ex(x)
    return out, (info == 0).all()


@_checked("solve", "fc", _SINGULAR)
def checked_solve(torch: Any, a: Any, b: Any) -> Any:
    batch = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = a.expand((*batch, *a.shape[-2:])), b.expand((*batch, *b.shape[-2:]))
    out, info = torch.linalg.solve_ex(a, b)
    return out, (info == 0).all()


@_checked("cholesky", "fc", _NOT_POSITIVE)
def checked_cholesky(torch: Any, x: Any) -> Any:
    out, info = torch.linalg.cholesky_ex(x)
    return out, (info == 0).all()


@_lowers("triangular_solve", "fc")
def _triangular_solve(torch: Any, a: Any, b: Any, lower: bool, transposed: bool, unit: bool, strict: bool) -> Any:
    if strict and not unit:
        fine = (torch.diagonal(a, dim1=-2, dim2=-1) != 0).all()
        if not bool(fine):
            raise _SINGULAR
    return _substituted(torch, a, b, lower, transposed, unit)


def _substituted(torch: Any, a: Any, b: Any, lower: bool, transposed: bool, unit: bool) -> Any:
    batch = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = a.expand((*batch, *a.shape[-2:])), b.expand((*batch, *b.shape[-2:]))
    a = torch.tril(a) if lower else torch.triu(a)
    if transposed:
        return torch.linalg.solve_triangular(a.mT, b, upper=lower, unitriangular=unit)
    return torch.linalg.solve_triangular(a, b, upper=not lower, unitriangular=unit)


def checked_triangular_solve(torch: Any, a: Any, b: Any, **params: Any) -> Any:
    strict = params.pop("strict")
    fine = (torch.diagonal(a, dim1=-2, dim2=-1) != 0).all()
    out = _substituted(torch, a, b, **params)
    return out, fine if strict and not params["unit"] else torch.ones_like(fine)


CHECKED["triangular_solve"] = Check(checked_triangular_solve, _SINGULAR)


# ------------------------------------------------------------------------------------------------------ convolution


def _is_plain_conv(eqn: Equation) -> bool:
    p, rank = eqn.params, eqn.inputs[0].aval.ndim - 2
    return (
        rank in (1, 2, 3)
        and p["batch_group_count"] == 1
        and all(d == 1 for d in p["lhs_dilation"])
        and all(low >= 0 and high >= 0 for low, high in p["padding"])
        and 0 not in (*eqn.inputs[0].aval.shape, *eqn.inputs[1].aval.shape, *eqn.outputs[0].aval.shape)
    )


@_lowers("conv_general_dilated", "f", when=_is_plain_conv)
def _conv(
    torch: Any, lhs: Any, rhs: Any, window_strides: Axes, padding: tuple[Axes, ...], lhs_dilation: Axes,
    rhs_dilation: Axes, feature_group_count: int, batch_group_count: int,
) -> Any:  # fmt: skip
    if any(low != high for low, high in padding):
        flat = [n for pair in reversed(padding) for n in pair]
        lhs, padding = torch.nn.functional.pad(lhs, flat), ((0, 0),) * len(padding)
    conv = (torch.conv1d, torch.conv2d, torch.conv3d)[lhs.dim() - 3]
    around = [low for low, _ in padding]
    return conv(lhs, rhs, None, window_strides, around, rhs_dilation, feature_group_count)
