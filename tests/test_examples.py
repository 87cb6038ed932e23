"""The examples, run the way a reader runs them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mnist_mlp
from funcgrad import tree, value_and_grad

SCRIPT = Path(mnist_mlp.__file__)
EPOCH = re.compile(r"epoch +(\d+)/(\d+)   loss (\d\.\d{4})   train +([\d.]+)%   test +([\d.]+)%")


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps a MNIST that the user once downloaded out of the tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def random_batch(count: int, side: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random((count, side, side)), rng.integers(0, 10, count)


def by_hand(params: mnist_mlp.Params, images: np.ndarray, labels: np.ndarray) -> tuple[float, mnist_mlp.Params]:
    """Loss and gradients of the example's network by backpropagation, each layer in turn."""
    inputs = [images.reshape(len(images), -1)]
    for layer in params[:-1]:
        inputs.append(np.maximum(0, np.dot(inputs[-1], layer["w"]) + layer["b"]))
    scores = np.dot(inputs[-1], params[-1]["w"]) + params[-1]["b"]
    exps = np.exp(scores - np.max(scores, axis=1, keepdims=True))
    probs = exps / np.sum(exps, axis=1, keepdims=True)
    one_hot = np.eye(10)[labels]

    grads = []
    delta = (probs - one_hot) / len(images)
    for layer, x in zip(params[::-1], inputs[::-1], strict=True):
        grads.append({"w": np.dot(x.T, delta), "b": np.sum(delta, axis=0)})
        delta = np.dot(delta, layer["w"].T)
        delta[x <= 0] = 0
    return -np.sum(one_hot * np.log(probs)) / len(images), grads[::-1]


@pytest.mark.parametrize("hidden", [[], [7], [12, 5], [6, 6, 6, 6]])
def test_gradients_equal_backpropagation_by_hand(hidden: list[int]) -> None:
    images, labels = random_batch(11, 4)
    params = mnist_mlp.init_params(np.random.default_rng(1), [16, *hidden, 10])
    params = tree.map(lambda p: p.astype(np.float64), params)
    value, grads = value_and_grad(mnist_mlp.loss)(params, images, labels)
    expected_value, expected = by_hand(params, images, labels)
    np.testing.assert_allclose(value, expected_value, rtol=1e-14)
    tree.map(lambda g, e: np.testing.assert_allclose(g, e, rtol=1e-11, atol=1e-15), grads, expected)


def test_single_precision_is_kept() -> None:
    images, labels = random_batch(8, 4)
    params = mnist_mlp.init_params(np.random.default_rng(1), [16, 6, 10])
    value, grads = value_and_grad(mnist_mlp.loss)(params, images.astype(np.float32), labels)
    stepped, velocity = mnist_mlp.update(params, tree.map(np.zeros_like, params), grads, 0.1)
    leaves = tree.leaves([params, grads, stepped, velocity])
    assert {leaf.dtype for leaf in [*leaves, value]} == {np.dtype(np.float32)}


def test_update_changes_nothing_in_place() -> None:
    params, velocity, grads = ([{"w": np.full(2, x)}] for x in (1.0, 2.0, 3.0))
    stepped, moved = mnist_mlp.update(params, velocity, grads, 0.5)
    np.testing.assert_allclose(moved[0]["w"], 0.9 * 2 + 3)
    np.testing.assert_allclose(stepped[0]["w"], 1 - 0.5 * (0.9 * 2 + 3))
    assert (params[0]["w"] == 1).all()
    assert (velocity[0]["w"] == 2).all()


def test_scores_of_any_size_have_finite_losses() -> None:
    scores = np.array([[0.0, 1e4, -1e4], [1e300, 0.0, 1e300]])
    log_probs = mnist_mlp.log_softmax(scores)
    np.testing.assert_array_equal(log_probs[0], [-1e4, 0, -2e4])
    np.testing.assert_allclose(log_probs[1], [-np.log(2), -1e300, -np.log(2)])


def test_minibatches_cover_every_image_once() -> None:
    images, _ = random_batch(10, 3)
    rng = np.random.default_rng(0)
    batches = list(mnist_mlp.minibatches(images, np.arange(10), 4, rng))
    assert [len(part) for part, _ in batches] == [4, 4, 2]
    assert sorted(np.concatenate([part for _, part in batches])) == list(range(10))


def test_training_on_scikit_learn_digits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "loss.png"
    mnist_mlp.main(["--offline", "--epochs", "6", "--plot", str(picture)])
    output = capsys.readouterr()
    lines = output.out.splitlines()
    assert lines[0] == ("data: scikit-learn's digits: 1438 images to learn from, 359 to test with")
    epochs = [EPOCH.match(line) for line in lines[1:7]]
    numbers = [[float(group) for group in found.groups()] for found in epochs if found]
    assert [row[:2] for row in numbers] == [[epoch, 6] for epoch in range(1, 7)]
    assert numbers[-1][2] < numbers[0][2] / 4
    assert numbers[-1][3] > 96
    assert numbers[-1][4] > 93
    assert re.match(r"test accuracy [\d.]+% after [\d.]+ s of training", lines[7])
    assert lines[8:] == [f"loss curve: {picture}"]
    assert picture.read_bytes().startswith(b"\x89PNG\r\n")
    assert "using scikit-learn's digits instead" in output.err


def test_a_run_is_repeated_by_its_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(seed: int) -> list[str]:
        options = ["--epochs", "1", "--hidden", "16", "--plot", str(tmp_path / "loss.png")]
        mnist_mlp.main(["--offline", "--seed", str(seed), *options])
        return re.findall(r"loss \d.*%", capsys.readouterr().out)

    first = run(3)
    assert first
    assert run(3) == first
    assert run(4) != first


def run_script(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *args]
    found_here = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[1])}  # installed or not
    return subprocess.run(command, cwd=cwd, env=found_here, capture_output=True, text=True, check=False)


def test_the_script_runs_from_any_directory(tmp_path: Path) -> None:
    done = run_script("--offline", "--epochs", "1", "--hidden", "16", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "loss curve: mnist_loss.png" in done.stdout
    assert (tmp_path / "mnist_loss.png").is_file()
    assert len(done.stderr.splitlines()) == 1  # where the data come from, and no progress bar


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "absent"], r"error: absent: expected a directory"),
        (["--data", "."], r"error: \.: expected MNIST files"),
        (["--epochs", "0"], r"argument --epochs: must be at least 1, is 0"),
        (["--batch", "-3"], r"argument --batch: must be at least 1, is -3"),
        (["--hidden", "20", "0"], r"argument --hidden: must be at least 1, is 0"),
        (["--seed", "-1"], r"argument --seed: must be at least 0, is -1"),
        (["--batch", "many"], r"argument --batch: "),
    ],
)
def test_mistakes_are_answered_in_a_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        mnist_mlp.main(["--offline", *arguments])
    said = str(caught.value) + capsys.readouterr().err
    assert re.search(message, said)


@pytest.mark.parametrize("name", ["absent/loss.png", "loss.nonsense"])
def test_a_picture_that_cannot_be_saved(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="error: the loss curve cannot be saved"):
        mnist_mlp.main(["--offline", "--epochs", "1", "--hidden", "--plot", str(tmp_path / name)])
    assert "test accuracy" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_a_training_that_diverges_says_so(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"the loss is nan after epoch 1/1: try a smaller --lr"):
        mnist_mlp.main(["--offline", "--epochs", "1", "--lr", "1e30", "--plot", str(tmp_path)])
