"""Types of arguments of `jax.lax`: accuracies and algorithms, which are accepted and have no effect here."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = [
    "AccuracyMode",
    "DotAlgorithm",
    "DotAlgorithmPreset",
    "DotDimensionNumbers",
    "Precision",
    "PrecisionLike",
    "RaggedDotDimensionNumbers",
    "RandomAlgorithm",
    "Tolerance",
    "check_precision",
    "no_sharding",
]

DotDimensionNumbers = tuple[tuple[Sequence[int], Sequence[int]], tuple[Sequence[int], Sequence[int]]]
"""((contracted axes of the left operand, of the right one), (batch axes of the left one, of the right one))."""


class Precision(enum.Enum):
    """How exactly an accelerator multiplies. NumPy always does so in the dtype of the operands.

    >>> Precision("highest") is Precision.HIGHEST
    True
    """

    DEFAULT = 0
    HIGH = 1
    HIGHEST = 2

    @classmethod
    def _missing_(cls, value: object) -> Precision | None:
        return _PRECISIONS.get(value)


_PRECISIONS: dict[Any, Precision] = {
    None: Precision.DEFAULT,
    **dict.fromkeys(("default", "fastest", "bfloat16"), Precision.DEFAULT),
    **dict.fromkeys(("high", "bfloat16_3x", "tensorfloat32"), Precision.HIGH),
    **dict.fromkeys(("highest", "float32"), Precision.HIGHEST),
}


class AccuracyMode(enum.Enum):
    """How exactly an accelerator computes elementwise functions."""

    HIGHEST = 1
    DEFAULT = 2


class Tolerance(NamedTuple):
    """How exactly an accelerator computes elementwise functions, in numbers."""

    atol: float = 0.0
    rtol: float = 0.0
    ulps: int = 0


class DotAlgorithm(NamedTuple):
    """The dtypes in which an accelerator multiplies and adds."""

    lhs_precision_type: Any
    rhs_precision_type: Any
    accumulation_type: Any
    lhs_component_count: int = 1
    rhs_component_count: int = 1
    num_primitive_operations: int = 1
    allow_imprecise_accumulation: bool = False


class DotAlgorithmPreset(enum.Enum):
    """Names of algorithms for products."""

    DEFAULT = 0
    ANY_F8_ANY_F8_F32 = 1
    ANY_F8_ANY_F8_F32_FAST_ACCUM = 2
    ANY_F8_ANY_F8_ANY = 3
    ANY_F8_ANY_F8_ANY_FAST_ACCUM = 4
    F16_F16_F16 = 5
    F16_F16_F32 = 6
    BF16_BF16_BF16 = 7
    BF16_BF16_F32 = 8
    BF16_BF16_F32_X3 = 9
    BF16_BF16_F32_X6 = 10
    BF16_BF16_F32_X9 = 11
    TF32_TF32_F32 = 12
    TF32_TF32_F32_X3 = 13
    F32_F32_F32 = 14
    F64_F64_F64 = 15


_PRESETS = DotAlgorithmPreset.__members__

PrecisionLike = None | str | Precision | tuple[str, str] | tuple[Precision, Precision] | DotAlgorithm | Any
"""What a `precision` may be."""


class RaggedDotDimensionNumbers(NamedTuple):
    """Dimension numbers of `ragged_dot_general`.

    Attributes:
        dot_dimension_numbers: those of `dot_general`.
        lhs_ragged_dimensions: the axis of the left operand that is divided into groups, in a sequence.
        rhs_group_dimensions: the axis of the right operand that has an entry for each group, in a sequence, or none.
    """

    dot_dimension_numbers: DotDimensionNumbers
    lhs_ragged_dimensions: Sequence[int]
    rhs_group_dimensions: Sequence[int]


class RandomAlgorithm(enum.IntEnum):
    """Names of XLA's generators of random bits."""

    RNG_DEFAULT = 0
    RNG_THREE_FRY = 1
    RNG_PHILOX = 2


def no_sharding(name: str, sharding: Any) -> None:
    """Refuse to divide an array among devices.

    Raises NotImplementedError unless `sharding` is None.
    """
    if sharding is not None:
        raise NotImplementedError(f"{name}: there is one device, so that nothing can be sharded; leave it out")


def check_precision(name: str, precision: Any) -> None:
    """Refuse what says nothing of precision.

    Raises ValueError unless it is None, one of JAX's names or types, or a pair of these.
    """
    if isinstance(precision, DotAlgorithm):
        return
    for given in precision if isinstance(precision, tuple) and len(precision) == 2 else (precision,):
        named = given is None or (isinstance(given, str) and (given in _PRECISIONS or given in _PRESETS))
        if not (named or isinstance(given, (Precision, DotAlgorithmPreset))):
            raise ValueError(
                f"{name}: precision must be None, a lax.Precision, an algorithm, or a pair of them, got {precision!r}; "
                f"the names are {', '.join(sorted(n for n in _PRECISIONS if n))}"
            )
