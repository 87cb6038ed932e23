"""Programs that were compiled before are found on disk by their fingerprints."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import funcgrad as fg
from funcgrad import config, extend, lax
from funcgrad.ir import Program
from funcgrad.native import build, cache, fingerprint, recipes, registry
from funcgrad.native.code import SHARE

X = np.linspace(0.1, 1.0, 12)
W = np.linspace(-1.0, 1.0, 36).reshape(12, 3)
SMALL = np.array([1.0, 2.0, 3.0])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "cache"
    config.native_cache = str(path)
    return path


def program(f: Callable[..., Any], *args: Any) -> Program:
    return fg.make_ir(f)(*(args or (X,)))


def key(f: Callable[..., Any], *args: Any) -> str | None:
    return fingerprint.fingerprint(program(f, *args))


def run(p: Program, *args: Any) -> Any:
    def refuse(*args: Any) -> Any:
        raise AssertionError("NumPy runs it")

    made = build.build(p, refuse)
    return made, made.entry.call(*args)


def loop(x: Any) -> Any:
    return lax.fori_loop(0, 3, lambda i, x: np.sin(x) + i, x)


PROGRAMS: dict[str, Callable[..., Any]] = {
    "pointwise": lambda x: np.tanh(x) * 1.5,
    "another number": lambda x: np.tanh(x) * 1.25,
    "a negative zero": lambda x: np.tanh(x) * -0.0,
    "a zero": lambda x: np.tanh(x) * 0.0,
    "an integer": lambda x: np.tanh(x) * 1,
    "a number of NumPy's": lambda x: np.tanh(x) * np.float64(1.5),
    "a small constant": lambda x: x[:3] * SMALL,
    "another constant": lambda x: x[:3] * SMALL[::-1],
    "a constant in memory": lambda x: x @ W,
    "another one in memory": lambda x: x @ (2 * W),
    "axes": lambda x: x.reshape(3, 4).sum(0)[:3],
    "other axes": lambda x: x.reshape(3, 4).sum(1),
    "a loop": loop,
    "another order": lambda x: 1.5 - np.tanh(x),
    "two results": lambda x: (x + 1.0, x * 2.0),
    "in parts": lambda x: np.tanh(x[:, None] * np.arange(30_000.0)),
    "in another order": lambda x: (x * 2.0, x + 1.0),
}


def test_different_programs_have_different_fingerprints() -> None:
    keys = [key(f) for f in PROGRAMS.values()]
    assert None not in keys and len(set(keys)) == len(PROGRAMS)
    f = PROGRAMS["pointwise"]
    kinds = [key(f, X[:5]), key(f, X.astype(np.float32)), key(f, 1.5), key(f, np.float64(1.5)), key(f)]
    assert len(set(kinds)) == 5 and None not in kinds


def test_the_same_program_has_the_same_fingerprint() -> None:
    assert key(lambda x: np.sin(x) * SMALL[0]) == key(lambda y: np.sin(y) * SMALL[0])
    assert key(fg.grad(lambda x: loop(x).sum())) == key(fg.grad(lambda x: loop(x).sum()))


@pytest.mark.parametrize("name", ["native_contract", "check_ir", "threads"])
def test_settings_count(name: str) -> None:
    before = key(loop)
    setattr(config, name, not config.read(name) if name != "threads" else config.threads + 1)
    assert key(loop) != before


def test_what_has_no_text_has_no_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = extend.elementwise("twice_and_one", lambda x: 2.0 * x + 1.0, lambda g, out, x: 2.0 * g)
    assert key(twice) is None
    assert key(lambda x: fg.pure_callback(np.sin, fg.ShapeDtypeStruct(x.shape, x.dtype), x)) is None
    monkeypatch.setattr(fingerprint, "LARGEST", 100)
    assert key(PROGRAMS["a constant in memory"]) is None
    for name in ("sin", registry.EVERY):
        monkeypatch.setattr(registry, "FOREIGN", {name})
        assert key(loop) is None


@pytest.mark.parametrize("folder", ["", "package.zip"])
def test_a_package_without_files_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: str) -> None:
    monkeypatch.setattr(fingerprint, "_PACKAGE", str(tmp_path / folder))
    monkeypatch.setattr(fingerprint, "_surroundings", fingerprint._surroundings.__wrapped__)
    assert key(loop) is None


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_not_lowered_again(place: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    p = program(PROGRAMS[name])
    first, want = run(p, X)
    monkeypatch.setattr(build, "_code", lambda program: pytest.fail("it is lowered again"))
    again, found = run(program(PROGRAMS[name]), X)
    assert (SHARE in again.entry.code.externals) == (name == "in parts")
    assert again.report.cached and not first.report.cached
    assert again.report._replace(emission=0, compilation=0, cached=False) == first.report._replace(
        emission=0, compilation=0
    )
    for a, b in zip(found, want, strict=True):
        np.testing.assert_array_equal(a, b)


def _remove(place: Path, name: str) -> None:
    (place / f"{name}.o").unlink()


def _damage(place: Path, name: str) -> None:
    (place / f"{name}.o").write_bytes(b"funcgrad")


@pytest.mark.parametrize("harm", [_remove, _damage])
@pytest.mark.parametrize("which", ["recipe", "code"])
def test_what_is_gone_is_made_again(place: Path, harm: Callable[[Path, str], None], which: str) -> None:
    p = program(PROGRAMS["pointwise"])
    _, want = run(p, X)
    recipe = fingerprint.fingerprint(p)
    others = {path.stem for path in place.iterdir()} - {recipe}
    for name in [recipe] if which == "recipe" else others:
        assert name is not None
        harm(place, name)
    assert recipe is not None and (recipes.find(recipe, p) is None)
    np.testing.assert_array_equal(run(p, X)[1][0], want[0])
    assert recipes.find(recipe, p) is not None


def test_functions_that_are_not_there(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a = np.eye(40) * 2.0
    p = program(np.linalg.cholesky, a)
    run(p, a)
    name = fingerprint.fingerprint(p)
    assert name is not None and recipes.find(name, p) is not None
    monkeypatch.setattr(recipes, "address", lambda symbol: None)
    assert recipes.find(name, p) is None


def test_host_steps_are_not_kept(place: Path) -> None:
    p = program(lambda x: np.linalg.eigvals(x.reshape(3, 4)[:, :3]))
    made = build.build(p, lambda *args: None)
    name = fingerprint.fingerprint(p)
    assert made.report.host_steps and name is not None and cache.find(name) is None


AGAIN = """
import numpy as np, sys, funcgrad as fg
fg.config.native = "now"
f = fg.jit(lambda x: np.tanh(x) * 1.5 - x)
print(f(np.linspace(0.1, 1.0, 12)).sum(), "funcgrad.native.lower" in sys.modules)
"""


def test_another_process_need_not_lower(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUNCGRAD_NATIVE_CACHE", str(place))
    found = [
        subprocess.run([sys.executable, "-c", AGAIN], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(2)
    ]
    assert [lowered for _, lowered in found] == ["True", "False"]
    assert found[0][0] == found[1][0]
