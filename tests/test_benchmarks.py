"""The benchmarks' own correctness: contenders agree, and the harness measures what it says.

Nothing here asserts a time.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.harness import Timer, WrongResultError, check_agreement, flatten
from benchmarks.report import judge, markdown, paired_difference, paired_ratio
from benchmarks.rounds import CaseResult, Settings, run_case, run_processes
from benchmarks.spec import Goal, Step, Workload
from benchmarks.workloads import all_workloads, call_workloads
from funcgrad import config

CASES = [
    pytest.param(workload, case, contender, id=f"{name}-{case}-{contender}")
    for name, workload in call_workloads().items()
    for case in workload.cases
    for contender, implementation in workload.implementations.items()
    if contender != workload.reference and importlib.util.find_spec(implementation.requires) is not None
]


@pytest.fixture
def keep_config(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workloads may set options: put back what the tests run under."""
    monkeypatch.setattr(config, "source_lines", config.source_lines)


@pytest.mark.usefixtures("keep_config")
@pytest.mark.parametrize(("workload", "case", "contender"), CASES)
def test_contenders_agree_with_the_reference(workload: Workload, case: str, contender: str) -> None:
    sizes = workload.tiny[case]
    step = workload.implementations[contender].setup(**sizes)
    reference = workload.implementations[workload.reference].setup(**sizes)
    for _ in range(3):  # steps that carry state must agree further on, too
        step.prepare()
        got = step.comparable(step.call())
        reference.prepare()
        expected = reference.comparable(reference.call())
        check_agreement(got, expected, workload.tolerance(case))


def test_every_case_has_tiny_sizes() -> None:
    for workload in call_workloads().values():
        assert workload.tiny.keys() == workload.cases.keys()
        for case, sizes in workload.cases.items():
            assert workload.tiny[case].keys() == sizes.keys()


def test_goals_name_contenders_and_cases() -> None:
    for workload in all_workloads().values():
        known = set(workload.implementations if isinstance(workload, Workload) else workload.snippets)
        for goal in workload.goals:
            assert {goal.of, goal.over or goal.of} <= known
            if isinstance(workload, Workload):
                assert set(goal.cases) <= set(workload.cases)


def test_flatten_names_leaves_and_sorts_keys() -> None:
    leaves = flatten((1.0, {"b": [2.0], "a": np.ones(2)}))
    assert list(leaves) == ["result[0]", "result[1]['a']", "result[1]['b'][0]"]


@pytest.mark.parametrize(
    ("got", "expected", "message"),
    [
        ({"a": 1.0}, {"b": 1.0}, "leaves differ"),
        ([np.ones(2)], [np.ones((2, 1))], "shape"),
        ([np.array([1.0, 2.1])], [np.array([1.0, 2.0])], "relative deviation 0.05"),
        ([np.array([1.0, np.nan])], [np.array([1.0, 2.0])], "relative deviation nan"),
    ],
)
def test_check_agreement_fails(got: Any, expected: Any, message: str) -> None:
    with pytest.raises(WrongResultError, match=message):
        check_agreement(got, expected, 1e-3)


def test_check_agreement_measures_against_the_leafs_scale() -> None:
    assert check_agreement([np.array([0.01, 2.0])], [np.array([0.0, 2.0])], 1e-2) == 0.005


def test_timer_prepares_before_every_batch_and_calls_at_least_once() -> None:
    log: list[str] = []
    step = Step(lambda: log.append("call"), prepare=lambda: log.append("prepare"))
    timer = Timer(step, batch_seconds=0.0, warm_seconds=0.0)
    assert log == ["prepare", "call", "call", "call"]
    assert timer.calls == 1
    log.clear()
    assert timer.batch() > 0
    assert log == ["prepare", "call"]


def test_ratios_and_differences_are_paired() -> None:
    assert paired_ratio([1.0, 20.0, 3.0], [1.0, 10.0, 1.0]) == 2.0
    assert paired_difference([1.0, 20.0, 3.0], [1.0, 10.0, 1.0]) == 2.0


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        (Goal("funcgrad", over="numpy", at_most=2.0), True),
        (Goal("funcgrad", over="numpy", at_most=1.9), False),
        (Goal("funcgrad", over="numpy", at_least=2.0), True),
        (Goal("funcgrad", over="numpy", at_least=2.1), False),
        (Goal("funcgrad", over="numpy", at_most=0.5, compare="difference"), True),
        (Goal("funcgrad", over="numpy", at_most=0.4, compare="difference"), False),
    ],
)
def test_goals(goal: Goal, met: bool) -> None:
    samples = {"time": {"numpy": [0.5, 0.5], "funcgrad": [1.0, 1.0]}}
    verdict = judge(goal, CaseResult("w", "case", "numpy", samples))
    assert verdict is not None
    assert verdict.met is met


def test_goals_of_others_do_not_apply() -> None:
    result = CaseResult("w", "case", "numpy", {"time": {"numpy": [1.0]}})
    assert judge(Goal("jax", over="numpy", at_most=1.0), result) is None
    result.add("time", "jax", 1.0)
    assert judge(Goal("jax", over="numpy", at_most=1.0), result) is not None
    assert judge(Goal("jax", over="numpy", at_most=1.0, cases=("other",)), result) is None


def test_goal_needs_one_bound() -> None:
    with pytest.raises(ValueError, match="exactly one"):
        Goal("a", over="b")
    with pytest.raises(ValueError, match="exactly one"):
        Goal("a", over="b", at_most=1.0, at_least=1.0)


def test_report_lists_figures_goals_and_absentees() -> None:
    result = CaseResult(
        "w",
        "case",
        "numpy",
        {"time": {"numpy": [1e-3, 1e-3], "funcgrad": [2e-3, 2e-3]}},
        skipped={"jax": "jax is not installed"},
        failed={"torch": "wrong"},
    )
    text = markdown("A summary.", [Goal("funcgrad", over="numpy", at_most=1.5)], result)
    assert "## w (case)" in text
    assert "| funcgrad | 2 ms | 2 ms to 2 ms | 2.00 | 1.00 |" in text
    assert "- MISSED: time of funcgrad / numpy: at most 1.5, got 2.00" in text
    assert "- skipped: jax (jax is not installed)" in text
    assert "- FAILED: torch (wrong)" in text


QUICK = Settings(rounds=2, restarts=2, batches=1, batch_seconds=0.0, warm_seconds=0.0, settle_seconds=0.0)


def test_worker_processes_take_turns() -> None:
    workload = call_workloads()["xor_eager"]
    settings = Settings(**{**vars(QUICK), "only": ("funcgrad",)})
    result = run_case(workload, "2-2-1", settings)
    assert not result.failed
    assert {name: len(s) for name, s in result.samples["time"].items()} == {
        "numpy": 4,
        "funcgrad": 4,
    }
    assert result.versions["funcgrad"].keys() == {"python", "numpy", "funcgrad"}


def test_whole_processes_are_measured() -> None:
    workload = all_workloads()["startup"]
    assert not isinstance(workload, Workload)
    result = run_processes(workload, Settings(**{**vars(QUICK), "only": ("funcgrad",)}))
    assert len(result.samples["time"]["funcgrad"]) == 2
    # More than nothing, and its own peak rather than that of the process that started it.
    assert all(5 < peak < 200 for peak in result.samples["memory"]["funcgrad"])


def test_command_line_writes_a_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["xor*", "--only", "numpy", "--rounds", "1", "--restarts", "1"]
    assert main([*options, "--output", str(tmp_path)]) == 0
    assert "## xor_eager (2-2-1)" in capsys.readouterr().out
    record = json.loads((tmp_path / "xor_eager.json").read_text(encoding="utf-8"))
    assert record["machine"].keys() == {"processor", "cores", "system", "date"}
    assert list(record["cases"]["2-2-1"]["samples"]["time"]) == ["numpy"]


def test_command_line_names_unknown_workloads() -> None:
    with pytest.raises(SystemExit, match="no workload matches 'nothing'"):
        main(["nothing"])
