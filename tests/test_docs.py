"""The code of the documentation runs, page by page, and prints what the page says.

In a page, a block ```python with prompts is a doctest; one without is run, and a block ```text that follows it
directly is what it prints (`...` stands for anything). The blocks of a page share their names, as a reader who follows
it has them. A block after the line `<!-- not run: reason -->` is left out.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

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
    test = doctest.DocTestParser().get_doctest(block.code, {}, path.name, str(path), block.line)
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
