"""Scalar curvature of a large network, its time and its memory, in a process of its own (a part of curvature.py)."""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from curvature_problems import mnist
from curvature_runs import (
    timed,
)
from hardware import print_table

import spinodal as sp
from spinodal import Estimate

SCRIPT = Path(__file__).with_name("curvature.py")


def large(options: argparse.Namespace) -> None:
    """Print R of a large net, with time and memory, for several numbers of samples."""
    print(f"\n**R of a net of 1.2 million parameters from at most {options.budget} products**\n")
    if not options.mnist:
        print("left out: give --mnist FILE.npz")
        return
    header = ["images", "R of E", "stderr", "products", "counted", "seconds", "gradient s", "gradients", "before MiB"]
    found: list[dict[str, float]] = []
    rows = []
    for images in options.images:
        outcome = large_in_a_process(options, images)
        rows.append([f"{images:,}", *large_cells(outcome, found)])
        found += [outcome] if isinstance(outcome, dict) else []
    print_table([*header, "above MiB", "spinodal is"], rows)
    print("\nbefore: model and data; above: above that by a landscape and R, see --help")


def large_in_a_process(options: argparse.Namespace, images: int) -> dict[str, float] | str:
    """Return the outcome from a process of its own, or why there is none."""
    settings = {"child": images, "mnist": options.mnist, "budget": options.budget, "epochs": options.epochs}
    settings["threads"] = options.threads
    arguments = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    done = subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"ended by signal {-done.returncode}"])[-1].replace("|", "/")[:120]
    outcome: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return outcome


def large_in_this_process(options: argparse.Namespace, images: int) -> dict[str, float]:
    """Return R, its cost in time and its highest memory."""
    problem = mnist(options.mnist, images, options.epochs)

    def loss(model: torch.nn.Module, batch: Any) -> torch.Tensor:
        found: torch.Tensor = problem.criterion(model(batch[0]), batch[1])
        return found

    def estimate() -> tuple[sp.Landscape, Estimate, float]:
        landscape = sp.Landscape(problem.model, loss, problem.data, dtype=torch.float32)
        return landscape, *timed(lambda: sp.scalar_curvature(landscape, problem.model, method="probes", budget=options.budget))

    (landscape, found, seconds), before, highest = watched(estimate)
    gradient = min(timed(lambda: landscape.gradient(problem.theta))[1] for _ in range(3))
    return {
        "value": found.value,
        "stderr": found.stderr,
        "products": found.products,
        "counted": found.spent.gradient_equivalents,
        "seconds": seconds,
        "gradient": gradient,
        "before": before / 2**20,
        "above": (highest - before) / 2**20,
    }


def watched(function: Callable[[], Any]) -> tuple[Any, int, int]:
    """Return a result, the bytes resident before, and the most that were resident during the call."""
    give_back_memory()
    before = resident("VmRSS")
    is_reset = reset_peak()
    result = function()
    return result, before, resident("VmHWM") if is_reset else highest_ever()


def give_back_memory() -> None:
    """Return freed memory to the system, so that it does not count as held."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of the GNU library
    if trim is not None:
        trim(0)


def resident(name: str) -> int:
    """Return an entry of the process's status in bytes; the highest resident memory where there is none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return highest_ever()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def reset_peak() -> bool:
    """Let the highest resident memory begin anew; return whether the system does that."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return resident("VmHWM") <= resident("VmRSS") + 2**22


def highest_ever() -> int:
    """Return the highest resident memory since the process began, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def large_cells(outcome: dict[str, float] | str, earlier: list[dict[str, float]]) -> list[str]:
    """Return the cells of one number of samples."""
    if isinstance(outcome, str):
        return ["-"] * 9 + [outcome]
    growth = f"; {outcome['above'] / earlier[0]['above']:.2f} times the memory of the first row" if earlier else ""
    return [
        f"{outcome['value']:.6g}",
        f"{outcome['stderr'] / abs(outcome['value']):.2%}",
        f"{outcome['products']:.0f}",
        f"{outcome['counted']:.0f}",
        f"{outcome['seconds']:.0f}",
        f"{outcome['gradient']:.2f}",
        f"{outcome['seconds'] / outcome['gradient']:.0f}",
        f"{outcome['before']:.0f}",
        f"{outcome['above']:.0f}",
        f"alone: no package offers R{growth}",
    ]
