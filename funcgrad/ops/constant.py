"""Elementwise primitives that are piecewise constant, without derivatives: comparisons, rounding, logic, bits."""

from __future__ import annotations

import operator

import numpy as np

from funcgrad.ops.rules import ZERO, elementwise
from funcgrad.ops.scalar import ScalarForm

__all__ = ["CONSTANT"]


def _comparison(sign: str) -> ScalarForm:
    return ScalarForm(f"{{}} {sign} {{}}", floats=True, results="b")


def _truth(text: str) -> ScalarForm:
    return ScalarForm(text, results="b", truth=True)


CONSTANT = {
    np.floor_divide: elementwise("floor_div", np.floor_divide, ZERO, ZERO, python=operator.floordiv, cost=(5.0, 5.0)),
    np.floor: elementwise("floor", np.floor, ZERO, total=True),
    np.ceil: elementwise("ceil", np.ceil, ZERO, total=True),
    np.trunc: elementwise("trunc", np.trunc, ZERO, total=True),
    np.rint: elementwise("rint", np.rint, ZERO, total=True),
    np.spacing: elementwise("spacing", np.spacing, ZERO, cost=(2.5, 3.7)),
    np.signbit: elementwise("signbit", np.signbit, ZERO, total=True),
    np.isnan: elementwise("isnan", np.isnan, ZERO, total=True, scalar=ScalarForm("{0} != {0}", results="b")),
    np.isinf: elementwise(
        "isinf", np.isinf, ZERO, total=True, scalar=ScalarForm("{0} == {0} and {0} - {0} != 0.0", 3, results="b")
    ),
    np.isfinite: elementwise(
        "isfinite", np.isfinite, ZERO, total=True, scalar=ScalarForm("{0} - {0} == 0.0", 2, results="b")
    ),
    np.equal: elementwise(
        "eq", np.equal, ZERO, ZERO, python=operator.eq, commutative=True, total=True, scalar=_comparison("==")
    ),
    np.not_equal: elementwise(
        "ne", np.not_equal, ZERO, ZERO, python=operator.ne, commutative=True, total=True, scalar=_comparison("!=")
    ),
    np.less: elementwise("lt", np.less, ZERO, ZERO, python=operator.lt, total=True, scalar=_comparison("<")),
    np.less_equal: elementwise(
        "le", np.less_equal, ZERO, ZERO, python=operator.le, total=True, scalar=_comparison("<=")
    ),
    np.greater: elementwise("gt", np.greater, ZERO, ZERO, python=operator.gt, total=True, scalar=_comparison(">")),
    np.greater_equal: elementwise(
        "ge", np.greater_equal, ZERO, ZERO, python=operator.ge, total=True, scalar=_comparison(">=")
    ),
    np.logical_and: elementwise(
        "logical_and",
        np.logical_and,
        ZERO,
        ZERO,
        commutative=True,
        idempotent=True,
        total=True,
        scalar=_truth("{} & {}"),
    ),
    np.logical_or: elementwise(
        "logical_or", np.logical_or, ZERO, ZERO, commutative=True, idempotent=True, total=True, scalar=_truth("{} | {}")
    ),
    np.logical_xor: elementwise(
        "logical_xor", np.logical_xor, ZERO, ZERO, commutative=True, total=True, scalar=_truth("{} ^ {}")
    ),
    np.logical_not: elementwise("logical_not", np.logical_not, ZERO, total=True, scalar=_truth("not {}")),
    np.bitwise_and: elementwise(
        "and",
        np.bitwise_and,
        ZERO,
        ZERO,
        python=operator.and_,
        commutative=True,
        idempotent=True,
        total=True,
        scalar=_truth("{} & {}"),
    ),
    np.bitwise_or: elementwise(
        "or",
        np.bitwise_or,
        ZERO,
        ZERO,
        python=operator.or_,
        commutative=True,
        idempotent=True,
        total=True,
        scalar=_truth("{} | {}"),
    ),
    np.bitwise_xor: elementwise(
        "xor", np.bitwise_xor, ZERO, ZERO, python=operator.xor, commutative=True, total=True, scalar=_truth("{} ^ {}")
    ),
    np.invert: elementwise("not", np.invert, ZERO, total=True, scalar=_truth("not {}")),
    np.left_shift: elementwise("shift_left", np.left_shift, ZERO, ZERO, python=operator.lshift),
    np.right_shift: elementwise("shift_right", np.right_shift, ZERO, ZERO, python=operator.rshift),
    np.gcd: elementwise("gcd", np.gcd, ZERO, ZERO, commutative=True, cost=(15.0, 16.0)),
    np.lcm: elementwise("lcm", np.lcm, ZERO, ZERO, commutative=True, cost=(15.0, 16.0)),
}
"""The primitive of each ufunc that is piecewise constant."""

if hasattr(np, "bitwise_count"):
    CONSTANT[np.bitwise_count] = elementwise("population_count", np.bitwise_count, ZERO, total=True)
