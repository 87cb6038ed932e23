"""Libraries written for the array API standard take traced arrays: a few rows of `tools/array_api_table.py`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from funcgrad import grad, jit
from funcgrad.errors import TracerArrayConversionError

ROOT = Path(__file__).resolve().parents[1]
NAMES = (
    "logsumexp", "betainc", "zscore", "skew", "moment", "gmean", "pearsonr", "ttest_ind", "whiten", "fft", "trapezoid",
    "Slerp", "RigidTransform", "Rotation apply", "cosine_similarity", "PCA", "einops.array_api",
)  # fmt: skip


def test_functions_of_libraries_are_right_in_every_transformation() -> None:
    """In one process of its own, since SciPy reads its switch when it is imported."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.array_api_table", *NAMES], cwd=ROOT, capture_output=True, text=True, check=False
    )
    rows = re.findall(r"^\| (.*?) \| (.*) \|$", done.stdout, re.MULTILINE)
    assert len(rows) >= 14, done.stderr
    for name, marks in rows:
        assert marks.startswith("✓ | ✓ | ✓ | ✓ | ✓"), (name, marks)


def test_the_page_has_all_functions() -> None:
    page = (ROOT / "docs" / "array_api.md").read_text(encoding="utf-8")
    total = re.search(r"^Of (\d+) functions", page, re.MULTILINE)
    assert total is not None and page.count("| ✓ |") >= int(total[1]) > 180


def test_a_number_in_an_installed_package_cuts_no_derivative_loose() -> None:
    """scikit-learn's metrics end in `float(loss)`; its callers cannot know."""
    names: dict[str, Any] = {}
    exec(compile("def loss(x): return float((x * x).sum())", "/lib/site-packages/learn/metrics.py", "exec"), names)
    x = np.array([1.0, 2.0])
    with pytest.raises(TracerArrayConversionError, match="derivative"):
        grad(lambda x: names["loss"](x) + x[0])(x)
    assert jit(names["loss"])(x) == 5.0
