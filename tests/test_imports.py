"""How the package imports: one way, nothing optional, nothing slow."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from syntax import facts

import funcgrad

ROOT = Path(funcgrad.__file__).parent
OPTIONAL = set("scipy matplotlib tqdm sklearn cupy jax torch autograd threadpoolctl llvmlite pytest".split())
# `dataclasses` costs more than a millisecond, and is needed only by who has imported it.
LATE = OPTIONAL | {"dataclasses"}


def modules() -> dict[str, Path]:
    names: dict[str, Path] = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = ("funcgrad", *path.relative_to(ROOT).with_suffix("").parts)
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imported(imports: Iterable[ast.AST], known: dict[str, Path]) -> set[str]:
    """The modules of the package that a module imports."""
    out: set[str] = set()
    for node in imports:
        if isinstance(node, ast.Import):
            out |= {a.name for a in node.names if a.name in known}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for a in node.names:
                whole = f"{node.module}.{a.name}"
                if whole in known:
                    out.add(whole)
                elif node.module in known:
                    out.add(node.module)
    return out


def test_no_circles() -> None:
    known = modules()
    graph = {name: imported(facts(path).imports, known) for name, path in known.items()}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())
    assert len(done) > 40


def test_the_circle_finder_finds_circles() -> None:
    known = {"funcgrad.a": ROOT, "funcgrad.b": ROOT}
    assert imported(ast.parse("from funcgrad.b import x").body, known) == {"funcgrad.b"}
    assert imported(ast.parse("import funcgrad.a as a\nfrom funcgrad import b").body, known) == set(known)


def test_imports_stand_at_the_top() -> None:
    for name, path in modules().items():
        for node in facts(path).inside:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            roots = {n.split(".")[0] for n in names}
            assert roots <= LATE, f"{name}:{node.lineno} imports {roots} inside a function"


@cache
def loaded() -> list[set[str]]:
    """What a process has imported with NumPy, then with funcgrad, then with a name of `lax`."""
    show = "print(*sys.modules)"
    code = f"import sys, numpy; {show}; import funcgrad; {show}; funcgrad.lax.scan; {show}"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return [set(line.split()) for line in out.splitlines()]


def test_nothing_optional_is_imported() -> None:
    roots = {name.split(".")[0] for name in loaded()[1]}
    assert not roots & OPTIONAL, roots & OPTIONAL


def test_little_is_imported_beyond_numpy() -> None:
    before, after, _ = loaded()
    extra = {m for m in after - before if not m.startswith("funcgrad")}
    assert extra <= {"__future__", "string", "_string"}, extra


def test_what_few_programs_use_is_imported_late() -> None:
    late = (
        "funcgrad.lax",
        "funcgrad.nn",
        "funcgrad.scipy",
        "funcgrad.random",
        "funcgrad.ops.special.table",
        "funcgrad.image",
    )
    _, first, then = loaded()
    assert not first & set(late)
    assert "funcgrad.lax" in then
