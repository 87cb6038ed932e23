"""Programs as text, in jaxpr syntax.

    { lambda a:f64[3] ; b:f64[3]. let
        c:f64[3] = mul b a                   # model.py:12 (loss)
        d:f64[] = reduce_sum[axes=(0,)] c    # model.py:12 (loss)
      in (d,) }

Before the semicolon stand the arrays the function closed over, after it the inputs. Names are given in order of
appearance, so that the same program always prints the same text.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.source import describe
from funcgrad.types import is_a, short_dtype

__all__ = ["Names", "print_equation", "print_program"]


class Names:
    """Stable names for variables, in order of appearance: a, b, …, z, aa, ab, …"""

    __slots__ = ("names",)

    def __init__(self) -> None:
        self.names: dict[Any, str] = {}

    def __call__(self, atom: Any) -> str:
        if atom.is_literal:
            return _literal(atom.value)
        name = self.names.get(atom)
        if name is None:
            n, name = len(self.names), ""
            while n >= 0:
                name, n = chr(97 + n % 26) + name, n // 26 - 1
            self.names[atom] = name
        return name

    def typed(self, var: Any) -> str:
        return f"{self(var)}:{var.aval}"


def _literal(value: Any) -> str:
    if is_a(value, (np.generic, np.ndarray)):
        return f"{value.item()!r}:{short_dtype(value.dtype)}[]"
    return repr(value)


def _param(value: Any, indent: str) -> str:
    if hasattr(value, "equations"):
        return "\n" + print_program(value, indent + "    ") + "\n" + indent
    if isinstance(value, np.dtype):
        return short_dtype(value)
    if isinstance(value, type):
        return value.__name__
    if is_a(value, np.ndarray):
        return f"array({short_dtype(value.dtype)}[{','.join(map(str, value.shape))}])"
    if isinstance(value, slice):
        return f"{'' if value.start is None else value.start}:{'' if value.stop is None else value.stop}" + (
            "" if value.step in (None, 1) else f":{value.step}"
        )
    if isinstance(value, tuple):
        inner = ", ".join(_param(v, indent) for v in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if callable(value) or hasattr(value, "__name__"):  # a function, or what stands for one
        return getattr(value, "__name__", type(value).__name__)
    return repr(value)


def print_equation(eqn: Any, names: Names, indent: str = "") -> str:
    """One equation on one line (more, if its params hold programs)."""
    out = " ".join(map(names.typed, eqn.outputs)) or "_"
    params = ", ".join(
        f"{k}={_param(v, indent + '  ')}" for k, v in sorted(eqn.params.items()) if v is not None and v is not False
    )
    args = " ".join(map(names, eqn.inputs))
    return f"{indent}{out} = {eqn.primitive.name}{f'[{params}]' if params else ''} {args}".rstrip()


def print_program(program: Any, indent: str = "", lines: bool = False) -> str:
    """A whole program; with `lines`, each equation is followed by the user's line."""
    names = Names()
    consts = " ".join(map(names.typed, program.constvars))
    inputs = " ".join(map(names.typed, program.inputs))
    head = f"{indent}{{ lambda {consts + ' ' if consts else ''}; {inputs}. let"
    body = [print_equation(eqn, names, indent + "    ") for eqn in program.equations]
    if lines:
        width = max((len(text) for text in body if "\n" not in text), default=0)
        places = [describe(eqn.source) for eqn in program.equations]
        body = [f"{t:{width}}  # {p}" if p else t for t, p in zip(body, places, strict=True)]
    outs = ", ".join(map(names, program.outputs)) + ("," if len(program.outputs) == 1 else "")
    return "\n".join([head, *body, f"{indent}  in ({outs}) }}"])
