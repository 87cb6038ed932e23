"""A transformer that learns a text letter by letter, and goes on writing.

    python examples/char_transformer.py --text FILE --out text.png
    python examples/char_transformer.py                         Python's own help pages

The network is a stack of `nn.layers`; the loss is the mean cross entropy of the next letter. The last tenth of the text
is held back. What is learned is measured beside models that only count: how often a letter follows the one, two or
three before it. To write, the network reads a beginning; after that each letter goes in alone, beside the cached keys
and values of those before it.
"""

import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from example_tools import check, command_line, draw_losses, note, save, training_step
from funcgrad import jit, nn, optim, random
from funcgrad.nn import layers

LENGTH = 64  # letters that the network sees
BATCH = 16


def load_text(path: Path | None, letters: int) -> tuple[str, str]:
    """A text and where it comes from: the user's file, or the help pages that come with Python."""
    if path is not None:
        return path.read_text(encoding="utf-8")[:letters], str(path)
    from pydoc_data.topics import topics

    lines = "\n".join(topics[name] for name in sorted(topics)).splitlines()
    prose = [line for line in lines if sum(map(str.isalpha, line)) >= 0.5 * len(line)]  # no tables
    return "\n".join(prose)[:letters], "the topics of Python's help()"


def make_network(letters: int, width: int, blocks: int) -> layers.Layer:
    """Scores of the next letter at each position: integers (batch, time) → (batch, time, letters)."""
    stack = [layers.transformer_block(4, causal=True, rotary=True) for _ in range(blocks)]
    return layers.serial(layers.embedding(letters, width), *stack, layers.layer_norm(), layers.dense(letters))


def make_loss(network: layers.Layer) -> Any:
    """The mean cross entropy of each next letter in integers (batch, time), in nats."""

    def loss(params: Any, text: np.ndarray) -> np.floating:
        log_probs = nn.log_softmax(network.apply(params, text[:, :-1]))
        return -np.mean(np.take_along_axis(log_probs, text[:, 1:, None], axis=-1))

    return loss


def cut(text: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Pieces of LENGTH + 1 letters: (batch, LENGTH + 1)."""
    return text[starts[:, None] + np.arange(LENGTH + 1)]


def count_model(train: np.ndarray, test: np.ndarray, letters: int, order: int) -> float:
    """The cross entropy of letters given the `order` before them, by counts; few are filled up by shorter contexts."""
    probs = np.full(len(test) - order, 1 / letters)
    for n in range(order + 1):
        pairs, contexts = Counter(), Counter()
        for at in range(n, len(train)):
            context = train[at - n : at].tobytes()
            pairs[context, train[at]] += 1
            contexts[context] += 1
        for i in range(len(probs)):
            at = i + order
            context = test[at - n : at].tobytes()
            probs[i] = (pairs[context, test[at]] + 2.0 * probs[i]) / (contexts[context] + 2.0)
    return float(-np.mean(np.log(probs)))


def generate(network: layers.Layer, params: Any, start: np.ndarray, count: int, key: Any, heat: float) -> list[int]:
    """Some letters after `start`, drawn from the network's probabilities, sharpened by a temperature `heat`.

    It never saw more than LENGTH letters: where the cache is full, the last half of them is read again.
    """
    half = LENGTH // 2
    empty = network.state(params, start[None, :half], cache=LENGTH)
    step = jit(lambda params, letters, state: network.apply(params, letters, state))
    text, state, room = list(start), empty, 0
    for subkey in random.split(key, count):
        if room == 0:
            (scores, state), room = step(params, np.array(text[-half:])[None], empty), half
        else:
            (scores, state), room = step(params, np.array(text[-1:])[None], state), room - 1
        text.append(int(random.categorical(subkey, scores[0, -1] / heat)))
    return text[len(start) :]


def draw_picture(losses: list[float], bounds: dict[str, float], test: float, probs: np.ndarray, text: str) -> Figure:
    """The loss beside that of models that count, and the probabilities of the letters of a piece that was held back."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.6])
    draw_losses(left, losses, "nats for each letter", logarithmic=False)
    for (name, bound), style in zip(bounds.items(), (":", "-.", "--"), strict=False):
        left.axhline(bound, color="black", lw=0.8, ls=style, label=name)
    left.axhline(test, color="tab:red", lw=1, label="network, on text held back")
    left.legend(fontsize=8)
    right.bar(range(len(probs)), probs, color="tab:blue")
    names = [{"\n": "⏎", " ": "␣"}.get(letter, letter) for letter in text]
    right.set_xticks(range(len(probs)), names, fontsize=8, family="DejaVu Sans Mono")
    right.set(title="probability of each letter of a text held back, given those before it", ylim=(0, 1))
    return figure


def main(argv: list[str] | None = None) -> None:
    """Trains, compares with counting, writes, and draws."""
    parser = command_line(__doc__)
    parser.add_argument("--text", type=Path, metavar="FILE", help="a text to learn (UTF-8)")
    parser.add_argument("--heat", type=float, default=0.7, help="the temperature of writing: %(default)s")
    args = parser.parse_args(argv)
    width, blocks, steps, most = (32, 1, 150, 30_000) if args.quick else (96, 2, 900, 400_000)
    text, source = load_text(args.text, most)
    alphabet = sorted(set(text))
    codes = np.searchsorted(alphabet, list(text))
    train, test = codes[: len(codes) * 9 // 10], codes[len(codes) * 9 // 10 :][:20_000]
    if len(test) <= LENGTH + 1:
        raise SystemExit(f"error: {source} has {len(text)} letters; give a text of more than {10 * (LENGTH + 2)}")
    note(f"text: {source}: {len(train)} letters to learn from, {len(alphabet)} kinds")

    network, rng = make_network(len(alphabet), width, blocks), np.random.default_rng(args.seed)
    loss = make_loss(network)
    params = network.init(random.key(args.seed), train[None, :LENGTH], np.float32)
    schedule = optim.warmup_cosine_decay_schedule(0.0, 4e-3, steps // 10, steps)
    optimiser = optim.chain(optim.clip_by_global_norm(1.0), optim.adamw(schedule))
    state, step, losses = optimiser.init(params), training_step(loss, optimiser), []
    started = time.perf_counter()
    for number in range(1, steps + 1):
        pieces = cut(train, rng.integers(0, len(train) - LENGTH, BATCH))
        params, state, value = step(params, state, pieces)
        losses.append(float(value))
        if number % (steps // 5) == 0:
            note(f"step {number}: {np.mean(losses[-50:]):.3f} nats   {time.perf_counter() - started:.1f} s")

    held = cut(test, np.arange(0, len(test) - LENGTH - 1, LENGTH))
    evaluate: Any = jit(loss)
    found = float(np.mean([evaluate(params, piece[None]) for piece in held]))
    bounds = {f"counted, {n} before": count_model(train, test, len(alphabet), n) for n in (1, 2, 3)}
    for name, bound in bounds.items():
        note(f"{name}: {bound:.3f} nats")
    check("nats for each letter held back", found, at_most=3.0 if args.quick else bounds["counted, 2 before"])
    start = held[0, :LENGTH]
    written = generate(network, params, start, 40 if args.quick else 500, random.key(args.seed + 1), args.heat)
    note("--- written ---\n" + "".join(alphabet[i] for i in [*start, *written]) + "\n---------------")
    piece = held[len(held) // 2]
    probs = nn.softmax(network.apply(params, piece[None, :-1]))[0, np.arange(LENGTH), piece[1:]]
    save(draw_picture(losses, bounds, found, probs, "".join(alphabet[i] for i in piece[1:])), args.out)


if __name__ == "__main__":
    main()
