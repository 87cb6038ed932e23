"""Benchmarks: the same work done by funcgrad, by hand-written NumPy and by other libraries.

Run ``python -m benchmarks`` from the repository's root. Reading order: `spec` says what a
workload is, `workloads/` holds them, `harness` times one step, `worker` is the process that does
so, `rounds` interleaves the processes, `report` and `records` write down what came out.
"""
