"""The examples of `examples/seeds`: each in quick mode, and the table of them all."""

from __future__ import annotations

import argparse
import importlib
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import common

DIRECTORY = Path(common.__file__).parent
NAMES = sorted(path.stem for path in DIRECTORY.glob("[0-9][0-9]_*.py"))
REPORTS: dict[str, common.Report] = {}


def quick(out: Path) -> argparse.Namespace:
    return common.options(None, ["--quick", "--out", str(out)])


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("seeds")


@pytest.mark.parametrize("name", NAMES)
def test_the_example_holds_what_it_claims(name: str, out: Path) -> None:
    report = importlib.import_module(name).run(quick(out))
    assert report.row == int(name[:2])
    assert report.checks
    assert report.numbers
    assert report.pictures
    for picture in report.pictures:
        assert (out / picture).read_bytes().startswith(b"\x89PNG\r\n")


def report(tmp_path: Path) -> common.Report:
    return common.Report(1, "000", "a system", tmp_path)


@pytest.mark.parametrize(
    ("got", "want"),
    [
        ({"w": np.ones(2)}, {"w": np.array([1.0, 1.0 + 1e-9])}),
        ({"w": np.ones(2)}, {"v": np.ones(2)}),
        ([1.0, 2.0], [1.0]),
        ([1.0], (1.0,)),
        (np.ones(2), np.ones((2, 1))),
        (np.nan, 1.0),
    ],
)
def test_what_differs_is_refused(got: object, want: object, tmp_path: Path) -> None:
    report(tmp_path).same("itself", want, want)
    with pytest.raises(common.CheckFailed, match="row 1: this"):
        report(tmp_path).same("this", got, want)


def test_what_does_not_hold_is_refused(tmp_path: Path) -> None:
    report(tmp_path).holds("this", True)
    with pytest.raises(common.CheckFailed, match="row 1: not so: this"):
        report(tmp_path).holds("this", False)


def test_a_failure_is_the_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(args: argparse.Namespace) -> common.Report:
        raise common.CheckFailed("row 1: this")

    monkeypatch.setattr(sys, "argv", ["example"])
    with pytest.raises(SystemExit, match="FAILED: row 1: this"):
        common.main(run)


def test_the_table_says_what_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runner = runpy.run_path(str(DIRECTORY / "__main__.py"), run_name="runner")
    assert runner["NAMES"] == NAMES

    def run(name: str, args: argparse.Namespace) -> common.Report:
        if name.startswith("03"):
            raise common.CheckFailed("row 3: 1 | 2\nmore")
        done = common.Report(int(name[:2]), "000", name, args.out, ["a check"], [("n", "", "1"), ("m", "2", "3")])
        done.pictures.append("picture.png")
        return done

    monkeypatch.setitem(runner["main"].__globals__, "run", run)
    monkeypatch.setattr(sys, "argv", ["seeds", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="FAILED: 03_layers"):
        runner["main"]()
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert lines[2:4] == [
        "| 1 | 000 | 01_two_layer_network | n | — | 1 | 1 | [picture.png](picture.png) |",
        "|  |  |  | m | 2 | 3 |  |  |",
    ]
    assert "| 3 | | 03_layers | FAILED | | row 3: 1 \\| 2 | | |" in lines
    assert len({line.count(" | ") for line in lines[:4]}) == 1


def test_an_example_runs_as_a_script(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(DIRECTORY.parents[1])}
    command = [sys.executable, str(DIRECTORY / "02_chain_rule.py")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "4 checks passed" in done.stdout
    assert (tmp_path / "seeds_out" / "02_flow.png").is_file()
