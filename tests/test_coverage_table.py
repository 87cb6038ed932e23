"""`docs/coverage.md` has a row for each function of NumPy that asks its arguments first, and says what is so."""

from __future__ import annotations

import re

import pytest

from tools.coverage_cases import NOT_APPLICABLE
from tools.coverage_table import COLUMNS, PAGE, cases, dispatching, row

ROWS = {
    case: (name, entries)
    for name, case, *entries in (
        [cell.strip().strip("`") for cell in line.strip("|").split(" | ")]
        for line in PAGE.read_text().splitlines()
        if line.startswith("| `")
    )
}


def test_every_function_that_dispatches_has_a_case() -> None:
    """Those of the installed NumPy, be it older or newer than the one that the page was written with."""
    assert set(dispatching()) - set(NOT_APPLICABLE) - set(cases()) == set(), "add them to tools/coverage_cases.py"


def test_the_page_has_the_cases() -> None:
    assert set(cases().values()) - set(ROWS) == set(), "run python -m tools.coverage_table"


def test_no_entry_is_empty() -> None:
    for name, entries in ROWS.values():
        assert len(entries) == len(COLUMNS), name
        for entry in entries:
            assert re.fullmatch(r"yes|integer|refused: .+", entry), (name, entry)


@pytest.mark.parametrize("case", [c for c in list(cases().values())[::12] if c in ROWS])
def test_the_page_says_what_is_so(case: str) -> None:
    assert row(case) == ROWS[case][1]
