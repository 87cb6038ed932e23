"""Writes the pages of the API, one for each public module, from `__all__` and the docstrings.

A Sphinx extension. What is funcgrad's own is documented; what a module passes on from NumPy or SciPy as it is, is
listed by name.
"""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

ELSEWHERE = "Also here, and documented elsewhere"
FOREIGN = "As they are in NumPy, SciPy or Python"


def public_modules(name: str = "funcgrad") -> list[str]:
    """The modules that can be reached through `__all__`, by name."""
    module = import_module(name)
    found = [name]
    for public in module.__all__:
        value = getattr(module, public)
        if inspect.ismodule(value) and value.__name__ == f"{name}.{public}":
            found += public_modules(value.__name__)
    return found


def own(value: Any) -> bool:
    return str(getattr(value, "__module__", None) or type(value).__module__).partition(".")[0] == "funcgrad"


def methods(cls: type) -> list[str]:
    """Its methods and properties that have a docstring; what it holds is in the docstring of the class."""
    kinds = (property, staticmethod, classmethod)
    named = [
        k for k, v in vars(cls).items() if k[0] != "_" and (inspect.isfunction(v) or isinstance(v, kinds)) and v.__doc__
    ]
    return [f"   :members: {', '.join(named)}"] if named else []


def page(module: ModuleType, below: list[str], told: dict[int, str]) -> str:
    """The page of a module in reStructuredText, which autodoc fills in; `told` says what has been documented where."""
    name = module.__name__
    lines = [name, "=" * len(name), "", f".. automodule:: {name}", "   :no-members:", ""]
    if below:
        lines += [".. toctree::", "   :maxdepth: 1", "", *(f"   {m}" for m in below), ""]
    foreign: list[str] = []
    again: list[str] = []
    for public in sorted(module.__all__, key=str.lower):
        value = getattr(module, public)
        if inspect.ismodule(value):
            continue
        if own(value) and told.setdefault(id(value), f"{name}.{public}") != f"{name}.{public}":
            again.append(f":py:obj:`{public} <{told[id(value)]}>`")
            continue
        if inspect.isclass(value) and own(value):
            lines += [f".. autoclass:: {name}.{public}", *methods(value), ""]
        elif inspect.isfunction(value) and own(value):
            lines += [f".. autofunction:: {name}.{public}", ""]
        elif own(value) and value.__doc__ and not isinstance(value, tuple):
            lines += [f".. autodata:: {name}.{public}", "   :no-value:", ""]
        else:
            foreign.append(f"`{public}`")
    notes = [f"{what}: {', '.join(names)}." for what, names in ((ELSEWHERE, again), (FOREIGN, foreign)) if names]
    return "\n".join([*lines, *(line for note in notes for line in (note, ""))])


def write_pages(app: Any) -> None:
    folder = Path(app.srcdir) / "api"
    folder.mkdir(exist_ok=True)
    modules = public_modules()
    told: dict[int, str] = {}
    for name in modules:
        below = [m for m in modules if m.rpartition(".")[0] == name]
        text = page(import_module(name), below, told)
        path = folder / f"{name}.rst"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


CODE = re.compile(r"(``.*?``|`[^`]*`)", re.DOTALL)


def escaped(text: str) -> str:
    """Text in which only backticks have a meaning."""
    parts = CODE.split(text)
    parts[::2] = [re.sub(r"([*|\\])|(?<=\w)(_)(?!\w)", lambda m: "\\" + m[0], p) for p in parts[::2]]
    parts[1::2] = [f"``{p.strip('`')}``" for p in parts[1::2]]
    return "".join(parts)


def as_text(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are text with `code` in backticks, sessions and indented blocks."""
    session = False
    out: list[str] = []
    text: list[str] = []
    for line in [*lines, None]:
        session = line is not None and (line.lstrip().startswith(">>>") or (session and bool(line.strip())))
        if line is not None and not session:
            text.append(line)
            continue
        if text:
            out += escaped("\n".join(text)).split("\n")
            text = []
        out += [] if line is None else [line]
    lines[:] = out


def setup(app: Any) -> dict[str, Any]:
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-process-docstring", as_text, priority=400)  # before napoleon
    return {"parallel_read_safe": True}
