"""The rules of the house: small files, small functions, a docstring wherever somebody will look for one."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import funcgrad

ROOT = Path(funcgrad.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
PUBLIC = ["funcgrad", "funcgrad.tree", "funcgrad.tree_util", "funcgrad.lax", "funcgrad.lax.linalg", "funcgrad.nn",
          "funcgrad.numpy", "funcgrad.numpy.linalg", "funcgrad.test_util", "funcgrad.flatten_util",
          "funcgrad.errors", "funcgrad.backends", "funcgrad.custom_batching",
          "funcgrad.custom_derivatives"]  # fmt: skip


def test_files_are_small() -> None:
    long = {str(p.relative_to(ROOT)): n for p in FILES if (n := p.read_text().count("\n")) > 500}
    assert not long


def test_functions_are_small() -> None:
    """At most 60 lines, without the docstring."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                first = node.body[0]
                documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
                doc = first.end_lineno - first.lineno + 1 if documented and first.end_lineno else 0
                lines = (node.end_lineno or 0) - node.lineno + 1 - doc
                assert lines <= 60, f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {lines} lines"


def test_modules_say_what_they_are_for() -> None:
    assert not [str(p.relative_to(ROOT)) for p in FILES if not ast.get_docstring(ast.parse(p.read_text()))]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_exist_and_are_documented(name: str) -> None:
    module = importlib.import_module(name)
    for public in module.__all__:
        value = getattr(module, public)
        if inspect.isfunction(value) or inspect.isclass(value):
            assert value.__doc__, f"{name}.{public} has no docstring"


def all_modules() -> list[ModuleType]:
    found = pkgutil.walk_packages(funcgrad.__path__, "funcgrad.")
    return [funcgrad, *(importlib.import_module(m.name) for m in found)]


@pytest.mark.parametrize("module", all_modules(), ids=lambda m: m.__name__)
def test_examples_in_docstrings(module: ModuleType) -> None:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testmod(module, extraglobs={"np": np}, optionflags=flags)
    assert result.failed == 0


def test_readme() -> None:
    path = ROOT.parent / "README.md"
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testfile(str(path), module_relative=False, optionflags=flags)
    assert result.failed == 0
    assert result.attempted > 5
