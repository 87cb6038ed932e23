"""What the lowerings call of CuPy, by its name and its arguments, against the signatures that CuPy has.

    python -m tools.cupy_names [--write]

CuPy is imported without a device, but makes no arrays there. `--write` notes its signatures down, where it and
array-api-compat are installed, in `tests/cupy_signatures.json`; the tests read them anywhere.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import sys
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from funcgrad.backends.array_api import _CREATION, LOWERINGS

__all__ = ["FILE", "Call", "calls", "unbound"]

ROOT = Path(__file__).parent.parent
FILE = ROOT / "tests" / "cupy_signatures.json"
BACKEND = ROOT / "funcgrad" / "backends" / "cupy_backend.py"


class Call(NamedTuple):
    """A call of a function of the namespace.

    Attributes:
        name: "linalg.solve", say.
        positional, named: its arguments; None where these are not known, or it is not called.
        where: the file and the line.
    """

    name: str
    positional: int | None
    named: tuple[str, ...]
    where: str


def _dotted(node: ast.expr) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def _of(path: Path, root: str) -> Iterator[Call]:
    called: set[int] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        where = f"{path.name}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Call) and _dotted(node.func).startswith(f"{root}."):
            called.add(id(node.func))
            known = not any(isinstance(a, ast.Starred) for a in node.args) and all(k.arg for k in node.keywords)
            named = tuple(str(k.arg) for k in node.keywords)
            yield Call(_dotted(node.func)[len(root) + 1 :], len(node.args) if known else None, named, where)
        elif isinstance(node, ast.Attribute) and id(node) not in called and _dotted(node).startswith(f"{root}."):
            yield Call(_dotted(node)[len(root) + 1 :], None, (), where)


def calls() -> list[Call]:
    """All calls of the namespace in the lowerings, and functions that the table names."""
    found = [c for path in sorted(BACKEND.parent.glob("_lower*.py")) for c in _of(path, "xp")]
    found += [Call(n, None, (), name) for name, entry in LOWERINGS.items() for n in entry.needs]
    found += [Call(n, None, (), "array_api.py") for n in _CREATION]
    return [c for c in found if c.name not in ("sliced", "written")]


def own_names() -> list[str]:
    """What the backend uses of CuPy itself."""
    return sorted({c.name for c in _of(BACKEND, "cupy")} | {c.name for c in _of(BACKEND, "self.cupy")})


def signature_of(function: Any) -> str:
    """The parameters of a function; "" for what has none that can be asked for, such as a ufunc or a dtype."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ""
    return ", ".join(f"{p.kind.name} {p.name}{'' if p.default is p.empty else '='}" for p in parameters)


def _bindable(text: str) -> inspect.Signature:
    made: list[inspect.Parameter] = []
    for part in text.split(", "):
        kind, _, name = part.partition(" ")
        default = None if name.endswith("=") else inspect.Parameter.empty
        made.append(inspect.Parameter(name.rstrip("="), getattr(inspect.Parameter, kind), default=default))
    return inspect.Signature(made)


def unbound(signatures: dict[str, str]) -> list[str]:
    """Calls that these signatures do not take, and names that are not among them."""
    wrong: list[str] = []
    for call in calls():
        if call.name not in signatures:
            wrong.append(f"{call.where}: there is no {call.name}")
        elif signatures[call.name] and call.positional is not None:
            try:
                _bindable(signatures[call.name]).bind(*[0] * call.positional, **dict.fromkeys(call.named, 0))
            except TypeError as error:
                wrong.append(f"{call.where}: {call.name}: {error}")
    return wrong


def recorded() -> dict[str, Any]:
    """The signatures of the CuPy that is installed."""
    import array_api_compat
    import array_api_compat.cupy as xp
    import cupy

    found: dict[str, Any] = {"cupy": cupy.__version__, "array_api_compat": array_api_compat.__version__}
    for key, namespace, names in (("names", xp, {c.name for c in calls()}), ("own", cupy, own_names())):
        found[key] = {}
        for name in sorted(names):
            try:
                found[key][name] = signature_of(attrgetter(name)(namespace))
            except AttributeError:
                print(f"CuPy has no {name}", file=sys.stderr)
    return found


def main() -> int:
    """Say which calls CuPy would not take."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    if parser.parse_args().write:
        FILE.write_text(json.dumps(recorded(), indent=1) + "\n")
    signatures = json.loads(FILE.read_text())
    wrong = unbound(signatures["names"])
    print(*wrong, f"{len(calls())} calls of {len(signatures['names'])} names, {len(wrong)} wrong", sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
