"""What type checkers and completion see of the package."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.stubs import MODULES, stub

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "tests" / "typed_script.py"


@pytest.mark.parametrize("module", MODULES)
def test_stubs_are_in_step(module: str) -> None:
    path = ROOT / module.replace(".", "/") / "__init__.pyi"
    assert path.read_text() == stub(module), "run python -m tools.stubs"


def test_the_script_runs() -> None:
    result = subprocess.run([sys.executable, SCRIPT], cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True)
    assert result.returncode == 0, result.stderr.decode()


def checked(tmp_path: Path, script: Path) -> list[str]:
    """What the type checker reports of a script in strict mode."""
    found = Path(sys.executable).parent / "basedpyright"
    checker = str(found) if found.exists() else shutil.which("basedpyright")
    if checker is None:
        pytest.skip("basedpyright is not installed: make lint installs it")
    settings = {"typeCheckingMode": "strict", "include": [str(script)], "extraPaths": [str(ROOT)]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [checker, "--project", str(tmp_path), "--pythonpath", sys.executable, "--outputjson"]
    report = json.loads(subprocess.run(command, capture_output=True, text=True).stdout)
    return [f"{d['range']['start']['line'] + 1}: {d['message']}" for d in report["generalDiagnostics"]]


def test_a_script_of_a_user_is_typed(tmp_path: Path) -> None:
    assert checked(tmp_path, SCRIPT) == []
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from funcgrad import grad\n\n\ndef f(x: float) -> float:\n    return x * x\n\n\nn: str = grad(f)(3.0)\n"
    )
    assert [m for m in checked(tmp_path, wrong) if m.startswith("8:")]
