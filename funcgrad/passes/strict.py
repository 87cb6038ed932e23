"""Programs without promotion: what NumPy does implicitly to dtypes, as equations.

NumPy promotes operands, and Python scalars give way to arrays (NEP 50). Libraries for devices do either differently, or
not at all. In a *strict* program there are no weak values; the operands of an elementwise primitive have the dtypes of
the loop that NumPy would run; literals are of the dtype that is wanted, and values are converted where they are not. A
comparison with a Python integer is one of 64 bits where the other dtype does not hold all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from funcgrad.config import config
from funcgrad.core import Primitive
from funcgrad.ir import Atom, Equation, Literal, Program, Var
from funcgrad.ir_check import check_program
from funcgrad.ops.attempt import Handled
from funcgrad.ops.linalg import linalg_dtype, real_dtype
from funcgrad.ops.rules import WEAKEN
from funcgrad.ops.shape import BROADCAST_TO, CONVERT, FIT
from funcgrad.passes.rewrite import with_programs
from funcgrad.types import ShapedArray, loop_dtypes, result_dtype

__all__ = ["DoesNotFit", "operand_dtypes", "strict", "strict_equations"]

DTypes = Sequence["np.dtype[Any] | None"]


class DoesNotFit(OverflowError):
    """An integer that the dtype of its operation may not hold: NumPy raises, or computes with Python's."""


def _strong(aval: ShapedArray) -> ShapedArray:
    return ShapedArray(aval.shape, aval.dtype) if aval.weak else aval


@cache
def _compares(ufunc: np.ufunc) -> bool:
    """Whether a ufunc knows what an integer is that the other operand's dtype does not hold: others raise."""
    try:
        ufunc(np.int8(0), 300)
    except (OverflowError, TypeError, ValueError):
        return False
    return True


def _of_ufunc(ufunc: np.ufunc, avals: Sequence[ShapedArray], out: np.dtype[Any]) -> DTypes:
    if not all(a.weak for a in avals):
        return loop_dtypes(ufunc, avals)[: ufunc.nin]
    try:  # Python's own arithmetic: True + True is an int
        dtypes = loop_dtypes(ufunc, [_strong(a) for a in avals])
        if dtypes[-1] == out:
            return dtypes[: ufunc.nin]
    except TypeError:
        pass
    return (out,) * ufunc.nin


def _as_result(avals: Sequence[ShapedArray], out: np.dtype[Any]) -> DTypes:
    return (out,) * len(avals)


def _as_linalg(avals: Sequence[ShapedArray], out: np.dtype[Any]) -> DTypes:
    return (linalg_dtype(*avals),) * len(avals)


def _as_pinv(avals: Sequence[ShapedArray], out: np.dtype[Any]) -> DTypes:
    return (out, real_dtype(out))


def _as_scatter(avals: Sequence[ShapedArray], out: np.dtype[Any]) -> DTypes:
    return (out, out, *(None,) * (len(avals) - 2))


def _as_select(avals: Sequence[ShapedArray], out: np.dtype[Any]) -> DTypes:
    return (np.dtype(bool), out, out)


def _as_complex(avals: Sequence[ShapedArray], out: np.dtype[Any]) -> DTypes:
    return (real_dtype(out),) * 2


def _joint(avals: Sequence[ShapedArray], out: np.dtype[Any]) -> DTypes:
    return (result_dtype(*avals),) * len(avals)


_RULES: dict[str, Callable[[Sequence[ShapedArray], np.dtype[Any]], DTypes]] = {
    "select": _as_select,
    "complex": _as_complex,
    **dict.fromkeys(("scatter", "scatter_max", "scatter_min"), _as_scatter),
    "searchsorted": _joint,
    "tie_share": _joint,
    **dict.fromkeys(("div_or_zero", "exponent_less_one", "log_of_base"), _joint),
    "over_gap": lambda avals, out: (out, out, real_dtype(out), real_dtype(out)),
    "pinv": _as_pinv,
    **dict.fromkeys(
        ("concatenate", "dot_general", "linear_recurrence", "conv_general_dilated", "relu", "logistic", "gelu_tanh",
         "softmax", "log_softmax", "logsumexp"),
        _as_result,
    ),
    **dict.fromkeys(
        ("solve", "inv", "det", "det_derivative", "slogdet", "cholesky", "eigh", "eigvalsh", "eig", "eigvals", "svd",
         "svdvals", "qr", "eigen_sum", "singular_sum"),
        _as_linalg,
    ),
}  # fmt: skip


def operand_dtypes(eqn: Equation) -> DTypes:
    """The dtypes that the operands of an equation are to have; None for one that stays as it is."""
    primitive, avals = eqn.primitive, [a.aval for a in eqn.inputs]
    if primitive.ufunc is not None:
        dtypes = _of_ufunc(primitive.ufunc, avals, eqn.outputs[0].aval.dtype)
        if (
            any(map(_may_not_fit, eqn.inputs, dtypes))
            and np.dtype(np.uint64) not in dtypes
            and _compares(primitive.ufunc)
        ):
            return (np.dtype(np.int64),) * len(avals)
        return dtypes
    rule = _RULES.get(primitive.name)
    if rule is not None:
        return rule(avals, eqn.outputs[0].aval.dtype)
    weak = [a.weak for a in avals]
    joint = result_dtype(*avals) if primitive.pointwise and any(weak) and not all(weak) else None
    return tuple(joint if gives_way else None for gives_way in weak)


def _may_not_fit(atom: Atom, dtype: np.dtype[Any] | None) -> bool:
    """Whether this is a Python integer, not known yet, to be of a dtype that may not hold it."""
    known = atom.is_literal or not atom.aval.weak or atom.aval.dtype.kind != "i"
    return not known and dtype is not None and dtype.kind in "iu" and dtype != atom.aval.dtype


@cache
def _may_overflow(ufunc: np.ufunc) -> bool:
    """Whether integers may become ones of more bits, as sums do and maxima do not."""
    values = np.array([-128, -3, -1, 0, 1, 2, 5, 127], np.int8)
    grid = np.meshgrid(*[values] * ufunc.nin)
    with np.errstate(all="ignore"):
        try:
            narrow, wide = ufunc(*grid), ufunc(*(g.astype(np.int64) for g in grid))
        except ValueError:  # negative powers
            return True
    return narrow.dtype == np.int8 and not np.array_equal(narrow, wide)


class _Strict:
    """The strict program of another one, in the making.

    Args:
        exact: whether to check Python's integers, which have any size: see `strict`.
    """

    def __init__(self, exact: bool = False) -> None:
        self.exact = exact
        self.env: dict[Atom, Atom] = {}
        self.converted: dict[tuple[Atom, np.dtype[Any], Primitive], Var] = {}
        self.equations: list[Equation] = []

    def bound(self, var: Var) -> Var:
        """The variable for one that is bound; another one if that is weak."""
        if not var.aval.weak:
            return var
        new = self.env[var] = Var(_strong(var.aval))
        return new

    def atom(self, atom: Atom, dtype: np.dtype[Any] | None, source: Any, checked: bool = False) -> Atom:
        """An operand, with this dtype if one is given, which NumPy may have `checked`: a Python integer has to fit."""
        primitive = FIT if checked and _may_not_fit(atom, dtype) else CONVERT
        atom = self.env.get(atom, atom)
        dtype = atom.aval.dtype if dtype is None else dtype
        if isinstance(atom, Literal):
            if not _fits(atom.value, dtype):
                raise DoesNotFit(f"it raises, as {atom.value} does not fit into {dtype}")
            return Literal(dtype.type(atom.value))
        if atom.aval.dtype == dtype:
            return atom
        found = self.converted.get((atom, dtype, primitive))
        if found is None:
            found = self.converted[atom, dtype, primitive] = Var(ShapedArray(atom.aval.shape, dtype))
            self.equations.append(Equation(primitive, (atom,), (found,), {"dtype": dtype}, source))
        return found

    def add(self, eqn: Equation) -> None:
        if type(eqn.primitive) is Handled and not eqn.primitive.raises(eqn.params):  # a device does not warn
            params = {k: v for k, v in eqn.params.items() if k != "handling"}
            eqn = Equation(eqn.primitive.plain, eqn.inputs, eqn.outputs, params, eqn.source)
        if eqn.primitive is WEAKEN or eqn.primitive is CONVERT:
            explicit = eqn.primitive is CONVERT
            self.env[eqn.outputs[0]] = self.atom(eqn.inputs[0], eqn.outputs[0].aval.dtype, eqn.source, explicit)
            return
        dtypes = operand_dtypes(eqn)
        known = _compared(eqn, dtypes)
        if known is not None:
            self._fill(eqn, known)
            return
        ufunc = eqn.primitive.ufunc is not None
        ins = [self.atom(a, d, eqn.source, ufunc) for a, d in zip(eqn.inputs, dtypes, strict=True)]
        if self.exact and ufunc and eqn.outputs[0].aval.weak and self._add_exactly(eqn, ins):
            return
        eqn = with_programs(eqn, partial(strict, exact=self.exact))
        outs = tuple(map(self.bound, eqn.outputs))
        self.equations.append(Equation(eqn.primitive, ins, outs, eqn.params, eqn.source))

    def _add_exactly(self, eqn: Equation, ins: Sequence[Atom]) -> bool:
        """Arithmetic of Python's numbers, and what says whether it gives what Python does; false if it must.

        Beside an integer there is the same as a float, which says whether it has 64 bits.
        """
        (out,), primitive = eqn.outputs, eqn.primitive
        integer = out.aval.dtype.kind == "i" and _may_overflow(primitive.ufunc)
        if not integer and (primitive.total or primitive.python is None or out.aval.dtype.kind not in "fc"):
            return False
        made: list[Atom] = [Var(_strong(out.aval))]
        self.equations.append(Equation(primitive, ins, (made[0],), eqn.params, eqn.source))
        if integer:
            if not _has_floats(primitive.ufunc):
                raise DoesNotFit(f"the result of {primitive.name} is an integer of Python's, of any size")
            made.append(Var(ShapedArray(out.aval.shape, np.dtype(np.float64))))
            floats = [self.atom(a, made[1].aval.dtype, eqn.source) for a in eqn.inputs]
            self.equations.append(Equation(primitive, floats, (made[1],), eqn.params, eqn.source))
        params = {"dtype": out.aval.dtype}
        self.equations.append(Equation(FIT, made, (self.bound(out),), params, eqn.source))
        return True

    def _fill(self, eqn: Equation, value: np.generic) -> None:
        """A result whose elements are all this value."""
        (out,) = eqn.outputs
        shape = out.aval.shape
        if shape:
            fill = Equation(BROADCAST_TO, (Literal(value),), (self.bound(out),), {"shape": shape}, eqn.source)
            self.equations.append(fill)
        else:
            self.env[out] = Literal(value)


@cache
def _has_floats(ufunc: np.ufunc) -> bool:
    try:
        return ufunc.resolve_dtypes((np.dtype(float),) * ufunc.nin + (None,))[-1] == np.dtype(float)
    except TypeError:
        return False


def _fits(value: Any, dtype: np.dtype[Any] | None) -> bool:
    """Whether a number is no Python integer, or one that this dtype holds."""
    if type(value) is not int or dtype is None or dtype.kind not in "iu":
        return True
    limits = np.iinfo(dtype)
    return limits.min <= value <= limits.max


def _compared(eqn: Equation, dtypes: DTypes) -> np.generic | None:
    """What a comparison with an integer beyond the other operand's dtype gives for all values of that; else None."""
    ufunc = eqn.primitive.ufunc
    if ufunc is None or eqn.outputs[0].aval.dtype.kind != "b" or not _compares(ufunc):
        return None
    values = [a.value if isinstance(a, Literal) else None for a in eqn.inputs]
    if all(map(_fits, values, dtypes)):
        return None
    return ufunc(*(d.type(0) if x is None else x for x, d in zip(values, dtypes, strict=True) if d is not None))


def strict(program: Program, exact: bool = False) -> Program:
    """The program with all conversions of dtypes as equations, and without weak values; made once, kept with it.

    With `exact`, arithmetic of Python's numbers is followed by equations (`FIT`) that fail where it may give something
    else than NumPy's: integers of more than 64 bits, and exceptions, as of a division by zero. Raises DoesNotFit where
    that cannot be, and for an integer that the dtype of its operation does not hold.

    Its inputs and outputs have the dtypes of those of the program, none of them weak. What a function does that an
    equation holds (and not a program) stays as it is.
    """
    name = "strict, exact" if exact else "strict"
    found = program.derived.get(name)
    if found is not None:
        return found
    new = _Strict(exact)
    consts = tuple(map(new.bound, program.constvars))
    inputs = tuple(map(new.bound, program.inputs))
    for eqn in program.equations:
        new.add(eqn)
    outputs = [new.atom(a, None, None) for a in program.outputs]
    made = Program(consts, program.consts, inputs, new.equations, outputs, program.in_tree, program.out_tree)
    if config.check_ir:
        check_program(made)
    return program.derived.setdefault(name, made)


def strict_equations(program: Program) -> list[list[Equation]]:
    """For each equation of a program what comes of it in the strict one, conversions that it needs first included."""
    new = _Strict()
    for var in (*program.constvars, *program.inputs):
        new.bound(var)
    parts: list[list[Equation]] = []
    for eqn in program.equations:
        before = len(new.equations)
        new.add(eqn)
        parts.append(new.equations[before:])
    return parts
