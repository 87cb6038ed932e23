"""What is said of devices, each with the figure that it has now.

    python -m tools.device_claims [--device torch:cpu] [--only training,planner]

One line for each: what it is, the figure, what is aimed at. The exit status is 0 only if all are met. What takes longer
has a command of its own: `tools.backend_table`, `tools.fake_devices`, `tools.offload_sim`, `benchmarks.devices`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from random import Random
from time import process_time
from typing import Any, NamedTuple

import numpy as np

import funcgrad as fg
from funcgrad import random, tree
from funcgrad.backends import RecordingBackend, get_backend
from funcgrad.offload import Machine, SimulatedMachine
from funcgrad.offload.cut import assign
from funcgrad.offload.plan import Planner
from tools.offload_sim import DEVICE, HOSTS, LINKS, plans, program

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from offload_machines import cost, random_problem, settled

__all__ = ["CLAIMS", "Figure", "main"]


class Figure(NamedTuple):
    """What was found.

    Attributes:
        text: the figure.
        goal: what it should be.
        met: whether it is.
    """

    text: str
    goal: str
    met: bool


def _network() -> tuple[Callable[..., Any], Any, Any, Any]:
    """A step of training, its parameters, and data: a classifier whose loss looks its labels up."""
    rng = np.random.default_rng(0)
    params = {"w1": rng.normal(size=(8, 16)), "b1": np.zeros(16), "w2": rng.normal(size=(16, 3)), "b2": np.zeros(3)}

    def loss(p: Any, x: Any, y: Any) -> Any:
        h = np.maximum(x @ p["w1"] + p["b1"], 0.0)
        return -np.mean(fg.nn.log_softmax(h @ p["w2"] + p["b2"])[np.arange(32), y])

    def step(p: Any, x: Any, y: Any) -> Any:
        return tree.map(lambda p, g: p - 0.1 * g, p, fg.grad(loss)(p, x, y))

    return step, params, rng.normal(size=(32, 8)), rng.integers(0, 3, 32)


def training(device: str) -> Figure:
    """100 steps of training on the device, with its memory reused, against NumPy's."""
    step, params, x, y = _network()
    run = fg.jit(step, donate_argnums=0)
    ours, theirs = params, fg.device_put(params, device)
    there = fg.device_put((x, y), device)
    for _ in range(100):
        ours, theirs = run(tree.map(np.copy, ours), x, y), run(theirs, *there)
    pairs = zip(tree.leaves(fg.device_get(theirs)), tree.leaves(ours), strict=True)
    worst = max(float(np.max(np.abs(a - b)) / np.max(np.abs(b))) for a, b in pairs)
    return Figure(f"parameters differ by {worst:.1e}", "1e-9", worst <= 1e-9)


def transfers(device: str) -> Figure:
    """What a step of training on arrays of the device moves."""
    recorder = RecordingBackend(get_backend(device))
    step, *args = _network()
    run, (params, x, y) = fg.jit(step), fg.device_put(tuple(args), recorder)
    params = run(params, x, y)
    recorder.clear()
    for _ in range(3):
        params = run(params, x, y)
    moved = sum(t.bytes for t in recorder.transfers)
    return Figure(f"{moved} bytes in {len(recorder.launches)} launches", "0", not moved and bool(recorder.launches))


DRAWS: dict[str, Callable[[Any], Any]] = {
    "bits": lambda k: random.bits(k, (1000,)),
    "bits of 8": lambda k: random.bits(k, (1000,), np.uint8),
    "bits of 64": lambda k: random.bits(k, (1000,), np.uint64),
    "split": lambda k: random.key_data(random.split(k, 5)),
    "fold_in": lambda k: random.key_data(random.fold_in(k, 7)),
    "randint": lambda k: random.randint(k, (1000,), -5, 1 << 20),
    "permutation": lambda k: random.permutation(k, 1000),
    "uniform": lambda k: random.uniform(k, (1000,), np.float32),
    "bernoulli": lambda k: random.bernoulli(k, 0.3, (1000,)),
    "choice": lambda k: random.choice(k, 1000, (100,)),
}
"""What is drawn: without functions that round differently from library to library."""


def bits(device: str) -> Figure:
    """Random numbers that are the host's, bit for bit."""
    equal = total = 0
    for draw in DRAWS.values():
        here, there = fg.jit(draw), fg.jit(draw, backend=device)
        for key in (random.key(3), random.PRNGKey(-1)):
            total += 1
            equal += np.array_equal(here(key), there(key))
    return Figure(f"{equal} of {total} draws have the same bits", "all", equal == total)


def planner(device: str) -> Figure:
    """The minimum cut against all assignments, for random programs of up to nine operations."""
    r, best = Random(0), 0
    for _ in range(1000):
        problem = random_problem(r, r.randint(1, 9))
        least = min(cost(a, problem) for a in product([False, True], repeat=len(problem[0])))
        best += abs(cost(assign(*problem), problem) - least) <= 1e-9
    return Figure(f"{best} of 1000 plans cost the least there is", "all", best == 1000)


def planning(device: str) -> Figure:
    """How long the plan of a deep network takes, the best of five."""
    machine = Machine(HOSTS["16 cores"], DEVICE, LINKS["10 GB/s"], LINKS["10 GB/s"])
    p, times = program(1024, 42), []
    made = Planner(p, SimulatedMachine(machine))
    for _ in range(5):
        start = process_time()
        made.plan(machine)
        times.append(1e3 * (process_time() - start))
    per = min(times) / len(p.equations) * 500
    return Figure(f"{per:.1f} ms for 500 equations, measured with {len(p.equations)}", "10 ms", per <= 10)


def mistaken(device: str) -> Figure:
    """Programs on simulated devices of which all costs are wrong by a factor of ten, after three calls."""
    worst = max(map(settled, range(40)))
    return Figure(f"{worst:.3f} of the host's time at worst, of 40 programs", "1.05", worst <= 1.05)


def network(device: str) -> Figure:
    """A network of width 4096 with NumPy's arrays in and out, on a simulated device beside 16 cores."""
    p = program(4096)
    gains: dict[str, float] = {}
    for name, link in LINKS.items():
        cut = plans(p, Machine(HOSTS["16 cores"], DEVICE, link, link))["cut"]
        gains[name] = cut.host_seconds / cut.seconds
    text = ", ".join(f"{gain:.1f} times at {name}" for name, gain in gains.items())
    return Figure(f"as fast as the host {text}", "7 times", min(gains.values()) >= 7)


def imports(device: str) -> Figure:
    """What `import funcgrad` imports of the libraries for devices."""
    code = "import sys, funcgrad; print(*{m.partition('.')[0] for m in sys.modules} & {'torch', 'cupy'})"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    return Figure(", ".join(found) or "nothing", "nothing", not found)


CLAIMS: dict[str, Callable[[str], Figure]] = {
    f.__name__: f for f in (training, transfers, bits, planner, planning, mistaken, network, imports)
}


def main(arguments: list[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="torch:cpu")
    parser.add_argument("--only", default="")
    given = parser.parse_args(arguments)
    fine = True
    for name in given.only.split(",") if given.only else CLAIMS:
        text, goal, met = CLAIMS[name](given.device)
        print(f"{name:10} {text} (goal: {goal}, {'met' if met else 'missed'})", flush=True)
        fine = fine and met
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
