"""Stubs of the namespaces whose names are put together when they are imported: `python -m tools.stubs`.

Type checkers and completion read `funcgrad/numpy/__init__.pyi` and `funcgrad/lax/__init__.pyi` instead of running the
loops that fill these modules. Both are written from the signatures of what the modules have; `tests/test_types.py`
fails if they are not in step. `--check` says so and writes nothing.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

__all__ = ["main", "stub"]

ROOT = Path(__file__).resolve().parents[1]
MODULES = ("funcgrad.numpy", "funcgrad.lax")

# What functions of `funcgrad.numpy` return that say `Any`, where that is not an array.
_TUPLES = ("broadcast_arrays", "divmod", "frexp", "meshgrid", "modf", "nonzero")
_LISTS = ("array_split", "atleast_1d", "atleast_2d", "atleast_3d", "dsplit", "hsplit", "split", "vsplit", "unstack")
_ANYTHING = (
    "allclose", "apply_over_axes", "array_equal", "array_equiv", "average", "copyto", "einsum_path", "fill_diagonal",
    "frompyfunc", "gradient", "histogram", "histogram2d", "histogramdd", "intersect1d", "iterable", "ix_", "load",
    "place", "polydiv", "polyfit", "put", "put_along_axis", "putmask", "result_type", "size", "unique", "vectorize",
    "where",
)  # fmt: skip
_WHERE = """\
@overload
def where(condition: Any, *, size: Any = ..., fill_value: Any = ...) -> _builtins.tuple[Array, ...]: ...
@overload
def where(condition: Any, x: Any, y: Any, /) -> Array: ..."""
_ARRAY = """\
class Array(_ndarray[Any, _dtype[Any]]):
    @property
    def at(self) -> Any: ...
    @property
    def aval(self) -> Any: ...
    def block_until_ready(self) -> "Array": ...
    def devices(self) -> Any: ..."""
"""What functions return, for checkers: `funcgrad.Array`."""
_WRITTEN = {"where": _WHERE}
"""Names whose signature says less than is known."""
_BUILTINS = {"int", "bool", "str", "float", "complex", "tuple", "list", "dict"}
_KNOWN = _BUILTINS | {"None", "Sequence", "Callable", "Any"}


def _annotation(given: Any, otherwise: str) -> str:
    """An annotation as text, if it needs no names that a stub has not."""
    text = given if isinstance(given, str) else getattr(given, "__name__", "")
    if given is inspect.Parameter.empty or text == "Any" or not set(re.findall(r"[A-Za-z_.]+", text)) <= _KNOWN:
        return otherwise
    # A namespace such as NumPy's has its own `bool` and `float`.
    return re.sub(r"[A-Za-z]+", lambda m: f"_builtins.{m[0]}" if m[0] in _BUILTINS else m[0], text)


def _parameters(signature: inspect.Signature) -> str:
    out: list[str] = []
    kinds = [p.kind for p in signature.parameters.values()]
    for i, p in enumerate(signature.parameters.values()):
        if p.kind is p.KEYWORD_ONLY and p.VAR_POSITIONAL not in kinds and kinds.index(p.KEYWORD_ONLY) == i:
            out.append("*")
        star = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        annotation = _annotation(p.annotation, "Any")
        if annotation == "None":
            annotation = "Any"
        out.append(f"{star}{p.name}: {annotation}" + (" = ..." if p.default is not p.empty else ""))
        if p.kind is p.POSITIONAL_ONLY and p.POSITIONAL_ONLY not in kinds[i + 1 :]:
            out.append("/")
    return ", ".join(out)


def _function(module: str, name: str, fun: Any) -> str:
    ufunc = getattr(np, name, None)
    if module == "funcgrad.numpy" and isinstance(ufunc, np.ufunc):
        operands = ", ".join(f"x{i + 1}: Any" for i in range(ufunc.nin))
        returns = "_builtins.tuple[Array, ...]" if ufunc.nout > 1 else "Array"
        options = "/, out: Any = ..., *, where: Any = ..., dtype: Any = ..., **options: Any"
        return f"def {name}({operands}, {options}) -> {returns}: ..."
    if module == "funcgrad.numpy" and name in _WRITTEN:
        return _WRITTEN[name]
    signature = inspect.signature(fun)
    otherwise = "Any"
    if module == "funcgrad.numpy" and name not in _ANYTHING:
        otherwise = "Array"
        if name in _TUPLES or name in _LISTS:
            otherwise = f"_builtins.{'tuple[Array, ...]' if name in _TUPLES else 'list[Array]'}"
    return f"def {name}({_parameters(signature)}) -> {_annotation(signature.return_annotation, otherwise)}: ..."


def _line(module: str, name: str, value: Any) -> tuple[bool, str]:
    """Whether a name is imported, and its line."""
    if isinstance(value, ModuleType):
        return True, f"from {value.__name__.rpartition('.')[0]} import {value.__name__.rpartition('.')[2]} as {name}"
    if isinstance(value, type):
        if getattr(np, name, None) is value:
            return True, f"from numpy import {name} as {name}"
        if getattr(np, value.__name__, None) is value:
            return False, f"{name} = {value.__name__}"
        found = getattr(sys.modules[value.__module__], value.__name__, None) is value and value.__module__ != module
        return found, f"from {value.__module__} import {value.__name__} as {name}" if found else f"{name}: Any"
    if inspect.isbuiltin(value) and getattr(np, name, None) is value:
        return True, f"from numpy import {name} as {name}"
    if inspect.isfunction(value) or inspect.isbuiltin(value):
        return False, _function(module, name, value)
    if isinstance(value, (bool, int, float, str)):
        return False, f"{name}: _builtins.{type(value).__name__}"
    if getattr(np, name, None) is value and value is not None:
        return True, f"from numpy import {name} as {name}"
    return False, f"{name}: Any"


def stub(module: str) -> str:
    """The text of the stub of a module."""
    loaded = importlib.import_module(module)
    lines = [_line(module, name, getattr(loaded, name)) for name in sorted(loaded.__all__)]
    imports = sorted({text for imported, text in lines if imported})
    own = [text for imported, text in lines if not imported]
    overloads = ", overload" if any("@overload" in text for text in own) else ""
    head = [
        "# Written by `python -m tools.stubs`: not to be edited.",
        "import builtins as _builtins",
        "from collections.abc import Callable, Sequence",
        f"from typing import Any{overloads}",
        "",
        "from numpy import dtype as _dtype",
        "from numpy import ndarray as _ndarray",
        "",
    ]
    return "\n".join([*head, *imports, "", _ARRAY, "", *own, ""])


def main(arguments: list[str]) -> int:
    """Write the stubs, or with --check say which are not in step."""
    stale = []
    for module in MODULES:
        path = ROOT / module.replace(".", "/") / "__init__.pyi"
        text = stub(module)
        if not path.exists() or path.read_text() != text:
            stale.append(module)
            if "--check" not in arguments:
                path.write_text(text)
    for module in stale:
        print(f"{module}: {'not in step' if '--check' in arguments else 'written'}")
    return int(bool(stale) and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
