"""The rates of a machine are measured once, kept in the user's cache, and measured again where that is damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from offload_machines import TWO_CORES, device

import funcgrad as fg
from funcgrad import tree
from funcgrad.backends import SimulatedBackend
from funcgrad.offload import Machine, calibrate
from funcgrad.offload.costs import Link, Rates


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """A cache of its own, and the machines that were measured."""
    found: list[Any] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(calibrate, "_machines", {})
    monkeypatch.setattr(calibrate, "measured_machine", lambda backend: found.append(backend) or TWO_CORES)
    return found


def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another process does not have."""
    monkeypatch.setattr(calibrate, "_machines", {})


def test_a_machine_is_measured_once(measured: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    backend = SimulatedBackend()
    assert calibrate.machine_of(backend) == TWO_CORES
    _forget(monkeypatch)
    assert calibrate.machine_of(backend) == TWO_CORES
    assert len(measured) == 1
    assert [f.suffix for f in (tmp_path / "funcgrad").iterdir()] == [".json"]
    calibrate.machine_of(SimulatedBackend(1))  # another device
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")  # another machine, as it were
    _forget(monkeypatch)
    calibrate.machine_of(backend)
    assert len(measured) == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "null",
        lambda text: json.dumps({**json.loads(text), "key": "another"}),
        lambda text: json.dumps({**json.loads(text), "up": [1e-5]}),
        lambda text: json.dumps({**json.loads(text), "down": [1e-5, float("nan")]}),
        lambda text: json.dumps({**json.loads(text), "host": [-1.0] * 5}),
        lambda text: json.dumps({**json.loads(text), "host": [0.0] * 5}),
    ],
)
def test_a_damaged_file_is_written_again(
    damage: Any, measured: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    backend = SimulatedBackend()
    calibrate.machine_of(backend)
    (file,) = (tmp_path / "funcgrad").iterdir()
    good = file.read_text()
    file.write_text(damage(good))
    _forget(monkeypatch)
    assert calibrate.machine_of(backend) == TWO_CORES
    assert len(measured) == 2 and file.read_text() == good


def test_where_nothing_can_be_written_it_is_measured_anew(
    measured: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    for times in (1, 2):
        _forget(monkeypatch)
        assert calibrate.machine_of(SimulatedBackend()) == TWO_CORES
        assert len(measured) == times


def test_measurements_make_sense(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the host, and of a device in software, which is no faster. Small, as it is not the figures that matter."""
    for name, value in {"_LARGE": 1 << 12, "_LARGEST": 64, "_ENOUGH": 0.0, "_PATIENCE": 0.0}.items():
        monkeypatch.setattr(calibrate, name, value)
    machine = calibrate.measured_machine(SimulatedBackend())
    assert isinstance(machine, Machine)
    for part in machine:
        assert isinstance(part, (Rates, Link))
        assert all(x > 0 for x in part[:4])
    assert machine.host.elementwise > 0 == machine.device.elementwise


def test_a_backend_may_know_its_machine(measured: list[Any]) -> None:
    assert calibrate.machine_of(device()) is TWO_CORES
    assert not measured


def test_an_offloaded_function_uses_what_was_measured(measured: list[Any]) -> None:
    backend = SimulatedBackend()
    f = fg.jit(lambda x: x + 1, offload=backend)
    assert f(1.0) == 2.0 and len(measured) == 1
    assert "0 of 1 equations on simulated:0: nothing would pay" in f.explain()


@pytest.mark.parametrize("name", ["solve", "inv", "det", "slogdet", "cholesky", "eigh", "eigvalsh", "svd", "qr"])
def test_linear_algebra_states_its_operations(name: str) -> None:
    """Twice as wide matrices take eight times the operations, twice as many twice."""
    rows = {"solve": lambda a: np.linalg.solve(a, a)}
    f = rows.get(name, getattr(np.linalg, name))
    count = {
        shape: fg.jit(lambda a: tree.leaves(f(a))[0]).lower(np.zeros(shape) + np.eye(shape[-1])).cost().flops
        for shape in ((8, 8), (16, 16), (2, 16, 16))
    }
    ratio = count[16, 16] / count[8, 8]
    assert 6 < ratio < 10 and 1.9 < count[2, 16, 16] / count[16, 16] < 2.1
