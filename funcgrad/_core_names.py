"""Names of `jax.core` that are in other modules here: `funcgrad.core` gives them when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.callbacks import typeof
from funcgrad.ir import Literal, Program, Var, eval_program
from funcgrad.settings import ensure_compile_time_eval
from funcgrad.types import ShapedArray

__all__ = ["AbstractValue", "ClosedJaxpr", "Jaxpr", "Literal", "Var", "ensure_compile_time_eval", "eval_jaxpr",
           "get_aval", "jaxpr_as_fun"]  # fmt: skip

AbstractValue = ShapedArray
Jaxpr = ClosedJaxpr = Program
get_aval = typeof


def eval_jaxpr(jaxpr: Program, consts: Sequence[Any], *args: Any) -> list[Any]:
    """The flat results of a program; its constants are its own, so that `consts` is not looked at."""
    return eval_program(jaxpr, args)


def jaxpr_as_fun(closed_jaxpr: Program, *args: Any) -> list[Any]:
    """The flat results of a program."""
    return eval_program(closed_jaxpr, args)
