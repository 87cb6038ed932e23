"""What is known of an operation is declared with it: nothing outside `ops/` is a table of primitives.

A *table* is a literal (a set, a tuple, a list, a dict by its keys, a string that is split into words) with two
entries or more that stand for primitives: by a constant such as `ADD`, by a name such as "reduce_sum", or by the ufunc
that a primitive is. A function that compares one expression with three primitives or more, by `is`, `==`, `in` or
`match`, classifies operations as well; and so does what looks up `primitive.name`, wherever the table may be.

To compare with one primitive or two is a pattern: "is this the transpose of a product?" asks for a shape of the
program, not for a property that others may have too. So do arguments of a call (`s.maker(x, MUL, DIV)`).

`BY_RIGHT` lists where tables remain, and why.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import funcgrad
from funcgrad.core import Primitive
from funcgrad.executor import build  # noqa: F401  # so that all primitives are there
from funcgrad.ops.math import UFUNCS
from funcgrad.ops.rules import PRIMITIVES

ROOT = Path(funcgrad.__file__).parent
FILES = [str(path.relative_to(ROOT)) for path in sorted(ROOT.rglob("*.py"))]

ALL, NAMES = "all tables", "tables of public names and of ufuncs"
BY_RIGHT = {
    "ops/": (ALL, "the declarations"),
    "executor/lower_": (ALL, "lowerings: to calls of NumPy, to tiles, to Python's numbers"),
    "backends/": (ALL, "lowerings to other libraries"),
    "passes/algebra": (ALL, "rewriting rules: the key is the root of a pattern"),
    "executor/step.py": (ALL, "looks up lowerings to NumPy's calls"),
    "passes/dce.py": (ALL, "control flow: how each kind gives values to its programs and takes them"),
    "numpy/": (NAMES, "NumPy's names"),
    "lax/": (NAMES, "JAX's names"),
    "nn/": (NAMES, "JAX's names"),
    "conversions.py": (NAMES, "functions that the user's code calls"),
    "replacements.py": (NAMES, "functions of SciPy and of the standard library"),
}
"""By the beginning of a path: what is let be, and the reason."""

COMPARED = 3
"""A function that compares an expression with so many primitives classifies it."""


class Finder(ast.NodeVisitor):
    """Finds the tables in a module, as (line, what)."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.names, self.found = names, []
        self.compared: list[dict[str, set[tuple[str, str]]]] = [{}]

    # ------------------------------------------------------------------------------------------- what is a primitive

    def entry(self, node: ast.AST | None) -> tuple[str, str] | None:
        """What stands for a primitive: "object", "name" or "ufunc", and its text."""
        value = self.names.get(node.id) if isinstance(node, ast.Name) else None
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            value = getattr(self.names.get(node.value.id), node.attr, None)
        if isinstance(node, ast.Subscript) and self.names.get(ast.unparse(node.value)) is UFUNCS:
            return "object", ast.unparse(node)
        if isinstance(value, Primitive):
            return "object", value.name
        if isinstance(value, np.ufunc) and value in UFUNCS:
            return "ufunc", value.__name__
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in PRIMITIVES:
            return "name", node.value
        return None

    def note(self, node: ast.AST, kind: str, what: str) -> None:
        self.found.append((node.lineno, kind, what))  # type: ignore[attr-defined]

    # ------------------------------------------------------------------------------------------------------- tables

    def table(self, node: ast.AST, entries: list[Any]) -> None:
        found = [e for e in map(self.entry, entries) if e is not None]
        words = [text for kind, text in found if kind == "name"]
        if len(words) < max(2, len(entries) / 2):  # "name" and "cond" are words like others
            found = [e for e in found if e[0] != "name"]
        if len(found) > 1:
            kind = "object" if any(kind == "object" for kind, _ in found) else "name"
            self.note(node, kind, "table of " + ", ".join(text for _, text in found[:5]))

    def visit_Dict(self, node: ast.Dict) -> None:
        self.table(node, node.keys)
        self.generic_visit(node)

    def visit_Set(self, node: ast.Set) -> None:
        self.table(node, node.elts)
        self.generic_visit(node)

    visit_List = visit_Tuple = visit_Set  # type: ignore[assignment]

    def visit_Call(self, node: ast.Call) -> None:
        text = node.func
        if isinstance(text, ast.Attribute) and text.attr == "split" and isinstance(text.value, ast.Constant):
            self.table(node, [ast.Constant(w) for w in str(text.value.value).split()])
        if isinstance(text, ast.Attribute) and named(text.value) and text.attr in ("startswith", "endswith"):
            self.note(node, "object", "primitives by a part of their names")
        if isinstance(text, ast.Attribute) and text.attr in ("get", "pop", "setdefault") and any(map(named, node.args)):
            self.note(node, "object", "look-up of a primitive's name")
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if named(node.slice):
            self.note(node, "object", "look-up of a primitive's name")
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        if isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple):
            for element in node.value.elts:  # names for each of them
                self.visit(element)
        elif ast.unparse(node.targets[0]) not in ("__all__", "__slots__"):
            self.generic_visit(node)

    # -------------------------------------------------------------------------------------------------- comparisons

    def compare(self, node: ast.AST, left: ast.AST, options: list[Any]) -> None:
        seen = self.compared[-1].setdefault(ast.unparse(left).removeprefix("eqn."), set())
        before = len(seen)
        seen.update(e for e in map(self.entry, options) if e is not None and (e[0] != "name" or named(left)))
        if before < COMPARED <= len(seen):
            kind = "object" if any(kind == "object" for kind, _ in seen) or named(left) else "name"
            self.note(node, kind, "comparison with " + ", ".join(sorted(text for _, text in seen)))

    def visit_Compare(self, node: ast.Compare) -> None:
        for right in node.comparators:
            if isinstance(right, (ast.Tuple, ast.List, ast.Set)):
                self.compare(node, node.left, right.elts)
            else:
                self.compare(node, node.left, [right])
                self.visit(right)
            if named(node.left) and not isinstance(right, ast.Constant):
                self.note(node, "object", "comparison of a primitive's name")
        self.visit(node.left)

    def visit_Match(self, node: ast.Match) -> None:
        patterns = [p for case in node.cases for p in ast.walk(case.pattern) if isinstance(p, ast.MatchValue)]
        self.compare(node, node.subject, [p.value for p in patterns])
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.compared.append({})
        self.generic_visit(node)
        self.compared.pop()


def named(node: ast.AST) -> bool:
    """Whether an expression is the name of a primitive."""
    return isinstance(node, ast.Attribute) and node.attr == "name" and "primitive" in ast.unparse(node.value)


def tables(source: str, names: dict[str, Any], allowed: str | None = None) -> Iterator[str]:
    """The tables of a module, as far as they are not allowed."""
    finder = Finder(names)
    finder.visit(ast.parse(source))
    for line, kind, what in finder.found:
        if allowed != ALL and not (allowed == NAMES and kind == "name"):
            yield f"{line}: {what}"


def module_of(path: str) -> ModuleType:
    parts = path.removesuffix(".py").removesuffix("__init__").strip("/").split("/")
    return importlib.import_module(".".join(["funcgrad", *filter(None, parts)]))


@pytest.mark.parametrize("path", FILES)
def test_no_tables_of_primitives(path: str) -> None:
    allowed = next((what for start, (what, _) in BY_RIGHT.items() if path.startswith(start)), None)
    assert list(tables((ROOT / path).read_text(), vars(module_of(path)), allowed)) == []


def test_what_remains_is_there() -> None:
    assert [start for start in BY_RIGHT if not any(path.startswith(start) for path in FILES)] == []
