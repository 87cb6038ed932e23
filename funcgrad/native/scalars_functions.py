"""Operations made of others: quotients with a value by convention, powers, elementary functions."""

from __future__ import annotations

from funcgrad.core import Primitive
from funcgrad.native.scalars_base import Call, Numbers, Rule, emits, logic, raise_flag, same
from funcgrad.native.writer import Writer
from funcgrad.ops.quotients import DIV_OR_ZERO, EXPONENT_LESS_ONE, OVER_GAP

__all__ = ["by_name"]


def by_name(primitive: Primitive) -> tuple[Rule, ...]:
    """Rules for functions that others bring."""
    return ()


@emits(DIV_OR_ZERO, kinds="f")
def _div_or_zero(w: Writer, call: Call, x: str, y: str) -> str:
    f = Numbers(w, call.out)
    zero = f.fcmp("oeq", y, f(0.0))
    quotient = f.div(x, f.fence(f.select(zero, f(1.0), y)))
    if not w.width:  # a branch would be made of it, which does not reach the product
        raise_flag(w, f.fcmp("oeq", f.call("fabs", x), f(float("inf"))), "invalid")
    return f.select(zero, f.fence(f.op("fmul", x, f(0.0))), quotient)


@emits(EXPONENT_LESS_ONE, kinds="f")
def _exponent_less_one(w: Writer, call: Call, x: str, y: str) -> str:
    f = Numbers(w, call.out)
    both = logic(w, "and", f.fcmp("oeq", x, f(0.0)), f.fcmp("oeq", y, f(0.0)))
    return f.select(both, f(1.0), f.op("fsub", y, f(1.0)))


@emits(OVER_GAP, kinds="f", form=same)
def _over_gap(w: Writer, call: Call, x: str, gap: str, x_noise: str, gap_noise: str) -> str:
    f = Numbers(w, call.out)
    closed = f.compare("le", f.call("fabs", gap), gap_noise)
    vanishes = f.compare("le", f.call("fabs", x), x_noise)
    known = f.select(vanishes, f(0.0), f(float("nan")))
    return f.select(closed, known, f.div(x, f.fence(f.select(closed, f(1.0), gap))))
