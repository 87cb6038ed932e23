"""How the package imports: one way, nothing optional, nothing slow."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

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


def imported(tree: ast.AST, known: dict[str, Path]) -> set[str]:
    """The modules of the package that a module imports."""
    out: set[str] = set()
    for node in ast.walk(tree):
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
    graph = {name: imported(ast.parse(path.read_text()), known) for name, path in known.items()}
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
    assert imported(ast.parse("from funcgrad.b import x"), known) == {"funcgrad.b"}
    assert imported(ast.parse("import funcgrad.a as a\nfrom funcgrad import b"), known) == set(known)


def test_imports_stand_at_the_top() -> None:
    for name, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            for inner in ast.walk(node):
                if isinstance(inner, ast.Import):
                    roots = {a.name.split(".")[0] for a in inner.names}
                elif isinstance(inner, ast.ImportFrom):
                    roots = {(inner.module or "").split(".")[0]}
                else:
                    continue
                assert roots <= LATE, f"{name}:{inner.lineno} imports {roots} inside {node.name}"


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_nothing_optional_is_imported() -> None:
    loaded = set(run("import sys, funcgrad; print(*{m.split('.')[0] for m in sys.modules})").split())
    assert not loaded & OPTIONAL, loaded & OPTIONAL


def test_little_is_imported_beyond_numpy() -> None:
    code = "import sys, numpy; before = set(sys.modules); import funcgrad; print(*(set(sys.modules) - before))"
    extra = {m for m in run(code).split() if not m.startswith("funcgrad")}
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
    loaded = set(run("import sys, funcgrad; print(*sys.modules)").split())
    assert not loaded & set(late)
    assert "funcgrad.lax" in run("import sys, funcgrad as jax; jax.lax.scan; print(*sys.modules)").split()
