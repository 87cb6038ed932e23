"""Pointwise operations on registers: the text of each primitive, for every dtype.

`apply` writes one operation as the writer stands, on scalars or on vectors; `supports` tells whether it can. What a
result is, NumPy says (`primitive.impl`): integers wrap around, a maximum hands on NaN, a conversion out of range gives
what the machine gives. How emitters are written, and which floating-point flags they raise: see `scalars_base`.

>>> import numpy as np
>>> from funcgrad.ops.math import UFUNCS
>>> w = Writer(width=4)
>>> f8 = np.dtype(float)
>>> apply(w, UFUNCS[np.add], {}, ("%x", "%y"), (f8, f8), f8)
'%v1'
>>> w.lines
['  %v1 = fadd <4 x double> %x, %y']
>>> apply(w, UFUNCS[np.add], {}, (("%a", "%b"), ("%c", "%d")), (np.dtype(complex),) * 2, np.dtype(complex))
('%v2', '%v3')
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from funcgrad.core import Primitive
from funcgrad.native import (
    scalars_arithmetic,
    scalars_complex,
    scalars_complex_functions,
    scalars_convert,
    scalars_float,
    scalars_functions,
    scalars_integer,
)
from funcgrad.native.scalars_base import F32, HALF, TABLE, Call, DType, Numbers, Rule, kind_of, widened
from funcgrad.native.writer import Operand, Writer, component

__all__ = ["apply", "supports"]

TABLES = (
    scalars_arithmetic,
    scalars_complex,
    scalars_complex_functions,
    scalars_convert,
    scalars_float,
    scalars_functions,
    scalars_integer,
)
"""The modules that fill the table."""


def _wide(dtype: DType) -> DType:
    return F32 if dtype == HALF else dtype


def _rule(call: Call) -> tuple[Rule, Call] | None:
    """The rule for a call, and the call as it is made: widened where it is of float16 and the rule is not."""
    kinds = {kind_of(d) for d in call.ins}
    if "" in kinds or kind_of(call.out) == "":
        return None
    wide = call._replace(ins=tuple(map(_wide, call.ins)), out=_wide(call.out))
    rules = (*TABLE.get(call.primitive, ()), *scalars_functions.by_name(call.primitive))
    for rule in rules:
        if kinds <= set(rule.kinds) and rule.form(call):
            return rule, call
    if "h" in kinds:
        wider = kinds - {"h"} | {"f"}
        for rule in rules:
            if rule.widens and wider <= set(rule.kinds) and rule.form(wide):
                return rule, wide
    return None


@cache
def _known(primitive: Primitive, ins: tuple[DType, ...], out: DType) -> tuple[Rule, Call] | None:
    return _rule(Call(primitive, {}, ins, out))


def _found(
    primitive: Primitive, params: dict[str, Any], ins: tuple[DType, ...], out: DType
) -> tuple[Rule, Call] | None:
    """The rule for an operation; without params it is looked for once."""
    return _rule(Call(primitive, params, ins, out)) if params else _known(primitive, ins, out)


def _is_register(x: Operand) -> bool:
    return any(part.startswith("%") for part in (x if isinstance(x, tuple) else (x,)))


def _unknown(w: Writer, x: Operand, dtype: DType) -> Operand:
    """A literal that the compiler does not know: it would compute 0 / 0 itself, and raise no flag."""
    f = Numbers(w, component(dtype))
    if f.dtype.char not in "fd":
        return x
    return (f.fence(x[0]), f.fence(x[1])) if isinstance(x, tuple) else f.fence(x)


def supports(primitive: Primitive, in_dtypes: Sequence[DType], out_dtype: DType, params: dict[str, Any]) -> bool:
    """Whether `apply` has text for an operation; the dtypes are those of the loop that NumPy would run."""
    return _found(primitive, params, tuple(in_dtypes), out_dtype) is not None


def apply(
    w: Writer,
    primitive: Primitive,
    params: dict[str, Any],
    operands: Sequence[Operand],
    in_dtypes: Sequence[DType],
    out_dtype: DType,
) -> Operand | None:
    """Write an operation.

    Args:
        w: where to; its `width` says how many lanes the operands have.
        primitive, params: the operation, which is pointwise.
        operands: registers or literals; pairs of complex dtypes.
        in_dtypes, out_dtype: of the operands and of the result, as in a strict program (`passes.strict`).

    Returns:
        The result; None where there is no text for these dtypes.
    """
    ins = tuple(in_dtypes)
    found = _found(primitive, params, ins, out_dtype)
    if found is None:
        return None
    rule, made = found
    literals = not any(map(_is_register, operands))
    if made.ins != ins:
        operands = [x if isinstance(x, tuple) else widened(w, x, d) for x, d in zip(operands, in_dtypes, strict=True)]
    if literals:
        operands = [_unknown(w, x, d) for x, d in zip(operands, made.ins, strict=True)]
    out = rule.emit(w, made, *operands)
    if made.out == out_dtype or isinstance(out, tuple):
        return out
    return Numbers(w, F32).cast("fptrunc", out, np.dtype(np.float16))
