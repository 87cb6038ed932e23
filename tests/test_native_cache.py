"""Machine code on disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("llvmlite")

from funcgrad import config
from funcgrad.native import build, cache, llvm

TEXT = "define i32 @f() { ret i32 7 }"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "cache"
    config.native_cache = str(path)
    return path


def files(place: Path) -> list[Path]:
    return sorted(place.iterdir()) if place.exists() else []


def test_code_is_kept_and_found(place: Path) -> None:
    assert build._library(TEXT, llvm.DEFAULT, ["f"])[1] is False
    assert len(files(place)) == 1
    assert place.stat().st_mode & 0o077 == 0 or os.name != "posix"
    loaded, cached, _ = build._library(TEXT, llvm.DEFAULT, ["f"])
    assert cached and loaded["f"]
    build._library(TEXT, llvm.DEFAULT._replace(level=3), ["f"])
    assert len(files(place)) == 2


@pytest.mark.parametrize("damage", ["short", "empty", "changed", "longer", "no code"])
def test_damaged_files_are_made_again(place: Path, damage: str) -> None:
    build._library(TEXT, llvm.DEFAULT, ["f"])
    (path,) = files(place)
    text = path.read_bytes()
    if damage == "no code":
        cache.store(path.stem, b"no object code")
    else:
        changed = bytes([text[len(text) // 2] ^ 1])
        middle = text[: len(text) // 2] + changed + text[len(text) // 2 + 1 :]
        path.write_bytes({"short": text[:-9], "empty": b"", "changed": middle, "longer": text + b"x"}[damage])
    loaded, cached, _ = build._library(TEXT, llvm.DEFAULT, ["f"])
    assert loaded["f"] and not cached
    assert path.read_bytes() == text
    assert files(place) == [path]


def test_off(place: Path) -> None:
    config.native_cache = "off"
    build._library(TEXT, llvm.DEFAULT, ["f"])
    assert cache.folder() is None and not files(place)
    cache.store("x", b"")
    assert cache.find("x") is None


def test_the_usual_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config.native_cache = "auto"
    monkeypatch.setenv("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == str(tmp_path / "funcgrad" / "native")


def test_what_was_not_used_for_long_goes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(10):
        cache.store(f"{i}", bytes(1000))
        os.utime(place / f"{i}.o", (i, i))
    assert cache.find("0") is not None  # and now it is the newest
    monkeypatch.setattr(cache, "LIMIT", 6000)
    cache._make_room(str(place))
    assert {p.stem for p in files(place)} == {"0", "7", "8", "9"}


@pytest.mark.skipif(os.name != "posix", reason="about permissions")
def test_a_folder_that_others_may_write_to_is_not_used(place: Path) -> None:
    place.mkdir()
    place.chmod(0o777)
    assert cache.folder() is None


@pytest.mark.parametrize("path", ["/proc/nowhere", "/dev/null/x"])
def test_a_folder_that_cannot_be(path: str) -> None:
    config.native_cache = path
    assert cache.folder() is None or os.name == "nt"
    assert build._library(TEXT, llvm.DEFAULT, ["f"])[1] is False


def test_other_processes_find_it(place: Path) -> None:
    code = f"from funcgrad.native import build, llvm;print(build._library({TEXT!r}, llvm.DEFAULT, ['f'])[1])"
    env = {**os.environ, "FUNCGRAD_NATIVE_CACHE": str(place)}
    for want in ("False\n", "True\n"):
        assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env).stdout == want
