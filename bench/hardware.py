"""What a measurement ran on, and how many threads it may use. Shared by the scripts of this folder."""

from __future__ import annotations

import platform
from datetime import date
from pathlib import Path

import torch
from pages import table_lines
from threadpoolctl import threadpool_limits

import spinodal as sp


def use_threads(threads: int) -> None:
    """Fix the threads of torch and of the linear algebra behind NumPy and SciPy."""
    torch.set_num_threads(threads)
    threadpool_limits(threads)


def hardware_line() -> str:
    """Return processor, threads, versions and date in one line."""
    return (
        f"{_processor()}, {torch.get_num_threads()} thread(s) used, torch {torch.__version__}, "
        f"spinodal {sp.__version__}, Python {platform.python_version()}, {date.today().isoformat()}"
    )


def print_table(header: list[str], rows: list[list[str]]) -> None:
    """Print a Markdown table; of one without rows `print_row` adds them as they are measured."""
    for line in table_lines({"header": header, "rows": rows}):
        print(line, flush=True)


def print_row(cells: list[str]) -> None:
    """Print one more row of a table."""
    print(f"| {' | '.join(cells)} |", flush=True)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} ({len(names)} cores)" if names else platform.machine()
