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
import itertools
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import funcgrad
from funcgrad.core import Primitive
from funcgrad.errors import DTypeError
from funcgrad.executor import build  # noqa: F401  # so that all primitives are there
from funcgrad.executor.fused import FUSED
from funcgrad.executor.sharded import SHARDED
from funcgrad.executor.unrolled import UNROLLED
from funcgrad.ops.math import ADD, MUL, SELECT, SUB, UFUNCS
from funcgrad.ops.rules import PRIMITIVES
from funcgrad.types import aval_of

ROOT = Path(funcgrad.__file__).parent
FILES = [str(path.relative_to(ROOT)) for path in sorted(ROOT.rglob("*.py"))]

ALL, NAMES = "all tables", "tables of public names and of ufuncs"
BY_RIGHT = {
    "ops/": (ALL, "the declarations"),
    "executor/lower_": (ALL, "lowerings: to calls of NumPy, to tiles, to Python's numbers"),
    "backends/": (ALL, "lowerings to other libraries"),
    "native/": (ALL, "lowerings to LLVM text"),
    "passes/strict": (ALL, "NumPy's promotion of operands, which all lowerings share"),
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
        if len(words) < 2 or len(words) <= len(entries) / 2:  # "name" and "cond" are words like others
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


# ------------------------------------------------------------------------------------------------- what it must find

PLANTED = {
    "set of objects": "CHEAP = frozenset((ADD, MUL))",
    "dict of objects": "COST = {ADD: 1, MUL: 2}",
    "dict in a function": "def f(p):\n    return {ADD: 1, MUL: 2}.get(p, 0)",
    "set of names": "CHEAP = {'add', 'reduce_sum', 'transpose'}",
    "dict of names": "COST = {'add': 1, 'reduce_sum': 2}",
    "words": "CHEAP = frozenset('add mul exp'.split())",
    "ufuncs": "COST = {np.add: 1, np.exp: 2}",
    "primitives of ufuncs": "CHEAP = (UFUNCS[np.add], UFUNCS[np.exp])",
    "chain": "def f(p):\n    if p is ADD:\n        return 1\n    elif p is MUL:\n        return 2\n    return p is SUB",
    "one after the other": "def f(e):\n    if e.primitive is ADD: return 1\n    if e.primitive in (MUL, SUB): return 2",
    "names in a chain": "def f(p):\n    return p.primitive.name in ('add', 'mul', 'sub')",
    "match": "def f(p):\n    match p.primitive.name:\n        case 'add' | 'mul': x = 1\n        case 'sub': x = 2",
    "look-up": "def f(eqn):\n    return COSTS[eqn.primitive.name]",
    "another look-up": "def f(primitive):\n    return COSTS.get(primitive.name)",
    "membership": "def f(eqn):\n    return eqn.primitive.name in CHEAP",
    "beginnings": "def f(eqn):\n    return eqn.primitive.name.startswith(('reduce_', 'cum'))",
}
PATTERNS = {
    "one": "def f(e):\n    return e.primitive is ADD",
    "two": "def f(e):\n    return e.primitive in (ADD, SUB)",
    "two, of two": "def f(a, b):\n    return a.primitive in (ADD, SUB) and b.primitive is MUL",
    "arguments": "def f(s, x):\n    return s.maker(x, ADD, SUB, MUL)",
    "an operand": "def f(s, x):\n    return s.emit(ADD, s.emit(MUL, x, x), x)",
    "names for functions": "multiply, add = np.multiply, np.add",
    "words": "KEYS = ('name', 'params', 'source', 'cond')",
    "public names": "__all__ = ['add', 'sub']",
    "a fact": "def f(e):\n    return e.primitive.total",
}


@pytest.mark.parametrize("source", PLANTED.values(), ids=PLANTED)
def test_planted_tables_are_found(source: str) -> None:
    names = {"np": np, "ADD": ADD, "MUL": MUL, "SUB": SUB, "UFUNCS": UFUNCS}
    assert list(tables(source, names)) != []
    assert list(tables(source, names, ALL)) == []


@pytest.mark.parametrize("source", PATTERNS.values(), ids=PATTERNS)
def test_patterns_are_no_tables(source: str) -> None:
    assert list(tables(source, {"np": np, "ADD": ADD, "MUL": MUL, "SUB": SUB, "UFUNCS": UFUNCS})) == []


# ------------------------------------------------------------------------------------------------ what is said is so


def cases_of(primitive: Primitive) -> list[tuple[Any, ...]]:
    """Operands of a pointwise primitive: numbers of each kind that it takes."""
    rng = np.random.default_rng(0)
    kinds = {"f": rng.uniform(0.2, 0.8, 5), "i": rng.integers(1, 6, 5), "b": rng.random(5) < 0.5}
    n = primitive.ufunc.nin if primitive.ufunc is not None else 0
    found = []
    for x in kinds.values():
        args = tuple(np.roll(x, k) for k in range(n))
        try:
            primitive.abstract(*map(aval_of, args))
        except DTypeError:
            continue
        found.append(args)
    return found


UFUNC_PRIMITIVES = sorted(set(UFUNCS.values()), key=str)


@pytest.mark.parametrize("primitive", UFUNC_PRIMITIVES, ids=str)
def test_facts_of_ufuncs(primitive: Primitive) -> None:
    """Commutative, idempotent, linear and total operations are."""
    ufunc = primitive.ufunc
    assert ufunc is not None
    assert UFUNCS[ufunc] is primitive
    for args in cases_of(primitive):
        if primitive.commutative:
            np.testing.assert_array_equal(ufunc(*args), ufunc(*args[::-1]))
        if primitive.idempotent and ufunc(args[0], args[0]).dtype == args[0].dtype:
            np.testing.assert_array_equal(ufunc(args[0], args[0]), args[0])
        if primitive.linear == "all" and args[0].dtype == float:
            np.testing.assert_allclose(ufunc(*(x * 3 for x in args)), ufunc(*args) * 3, rtol=1e-14)
        if primitive.linear in ("first", "each") and args[0].dtype == float:
            np.testing.assert_allclose(ufunc(args[0] * 3, args[1]), ufunc(*args) * 3, rtol=1e-14)
        if primitive.total:
            hard = np.array([0, -1, 1e300, np.nan, np.inf, -np.inf]) if args[0].dtype == float else args[0]
            with np.errstate(all="raise", over="ignore", invalid="raise" if primitive.linear == "" else "ignore"):
                ufunc(*(np.roll(hard, k) for k in range(len(args))))


@pytest.mark.parametrize("primitive", [p for p in PRIMITIVES.values() if p.scalar is not None], ids=str)
def test_scalar_forms(primitive: Primitive) -> None:
    """What is written over Python's numbers gives what NumPy gives."""
    form = primitive.scalar
    kinds: Any = (False, True) if form.truth else (-1.5, -0.0, 0.0, 0.3, 1.0, 2.0, np.nan, np.inf)
    if primitive is SELECT:
        rows: Any = list(itertools.product((False, True), (0.3, 2.0), (0.5, 1.0)))
    else:
        both = "{1}" in form.text or form.text.count("{}") == 2
        operands = 2 if both else 1
        rows = list(itertools.product(kinds, repeat=operands))
    for row in rows:
        text = ("f" if form.function is not None else "") + form.text.format(*(f"x{i}" for i in range(len(row))))
        with np.errstate(all="ignore"):
            want = primitive.impl(*(np.bool_(x) if isinstance(x, bool) else np.float64(x) for x in row))
        try:
            have = eval(text, {"f": form.function, **{f"x{i}": x for i, x in enumerate(row)}})
        except (ArithmeticError, ValueError):  # NumPy runs it then
            continue
        np.testing.assert_allclose(have, want, rtol=1e-13, atol=0, err_msg=f"{primitive}{row}")


def test_programs_inside_are_said() -> None:
    """Whatever runs programs says which, or has a reason."""
    others = {
        "checkpoint": "computes them again",
        "custom_call": "is a function",
        "custom_linear_solve": "derives from them",
        "custom_root": "derives from them",
        "custom_vmap": "is replaced",
        "debug_callback": "is a function",
        "fused": "its own executor",
        "unrolled": "its own executor",
        "while_transpose": "derives from them",
    }
    every = [*PRIMITIVES.values(), FUSED, UNROLLED, SHARDED]
    assert [p.name for p in every if p.nested and not p.programs and p.name not in others] == []
    assert [p.name for p in every if p.programs and not p.nested] == []
