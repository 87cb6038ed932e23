"""Policy gradient: a pole on a cart is kept upright.

    python examples/cartpole_policy.py --out cartpole.png

The cart and its pole are plain NumPy, many of them side by side (Barto, Sutton & Anderson, 1983; the constants are
those of the usual benchmark). A policy network says with which probability the cart is pushed to the right. After each
round of episodes, its parameters follow the gradient of the expected return: REINFORCE (Williams, 1992), with a second
network's estimate of the return as the baseline. Nothing of the simulation is differentiated.
"""

import time
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from example_tools import check, note, parse, save, training_step
from funcgrad import jit, lax, nn, optim, random
from funcgrad.nn import layers

GRAVITY, CART, POLE, HALF, PUSH, TICK = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02  # m/s², kg, kg, m, N, s
FARTHEST, STEEPEST = 2.4, np.deg2rad(12)  # where an episode ends
LONGEST = 500  # steps of an episode
DISCOUNT = 0.99

NETWORK = layers.serial(layers.dense(32), np.tanh, layers.dense(32), np.tanh, layers.dense(1))

Params = dict[str, Any]


class Episodes(NamedTuple):
    """What happened: states (time, carts, 4), pushes to the right (time, carts), and whether the pole still stood."""

    states: np.ndarray
    pushes: np.ndarray
    alive: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """How many steps each pole stood (carts,)."""
        return self.alive.sum(0)


def move(state: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The states (carts, 4), that is x, its speed, the angle θ and its speed, a tick later."""
    x, speed, angle, turn = state.T
    sine, cosine = np.sin(angle), np.cos(angle)
    force = (np.where(right, PUSH, -PUSH) + POLE * HALF * turn**2 * sine) / (CART + POLE)
    turn_rate = (GRAVITY * sine - cosine * force) / (HALF * (4 / 3 - POLE * cosine**2 / (CART + POLE)))
    rate = force - POLE * HALF * turn_rate * cosine / (CART + POLE)
    return np.stack([x + TICK * speed, speed + TICK * rate, angle + TICK * turn, turn + TICK * turn_rate], axis=-1)


def standing(state: np.ndarray) -> np.ndarray:
    """Which poles stand, on carts that are still on the track."""
    return (np.abs(state[:, 0]) <= FARTHEST) & (np.abs(state[:, 2]) <= STEEPEST)


def scores(params: Params, states: np.ndarray) -> np.ndarray:
    """One number for each state (…, 4) → (…); states are scaled to about 1."""
    return NETWORK.apply(params, states / np.array([FARTHEST, 2.0, STEEPEST, 2.0]))[..., 0]


def play(policy: Any, rng: np.random.Generator, carts: int, longest: int, *, greedy: bool = False) -> Episodes:
    """Episodes of many carts at once, each up to its end; `policy` gives the logits of pushing to the right."""
    state = rng.uniform(-0.05, 0.05, (carts, 4))
    alive = np.ones(carts, bool)
    states, pushes, lives = np.zeros((longest, carts, 4)), np.zeros((longest, carts)), np.zeros((longest, carts))
    for t in range(longest):
        logits = policy(state)
        right = logits > (0 if greedy else rng.logistic(size=carts))
        states[t], pushes[t], lives[t] = state, right, alive
        state = np.where(alive[:, None], move(state, right), state)
        alive = alive & standing(state)
        if not alive.any():
            break
    return Episodes(states, pushes, lives)


def discounted(alive: np.ndarray) -> np.ndarray:
    """The discounted number of steps that the pole still stands, from each on: (time, carts)."""
    total, found = np.zeros(alive.shape[1]), np.zeros_like(alive)
    for t in range(len(alive) - 1, -1, -1):
        total = alive[t] * (1 + DISCOUNT * total)
        found[t] = total
    return found


def loss(params: Params, states: np.ndarray, pushes: np.ndarray, alive: np.ndarray, wins: np.ndarray) -> np.ndarray:
    """Its gradient is minus that of the expected return, and for the baseline that of its squared error."""
    baseline = scores(params["baseline"], states)
    gain = alive * lax.stop_gradient(wins - baseline)
    deviation = np.sqrt(np.sum(gain**2) / np.sum(alive))
    logits = scores(params["policy"], states)
    log_probs = nn.log_sigmoid(np.where(pushes, logits, -logits))
    return np.sum(-gain / deviation * log_probs + alive * (wins - baseline) ** 2) / np.sum(alive)


def train(rounds: int, carts: int, longest: int, seed: int) -> tuple[Params, list[np.ndarray]]:
    """Parameters, and the lengths of all episodes of every round."""
    rng = np.random.default_rng(seed)
    keys = random.split(random.key(seed))
    params = {name: NETWORK.init(key, (-1, 4)) for name, key in zip(("policy", "baseline"), keys, strict=True)}
    optimiser = optim.chain(optim.clip_by_global_norm(1.0), optim.adam(1e-2))
    state, step, policy = optimiser.init(params), training_step(loss, optimiser), jit(scores)
    history, started = [], time.perf_counter()
    for number in range(1, rounds + 1):
        episodes = play(partial(policy, params["policy"]), rng, carts, longest)
        params, state, _ = step(params, state, *episodes, (1 - DISCOUNT) * discounted(episodes.alive))
        history.append(episodes.lengths)
        if number % (rounds // 5) == 0:
            mean = np.mean(history[-5:])
            note(f"round {number}: {mean:.0f} steps on average   {time.perf_counter() - started:.1f} s")
    return params, history


def draw_picture(history: list[np.ndarray], params: Params, episodes: Episodes) -> Figure:
    """The lengths of episodes, the policy by the angle and its speed, and some carts and poles of the test."""
    figure = Figure(figsize=(13, 8), layout="constrained")
    axes = figure.subplots(2, 2)
    axes[0, 0].plot(history, ".", color="tab:blue", ms=2, alpha=0.3)
    axes[0, 0].plot(np.mean(history, axis=1), color="tab:blue")
    axes[0, 0].set(xlabel="round", ylabel="steps until the pole falls")
    angle, turn = np.meshgrid(np.linspace(-STEEPEST, STEEPEST, 100), np.linspace(-2, 2, 100))
    states = np.stack([np.zeros_like(angle), np.zeros_like(angle), angle, turn], axis=-1)
    right = nn.sigmoid(scores(params["policy"], states))
    mesh = axes[0, 1].pcolormesh(np.rad2deg(angle), turn, right, cmap="RdBu", vmin=0, vmax=1)
    figure.colorbar(mesh, ax=axes[0, 1])
    axes[0, 1].set(title="probability of a push to the right", ylabel="its speed (rad/s)")
    axes[0, 1].set(xlabel="angle (°) of the pole on a cart that rests in the middle")
    ticks = TICK * np.arange(len(episodes.states))
    for cart in range(8):
        alive = episodes.alive[:, cart] > 0
        place, lean = episodes.states[alive, cart, 0], np.rad2deg(episodes.states[alive, cart, 2])
        axes[1, 0].plot(ticks[alive], place, lw=0.8)
        axes[1, 1].plot(ticks[alive], lean, lw=0.8)
    axes[1, 0].set(title="places of eight carts in the test", xlabel="time (s)", ylabel="x (m)")
    axes[1, 1].set(title="angles of their poles", xlabel="time (s)", ylabel="angle (°)")
    return figure


def main(argv: list[str] | None = None) -> None:
    """Trains, tests without chance in the policy, and draws."""
    args = parse(__doc__, argv)
    rounds, carts, longest = (30, 16, 100) if args.quick else (60, 32, 250)
    params, history = train(rounds, carts, longest, args.seed)
    policy = jit(scores)
    longest = 150 if args.quick else LONGEST
    test = play(partial(policy, params["policy"]), np.random.default_rng(1000), 100, longest, greedy=True)
    by_chance = play(lambda states: np.zeros(len(states)), np.random.default_rng(1000), 100, longest)
    note(f"pushed by chance, the pole stands {by_chance.lengths.mean():.1f} steps")
    check(f"steps that it stands, of {longest}", test.lengths.mean(), at_least=60 if args.quick else 475)
    save(draw_picture(history, params, test), args.out)


if __name__ == "__main__":
    main()
