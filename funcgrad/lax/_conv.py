"""Convolutions: `lax.conv_general_dilated` and its shorter forms."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.errors import ArgumentError, ShapeError
from funcgrad.lax._products import dot_general, in_dtype
from funcgrad.lax._types import check_precision, no_sharding
from funcgrad.numpy._dispatch import array_operand
from funcgrad.ops.conv import CONV
from funcgrad.ops.conv_kernels import output_sizes
from funcgrad.types import dtype_of, shape_of

__all__ = [
    "ConvDimensionNumbers",
    "ConvGeneralDilatedDimensionNumbers",
    "conv",
    "conv_dimension_numbers",
    "conv_general_dilated",
    "conv_general_dilated_local",
    "conv_general_dilated_patches",
    "conv_general_permutations",
    "conv_general_shape_tuple",
    "conv_shape_tuple",
    "conv_transpose",
    "conv_transpose_shape_tuple",
    "conv_with_general_padding",
    "padtype_to_pads",
]


class ConvDimensionNumbers(NamedTuple):
    """Where the dimensions of a convolution are.

    Attributes:
        lhs_spec: axes of the input: batch, features, then the spatial ones.
        rhs_spec: axes of the kernel: output features, input features, then the spatial ones.
        out_spec: axes of the output: batch, features, then the spatial ones.
    """

    lhs_spec: tuple[int, ...]
    rhs_spec: tuple[int, ...]
    out_spec: tuple[int, ...]


ConvGeneralDilatedDimensionNumbers = tuple[str, str, str] | ConvDimensionNumbers | None
"""What `dimension_numbers` may be."""


def conv_dimension_numbers(
    lhs_shape: Sequence[int], rhs_shape: Sequence[int], dimension_numbers: Any
) -> ConvDimensionNumbers:
    """Dimension numbers from strings such as `("NHWC", "HWIO", "NHWC")`; None stands for `("NCHW", "OIHW", "NCHW")`.

    Raises ValueError where they do not fit the shapes.

    >>> conv_dimension_numbers((1, 8, 8, 3), (5, 5, 3, 4), ("NHWC", "HWIO", "NHWC")).rhs_spec
    (3, 2, 0, 1)
    """
    if isinstance(dimension_numbers, ConvDimensionNumbers):
        return dimension_numbers
    ndim = len(lhs_shape)
    if len(rhs_shape) != ndim:
        raise ArgumentError(
            f"conv: input and kernel must have the same number of dimensions, got {lhs_shape} and {rhs_shape}"
        )
    if dimension_numbers is None:
        return ConvDimensionNumbers(*(tuple(range(ndim)),) * 3)
    specs = tuple(dimension_numbers)
    if len(specs) != 3 or any(len(s) != ndim or len(set(s)) != ndim for s in specs):
        raise ArgumentError(
            f"conv: dimension_numbers must name the {ndim} dimensions of input, kernel and output once each, "
            f"got {dimension_numbers}"
        )
    if not all(isinstance(s, str) for s in specs):
        return ConvDimensionNumbers(*(tuple(map(operator.index, s)) for s in specs))
    lhs, rhs, out = specs
    spatial = [c for c in rhs if c not in "OI"]
    for spec, first in ((lhs, "NC"), (rhs, "OI"), (out, "NC")):
        if sorted(spec) != sorted([*first, *spatial]):
            raise ArgumentError(
                f"conv: {spec!r} of dimension_numbers must have {first[0]}, {first[1]} and the spatial {spatial}"
            )
    return ConvDimensionNumbers(
        *(tuple(s.index(c) for c in (*first, *spatial)) for s, first in ((lhs, "NC"), (rhs, "OI"), (out, "NC")))
    )


def conv_general_permutations(dimension_numbers: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """For input, kernel and output the axes as in `ConvDimensionNumbers`, spatial ones in the order of the kernel.

    >>> conv_general_permutations(("NHWC", "HWIO", "NHWC"))
    ((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))
    """
    shape = (1,) * len(dimension_numbers[0])
    return tuple(conv_dimension_numbers(shape, shape, dimension_numbers))


def padtype_to_pads(
    in_shape: Sequence[int], window_shape: Sequence[int], window_strides: Sequence[int], padding: str
) -> list[tuple[int, int]]:
    """Padding in numbers: "VALID" is none, "SAME" as much as makes ceil(size / stride) windows, half at either end
    (and the odd one behind; before with "SAME_LOWER").

    >>> padtype_to_pads((28, 7), (5, 2), (1, 2), "SAME")
    [(2, 2), (0, 1)]
    """
    kind = padding.upper() if isinstance(padding, str) else padding
    if kind == "VALID":
        return [(0, 0)] * len(in_shape)
    if kind not in ("SAME", "SAME_LOWER"):
        raise ArgumentError(f"padding must be 'SAME', 'SAME_LOWER', 'VALID' or a sequence of pairs, got {padding!r}")
    pads: list[tuple[int, int]] = []
    for n, k, s in zip(in_shape, window_shape, window_strides, strict=True):
        total = max((-(-n // s) - 1) * s + k - n, 0)
        less = total // 2
        pads.append((less, total - less) if kind == "SAME" else (total - less, less))
    return pads


def _ints(x: Sequence[Any] | None, n: int, name: str) -> tuple[int, ...]:
    """One positive integer for each spatial dimension; ones by default."""
    if x is None:
        return (1,) * n
    out = tuple(map(operator.index, x))
    if len(out) != n or any(i < 1 for i in out):
        raise ArgumentError(f"conv_general_dilated: {name} must be {n} positive integers, got {tuple(x)}")
    return out


def _pairs(padding: Any, sizes: Sequence[int], base: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Padding in numbers, a pair for each spatial dimension; no more is cropped than there is."""
    try:
        pads = tuple((operator.index(low), operator.index(high)) for low, high in padding)
    except (TypeError, ValueError):
        raise ArgumentError(
            "conv_general_dilated: the padding argument must be 'SAME', 'SAME_LOWER', 'VALID' or a sequence of pairs "
            f"(low, high), got {padding}"
        ) from None
    if len(pads) != len(sizes):
        raise ArgumentError(f"conv_general_dilated: padding must be {len(sizes)} pairs, got {padding}")
    whole = [(n - 1) * b + 1 if n else 0 for n, b in zip(sizes, base, strict=True)]
    if any(n + low + high < 0 for n, (low, high) in zip(whole, pads, strict=True)):
        raise ArgumentError(f"conv_general_dilated: padding={pads} crops more than there is, an input of {sizes}")
    return pads


def _groups(count: Any, name: str) -> int:
    if operator.index(count) < 1:
        raise ArgumentError(f"conv_general_dilated: {name} must be a positive integer, got {count}")
    return operator.index(count)


def conv_general_dilated(
    lhs: Any,
    rhs: Any,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    precision: Any = None,
    preferred_element_type: Any = None,
    out_sharding: Any = None,
) -> Any:
    """The convolution (more exactly, cross-correlation) of an input with a kernel, in n spatial dimensions.

    Args:
        lhs: the input, with a batch and a feature dimension beside the spatial ones.
        rhs: the kernel, with an output and an input feature dimension beside the spatial ones.
        window_strides: one per spatial dimension.
        padding: "SAME", "SAME_LOWER", "VALID", or a pair (before, after) per spatial dimension; negative ones crop.
        lhs_dilation: distances of the input's elements, with zeros in between; not with padding by name.
        rhs_dilation: distances of the kernel's elements.
        dimension_numbers: which axis is what: strings, axes or `ConvDimensionNumbers`; by default NCHW, OIHW, NCHW.
        feature_group_count: input features in so many groups, each with its share of the output features.
        batch_group_count: examples in so many groups, each with its share of the output features.
        precision: accepted for JAX's sake.
        preferred_element_type: the dtype of the result.
        out_sharding: None.

    Booleans are combined by `or` of `and`.

    Raises:
        ShapeError: features or groups do not fit together.
        ValueError: strides, dilations, padding or dimension numbers do not fit the number of dimensions.

    >>> x, kernel = np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3))
    >>> conv_general_dilated(x, kernel, (1, 1), "SAME")[0, 0, 0]
    array([4., 6., 6., 4.])
    """
    no_sharding("conv_general_dilated", out_sharding)
    check_precision("conv_general_dilated", precision)
    lhs, rhs = array_operand(lhs), array_operand(rhs)
    numbers = conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers)
    lhs, rhs = np.transpose(lhs, numbers.lhs_spec), np.transpose(rhs, numbers.rhs_spec)
    n = lhs.ndim - 2
    if n < 0:
        raise ShapeError(f"conv_general_dilated: operands need a batch and a feature dimension, got {lhs.shape}")
    strides = _ints(window_strides, n, "window_strides")
    base, dilation = _ints(lhs_dilation, n, "lhs_dilation"), _ints(rhs_dilation, n, "rhs_dilation")
    if isinstance(padding, str):
        if any(b != 1 for b in base):
            raise ArgumentError(
                f"conv_general_dilated: with lhs_dilation={base} give the padding in numbers, not {padding!r}; "
                "conv_transpose takes it by name"
            )
        window = [(k - 1) * d + 1 if k else 0 for k, d in zip(rhs.shape[2:], dilation, strict=True)]
        padding = padtype_to_pads(lhs.shape[2:], window, strides, padding)
    pads = _pairs(padding, lhs.shape[2:], base)
    params = {
        "window_strides": strides,
        "padding": pads,
        "lhs_dilation": base,
        "rhs_dilation": dilation,
        "feature_group_count": _groups(feature_group_count, "feature_group_count"),
        "batch_group_count": _groups(batch_group_count, "batch_group_count"),
    }
    out = in_dtype(lambda a, b: _convolved(a, b, params), lhs, rhs, preferred_element_type)
    return np.transpose(out, np.argsort(numbers.out_spec).tolist())


def _convolved(lhs: Any, rhs: Any, params: dict[str, Any]) -> Any:
    if lhs.dtype.kind == "b":
        return CONV.bind(lhs.astype(np.int32), rhs.astype(np.int32), **params) != 0
    return CONV.bind(lhs, rhs, **params)


def conv(
    lhs: Any,
    rhs: Any,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Any:
    """`conv_general_dilated` without dilation, in the layout NCHW, OIHW.

    >>> conv(np.ones((1, 1, 4)), np.ones((1, 1, 2)), (2,), "VALID")
    array([[[2., 2.]]])
    """
    return conv_general_dilated(
        lhs, rhs, window_strides, padding, precision=precision, preferred_element_type=preferred_element_type
    )


def conv_with_general_padding(
    lhs: Any,
    rhs: Any,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Any:
    """`conv_general_dilated` in the layout NCHW, OIHW.

    >>> conv_with_general_padding(np.ones((1, 1, 2)), np.ones((1, 1, 2)), (1,), [(1, 1)])
    array([[[1., 2., 1.]]])
    """
    return conv_general_dilated(
        lhs, rhs, window_strides, padding, lhs_dilation, rhs_dilation, precision=precision,
        preferred_element_type=preferred_element_type,
    )  # fmt: skip


def _transposed_padding(k: int, s: int, padding: str) -> tuple[int, int]:
    """The padding that undoes that of a convolution with windows of `k` and stride `s`."""
    kind = padding.upper()
    if kind == "SAME":
        total = k + s - 2
        before = k - 1 if s > k - 1 else -(-total // 2)
    elif kind == "VALID":
        total, before = k + s - 2 + max(k - s, 0), k - 1
    else:
        raise ArgumentError(f"conv_transpose: padding must be 'SAME', 'VALID' or a sequence of pairs, got {padding!r}")
    return before, total - before


def conv_transpose(
    lhs: Any,
    rhs: Any,
    strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    transpose_kernel: bool = False,
    precision: Any = None,
    preferred_element_type: Any = None,
    use_consistent_padding: bool = False,
) -> Any:
    """The transposed ("fractionally strided") convolution: `conv_general_dilated` with the input dilated by `strides`.

    By default the features come last: NHWC, HWIO, NHWC. With `transpose_kernel` the kernel is that of the convolution
    whose transpose this is: it is flipped, and its feature dimensions are exchanged. With `use_consistent_padding`,
    pairs of numbers are the padding of that convolution.

    >>> conv_transpose(np.ones((1, 2, 1)), np.ones((2, 1, 1)), (2,), "VALID")[0, :, 0]
    array([1., 1., 1., 1.])
    """
    ndim = len(shape_of(lhs))
    if ndim < 2:
        raise ShapeError(f"conv_transpose: operands need a batch and a feature dimension, got {shape_of(lhs)}")
    if dimension_numbers is None:
        axes = tuple(range(1, ndim - 1))
        last = ndim - 1
        dimension_numbers = ConvDimensionNumbers((0, last, *axes), (last, last - 1, *range(ndim - 2)), (0, last, *axes))
    numbers = conv_dimension_numbers(shape_of(lhs), shape_of(rhs), dimension_numbers)
    rhs = array_operand(rhs)
    spatial = numbers.rhs_spec[2:]
    dilation = _ints(rhs_dilation, len(spatial), "rhs_dilation")
    window = [(rhs.shape[i] - 1) * d + 1 for i, d in zip(spatial, dilation, strict=True)]
    if use_consistent_padding and not isinstance(padding, str):
        padding = [(k - 1 - low, k - 1 - high) for k, (low, high) in zip(window, padding, strict=True)]
    if isinstance(padding, str):
        padding = [_transposed_padding(k, s, padding) for k, s in zip(window, strides, strict=True)]
    if transpose_kernel:
        rhs = np.swapaxes(np.flip(rhs, spatial), numbers.rhs_spec[0], numbers.rhs_spec[1])
    one = (1,) * len(spatial)
    return conv_general_dilated(
        lhs, rhs, one, padding, strides, rhs_dilation, numbers, precision=precision,
        preferred_element_type=preferred_element_type,
    )  # fmt: skip


def conv_general_dilated_patches(
    lhs: Any,
    filter_shape: Sequence[int],
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Any:
    """The windows that a kernel of `filter_shape` would see, as features `(C, *filter_shape)` in one dimension.

    >>> conv_general_dilated_patches(np.arange(4.0).reshape(1, 1, 4), (2,), (1,), "VALID")[0]
    array([[0., 1., 2.],
           [1., 2., 3.]])
    """
    lhs = array_operand(lhs)
    window = tuple(map(operator.index, filter_shape))
    size = math.prod(window)
    numbers = conv_dimension_numbers(lhs.shape, (1,) * lhs.ndim, dimension_numbers)
    features = lhs.shape[numbers.lhs_spec[1]]
    dtype = dtype_of(lhs) if preferred_element_type is None else np.dtype(preferred_element_type)
    one_hot = np.tile(np.eye(size, dtype=dtype).reshape(size, 1, *window), (features, *(1,) * (lhs.ndim - 1)))
    kernel = np.transpose(one_hot, np.argsort(numbers.rhs_spec))
    return conv_general_dilated(
        lhs, kernel, window_strides, padding, lhs_dilation, rhs_dilation, numbers, features, precision=precision,
        preferred_element_type=preferred_element_type,
    )  # fmt: skip


def conv_general_dilated_local(
    lhs: Any,
    rhs: Any,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    filter_shape: Sequence[int],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    precision: Any = None,
) -> Any:
    """A convolution whose kernel differs from place to place.

    Args:
        lhs: the input, as for `conv_general_dilated`.
        rhs: the kernels: their spatial dimensions are those of the output, and their input features
            `(C, *filter_shape)` made into one dimension.
        window_strides, padding, lhs_dilation, rhs_dilation, dimension_numbers: as for `conv_general_dilated`.
        filter_shape: the size of the windows.
        precision: accepted for JAX's sake.

    Raises:
        ShapeError: the kernels do not fit the windows or the places.

    >>> conv_general_dilated_local(np.ones((1, 1, 3)), np.arange(4.0).reshape(1, 2, 2), (1,), "VALID", (2,))
    array([[[2., 4.]]])
    """
    rhs = array_operand(rhs)
    numbers = conv_dimension_numbers(shape_of(array_operand(lhs)), rhs.shape, dimension_numbers)
    patches = conv_general_dilated_patches(
        lhs, filter_shape, window_strides, padding, lhs_dilation, rhs_dilation, numbers, precision
    )
    (n, c, *space), (_, i, *places) = numbers.out_spec, numbers.rhs_spec
    out = dot_general(rhs, patches, (((i,), (c,)), (tuple(places), tuple(space))))  # the places, then O, then N
    last = len(space)
    order = dict(zip((n, c, *space), (last + 1, last, *range(last)), strict=True))
    return np.transpose(out, [order[axis] for axis in range(last + 2)])


# -------------------------------------------------------------------------------------------------- shapes of results


def conv_shape_tuple(
    lhs_shape: Sequence[int],
    rhs_shape: Sequence[int],
    strides: Sequence[int],
    pads: str | Sequence[tuple[int, int]],
    batch_group_count: int = 1,
) -> tuple[int, ...]:
    """The shape of a convolution in the layout NCHW, OIHW.

    Raises ShapeError where the batch does not divide into groups.

    >>> conv_shape_tuple((1, 3, 8, 8), (4, 3, 3, 3), (2, 2), "SAME")
    (1, 4, 4, 4)
    """
    space, window = tuple(lhs_shape[2:]), tuple(rhs_shape[2:])
    steps = _ints(strides, len(space), "strides")
    widths = padtype_to_pads(space, window, steps, pads) if isinstance(pads, str) else pads
    if lhs_shape[0] % batch_group_count:
        raise ShapeError(f"conv_shape_tuple: a batch of {lhs_shape[0]} does not divide into {batch_group_count} groups")
    one = (1,) * len(space)
    return (lhs_shape[0] // batch_group_count, rhs_shape[0], *output_sizes(space, window, steps, widths, one, one))


def _permuted(shape: Sequence[int], spec: Sequence[int]) -> tuple[int, ...]:
    return tuple(shape[i] for i in spec)


def conv_general_shape_tuple(
    lhs_shape: Sequence[int],
    rhs_shape: Sequence[int],
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    dimension_numbers: Any,
) -> tuple[int, ...]:
    """The shape of `conv_general_dilated` without dilation.

    >>> conv_general_shape_tuple((1, 8, 8, 3), (3, 3, 3, 4), (2, 2), "SAME", ("NHWC", "HWIO", "NHWC"))
    (1, 4, 4, 4)
    """
    lhs, rhs, out = conv_dimension_numbers(lhs_shape, rhs_shape, dimension_numbers)
    shape = conv_shape_tuple(_permuted(lhs_shape, lhs), _permuted(rhs_shape, rhs), window_strides, padding)
    return _permuted(shape, np.argsort(out).tolist())


def conv_transpose_shape_tuple(
    lhs_shape: Sequence[int],
    rhs_shape: Sequence[int],
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    dimension_numbers: Any,
) -> tuple[int, ...]:
    """The shape of `conv_transpose`.

    >>> conv_transpose_shape_tuple((1, 4, 4, 3), (3, 3, 3, 2), (2, 2), "SAME", ("NHWC", "HWIO", "NHWC"))
    (1, 8, 8, 2)
    """
    lhs, rhs, out = conv_dimension_numbers(lhs_shape, rhs_shape, dimension_numbers)
    (n, _, *space), (o, _, *window) = _permuted(lhs_shape, lhs), _permuted(rhs_shape, rhs)
    widths: Sequence[tuple[int, int]] = (
        [_transposed_padding(k, s, padding) for k, s in zip(window, window_strides, strict=True)]
        if isinstance(padding, str)
        else padding
    )
    one = (1,) * len(space)
    sizes = output_sizes(space, window, one, widths, tuple(window_strides), one)
    return _permuted((n, o, *sizes), np.argsort(out).tolist())
