"""The code of the documentation runs, page by page, and prints what the page says.

In a page, a block ```python with prompts is a doctest; one without is run, and a block ```text that follows it
directly is what it prints (`...` stands for anything). The blocks of a page share their names, as a reader who follows
it has them. A block after the line `<!-- not run: reason -->` is left out.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import importlib
import importlib.util
import io
import re
import typing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import funcgrad
import mini_funcgrad as mini

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "```python" in path.read_text(encoding="utf-8"))
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
FENCE = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    line: int  # of its first line, from 0
    code: str
    output: str | None


def blocks(text: str) -> list[Block]:
    """The blocks of a page that are run, with the output that the page shows."""
    found: list[Block] = []
    end = -1
    for match in FENCE.finditer(text):
        between = text[max(end, 0) : match.start()].strip()
        if match[1] == "python" and "<!-- not run:" not in between.rpartition("\n")[2]:
            found.append(Block(text.count("\n", 0, match.start(2)), match[2], None))
            end = match.end()
        elif match[1] == "text" and end >= 0 and not between and found[-1].output is None:
            found[-1] = found[-1]._replace(output=match[2])
    return found


def run_session(block: Block, path: Path, names: dict[str, Any]) -> None:
    test = doctest.DocTestParser().get_doctest(block.code, {}, f"{path.name}:{block.line}", str(path), block.line)
    test.globs = names
    told = io.StringIO()
    result = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=told.write, clear_globs=False)
    assert result.failed == 0, told.getvalue()


def run_script(block: Block, path: Path, names: dict[str, Any]) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile("\n" * block.line + block.code, str(path), "exec"), names)
    if block.output is not None:
        same = doctest.OutputChecker().check_output(block.output, printed.getvalue(), FLAGS)
        assert same, f"{path.name}, line {block.line}: the page says\n{block.output}\nand it is\n{printed.getvalue()}"


@pytest.mark.usefixtures("extensions")
@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.relative_to(DOCS).as_posix())
def test_pages(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    found = blocks(path.read_text(encoding="utf-8"))
    assert found
    for block in found:
        (run_session if ">>> " in block.code else run_script)(block, path, names)


def test_every_fence_is_known() -> None:
    """A block in a language of another name would not be run."""
    for path in DOCS.rglob("*.md"):
        fences = re.findall(r"^```(\S*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        known = {"", "python", "text", "sh", "math"}
        assert {f for f in fences if not f.startswith("{")} <= known, path


def test_the_small_funcgrad() -> None:
    """It agrees with the large one, has the 300 lines of code that the page promises, and keeps traces apart."""
    text = Path(mini.__file__).read_text(encoding="utf-8")
    docs = [n.body[0] for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef)]
    told = {i for d in docs if isinstance(d, ast.Expr) for i in range(d.lineno, (d.end_lineno or 0) + 1)}
    lines = [line.strip() for i, line in enumerate(text.splitlines(), 1) if i not in told]
    assert sum(bool(line) and not line.startswith("#") for line in lines) <= 300

    rng = np.random.default_rng(0)
    w, b, xs = rng.normal(size=(3, 4)), rng.normal(size=4), rng.normal(size=(5, 3))

    def loss(p: dict[str, Any], x: Any) -> Any:
        h = np.maximum(np.tanh(x @ p["w"] + p["b"]), -0.5) / (1 + np.exp(-np.sum(x)))
        return np.mean(np.sum(h**2, axis=-1, keepdims=True) * np.cos(p["b"]) - np.log(2 + p["b"] * p["b"]))

    for both in (lambda m: m.grad(loss), lambda m: m.jit(m.vmap(m.grad(loss), (None, 0)))):
        got, want = both(mini)({"w": w, "b": b}, xs), both(funcgrad)({"w": w, "b": b}, xs)
        assert all(np.allclose(got[k], want[k], rtol=1e-12) for k in "wb")

    def twice(m: Any) -> Any:
        return m.grad(lambda w: np.sum(m.grad(loss)({"w": w, "b": b}, xs)["w"] ** 2))(w)

    assert np.allclose(twice(mini), twice(funcgrad), rtol=1e-12)
    for m in (mini, funcgrad):
        with pytest.raises(TypeError):
            m.vmap(lambda x: x if x > 0 else -x, (0,))(b)


def test_public_modules_are_documented() -> None:
    """Modules are reached by `__all__`, and no public name is without a docstring."""
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    assert spec is not None and spec.loader is not None
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    modules = reference.public_modules()
    assert {"funcgrad.numpy.linalg", "funcgrad.scipy.stats", "funcgrad.nn.initializers"} < set(modules)
    for name in modules:
        module = importlib.import_module(name)
        assert module.__doc__, name
        for public in module.__all__:
            value = getattr(module, public)
            alias = typing.get_origin(value) is not None  # of a type: it cannot have one
            assert value is None or alias or value.__doc__, f"{name}.{public} has no docstring"
