"""Straight-line Python functions for tree structures that are used often.

`compile_take` writes a function that reads the leaves of one structure, `compile_put` one that
builds it. Both do in one frame what the general loops do with a call per node, which is several
times faster, but compiling takes a fraction of a millisecond, so only repeated use asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad._tree_kinds import DICT, LIST, NONE, TUPLE

COMPILE_AFTER = 48  # general-loop uses of a structure after which a function has paid for itself
NODE_LIMIT = 1000  # larger trees stay with the general loops: the source would be too long


class _Writer:
    """Collects the source of one function and the objects that it refers to by name."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {}
        self.count = 0

    def variable(self) -> str:
        self.count += 1
        return f"x{self.count}"

    def constant(self, value: Any) -> str:
        """An expression for a constant: its literal, or a name that is bound to it."""
        if type(value) is str:
            return repr(value)
        name = f"c{len(self.names)}"
        self.names[name] = value
        return name

    def finish(self, head: str, filename: str) -> Callable[[Any], Any]:
        """Compiles the function; `head` is its first line."""
        source = "\n    ".join([head, *self.lines])
        exec(compile(source, filename, "exec"), self.names)
        return self.names.pop("function")


def compile_put(td: Any) -> Callable[[Any], Any]:
    """A function that makes a tree of structure `td` from a sequence of exactly its leaves."""
    writer = _Writer()
    variables: list[str] = []
    result = _put(td, writer, variables)
    if variables:
        writer.lines.append(f"{', '.join(variables)}, = leaves")
    writer.lines.append(f"return {result}")
    return writer.finish("def function(leaves):", "<funcgrad unflatten>")


def _put(td: Any, writer: _Writer, variables: list[str]) -> str:
    kind, data = td._label.kind, td._label.data
    if kind is None:
        variables.append(writer.variable())
        return variables[-1]
    if kind is NONE:
        return "None"
    children = [_put(child, writer, variables) for child in td._children]
    if kind is DICT:
        items = zip(data, children, strict=True)
        return "{" + ", ".join(f"{writer.constant(k)}: {c}" for k, c in items) + "}"
    if kind is LIST:
        return f"[{', '.join(children)}]"
    row = f"({', '.join(children)}{',' if len(children) == 1 else ''})"
    if kind is TUPLE:
        return row
    return f"{writer.constant(kind.build)}({writer.constant(data)}, {row})"


def compile_take(td: Any, label_of: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """A function that returns the list of the objects at the leaves of `td`.

    It returns None for a tree that it does not recognise, which the general loops must then look
    at: they decide whether the structure really differs.
    """
    writer = _Writer()
    variables: list[str] = []
    _take(td, "x0", writer, variables, writer.constant(label_of))
    body = writer.lines
    # A KeyError is a missing key; a ValueError is a list that another thread has just changed.
    writer.lines = [
        "try:",
        *[f"    {line}" for line in body],
        "    pass",
        "except (KeyError, ValueError):",
        "    return None",
        f"return [{', '.join(variables)}]",
    ]
    return writer.finish("def function(x0):", "<funcgrad flatten>")


def _take(td: Any, x: str, writer: _Writer, variables: list[str], label_of: str) -> None:
    label, n = td._label, len(td._children)
    kind = label.kind
    if kind is None:
        variables.append(x)
        return
    lines = writer.lines
    if kind is NONE:
        lines.append(f"if {x} is not None: return None")
        return
    names = [writer.variable() for _ in td._children]
    wrong_type = f"if type({x}) is not {writer.constant(kind.cls)}"
    if kind is DICT:
        lines.append(f"{wrong_type} or len({x}) != {n}: return None")
        for name, key in zip(names, label.data, strict=True):
            lines.append(f"{name} = {x}[{writer.constant(key)}]")
    else:
        if kind is LIST or kind is TUPLE:
            lines.append(f"{wrong_type} or len({x}) != {n}: return None")
        else:
            lines.append(f"{wrong_type}: return None")
            values, data = writer.variable(), writer.variable()
            lines.append(f"{values}, {data} = {writer.constant(kind.level)}({x})")
            if not kind.plain:
                this = f"{label_of}({writer.constant(kind)}, {data})"
                lines.append(f"if {this} is not {writer.constant(label)}: return None")
            lines.append(f"if len({values}) != {n}: return None")
            x = values
        if names:
            lines.append(f"{', '.join(names)}, = {x}")
    for name, child in zip(names, td._children, strict=True):
        _take(child, name, writer, variables, label_of)
