"""The examples of `examples/` that check their own results: each in a small run, with its picture."""

import importlib
from pathlib import Path

import pytest

import example_tools

EXAMPLES = [
    "cartpole_policy",
    "char_transformer",
    "diffusion_points",
    "digits_vae",
    "hmc_regression",
    "lstm_adding",
    "maml_sinusoids",
    "mnist_cnn",
    "pinn_burgers",
]


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_quick_run_checks_itself_and_draws(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "picture.png"
    importlib.import_module(name).main(["--quick", "--out", str(picture)])
    output = capsys.readouterr().out
    assert ": yes)" in output
    assert "NO)" not in output
    assert output.splitlines()[-1] == f"picture: {picture}"
    assert picture.read_bytes().startswith(b"\x89PNG\r\n")


@pytest.mark.parametrize("figure", [0.5, 2.5, float("nan")])
def test_a_figure_out_of_bounds_ends_the_program(figure: float) -> None:
    example_tools.check("share", 1.0, at_least=1, at_most=2)
    with pytest.raises(SystemExit, match=r"error: share is .*, and has to be ≥ 1 and ≤ 2"):
        example_tools.check("share", figure, at_least=1, at_most=2)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="expected MNIST files"):
        importlib.import_module("mnist_cnn").main(["--quick", "--data", str(tmp_path)])
