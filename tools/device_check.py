"""What a device does with funcgrad's programs, in ten minutes: right or wrong, how fast, and what offloading gains.

    python -m tools.device_check --device torch:cuda [--out figures.json] [--only floors,speed]
    python -m tools.device_check --device cpu

Six stages (`tools.device_stages`), each with a share of the time. After each one a line of JSON is printed and the file
written anew, so that a run that is cut off is worth something. `--device cpu` takes small sizes and one thread; without
PyTorch it runs on array-api-strict's device, or else on the simulated one. The exit status is 0 only if nothing failed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import traceback
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

from tools.device_stages import STAGES, Check, backend_of

__all__ = ["main"]


def chosen(device: str) -> tuple[str, str]:
    """The device that is meant, and what there is to say about that."""
    if device != "cpu":
        return device, ""
    if find_spec("torch") is not None and find_spec("array_api_compat") is not None:
        return "torch:cpu", ""
    other = "strict:CPU_DEVICE" if find_spec("array_api_strict") is not None else "simulated:0"
    return other, f"PyTorch is not installed (pip install 'funcgrad[torch]'): the stages run on {other}"


def write(file: Path, found: dict[str, Any]) -> None:
    """Write all figures so far, in whole or not at all."""
    new = file.with_name(file.name + ".tmp")
    new.write_text(json.dumps(found, indent=1, default=str) + "\n")
    os.replace(new, file)


def run_stage(name: str, device: str, small: bool, share: float) -> dict[str, Any]:
    """The figures of a stage; what it raised is among what failed."""
    seconds, stage = STAGES[name]
    start = perf_counter()
    try:
        figures = stage(Check(device, backend_of(device), small, start + seconds * share))
    except Exception as error:
        where = "".join(traceback.format_tb(error.__traceback__)[-2:])
        figures = {"failed": [f"{type(error).__name__}: {error}\n{where}"]}
    return {"stage": name, "seconds": round(perf_counter() - start, 2), **figures}


def run_stages(names: list[str], device: str, small: bool, share: float, out: Path | None) -> dict[str, Any]:
    """The figures of stages; after each one they are printed, and all are written to a file."""
    found: dict[str, Any] = {"device": device, "stages": []}
    for name in names:
        figures = run_stage(name, device, small, share)
        found["stages"].append(figures)
        print(json.dumps(figures, default=str), flush=True)
        if out is not None:
            write(out, found)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the stages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", help="cpu, torch:cuda, torch:mps, cupy:0, ...")
    parser.add_argument("--out", type=Path, default=None, help="a file for all figures")
    parser.add_argument("--only", default="", help="stages, separated by commas")
    parser.add_argument("--share", type=float, default=1.0, help="of the time that each stage is given")
    given = parser.parse_args(arguments)
    device, note = chosen(given.device)
    if note:
        print(note, file=sys.stderr)
    small = given.device == "cpu" or device.startswith(("simulated", "strict"))
    names = given.only.split(",") if given.only else list(STAGES)
    with tempfile.TemporaryDirectory(prefix="device_check_") as kept:
        os.environ["XDG_CACHE_HOME"] = kept  # rates are measured anew
        found = run_stages(names, device, small, given.share, given.out)
    return int(any(stage.get("failed") for stage in found["stages"]))


if __name__ == "__main__":
    sys.exit(main())
