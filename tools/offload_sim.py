"""What offloading a training step would gain on machines that are not at hand, as the cost model says.

    python -m tools.offload_sim [--widths 256 4096]

A network of three layers, as wide as its batch is large, takes a step of gradient descent. For each machine, link and
width: what the host alone takes; how many times as fast the products alone make it, the minimum cut, the whole step on
the device with NumPy's arrays in and out, and with arrays that stay there; how many equations the cut puts there; and
how long planning takes. Nothing is run, and no device is needed: for widths up to `--run` the step is also run on a
simulated device, and the clock of that compared with the plan.
"""

from __future__ import annotations

import argparse
from time import process_time
from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad import tree
from funcgrad.ir import Program
from funcgrad.offload import Link, Machine, Rates, SimulatedMachine
from funcgrad.offload.plan import Plan, Planner
from funcgrad.passes.pipeline import optimise
from funcgrad.types import ShapedArray

DEVICE = Rates(flops=50e12, flops64=25e12, bandwidth=4e12, launch=8e-6)
"""A large device, in float32."""

HOSTS = {
    "2 cores": Rates(flops=0.12e12, flops64=0.06e12, bandwidth=14e9, launch=1e-6, elementwise=0.5e-9),
    "16 cores": Rates(flops=2e12, flops64=1e12, bandwidth=100e9, launch=1e-6, elementwise=0.1e-9),
}

LINKS = {"10 GB/s": Link(15e-6, 10e9), "50 GB/s": Link(15e-6, 50e9)}

HEADER = " width |    host ms |  products |       cut |     whole |  resident | on device | planning"


def step(params: Any, x: Any, y: Any) -> Any:
    """A step of gradient descent."""

    def loss(params: Any) -> Any:
        h = x
        for w, b in params:
            h = np.maximum(h @ w + b, 0)
        return np.mean((h - y) ** 2)

    value, grads = fg.value_and_grad(loss)(params)
    return value, tree.map(lambda p, g: p - 0.1 * g, params, grads)


def program(width: int, layers: int = 3) -> Program:
    """The step for a width, optimised."""
    array = lambda *shape: ShapedArray(shape, np.dtype(np.float32))  # noqa: E731
    params = [(array(width, width), array(width)) for _ in range(layers)]
    return optimise(fg.make_ir(step)(params, array(width, width), array(width, width)))


def plans(p: Program, machine: Machine) -> dict[str, Plan]:
    """The plans that are compared, by name."""
    backend = SimulatedMachine(machine)
    everything = Planner(p, backend)
    products = Planner(p, backend, products_only=True).plan(machine)
    allowed = tuple(not why for why in everything.reasons)
    return {"products": products, "cut": everything.plan(machine), "all": everything.estimate(allowed, machine)}


def line(p: Program, machine: Machine, width: int) -> str:
    """One row of the table."""
    start = process_time()
    Planner(p, SimulatedMachine(machine)).plan(machine)
    planning = process_time() - start
    found = plans(p, machine)
    host, cut = found["cut"].host_seconds, found["cut"]
    ratios = [host / found[name].seconds for name in ("products", "cut", "all")]
    there = f"{sum(cut.on_device)} of {len(cut.on_device)}"
    cells = [f"{width:6d}", f"{host * 1e3:10.3f}", *(f"{r:9.1f}" for r in ratios),
             f"{host / found['all'].spent.device:9.1f}", f"{there:>9}", f"{planning * 1e3:8.1f}"]  # fmt: skip
    return " | ".join(cells)


def planning(layers: int) -> str:
    """How long a plan of a deep network takes: the facts of its equations, and the cut, each the best of five."""
    p, machine = program(1024, layers), Machine(HOSTS["16 cores"], DEVICE, LINKS["10 GB/s"], LINKS["10 GB/s"])
    backend = SimulatedMachine(machine)
    times: list[tuple[float, float]] = []
    for _ in range(5):
        start = process_time()
        planner = Planner(p, backend)
        known = process_time()
        planner.plan(machine)
        times.append((known - start, process_time() - known))
    facts, plan = (1e3 * min(part) for part in zip(*times, strict=True))
    return f"a plan of {len(p.equations)} equations takes {plan:.1f} ms, and {facts:.1f} ms what is known of them"


def check(machine: Machine, width: int) -> str:
    """The step, run on a simulated machine."""
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32) / np.float32(width)  # noqa: E731
    args = [(draw(width, width), draw(width)) for _ in range(3)], draw(width, width), draw(width, width)
    backend = SimulatedMachine(machine)
    run = fg.jit(step, offload=backend)
    for _ in range(3):
        run(*args)
    start = backend.clock.now()
    run(*args)
    took, cost = backend.clock.now() - start, run.lower(*args).cost()
    planned = min(cost.planned_seconds, cost.host_seconds)
    return f"  run at width {width}: {took * 1e3:.3f} ms, planned {planned * 1e3:.3f} ms"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[32, 128, 256, 512, 1024, 2048, 4096, 8192])
    parser.add_argument("--run", type=int, default=256)
    options = parser.parse_args()
    print("times as fast as the host alone, by the cost model; planning in ms")
    for host, rates in HOSTS.items():
        for name, link in LINKS.items():
            machine = Machine(rates, DEVICE, link, link)
            print(f"{host}, {name}\n{HEADER}")
            for width in options.widths:
                print(line(program(width), machine, width))
            print(check(machine, options.run))
    print(planning(42))


if __name__ == "__main__":
    main()
