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
from syntax import facts, lying_questions

import funcgrad

ROOT = Path(funcgrad.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
PUBLIC = ["funcgrad", "funcgrad.tree", "funcgrad.tree_util", "funcgrad.lax", "funcgrad.lax.linalg", "funcgrad.nn",
          "funcgrad.nn.initializers", "funcgrad.nn.layers", "funcgrad.random", "funcgrad.dtypes",
          "funcgrad.numpy", "funcgrad.numpy.fft", "funcgrad.numpy.polynomial",
          "funcgrad.numpy.linalg", "funcgrad.test_util", "funcgrad.flatten_util",
          "funcgrad.errors", "funcgrad.extend", "funcgrad.backends", "funcgrad.custom_batching",
          "funcgrad.custom_derivatives", "funcgrad.scipy", "funcgrad.scipy.special",
          "funcgrad.scipy.interpolate",
          "funcgrad.scipy.linalg",
          "funcgrad.scipy.integrate",
          "funcgrad.scipy.optimize",
          "funcgrad.scipy.sparse",
          "funcgrad.scipy.sparse.linalg",
          "funcgrad.scipy.stats",
          "funcgrad.scipy.signal",
          "funcgrad.scipy.spatial.transform",
          "funcgrad.scipy.cluster.vq",
          "funcgrad.scipy.spatial",
          "funcgrad.scipy.cluster",
          "funcgrad.scipy.ndimage",
          "funcgrad.example_libraries", "funcgrad.example_libraries.optimizers", "funcgrad.example_libraries.stax",
          "funcgrad.experimental", "funcgrad.stages", "funcgrad.sharding",
          "funcgrad.experimental.jet",
          "funcgrad.experimental.ode",
          "funcgrad.scipy.fft",
          "funcgrad.io",
          "funcgrad.train",
          "funcgrad.plot",
          "funcgrad.optim", "funcgrad.optim.losses", "funcgrad.optim.projections", "funcgrad.optim.schedules",
          "funcgrad.optim.tree", "funcgrad.optim.tree_utils",
          ]  # fmt: skip


def test_files_are_small() -> None:
    long = {str(p.relative_to(ROOT)): n for p in FILES if (n := p.read_text().count("\n")) > 500}
    assert not long


def test_functions_are_small() -> None:
    """At most 60 lines, without the docstring."""
    for path in FILES:
        for f in facts(path).functions:
            assert f.lines <= 60, f"{path.relative_to(ROOT)}:{f.line} {f.name}: {f.lines} lines"


ASK_THE_CLASS = {
    "core.py": 1,
    "device_array.py": 1,
    "record.py": 1,
    "transforms/jvp.py": 1,
}  # where a tracer says what it stands for


def test_the_package_asks_for_types() -> None:
    """`isinstance(tracer, np.ndarray)` answers for the value; the package asks `types.is_a`, or for `type(x)`."""
    lies = ast.parse("isinstance(x, (list, np.ndarray))\nx.__class__ is float")
    assert lying_questions(ast.walk(lies)) == ([1], [2])
    for path in FILES:
        name = path.relative_to(ROOT).as_posix()
        asked, read = facts(path).asked, facts(path).read
        assert not asked, f"{name}:{asked}: write types.is_a(x, kinds) instead of isinstance"
        assert len(read) <= ASK_THE_CLASS.get(name, 0), f"{name}:{read}: write type(x) instead of x.__class__"


def test_modules_say_what_they_are_for() -> None:
    assert not [str(p.relative_to(ROOT)) for p in FILES if not facts(p).docstring]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_exist_and_are_documented(name: str) -> None:
    module = importlib.import_module(name)
    for public in module.__all__:
        value = getattr(module, public)
        if inspect.isfunction(value) or inspect.isclass(value):
            assert value.__doc__, f"{name}.{public} has no docstring"


@pytest.mark.parametrize("name", PUBLIC)
def test_completion_shows_public_names(name: str) -> None:
    module = importlib.import_module(name)
    assert set(dir(module)) == set(module.__all__), f"{name} needs: def __dir__() -> list[str]: return __all__"


def all_modules() -> list[ModuleType]:
    found = pkgutil.walk_packages(funcgrad.__path__, "funcgrad.")
    return [funcgrad, *(importlib.import_module(m.name) for m in found)]


@pytest.mark.usefixtures("extensions")
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
