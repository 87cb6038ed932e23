"""What the tests of style ask about the package's files, each of which is parsed once."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

__all__ = ["Facts", "Function", "facts", "lying_questions"]

Import = ast.Import | ast.ImportFrom

ANSWERED_FOR_THE_VALUE = {"ndarray", "generic", "bool", "int", "float", "complex", "bool_", "number", "integer",
                          "inexact", "floating", "complexfloating"}  # fmt: skip


class Function(NamedTuple):
    """A definition, and its length without the docstring."""

    name: str
    line: int
    lines: int


class Facts(NamedTuple):
    """Of a file.

    Attributes:
        docstring: of the module.
        functions: all there are.
        imports: all there are.
        inside: the imports within functions.
        asked, read: `lying_questions`.
    """

    docstring: str | None
    functions: list[Function]
    imports: list[Import]
    inside: list[Import]
    asked: list[int]
    read: list[int]


def lying_questions(nodes: Iterable[ast.AST]) -> tuple[list[int], list[int]]:
    """The lines that ask `isinstance` for a class which a tracer claims to be of, and those that read `__class__`."""
    asked: list[int] = []
    read: list[int] = []
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
            names = {getattr(n, "id", getattr(n, "attr", None)) for n in ast.walk(node.args[1])}
            asked += [node.lineno] if names & ANSWERED_FOR_THE_VALUE else []
        if (
            isinstance(node, (ast.Attribute, ast.Name))
            and getattr(node, "attr", getattr(node, "id", None)) == "__class__"
        ):
            read.append(node.lineno)
    return asked, read


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Function:
    first = node.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    doc = first.end_lineno - first.lineno + 1 if documented and first.end_lineno else 0
    return Function(node.name, node.lineno, (node.end_lineno or 0) - node.lineno + 1 - doc)


@cache
def facts(path: Path) -> Facts:
    """What is asked of a file."""
    tree = ast.parse(path.read_text())
    nodes = list(ast.walk(tree))
    functions = [n for n in nodes if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    imports = [n for n in nodes if isinstance(n, (ast.Import, ast.ImportFrom))]
    spans = [(f.lineno, f.end_lineno or 0) for f in functions]
    inside = [n for n in imports if any(first <= n.lineno <= last for first, last in spans)]
    return Facts(ast.get_docstring(tree), [*map(_function, functions)], imports, inside, *lying_questions(nodes))
