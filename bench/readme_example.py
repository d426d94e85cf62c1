"""The README's own example with other seeds and widths: does every map end, and with nothing missing?

    OMP_NUM_THREADS=1 python bench/readme_example.py                             # 32 maps
    OMP_NUM_THREADS=1 python bench/readme_example.py --seeds 0 --hidden 6 --runs runs/readme

`wine.py` is taken from the README as it stands, and mapped by the command line with `--direction loop` and with `--branches`.

Columns: exit code; macroscopic transitions, with their orders; phases; branches; spinodals; coexistence points; what is
missing; gradients.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

from hardware import print_row, print_table
from script import run

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from documents import README, blocks

ASKED = {"loop": ["--direction", "loop"], "branches": ["--branches"]}
HEADER = [
    "seed",
    "hidden",
    "asked",
    "exit",
    "transitions",
    "phases",
    "branches",
    "spinodals",
    "coexistence",
    "missing",
    "gradients",
]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3])
    parser.add_argument("--hidden", nargs="+", type=int, default=[6, 8, 10, 12])
    parser.add_argument("--asked", nargs="+", default=list(ASKED), choices=list(ASKED))
    parser.add_argument("--runs", type=Path, help="keep the run folders here")


def main(options: argparse.Namespace) -> bool:
    """Map the example in every variant and print a row for each."""
    print_table(HEADER, [])
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.runs or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "wine.py").write_text(wine())
        variants = product(options.seeds, options.hidden, options.asked)
        codes = [variant(folder, *chosen) for chosen in variants]
    return any(codes)


def wine() -> str:
    """Return the example of the README."""
    (source,) = [block.text for block in blocks(README) if "def wine(" in block.text]
    return source


def variant(folder: Path, seed: int, hidden: int, asked: str) -> int:
    """Map one variant, print its row, and return the exit code."""
    out = folder / f"{asked}-{hidden}-{seed}"
    line = ["wine.py:wine", "--set", f"hidden={hidden}", "--seed", str(seed), *ASKED[asked], "--out", str(out), "--quiet"]
    done = subprocess.run(
        [str(Path(sys.executable).with_name("spinodal")), "map", *line], cwd=folder, capture_output=True, text=True, check=False
    )
    place = out / "result.json"
    found = json.loads(place.read_text()) if place.exists() else None
    cells = [str(seed), str(hidden), asked, str(done.returncode), *(figures(found) if found else [done.stderr.strip()])]
    print_row(cells)
    return done.returncode


def figures(result: dict[str, Any]) -> list[str]:
    """Return the columns of a result."""
    orders = [item["order"] for item in result["transitions"] if not item["minor"]]
    counts = [str(len(result[name])) for name in ("phases", "branches", "spinodals", "coexistence")]
    missing = "; ".join(f"{item['what']} ({item['cause']})" for item in result["missing"]) or "nothing"
    return [f"{len(orders)}: {', '.join(orders)}", *counts, missing, f"{result['stats']['gradient_evaluations']:,}"]


if __name__ == "__main__":
    run(main, arguments)
