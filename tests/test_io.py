"""Trees in files: every kind of leaf and node comes back, every altered bit is found, every failure leaves what was."""

from __future__ import annotations

import errno
import json
import os
import random as python_random
from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import funcgrad
import funcgrad.numpy as jnp
from funcgrad import io, random, tree
from funcgrad.errors import FuncgradWarning
from funcgrad.io import _atomic
from funcgrad.tree_util import register_dataclass

FORMATS = [".safetensors", ".npz"]
DAMAGES = int(os.environ.get("FUNCGRAD_DAMAGES", "150"))  # bits and lengths that are tried, in each format


class Pair(NamedTuple):
    first: Any
    second: Any


@register_dataclass
@dataclass
class Layer:
    w: Any
    name: str = field(default="layer", metadata={"static": True})


def same(a: Any, b: Any) -> bool:
    """Whether two leaves are of one type and dtype, with the same bits and memory order."""
    if type(a) is not type(b):
        return False
    if isinstance(a, (np.ndarray, np.generic)):
        order = [x.flags.f_contiguous and not x.flags.c_contiguous for x in (a, b)]
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() and order[0] == order[1]
    return repr(a) == repr(b)


def assert_same(a: Any, b: Any) -> None:
    x, y = tree.flatten(a)[0], tree.flatten(b)[0]
    assert tree.structure(a) == tree.structure(b)
    for one, other in zip(x, y, strict=True):
        assert same(one, other), (one, other)


ARRAYS = [np.arange(6).reshape(2, 3).astype(dtype) for dtype in "?bBhHiIlLqQefdgFDG"]
LEAVES: list[Any] = [
    *ARRAYS,
    np.asfortranarray(ARRAYS[5]), ARRAYS[5][:, ::2], ARRAYS[5].T, np.zeros((0, 3)), np.float32(2.5), np.array(1),
    np.arange(3, dtype=">f4"), np.arange(3, dtype=">c16"), np.array([np.nan, -0.0, np.inf]), np.zeros((2, 0), complex),
    True, False, 0, -(2**200), 0.1, float("nan"), -0.0, float("inf"), 1 - 2j, complex(-0.0, np.nan), "", "é\ud800\n",
    random.key(1), random.split(random.key(2), (2, 3)), random.key(3, impl="philox"), random.PRNGKey(4),
    jnp.arange(3.0), np.longdouble(1) / 3,
]  # fmt: skip
TREES: list[Any] = [
    3.0, None, {}, [], (), [None, ()], {"a": {"b": [1, (2,), None]}, "a.b": 3, "a_b": 1, "__metadata__": 2, "": 5},
    {1: 2, -3: 4}, {True: 1}, {(1, "x"): np.ones(2)}, {1.5: 1}, OrderedDict(b=np.ones(1), a=np.zeros(1)),
    {"x/../y": np.ones(1), "ä": np.ones(2), "funcgrad": np.ones(3), "": np.ones(4)},
]  # fmt: skip


@pytest.mark.parametrize("suffix", FORMATS)
def test_leaves_come_back(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"leaves{suffix}"
    io.save(path, LEAVES)
    for like in (None, LEAVES):
        assert_same(io.load(path, like), LEAVES)
    assert all(x.flags.writeable for x in io.load(path) if isinstance(x, np.ndarray))
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", FORMATS)
def test_structures_come_back(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"tree{suffix}"
    for x in TREES:
        io.save(path, x)
        for like in (None, x):
            assert_same(io.load(path, like), x)


def test_classes_come_from_the_example(tmp_path: Path) -> None:
    path = tmp_path / "tree.npz"
    x = {"pair": Pair(np.ones(2), None), "layer": Layer(np.zeros(3)), "counts": defaultdict(int, a=1)}
    io.save(path, x)
    assert_same(io.load(path, x), x)
    shapes = tree.map(lambda a: a if type(a) is int else funcgrad.ShapeDtypeStruct(a.shape, a.dtype), x)
    assert_same(io.load(path, shapes), x)
    with pytest.raises(io.MismatchError, match=r"tree.npz: \['counts'\] is a defaultdict.*`like`"):
        io.load(path)
    io.save(path, x["pair"])
    pair = io.load(path)
    assert type(pair) is not Pair and type(pair).__name__ == "Pair" and pair._fields == ("first", "second")
    assert tree.structure(pair) == tree.structure(io.load(path))  # the class is made up once
    io.save(path, {"step": 3, "params": x["pair"], "rest": [1, 2]})
    out = io.load(path, {"step": 0, "params": x["pair"], "rest": ...})
    assert type(out["params"]) is Pair and out["rest"] == [1, 2]


X = np.zeros((2, 3))


@pytest.mark.parametrize(
    ("saved", "like", "message"),
    [
        ({"a": [X]}, {"a": [np.zeros((3, 2))]}, r"the leaf \['a'\]\[0\] is float64\[2, 3\], and float64\[3, 2\] in"),
        ({"a": X}, {"a": np.float32(X)}, r"the leaf \['a'\] is float64\[2, 3\], and float32\[2, 3\]"),
        ({"a": X}, {"b": X}, r"the tree has other keys than `like`: 'a' only in the file; 'b' only in `like`"),
        ({"a": 1}, {"a": 1.0}, "a Python int, and a Python float"),
        ({"a": 1}, {"a": np.array(1)}, r"a Python int, and int64\[\]"),
        ({"a": [1, 2]}, {"a": [1]}, r"\['a'\] is a list of 2, and has 1 entries"),
        ({"a": [1, 2]}, {"a": (1, 2)}, r"\['a'\] is a list of 2, and a tuple in `like`"),
        ({"a": [1, 2]}, {"a": 1}, r"\['a'\] is a list of 2, and a leaf in `like`"),
        ({"a": 1}, {"a": None}, r"\['a'\] is a leaf, and None in `like`"),
        (OrderedDict(a=1, b=2), OrderedDict(b=2, a=1), "in another order"),
        (Pair(1, 2), Layer(1), r"a test_io.Pair, and a test_io.Layer with data"),
        (Layer(1), Layer(1, "other"), r"test_io.Layer with data .*layer.* and a test_io.Layer with data .*other"),
        (random.key(0), random.key(0, impl="philox"), r"random keys \(threefry2x32\) of shape \(\), and .*philox"),
        (random.key(0), np.zeros(2, np.uint32), r"random keys .* and uint32\[2\]"),
        (X, object(), "and of type object in `like`"),
    ],
)  # fmt: skip
def test_mismatches_are_named(saved: Any, like: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "tree.safetensors"
    io.save(path, saved)
    with pytest.raises(io.MismatchError, match=f"tree.safetensors: .*{message}"):
        io.load(path, like)


@pytest.mark.parametrize(
    ("leaf", "message"),
    [
        (object(), r"\['a'\]\[0\] is of type object"),
        (np.array([None]), r"\['a'\]\[0\] is an array of dtype object"),
        (np.array(["x"]), "dtype <U1"),
        (np.datetime64("2020-01-01"), "datetime64"),
        (b"x", "type bytes"),
        (np.ma.masked_array([1.0]), "float64"),
    ],
)
def test_other_leaves_are_refused(leaf: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=f"io.save: the leaf .*{message}"):
        io.save(tmp_path / "x.npz", {"a": [leaf]})
    assert not os.listdir(tmp_path)


def test_traced_values_are_refused(tmp_path: Path) -> None:
    def f(x: Any) -> Any:
        io.save(tmp_path / "x.npz", {"x": x})
        return x

    with pytest.raises(TypeError, match=r"the leaf \['x'\] is a traced value"):
        funcgrad.jit(f)(1.0)
    with pytest.raises(ValueError, match=r"the suffix says the format, .safetensors or .npz; got .*x.pkl"):
        io.save(tmp_path / "x.pkl", 1)
    with pytest.raises(FileNotFoundError):
        io.load(tmp_path / "x.npz")


def test_other_programs_read_and_write_these_files(tmp_path: Path) -> None:
    path, x = tmp_path / "x.safetensors", {"layers": [{"w": np.ones((2, 3), np.float16), "b": np.arange(3)}]}
    io.save(path, x)
    arrays = load_file(path)
    assert sorted(arrays) == ["layers.0.b", "layers.0.w"] and same(arrays["layers.0.w"], x["layers"][0]["w"])
    assert same(io.load(path, foreign=True)["layers.0.b"], np.arange(3))
    save_file({"w": np.ones(3)}, path)
    with pytest.raises(io.DamagedFileError, match=r"x.safetensors: it has no manifest .* foreign=True"):
        io.load(path)
    assert same(io.load(path, foreign=True)["w"], np.ones(3))

    path = tmp_path / "x.npz"
    io.save(path, x)
    with np.load(path, allow_pickle=False) as arrays:
        assert same(arrays["layers.0.w"], x["layers"][0]["w"])
    np.savez(path, w=np.ones(3))
    with pytest.raises(io.DamagedFileError, match=r"x.npz: it has no manifest .* foreign=True"):
        io.load(path)
    assert same(io.load(path, foreign=True)["w"], np.ones(3))
    np.savez(path, w=np.array([object()]))
    with pytest.raises(io.DamagedFileError, match="no npz file of arrays of numbers"):
        io.load(path, foreign=True)  # never unpickled


@pytest.mark.parametrize("suffix", FORMATS)
def test_other_files_are_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    header = json.dumps({"a": {"dtype": "F64", "shape": [2], "data_offsets": [0, 8]}}).encode()
    for content in (b"", b"x", b"PK\x03\x04", bytes(100), b"\xff" * 100, b'{"a": 1}' * 40,
                    len(header).to_bytes(8, "little") + header + bytes(16),
                    (2).to_bytes(8, "little") + b"[]" + bytes(64)):  # fmt: skip
        path.write_bytes(content)
        for foreign in (False, True):
            with pytest.raises(io.DamagedFileError, match=f"x{suffix}"):
                io.load(path, foreign=foreign)


PARAMS = {
    "layers": [{"w": np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4), "b": np.zeros(4)}], "step": 17, "rate": 0.1,
    "key": random.key(5), "z": np.array([1 + 2j]), "mask": np.array([True, False]),
}  # fmt: skip


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_damage_is_found(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    io.save(path, PARAMS)
    whole = path.read_bytes()
    choose = python_random.Random(0)
    for n in range(DAMAGES):
        data = bytearray(whole)
        match n % 4:
            case 0:
                del data[choose.randrange(len(data)) :]
            case 1:  # a stretch of zeros, as after a loss of power
                start = choose.randrange(len(data))
                data[start : start + choose.randrange(1, 64)] = bytes(len(data[start : start + 64]))
            case _:
                data[choose.randrange(len(data))] ^= 1 << choose.randrange(8)
        if data == whole:
            continue
        path.write_bytes(data)
        for like in (None, PARAMS):
            with pytest.raises(io.DamagedFileError):
                io.load(path, like)
    path.write_bytes(whole + b"x")
    with pytest.raises(io.DamagedFileError):
        io.load(path)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_damaged_leaf_is_named(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    io.save(path, PARAMS)
    whole = path.read_bytes()
    place = whole.index(PARAMS["layers"][0]["w"].tobytes()) + 9  # pyright: ignore[reportIndexIssue]
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
    with pytest.raises(io.DamagedFileError, match=rf"x{suffix}: the leaf \['layers'\]\[0\]\['w'\] is damaged"):
        io.load(path, PARAMS)


class FullDisk:
    """A file on a disk with room for so many bytes."""

    def __init__(self, file: Any, room: int) -> None:
        self.file, self.room = file, room

    def __enter__(self) -> FullDisk:
        return self

    def __exit__(self, *args: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def write(self, data: Any) -> int:
        self.room -= memoryview(data).nbytes
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.file.write(data)


def no_space(*args: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


def interrupted(*args: Any) -> Any:
    raise KeyboardInterrupt


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_fails_leaves_what_was(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"x{suffix}"
    io.save(path, PARAMS)
    path.chmod(0o640)
    whole = path.read_bytes()
    failures: list[tuple[Any, str, Any]] = [(os, "fsync", no_space), (os, "replace", no_space),
                                            (os, "replace", interrupted)]  # fmt: skip
    for room in (0, 9, 200, 1500, 8000):
        failures.append((_atomic, "_open", lambda name, mode, room=room: FullDisk(open(name, mode), room)))
    for target, name, value in failures:
        with monkeypatch.context() as patch:
            patch.setattr(target, name, value)
            with pytest.raises((OSError, KeyboardInterrupt)) as info:
                io.save(path, {"other": np.ones(1000)})
        if info.type is OSError:
            assert info.value.errno == errno.ENOSPC
            assert "what was there before is as it was" in info.value.__notes__[0]
        assert os.listdir(tmp_path) == [path.name]
        assert path.read_bytes() == whole
    assert_same(io.load(path, PARAMS), PARAMS)
    link = tmp_path / f"link{suffix}"
    link.symlink_to(path.name)
    io.save(link, {"other": 1})
    assert link.is_symlink() and io.load(path) == {"other": 1}
    assert path.stat().st_mode & 0o777 == 0o640


def test_checkpoints_are_kept_and_removed(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    assert io.latest_step(directory) is None
    with pytest.raises(FileNotFoundError, match="there is no checkpoint in"):
        io.restore_checkpoint(directory)
    for step in range(0, 50, 10):
        io.save_checkpoint(directory, step, {"w": np.full(3, step)}, keep=3)
    (directory / "notes.txt").write_text("mine")
    (directory / f".checkpoint_000000050.npz.{_atomic._host()}-999999999-0.tmp").write_text("left by a process")
    (directory / ".checkpoint_000000050.npz.elsewhere-999999999-0.tmp").write_text("left by another machine")
    checkpoints = io.Checkpoints(directory, keep=2, every=5, suffix=".npz")
    assert checkpoints.steps() == [20, 30, 40] and checkpoints.latest() == 40
    assert [s for s in range(12) if checkpoints.due(s)] == [0, 5, 10]
    checkpoints.save(45, {"w": np.full(3, 45)})
    assert checkpoints.steps() == [40, 45]
    assert sorted(os.listdir(directory)) == [
        ".checkpoint_000000050.npz.elsewhere-999999999-0.tmp", "checkpoint_000000040.safetensors",
        "checkpoint_000000045.npz", "notes.txt",
    ]  # fmt: skip
    assert checkpoints.restore(step=40).tree["w"][0] == 40
    for step in (40, 45):
        with pytest.raises(FileExistsError, match=f"has a checkpoint of step 45, and {step} is not after it"):
            checkpoints.save(step, 0)
    with pytest.raises(FileNotFoundError, match="no checkpoint of step 7, but of 40, 45"):
        checkpoints.restore(step=7)
    with pytest.raises(io.MismatchError):
        checkpoints.restore({"w": np.zeros(2)})
    checkpoints.save(42, {"w": np.zeros(1)}, overwrite=True)
    assert checkpoints.steps() == [40, 42]
    with pytest.raises(ValueError, match="a step is not negative, got -1"):
        checkpoints.save(-1, 0)
    with pytest.raises(ValueError, match="keep= is at least 1"):
        io.save_checkpoint(directory, 99, 0, 0)
    with pytest.raises(ValueError, match=r"suffix= is one of .*, got '.pkl'"):
        io.save_checkpoint(directory, 99, 0, suffix=".pkl")
    with pytest.raises(ValueError, match="every= is at least 1"):
        io.Checkpoints("x", every=0)


def test_a_damaged_checkpoint_is_an_error_or_told(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        path = Path(io.save_checkpoint(tmp_path, step, {"w": step}))
    path.write_bytes(path.read_bytes()[:-3] + b"xxx")
    with pytest.raises(io.DamagedFileError, match="checkpoint_000000003") as info:
        io.restore_checkpoint(tmp_path)
    assert "fallback=True" in info.value.__notes__[0]
    with pytest.warns(FuncgradWarning, match=r"checkpoint of step 2 is used instead: .*checkpoint_000000003.*damaged"):
        assert io.Checkpoints(tmp_path, fallback=True).restore({"w": 0}) == (2, {"w": 2})
    for name in os.listdir(tmp_path):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(io.DamagedFileError, match="checkpoint_000000003"):
        io.restore_checkpoint(tmp_path, fallback=True)
