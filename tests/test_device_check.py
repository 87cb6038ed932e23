"""The tools for devices: all stages run on a device in software, and what offloading gains follows from the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from funcgrad.offload import Machine
from tools import device_check
from tools.device_stages import STAGES
from tools.offload_sim import DEVICE, HOSTS, LINKS, plans, program


def test_all_stages_pass_on_a_device_in_software(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # put back afterwards
    out = tmp_path / "figures.json"
    assert device_check.main(["--device", "simulated:0", "--out", str(out)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["stage"] for line in lines] == list(STAGES)
    assert json.loads(out.read_text())["stages"] == lines
    figures = {line["stage"]: line for line in lines}
    assert figures["values"]["operations"]["same"] > 50 and figures["values"]["programs"]["same"] == 5
    assert "out of memory" in figures["memory"]["says"]


def test_a_stage_that_fails_is_written_down_and_the_next_one_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    def broken(check: Any) -> Any:
        raise RuntimeError("no such luck")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(STAGES, "floors", (1.0, broken))
    assert device_check.main(["--device", "simulated:0", "--only", "floors,memory"]) == 1
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert "no such luck" in first["failed"][0] and second["failed"] == []


def test_without_torch_it_says_so_and_runs_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    missing: set[str] = {"torch"}
    monkeypatch.setattr(device_check, "find_spec", lambda name: None if name in missing else object())
    device, note = device_check.chosen("cpu")
    assert device == "strict:CPU_DEVICE" and "PyTorch is not installed (pip install 'funcgrad[torch]')" in note
    missing.add("array_api_strict")
    assert device_check.chosen("cpu")[0] == "simulated:0"
    missing.clear()
    assert device_check.chosen("cpu") == ("torch:cpu", "")
    assert device_check.chosen("torch:cuda") == ("torch:cuda", "")


@pytest.mark.parametrize(
    ("host", "link", "least"),
    [("16 cores", "10 GB/s", 7.0), ("16 cores", "50 GB/s", 15.0), ("2 cores", "10 GB/s", 100.0)],
)
def test_what_a_wide_network_gains(host: str, link: str, least: float) -> None:
    """By the cost model, for the machines of the table."""
    machine = Machine(HOSTS[host], DEVICE, LINKS[link], LINKS[link])
    found = plans(program(4096), machine)
    cut = found["cut"]
    assert cut.host_seconds / cut.seconds >= least
    assert cut.seconds <= min(found["products"].seconds, found["all"].seconds, cut.host_seconds) * (1 + 1e-9)


def test_a_narrow_network_stays_on_the_host() -> None:
    machine = Machine(HOSTS["16 cores"], DEVICE, LINKS["50 GB/s"], LINKS["50 GB/s"])
    assert not plans(program(32), machine)["cut"].leaves_host
