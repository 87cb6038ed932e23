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
from benchmarks.harness import THREADS, Timer, WrongResultError, check_agreement, flatten
from benchmarks.plot import can_plot, plot
from benchmarks.programs import complex_step
from benchmarks.report import judge, markdown, paired_difference, paired_ratio
from benchmarks.rounds import CaseResult, Settings, run_case, run_processes
from benchmarks.spec import Goal, ProcessWorkload, Snippet, Step, Workload
from benchmarks.summary import ratios, summary, write
from benchmarks.table import SECOND, rows, table
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


def test_tolerance_may_differ_between_cases() -> None:
    workload = call_workloads()["elementwise"]
    assert workload.tolerance("n=1e6 f64") < workload.tolerance("n=1e6 f32")
    assert call_workloads()["xor"].tolerance("2-2-1") == 1e-12
    for each in call_workloads().values():
        assert all(each.tolerance(case) >= 0 for case in each.cases)


def test_goal_on_a_figure_has_nothing_that_it_is_over() -> None:
    result = CaseResult("w", "case", "numpy", {"time": {"funcgrad jit": [2e-5, 3e-5, 9e-5]}})
    verdict = judge(Goal("funcgrad jit", at_most=25e-6, compare="figure"), result)
    assert verdict is not None
    assert (verdict.measured, verdict.met) == (3e-5, False)
    assert verdict.text == "time of funcgrad jit: at most 25 µs, got 30 µs"
    with pytest.raises(ValueError, match="nothing that it is over"):
        Goal("a", over="b", at_most=1.0, compare="figure")
    with pytest.raises(ValueError, match="name what a ratio"):
        Goal("a", at_most=1.0)


def compiled_result() -> CaseResult:
    samples = {
        "time": {"numpy": [1e-3], "funcgrad jit": [1e-3], "jax jit": [2e-3], "torch": [5e-4]},
        "memory": {"funcgrad jit": [30.0], "jax jit": [120.0]},
    }
    return CaseResult("w", "case", "numpy", samples)


COMPILED_GOALS = (
    Goal("jax jit", over="funcgrad jit", at_least=1.5),
    Goal("torch", over="funcgrad jit", at_least=0.7),
    Goal("jax jit", over="funcgrad jit", at_least=3.0, metric="memory"),
    Goal("funcgrad jit", at_most=25e-6, compare="figure"),
)


def test_table_has_a_row_for_each_metric_with_goals_beside_ratios() -> None:
    lines = table(rows(COMPILED_GOALS, compiled_result())).splitlines()
    assert lines[0].startswith("| workload | NumPy by hand | funcgrad | JAX | PyTorch | JAX / funcgrad |")
    assert lines[2] == (
        "| w (case) | 1 ms | 1 ms | 2 ms | 500 µs | 2.00 (goal 1.5: met) | 0.50 (goal 0.7: missed) "
        "| time of funcgrad jit: at most 25 µs, got 1 ms (missed) |"
    )
    assert lines[3] == "| w (case), memory |  | 30.0 MB | 120.0 MB |  | 4.00 (goal 3: met) |  |  |"


def test_table_shows_plain_calls_and_failures() -> None:
    plain = CaseResult("w", "", "numpy", {"time": {"funcgrad": [1.0], "jax": [2.0], "jax jit": [0.1]}})
    (row,) = rows((), plain)
    assert (row.label, row.cells["JAX"], row.ratios["JAX"].measured) == ("w", "2 s", 2.0)
    broken = CaseResult("w", "", "numpy", {"time": {"jax jit": [0.1]}}, failed={"funcgrad jit": "wrong"})
    (row,) = rows((), broken)
    assert (row.cells["funcgrad"], row.cells["JAX"], row.ratios) == ("failed", "100 ms", {})
    (row,) = rows((), CaseResult("w", "", "numpy", failed={"funcgrad jit": "wrong"}))
    assert row.cells["funcgrad"] == "failed"


@pytest.mark.skipif(not can_plot(), reason="matplotlib is not installed")
def test_picture_of_the_table(tmp_path: Path) -> None:
    plot(rows(COMPILED_GOALS, compiled_result()), tmp_path / "table.png")
    assert (tmp_path / "table.png").read_bytes().startswith(b"\x89PNG")


def test_programs_report_figures_of_their_own() -> None:
    code = (
        "from dataclasses import replace\n"
        "from benchmarks.process import run\n"
        "from benchmarks.workloads.mlp_step import mlp_step\n"
        "run(replace(mlp_step, cases=mlp_step.tiny), 'batch 100', 'funcgrad jit', 2)\n"
    )
    quick = ProcessWorkload("quick", "", {"numpy": Snippet(code, "funcgrad", peer=False)})
    result = run_processes(quick, Settings(**{**vars(QUICK), "threads": 1}))
    assert not result.failed
    assert result.samples.keys() == {"time", "memory", "first call"}
    assert all(0 < first < whole for first, whole in zip(
        result.samples["first call"]["numpy"], result.samples["time"]["numpy"], strict=True
    ))  # fmt: skip


def test_threads_are_limited_in_workers() -> None:
    settings = Settings(**{**vars(QUICK), "only": ("funcgrad jit",), "restarts": 1, "threads": 1})
    result = run_case(call_workloads()["rosenbrock"], "n=3", settings)
    assert not result.failed
    assert result.threads["funcgrad jit"][THREADS] == "1"
    assert result.threads["funcgrad jit"]["OPENBLAS_NUM_THREADS"] == "1"


def test_kept_results_make_the_same_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["rosenbrock", "--only", "numpy", "--rounds", "1", "--restarts", "1", "--table"]
    assert main([*options, "--output", str(tmp_path)]) == 0
    measured = capsys.readouterr().out.splitlines()
    assert main(["rosenbrock", "startup", "--kept", "--output", str(tmp_path)]) == 0
    kept = capsys.readouterr()
    assert [line for line in measured if line.startswith("|")] == [
        line for line in kept.out.splitlines() if line.startswith("|")
    ]
    assert "wall clock" in kept.out
    assert "startup: no results are kept" in kept.err


def test_tiers_are_contenders_of_their_own() -> None:
    settings = Settings(**{**vars(QUICK), "only": ("funcgrad jit",), "restarts": 1, "native": ("off", "off")})
    workload = call_workloads()["newton"]
    result = run_case(workload, "n=8", settings)
    assert not result.failed
    assert list(result.samples["time"]) == ["numpy", "funcgrad jit", "funcgrad jit, native off"]
    (row,) = rows(workload.goals, result, settings.native)
    assert row.medians[SECOND] > 0


def two_tiers() -> list[Any]:
    """Two rows: funcgrad's tiers take 1 and 0.25 ms, a peer 2 and 0.5."""
    found = []
    for case, peer in (("slow", 2e-3), ("fast", 5e-4)):
        times = {"numpy": [4e-3], "funcgrad jit": [1e-3], "funcgrad jit, native now": [2.5e-4], "jax jit": [peer]}
        found += rows((), CaseResult("w", case, "numpy", {"time": times}), ("off", "now"))
    return found


def test_table_of_two_tiers() -> None:
    lines = table(two_tiers()).splitlines()
    assert "| native | JAX / funcgrad | PyTorch / funcgrad | JAX / native |" in lines[0]
    assert lines[2] == "| w (slow) | 4 ms | 1 ms | 2 ms |  | 250 µs | 2.00 |  | 8.00 |  |  |"


def test_summary_has_the_mean_the_best_and_the_worst_of_each_tier(tmp_path: Path) -> None:
    found = two_tiers()
    assert ratios(found, SECOND, "JAX") == {"w (slow)": 8.0, "w (fast)": 2.0}
    lines = summary(found).splitlines()
    assert (
        lines[0]
        == "- JAX / funcgrad: geometric mean of 2: 1.00; best 2.00 (w (slow)), worst 0.50 (w (fast)), 1 below 1"
    )
    assert "- JAX / native: geometric mean of 2: 4.00; best 8.00 (w (slow)), worst 2.00 (w (fast)), 0 below 1" in lines
    assert "- NumPy by hand / native: geometric mean of 2: 16.00" in lines[-1]
    write(found, tmp_path / "table.json")
    kept = json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))
    assert kept["rows"]["w (fast)"]["native"] == {"JAX": 2.0}
    assert kept["summary"]["JAX / funcgrad"]["below 1"] == ["w (fast)"]


def test_programs_are_a_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["programs", "--list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert len(listed) >= 16
    assert not any(line.startswith("xor") for line in listed)


def test_complex_steps_have_all_digits() -> None:
    value, slope = complex_step(lambda p: np.exp(p[:, 0]) * np.sin(p[:, 1]), np.array([1.0, 2.0]))
    assert value == pytest.approx(np.e * np.sin(2.0), rel=1e-15)
    assert slope == pytest.approx([np.e * np.sin(2.0), np.e * np.cos(2.0)], rel=1e-15)
